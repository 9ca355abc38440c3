//! Decides which runs are due, claims them and has them run. The only file that knows
//! tokio-cron-scheduler, which wakes it and is not relied upon.
//!
//! A tick of a job is always the same few steps, however it came about: is a run of it left behind
//! by a replica that died? Then that one starts over. Else: is a due time without a run? Then it is
//! claimed, and whoever inserts its row runs it. In one process a job runs once at a time. Other
//! replicas may run the next due time of a SKIP job beside it; jobs that make up for missed times
//! wait for each other everywhere, so that missed nights are run in order.
//!
//! A clock that was set back meets the rows of the due times it shows again, and runs none twice.
//! One that jumped ahead has missed some, and the job's catch-up rule decides.

use super::plan::CatchUp;
use super::run::{Ended, Runner, succeeded_at};
use super::table::{Entry, JobTable, NoSuchJob};
use crate::domain::job::JobRun;
use crate::domain::time::Instant;
use crate::engine::Engine;
use crate::storage::{StoreError, job_runs};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often every job is looked at, whatever the metronome does.
const SWEEP: Duration = Duration::from_secs(10);
/// How often the quiet runs of a job are deleted, at most.
const FORGET: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Runs the jobs of a table. Cheap to clone.
#[derive(Clone)]
pub struct Driver(Arc<Inner>);

struct Inner {
    engine: Engine,
    table: JobTable,
    tasks: TaskTracker,
    stop: CancellationToken,
    desks: BTreeMap<&'static str, Arc<Desk>>,
}

/// A job and what this process knows of it.
struct Desk {
    runner: Runner,
    busy: Arc<Mutex<()>>,
    forgot_at: StdMutex<Option<Instant>>,
}

/// What a tick came to.
#[derive(Debug)]
pub enum Ticked {
    /// The runs that ended here and whose rows say how; none when nothing was due.
    Ran(Vec<JobRun>),
    /// A run of the job is under way in this process: that one is enough.
    Busy,
    /// Storage failed; the next tick tries again.
    Failed(StoreError),
}

/// A run that somebody asked for, under way.
#[derive(Debug)]
pub struct RunByHand {
    /// The run as it was claimed.
    pub run: JobRun,
    ended: JoinHandle<Ended>,
}

/// Why a run that somebody asked for did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunByHandError {
    /// There is no such job.
    #[error(transparent)]
    NoSuchJob(#[from] NoSuchJob),
    /// A run of it is under way in this process.
    #[error("a run of this job is under way; wait for its end")]
    Busy,
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopping,
    /// The run could not be claimed.
    #[error("the run could not be written")]
    Store(#[from] StoreError),
}

impl RunByHand {
    /// Waits for the end of the run; none if it was lost to another replica.
    pub async fn ended(self) -> Option<JobRun> {
        match self.ended.await {
            Ok(Ended::Written(run)) => Some(run),
            Ok(Ended::Lost(_)) | Err(_) => None,
        }
    }
}

impl Driver {
    /// A driver that is still: [`Driver::start`] sets it going. Its work is tracked by `tasks`;
    /// once `stop` is cancelled it claims no more.
    pub fn new(
        engine: Engine,
        table: JobTable,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let desk = |entry: &Arc<Entry>| {
            let runner = Runner {
                engine: engine.clone(),
                entry: entry.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
                is_failing: AtomicBool::new(false),
            };
            let desk = Desk {
                runner,
                busy: Arc::default(),
                forgot_at: StdMutex::default(),
            };
            (entry.name, Arc::new(desk))
        };
        let desks = table.entries().map(desk).collect();
        Self(Arc::new(Inner {
            engine,
            table,
            tasks,
            stop,
            desks,
        }))
    }

    /// The jobs that it runs.
    pub fn table(&self) -> &JobTable {
        &self.0.table
    }

    /// Looks at a job now and runs what is due; returns when that has ended. A caller who goes away
    /// ends nothing.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn tick(&self, job: &str) -> Result<Ticked, NoSuchJob> {
        let desk = self.desk(job)?.clone();
        let ticked = self.0.tasks.spawn(async move { desk.tick().await });
        Ok(ticked.await.unwrap_or_else(|error| {
            tracing::error!(job, %error, "a tick panicked");
            Ticked::Ran(Vec::new())
        }))
    }

    /// Begins a run that nothing but the caller asked for. It has its row like any other.
    ///
    /// # Errors
    /// When there is no such job, one is under way here, the program stops or storage fails.
    pub async fn run_now(&self, job: &str) -> Result<RunByHand, RunByHandError> {
        let desk = self.desk(job)?.clone();
        if self.0.stop.is_cancelled() {
            return Err(RunByHandError::Stopping);
        }
        let guard = desk.seize().ok_or(RunByHandError::Busy)?;
        let at = job_runs::by_hand_at(self.0.engine.clock().now());
        let run = desk.runner.claim(at).await?.ok_or(RunByHandError::Busy)?;
        let claimed = run.clone();
        let ended = self.0.tasks.spawn(async move {
            let _guard = guard;
            desk.runner.execute(claimed).await
        });
        Ok(RunByHand { run, ended })
    }

    fn desk(&self, job: &str) -> Result<&Arc<Desk>, NoSuchJob> {
        let desk = self.0.desks.get(job);
        desk.ok_or_else(|| self.0.table.no_such_job(job))
    }

    /// Looks at every job now, then every ten seconds and whenever one is due, until the program
    /// stops.
    ///
    /// # Errors
    /// When the metronome does not take a schedule.
    pub async fn start(&self) -> Result<Metronome, MetronomeError> {
        self.show_last_successes().await;
        let scheduler = JobScheduler::new().await?;
        for entry in self.0.table.entries() {
            let (driver, job) = (self.clone(), entry.name);
            let (expression, zone) = (entry.plan.schedule.expression(), entry.plan.schedule.zone());
            let wake = CronJob::new_async_tz(expression, zone, move |_, _| {
                driver.wake(job);
                Box::pin(std::future::ready(()))
            });
            scheduler.add(wake?).await?;
        }
        scheduler.start().await?;
        let driver = self.clone();
        self.0.tasks.spawn(async move {
            while !driver.0.stop.is_cancelled() {
                driver.wake_all();
                tokio::select! {
                    () = driver.0.stop.cancelled() => {}
                    () = driver.0.engine.clock().sleep(SWEEP) => {}
                }
            }
        });
        Ok(Metronome(scheduler))
    }

    fn wake_all(&self) {
        for job in self.0.desks.keys() {
            self.wake(job);
        }
    }

    fn wake(&self, job: &str) {
        if let Some(desk) = self.0.desks.get(job).cloned() {
            self.0.tasks.spawn(async move { desk.tick().await });
        }
    }

    /// So that the metrics of a replica that just started do not look as if nothing ever succeeded.
    async fn show_last_successes(&self) {
        match self.0.engine.store().read(job_runs::last_success).await {
            Ok(known) => {
                for (job, at) in known {
                    if let Some((job, _)) = self.0.desks.get_key_value(job.as_str()) {
                        succeeded_at(job, at);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the last successes of the jobs are not known"),
        }
    }
}

/// Wakes the driver when a job is due. Ends when it is stopped, not when it is dropped.
pub struct Metronome(JobScheduler);

/// Why the metronome cannot be set going.
#[derive(Debug, thiserror::Error)]
#[error("the metronome of the jobs cannot be set going")]
pub struct MetronomeError(#[from] JobSchedulerError);

impl Metronome {
    /// Ends it. Runs that are under way go on; the tracker of tasks waits for them.
    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            tracing::warn!(%error, "the metronome of the jobs could not be stopped");
        }
    }
}

impl Desk {
    fn seize(&self) -> Option<OwnedMutexGuard<()>> {
        self.busy.clone().try_lock_owned().ok()
    }

    async fn tick(&self) -> Ticked {
        let Some(_guard) = self.seize() else {
            return Ticked::Busy;
        };
        let mut ran = Vec::new();
        loop {
            match self.run_next().await {
                Ok(Some(Ended::Written(run))) => ran.push(run),
                Ok(Some(Ended::Lost(_)) | None) => break,
                Err(error) => {
                    let job = self.runner.entry.name;
                    tracing::error!(job, %error, "the runs of a job could not be read or claimed");
                    return Ticked::Failed(error);
                }
            }
        }
        Ticked::Ran(ran)
    }

    /// Runs the next thing that is to be run; none when there is nothing or another replica has it.
    async fn run_next(&self) -> Result<Option<Ended>, StoreError> {
        if self.runner.stop.is_cancelled() {
            return Ok(None);
        }
        let Some(scheduled_at) = self.choose().await? else {
            return Ok(None);
        };
        let Some(run) = self.runner.claim(scheduled_at).await? else {
            return Ok(None);
        };
        let ended = self.runner.execute(run).await;
        self.forget().await;
        Ok(Some(ended))
    }

    async fn choose(&self) -> Result<Option<Instant>, StoreError> {
        let entry = &self.runner.entry;
        let (job, now) = (entry.name, self.runner.engine.clock().now());
        let read = move |c: &mut _| {
            let running = job_runs::running(c, job)?;
            Ok((running, job_runs::last_due(c, job, now)?))
        };
        let (running, last) = self.runner.engine.store().read(read).await?;
        if let Some(lapsed) = running.iter().find(|run| run.lease_until <= now) {
            return Ok(Some(lapsed.scheduled_at));
        }
        let waits = entry.plan.catch_up != CatchUp::Skip && !running.is_empty();
        Ok(if waits {
            None
        } else {
            entry.plan.due(last, now)
        })
    }

    /// Now and then deletes the runs that found nothing to do and are old.
    async fn forget(&self) {
        let entry = &self.runner.entry;
        let (Some(keep), Ok(report)) = (entry.plan.keep_quiet, entry.job.quiet_report()) else {
            return;
        };
        let now = self.runner.engine.clock().now();
        {
            let mut forgot_at = self
                .forgot_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if forgot_at.is_some_and(|at| now < at + FORGET) {
                return;
            }
            *forgot_at = Some(now);
        }
        let before = now - chrono::TimeDelta::from_std(keep).unwrap_or_default();
        let job = entry.name;
        let store = self.runner.engine.store();
        let forgotten = store.solo(move |tx| tx.forget_runs(job, before, &report));
        if let Err(error) = forgotten.await {
            tracing::warn!(job, %error, "old runs could not be deleted");
        }
    }
}
