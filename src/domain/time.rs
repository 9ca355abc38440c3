//! Time as the center keeps it: instants are UTC with microseconds, days are business dates.
//!
//! A business date is decided by the center's zone and its cut-off, stored when something happens,
//! and never recomputed afterwards.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, SubsecRound, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An instant in UTC, kept with microseconds (what both databases hold without loss).
pub type Instant = DateTime<Utc>;

/// Cuts an instant to the microseconds that the databases keep.
pub fn to_micros(at: Instant) -> Instant {
    at.trunc_subsecs(6)
}

/// 账务日: the day on which something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BusinessDate(pub NaiveDate);

impl BusinessDate {
    /// The eight digits that numbers begin with, e.g. `20261122`.
    pub fn digits(&self) -> String {
        self.0.format("%Y%m%d").to_string()
    }
}

impl fmt::Display for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

/// 日切: the zone and the local time at which one business date ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusinessDay {
    /// The center's zone.
    pub zone: Tz,
    /// The local time at which a new business date begins; 00:00 means the calendar's own day.
    pub cutoff: NaiveTime,
}

impl BusinessDay {
    /// Asia/Shanghai, cut off at midnight.
    pub const SHANGHAI: BusinessDay = BusinessDay {
        zone: Tz::Asia__Shanghai,
        cutoff: NaiveTime::MIN,
    };

    /// The business date that an instant belongs to. With a cut-off of 23:00, what happens at 23:30
    /// belongs to the next day.
    pub fn date_of(&self, at: Instant) -> BusinessDate {
        BusinessDate(self.shifted(at).date())
    }

    /// Microseconds since the business date began, as the clock on the wall shows them: 0 to
    /// 86,399,999,999. An hour that a zone repeats shows the same values twice.
    pub fn micros_of_day(&self, at: Instant) -> i64 {
        (self.shifted(at).time() - NaiveTime::MIN)
            .num_microseconds()
            .unwrap_or(0)
    }

    /// Local time, moved so that the cut-off falls on midnight.
    fn shifted(&self, at: Instant) -> chrono::NaiveDateTime {
        let local = at.with_timezone(&self.zone).naive_local();
        let cutoff = self.cutoff - NaiveTime::MIN;
        if cutoff == Duration::zero() {
            local
        } else {
            local + (Duration::days(1) - cutoff)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn midnight_in_shanghai_is_sixteen_hours_utc() {
        let day = BusinessDay::SHANGHAI;
        assert_eq!(
            day.date_of(at("2026-11-22T15:59:59.999999Z")).to_string(),
            "2026-11-22"
        );
        assert_eq!(
            day.date_of(at("2026-11-22T16:00:00Z")).to_string(),
            "2026-11-23"
        );
        assert_eq!(day.micros_of_day(at("2026-11-22T16:00:00.000007Z")), 7);
    }

    #[test]
    fn a_cutoff_before_midnight_moves_the_evening_to_the_next_date() {
        let cutoff = NaiveTime::from_hms_opt(23, 0, 0).unwrap();
        let day = BusinessDay {
            zone: Tz::Asia__Shanghai,
            cutoff,
        };
        assert_eq!(
            day.date_of(at("2026-11-22T14:59:59Z")).to_string(),
            "2026-11-22"
        );
        assert_eq!(
            day.date_of(at("2026-11-22T15:00:00Z")).to_string(),
            "2026-11-23"
        );
        assert_eq!(day.micros_of_day(at("2026-11-22T15:00:00Z")), 0);
    }

    #[test]
    fn instants_keep_microseconds() {
        let fine = at("2026-11-22T15:00:00.123456789Z");
        assert_eq!(to_micros(fine), at("2026-11-22T15:00:00.123456Z"));
    }
}
