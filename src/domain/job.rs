//! 任务: the record of a scheduled run. The metronome may forget or repeat itself; this row is the
//! truth.

use super::named_enum;
use super::time::Instant;
use uuid::Uuid;

named_enum! {
    /// How a run stands.
    pub enum JobRunState {
        /// Somebody holds its lease and works.
        Running = "RUNNING",
        /// It ended well.
        Succeeded = "SUCCEEDED",
        /// It ended with an error, a panic or past its time-out.
        Failed = "FAILED",
    }
}

/// One run of one job, unique by job and scheduled time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// UUID v7.
    pub run_id: Uuid,
    /// The job's name, as in `jobs/NAME.toml`.
    pub job: String,
    /// The time it was due.
    pub scheduled_at: Instant,
    /// How it stands.
    pub state: JobRunState,
    /// Which replica runs it.
    pub owner: String,
    /// Grows each time another replica takes the run over.
    pub fence: i64,
    /// Until when the owner holds it.
    pub lease_until: Instant,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub finished_at: Option<Instant>,
    /// What it did: the job's typed report as JSON.
    pub report: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}
