//! Jobs on both databases: one run for each due time, whatever dies, races or sleeps.

#[path = "../support/mod.rs"]
mod support;

mod asked;
mod daemon;
mod due_times;
mod leases;
mod nights;
mod runs;
mod standing;
mod tending;
mod watch;
mod worker;
