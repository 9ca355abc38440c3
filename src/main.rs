//! Payhall.
fn main() {}
