//! `TestBank`: a whole center on a fresh database, with a scripted far side in the process, a clock
//! that moves only when it is told to, and a little town of items and merchants.
//!
//! Its methods block, so that a test reads like a script. The engine runs on a runtime of its own,
//! which a crash takes away under it. When a test bank is dropped (and the test did not fail before)
//! it audits itself (`inspect.rs`): work that was left undone, books that do not balance, a broken
//! audit chain or a move without its audit row fail the test.
//!
//! How one could break it: by a method that waits for wall-clock time, or by telling the far side
//! what the engine believes.

pub mod alarms;
pub mod books;
pub mod catalogue;
pub mod clock;
pub mod far_side;
pub mod inspect;
pub mod script;
mod time;
mod verbs;
pub mod work;

#[allow(unused_imports, reason = "each test binary uses its own part of this")]
pub use {script::Deed, verbs::operator};

use super::database::TestDatabase;
use super::given;
use clock::TestClock;
use far_side::FarSide;
use inspect::{Declared, Facts};
use payhall::cache::{Cache, CacheSettings, Snapshot};
use payhall::domain::calendar::Calendar;
use payhall::domain::exception::AlarmAges;
use payhall::domain::ids::MerchantCode;
use payhall::domain::refusal::{Refusal, RefusalCode};
use payhall::domain::time::BusinessDay;
use payhall::engine::samples;
use payhall::engine::{Alarms, Clock, Engine};
use payhall::engine::{EngineError, EngineOptions, EngineParts, Hub, KeepTimes, NotifyOptions};
use payhall::files::Profiles;
use payhall::output::Objects;
use payhall::storage::{AnyConnection, Store, StoreError};
use payhall::upstream::Partners;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A confirm is answered within this time.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(8).saturating_add(clock::MARK);
/// A payment without an outcome goes to the poller after this time.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(60);
/// How long a lease holds.
pub const LEASE: Duration = Duration::from_secs(60);
/// When open exceptions call for help.
const ALARM_AGES: AlarmAges = AlarmAges {
    warn: Duration::from_secs(600),
    critical: Duration::from_secs(3600),
};
/// How often the job polls.
pub const TICK: Duration = Duration::from_secs(10);

/// How long a test may wait for the engine to come to rest before it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells the runs of the program in this process apart: their numbers, leases and audit chains.
static RUNS: AtomicU32 = AtomicU32::new(1);

/// A center with its world. See the head of this file.
pub struct TestBank {
    /// The far side.
    pub far: Arc<FarSide>,
    /// Time.
    pub clock: TestClock,
    /// What may be left at the end.
    pub declared: Declared,
    houses: Vec<House>,
    callers: TaskTracker,
    requests: AtomicU32,
    /// What its nights need; what is changed here counts for the programs that start after it.
    pub night: Night,
    runtime: Option<Runtime>,
    /// Last, so that it goes away after everything that uses it.
    pub database: TestDatabase,
}

/// What a bank needs for its nights: whose files it reconciles, and where it keeps them.
#[derive(Clone, Default)]
pub struct Night {
    /// The partners.
    pub partners: Partners,
    /// The store of files.
    pub objects: Option<Objects>,
    /// Which days are business days.
    pub calendar: Calendar,
}

/// One running program: an engine with what it is made of.
pub struct House {
    /// The engine.
    pub engine: Engine,
    /// Its database.
    pub store: Store,
    /// Its cache.
    pub cache: Cache,
    /// Its detached work.
    pub tasks: TaskTracker,
}

impl TestBank {
    /// A bank on a fresh database, at noon of a day in November, with one program running.
    pub fn new(database: TestDatabase) -> Self {
        Self::with_night(database, Night::default())
    }

    /// The same with nights.
    pub fn with_night(database: TestDatabase, night: Night) -> Self {
        alarms::listen();
        let clock = TestClock::new(given::at(0));
        let far = Arc::new(FarSide::new(clock.clone()));
        Store::migrate(&database.options("migrator")).expect("the schema");
        let mut bank = Self {
            far,
            clock,
            declared: Declared::default(),
            houses: Vec::new(),
            callers: TaskTracker::new(),
            requests: AtomicU32::new(1),
            night,
            runtime: Some(runtime()),
            database,
        };
        let house = bank.open_house(true, Duration::ZERO);
        bank.wait(bring_merchants_in(&house.engine));
        bank.far.watch_intents_in(house.store.clone());
        bank.houses.push(house);
        bank
    }

    /// A bank on SQLite, for tests in which the database makes no difference.
    pub fn on_sqlite() -> Self {
        Self::new(TestDatabase::sqlite())
    }

    /// Starts one more program on the same database; gives its place for [`TestBank::house`].
    pub fn start_replica(&mut self) -> usize {
        self.start_replica_ahead_by(Duration::ZERO)
    }

    /// The same on a machine whose clock is ahead.
    pub fn start_replica_ahead_by(&mut self, ahead: Duration) -> usize {
        let house = self.open_house(false, ahead);
        self.houses.push(house);
        self.houses.len() - 1
    }

    /// A running program.
    pub fn house(&self, place: usize) -> &House {
        &self.houses[place]
    }

    /// The engine of the first program.
    pub fn engine(&self) -> &Engine {
        &self.houses[0].engine
    }

    /// The database of the first program.
    pub fn store(&self) -> &Store {
        &self.houses[0].store
    }

    /// Runs something on the engine's runtime and waits for it.
    pub fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runtime().block_on(work)
    }

    /// Starts something on the engine's runtime; a crash ends it in the middle.
    pub fn start<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.runtime().spawn(work)
    }

    /// Reads the database.
    pub fn read<T, F>(&self, read: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    {
        self.wait(self.store().read(read))
            .expect("the database answers")
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("there is one until the end")
    }

    fn open_house(&self, is_first: bool, ahead: Duration) -> House {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let instance = format!("run-{run}");
        let options = self.database.options(&instance);
        let hub = Hub::default();
        let _inside = self.runtime().enter();
        let cache = Cache::open(&CacheSettings::default(), self.clock.now()).expect("memory");
        let (mirror, announcer) = (cache.clone(), hub.clone());
        let listener = Arc::new(move |committed: payhall::storage::Committed| {
            announcer.announce(&committed.orders);
            let orders = committed.orders.into_iter().map(Snapshot::from);
            mirror.mirror(
                orders
                    .chain(committed.flows.into_iter().map(Snapshot::from))
                    .collect(),
            );
        });
        let store = Store::open(&options, listener).expect("the store");
        if is_first {
            let parts = catalogue::parts();
            let import = store.solo(move |tx| tx.import_catalogue(&parts));
            self.wait(import).expect("the catalogue");
        }
        let tasks = TaskTracker::new();
        let parts = EngineParts {
            store: store.clone(),
            cache: cache.clone(),
            upstreams: catalogue::upstreams(&self.far).with_partners(self.night.partners.clone()),
            notifier: super::replica::notifier(),
            clock: Arc::new(self.clock.ahead_by(ahead)),
            hub,
            alarms: Alarms::new(None, tasks.clone()),
            tasks: tasks.clone(),
            stop: CancellationToken::new(),
            masters: Default::default(),
            options: engine_options(instance, &self.night),
            random: run,
        };
        let engine = self.wait(Engine::start(parts)).expect("the engine");
        House {
            engine,
            store,
            cache,
            tasks,
        }
    }

    /// Kills every program in the middle of whatever it does, and starts one again when nothing of them
    /// is left: what still slept or hung would be taken for the work of the new one.
    pub fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
        self.runtime = Some(runtime());
        let dead: Vec<House> = self.houses.drain(..).collect();
        for house in &dead {
            self.wait(house.store.close());
        }
        drop(dead);
        let house = self.open_house(false, Duration::ZERO);
        self.far.watch_intents_in(house.store.clone());
        self.wait(house.engine.recover()).expect("recovery");
        self.houses.push(house);
    }

    /// Everything that is known now, on both sides.
    pub fn facts(&self) -> Facts {
        let mut facts = self.read(Facts::read);
        let world = self.far.world();
        facts.books.clone_from(&world.books);
        facts.calls.clone_from(&world.calls);
        facts.breaches.clone_from(&world.breaches);
        facts
    }
}

impl Drop for TestBank {
    fn drop(&mut self) {
        let findings = if std::thread::panicking() {
            Vec::new()
        } else {
            self.facts().findings(&self.declared)
        };
        for house in &self.houses {
            self.wait(house.store.close());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        assert!(
            findings.is_empty(),
            "on {}, the books at the end:\n  {}",
            self.database.kind,
            findings.join("\n  ")
        );
    }
}

/// Two people bring the town's merchants in.
async fn bring_merchants_in(engine: &Engine) {
    let desk = engine.onboarding();
    for (code, kind) in catalogue::MERCHANTS {
        let profile = samples::profile(code, code, kind);
        let code = MerchantCode::try_new(code).expect("a code");
        let brought = samples::bring_in(&desk, &code, kind, profile);
        brought.await.expect("the merchant comes in");
    }
    engine.refresh_catalogue().await.expect("the catalogue");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn engine_options(instance: String, night: &Night) -> EngineOptions {
    EngineOptions {
        day: BusinessDay::SHANGHAI,
        closing: Default::default(),
        calendar: Arc::new(night.calendar.clone()),
        statements: None,
        order_expiry: Duration::from_secs(2 * 3600),
        answer_within: ANSWER_WITHIN,
        orphan_after: ORPHAN_AFTER,
        alarm_ages: ALARM_AGES,
        case_due: Duration::from_secs(4 * 3600),
        lease: LEASE,
        poll_batch: 100,
        poll_parallel: 8,
        output: None,
        profiles: Arc::new(Profiles::load([]).expect("the profiles that are compiled in")),
        objects: night.objects.clone(),
        sandbox: false,
        notify: NotifyOptions::default(),
        keep: KeepTimes::default(),
        instance,
    }
}

/// Takes a refusal out; a fault of storage fails the test.
pub fn refused<T>(answer: Result<T, EngineError>) -> Result<T, Refusal> {
    match answer {
        Ok(done) => Ok(done),
        Err(EngineError::Refused(refusal)) => Err(refusal),
        Err(fault) => panic!("{fault:?}"),
    }
}

/// The code of a refusal, for a short comparison.
pub fn code<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> RefusalCode {
    answer.expect_err("it is refused").code
}
