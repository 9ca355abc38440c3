//! The night, from the partners' files to the cases: on SQLite and on PostgreSQL.

#[path = "../support/mod.rs"]
mod support;

mod again;
mod batches;
#[cfg(feature = "s3")]
mod bucket;
mod check;
mod classes;
mod crash;
mod decided;
mod evidence;
mod hanging;
mod late;
mod night;
mod partner_files;
mod pool;
mod refused_before;
mod runs;
mod sources;
mod strangers;
mod town;
mod watched;
