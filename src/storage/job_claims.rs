//! How a run is asked for, claimed, held and ended. Whoever inserts the row of a due time, or takes one
//! that waits or was left behind, runs it, and holds it by a lease with a fence.

use super::Tx;
use super::error::StoreError;
use super::job_runs::{JobRunRow, stored};
use super::row::micros;
use super::schema::job_runs;
use crate::domain::job::{JobRun, JobRunState, RunProgress};
use crate::domain::time::Instant;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// A second, in microseconds.
const SECOND: i64 = 1_000_000;

impl Tx<'_> {
    /// Writes down that somebody asks for a run; false where there is one of that time.
    pub fn ask_for_run(&mut self, run: &JobRun) -> Result<bool, StoreError> {
        let row = JobRunRow::from(run);
        let inserted = super::either!(&mut *self.c, |c| {
            diesel::insert_into(job_runs::table)
                .values(&row)
                .on_conflict((job_runs::job, job_runs::scheduled_at))
                .do_nothing()
                .execute(c)
        })?;
        Ok(inserted == 1)
    }

    /// Due times that have a row are told apart by a microsecond each: the first that is free.
    pub fn free_time(&mut self, job: &str, due: Instant) -> Result<Instant, StoreError> {
        let last: Option<i64> = job_runs::table
            .filter(job_runs::job.eq(job))
            .filter(job_runs::scheduled_at.between(micros(due), micros(due) + SECOND - 1))
            .select(diesel::dsl::max(job_runs::scheduled_at))
            .first(&mut *self.c)?;
        let next = last.map_or(0, |last| last + 1 - micros(due));
        Ok(due + chrono::TimeDelta::microseconds(next))
    }

    /// Claims the run of a due time: inserts its row, takes one that waits, or takes over one whose
    /// lease has lapsed. None when another replica has it or it is done.
    pub fn claim_run(&mut self, run: &JobRun) -> Result<Option<JobRun>, StoreError> {
        if self.ask_for_run(run)? {
            return Ok(Some(run.clone()));
        }
        if self.begin_waiting(run)? == 0 && self.take_over(run)? == 0 {
            return Ok(None);
        }
        let row: JobRunRow = job_runs::table
            .filter(job_runs::job.eq(&run.job))
            .filter(job_runs::scheduled_at.eq(micros(run.scheduled_at)))
            .first::<JobRunRow>(&mut *self.c)?;
        Ok(Some(JobRun::try_from(row)?))
    }

    /// Begins a run that waits.
    fn begin_waiting(&mut self, run: &JobRun) -> Result<usize, StoreError> {
        let waiting = job_runs::table
            .filter(job_runs::job.eq(&run.job))
            .filter(job_runs::scheduled_at.eq(micros(run.scheduled_at)))
            .filter(job_runs::state.eq(JobRunState::Waiting.as_str()));
        Ok(diesel::update(waiting)
            .set((
                job_runs::state.eq(JobRunState::Running.as_str()),
                job_runs::owner.eq(&run.owner),
                job_runs::fence.eq(job_runs::fence + 1),
                job_runs::lease_until.eq(micros(run.lease_until)),
                job_runs::started_at.eq(micros(run.started_at)),
            ))
            .execute(&mut *self.c)?)
    }

    /// Takes over a run whose holder gave no sign of life. What that one had done is counted anew.
    fn take_over(&mut self, run: &JobRun) -> Result<usize, StoreError> {
        let left_behind = job_runs::table
            .filter(job_runs::job.eq(&run.job))
            .filter(job_runs::scheduled_at.eq(micros(run.scheduled_at)))
            .filter(job_runs::state.eq(JobRunState::Running.as_str()))
            .filter(job_runs::lease_until.le(micros(run.started_at)));
        let nothing: Option<i64> = None;
        Ok(diesel::update(left_behind)
            .set((
                job_runs::owner.eq(&run.owner),
                job_runs::fence.eq(job_runs::fence + 1),
                job_runs::lease_until.eq(micros(run.lease_until)),
                job_runs::progress_done.eq(nothing),
                job_runs::progress_total.eq(nothing),
                job_runs::progress_since.eq(nothing),
                job_runs::progress_at.eq(nothing),
            ))
            .execute(&mut *self.c)?)
    }

    /// Holds a run further and writes how far it has come; false when another replica has taken it over.
    pub fn renew_run(
        &mut self,
        run: &JobRun,
        until: Instant,
        progress: Option<RunProgress>,
    ) -> Result<bool, StoreError> {
        let renewed = diesel::update(
            job_runs::table
                .filter(job_runs::run_id.eq(run.run_id.to_string()))
                .filter(job_runs::fence.eq(run.fence))
                .filter(job_runs::state.eq(JobRunState::Running.as_str())),
        )
        .set((
            job_runs::lease_until.eq(micros(until)),
            job_runs::progress_done.eq(progress.map(|told| stored(told.done))),
            job_runs::progress_total.eq(progress.and_then(|told| told.total).map(stored)),
            job_runs::progress_since.eq(progress.map(|told| micros(told.since))),
            job_runs::progress_at.eq(progress.map(|told| micros(told.at))),
        ))
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
            job_runs::progress_done.eq(run.progress.map(|told| stored(told.done))),
            job_runs::progress_total.eq(run.progress.and_then(|told| told.total).map(stored)),
            job_runs::progress_since.eq(run.progress.map(|told| micros(told.since))),
            job_runs::progress_at.eq(run.progress.map(|told| micros(told.at))),
        ))
        .execute(&mut *self.c)?;
        Ok(finished == 1)
    }

    /// Deletes a job's runs that were scheduled before an instant, succeeded, and reported exactly
    /// this: of jobs that tick often, the runs that found nothing to do are only noise. Whatever
    /// did something stays, because attempts name it as their evidence; and so does the last success
    /// of a business date, by which jobs that come after know that they may begin, and whoever watches
    /// that the date is not late.
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
                .filter(job_runs::report.eq(report))
                .filter(sql::<Bool>(
                    "EXISTS (SELECT 1 FROM job_runs AS later WHERE later.job = job_runs.job \
                     AND later.business_date = job_runs.business_date \
                     AND later.state = 'SUCCEEDED' AND later.scheduled_at > job_runs.scheduled_at)",
                )),
        )
        .execute(&mut *self.c)?)
    }
}
