//! One run of one job: claimed by its row, held by its lease, ended by what became of it.
//!
//! The row is the truth. A run that is here but whose row another replica has taken over is ended
//! at once and leaves no trace: the fence keeps it from writing. A panic, an error and a time-out
//! are three ways to fail, and each is written down.

use super::progress::KeptProgress;
use super::table::{Entry, JobTable};
use super::{Done, JobContext};
use crate::domain::exception::later;
use crate::domain::job::{JobRun, JobRunState};
use crate::domain::time::Instant;
use crate::engine::{Actor, Engine};
use crate::storage::StoreError;
use std::any::Any;
use std::sync::Arc;
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
    /// All jobs, for the job that watches over them.
    pub table: JobTable,
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
    /// Claims the run of a time; none when it is another replica's or done.
    pub async fn claim(&self, scheduled_at: Instant) -> Result<Option<JobRun>, StoreError> {
        let now = self.now();
        let run = JobRun {
            run_id: Uuid::now_v7(),
            job: self.entry.name.to_owned(),
            scheduled_at,
            business_date: self.engine.business_day().last_ended(scheduled_at),
            asked_by: None,
            state: JobRunState::Running,
            owner: self.engine.instance().to_owned(),
            fence: 1,
            lease_until: later(now, self.entry.plan.lease),
            started_at: now,
            finished_at: None,
            progress: None,
            report: None,
            error: None,
        };
        let store = self.engine.store();
        let claimed = store.solo(move |tx| tx.claim_run(&run)).await?;
        if let Some(run) = &claimed {
            self.engine.hub().announce_run(run);
        }
        Ok(claimed)
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
        let progress = Arc::new(KeptProgress::new(begun));
        let work = if run.fence > TAKEOVERS_MAX {
            Work::Failed(format!(
                "given up: {} replicas that held this run died or lost it",
                run.fence - 1
            ))
        } else {
            self.work(&run, &progress).await
        };
        let run = JobRun {
            progress: progress.by(self.now()),
            ..run
        };
        let ended = self.conclude(run, work).await;
        self.tell(&ended, begun);
        ended
    }

    async fn work(&self, run: &JobRun, progress: &Arc<KeptProgress>) -> Work {
        let stop = self.stop.child_token();
        let context = JobContext {
            engine: self.engine.clone(),
            run: run.clone(),
            actor: Actor::job(self.entry.name),
            stop: stop.clone(),
            progress: progress.clone(),
            table: self.table.clone(),
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
            () = self.hold(run, progress) => {
                stop.cancel();
                end(task).await;
                Work::LeaseLost
            }
        }
    }

    /// Renews the lease for as long as it can be renewed, and writes with it how far the run has come;
    /// returns when the lease is lost.
    async fn hold(&self, run: &JobRun, progress: &KeptProgress) {
        let lease = self.entry.plan.lease;
        let mut until = run.lease_until;
        let mut wait = lease / 3;
        loop {
            self.engine.clock().sleep(wait).await;
            let asked_at = self.now();
            let (held, next) = (run.clone(), later(asked_at, lease));
            let told = progress.by(asked_at);
            let renewed = self
                .engine
                .store()
                .solo(move |tx| tx.renew_run(&held, next, told))
                .await;
            match renewed {
                Ok(true) => {
                    until = next;
                    let progress = told;
                    self.engine.hub().announce_run(&JobRun {
                        progress,
                        ..run.clone()
                    });
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
        self.engine.hub().announce_run(run);
        count(job, run.state.as_str());
        let (run_id, scheduled_at) = (run.run_id, run.scheduled_at);
        if let Some(error) = &run.error {
            tracing::error!(job, %run_id, %scheduled_at, took_ms, error, "a run failed");
            self.alarm(run.clone());
            return;
        }
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

    /// Tells of a run that failed, on the side: a webhook that hangs holds no job up. Who is killed before
    /// it is told leaves that to the job `watch_runs`.
    fn alarm(&self, run: JobRun) {
        let (engine, catch_up) = (self.engine.clone(), self.entry.plan.catch_up);
        self.tasks.spawn(async move {
            if let Err(error) = engine.tell_failed_run(&run, catch_up).await {
                tracing::warn!(job = run.job, run_id = %run.run_id, %error,
                    "an alarm about a run was not written down; it may be raised again");
            }
        });
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
