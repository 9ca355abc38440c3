//! The nouns of the schema, one a file. Doc comments here are the schema's own documentation, so
//! they speak to somebody who has never seen this code. Enums are written out once more because
//! their words are documentation as well; a test holds their names to the stored ones.

pub(super) mod bill;
pub(super) mod case;
pub(super) mod exception;
pub(super) mod flow;
pub(super) mod item;
pub(super) mod job;
pub(super) mod job_run;
pub(super) mod key;
pub(super) mod merchant;
pub(super) mod money;
pub(super) mod notification;
pub(super) mod operator;
pub(super) mod order;
pub(super) mod reconciliation;
pub(super) mod refusal;
pub(super) mod region;
pub(super) mod scalars;
pub(super) mod statement;
pub(super) mod timeline;

use crate::domain::ids::BadId;
use crate::domain::refusal::{Refusal, RefusalCode};
use std::str::FromStr;

/// Reads a number or code out of an argument. The refusal names the argument and the rule, and does
/// not repeat what was sent.
pub(super) fn parse<T>(field: &'static str, text: &str) -> Result<T, Refusal>
where
    T: FromStr<Err = BadId>,
{
    text.parse::<T>()
        .map_err(|error| invalid(field, format!("{field} has to be {}", error.rule)))
}

/// The refusal of an argument.
pub(super) fn invalid(field: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::InvalidArgument, message).on(field)
}
