//! I9: copies in a real Redis, sound and spoilt.

use crate::pair::{CREATED, FAILED, ORDERS, Pair, SUCCEEDED, on_each, step, write};
use crate::support::given;
use crate::support::redis::{Answer, PrivateRedis};
use payhall::cache::{Cache, CacheSettings, Snapshot};
use payhall::check::{Invariant, run};
use payhall::domain::flow::{Flow, FlowState};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::time::Instant;
use payhall::storage::{View, flows, orders, walk};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

const MINUTE: Duration = Duration::from_secs(60);

/// The pair's orders and flows with their copies in Redis.
struct Copied {
    pair: Pair,
    redis: PrivateRedis,
}

impl Copied {
    /// Copies everything as it is; none where there is no Redis.
    async fn new(mut pair: Pair, redis: Option<PrivateRedis>) -> Option<Self> {
        let redis = redis?;
        pair.options.cache = patient(&redis.url());
        let mut view = View::open(&pair.database.url).unwrap();
        let all = walk::orders(view.connection(), None, 1_000).unwrap();
        let all: Vec<Order> = all.into_iter().map(|(_, order)| order.unwrap()).collect();
        let numbers: Vec<_> = all.iter().map(|order| order.order_no.clone()).collect();
        let flows = flows::of_orders(view.connection(), &numbers).unwrap();
        let copied = Self { pair, redis };
        copied.keep(all).await;
        copied.keep(flows).await;
        Some(copied)
    }

    /// Hands copies to the cache, as after a commit.
    async fn keep<T: Into<Snapshot>>(&self, values: Vec<T>) {
        let cache = Cache::open(&self.pair.options.cache, given::at(0)).unwrap();
        cache.mirror(values.into_iter().map(Into::into).collect());
        cache.drain().await;
    }

    /// Puts a copy past the fence that holds older ones back.
    async fn replace(&self, value: impl Into<Snapshot>) {
        let value = value.into();
        assert_eq!(self.redis.ask(&["DEL", &value.key()]), Answer::Number(1));
        self.keep(vec![value]).await;
    }

    fn order(&self, digits: u64) -> Order {
        let mut view = View::open(&self.pair.database.url).unwrap();
        let found = orders::find(view.connection(), &given::order_no(digits));
        found.unwrap().unwrap()
    }

    fn payment(&self, digits: u64) -> Flow {
        let mut view = View::open(&self.pair.database.url).unwrap();
        let found = flows::of_orders(view.connection(), &[given::order_no(digits)]);
        found.unwrap().remove(0)
    }
}

fn patient(url: &str) -> CacheSettings {
    CacheSettings {
        url: url.into(),
        command_timeout_ms: 20_000,
        ..CacheSettings::default()
    }
}

/// Runs a test on copies of a sound pair, on every kind of database.
async fn on_copies<F: AsyncFn(Copied)>(test: F) {
    on_each(async |pair| {
        if let Some(copied) = Copied::new(pair, PrivateRedis::start("the check of copies")).await {
            test(copied).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sound_copies_are_counted_and_nothing_is_found() {
    on_copies(async |copied| {
        let report = copied.pair.check();
        assert!(report.is_clean(), "{report}");
        let flows = report.figures.flows;
        assert_eq!(report.figures.copies, Some(ORDERS + flows), "{report}");
        let said = format!("looked at {} copies in the cache", ORDERS + flows);
        assert!(report.to_string().contains(&said), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_looked_at_as_well() {
    let pair = Pair::new(crate::support::database::TestDatabase::sqlite()).await;
    let redis = PrivateRedis::start_cluster("the check of copies in a cluster");
    let Some(copied) = Copied::new(pair, redis).await else {
        return;
    };
    let report = copied.pair.check();
    assert!(report.is_clean(), "{report}");
    assert!(report.figures.copies > Some(ORDERS), "{report}");
}

#[tokio::test]
async fn without_a_redis_the_report_says_what_was_not_looked_at() {
    on_each(async |pair| {
        let report = pair.check();
        assert_eq!(report.figures.copies, None);
        assert!(report.to_string().contains("(I9) were not looked at"));
    })
    .await;
}

#[tokio::test]
async fn a_copy_ahead_of_the_database_is_found() {
    on_copies(async |copied| {
        let mut ahead = copied.order(SUCCEEDED);
        ahead.version += 1;
        copied.keep(vec![ahead]).await;
        let words = "a version that the database does not have";
        copied.pair.assert_found(Invariant::Cache, SUCCEEDED, words);
    })
    .await;
    on_copies(async |copied| {
        let mut ahead = copied.payment(FAILED);
        ahead.version += 1;
        let words = format!("flow {}: the cache has", ahead.flow_no);
        copied.keep(vec![ahead]).await;
        copied.pair.assert_found(Invariant::Cache, FAILED, &words);
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_says_something_else_is_found() {
    on_copies(async |copied| {
        let mut other = copied.order(FAILED);
        other.state = OrderState::Succeeded;
        other.amount.amount_minor += 1;
        copied.replace(other).await;
        let words = "they differ in amount, state";
        copied.pair.assert_found(Invariant::Cache, FAILED, words);
    })
    .await;
    on_copies(async |copied| {
        let mut other = copied.payment(SUCCEEDED);
        other.upstream_ref = Some("somebody else's".to_owned());
        copied.replace(other).await;
        let words = "they differ in upstream_ref";
        copied.pair.assert_found(Invariant::Cache, SUCCEEDED, words);
    })
    .await;
}

/// Puts an older copy of an order there, lets time go, and tells what was found about copies.
async fn older(copied: &mut Copied, state: OrderState, after: Duration) -> Option<String> {
    let order = copied.order(SUCCEEDED);
    let copy = Order {
        state,
        version: order.version - 1,
        ..order
    };
    copied.replace(copy).await;
    copied.pair.options.now = at(order_moved(copied), after);
    let report = copied.pair.check();
    let mut found = report.findings.iter();
    found
        .find(|finding| finding.invariant == Invariant::Cache)
        .map(ToString::to_string)
}

fn order_moved(copied: &Copied) -> Instant {
    copied.order(SUCCEEDED).updated_at
}

fn at(moment: Instant, after: Duration) -> Instant {
    moment + chrono::Duration::from_std(after).unwrap()
}

#[tokio::test]
async fn an_older_copy_is_found_when_its_life_is_over() {
    on_copies(async |mut copied| {
        // A copy may be written a little after its life began, so the grace is added.
        let open = Duration::from_secs(30) + MINUTE;
        let second = Duration::from_secs(1);
        assert_eq!(older(&mut copied, OrderState::Paying, open).await, None);
        let found = older(&mut copied, OrderState::Paying, open + second).await;
        let found = found.expect("an open copy that outlived its life");
        assert!(found.contains("after its life"), "{found}");
        assert!(found.contains("PAYING of version 1"), "{found}");

        let at_rest = 15 * MINUTE + MINUTE;
        assert_eq!(older(&mut copied, OrderState::Failed, at_rest).await, None);
        let found = older(&mut copied, OrderState::Failed, at_rest + second).await;
        assert!(found.is_some(), "a copy at rest that outlived its life");
    })
    .await;
}

#[tokio::test]
async fn an_older_copy_of_a_flow_is_found_when_its_life_is_over() {
    on_copies(async |mut copied| {
        let flow = copied.payment(SUCCEEDED);
        let copy = Flow {
            state: FlowState::Started,
            concluded_at: None,
            version: flow.version - 1,
            ..flow
        };
        copied.replace(copy).await;
        copied.pair.options.now = at(order_moved(&copied), 2 * MINUTE);
        let report = copied.pair.check();
        let found = &report.findings_by_invariant;
        assert_eq!(found.get(&Invariant::Cache), Some(&1), "{report}");
    })
    .await;
}

#[tokio::test]
async fn what_readers_take_for_a_miss_is_no_finding() {
    on_copies(async |copied| {
        let key = |digits| Snapshot::from(copied.order(digits)).key();
        copied
            .redis
            .ask(&["SET", &key(SUCCEEDED), "99|{\"garbage\":"]);
        copied.redis.ask(&["DEL", &key(FAILED)]);
        copied.redis.ask(&["HSET", &key(FAILED), "a", "b"]);
        let report = copied.pair.check();
        assert!(report.is_clean(), "{report}");
        let all = ORDERS + report.figures.flows;
        assert_eq!(report.figures.copies, Some(all - 2), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_and_not_a_clean_report() {
    on_copies(async |mut copied| {
        copied.pair.check();
        copied.redis.kill();
        let error = run(&copied.pair.options).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("the cache (cache.url) cannot be read"),
            "{error}"
        );
    })
    .await;
}

/// A way to Redis that holds the first question about copies back, until it is let go.
struct Gate {
    socket: std::path::PathBuf,
    asked: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Gate {
    fn before(redis: &PrivateRedis) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gate.sock");
        let gate = UnixListener::bind(&socket).unwrap();
        let (tell_asked, asked) = oneshot::channel();
        let (go, mut may_go) = oneshot::channel();
        let behind = redis.socket();
        tokio::spawn(async move {
            let (caller, _) = gate.accept().await.unwrap();
            let (mut questions, mut to_caller) = caller.into_split();
            let redis = UnixStream::connect(behind).await.unwrap();
            let (mut answers, mut to_redis) = redis.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to_caller).await });
            let (mut bytes, mut tell_asked) = (vec![0; 65_536], Some(tell_asked));
            loop {
                let read = questions.read(&mut bytes).await.unwrap();
                if read == 0 {
                    break;
                }
                let is_about_copies = bytes[..read].windows(4).any(|word| word == b"MGET");
                if let Some(tell) = tell_asked.take_if(|_| is_about_copies) {
                    tell.send(()).unwrap();
                    (&mut may_go).await.unwrap();
                }
                to_redis.write_all(&bytes[..read]).await.unwrap();
            }
        });
        Self {
            socket,
            asked,
            go,
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn a_center_that_goes_on_meanwhile_is_no_finding() {
    on_copies(async |copied| {
        copied.pair.check();
        let gate = Gate::before(&copied.redis);
        let mut options = copied.pair.options.clone();
        options.cache = patient(&format!("redis+unix://{}", gate.socket.display()));
        let check = tokio::task::spawn_blocking(move || run(&options).unwrap());
        // The view of the database is open now.
        gate.asked.await.unwrap();
        let store = copied.pair.store("meanwhile");
        let closed = step(&copied.order(CREATED), "CANCELLED", OrderState::Closed, 3);
        let closed = write(&store, closed).await;
        store.close().await;
        let mut ahead = copied.order(FAILED);
        ahead.version += 1;
        copied.keep(vec![closed, ahead]).await;
        gate.go.send(()).unwrap();

        let report = check.await.unwrap();
        let about: Vec<_> = report
            .findings
            .iter()
            .map(|finding| (finding.invariant, finding.order_no.clone()))
            .collect();
        let expected = (Invariant::Cache, Some(given::number(FAILED)));
        assert_eq!(about, [expected], "{report}");
    })
    .await;
}
