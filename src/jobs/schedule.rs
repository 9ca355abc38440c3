//! When a job is due: a cron expression with seconds, read in a zone of its own.
//!
//! croner reads the expression and finds the next local time that it names; which instant that is,
//! is decided here. croner's own walk over a change of the clocks leaves the repeated hour out,
//! and, asked inside it, names an instant that has passed. The rules:
//!
//! - A schedule that names one time of day runs once on every one of its days: in a repeated hour
//!   the first time round, and in a skipped hour at the first instant after it.
//! - Any other schedule (`*/10 * * * * *`) follows the clock on the wall: it runs on through a
//!   repeated hour, and the times of a skipped hour are left out.
//!
//! How one could break it: by asking croner about a zone instead of a fixed offset.

use crate::domain::time::Instant;
use chrono::{FixedOffset, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, JobType};
use std::iter::successors;

/// Why an expression is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// It cannot be read.
    #[error("{expression:?} is not a schedule of six fields, from seconds to day of week: {why}")]
    Unreadable {
        /// What was found.
        expression: String,
        /// What croner says.
        why: String,
    },
    /// It names a time that never comes, such as the 30th of February.
    #[error("{0:?} names a time that never comes")]
    Never(String),
}

/// When a job is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// Reads six fields: second, minute, hour, day of month, month, day of week. Where both days
    /// are given, both have to fit.
    pub fn try_new(expression: &str, zone: Tz) -> Result<Self, BadSchedule> {
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .dom_and_dow(true)
            .build();
        let cron = parser.parse(expression);
        let cron = cron.map_err(|error| BadSchedule::Unreadable {
            expression: expression.to_owned(),
            why: error.to_string(),
        })?;
        let schedule = Self {
            expression: expression.to_owned(),
            cron,
            zone,
        };
        match schedule.next(Instant::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(BadSchedule::Never(expression.to_owned())),
        }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone that it is read in.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first due time after an instant: a whole second. None past the end of the calendar.
    pub fn next(&self, after: Instant) -> Option<Instant> {
        match self.cron.determine_job_type() {
            JobType::FixedTime => self.next_of_day(after.trunc_subsecs(0)),
            JobType::IntervalWildcard => self.next_on_the_wall(after.trunc_subsecs(0)),
        }
    }

    /// The due times after an instant, in order.
    pub fn upcoming(&self, after: Instant) -> impl Iterator<Item = Instant> {
        successors(self.next(after), |at| self.next(*at))
    }

    /// The last due time after one instant and not after another. Looks back in growing steps, so
    /// that neither a schedule of seconds nor one of years costs many of them.
    pub fn latest(&self, after: Instant, until: Instant) -> Option<Instant> {
        const STEPS: [TimeDelta; 5] = [
            TimeDelta::minutes(1),
            TimeDelta::hours(1),
            TimeDelta::days(1),
            TimeDelta::days(32),
            TimeDelta::days(9 * 366),
        ];
        for step in STEPS {
            let from = until.checked_sub_signed(step).unwrap_or(after).max(after);
            let last = self.upcoming(from).take_while(|at| *at <= until).last();
            if last.is_some() || from == after {
                return last;
            }
        }
        None
    }

    /// For a schedule that names one time of day: the next such local time, then its instant.
    fn next_of_day(&self, after: Instant) -> Option<Instant> {
        let mut local = after.with_timezone(&self.zone).naive_local();
        loop {
            let found = self.cron.find_next_occurrence(&local.and_utc(), false);
            local = found.ok()?.naive_utc();
            let at = self.instant_of(local)?;
            // In the second round of a repeated hour the found local time can lie in the first.
            if at > after {
                return Some(at);
            }
        }
    }

    /// The first instant that shows a local time, or the first after the gap that swallowed it.
    fn instant_of(&self, local: NaiveDateTime) -> Option<Instant> {
        const GAP_MINUTES_MAX: usize = 26 * 60;
        let minutes = successors(Some(local), |at| {
            at.with_second(0)?.checked_add_signed(TimeDelta::minutes(1))
        });
        minutes.take(GAP_MINUTES_MAX).find_map(|at| {
            let shown = self.zone.from_local_datetime(&at).earliest();
            shown.map(|at| at.to_utc())
        })
    }

    /// For any other schedule: walks stretches of one fixed offset, from one change of the clocks
    /// to the next.
    fn next_on_the_wall(&self, after: Instant) -> Option<Instant> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let offset = self.offset_at(from);
            let found = self
                .cron
                .find_next_occurrence(&from.with_timezone(&offset), inclusive);
            let found = found.ok()?.to_utc();
            if self.offset_at(found) == offset {
                return Some(found);
            }
            from = self.change_between(from, found);
            inclusive = true;
        }
    }

    fn offset_at(&self, at: Instant) -> FixedOffset {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    }

    /// The first second of the new offset, where the offset differs at two instants.
    fn change_between(&self, from: Instant, to: Instant) -> Instant {
        let old = self.offset_at(from);
        let (mut before, mut behind) = (from.timestamp(), to.timestamp());
        while behind - before > 1 {
            let middle = before + (behind - before) / 2;
            let at = Instant::from_timestamp(middle, 0).unwrap_or(to);
            if self.offset_at(at) == old {
                before = middle;
            } else {
                behind = middle;
            }
        }
        Instant::from_timestamp(behind, 0).unwrap_or(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn schedule(expression: &str, zone: Tz) -> Schedule {
        Schedule::try_new(expression, zone).unwrap()
    }

    /// The due times of a stretch, as the zone's wall shows them.
    fn shown(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let until = at(to);
        schedule
            .upcoming(at(from))
            .take_while(|due| *due <= until)
            .map(|due| {
                let local = due.with_timezone(&schedule.zone());
                local.format("%m-%d %H:%M:%S %z").to_string()
            })
            .collect()
    }

    #[test]
    fn ten_seconds_are_ten_seconds() {
        let ten = schedule("*/10 * * * * *", Tz::Asia__Shanghai);
        assert_eq!(
            ten.next(at("2026-11-22T04:00:00Z")).unwrap(),
            at("2026-11-22T04:00:10Z")
        );
        assert_eq!(
            ten.next(at("2026-11-22T04:00:09.999999Z")).unwrap(),
            at("2026-11-22T04:00:10Z")
        );
        assert_eq!(
            ten.next(at("2026-11-22T04:00:10.000001Z")).unwrap(),
            at("2026-11-22T04:00:20Z")
        );
    }

    #[test]
    fn the_zone_is_the_jobs_own() {
        let night = schedule("0 0 2 * * *", Tz::Asia__Shanghai);
        assert_eq!(
            night.next(at("2026-11-22T04:00:00Z")).unwrap(),
            at("2026-11-22T18:00:00Z")
        );
    }

    #[test]
    fn a_night_in_a_skipped_hour_comes_right_after_it() {
        let night = schedule("0 30 2 * * *", Tz::Europe__Berlin);
        assert_eq!(
            shown(&night, "2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z"),
            [
                "03-28 02:30:00 +0100",
                "03-29 03:00:00 +0200",
                "03-30 02:30:00 +0200",
                "03-31 02:30:00 +0200",
            ]
        );
    }

    #[test]
    fn a_night_in_a_repeated_hour_comes_once() {
        let night = schedule("0 30 2 * * *", Tz::Europe__Berlin);
        assert_eq!(
            shown(&night, "2026-10-23T12:00:00Z", "2026-10-26T12:00:00Z"),
            [
                "10-24 02:30:00 +0200",
                "10-25 02:30:00 +0200",
                "10-26 02:30:00 +0100",
            ]
        );
        // Asked in the second round, 02:10 for the second time: not the 02:30 that has passed.
        let second_round = at("2026-10-25T01:10:00Z");
        assert_eq!(
            night.next(second_round).unwrap(),
            at("2026-10-26T01:30:00Z")
        );
    }

    #[test]
    fn what_follows_the_wall_runs_on_through_a_repeated_hour_and_over_a_skipped_one() {
        let half_hours = schedule("0 */30 * * * *", Tz::Europe__Berlin);
        assert_eq!(
            shown(&half_hours, "2026-10-24T23:59:00Z", "2026-10-25T02:00:00Z"),
            [
                "10-25 02:00:00 +0200",
                "10-25 02:30:00 +0200",
                "10-25 02:00:00 +0100",
                "10-25 02:30:00 +0100",
                "10-25 03:00:00 +0100",
            ]
        );
        assert_eq!(
            shown(&half_hours, "2026-03-29T00:29:00Z", "2026-03-29T01:30:00Z"),
            [
                "03-29 01:30:00 +0100",
                "03-29 03:00:00 +0200",
                "03-29 03:30:00 +0200",
            ]
        );
    }

    #[test]
    fn the_latest_is_found_however_far_back_it_lies() {
        let table = [
            ("*/10 * * * * *", "2026-11-22T04:00:00Z"),
            ("0 59 3 * * *", "2026-11-22T03:59:00Z"),
            ("0 0 5 * * *", "2026-11-21T05:00:00Z"),
            ("0 0 0 1 * *", "2026-11-01T00:00:00Z"),
            ("0 0 0 1 1 *", "2026-01-01T00:00:00Z"),
            ("0 0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ];
        let now = at("2026-11-22T04:00:00Z");
        for (expression, wanted) in table {
            let schedule = schedule(expression, Tz::UTC);
            let latest = schedule.latest(Instant::UNIX_EPOCH, now);
            assert_eq!(latest, Some(at(wanted)), "{expression}");
            assert_eq!(schedule.latest(at(wanted), now), None, "{expression}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "",
            "* * * * *",
            "* * * * * * *",
            "x * * * * *",
            "61 * * * * *",
        ] {
            let error = Schedule::try_new(bad, Tz::UTC).unwrap_err();
            assert!(matches!(error, BadSchedule::Unreadable { .. }), "{bad:?}");
        }
        let never = Schedule::try_new("0 0 0 30 2 *", Tz::UTC).unwrap_err();
        assert_eq!(never, BadSchedule::Never("0 0 0 30 2 *".to_owned()));
    }

    proptest! {
        /// Whatever the instant and wherever the clocks change, the next due time lies ahead, and
        /// a schedule of minutes never lets more than a minute pass.
        #[test]
        fn time_goes_on(
            second in 1_700_000_000_i64..1_900_000_000,
            zone in prop::sample::select(vec![
                Tz::Europe__Berlin,
                Tz::America__New_York,
                Tz::Australia__Lord_Howe,
                Tz::Asia__Shanghai,
            ]),
        ) {
            let now = Instant::from_timestamp(second, 0).unwrap();
            let wait = |expression: &str| schedule(expression, zone).next(now).unwrap() - now;
            let minute = wait("0 * * * * *");
            prop_assert!(minute > TimeDelta::zero() && minute <= TimeDelta::minutes(1), "{minute}");
            let day = wait("0 15 2 * * *");
            prop_assert!(day > TimeDelta::zero() && day <= TimeDelta::hours(26), "{day}");
        }
    }
}
