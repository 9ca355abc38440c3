//! One run of one job: claimed by its row, held by its lease, ended by what became of it.
//!
//! The row is the truth. A run that is here but whose row another replica has taken over is ended
//! at once and leaves no trace: the fence keeps it from writing. A panic, an error and a time-out
//! are three ways to fail, and each is written down.

use super::table::Entry;
use super::{Done, JobContext};
use crate::domain::exception::{AlarmLevel, later};
use crate::domain::job::{JobRun, JobRunState};
use crate::domain::time::Instant;
use crate::engine::{Actor, Alarm, AlarmKind, Engine};
use crate::storage::StoreError;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How often a run may be taken over. A run whose every holder dies is what kills them.
const TAKEOVERS_MAX: i64 = 5;
/// How long to wait before a renewal or the end of a run is written once more.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// An error is cut after so many characters.
const ERROR_CHARS_MAX: usize = 4_000;

/// A job with everything that a run of it needs.
pub(super) struct Runner {
    pub engine: Engine,
    pub entry: Arc<Entry>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    /// Whether the last run here failed: the alarm is raised once, not with every tick.
    pub is_failing: AtomicBool,
}

/// What became of a run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended, and its row says how.
    Written(JobRun),
    /// Another replica has it, or its end could not be written: then its lease lapses.
    Lost(JobRun),
}

/// How the work of a run ended.
enum Work {
    Done(Done),
    Failed(String),
    LeaseLost,
}

impl Runner {
    /// Claims the run of a due time; none when it is another replica's or done.
    pub async fn claim(&self, scheduled_at: Instant) -> Result<Option<JobRun>, StoreError> {
        let now = self.now();
        let run = JobRun {
            run_id: Uuid::now_v7(),
            job: self.entry.name.to_owned(),
            scheduled_at,
            state: JobRunState::Running,
            owner: self.engine.instance().to_owned(),
            fence: 1,
            lease_until: later(now, self.entry.plan.lease),
            started_at: now,
            finished_at: None,
            report: None,
            error: None,
        };
        let store = self.engine.store();
        store.solo(move |tx| tx.claim_run(&run)).await
    }

    /// Does the work of a claimed run and writes down what became of it.
    pub async fn execute(&self, run: JobRun) -> Ended {
        let begun = self.now();
        if run.fence > 1 {
            tracing::warn!(
                job = run.job, run_id = %run.run_id, fence = run.fence,
                "a run whose holder gave no sign of life starts over here"
            );
        }
        let work = if run.fence > TAKEOVERS_MAX {
            Work::Failed(format!(
                "given up: {} replicas that held this run died or lost it",
                run.fence - 1
            ))
        } else {
            self.work(&run).await
        };
        let ended = self.conclude(run, work).await;
        self.tell(&ended, begun);
        ended
    }

    async fn work(&self, run: &JobRun) -> Work {
        let stop = self.stop.child_token();
        let context = JobContext {
            engine: self.engine.clone(),
            run: run.clone(),
            actor: Actor::job(self.entry.name),
            stop: stop.clone(),
        };
        let job = self.entry.job.clone();
        let mut task = self.tasks.spawn(async move { job.run(context).await });
        let timeout = self.entry.plan.timeout;
        tokio::select! {
            joined = &mut task => work_of(joined),
            () = self.engine.clock().sleep(timeout) => {
                stop.cancel();
                match end(task).await {
                    Some(work) => work,
                    None => Work::Failed(format!("it did not end within {} s", timeout.as_secs())),
                }
            }
            () = self.hold(run) => {
                stop.cancel();
                end(task).await;
                Work::LeaseLost
            }
        }
    }

    /// Renews the lease for as long as it can be renewed; returns when it is lost.
    async fn hold(&self, run: &JobRun) {
        let lease = self.entry.plan.lease;
        let mut until = run.lease_until;
        let mut wait = lease / 3;
        loop {
            self.engine.clock().sleep(wait).await;
            let asked_at = self.now();
            let (held, next) = (run.clone(), later(asked_at, lease));
            let renewed = self
                .engine
                .store()
                .solo(move |tx| tx.renew_run(&held, next))
                .await;
            match renewed {
                Ok(true) => {
                    until = next;
                    // A slow answer does not put the next one off.
                    let took = (self.now() - asked_at).to_std().unwrap_or_default();
                    wait = (lease / 3).saturating_sub(took);
                }
                Ok(false) => return,
                Err(error) if self.now() >= until => {
                    tracing::error!(job = run.job, run_id = %run.run_id, %error,
                        "the lease of a run ended because it could not be renewed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(job = run.job, run_id = %run.run_id, %error,
                        "the lease of a run could not be renewed; it is tried again");
                    wait = WRITE_AGAIN;
                }
            }
        }
    }

    async fn conclude(&self, run: JobRun, work: Work) -> Ended {
        let (state, report, error) = match work {
            Work::Done(done) => (JobRunState::Succeeded, Some(done.report), None),
            Work::Failed(error) => (JobRunState::Failed, None, Some(error)),
            Work::LeaseLost => return Ended::Lost(run),
        };
        let run = JobRun {
            state,
            report,
            error: error.map(|error| error.chars().take(ERROR_CHARS_MAX).collect()),
            finished_at: Some(self.now()),
            ..run
        };
        let give_up_at = later(self.now(), self.entry.plan.lease);
        loop {
            let ended = run.clone();
            let written = self
                .engine
                .store()
                .solo(move |tx| tx.finish_run(&ended))
                .await;
            match written {
                Ok(true) => return Ended::Written(run),
                Ok(false) => return Ended::Lost(run),
                Err(error) if matches!(error, StoreError::Closed) || self.now() >= give_up_at => {
                    tracing::error!(job = run.job, run_id = %run.run_id, %error,
                        "the end of a run could not be written; it will start over");
                    return Ended::Lost(run);
                }
                Err(_) => self.engine.clock().sleep(WRITE_AGAIN).await,
            }
        }
    }

    /// Log, metrics and alarm of a run.
    fn tell(&self, ended: &Ended, begun: Instant) {
        let job = self.entry.name;
        let took = (self.now() - begun).to_std().unwrap_or_default();
        metrics::histogram!("payhall_job_run_seconds", "job" => job).record(took);
        let took_ms = took.as_millis();
        let Ended::Written(run) = ended else {
            count(job, "LOST");
            tracing::warn!(job, took_ms, "a run was lost to another replica");
            return;
        };
        count(job, run.state.as_str());
        let (run_id, scheduled_at) = (run.run_id, run.scheduled_at);
        if let Some(error) = &run.error {
            tracing::error!(job, %run_id, %scheduled_at, took_ms, error, "a run failed");
            self.alarm(error);
            return;
        }
        self.is_failing.store(false, Ordering::Relaxed);
        succeeded_at(job, run.finished_at.unwrap_or(run.scheduled_at));
        let report = run.report.as_deref().unwrap_or_default();
        if self.is_quiet(report) && self.entry.plan.keep_quiet.is_some() {
            tracing::debug!(job, %run_id, %scheduled_at, took_ms, report, "nothing was to be done");
        } else {
            tracing::info!(job, %run_id, %scheduled_at, took_ms, report, "a run succeeded");
        }
    }

    fn is_quiet(&self, report: &str) -> bool {
        let quiet = self.entry.job.quiet_report();
        quiet.is_ok_and(|quiet| quiet == report)
    }

    fn alarm(&self, error: &str) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            self.engine.alarms().raise(Alarm {
                level: AlarmLevel::Warn,
                kind: AlarmKind::Job,
                order_no: None,
                message: format!("the job {} failed: {error}", self.entry.name),
            });
        }
    }

    fn now(&self) -> Instant {
        self.engine.clock().now()
    }
}

/// Ends the task of a run; what it had done if it was faster.
async fn end(task: JoinHandle<anyhow::Result<Done>>) -> Option<Work> {
    task.abort();
    match task.await {
        Err(error) if error.is_cancelled() => None,
        joined => Some(work_of(joined)),
    }
}

fn work_of(joined: Result<anyhow::Result<Done>, JoinError>) -> Work {
    match joined {
        Ok(Ok(done)) => Work::Done(done),
        Ok(Err(error)) => Work::Failed(format!("{error:#}")),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Work::Failed(format!("it panicked: {}", words_of(&*panic))),
            Err(error) => Work::Failed(error.to_string()),
        },
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

fn count(job: &'static str, state: &'static str) {
    metrics::counter!("payhall_job_runs_total", "job" => job, "state" => state).increment(1);
}

/// Shows when a job last succeeded, on this replica or any.
pub(super) fn succeeded_at(job: &'static str, at: Instant) {
    let seconds = u32::try_from(at.timestamp()).unwrap_or_default();
    metrics::gauge!("payhall_job_last_success_timestamp_seconds", "job" => job)
        .set(f64::from(seconds));
}
