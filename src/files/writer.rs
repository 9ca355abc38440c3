//! Writes a statement by a profile, row by row, over anything that takes bytes.

use super::profile::Profile;
use super::row::Row;
use super::statement::{Head, WriteError, Written};
use std::io::Write;

/// A statement being written: constant memory, and nothing allocated for a row.
#[derive(Debug)]
pub struct StatementWriter<'p, W: Write> {
    profile: &'p Profile,
    out: W,
}

impl<'p, W: Write> StatementWriter<'p, W> {
    /// Begins a file: writes what stands before the rows.
    ///
    /// # Errors
    /// When the head's values do not fit, totals are needed and not given, or `out` fails.
    pub fn begin(profile: &'p Profile, head: &Head<'_>, out: W) -> Result<Self, WriteError> {
        if profile.counts_first() && head.totals.is_none() {
            return Err(WriteError::TotalsNeeded(profile.name.clone()));
        }
        Ok(Self { profile, out })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When a value cannot stand in the file, the row is of another currency, or `out` fails.
    pub fn row(&mut self, _row: &Row<'_>) -> Result<(), WriteError> {
        Err(WriteError::Head("rows are not written yet".to_owned()))
    }

    /// Ends the file: writes what stands behind the rows, ends the packing, and gives `out` back.
    ///
    /// # Errors
    /// When the rows are not what the totals of the head said, or `out` fails.
    pub fn finish(self) -> Result<(Written, W), WriteError> {
        let _ = self.out;
        let name = &self.profile.name;
        Err(WriteError::Head(format!("{name} is not written yet")))
    }
}
