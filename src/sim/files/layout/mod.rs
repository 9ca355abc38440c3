//! How a day looks as bytes: the five layouts of banks and billers, written down here a second time,
//! so that a reader is tried against somebody else's understanding of them.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::plant::Faults;
use super::row::{Row, Status};

mod paper;
mod payhall_csv;
mod sums;

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    PayhallCsv,
    Pipe,
    Wechat,
    Alipay,
    UnionpayZm,
}

/// One day, as it is to be written.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub partner: &'static str,
    pub is_bank: bool,
    pub date: NaiveDate,
    /// In which times are written.
    pub zone: Tz,
    pub version: u32,
    pub rows: &'a [Row],
    pub faults: Faults,
}

/// A file as it goes out.
#[derive(Debug)]
pub(super) struct Written {
    pub name: String,
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
}

impl Format {
    pub const ALL: [Self; 5] = [
        Self::PayhallCsv,
        Self::Pipe,
        Self::Wechat,
        Self::Alipay,
        Self::UnionpayZm,
    ];

    /// As it is written in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::PayhallCsv => "payhall-csv",
            Self::Pipe => "pipe",
            Self::Wechat => "wechat",
            Self::Alipay => "alipay",
            Self::UnionpayZm => "unionpay-zm",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether it has a word for this.
    pub fn has_status(self, _status: Status) -> bool {
        true
    }

    /// Whether the sum of the amounts stands in it.
    pub fn has_sum(self) -> bool {
        true
    }

    /// Whether it has a word for what became of this line.
    pub fn can_say(self, row: &Row) -> bool {
        self.has_status(row.status)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What cannot be packed.
    pub fn write(self, sheet: &Sheet<'_>) -> Result<Written, String> {
        match self {
            Self::PayhallCsv => Ok(payhall_csv::write(sheet)),
            _ => Err("not yet".into()),
        }
    }
}

impl Sheet<'_> {
    /// A time on the partner's wall.
    fn local(&self, at: DateTime<Utc>) -> DateTime<Tz> {
        at.with_timezone(&self.zone)
    }

    /// The partner's own number of a line.
    fn reference(&self, row: &Row) -> String {
        let letter = if self.is_bank { 'B' } else { 'C' };
        format!("{letter}{}", row.flow_no)
    }
}
