//! The runs of jobs as rows, for those who look. How they are claimed, held and ended is written in
//! `job_claims.rs`.
//!
//! A run that the clock made is scheduled for a whole second, plus a microsecond for each time that the
//! clock was set back before (see `jobs/choose.rs`). One that somebody asked for says so in `asked_by`,
//! and hides no due time that was missed.

use super::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::job_runs;
use crate::domain::job::{JobRun, JobRunState, RunProgress};
use crate::domain::time::{BusinessDate, Instant, to_micros};
use chrono::NaiveDate;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use uuid::Uuid;

#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = job_runs)]
pub(super) struct JobRunRow {
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
    business_date: NaiveDate,
    asked_by: Option<String>,
    progress_done: Option<i64>,
    progress_total: Option<i64>,
    progress_since: Option<i64>,
    progress_at: Option<i64>,
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
            business_date: run.business_date.0,
            asked_by: run.asked_by.clone(),
            progress_done: run.progress.map(|told| stored(told.done)),
            progress_total: run.progress.and_then(|told| told.total).map(stored),
            progress_since: run.progress.map(|told| micros(told.since)),
            progress_at: run.progress.map(|told| micros(told.at)),
        }
    }
}

/// A count as it is stored.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How far a run has come, where its holder has told.
fn progress(of: RowOf<'_>, row: &JobRunRow) -> Result<Option<RunProgress>, StoreError> {
    let count = |stored: i64| u64::try_from(stored).map_err(|error| of.corrupt(error));
    match (row.progress_done, row.progress_since, row.progress_at) {
        (Some(done), Some(since), Some(at)) => Ok(Some(RunProgress {
            done: count(done)?,
            total: row.progress_total.map(count).transpose()?,
            since: of.instant(since)?,
            at: of.instant(at)?,
        })),
        _ => Ok(None),
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
            business_date: BusinessDate(row.business_date),
            progress: progress(of, &row)?,
            asked_by: row.asked_by,
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

/// One run.
pub fn find(c: &mut AnyConnection, run_id: Uuid) -> Result<Option<JobRun>, StoreError> {
    let row = job_runs::table
        .find(run_id.to_string())
        .first::<JobRunRow>(c)
        .optional()?;
    row.map(JobRun::try_from).transpose()
}

/// The run of a job that was due last, whatever became of it; one that waits is not due yet.
pub fn latest(c: &mut AnyConnection, job: &str) -> Result<Option<JobRun>, StoreError> {
    let row = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::state.ne(JobRunState::Waiting.as_str()))
        .order(job_runs::scheduled_at.desc())
        .first::<JobRunRow>(c)
        .optional()?;
    row.map(JobRun::try_from).transpose()
}

/// Many runs by id.
pub fn find_many(c: &mut AnyConnection, ids: &[Uuid]) -> Result<Vec<JobRun>, StoreError> {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let rows: Vec<JobRunRow> = job_runs::table
        .filter(job_runs::run_id.eq_any(ids))
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// The latest due time of a job, up to an instant, that the clock made a run of in a pass (see
/// `jobs/choose.rs`), whatever became of it. A run that somebody asked for does not count, so that it
/// never hides the nights before it that were missed.
pub fn last_due(
    c: &mut AnyConnection,
    job: &str,
    until: Instant,
    pass: i64,
) -> Result<Option<Instant>, StoreError> {
    let last: Option<i64> = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::scheduled_at.le(micros(until).saturating_add(pass)))
        .filter(job_runs::asked_by.is_null())
        .filter(sql::<Bool>("scheduled_at % 1000000 = ").bind::<BigInt, _>(pass))
        .select(diesel::dsl::max(job_runs::scheduled_at))
        .first(c)?;
    RowOf {
        table: "job_runs",
        key: job,
    }
    .instant_opt(last.map(|last| last - pass))
}

/// The last pass of those runs of a job, made by the clock, that began after an instant: how often the
/// clock was set back from where it stood then. None where there is no such run.
pub fn pass_ahead(
    c: &mut AnyConnection,
    job: &str,
    of: Instant,
    late: chrono::TimeDelta,
) -> Result<Option<i64>, StoreError> {
    Ok(job_runs::table
        .filter(job_runs::job.eq(job))
        // What began after it was due before it by so much at most: the index is walked from there.
        .filter(job_runs::scheduled_at.gt(micros(of - late)))
        .filter(job_runs::started_at.gt(micros(of)))
        .filter(job_runs::asked_by.is_null())
        .select(sql::<Nullable<BigInt>>("MAX(scheduled_at % 1000000)"))
        .first(c)?)
}

/// The due times of a job after an instant that somebody asked to be run: those are not missed.
pub fn asked_for(
    c: &mut AnyConnection,
    job: &str,
    after: Option<Instant>,
) -> Result<Vec<Instant>, StoreError> {
    let times: Vec<i64> = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::scheduled_at.gt(after.map_or(i64::MIN, micros)))
        .filter(job_runs::asked_by.is_not_null())
        .filter(sql::<Bool>("scheduled_at % 1000000 = 0"))
        .select(job_runs::scheduled_at)
        .load(c)?;
    let of = RowOf {
        table: "job_runs",
        key: job,
    };
    times.into_iter().map(|at| of.instant(at)).collect()
}

/// Whether a run of a job for a business date has succeeded.
pub fn has_succeeded(
    c: &mut AnyConnection,
    job: &str,
    date: BusinessDate,
) -> Result<bool, StoreError> {
    let done = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::business_date.eq(date.0))
        .filter(job_runs::state.eq(JobRunState::Succeeded.as_str()));
    Ok(diesel::select(diesel::dsl::exists(done)).get_result(c)?)
}

/// The business dates of a stretch for which a job has a run that succeeded, or that may yet.
pub fn dates_in_hand(
    c: &mut AnyConnection,
    job: &str,
    (from, to): (BusinessDate, BusinessDate),
) -> Result<Vec<BusinessDate>, StoreError> {
    let dates: Vec<NaiveDate> = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(job_runs::business_date.between(from.0, to.0))
        .filter(job_runs::state.ne(JobRunState::Failed.as_str()))
        .select(job_runs::business_date)
        .distinct()
        .load(c)?;
    Ok(dates.into_iter().map(BusinessDate).collect())
}

/// The first business date that a job has a run of.
pub fn first_date(c: &mut AnyConnection, job: &str) -> Result<Option<BusinessDate>, StoreError> {
    let first: Option<NaiveDate> = job_runs::table
        .filter(job_runs::job.eq(job))
        .select(diesel::dsl::min(job_runs::business_date))
        .first(c)?;
    Ok(first.map(BusinessDate))
}

/// The scheduled time of a run that is asked for by hand at an instant: its microsecond, moved by
/// one where that would be a whole second.
pub fn by_hand_at(now: Instant) -> Instant {
    let whole = micros(now) % 1_000_000 == 0;
    to_micros(now) + chrono::Duration::microseconds(i64::from(whole))
}

/// The runs of a job that somebody asked for and that wait for their turn, oldest first.
pub fn waiting(c: &mut AnyConnection, job: &str) -> Result<Vec<JobRun>, StoreError> {
    let rows: Vec<JobRunRow> = job_runs::table
        .filter(job_runs::job.eq(job))
        .filter(sql::<Bool>("state = 'WAITING'"))
        .order(job_runs::scheduled_at)
        .load::<JobRunRow>(c)?;
    rows.into_iter().map(JobRun::try_from).collect()
}

/// The runs of a job that are under way or were left behind, oldest first.
pub fn running(c: &mut AnyConnection, job: &str) -> Result<Vec<JobRun>, StoreError> {
    let rows: Vec<JobRunRow> = job_runs::table
        .filter(job_runs::job.eq(job))
        // In the words of the index, so that both databases see that they may walk it.
        .filter(sql::<Bool>("state = 'RUNNING'"))
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
