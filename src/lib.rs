//! Payhall.
pub mod cache;
pub mod domain;
