//! The runs of jobs as rows: whoever inserts the row of a due time runs it, and holds it by a lease.

use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::job_runs;
use super::{AnyConnection, Tx};
use crate::domain::job::{JobRun, JobRunState};
use crate::domain::time::{Instant, to_micros};
use diesel::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = job_runs)]
struct JobRunRow {
    run_id: String,
    job: String,
    scheduled_at: i64,
    state: String,
    owner: String,
    fence: i64,
    lease_until: i64,
    started_at: i64,
    finished_at: Option<i64>,
    report: Option<String>,
    error: Option<String>,
}

impl From<&JobRun> for JobRunRow {
    fn from(run: &JobRun) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            job: run.job.clone(),
            scheduled_at: micros(run.scheduled_at),
            state: run.state.as_str().to_owned(),
            owner: run.owner.clone(),
            fence: run.fence,
            lease_until: micros(run.lease_until),
            started_at: micros(run.started_at),
            finished_at: run.finished_at.map(micros),
            report: run.report.clone(),
            error: run.error.clone(),
        }
    }
}

impl TryFrom<JobRunRow> for JobRun {
    type Error = StoreError;

    fn try_from(row: JobRunRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "job_runs",
            key: &row.run_id,
        };
        Ok(JobRun {
            run_id: of.word::<Uuid>(&row.run_id)?,
            scheduled_at: of.instant(row.scheduled_at)?,
            state: of.word(&row.state)?,
            lease_until: of.instant(row.lease_until)?,
            started_at: of.instant(row.started_at)?,
            finished_at: of.instant_opt(row.finished_at)?,
            job: row.job,
            owner: row.owner,
            fence: row.fence,
            report: row.report,
            error: row.error,
        })
    }
}

/// The latest runs, newest first; of one job, or of all.
pub fn list(
    c: &mut AnyConnection,
    job: Option<&str>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<JobRun>, StoreError> {
    let mut query = job_runs::table.into_boxed();
    if let Some(job) = job {
        query = query.filter(job_runs::job.eq(job.to_owned()));
    }
    if let Some(after) = after {
        query = query.filter(job_runs::run_id.lt(after.to_string()));
    }
    let rows: Vec<JobRunRow> = query
        .order(job_runs::run_id.desc())
        .limit(limit)
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// Many runs by id.
pub fn find_many(c: &mut AnyConnection, ids: &[Uuid]) -> Result<Vec<JobRun>, StoreError> {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let rows: Vec<JobRunRow> = job_runs::table
        .filter(job_runs::run_id.eq_any(ids))
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// The latest due time of a job, up to an instant, that has a run, whatever became of it. Due times
/// are whole seconds; a run that somebody asked for by hand is not (see [`by_hand_at`]), so that it
/// never hides the nights before it that were missed.
pub fn last_due(
    c: &mut AnyConnection,
    job: &str,
    until: Instant,
) -> Result<Option<Instant>, StoreError> {
    let last: Option<i64> = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::scheduled_at.le(micros(until)))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "scheduled_at % 1000000 = 0",
        ))
        .select(diesel::dsl::max(job_runs::scheduled_at))
        .first(c)?;
    RowOf {
        table: "job_runs",
        key: job,
    }
    .instant_opt(last)
}

/// The scheduled time of a run that is asked for by hand at an instant: its microsecond, moved by
/// one where that would be a whole second.
pub fn by_hand_at(now: Instant) -> Instant {
    let whole = micros(now) % 1_000_000 == 0;
    to_micros(now) + chrono::Duration::microseconds(i64::from(whole))
}

/// The runs of a job that are under way or were left behind, oldest first.
pub fn running(c: &mut AnyConnection, job: &str) -> Result<Vec<JobRun>, StoreError> {
    let rows: Vec<JobRunRow> = job_runs::table
        .filter(job_runs::job.eq(job))
        // In the words of the index, so that both databases see that they may walk it.
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "state = 'RUNNING'",
        ))
        .order(job_runs::scheduled_at)
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// When each job last succeeded.
pub fn last_success(c: &mut AnyConnection) -> Result<Vec<(String, Instant)>, StoreError> {
    let rows: Vec<(String, Option<i64>)> = job_runs::table
        .filter(job_runs::state.eq(JobRunState::Succeeded.as_str()))
        .group_by(job_runs::job)
        .select((job_runs::job, diesel::dsl::max(job_runs::finished_at)))
        .load(c)?;
    rows.into_iter()
        .filter_map(|(job, at)| at.map(|at| (job, at)))
        .map(|(job, at)| {
            let at = RowOf {
                table: "job_runs",
                key: &job,
            }
            .instant(at)?;
            Ok((job, at))
        })
        .collect()
}

impl Tx<'_> {
    /// Claims the run of a due time: inserts its row, or takes over one whose lease has lapsed. None
    /// when another replica has it or it is done.
    pub fn claim_run(&mut self, run: &JobRun) -> Result<Option<JobRun>, StoreError> {
        let row = JobRunRow::from(run);
        let inserted = super::either!(&mut *self.c, |c| {
            diesel::insert_into(job_runs::table)
                .values(&row)
                .on_conflict((job_runs::job, job_runs::scheduled_at))
                .do_nothing()
                .execute(c)
        })?;
        if inserted == 1 {
            return Ok(Some(run.clone()));
        }
        let taken = diesel::update(
            job_runs::table
                .filter(job_runs::job.eq(&run.job))
                .filter(job_runs::scheduled_at.eq(micros(run.scheduled_at)))
                .filter(job_runs::state.eq(JobRunState::Running.as_str()))
                .filter(job_runs::lease_until.le(micros(run.started_at))),
        )
        .set((
            job_runs::owner.eq(&run.owner),
            job_runs::fence.eq(job_runs::fence + 1),
            job_runs::lease_until.eq(micros(run.lease_until)),
        ))
        .execute(&mut *self.c)?;
        if taken == 0 {
            return Ok(None);
        }
        let row: JobRunRow = job_runs::table
            .filter(job_runs::job.eq(&run.job))
            .filter(job_runs::scheduled_at.eq(micros(run.scheduled_at)))
            .first::<JobRunRow>(&mut *self.c)?;
        Ok(Some(JobRun::try_from(row)?))
    }

    /// Holds a run further; false when another replica has taken it over.
    pub fn renew_run(&mut self, run: &JobRun, until: Instant) -> Result<bool, StoreError> {
        let renewed = diesel::update(
            job_runs::table
                .filter(job_runs::run_id.eq(run.run_id.to_string()))
                .filter(job_runs::fence.eq(run.fence))
                .filter(job_runs::state.eq(JobRunState::Running.as_str())),
        )
        .set(job_runs::lease_until.eq(micros(until)))
        .execute(&mut *self.c)?;
        Ok(renewed == 1)
    }

    /// Writes a run's end; false when another replica has taken it over.
    pub fn finish_run(&mut self, run: &JobRun) -> Result<bool, StoreError> {
        let finished = diesel::update(
            job_runs::table
                .filter(job_runs::run_id.eq(run.run_id.to_string()))
                .filter(job_runs::fence.eq(run.fence))
                .filter(job_runs::state.eq(JobRunState::Running.as_str())),
        )
        .set((
            job_runs::state.eq(run.state.as_str()),
            job_runs::finished_at.eq(run.finished_at.map(micros)),
            job_runs::report.eq(run.report.clone()),
            job_runs::error.eq(run.error.clone()),
        ))
        .execute(&mut *self.c)?;
        Ok(finished == 1)
    }

    /// Deletes a job's runs that were scheduled before an instant, succeeded, and reported exactly
    /// this: of jobs that tick often, the runs that found nothing to do are only noise. Whatever
    /// did something stays, because attempts name it as their evidence.
    pub fn forget_runs(
        &mut self,
        job: &str,
        before: Instant,
        report: &str,
    ) -> Result<usize, StoreError> {
        Ok(diesel::delete(
            job_runs::table
                .filter(job_runs::job.eq(job))
                .filter(job_runs::scheduled_at.lt(micros(before)))
                .filter(job_runs::state.eq(JobRunState::Succeeded.as_str()))
                .filter(job_runs::report.eq(report)),
        )
        .execute(&mut *self.c)?)
    }
}
