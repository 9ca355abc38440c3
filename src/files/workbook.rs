//! Writes a statement as an `.xlsx` for people.

use super::profile::Profile;
use super::row::Row;
use super::statement::{Head, WriteError, Written};
use std::io::{Read, Seek, Write};

/// A workbook being written. Rows go to a temporary file as they come; what is beyond the rows of one
/// sheet goes to the next.
#[derive(Debug)]
pub struct WorkbookWriter<'p> {
    profile: &'p Profile,
}

impl<'p> WorkbookWriter<'p> {
    /// Begins a workbook with the columns of a profile.
    ///
    /// # Errors
    /// When the workbook's library refuses.
    pub fn begin(profile: &'p Profile, _head: &Head<'_>) -> Result<Self, WriteError> {
        Ok(Self { profile })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When a value cannot stand in the file or the temporary file cannot be written.
    pub fn row(&mut self, _row: &Row<'_>) -> Result<(), WriteError> {
        Err(WriteError::Head("rows are not written yet".to_owned()))
    }

    /// Ends the workbook and writes it into an empty file, which is open for reading too.
    ///
    /// # Errors
    /// When the rows are not what the totals of the head said, or `out` fails.
    pub fn finish(self, _out: impl Read + Write + Seek + Send) -> Result<Written, WriteError> {
        let name = &self.profile.name;
        Err(WriteError::Head(format!("{name} is not written yet")))
    }
}
