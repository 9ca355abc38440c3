//! Decides which runs are due, claims them and has them run. The only file that knows
//! tokio-cron-scheduler, which wakes it and is not relied upon.
//!
//! A tick of a job is always the same few steps, however it came about: what comes next (`choose.rs`) is
//! claimed, and whoever inserts or takes its row runs it, until nothing comes next. In one process a job
//! runs once at a time.
//!
//! The table of jobs can be exchanged while runs are under way (`Driver::reload`): those end as they began.

use super::choose::{choose, is_ready};
use super::run::{Ended, Runner, succeeded_at};
use super::table::{Entry, JobTable, NoSuchJob};
use super::turn::Turn;
use crate::domain::job::{JobInfo, JobRun, JobRunState};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Engine, JobBook, Standing};
use crate::storage::{StoreError, job_runs};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
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
    tasks: TaskTracker,
    stop: CancellationToken,
    crew: RwLock<Arc<Crew>>,
}

/// A table of jobs and a desk for each.
struct Crew {
    table: JobTable,
    desks: BTreeMap<&'static str, Arc<Desk>>,
}

/// A job and what this process knows of it.
struct Desk {
    runner: Runner,
    turn: Turn,
    forgot_at: Arc<StdMutex<Option<Instant>>>,
    /// Whether another has taken its place: what it does it ends, and nothing more.
    is_retired: AtomicBool,
}

/// What a tick came to.
#[derive(Debug)]
pub enum Ticked {
    /// The runs that ended here and whose rows say how; none when nothing was due.
    Ran(Vec<JobRun>),
    /// A tick of the job is under way in this process: that one looks once more before it ends.
    Busy,
    /// Storage failed; the next tick tries again.
    Failed(StoreError),
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
        let parts = (engine, tasks, stop);
        let crew = RwLock::new(Arc::new(Crew::new(&parts, table, None)));
        let (engine, tasks, stop) = parts;
        Self(Arc::new(Inner {
            engine,
            tasks,
            stop,
            crew,
        }))
    }

    /// The jobs that it runs.
    pub fn table(&self) -> JobTable {
        self.crew().table.clone()
    }

    fn crew(&self) -> Arc<Crew> {
        let crew = self.0.crew.read().unwrap_or_else(PoisonError::into_inner);
        crew.clone()
    }

    /// Looks at a job now and runs what is due; returns when that has ended. A caller who goes away
    /// ends nothing.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn tick(&self, job: &str) -> Result<Ticked, NoSuchJob> {
        let (driver, name) = (self.clone(), self.desk(job)?.runner.entry.name);
        let ticked = self.0.tasks.spawn(async move { driver.rounds(name).await });
        ticked.await.unwrap_or_else(|error| {
            tracing::error!(job, %error, "a tick panicked");
            Ok(Ticked::Ran(Vec::new()))
        })
    }

    /// Goes round until nothing comes next and nobody has come meanwhile. Whoever finds it going round adds a
    /// round: what they came for may have been there only after the last look. The table may have been exchanged
    /// by then, so each round is made at the desk of its time.
    async fn rounds(&self, job: &str) -> Result<Ticked, NoSuchJob> {
        let Some(mut turn) = self.desk(job)?.turn.take() else {
            return Ok(Ticked::Busy);
        };
        let mut ran = Vec::new();
        loop {
            let round = self.desk(job)?.round(&mut ran).await;
            if turn.goes_round() {
                continue;
            }
            return Ok(match round {
                Ok(()) => Ticked::Ran(ran),
                Err(error) => Ticked::Failed(error),
            });
        }
    }

    fn desk(&self, job: &str) -> Result<Arc<Desk>, NoSuchJob> {
        let crew = self.crew();
        let desk = crew.desks.get(job).cloned();
        desk.ok_or_else(|| crew.table.no_such_job(job))
    }

    /// Looks at every job now, then every ten seconds and whenever one is due, until the program
    /// stops.
    ///
    /// # Errors
    /// When the metronome does not take a schedule.
    pub async fn start(&self) -> Result<Metronome, MetronomeError> {
        self.show_last_successes().await;
        let scheduler = self.scheduler(&self.table()).await?;
        scheduler.start().await?;
        let (driver, runs) = (self.clone(), self.0.engine.hub().listen_runs());
        let follow = async move { driver.follow(runs).await };
        let stop = self.0.stop.clone();
        self.0.tasks.spawn(stop.run_until_cancelled_owned(follow));
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

    /// A metronome that wakes the driver when a job of a table is due; it does not go yet.
    async fn scheduler(&self, table: &JobTable) -> Result<JobScheduler, MetronomeError> {
        let scheduler = JobScheduler::new().await?;
        for entry in table.entries() {
            let (driver, job) = (self.clone(), entry.name);
            let (expression, zone) = (entry.plan.schedule.expression(), entry.plan.schedule.zone());
            let wake = CronJob::new_async_tz(expression, zone, move |_, _| {
                driver.wake(job);
                Box::pin(std::future::ready(()))
            });
            scheduler.add(wake?).await?;
        }
        Ok(scheduler)
    }

    /// Exchanges the table of jobs. What is under way ends as it began; what comes next goes by the new
    /// table.
    ///
    /// # Errors
    /// When the metronome does not take a schedule: then all stays as it was.
    pub async fn reload(
        &self,
        metronome: &mut Metronome,
        table: JobTable,
    ) -> Result<(), MetronomeError> {
        let scheduler = self.scheduler(&table).await?;
        scheduler.start().await?;
        let parts = (
            self.0.engine.clone(),
            self.0.tasks.clone(),
            self.0.stop.clone(),
        );
        let former = self.crew();
        let crew = Arc::new(Crew::new(&parts, table, Some(&former)));
        *self.0.crew.write().unwrap_or_else(PoisonError::into_inner) = crew;
        for desk in former.desks.values() {
            desk.is_retired.store(true, Ordering::Relaxed);
        }
        let before = std::mem::replace(metronome, Metronome(scheduler));
        before.stop().await;
        self.wake_all();
        Ok(())
    }

    /// Wakes a job when a run of it is asked for on this replica, and those that come after one when that
    /// has succeeded here. What other replicas do is seen by the regular look.
    async fn follow(&self, mut runs: Receiver<JobRun>) {
        loop {
            match runs.recv().await {
                Ok(run) => self.heed(&run),
                Err(RecvError::Lagged(_)) => self.wake_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn heed(&self, run: &JobRun) {
        match run.state {
            JobRunState::Waiting => self.wake(&run.job),
            JobRunState::Succeeded => {
                for entry in self.crew().table.entries() {
                    if entry.plan.after.contains(&run.job) {
                        self.wake(entry.name);
                    }
                }
            }
            JobRunState::Running | JobRunState::Failed => {}
        }
    }

    fn wake_all(&self) {
        for job in self.crew().desks.keys() {
            self.wake(job);
        }
    }

    fn wake(&self, job: &str) {
        if let Ok(desk) = self.desk(job) {
            let (driver, job) = (self.clone(), desk.runner.entry.name);
            let rounds = async move { driver.rounds(job).await };
            self.0.tasks.spawn(rounds);
        }
    }

    /// So that the metrics of a replica that just started do not look as if nothing ever succeeded.
    async fn show_last_successes(&self) {
        match self.0.engine.store().read(job_runs::last_success).await {
            Ok(known) => {
                let crew = self.crew();
                for (job, at) in known {
                    if let Some((job, _)) = crew.desks.get_key_value(job.as_str()) {
                        succeeded_at(job, at);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the last successes of the jobs are not known"),
        }
    }
}

impl JobBook for Driver {
    fn jobs(&self, now: Instant) -> Vec<JobInfo> {
        self.table().list(now)
    }

    fn next_due(&self, job: &str, after: Instant) -> Option<Instant> {
        self.table().next_due(job, after)
    }

    fn standing(
        &self,
        engine: &Engine,
        job: &str,
        date: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>> {
        self.table().standing(engine, job, date)
    }

    fn ready_from(&self, engine: &Engine, job: &str, date: BusinessDate) -> Instant {
        self.table().ready_from(engine, job, date)
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

impl Crew {
    /// A desk for each job of a table. A job that was there before is still busy if it was.
    fn new(
        (engine, tasks, stop): &(Engine, TaskTracker, CancellationToken),
        table: JobTable,
        before: Option<&Crew>,
    ) -> Self {
        let desk = |entry: &Arc<Entry>| {
            let runner = Runner {
                engine: engine.clone(),
                entry: entry.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
                table: table.clone(),
            };
            let known = before.and_then(|crew| crew.desks.get(entry.name));
            let desk = Desk {
                runner,
                turn: known.map(|desk| desk.turn.clone()).unwrap_or_default(),
                forgot_at: known.map(|desk| desk.forgot_at.clone()).unwrap_or_default(),
                is_retired: AtomicBool::new(false),
            };
            (entry.name, Arc::new(desk))
        };
        let desks = table.entries().map(desk).collect();
        Self { table, desks }
    }
}

impl Desk {
    /// Runs what is to be run, one after the other, until nothing comes next.
    async fn round(&self, ran: &mut Vec<JobRun>) -> Result<(), StoreError> {
        loop {
            match self.run_next().await {
                Ok(Some(Ended::Written(run))) => ran.push(run),
                Ok(Some(Ended::Lost(_)) | None) => return Ok(()),
                Err(error) => {
                    let job = self.runner.entry.name;
                    tracing::error!(job, %error, "the runs of a job could not be read or claimed");
                    return Err(error);
                }
            }
        }
    }

    /// Runs the next thing that is to be run; none when there is nothing or another replica has it.
    async fn run_next(&self) -> Result<Option<Ended>, StoreError> {
        if self.runner.stop.is_cancelled() || self.is_retired.load(Ordering::Relaxed) {
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
        let Runner { engine, table, .. } = &self.runner;
        let (entry, day, now) = (
            self.runner.entry.clone(),
            engine.business_day(),
            engine.clock().now(),
        );
        let read = move |c: &mut _| choose(c, &entry, day, now);
        for coming in engine.store().read(read).await? {
            let plan = &self.runner.entry.plan;
            if is_ready(engine, table, plan, coming.awaits).await? {
                return Ok(Some(coming.scheduled_at));
            }
        }
        Ok(None)
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
