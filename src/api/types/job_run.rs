//! Runs of scheduled jobs.

use super::scalars::Date;
use crate::domain::job;
use crate::domain::time::Instant;
use async_graphql::{Description, Enum, ID, Object, SimpleObject};

/// How a run stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "job::JobRunState")]
pub enum JobRunState {
    /// Somebody asked for it, and it waits for its turn, or for jobs that come before.
    Waiting,
    /// Somebody works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended with an error, or past its time.
    Failed,
}

/// How far a run has come, in whatever the job counts (rows, lines, flows). Written each third of the job's
/// lease, so it may be some seconds old.
#[derive(SimpleObject)]
pub struct JobProgress {
    /// So many are done; at most 2147483647 is shown.
    done: i32,
    /// Of so many; none as long as nobody knows.
    total: Option<i32>,
    /// How many were done in a second.
    rate_per_second: Option<i32>,
    /// How many seconds the rest takes at this rate.
    seconds_left: Option<i32>,
    /// When this was so.
    at: Instant,
}

impl From<&job::RunProgress> for JobProgress {
    fn from(told: &job::RunProgress) -> Self {
        let shown = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            done: shown(told.done),
            total: told.total.map(shown),
            rate_per_second: told.rate_per_s().map(shown),
            seconds_left: told.time_left().map(|left| shown(left.as_secs())),
            at: told.at,
        }
    }
}

/// One run of one scheduled job (任务); each due time has one at most.
#[derive(Description)]
pub struct JobRun(pub job::JobRun);

#[Object(use_type_description)]
impl JobRun {
    /// Its id.
    async fn run_id(&self) -> ID {
        self.0.run_id.into()
    }

    /// The job's name.
    async fn job(&self) -> &str {
        &self.0.job
    }

    /// The time it was due. Where a clock was set back, or somebody asked for a run, microseconds tell runs
    /// of one due time apart.
    async fn scheduled_at(&self) -> Instant {
        self.0.scheduled_at
    }

    /// The business date that it works on: the last that had ended when it was due, or the one that
    /// somebody asked for.
    async fn business_date(&self) -> Date {
        Date(self.0.business_date)
    }

    /// Who asked for it, such as `operator:olga`; none for the clock.
    async fn asked_by(&self) -> Option<&str> {
        self.0.asked_by.as_deref()
    }

    /// How it stands.
    async fn state(&self) -> JobRunState {
        self.0.state.into()
    }

    /// Which replica of the program runs it; empty while it waits.
    async fn owner(&self) -> &str {
        &self.0.owner
    }

    /// When it began; while it waits, when it was asked for.
    async fn started_at(&self) -> Instant {
        self.0.started_at
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<Instant> {
        self.0.finished_at
    }

    /// How far it has come; none where the job does not tell.
    async fn progress(&self) -> Option<JobProgress> {
        self.0.progress.as_ref().map(JobProgress::from)
    }

    /// What it did: the job's report as JSON text.
    async fn report(&self) -> Option<&str> {
        self.0.report.as_deref()
    }

    /// What went wrong.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }
}
