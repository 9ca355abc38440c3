//! Which alarms of jobs, and of the watch over them, were raised, so that each is raised once, whatever dies.

use super::error::StoreError;
use super::job_runs::JobRunRow;
use super::row::micros;
use super::schema::{job_alarms, job_runs};
use super::{AnyConnection, Tx};
use crate::domain::job::{JobRun, JobRunState};
use crate::domain::time::{BusinessDate, Instant};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A run failed.
    Failed(Uuid),
    /// A business date has no run that succeeded in time.
    Late(BusinessDate),
    /// On this date the calendar lacked a year.
    Calendar(BusinessDate),
}

impl About {
    fn word(self) -> String {
        match self {
            About::Failed(run_id) => format!("FAILED {run_id}"),
            About::Late(date) => format!("LATE {date}"),
            About::Calendar(date) => format!("CALENDAR {date}"),
        }
    }
}

/// Whether an alarm was raised.
pub fn was_raised(c: &mut AnyConnection, job: &str, about: About) -> Result<bool, StoreError> {
    let raised = job_alarms::table.find((job, about.word()));
    Ok(diesel::select(diesel::dsl::exists(raised)).get_result(c)?)
}

/// Runs that failed in a stretch of time and of which nobody was told, oldest first.
pub fn untold(
    c: &mut AnyConnection,
    (from, until): (Instant, Instant),
    limit: i64,
) -> Result<Vec<JobRun>, StoreError> {
    let rows: Vec<JobRunRow> = job_runs::table
        // In the words of the index, so that both databases see that they may walk it.
        .filter(sql::<Bool>("state = 'FAILED'"))
        .filter(job_runs::finished_at.gt(micros(from)))
        .filter(job_runs::finished_at.le(micros(until)))
        .filter(sql::<Bool>(
            "NOT EXISTS (SELECT 1 FROM job_alarms WHERE job_alarms.job = job_runs.job \
             AND job_alarms.what = 'FAILED ' || job_runs.run_id)",
        ))
        .order(job_runs::finished_at)
        .limit(limit)
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// How the run of a job ended that was due before another one; none where there is none.
pub fn ended_before(
    c: &mut AnyConnection,
    run: &JobRun,
) -> Result<Option<JobRunState>, StoreError> {
    let state: Option<String> = job_runs::table
        .filter(job_runs::job.eq(&run.job))
        .filter(job_runs::scheduled_at.lt(micros(run.scheduled_at)))
        .filter(job_runs::finished_at.is_not_null())
        .order(job_runs::scheduled_at.desc())
        .select(job_runs::state)
        .first(c)
        .optional()?;
    let of = super::row::RowOf {
        table: "job_runs",
        key: &run.job,
    };
    of.word_opt(state.as_deref())
}

impl Tx<'_> {
    /// Writes down that an alarm was raised; false where it was already.
    pub fn keep_job_alarm(
        &mut self,
        job: &str,
        about: About,
        at: Instant,
    ) -> Result<bool, StoreError> {
        let row = (
            job_alarms::job.eq(job),
            job_alarms::what.eq(about.word()),
            job_alarms::raised_at.eq(micros(at)),
        );
        let written = super::either!(&mut *self.c, |c| {
            diesel::insert_into(job_alarms::table)
                .values(row)
                .on_conflict((job_alarms::job, job_alarms::what))
                .do_nothing()
                .execute(c)
        })?;
        Ok(written == 1)
    }
}
