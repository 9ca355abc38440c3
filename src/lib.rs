//! Payhall: a bill payment center. See `ARCHITECTURE.md` for the house and its floors.

pub mod api;
pub mod cache;
pub mod domain;
pub mod engine;
pub mod sim;
pub mod storage;
pub mod upstream;
