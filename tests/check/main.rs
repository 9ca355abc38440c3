//! The checker: it finds nothing in a sound world, and every planted fault, by its rule and order.

mod audit;
mod copies;
mod days;
mod money;
mod numbers;
mod pair;
mod people;
#[path = "../support/mod.rs"]
mod support;
mod world;
