//! The audit trail on both databases: every verb leaves its row, every kind of tampering is found and
//! named, what was published holds the end of the chains, and an untouched trail verifies clean.

mod center;
mod command;
mod heads;
mod jobs;
mod logins;
mod resends;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod tampering;
mod verbs;
