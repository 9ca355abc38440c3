//! Deletes what nobody needs any more, in small steps, after the times of the settings.
//!
//! **Never deleted, by this or anything**: orders, flows, attempts, exceptions, cases, audit rows, merchants,
//! keys, the counts of merchants' days. They are the story of money, or who was allowed to move it, and
//! `payhall check` holds them against the bank's books however old they are. Nor are runs of jobs that
//! attempts name as their evidence.
//!
//! What goes: records of work that left its result elsewhere. A run that succeeded has its effect in the
//! records it wrote; a notification that was delivered or given up says what an order says; a session that
//! is over opens nothing, and logging in left its audit row. Nonces go by the job `expire_keys`, runs that
//! found nothing to do by `keep_quiet_s` of their job, copies in the cache by their lives.
//!
//! A step deletes little and commits, so it holds nobody up, and a run that dies has done what it has done.

use super::{Engine, EngineError};
use crate::domain::progress::Progress;
use crate::domain::time::Instant;
use crate::storage::Tx;
use crate::storage::archive;
use chrono::TimeDelta;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// So many rows go in one transaction.
const AT_ONCE: i64 = 500;
/// Jobs whose runs attempts name as their evidence.
const EVIDENCE: &[&str] = &["poll_exceptions"];

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepTimes {
    /// Runs of jobs and their alarms.
    pub job_runs: TimeDelta,
    /// Notifications that were delivered or given up, with their tries.
    pub notifications: TimeDelta,
    /// Sessions of operators that are over.
    pub sessions: TimeDelta,
}

impl Default for KeepTimes {
    fn default() -> Self {
        Self {
            job_runs: TimeDelta::days(760),
            notifications: TimeDelta::days(760),
            sessions: TimeDelta::days(90),
        }
    }
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Runs of jobs.
    pub job_runs: u64,
    /// Notes that an alarm of a job was raised.
    pub job_alarms: u64,
    /// Notifications, with their tries.
    pub notifications: u64,
    /// Sessions of operators.
    pub sessions: u64,
}

impl ArchiveReport {
    fn sum(&self) -> u64 {
        self.job_runs + self.job_alarms + self.notifications + self.sessions
    }
}

/// What is deleted, in this sequence.
#[derive(Clone, Copy)]
enum Part {
    JobRuns,
    JobAlarms,
    Notifications,
    Sessions,
}

impl Engine {
    /// Deletes what is older than the settings keep, until nothing of it is left or it is stopped.
    ///
    /// # Errors
    /// Storage failed; what is deleted stays deleted.
    pub async fn archive_records(
        &self,
        progress: &dyn Progress,
        stop: &CancellationToken,
    ) -> Result<ArchiveReport, EngineError> {
        let mut report = ArchiveReport::default();
        let parts = [
            Part::JobRuns,
            Part::JobAlarms,
            Part::Notifications,
            Part::Sessions,
        ];
        for part in parts {
            while !stop.is_cancelled() {
                let gone = self.archive_some(part).await?;
                let count = match part {
                    Part::JobRuns => &mut report.job_runs,
                    Part::JobAlarms => &mut report.job_alarms,
                    Part::Notifications => &mut report.notifications,
                    Part::Sessions => &mut report.sessions,
                };
                *count += gone as u64;
                progress.at(report.sum(), None);
                if gone == 0 {
                    break;
                }
            }
        }
        Ok(report)
    }

    /// One step; how many rows went.
    async fn archive_some(&self, part: Part) -> Result<usize, EngineError> {
        let (keep, now) = (self.0.options.keep, self.now());
        let before = move |kept: TimeDelta| -> Instant { now - kept };
        let step = move |tx: &mut Tx<'_>| match part {
            Part::JobRuns => archive::job_runs(tx, before(keep.job_runs), (EVIDENCE, AT_ONCE)),
            Part::JobAlarms => archive::job_alarms(tx, before(keep.job_runs), AT_ONCE),
            Part::Notifications => archive::notifications(tx, before(keep.notifications), AT_ONCE),
            Part::Sessions => archive::sessions(tx, before(keep.sessions), AT_ONCE),
        };
        Ok(self.0.store.solo(step).await?)
    }
}
