//! The night, on real days: bills are paid on days that are over, and a daemon that starts afterwards
//! closes them, states them and reconciles them.

#[path = "../support/mod.rs"]
mod support;

mod books;
mod full_day;
mod missed;
mod night;
mod past;
