//! Who writes files, and how each of them does it: the layout, the zone, when its day ends, and when
//! its file is there. Each has a setting of its own from the start; the back door changes it.

use std::ops::Range;

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::{Asia, Tz};
use serde::{Deserialize, Serialize};

use super::layout::Format;
use crate::sim::billers::{self, Biller};
use crate::sim::ledger::BankName;

/// A day ends at most so far from its midnight, so that every moment is in one of three days at most.
const CUTOFF_SECONDS_MAX: i32 = 12 * 3_600;

/// Somebody who writes a file a day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Partner {
    Bank(BankName),
    Biller(&'static Biller),
}

impl Partner {
    /// All of them, the banks first.
    pub fn all() -> impl Iterator<Item = Self> {
        let banks = [BankName::Bank, BankName::Legacy].map(Self::Bank);
        banks.into_iter().chain(billers::all().map(Self::Biller))
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|partner| partner.name() == name)
    }

    /// As it is written in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bank(BankName::Bank) => "bank",
            Self::Bank(BankName::Legacy) => "legacy",
            Self::Biller(biller) => biller.name,
        }
    }

    /// How it writes until it is told otherwise. All layouts are in use.
    fn format(self) -> Format {
        match self.name() {
            "bank" => Format::UnionpayZm,
            "legacy" | "sh-school" => Format::Pipe,
            "bj-power" => Format::Alipay,
            "bj-water" => Format::Wechat,
            _ => Format::PayhallCsv,
        }
    }
}

/// Whether lines are written about what was refused or buried, and moved no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Unmoved {
    Listed,
    Omitted,
}

/// How one partner writes its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    pub format: Format,
    /// Whose midnights part its days, and in which its times are written.
    pub zone: Tz,
    /// So many seconds after that midnight its day ends; before it, if negative.
    pub cutoff_s: i32,
    /// From then on, on the next day, the file is there.
    pub ready: NaiveTime,
    pub unmoved: Unmoved,
}

/// What is to be changed about a partner's terms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TermsSpec {
    pub partner: String,
    format: Option<Format>,
    zone: Option<Tz>,
    cutoff_s: Option<i32>,
    ready: Option<NaiveTime>,
    unmoved: Option<Unmoved>,
}

impl TermsSpec {
    /// Whether another line would be on another day, or in no file.
    pub fn moves_lines(&self) -> bool {
        self.zone.is_some() || self.cutoff_s.is_some() || self.unmoved.is_some()
    }

    /// The terms with these changes.
    ///
    /// # Errors
    /// A day that would end too far from midnight.
    pub fn change(&self, terms: &Terms) -> Result<Terms, String> {
        let cutoff_s = self.cutoff_s.unwrap_or(terms.cutoff_s);
        if cutoff_s.abs() > CUTOFF_SECONDS_MAX {
            return Err(format!(
                "cutoff_s: {cutoff_s} is too far from midnight; at most {CUTOFF_SECONDS_MAX} either way"
            ));
        }
        Ok(Terms {
            format: self.format.unwrap_or(terms.format),
            zone: self.zone.unwrap_or(terms.zone),
            cutoff_s,
            ready: self.ready.unwrap_or(terms.ready),
            unmoved: self.unmoved.unwrap_or(terms.unmoved),
        })
    }
}

impl Terms {
    /// Those of a partner that nobody has changed.
    pub fn of(partner: Partner) -> Self {
        Self {
            format: partner.format(),
            zone: Asia::Shanghai,
            cutoff_s: 0,
            ready: NaiveTime::from_hms_opt(1, 30, 0).unwrap_or_default(),
            unmoved: Unmoved::Listed,
        }
    }

    /// From when to when its day goes; `None` at the ends of the calendar.
    pub fn day(&self, date: NaiveDate) -> Option<Range<DateTime<Utc>>> {
        let next = date.checked_add_days(Days::new(1))?;
        Some(self.start(date)?..self.start(next)?)
    }

    fn start(&self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let midnight = self.utc(date.and_time(NaiveTime::MIN))?;
        midnight.checked_add_signed(TimeDelta::seconds(self.cutoff_s.into()))
    }

    /// When the file of a day is there; never before the day is over.
    pub fn ready_at(&self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let next = date.checked_add_days(Days::new(1))?;
        let ready = self.utc(next.and_time(self.ready))?;
        Some(ready.max(self.day(date)?.end))
    }

    /// A local time that a zone skips, because its clocks are put forward, is an hour later.
    fn utc(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let local = match self.zone.from_local_datetime(&local) {
            LocalResult::None => self
                .zone
                .from_local_datetime(&local.checked_add_signed(TimeDelta::hours(1))?)
                .earliest(),
            found => found.earliest(),
        };
        local.map(|at| at.to_utc())
    }
}
