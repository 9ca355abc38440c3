//! The cells of one row: read one by one, each telling by itself what is wrong with it.

use super::sheet::{Problems, Row, Sheet};
use crate::domain::ids::{BadId, BillerCode};
use crate::domain::money::Money;
use crate::domain::region::RegionCode;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

/// A name or hint has at most so many characters.
const TEXT_CHARS_MAX: usize = 200;

/// Where a record stands: file and line.
pub(super) type Spot = (String, usize);

/// A record that another one names.
pub(super) enum Named {
    Region(RegionCode),
    Biller(BillerCode),
}

/// Names that are looked up once all files are read.
pub(super) struct Reference {
    pub spot: Spot,
    pub column: &'static str,
    pub named: Named,
}

/// The cells of one row. Each reader of a cell tells what is wrong with it and then gives nothing,
/// so that the other cells of the row are still looked at.
pub(super) struct Cells<'a> {
    pub sheet: &'a Sheet<'a>,
    pub row: &'a Row,
    pub problems: &'a mut Problems,
}

impl<'a> Cells<'a> {
    pub fn found(&mut self, column: &str, reason: impl Display) {
        self.problems
            .add(self.sheet.file, self.row.line, Some(column), reason);
    }

    pub fn spot(&self) -> Spot {
        (self.sheet.file.to_owned(), self.row.line)
    }

    pub fn raw(&self, column: &str) -> &'a str {
        self.sheet.cell(self.row, column)
    }

    /// A cell that may not be empty.
    pub fn needed(&mut self, column: &str) -> Option<&'a str> {
        let cell = self.raw(column);
        if cell.is_empty() {
            self.found(column, "the cell is empty");
            return None;
        }
        Some(cell)
    }

    /// A text for people.
    pub fn text(&mut self, column: &str) -> Option<String> {
        let text = self.needed(column)?;
        if text.trim() != text {
            self.found(column, "there is white space around the text");
            return None;
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            let reason = format!("the text is longer than {TEXT_CHARS_MAX} characters");
            self.found(column, reason);
            return None;
        }
        Some(text.to_owned())
    }

    /// A code; `what` says whose, in words.
    pub fn code<T>(&mut self, column: &str, what: &str) -> Option<T>
    where
        T: FromStr<Err = BadId>,
    {
        self.read(column, |text| {
            let read: Result<T, BadId> = text.parse();
            read.map_err(|error| format!("{text:?} is not {what}: {}", error.rule))
        })
    }

    /// One of a list of words.
    pub fn one_of<T: Copy>(
        &mut self,
        column: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        self.read(column, |text| {
            let found = all.iter().copied().find(|one| name(*one) == text);
            found.ok_or_else(|| {
                let names: Vec<&str> = all.iter().copied().map(name).collect();
                format!("{text:?} is none of {}", names.join(", "))
            })
        })
    }

    pub fn read<T, E: Display>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let cell = self.needed(column)?;
        match read(cell) {
            Ok(value) => Some(value),
            Err(error) => {
                self.found(column, error);
                None
            }
        }
    }

    /// Minor units, or nothing where the cell is empty. None where it holds something else.
    pub fn minor(&mut self, column: &str) -> Option<Option<i64>> {
        if self.raw(column).is_empty() {
            return Some(None);
        }
        self.read(column, Money::parse_minor).map(Some)
    }

    /// Notes where a code stands, and finds a second row with it.
    pub fn once<C: Eq + Hash + Display>(&mut self, code: C, seen: &mut HashMap<C, Spot>) {
        if let Some((file, line)) = seen.get(&code) {
            let reason = format!("{code} stands on line {line} of {file} already");
            self.found("code", reason);
        } else {
            seen.insert(code, self.spot());
        }
    }
}
