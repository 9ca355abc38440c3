//! Payhall.
pub mod domain;
