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
//! Which dates are late is decided by `late_dates.rs`. Besides, it is looked whether the calendar has the
//! year that comes (`watch_calendar.rs`).

use super::{Alarm, AlarmKind, Engine, EngineError, JobBook};
use crate::domain::exception::AlarmLevel;
use crate::domain::job::{CatchUp, JobInfo, JobRun, JobRunState};
use crate::domain::time::BusinessDate;
use crate::storage::job_alarms::{self, About};
use chrono::TimeDelta;
use serde::Serialize;

/// What failed longer ago than this was told, or is history.
pub(super) const LOOKS_BACK: TimeDelta = TimeDelta::days(7);
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
    /// Alarms that the calendar lacks a year: one a day at most.
    pub calendar: u32,
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
        report.calendar += u32::from(self.tell_unknown_year().await?);
        let Some(born) = self.first_night(&jobs).await? else {
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
        let name = job.name;
        let mut told = 0;
        for owed in self.owed(book, job, born).await? {
            let about = About::Late(owed.date);
            let read = move |c: &mut _| job_alarms::was_raised(c, name, about);
            if self.0.store.read(read).await? || self.is_done(book, name, owed.date).await? {
                continue;
            }
            let local = owed.by.with_timezone(&job.zone).format("%H:%M");
            let message = format!(
                "the job {name} is not done with the business date {} by {local} {}",
                owed.date, job.zone
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

    pub(super) async fn keep_job_alarm(&self, job: &str, about: About) -> Result<(), EngineError> {
        let (job, now) = (job.to_owned(), self.now());
        let keep = move |tx: &mut crate::storage::Tx<'_>| tx.keep_job_alarm(&job, about, now);
        self.0.store.solo(keep).await?;
        Ok(())
    }
}
