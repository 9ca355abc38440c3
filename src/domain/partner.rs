//! Partners whose files are reconciled with our flows: banks and billers, and what is known of the files
//! that they sent.
//!
//! A file is kept as it came and counts as a whole or not at all. Which file of a date counts is one rule:
//! the accepted one with the highest version. A refused file never takes the place of an accepted one.

use super::ids::{AdapterName, BadId, BillerCode};
use super::money::Currency;
use super::named_enum;
use super::reconciliation::{Day, Edge, Rules};
use super::time::{BusinessDate, BusinessDay, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// The name of a partner, as in the settings. It is part of the names of files, so it is a plain word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartnerName(String);

impl PartnerName {
    /// Takes a text over after checking it.
    ///
    /// # Errors
    /// It is no word of 1 to 64 small letters, digits, '-' and '_', a letter first.
    pub fn try_new(text: impl Into<String>) -> Result<Self, BadId> {
        let text = text.into();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        if begins && text.len() <= 64 && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(BadId {
            kind: "PartnerName",
            found: text,
            rule: "1 to 64 small letters, digits, '-' or '_', a letter first",
        })
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PartnerName {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        Self::try_new(text)
    }
}

impl From<PartnerName> for String {
    fn from(name: PartnerName) -> String {
        name.0
    }
}

impl std::str::FromStr for PartnerName {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::try_new(text)
    }
}

named_enum! {
    /// Which side of the money chain a partner stands on.
    pub enum PartnerSide {
        /// It moved the money.
        Bank = "BANK",
        /// It was to get the money.
        Biller = "BILLER",
    }
}

named_enum! {
    /// What became of a file.
    pub enum PartnerFileState {
        /// It was checked whole and counts, until a later version is accepted.
        Accepted = "ACCEPTED",
        /// Something in it is wrong; nothing of it counts.
        Refused = "REFUSED",
    }
}

/// Whose flows a partner's file is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// Those that an adapter carried: the partner is its bank.
    Adapter(AdapterName),
    /// Those of some billers: the partner speaks for them.
    Billers(Vec<BillerCode>),
}

impl Covers {
    /// The side that this makes the partner.
    pub fn side(&self) -> PartnerSide {
        match self {
            Covers::Adapter(_) => PartnerSide::Bank,
            Covers::Billers(_) => PartnerSide::Biller,
        }
    }
}

/// A partner and the rules of its files: data, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Its name.
    pub name: PartnerName,
    /// Whose flows it is about.
    pub covers: Covers,
    /// How its files are read.
    pub profile: String,
    /// The partner's own zone and cut-off: what its dates mean.
    pub day: BusinessDay,
    /// The currency of all amounts in its files.
    pub currency: Currency,
    /// Tolerance, cut-off window and pool.
    pub rules: Rules,
    /// From when on its file is looked for, on the day after. Seconds since midnight, the center's zone.
    pub expected_from_s: u32,
    /// From when on people are called because it is not there. Seconds since midnight, the center's zone.
    pub critical_at_s: u32,
    /// For how many days back a missing file is looked for.
    pub days_back: u32,
}

/// Counts and sums of a file, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// How many rows.
    pub count: u64,
    /// Their sum in minor units.
    pub sum_minor: i64,
}

/// By currency and kind, e.g. `CNY PAYMENT`.
pub type FileSums = BTreeMap<String, FileSum>;

/// A file that a partner sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerFile {
    /// UUID v7.
    pub file_id: Uuid,
    /// Who sent it.
    pub partner: PartnerName,
    /// The date that it is about.
    pub business_date: BusinessDate,
    /// 1 for the first file of a date; each later one that differs is one more.
    pub version: i32,
    /// Which side it speaks for.
    pub side: PartnerSide,
    /// By which profile it was read.
    pub profile: String,
    /// As it was called where it came from; only ever shown.
    pub name: String,
    /// Where its bytes are kept.
    pub path: String,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// How long it is.
    pub bytes: i64,
    /// How many rows it has.
    pub row_count: i64,
    /// Its sums.
    pub sums: FileSums,
    /// Whether it counts.
    pub state: PartnerFileState,
    /// Of a refused file: the line where it goes wrong, where it is one line's fault.
    pub line: Option<i64>,
    /// Of a refused file: why.
    pub reason: Option<String>,
    /// What the source says of it, so that it is not brought twice.
    pub mark: Option<String>,
    /// Who brought it.
    pub actor: String,
    /// When it came.
    pub received_at: Instant,
}

impl PartnerFile {
    /// Of a refused file: where it goes wrong and why. Not every fault is one line's.
    pub fn complaint(&self) -> Option<String> {
        let reason = self.reason.as_deref()?;
        Some(match self.line {
            Some(line) => format!("line {line}: {reason}"),
            None => reason.to_owned(),
        })
    }
}

impl Partner {
    /// Whether what happened between two instants may stand in the file of a neighbour day: because it lies
    /// near to an edge of our day or of the partner's, or because the partner's date is another one.
    pub fn edge_of(&self, day: &Day, from: Instant, until: Instant) -> Edge {
        let own = Day {
            date: day.date,
            begins_at: match day.date.0.pred_opt() {
                Some(before) => self.day.end_of(BusinessDate(before)),
                None => day.begins_at,
            },
            ends_at: self.day.end_of(day.date),
        };
        let is_elsewhere =
            self.day.date_of(from) != day.date || self.day.date_of(until) != day.date;
        let is_near = |day: &Day| self.rules.edge_of(day, from, until) == Edge::Near;
        if is_elsewhere || is_near(day) || is_near(&own) {
            Edge::Near
        } else {
            Edge::Far
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_s_name_leads_nowhere() {
        assert!(PartnerName::try_new("bank-file_2").is_ok());
        for bad in ["", "..", "a/b", "Bank", "-a", "a b", "a.b", "银行"] {
            assert!(PartnerName::try_new(bad).is_err(), "{bad:?}");
        }
        assert!(PartnerName::try_new("a".repeat(65)).is_err());
    }
}
