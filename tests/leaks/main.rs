//! A real center, attacked: what it was told in confidence stands nowhere, what was let in once is not
//! let in again, and what was changed on its way is not let in at all.

mod canaries;
mod center;
mod replay;
#[path = "../support/mod.rs"]
mod support;
mod tampering;
