//! Time as the center keeps it: instants are UTC with microseconds, days are business dates.
//!
//! A business date is decided by the center's zone and its cut-off, stored when something happens,
//! and never recomputed afterwards.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, SubsecRound, TimeZone, Utc};
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

    /// The instant at which a business date is over: the first that belongs to the next one. Where the zone
    /// shows that time twice it is the later one; where it leaves it out, the first after the gap.
    pub fn end_of(&self, date: BusinessDate) -> Instant {
        let midnight = date.0.and_time(NaiveTime::MIN) + Duration::days(1);
        let cutoff = self.cutoff - NaiveTime::MIN;
        let mut local = if cutoff == Duration::zero() {
            midnight
        } else {
            midnight - (Duration::days(1) - cutoff)
        };
        // No zone leaves out more than a day.
        for _ in 0..=24 * 4 {
            if let Some(end) = self.zone.from_local_datetime(&local).latest() {
                return end.with_timezone(&Utc);
            }
            local += Duration::minutes(15);
        }
        Utc.from_utc_datetime(&local)
    }

    /// The last business date that was over so long before an instant.
    pub fn last_ended(&self, at: Instant, ago: Duration) -> Option<BusinessDate> {
        let mut date = self.date_of(at);
        for _ in 0..4 {
            if self.end_of(date) + ago <= at {
                return Some(date);
            }
            date = BusinessDate(date.0.pred_opt()?);
        }
        None
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
    fn a_business_date_ends_with_the_first_instant_of_the_next() {
        let date = BusinessDate("2026-11-22".parse().unwrap());
        let table = [
            (Tz::Asia__Shanghai, "00:00", "2026-11-22T16:00:00Z"),
            (Tz::Asia__Shanghai, "23:00", "2026-11-22T15:00:00Z"),
            (Tz::UTC, "00:30", "2026-11-22T00:30:00Z"),
        ];
        for (zone, cutoff, wanted) in table {
            let cutoff = NaiveTime::parse_from_str(cutoff, "%H:%M").unwrap();
            let day = BusinessDay { zone, cutoff };
            let end = day.end_of(date);
            assert_eq!(end, at(wanted), "{zone} {cutoff}");
            assert!(day.date_of(end) > date);
            assert_eq!(day.date_of(end - Duration::microseconds(1)), date);
        }
        let berlin = |cutoff: &str| BusinessDay {
            zone: Tz::Europe__Berlin,
            cutoff: NaiveTime::parse_from_str(cutoff, "%H:%M").unwrap(),
        };
        let date = |text: &str| BusinessDate(text.parse().unwrap());
        // 02:30 is left out on 29 March and shown twice on 25 October.
        let gap = berlin("02:30").end_of(date("2026-03-29"));
        assert_eq!(gap, at("2026-03-29T01:00:00Z"));
        let twice = berlin("02:30").end_of(date("2026-10-25"));
        assert_eq!(twice, at("2026-10-25T01:30:00Z"));
    }

    #[test]
    fn a_date_has_ended_when_its_end_is_so_long_ago() {
        let day = BusinessDay::SHANGHAI;
        let last = |now: &str, ago: i64| {
            let last = day.last_ended(at(now), Duration::seconds(ago));
            last.unwrap().to_string()
        };
        assert_eq!(last("2026-11-22T16:00:00Z", 0), "2026-11-22");
        assert_eq!(last("2026-11-22T16:04:59Z", 300), "2026-11-21");
        assert_eq!(last("2026-11-22T16:05:00Z", 300), "2026-11-22");
        assert_eq!(last("2026-11-22T15:59:59Z", 0), "2026-11-21");
    }

    #[test]
    fn instants_keep_microseconds() {
        let fine = at("2026-11-22T15:00:00.123456789Z");
        assert_eq!(to_micros(fine), at("2026-11-22T15:00:00.123456Z"));
    }
}
