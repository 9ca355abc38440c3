//! Runs of scheduled jobs.

use crate::domain::job;
use crate::domain::time::Instant;
use async_graphql::{Description, Enum, ID, Object};

/// How a run stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "job::JobRunState")]
pub enum JobRunState {
    /// Somebody works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended with an error, or past its time.
    Failed,
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

    /// The time it was due.
    async fn scheduled_at(&self) -> Instant {
        self.0.scheduled_at
    }

    /// How it stands.
    async fn state(&self) -> JobRunState {
        self.0.state.into()
    }

    /// Which replica of the program runs it.
    async fn owner(&self) -> &str {
        &self.0.owner
    }

    /// When it began.
    async fn started_at(&self) -> Instant {
        self.0.started_at
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<Instant> {
        self.0.finished_at
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
