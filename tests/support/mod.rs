//! What several test binaries share.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod bank;
pub mod bucket;
pub mod client;
pub mod database;
pub mod given;
pub mod load;
pub mod packages;
pub mod process;
pub mod redis;
pub mod replica;
pub mod world;
