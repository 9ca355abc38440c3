//! Scheduled jobs.

use super::job_run::JobRun;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::domain::job;
use crate::domain::time::Instant;
use async_graphql::{Context, Description, Enum, Object, Result};

/// What becomes of due times that were missed.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "job::CatchUp")]
pub enum CatchUp {
    /// They are left out.
    Skip,
    /// One run, for the latest of them, makes up for all.
    RunOnce,
    /// Each is run, the oldest first, one after the other.
    RunAll,
}

/// A scheduled job (任务): what the center does by the clock, as its file says.
#[derive(Description)]
pub struct Job(pub job::JobInfo);

#[Object(use_type_description)]
impl Job {
    /// Its name.
    async fn name(&self) -> &str {
        self.0.name
    }

    /// When it is due: second, minute, hour, day of month, month, day of week.
    async fn schedule(&self) -> &str {
        &self.0.schedule
    }

    /// The zone that the schedule is read in.
    async fn zone(&self) -> &str {
        self.0.zone.name()
    }

    /// What becomes of due times that were missed.
    async fn catch_up(&self) -> CatchUp {
        self.0.catch_up.into()
    }

    /// Jobs that have to be done with the same business date before it begins.
    async fn after(&self) -> &[String] {
        &self.0.after
    }

    /// The time of day in its zone, as `HH:MM`, by which it has to be done with a business date.
    async fn alarm_at(&self) -> Option<String> {
        let at = self.0.alarm_at?;
        Some(at.format("%H:%M").to_string())
    }

    /// How many seconds a replica that gives no sign of life keeps a run.
    async fn lease_seconds(&self) -> i32 {
        seconds(self.0.lease)
    }

    /// How many seconds a run may take.
    async fn timeout_seconds(&self) -> i32 {
        seconds(self.0.timeout)
    }

    /// Why it exists.
    async fn why(&self) -> &str {
        &self.0.why
    }

    /// When it is due next.
    async fn next_due(&self) -> Option<Instant> {
        self.0.next_due
    }

    /// Its run that was due last, whatever became of it.
    #[graphql(complexity = "2 + child_complexity")]
    async fn last_run(&self, ctx: &Context<'_>) -> Result<Option<JobRun>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let found = desk.engine.last_job_run(self.0.name).await;
        Ok(found.map_err(Problem::from)?.map(JobRun))
    }
}

fn seconds(span: std::time::Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}
