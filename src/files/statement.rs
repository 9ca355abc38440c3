//! What a statement is about, what came out when it was written, and why it could not be.

use super::profile::Profile;
use super::row::{Field, SumTooLarge, Totals};
use super::values::Values;
use crate::domain::money::Currency;
use crate::domain::time::BusinessDate;
use chrono_tz::Tz;

/// What a file is about. The same head and the same rows give the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The day.
    pub business_date: BusinessDate,
    /// The code of the merchant or biller whom the file is for.
    pub party: &'a str,
    /// Its name, for people.
    pub party_name: &'a str,
    /// Counts the issues of the file for this day, from 1.
    pub version: u32,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// The center's zone, for files whose profile names none.
    pub zone: Tz,
    /// What the rows will add up to. Needed where the profile [counts
    /// first](super::profile::Profile::counts_first); wherever it is given, rows that add up to anything
    /// else are refused at the end.
    pub totals: Option<&'a Totals>,
}

impl Head<'_> {
    /// The name of the file by its profile: never a path.
    ///
    /// # Errors
    /// When the party's code cannot stand in a name.
    pub fn file_name(&self, profile: &Profile) -> Result<String, WriteError> {
        let name = Values::new(profile, self).name(&profile.file_name);
        name.map_err(WriteError::Head)
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The counts and sums of the rows.
    pub totals: Totals,
    /// How long the file is, packed as it is.
    pub bytes: u64,
    /// Its SHA-256, packed as it is.
    pub sha256: [u8; 32],
    /// How many characters of NOTE and of the party's name the encoding could not say; a `?` stands for
    /// each.
    pub replaced: u64,
}

/// Why a file could not be written. What went out until then is no statement.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The place to which it was written failed.
    #[error("the file cannot be written")]
    Io(#[from] std::io::Error),
    /// A value has no place in the file.
    #[error("row {row}: {field} cannot be written: {reason}")]
    Cell {
        /// The row, from 1.
        row: u64,
        /// Whose value.
        field: Field,
        /// Why.
        reason: String,
    },
    /// A row of another currency; a file has one.
    #[error(
        "row {row} is in {found}, but the file is in {expected}: make a file for each currency"
    )]
    Currency {
        /// The row, from 1.
        row: u64,
        /// Its currency.
        found: Currency,
        /// The file's.
        expected: Currency,
    },
    /// The head's own values do not fit.
    #[error("{0}")]
    Head(String),
    /// The profile writes the totals first, and they were not given.
    #[error("the profile {0} writes counts and sums before the rows: give the totals beforehand")]
    TotalsNeeded(String),
    /// The totals that were given are not those of the rows.
    #[error("the rows do not add up to the totals that were given: {found:?}, not {given:?}")]
    TotalsDiffer {
        /// What was given.
        given: Box<Totals>,
        /// What the rows add up to.
        found: Box<Totals>,
    },
    /// A sum leaves 64 bits.
    #[error("row {row}: {source}")]
    Sum {
        /// The row, from 1.
        row: u64,
        /// What is wrong.
        source: SumTooLarge,
    },
    /// The workbook's library refused something.
    #[error("the workbook cannot be written: {0}")]
    Workbook(String),
}
