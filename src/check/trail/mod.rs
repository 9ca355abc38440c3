//! The audit trail by itself: needs neither a ledger nor the simulated world, and serves both
//! `payhall check` and `payhall audit verify`.
//!
//! Three witnesses hold each other. A row's hash covers its fields and the hash before it, so what was
//! edited, taken out or exchanged *inside* a chain shows in the chain itself. What was cut off at its
//! end, or written anew to the end, does not: it differs from the heads that were published while it
//! stood. And what happened since the last heads is told by the things themselves, which count their
//! changes.
//!
//! How one could break it: by trusting the hash that stands in a row; by taking the key that checks the
//! published heads from the database alone, whose administrator can exchange it.

mod chain;
mod heads;
mod report;
mod told;
mod verify;

pub use report::{TrailFault, TrailFigures, TrailFinding, TrailReport};
pub use verify::{VerifyOptions, verify};

pub(super) use chain::{Listener, Progress, judge_chains};
pub(super) use heads::Pins;
pub(super) use told::judge as judge_told;
