//! Payhall.
pub mod domain;
pub mod storage;
