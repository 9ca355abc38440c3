//! `kill -9` at random moments under load, on both databases: what the center has acknowledged is
//! there afterwards, and when the faults are over every order is where the bank's books say.

mod support;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::client::{Client, Failed, OrderView};
use support::database::TestDatabase;
use support::redis::PrivateRedis;
use support::world::{FEE, Setup, TOPUP, World};
use tokio::task::JoinSet;

const KILLS: u32 = 30;
const CALLERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(120);

/// How bills end: mostly well, and each trick of the simulated bank now and then.
const ENDINGS: [u32; 32] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 9001, 9002, 9003, 9004,
    9005, 9006, 9007, 9008, 9009, 9010, 9013, 9016,
];

/// What the callers were told.
#[derive(Default)]
struct Told {
    /// Orders by the request that made them.
    made: BTreeMap<String, Made>,
    /// Orders at rest, as an answer showed them.
    ended: BTreeMap<String, OrderView>,
    /// Answers that nobody should get.
    faults: Vec<String>,
}

#[derive(Clone)]
struct Made {
    item: &'static str,
    bill_no: String,
    order_no: String,
}

/// What the callers share.
struct Load {
    told: Mutex<Told>,
    next: AtomicUsize,
    is_over: AtomicBool,
    seed: u64,
}

impl Load {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// One caller: makes and confirms orders, and repeats what got no answer, as a careful
    /// merchant's server does.
    async fn call(self: Arc<Self>, caller: Client) {
        while !self.is_over() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let mut random = StdRng::seed_from_u64(self.seed ^ number as u64);
            let ending = *ENDINGS.choose(&mut random).expect("some");
            let (item, bill_no) = if random.random_ratio(1, 8) {
                (FEE, format!("S{:04}{ending:04}", number % 10_000))
            } else {
                (TOPUP, format!("138{:04}{ending:04}", number % 10_000))
            };
            let request = format!("crash-{number}");
            let make = || caller.create(&request, (item, &bill_no), 5_000);
            let Some(order) = self.until_answered(make).await else {
                continue;
            };
            let order_no = order.order_no.clone();
            let made = Made {
                item,
                bill_no,
                order_no: order_no.clone(),
            };
            self.told().made.insert(request, made);
            let confirm = || caller.confirm(&order_no);
            if let Some(order) = self.until_answered(confirm).await
                && order.is_at_rest()
                && order.state != "MANUAL"
            {
                self.told().ended.insert(order_no, order);
            }
        }
    }

    /// Repeats a request until it is answered or the load is over.
    async fn until_answered<A>(&self, ask: impl Fn() -> A) -> Option<OrderView>
    where
        A: Future<Output = Result<OrderView, Failed>>,
    {
        loop {
            match ask().await {
                Ok(order) => return Some(order),
                Err(Failed::Link(_)) if self.is_over() => return None,
                // A pause between two tries, so that the load is on the daemon and not on us.
                Err(Failed::Link(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(other) => {
                    self.told().faults.push(other.to_string());
                    return None;
                }
            }
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().expect("no caller panics here")
    }
}

/// Everything that was acknowledged is there, and what was at rest has not moved.
async fn assert_kept(caller: &Client, load: &Load, kill: u32) {
    let (made, ended) = {
        let told = load.told();
        let made: Vec<String> = told
            .made
            .values()
            .map(|made| made.order_no.clone())
            .collect();
        (made, told.ended.clone())
    };
    let there = caller.orders(&made).await.expect("orders");
    for order_no in &made {
        let order = there.get(order_no);
        let order = order.unwrap_or_else(|| panic!("kill {kill}: order {order_no} is gone"));
        if let Some(told) = ended.get(order_no) {
            assert_eq!(order, told, "kill {kill}: the order was told to be at rest");
        }
    }
}

/// The same request again gets the same order, although the answer may have been lost in between.
async fn assert_one_order_a_request(caller: &Client, load: &Load) {
    let made = load.told().made.clone();
    for (request, made) in made.iter().take(50) {
        let again = caller
            .create(request, (made.item, &made.bill_no), 5_000)
            .await;
        assert_eq!(
            again.expect("the first answer").order_no,
            made.order_no,
            "{request}"
        );
    }
}

/// What the bills and the moments are drawn from.
#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
fn seed() -> u64 {
    let given = std::env::var("PAYHALL_TEST_SEED").ok();
    given.map_or_else(rand::random, |seed| {
        seed.parse().expect("PAYHALL_TEST_SEED is a number")
    })
}

async fn survives_kills(database: TestDatabase, redis: Option<PrivateRedis>) {
    let kind = database.kind;
    let seed = seed();
    println!("kills on {kind}: seed {seed} (PAYHALL_TEST_SEED={seed} deals the same cards again)");
    let world = Setup::on(database)
        .redis(redis.as_ref())
        .set("orders.answer_within_ms", 1_500)
        .set("orders.orphan_after_s", 2)
        .sim(&["--late-success-ms", "2000"])
        .start()
        .await;
    let mut daemon = world.daemon().await;
    let load = Arc::new(Load {
        told: Mutex::default(),
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        seed,
    });
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(load.clone().call(daemon.merchant()));
    }
    let mut random = StdRng::seed_from_u64(seed);
    for kill in 1..=KILLS {
        // The moment of the fault, not a wait for anything.
        let moment = Duration::from_micros(random.random_range(20_000..900_000));
        tokio::time::sleep(moment).await;
        daemon.kill_and_restart().await;
        assert_kept(&daemon.merchant(), &load, kill).await;
        world.check();
        world.verify_audit();
    }
    load.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.expect("no caller panics");
    }
    finish(&world, &daemon.merchant(), &load).await;
}

async fn finish(world: &World, caller: &Client, load: &Load) {
    let (made, ended) = {
        let told = load.told();
        assert!(told.faults.is_empty(), "{:?}", told.faults);
        (told.made.len(), told.ended.len())
    };
    world.sim.heal().await;
    caller.all_at_rest(PATIENCE).await;
    assert_kept(caller, load, KILLS).await;
    assert_one_order_a_request(caller, load).await;
    println!(
        "{KILLS} kills on {}: {made} orders acknowledged, {ended} of them as at rest",
        world.database.kind
    );
    assert!(ended > 0, "the load never got through");
    world.check_settled();
    let verified = world.verify_audit();
    assert!(verified.contains("no findings"), "{verified}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_on_sqlite() {
    survives_kills(TestDatabase::sqlite(), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_on_postgres() {
    if let Some(database) = TestDatabase::postgres() {
        let redis = PrivateRedis::start("copies in the cache after a kill");
        survives_kills(database, redis).await;
    }
}
