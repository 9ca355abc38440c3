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
pub mod work;

pub use script::Deed;

use super::database::TestDatabase;
use super::given;
use clock::TestClock;
use far_side::FarSide;
use inspect::{Declared, Facts};
use payhall::cache::{Cache, CacheSettings, Snapshot};
use payhall::domain::case::{Case, CaseState, Decision};
use payhall::domain::exception::{AlarmAges, AlarmLevel, Exception, Phase, later};
use payhall::domain::flow::{Flow, FlowKind};
use payhall::domain::ids::{BillNo, ItemCode, MerchantCode, OrderNo, RequestNo};
use payhall::domain::merchant::MerchantState;
use payhall::domain::money::{Currency, Money};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::refusal::{Refusal, RefusalCode};
use payhall::domain::time::{BusinessDay, Instant};
use payhall::engine::{Actor, Alarms, Clock, ConfirmInput, Confirmed, CreateInput, Engine};
use payhall::engine::{EngineError, EngineOptions, EngineParts, Hub, PollReport, Scope};
use payhall::storage::{AnyConnection, Store, StoreError, orders};
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
    requests: AtomicU32,
    runtime: Option<Runtime>,
    /// Last, so that it goes away after everything that uses it.
    pub database: TestDatabase,
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
        alarms::listen();
        let clock = TestClock::new(given::at(0));
        let far = Arc::new(FarSide::new(clock.clone()));
        Store::migrate(&database.options("migrator")).expect("the schema");
        let mut bank = Self {
            far,
            clock,
            declared: Declared::default(),
            houses: Vec::new(),
            requests: AtomicU32::new(1),
            runtime: Some(runtime()),
            database,
        };
        let house = bank.open_house(true, Duration::ZERO);
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
        let cache = Cache::open(&CacheSettings::default()).expect("memory");
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
            upstreams: catalogue::upstreams(&self.far),
            clock: Arc::new(self.clock.ahead_by(ahead)),
            hub,
            alarms: Alarms::new(None, tasks.clone()),
            tasks: tasks.clone(),
            stop: CancellationToken::new(),
            options: engine_options(instance),
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

    /// Kills every program in the middle of whatever it does, and starts one again.
    pub fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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

    /// A new order of the portal.
    pub fn create(&self, item: &str, bill_no: &str, amount_minor: i64) -> Order {
        let input = self.input(item, bill_no, amount_minor);
        self.try_create(input).expect("the order is made")
    }

    /// What the portal hands in for an order, with a request number of its own.
    pub fn input(&self, item: &str, bill_no: &str, amount_minor: i64) -> CreateInput {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        CreateInput {
            merchant: MerchantCode::try_new("portal").unwrap(),
            request_no: RequestNo::try_new(format!("R{request}")).unwrap(),
            item: ItemCode::try_new(item).unwrap(),
            bill_no: BillNo::try_new(bill_no).unwrap(),
            amount: Money::new(amount_minor, Currency::CNY),
        }
    }

    /// Makes an order, or not.
    pub fn try_create(&self, input: CreateInput) -> Result<Order, Refusal> {
        let actor = merchant_actor(&input.merchant);
        refused(self.wait(self.engine().create(input, &actor)))
    }

    /// Confirms as a customer does who waits; time moves to whatever the engine waits for.
    pub fn confirm(&self, order: &OrderNo) -> Result<Confirmed, Refusal> {
        self.confirm_at(0, order)
    }

    /// The same at one of several programs.
    pub fn confirm_at(&self, place: usize, order: &OrderNo) -> Result<Confirmed, Refusal> {
        let hanging_before = self.far.hanging();
        let mut confirm = self.start_confirm(place, order);
        let waiting = async {
            let (mut clock, mut far) = (self.clock.changes(), self.far.changes());
            loop {
                let is_hanging = self.far.hanging() > hanging_before;
                let due = match self.clock.next_try() {
                    None if is_hanging => self.clock.next_answer(),
                    due => due,
                };
                if let Some(due) = due {
                    self.clock.advance_to(due);
                }
                tokio::select! {
                    biased;
                    answer = &mut confirm => return answer,
                    _ = clock.changed() => {}
                    _ = far.changed() => {}
                }
            }
        };
        let answer = self.wait(async { tokio::time::timeout(PATIENCE, waiting).await });
        let answer = answer.expect("the customer is answered");
        self.settle_down();
        refused(answer.expect("confirming does not panic"))
    }

    /// Begins to confirm and does not wait.
    pub fn start_confirm(
        &self,
        place: usize,
        order: &OrderNo,
    ) -> JoinHandle<Result<Confirmed, EngineError>> {
        let engine = self.houses[place].engine.clone();
        let input = ConfirmInput {
            order_no: order.clone(),
            credential: None,
        };
        let actor = Actor::system();
        self.start(async move { engine.confirm(input, &Scope::All, &actor).await })
    }

    /// Cancels.
    pub fn cancel(&self, order: &OrderNo) -> Result<Order, Refusal> {
        let actor = merchant_actor(&MerchantCode::try_new("portal").unwrap());
        refused(self.wait(self.engine().cancel(order, &Scope::All, &actor)))
    }

    /// One run of the polling job; no exception may fail on our side.
    pub fn poll(&self) -> PollReport {
        self.poll_at(0)
    }

    /// The same at one of several programs.
    pub fn poll_at(&self, place: usize) -> PollReport {
        let report = self
            .wait(self.start_poll(place))
            .expect("polling does not panic");
        assert_eq!(
            report.failed,
            0,
            "errors of the process: {:?}",
            alarms::errors()
        );
        report
    }

    /// Begins a run of the polling job and does not wait.
    pub fn start_poll(&self, place: usize) -> JoinHandle<PollReport> {
        let engine = self.houses[place].engine.clone();
        self.start(async move {
            let actor = Actor::job("poll_exceptions");
            engine.poll(None, &actor).await.expect("the poll runs")
        })
    }

    /// One run of the expiry job; tells how many orders were closed.
    pub fn expire(&self) -> u32 {
        let actor = Actor::job("expire_orders");
        let report = self.wait(self.engine().expire_orders(&actor));
        report.expect("the expiry runs").closed
    }

    /// Lets time pass. Whoever sleeps meanwhile wakes at its own time, and is waited for.
    pub fn advance(&self, by: Duration) {
        self.settle_down();
        let until = later(self.clock.now(), by);
        while let Some(due) = self.clock.next_try().filter(|due| *due <= until) {
            self.clock.advance_to(due);
            self.settle_down();
        }
        self.clock.advance_to(until);
        self.settle_down();
    }

    /// Lets time pass with the jobs at work, polling and expiry each 10 s.
    pub fn run_for(&self, by: Duration) {
        self.run_until(by, || false);
    }

    /// The same until something is so; tells whether it came to be. Ticks at which no job would
    /// find anything to do are leapt over.
    pub fn run_until(&self, at_most: Duration, is_so: impl Fn() -> bool) -> bool {
        let until = later(self.clock.now(), at_most);
        while !is_so() {
            let now = self.clock.now();
            if now >= until {
                return false;
            }
            let left = ticks_until(now, until);
            let idle = self.next_due().map_or(left, |due| ticks_until(now, due));
            self.advance(TICK * idle.clamp(1, left));
            self.poll();
            self.expire();
        }
        true
    }

    /// When a job will next find something to do; none if never. Now, while anybody is at work.
    fn next_due(&self) -> Option<Instant> {
        let now = self.clock.now();
        if self.houses.iter().any(|house| !house.tasks.is_empty()) {
            return Some(now);
        }
        let facts = self.read(Facts::read);
        let orders = facts.orders.iter().filter_map(|order| match order.state {
            OrderState::Created => Some(order.expires_at),
            OrderState::Paying => Some(later(order.updated_at, ORPHAN_AFTER)),
            _ => None,
        });
        let open = facts.exceptions.iter().filter(|e| e.closed_at.is_none());
        let exceptions = open.flat_map(|exception| {
            let free_at = exception.lease_until.unwrap_or(exception.next_at);
            let louder = match exception.alarm {
                _ if exception.phase == Phase::Watch => None,
                AlarmLevel::None => Some(ALARM_AGES.warn),
                AlarmLevel::Warn => Some(ALARM_AGES.critical),
                AlarmLevel::Critical => None,
            };
            let alarm = louder.map(|age| later(exception.opened_at, age));
            [Some(exception.next_at.max(free_at)), alarm]
        });
        orders.chain(exceptions.flatten()).min()
    }

    /// Waits until so many calls hang at the far side.
    pub fn wait_until_hanging(&self, calls: usize) {
        let mut changes = self.far.changes();
        let hanging = changes.wait_for(|now| now.calls >= calls);
        let waited = self.wait(async { tokio::time::timeout(PATIENCE, hanging).await.is_ok() });
        assert!(waited, "{} calls hang, not {calls}", self.far.hanging());
    }

    /// Waits until all detached work sleeps on the clock, hangs at the bank or is done.
    pub fn settle_down(&self) {
        let is_quiet = || {
            let busy: usize = self.houses.iter().map(|house| house.tasks.len()).sum();
            busy <= self.clock.tries_asleep() + self.far.hanging()
        };
        self.wait(async {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while !is_quiet() {
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "the engine never comes to rest"
                );
                // Nobody tells when a task ends, so this looks again until it has.
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
    }

    /// The order as the database has it.
    pub fn order(&self, order: &OrderNo) -> Order {
        let number = order.clone();
        self.read(move |c| orders::find(c, &number))
            .expect("the order is there")
    }

    /// Where the order stands in the database.
    pub fn state(&self, order: &OrderNo) -> OrderState {
        self.order(order).state
    }

    /// The flows of an order, in the sequence of their starts.
    pub fn flows(&self, order: &OrderNo) -> Vec<Flow> {
        self.wait(self.engine().flows_of(vec![order.clone()]))
            .expect("the flows")
    }

    /// The payment of an order.
    pub fn payment(&self, order: &OrderNo) -> Flow {
        let mut flows = self.flows(order).into_iter();
        flows
            .find(|flow| flow.kind == FlowKind::Payment)
            .expect("it has a payment")
    }

    /// The open exception of an order.
    pub fn exception(&self, order: &OrderNo) -> Option<Exception> {
        let all = self
            .wait(self.engine().exceptions_of(order))
            .expect("the exceptions");
        all.into_iter()
            .find(|exception| exception.closed_at.is_none())
    }

    /// The latest case of an order.
    pub fn case(&self, order: &OrderNo) -> Option<Case> {
        self.wait(self.engine().cases_of(order))
            .expect("the cases")
            .pop()
    }

    /// The open case of an order.
    pub fn open_case(&self, order: &OrderNo) -> Option<Case> {
        self.case(order)
            .filter(|case| case.state != CaseState::Closed)
    }

    /// Somebody proposes a decision in the latest case of an order.
    pub fn propose(
        &self,
        who: &str,
        order: &OrderNo,
        decision: Decision,
        evidence: &str,
    ) -> Result<Case, Refusal> {
        let case = self.case(order).expect("it has a case");
        let maker = operator(who);
        let step = self
            .engine()
            .case_propose(&case.case_no, decision, evidence, &maker);
        refused(self.wait(step))
    }

    /// Somebody approves in the latest case of an order.
    pub fn approve(&self, who: &str, order: &OrderNo) -> Result<Order, Refusal> {
        let case = self.case(order).expect("it has a case");
        let approved = self.wait(self.engine().case_approve(&case.case_no, &operator(who)));
        refused(approved).map(|(_, order)| order)
    }

    /// Somebody rejects in the latest case of an order.
    pub fn reject(&self, who: &str, order: &OrderNo, reason: &str) -> Result<Case, Refusal> {
        let case = self.case(order).expect("it has a case");
        refused(
            self.wait(
                self.engine()
                    .case_reject(&case.case_no, reason, &operator(who)),
            ),
        )
    }

    /// Imports a changed state of a merchant, as an operator does.
    pub fn set_merchant(&self, code: &str, state: MerchantState) {
        let mut parts = catalogue::parts();
        parts
            .merchants
            .retain(|merchant| merchant.code.as_str() == code);
        parts
            .merchants
            .iter_mut()
            .for_each(|merchant| merchant.state = state);
        self.import(parts);
    }

    /// Imports an item that is on or off.
    pub fn set_item(&self, code: &str, enabled: bool) {
        let mut parts = catalogue::parts();
        parts.items.retain(|item| item.code.as_str() == code);
        parts
            .items
            .iter_mut()
            .for_each(|item| item.enabled = enabled);
        self.import(parts);
    }

    fn import(&self, parts: payhall::domain::catalogue::CatalogueParts) {
        self.wait(self.store().solo(move |tx| tx.import_catalogue(&parts)))
            .expect("the import");
        for house in &self.houses {
            self.wait(house.engine.refresh_catalogue())
                .expect("the catalogue");
        }
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

/// How many ticks bring the time to an instant or just past it.
fn ticks_until(now: Instant, due: Instant) -> u32 {
    let wait = (due - now).to_std().unwrap_or_default();
    u32::try_from(wait.as_micros().div_ceil(TICK.as_micros())).expect("no test runs that long")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn engine_options(instance: String) -> EngineOptions {
    EngineOptions {
        day: BusinessDay::SHANGHAI,
        order_expiry: Duration::from_secs(2 * 3600),
        answer_within: ANSWER_WITHIN,
        orphan_after: ORPHAN_AFTER,
        alarm_ages: ALARM_AGES,
        case_due: Duration::from_secs(4 * 3600),
        lease: LEASE,
        poll_batch: 100,
        poll_parallel: 8,
        instance,
    }
}

/// An operator by name.
pub fn operator(name: &str) -> Actor {
    Actor {
        who: format!("operator:{name}"),
        request_id: None,
    }
}

fn merchant_actor(code: &MerchantCode) -> Actor {
    Actor {
        who: format!("merchant:{code}"),
        request_id: None,
    }
}

/// Takes a refusal out; a fault of storage fails the test.
pub fn refused<T>(answer: Result<T, EngineError>) -> Result<T, Refusal> {
    match answer {
        Ok(done) => Ok(done),
        Err(EngineError::Refused(refusal)) => Err(refusal),
        Err(EngineError::Store(error)) => panic!("storage failed: {error}"),
    }
}

/// The code of a refusal, for a short comparison.
pub fn code<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> RefusalCode {
    answer.expect_err("it is refused").code
}
