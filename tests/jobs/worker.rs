//! A job that does as it is told, and a replica that runs it.

use crate::support::database::TestDatabase;
use crate::support::replica::Replica;
use payhall::domain::job::{JobRun, RunProgress};
use payhall::domain::progress::Progress;
use payhall::domain::time::{BusinessDate, Instant};
use payhall::engine::{Actor, Backfill, BackfillMode, RunAsk};
use payhall::jobs::{Driver, Job, JobContext, JobTable, Ticked};
use serde::Serialize;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Long enough for any machine; only a test that hangs gets there.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a run that has begun renews its lease, and when it is out of time.
pub const RENEWAL: u64 = 20;
pub const TIME_OUT: u64 = 600;

const TEN_SECONDS: &str = "*/10 * * * * *";
const NIGHT: &str = "0 0 2 * * *";

/// What the test's job does in a run.
#[derive(Clone)]
pub enum Act {
    /// Reports so many things done.
    Report(u32),
    /// Fails with a chain of causes.
    Fail,
    /// Panics.
    Panic,
    /// Waits for the gate, then reports so many things done.
    Gate(Arc<Semaphore>, u32),
    /// Never ends by itself.
    Hang,
    /// Tells so many done of so many, then waits for the gate.
    Tell(u64, u64, Arc<Semaphore>),
    /// Fails until the gate lets one through.
    FailUntil(Arc<Semaphore>),
}

/// A job that does as it is told and says when it has begun.
pub struct Probe {
    act: Act,
    began: mpsc::UnboundedSender<JobContext>,
}

#[derive(Default, PartialEq, Serialize)]
pub struct ProbeReport {
    done: u32,
}

impl Job for Probe {
    const NAME: &'static str = "probe";
    type Report = ProbeReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<ProbeReport> {
        let progress = context.progress.clone();
        self.began.send(context).unwrap();
        match &self.act {
            Act::Report(done) => Ok(ProbeReport { done: *done }),
            Act::Fail => Err(anyhow::anyhow!("the disk is full").context("nothing was written")),
            Act::Panic => panic!("a bad day"),
            Act::Gate(gate, done) => {
                gate.acquire().await?.forget();
                Ok(ProbeReport { done: *done })
            }
            Act::Hang => pending().await,
            Act::Tell(done, total, gate) => {
                progress.at(*done, Some(*total));
                gate.acquire().await?.forget();
                Ok(ProbeReport { done: 1 })
            }
            Act::FailUntil(gate) => {
                gate.try_acquire()?.forget();
                Ok(ProbeReport { done: 1 })
            }
        }
    }
}

/// A job that comes after the probe, where a test has it.
pub struct Follower(mpsc::UnboundedSender<JobContext>);

impl Job for Follower {
    const NAME: &'static str = "follower";
    type Report = ProbeReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<ProbeReport> {
        self.0.send(context).unwrap();
        Ok(ProbeReport { done: 1 })
    }
}

/// A replica with the probe as its only job, or one that follows it.
pub struct Worker {
    pub replica: Replica,
    pub driver: Driver,
    pub began: mpsc::UnboundedReceiver<JobContext>,
    sender: mpsc::UnboundedSender<JobContext>,
}

/// How a worker is made.
pub struct Manner<'a> {
    pub name: &'a str,
    pub now: &'a str,
    pub schedule: &'a str,
    pub zone: &'a str,
    pub catch_up: &'a str,
    /// Further lines of its file.
    pub lines: &'a str,
    /// The schedule of a job that comes after it; RUN_ALL.
    pub follower: Option<&'a str>,
    pub act: Act,
}

pub fn every_ten_seconds(act: Act) -> Manner<'static> {
    Manner {
        name: "a",
        now: "2026-11-22T04:00:03Z",
        schedule: TEN_SECONDS,
        zone: "Asia/Shanghai",
        catch_up: "SKIP",
        lines: "",
        follower: None,
        act,
    }
}

pub fn every_night(
    name: &'static str,
    now: &'static str,
    catch_up: &'static str,
) -> Manner<'static> {
    Manner {
        name,
        now,
        schedule: NIGHT,
        catch_up,
        ..every_ten_seconds(Act::Report(1))
    }
}

impl Worker {
    pub async fn start(database: &TestDatabase, manner: Manner<'_>) -> Self {
        let replica = Replica::start(database, manner.name, at(manner.now)).await;
        let (sender, began) = mpsc::unbounded_channel();
        let table = table(&manner, &sender);
        let (tasks, stop) = (replica.tasks.clone(), replica.stop.clone());
        Self {
            driver: Driver::new(replica.engine.clone(), table, tasks, stop),
            replica,
            began,
            sender,
        }
    }

    /// The table of another manner, whose runs tell this worker that they have begun.
    pub fn table(&self, manner: &Manner<'_>) -> JobTable {
        table(manner, &self.sender)
    }

    /// Ticks and gives the runs that ended.
    pub async fn tick(&self) -> Vec<JobRun> {
        self.tick_of("probe").await
    }

    /// Ticks a job and gives the runs that ended.
    pub async fn tick_of(&self, job: &str) -> Vec<JobRun> {
        match self.driver.tick(job).await.unwrap() {
            Ticked::Ran(runs) => runs,
            other => panic!("{other:?}"),
        }
    }

    /// Ticks on the side.
    pub fn tick_beside(&self) -> JoinHandle<Ticked> {
        let driver = self.driver.clone();
        tokio::spawn(async move { driver.tick("probe").await.unwrap() })
    }

    /// Ticks once and is gone: SQLite's file is let go before another opens it.
    pub async fn tick_and_go(self) -> Vec<JobRun> {
        let runs = self.tick().await;
        self.replica.engine.store().close().await;
        runs
    }

    /// Waits until a run has begun here.
    pub async fn began(&mut self) -> JobContext {
        patient(self.began.recv()).await.unwrap()
    }

    pub fn advance(&self, seconds: u64) {
        self.replica.clock.advance(Duration::from_secs(seconds));
    }

    /// The progress of the first run, which has begun, once its lease was renewed. The clock stands still
    /// meanwhile, however long that takes.
    pub async fn progress(&self) -> RunProgress {
        self.advance(RENEWAL);
        let told = async {
            loop {
                if let Some(progress) = self.runs().await[0].progress {
                    return progress;
                }
            }
        };
        patient(told).await
    }

    /// All runs, oldest first.
    pub async fn runs(&self) -> Vec<JobRun> {
        let page = self.replica.engine.job_runs(None, None, 10_000).await;
        let mut rows = page.unwrap().rows;
        rows.sort_by_key(|run| run.scheduled_at);
        rows
    }

    /// Asks for a run of a job, as somebody would.
    pub async fn ask(&self, job: &str, date: Option<&str>) -> JobRun {
        let ask = RunAsk {
            job: job.to_owned(),
            business_date: date.map(date_of),
        };
        let engine = &self.replica.engine;
        let asked = engine.ask_for_run(&self.driver, ask, &somebody()).await;
        asked.unwrap()
    }

    /// Asks for the runs of a stretch of business dates.
    pub async fn backfill(&self, job: &str, from: &str, to: &str) -> Vec<JobRun> {
        let ask = Backfill {
            job: job.to_owned(),
            from: date_of(from),
            to: date_of(to),
            mode: BackfillMode::Do,
        };
        let engine = &self.replica.engine;
        let asked = engine.backfill(&self.driver, ask, &somebody()).await;
        asked.unwrap()
    }

    /// Waits until the work on the side of this replica has ended.
    pub async fn rest(&self) {
        self.replica.tasks.close();
        patient(self.replica.tasks.wait()).await;
        self.replica.tasks.reopen();
    }

    /// The due times that have a run, as UTC.
    pub async fn due_times(&self) -> Vec<String> {
        let runs = self.runs().await;
        let shown = |run: &JobRun| run.scheduled_at.format("%m-%d %H:%M:%S").to_string();
        runs.iter().map(shown).collect()
    }
}

/// The probe, and what follows it, in a manner.
fn table(manner: &Manner<'_>, sender: &mpsc::UnboundedSender<JobContext>) -> JobTable {
    let probe = Probe {
        act: manner.act.clone(),
        began: sender.clone(),
    };
    let file = format!(
        "schedule = {:?}\nzone = {:?}\ncatch_up = {:?}\non_time_s = 60\nlease_s = 60\n\
         timeout_s = {TIME_OUT}\nkeep_quiet_s = 86400\nwhy = \"a test\"\n{}\n",
        manner.schedule, manner.zone, manner.catch_up, manner.lines
    );
    let table = JobTable::default().with(probe, &file).unwrap();
    let Some(schedule) = manner.follower else {
        return table;
    };
    let file = format!(
        "schedule = {schedule:?}\nzone = {:?}\ncatch_up = \"RUN_ALL\"\non_time_s = 60\n\
         lease_s = 60\ntimeout_s = 600\nafter = [\"probe\"]\nwhy = \"a test\"\n",
        manner.zone
    );
    table.with(Follower(sender.clone()), &file).unwrap()
}

pub fn date_of(text: &str) -> BusinessDate {
    BusinessDate(text.parse().unwrap())
}

/// The business dates of runs, in this order.
pub fn dates(runs: &[JobRun]) -> Vec<String> {
    runs.iter()
        .map(|run| run.business_date.to_string())
        .collect()
}

pub fn somebody() -> Actor {
    Actor {
        who: "operator:olga".to_owned(),
        request_id: None,
    }
}

pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub async fn patient<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

/// The runs of a tick on the side, once it has ended.
pub async fn ran(tick: JoinHandle<Ticked>) -> Vec<JobRun> {
    match patient(tick).await.unwrap() {
        Ticked::Ran(runs) => runs,
        other => panic!("{other:?}"),
    }
}
