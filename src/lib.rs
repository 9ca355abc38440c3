//! Payhall.
pub mod domain;
pub mod upstream;
