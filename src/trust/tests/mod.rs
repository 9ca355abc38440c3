//! The room's tests: other people's examples, forgeries, and every fault.

mod components;
mod detached;
mod faults;
mod keys;
mod sent;
mod tampering;
mod vectors;
