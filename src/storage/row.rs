//! Small readers that turn stored words and numbers back into the domain's types.

use super::error::StoreError;
use crate::domain::money::{Currency, Money};
use crate::domain::time::Instant;
use std::fmt::Display;
use std::str::FromStr;

/// The instant as it is stored.
pub fn micros(at: Instant) -> i64 {
    at.timestamp_micros()
}

/// Reads rows of which each stands for itself: one that cannot be read is left out and said, and holds
/// nobody else up.
pub fn readable<R, T>(rows: Vec<R>) -> Vec<T>
where
    T: TryFrom<R, Error = StoreError>,
{
    let read = rows.into_iter().map(T::try_from);
    read.filter_map(|row| match row {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::error!(%error, "a row cannot be read and is left out");
            None
        }
    })
    .collect()
}

/// Names the row that is being read, for errors.
#[derive(Clone, Copy)]
pub struct RowOf<'a> {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub key: &'a str,
}

impl RowOf<'_> {
    /// The error for this row.
    pub fn corrupt(&self, why: impl Display) -> StoreError {
        StoreError::Corrupt {
            table: self.table,
            key: self.key.to_owned(),
            why: why.to_string(),
        }
    }

    /// Reads a word as what it stands for.
    pub fn word<T>(&self, text: &str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|error: T::Err| self.corrupt(error))
    }

    /// Reads a word that may be missing.
    pub fn word_opt<T>(&self, text: Option<&str>) -> Result<Option<T>, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.map(|text| self.word(text)).transpose()
    }

    /// Reads microseconds.
    pub fn instant(&self, micros: i64) -> Result<Instant, StoreError> {
        Instant::from_timestamp_micros(micros)
            .ok_or_else(|| self.corrupt(format!("{micros} is outside the calendar")))
    }

    /// Reads microseconds that may be missing.
    pub fn instant_opt(&self, micros: Option<i64>) -> Result<Option<Instant>, StoreError> {
        micros.map(|micros| self.instant(micros)).transpose()
    }

    /// Reads an amount.
    pub fn money(&self, amount_minor: i64, currency: &str) -> Result<Money, StoreError> {
        let currency = Currency::try_new(currency).map_err(|error| self.corrupt(error))?;
        Ok(Money::new(amount_minor, currency))
    }
}
