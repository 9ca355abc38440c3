//! Time as the center keeps it: instants are UTC with microseconds, days are business dates.
//!
//! A business date is decided by the center's zone and its cut-off, stored when something happens,
//! and never recomputed afterwards.

use chrono::{
    DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeZone, Timelike, Utc,
};
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

    /// The date that a number of 24 digits begins with; none of other texts.
    pub fn of_number(text: &str) -> Option<Self> {
        let (date, _) = Self::and_micros_of_number(text)?;
        Some(date)
    }

    /// The date that a number of 24 digits begins with, and the microsecond of that day that it goes on with.
    pub fn and_micros_of_number(text: &str) -> Option<(Self, i64)> {
        let is_ours = text.len() == 24 && text.bytes().all(|b| b.is_ascii_digit());
        if !is_ours {
            return None;
        }
        let date = NaiveDate::parse_from_str(&text[..8], "%Y%m%d").ok()?;
        Some((Self(date), text[8..19].parse().ok()?))
    }

    /// The day after it on the calendar.
    pub fn next(self) -> Self {
        Self(self.0.succ_opt().unwrap_or(self.0))
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

    /// The last business date that had ended at an instant: what a nightly job works on. At 00:05 on the
    /// 30th, and at 23:55 of that day still, it is the 29th; with a cut-off of 23:00 it is the 29th from
    /// 23:00 of the 29th on.
    pub fn last_ended(&self, at: Instant) -> BusinessDate {
        let BusinessDate(date) = self.date_of(at);
        BusinessDate(date.pred_opt().unwrap_or(date))
    }

    /// The first instant of a business date. Where the zone's clocks show the cut-off twice it is the
    /// earlier one; where they leave it out, the first after the gap.
    pub fn begin_of(&self, date: BusinessDate) -> Instant {
        instant_of(self.zone, self.local_begin(date))
    }

    /// The instant at which a business date is over: from then on nothing belongs to it. Where the zone's
    /// clocks show the cut-off twice it is the later one.
    pub fn end_of(&self, date: BusinessDate) -> Instant {
        let local = self.local_begin(date.next());
        let later = self.zone.from_local_datetime(&local).latest();
        later.map_or_else(|| instant_of(self.zone, local), |at| at.to_utc())
    }

    /// What the clock on the wall shows when a business date begins.
    fn local_begin(&self, BusinessDate(date): BusinessDate) -> NaiveDateTime {
        let day = if self.cutoff == NaiveTime::MIN {
            date
        } else {
            date.pred_opt().unwrap_or(date)
        };
        day.and_time(self.cutoff)
    }

    /// Microseconds since the business date began, as the clock on the wall shows them: 0 to
    /// 86,399,999,999. An hour that a zone repeats shows the same values twice.
    pub fn micros_of_day(&self, at: Instant) -> i64 {
        (self.shifted(at).time() - NaiveTime::MIN)
            .num_microseconds()
            .unwrap_or(0)
    }

    /// The last business date that was over so long before an instant.
    pub fn last_ended_before(&self, at: Instant, ago: Duration) -> Option<BusinessDate> {
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

/// The first instant at which a zone's clock on the wall shows a local time, or, where a change of the
/// clocks leaves that time out, the first one after the gap.
pub fn instant_of(zone: Tz, local: NaiveDateTime) -> Instant {
    const GAP_MINUTES_MAX: i64 = 26 * 60;
    let shown = |local: NaiveDateTime| zone.from_local_datetime(&local).earliest();
    let found = (0..GAP_MINUTES_MAX).find_map(|minute| {
        let later = if minute == 0 {
            local
        } else {
            local.with_second(0)? + Duration::minutes(minute)
        };
        shown(later)
    });
    found.map_or_else(|| local.and_utc(), |at| at.to_utc())
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
            let last = day.last_ended_before(at(now), Duration::seconds(ago));
            last.unwrap().to_string()
        };
        assert_eq!(last("2026-11-22T16:00:00Z", 0), "2026-11-22");
        assert_eq!(last("2026-11-22T16:04:59Z", 300), "2026-11-21");
        assert_eq!(last("2026-11-22T16:05:00Z", 300), "2026-11-22");
        assert_eq!(last("2026-11-22T15:59:59Z", 0), "2026-11-21");
    }

    #[test]
    fn what_a_night_works_on_is_the_last_date_that_has_ended() {
        let day = BusinessDay::SHANGHAI;
        let ended = |day: BusinessDay, text| day.last_ended(at(text)).to_string();
        // 00:05 on the 30th, and 23:55 of that day.
        assert_eq!(ended(day, "2026-11-29T16:05:00Z"), "2026-11-29");
        assert_eq!(ended(day, "2026-11-30T15:55:00Z"), "2026-11-29");
        let early = BusinessDay {
            zone: Tz::Asia__Shanghai,
            cutoff: NaiveTime::from_hms_opt(23, 0, 0).unwrap(),
        };
        assert_eq!(ended(early, "2026-11-29T14:59:59Z"), "2026-11-28");
        assert_eq!(ended(early, "2026-11-29T15:00:00Z"), "2026-11-29");
    }

    #[test]
    fn a_business_date_ends_where_the_next_begins_whatever_the_clocks_do() {
        let cutoffs = [(0, 0), (2, 30), (23, 0)];
        let zones = [
            Tz::Asia__Shanghai,
            Tz::Europe__Berlin,
            Tz::America__New_York,
        ];
        for zone in zones {
            for (hour, minute) in cutoffs {
                let cutoff = NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
                let day = BusinessDay { zone, cutoff };
                let mut date = BusinessDate(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
                for _ in 0..366 {
                    let (begin, end) = (day.begin_of(date), day.end_of(date));
                    let hours = (end - begin).num_hours();
                    assert!((23..=25).contains(&hours), "{zone} {date}: {hours}");
                    assert_eq!(day.date_of(begin), date, "{zone} {cutoff}");
                    date = date.next();
                }
            }
        }
    }

    #[test]
    fn instants_keep_microseconds() {
        let fine = at("2026-11-22T15:00:00.123456789Z");
        assert_eq!(to_micros(fine), at("2026-11-22T15:00:00.123456Z"));
    }
}
