//! Payhall: a bill payment center. See `ARCHITECTURE.md` for the house and its floors.

pub mod api;
pub mod audit_command;
pub mod cache;
pub mod check;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod files;
pub mod jobs;
pub mod jobs_command;
pub mod operator_command;
pub mod output;
pub mod partner_files_command;
pub mod reconcile_command;
pub mod sign;
pub mod sim;
pub mod storage;
pub mod telemetry;
pub mod trust;
pub mod upstream;
