//! The room's tests: other people's examples, forgeries, and every fault.

mod components;
mod detached;
mod faults;
#[cfg(feature = "gm")]
mod gm;
#[cfg(not(feature = "gm"))]
mod gm_absent;
mod keys;
mod sent;
mod tampering;
mod vectors;
