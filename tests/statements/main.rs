//! Days that are closed, and the statements of them, on both databases.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "s3")]
mod bucket;
mod checking;
mod closing;
mod given;
mod left;
mod making;
