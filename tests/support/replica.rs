//! An engine on a test's database, with a clock that is moved by hand and no bank: several of them
//! on one database are several replicas.

use super::database::TestDatabase;
use payhall::cache::{Cache, CacheSettings};
use payhall::domain::exception::AlarmAges;
use payhall::domain::time::{BusinessDay, Instant};
use payhall::engine::{
    Alarms, ClosingRules, Engine, EngineOptions, EngineParts, Hub, KeepTimes, ManualClock,
    NotifyOptions, StatementRules,
};
use payhall::output::OutputFolder;
use payhall::storage::{Committed, Store};
use payhall::trust::Masters;
use payhall::upstream::{HttpNotifier, Notifier, Reach, SystemNames, Upstreams};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The master key of the tests.
pub const MASTER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// Tells the replicas of this process apart: whoever counts alarms by the number of an order hears its own.
static REPLICAS: AtomicU32 = AtomicU32::new(1);

/// How a replica is made.
pub struct Manner {
    pub masters: Masters,
    /// The way to merchants.
    pub notifier: Arc<dyn Notifier>,
    /// How many threads commit, each in a chain of its own.
    pub writers: u32,
    /// Where files are published.
    pub output: Option<OutputFolder>,
    /// How statements are made.
    pub statements: Option<Arc<StatementRules>>,
    /// How days are closed.
    pub closing: ClosingRules,
}

impl Manner {
    /// A replica that keeps statements.
    pub fn keeping(statements: Arc<StatementRules>) -> Self {
        Self {
            masters: Masters::read([MASTER]).unwrap(),
            notifier: notifier(),
            writers: 2,
            output: None,
            statements: Some(statements),
            closing: ClosingRules::default(),
        }
    }
}

/// A replica without its jobs and its API.
pub struct Replica {
    pub engine: Engine,
    pub clock: ManualClock,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl Replica {
    /// Starts one whose clock stands at an instant.
    pub async fn start(database: &TestDatabase, instance: &str, now: Instant) -> Self {
        let masters = Masters::read([MASTER]).unwrap();
        Self::start_with(database, instance, now, masters).await
    }

    /// Starts one with other master keys.
    pub async fn start_with(
        database: &TestDatabase,
        instance: &str,
        now: Instant,
        masters: Masters,
    ) -> Self {
        Self::start_on(database, instance, now, (masters, notifier())).await
    }

    /// Starts one with another way to merchants.
    pub async fn start_on(
        database: &TestDatabase,
        instance: &str,
        now: Instant,
        (masters, notifier): (Masters, Arc<dyn Notifier>),
    ) -> Self {
        let manner = Manner {
            masters,
            notifier,
            writers: 2,
            output: None,
            statements: None,
            closing: ClosingRules::default(),
        };
        Self::start_as(database, instance, now, manner).await
    }

    /// Starts one in a manner of its own.
    pub async fn start_as(
        database: &TestDatabase,
        instance: &str,
        now: Instant,
        manner: Manner,
    ) -> Self {
        let mut options = database.options(instance);
        options.writers = manner.writers;
        Store::migrate(&options).unwrap();
        let clock = ManualClock::new(now);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let hub = Hub::default();
        let heard = hub.clone();
        let listener = move |committed: Committed| {
            if committed.notifications > 0 {
                heard.announce_notifications();
            }
        };
        let engine = Engine::start(EngineParts {
            store: Store::open(&options, Arc::new(listener)).unwrap(),
            cache: Cache::open(&CacheSettings::default(), now).unwrap(),
            upstreams: Upstreams::default(),
            notifier: manner.notifier,
            clock: Arc::new(clock.clone()),
            hub,
            alarms: Alarms::new(None, tasks.clone()),
            tasks: tasks.clone(),
            stop: stop.clone(),
            masters: manner.masters,
            options: EngineOptions {
                output: manner.output,
                statements: manner.statements,
                closing: manner.closing,
                ..engine_options(instance)
            },
            random: REPLICAS.fetch_add(1, Ordering::Relaxed),
        });
        Self {
            engine: engine.await.unwrap(),
            clock,
            tasks,
            stop,
        }
    }
}

/// The way to merchants over HTTP, as in a sandbox.
pub fn notifier() -> Arc<dyn Notifier> {
    let timeout = Duration::from_secs(5);
    Arc::new(HttpNotifier::try_new(Reach::Sandbox, timeout, Arc::new(SystemNames)).unwrap())
}

fn engine_options(instance: &str) -> EngineOptions {
    EngineOptions {
        day: BusinessDay::SHANGHAI,
        closing: Default::default(),
        calendar: Default::default(),
        statements: None,
        order_expiry: Duration::from_secs(7_200),
        answer_within: Duration::from_secs(8),
        orphan_after: Duration::from_secs(60),
        alarm_ages: AlarmAges {
            warn: Duration::from_secs(600),
            critical: Duration::from_secs(3_600),
        },
        case_due: Duration::from_secs(86_400),
        lease: Duration::from_secs(60),
        poll_batch: 50,
        poll_parallel: 4,
        output: None,
        profiles: Default::default(),
        objects: None,
        sandbox: false,
        notify: NotifyOptions::default(),
        keep: KeepTimes::default(),
        instance: instance.to_owned(),
    }
}
