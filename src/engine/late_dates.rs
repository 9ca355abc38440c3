//! Which business dates are late: those that a job is not done with (`standing.rs`) when its alarm's time has
//! come. A run that succeeded and found nothing to do yet does not help.
//!
//! **An alarm's time is a time of the day**, written in the job's file by somebody who does not see the
//! settings. Where the day can be closed only later than that (`statements.close_grace_s`, `center.cutoff`), or
//! the files to compare with are due only later (`partners.NAME.critical_at`), every night would be late: so a
//! job has half an hour at least from when it can begin.

use super::job_book::due_of;
use super::watch_runs::LOOKS_BACK;
use super::{Engine, EngineError, JobBook};
use crate::domain::job::JobInfo;
use crate::domain::time::{BusinessDate, BusinessDay, Instant, instant_of};
use crate::storage::job_runs;
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;

/// So long a job has at least, from when it can begin: jobs of the night look every ten minutes.
const TIME_AT_LEAST: TimeDelta = TimeDelta::minutes(30);

/// A business date that a job has to be done with by now.
pub(super) struct Owed {
    pub date: BusinessDate,
    pub by: Instant,
}

impl Engine {
    /// How many business dates of the last week each job is late with, by its name; none of a job that has no
    /// alarm's time.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn dates_late(
        &self,
        book: &dyn JobBook,
    ) -> Result<Vec<(&'static str, u32)>, EngineError> {
        let jobs = book.jobs(self.now());
        let born = self.first_night(&jobs).await?;
        let mut late = Vec::new();
        for job in &jobs {
            let owed = match born {
                Some(born) => self.owed(book, job, born).await?,
                None => Vec::new(),
            };
            let mut dates = 0;
            for owed in owed {
                dates += u32::from(!self.is_done(book, job.name, owed.date).await?);
            }
            late.push((job.name, dates));
        }
        Ok(late)
    }

    /// The business dates of the last week that a job has to be done with by now, whether or not it is; `born`
    /// is the first of all nights.
    pub(super) async fn owed(
        &self,
        book: &dyn JobBook,
        job: &JobInfo,
        born: BusinessDate,
    ) -> Result<Vec<Owed>, EngineError> {
        let Some(alarm_at) = job.alarm_at else {
            return Ok(Vec::new());
        };
        let (now, day) = (self.now(), self.business_day());
        let name = job.name;
        let known = self.0.store.read(move |c| job_runs::first_date(c, name));
        // On its first date a center, or a job, was not there all night.
        let first = match known.await? {
            Some(first) => first.next(),
            None => born.next().max(day.last_ended(now)),
        };
        let first = first.max(day.last_ended(now - LOOKS_BACK));
        let dates = std::iter::successors(Some(first), |date| Some(date.next()));
        let ended = dates.take_while(|date| *date <= day.last_ended(now));
        let owed = ended.map(|date| {
            let begin = book.ready_from(self, job.name, date);
            let by = late_at(day, date, (job.zone, alarm_at)).max(begin + TIME_AT_LEAST);
            Owed { date, by }
        });
        let is_due = |date| due_of(book, day, job.name, date).is_some();
        Ok(owed
            .filter(|owed| owed.by <= now && is_due(owed.date))
            .collect())
    }

    /// The first date that any job of the night has a run of; none where none ever ran.
    pub(super) async fn first_night(
        &self,
        jobs: &[JobInfo],
    ) -> Result<Option<BusinessDate>, EngineError> {
        let watched = jobs.iter().filter(|job| job.alarm_at.is_some());
        let names: Vec<_> = watched.map(|job| job.name).collect();
        let read = move |c: &mut _| {
            let mut born: Option<BusinessDate> = None;
            for name in names {
                let first = job_runs::first_date(c, name)?;
                born = born.into_iter().chain(first).min();
            }
            Ok(born)
        };
        Ok(self.0.store.read(read).await?)
    }

    /// From when on a business date can be closed.
    pub fn closable_from(&self, date: BusinessDate) -> Instant {
        let grace = TimeDelta::from_std(self.0.options.closing.grace).unwrap_or_default();
        self.0.options.day.end_of(date) + grace
    }

    /// From when on a business date can be compared with the partners' files: as long as a file is not
    /// overdue, nobody is late who waits for it.
    pub fn comparable_from(&self, date: BusinessDate) -> Instant {
        let partners = self.0.upstreams.partners().iter();
        partners
            .map(|link| self.on_next_day(date, link.partner.critical_at_s))
            .fold(self.closable_from(date), Instant::max)
    }
}

/// The instant at which a business date that a job is not done with is late: the first time that the
/// clock on the wall shows the alarm's time after the date has ended.
fn late_at(day: BusinessDay, date: BusinessDate, (zone, alarm_at): (Tz, NaiveTime)) -> Instant {
    let end = day.end_of(date);
    let local = end.with_timezone(&zone).date_naive();
    let same_day = instant_of(zone, local.and_time(alarm_at));
    if same_day >= end {
        return same_day;
    }
    instant_of(zone, (local + TimeDelta::days(1)).and_time(alarm_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    #[test]
    fn a_date_is_late_in_the_morning_after_it() {
        let nine = NaiveTime::from_hms_opt(9, 0, 0).unwrap();
        let late = NaiveTime::from_hms_opt(23, 30, 0).unwrap();
        let date = BusinessDate(NaiveDate::from_ymd_opt(2026, 11, 29).unwrap());
        let shanghai = BusinessDay::SHANGHAI;
        let at = |day, zone, alarm_at| late_at(day, date, (zone, alarm_at)).to_rfc3339();
        let zone = Tz::Asia__Shanghai;
        assert_eq!(at(shanghai, zone, nine), "2026-11-30T01:00:00+00:00");
        assert_eq!(at(shanghai, zone, late), "2026-11-30T15:30:00+00:00");
        // The date ends at 11:00 in New York: nine o'clock is that of the next day there.
        let zone = Tz::America__New_York;
        assert_eq!(at(shanghai, zone, nine), "2026-11-30T14:00:00+00:00");
        let early = BusinessDay {
            cutoff: late,
            ..shanghai
        };
        let zone = Tz::Asia__Shanghai;
        assert_eq!(at(early, zone, late), "2026-11-29T15:30:00+00:00");
    }
}
