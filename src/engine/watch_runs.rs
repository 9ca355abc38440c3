//! Watches over the runs of jobs: tells of those that failed and of business dates that are late, each
//! once, as rows say.
//!
//! An alarm is raised first and written down afterwards. Who dies between the two has it raised once more
//! by whoever looks next: an alarm may come twice, and none is lost. The replica whose run failed tells at
//! once; the job `watch_runs` tells of what was not told by then.
//!
//! Of a job that makes up for missed times every run that failed is told, because each stands for a
//! business date. Of one that leaves them out only the first of a series is: the next due time is seconds
//! away, and says the same.
//!
//! A date is late when the job is not done with it (`standing.rs`): a run that succeeded and found nothing to
//! do yet does not help.

use super::job_book::due_of;
use super::{Alarm, AlarmKind, Engine, EngineError, JobBook};
use crate::domain::exception::AlarmLevel;
use crate::domain::job::{CatchUp, JobInfo, JobRun, JobRunState};
use crate::domain::time::{BusinessDate, BusinessDay, Instant, instant_of};
use crate::storage::job_alarms::{self, About};
use crate::storage::job_runs;
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde::Serialize;

/// What failed longer ago than this was told, or is history.
const LOOKS_BACK: TimeDelta = TimeDelta::days(7);
/// So long the replica whose run failed has to tell of it by itself.
const OWN_TIME: TimeDelta = TimeDelta::seconds(60);
/// So many runs are looked at in one go.
const AT_ONCE: i64 = 200;

/// What a look over the runs brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WatchReport {
    /// Runs that failed and of which nobody had been told.
    pub failed: u32,
    /// Business dates of jobs that are late, of which nobody had been told.
    pub late: u32,
}

impl Engine {
    /// Looks over the runs of the last days.
    ///
    /// # Errors
    /// Storage failed; what was told stays told.
    pub async fn watch_runs(&self, book: &dyn JobBook) -> Result<WatchReport, EngineError> {
        let mut report = WatchReport::default();
        let now = self.now();
        let jobs = book.jobs(now);
        let stretch = (now - LOOKS_BACK, now - OWN_TIME);
        let read = move |c: &mut _| job_alarms::untold(c, stretch, AT_ONCE);
        for run in self.0.store.read(read).await? {
            let job = jobs.iter().find(|job| job.name == run.job);
            let catch_up = job.map_or(CatchUp::RunAll, |job| job.catch_up);
            report.failed += u32::from(self.tell_failed_run(&run, catch_up).await?);
        }
        let mut born: Option<BusinessDate> = None;
        for job in jobs.iter().filter(|job| job.alarm_at.is_some()) {
            let name = job.name;
            let read = move |c: &mut _| job_runs::first_date(c, name);
            let first = self.0.store.read(read).await?;
            born = born.into_iter().chain(first).min();
        }
        let Some(born) = born else {
            return Ok(report);
        };
        for job in &jobs {
            report.late += self.tell_late(book, job, born).await?;
        }
        Ok(report)
    }

    /// Tells of a run that failed, unless somebody was told; true when it raised the alarm.
    ///
    /// # Errors
    /// Storage failed; whoever looks next tells of it.
    pub async fn tell_failed_run(
        &self,
        run: &JobRun,
        catch_up: CatchUp,
    ) -> Result<bool, EngineError> {
        let about = About::Failed(run.run_id);
        let of = run.clone();
        let read = move |c: &mut _| {
            let raised = job_alarms::was_raised(c, &of.job, about)?;
            Ok((raised, job_alarms::ended_before(c, &of)?))
        };
        let (was_raised, before) = self.0.store.read(read).await?;
        if was_raised {
            return Ok(false);
        }
        let is_series = catch_up == CatchUp::Skip && before == Some(JobRunState::Failed);
        if !is_series {
            let error = run.error.as_deref().unwrap_or("it does not say why");
            let message = format!(
                "the job {} failed for the business date {}: {error}",
                run.job, run.business_date
            );
            self.alarm_of_job(AlarmLevel::Warn, message).await;
        }
        self.keep_job_alarm(&run.job, about).await?;
        Ok(!is_series)
    }

    /// Tells of the business dates of a job that are late; how many.
    async fn tell_late(
        &self,
        book: &dyn JobBook,
        job: &JobInfo,
        born: BusinessDate,
    ) -> Result<u32, EngineError> {
        let Some(alarm_at) = job.alarm_at else {
            return Ok(0);
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
        let mut told = 0;
        for date in dates.take_while(|date| *date <= day.last_ended(now)) {
            let by = late_at(day, date, (job.zone, alarm_at));
            if by > now || due_of(book, day, job.name, date).is_none() {
                continue;
            }
            let about = About::Late(date);
            let read = move |c: &mut _| job_alarms::was_raised(c, name, about);
            if self.0.store.read(read).await? || self.is_done(book, name, date).await? {
                continue;
            }
            let local = by.with_timezone(&job.zone).format("%H:%M");
            let message = format!(
                "the job {name} is not done with the business date {date} by {local} {}",
                job.zone
            );
            self.alarm_of_job(AlarmLevel::Critical, message).await;
            self.keep_job_alarm(name, about).await?;
            told += 1;
        }
        Ok(told)
    }

    async fn alarm_of_job(&self, level: AlarmLevel, message: String) {
        let alarm = Alarm {
            level,
            kind: AlarmKind::Job,
            order_no: None,
            message,
        };
        self.0.alarms.tell(alarm).await;
    }

    async fn keep_job_alarm(&self, job: &str, about: About) -> Result<(), EngineError> {
        let (job, now) = (job.to_owned(), self.now());
        let keep = move |tx: &mut crate::storage::Tx<'_>| tx.keep_job_alarm(&job, about, now);
        self.0.store.solo(keep).await?;
        Ok(())
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
