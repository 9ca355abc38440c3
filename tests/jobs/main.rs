//! Jobs on both databases: one run for each due time, whatever dies, races or sleeps.

#[path = "../support/mod.rs"]
mod support;

mod due_times;
mod leases;
mod runs;
mod worker;
