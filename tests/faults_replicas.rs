//! Several daemons on one PostgreSQL: one that is paused past its lease, ten that start at once, a
//! thousand confirmations of one order, ten thousand payments in doubt, an orderly stop, and a Redis
//! that goes away.

mod support;

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::client::{Failed, IN_DOUBT, OrderView};
use support::database::TestDatabase;
use support::load::{good_bill, pay_many};
use support::process::wait_for;
use support::redis::{Answer, PrivateRedis};
use support::world::{Daemon, Setup, TOPUP};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(120);

/// Who measures has the machine to itself; the others share it.
static MACHINE: RwLock<()> = RwLock::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_past_its_lease_does_no_harm() {
    const DOUBTFUL: usize = 100;
    const UNDER_WAY: usize = 20;
    let _shared = MACHINE.read().await;
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let redis = PrivateRedis::start("the cache of replicas of which one is paused");
    let world = Setup::on(database)
        .redis(redis.as_ref())
        .set("adapters.bank.tries_s", Vec::<i64>::new())
        .set("orders.orphan_after_s", 2)
        .start()
        .await;
    let paused = world.daemon().await;
    let doubt = json!({ "op": "PAY", "effect": "NOW", "answer": { "status": -1 } });
    let doubt = world.sim.fault(doubt).await;
    world
        .sim
        .fault(json!({ "op": "QUERY", "answer": { "hang": true } }))
        .await;
    let answers = pay_many(&[paused.merchant()], 0..DOUBTFUL, 16).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    world.sim.remove_fault(doubt).await;

    // It is stopped while its poller asks, with leases on everything that is due, and while
    // payments are under way: with some the bank has the request, with others not yet.
    world.sim.latency_ms(400).await;
    let asked = world.sim.calls("QUERY").await;
    wait_for("the poller to ask", PATIENCE, async || {
        (world.sim.calls("QUERY").await > asked).then_some(())
    })
    .await;
    let paid = world.sim.calls("PAY").await;
    let mut under_way = JoinSet::new();
    for number in DOUBTFUL..DOUBTFUL + UNDER_WAY {
        let caller = paused.merchant();
        let (request, bill_no) = (format!("under-way-{number}"), good_bill(number));
        under_way.spawn(async move { caller.pay(&request, (TOPUP, &bill_no), 5_000).await });
    }
    wait_for("payments to be under way", PATIENCE, async || {
        (world.sim.calls("PAY").await > paid).then_some(())
    })
    .await;
    paused.process.signal("STOP");

    world.sim.clear_faults().await;
    world.sim.latency_ms(0).await;
    let awake = world.daemon().await;
    awake.merchant().all_at_rest(PATIENCE).await;
    let taken_over = world.sim.calls("QUERY").await;
    assert!(taken_over > asked, "the other replica asked nothing");

    paused.process.signal("CONT");
    while let Some(answer) = under_way.join_next().await {
        let order = answer.expect("no panic").expect("an answer, if late");
        let stored = awake.merchant().at_rest(&order.order_no, PATIENCE).await;
        // What had not left when the replica was stopped may not leave any more when it wakes.
        let debits = world.sim.events(&order.order_no, "DEBIT").len();
        let wanted = if debits == 1 { "SUCCEEDED" } else { "FAILED" };
        assert_eq!(stored.state, wanted, "{debits} debits, told {order:?}");
    }
    for answer in pay_many(&[paused.merchant(), awake.merchant()], 500..540, 8).await {
        let order = answer.expect("both serve");
        let end = awake.merchant().at_rest(&order.order_no, PATIENCE).await;
        assert_eq!(end.state, "SUCCEEDED", "{order:?}");
    }
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_replicas_start_at_once_on_an_empty_database() {
    let _shared = MACHINE.read().await;
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let world = Setup::on(database)
        .set("storage.readers", 2)
        .set("storage.writers", 1)
        .start_empty()
        .await;
    let mut ten: Vec<Daemon> = (0..10).map(|_| world.launch()).collect();
    for daemon in &mut ten {
        daemon.ready().await;
    }
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres"));
    let migrations = migrations.expect("the migrations").count();
    let log: String = ten.iter().map(|daemon| daemon.process.log()).collect();
    assert_eq!(
        log.matches("a migration was run").count(),
        migrations,
        "{log}"
    );
    world.import_catalogue();
    for (number, daemon) in ten.iter().enumerate() {
        let (request, bill_no) = (format!("one-of-ten-{number}"), good_bill(number));
        let merchant = daemon.merchant();
        // A daemon that was there before the catalogue sees it a moment later.
        let paid = wait_for(
            "the catalogue to be seen",
            PATIENCE,
            async || match merchant.pay(&request, (TOPUP, &bill_no), 5_000).await {
                Err(Failed::Refused { .. }) => None,
                other => Some(other),
            },
        );
        let order_no = paid.await.expect("an order").order_no;
        assert_eq!(
            merchant.at_rest(&order_no, PATIENCE).await.state,
            "SUCCEEDED"
        );
    }
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_confirmations_pay_once() {
    const CONFIRMATIONS: usize = 1_000;
    let _shared = MACHINE.read().await;
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let redis = PrivateRedis::start("the cache of two replicas");
    let world = Setup::on(database)
        .redis(redis.as_ref())
        // The bank shares the machine with a thousand callers, and nobody gives it up meanwhile.
        .set("adapters.bank.total_timeout_ms", 20_000)
        .set("adapters.bank.send_within_s", 20)
        .set("adapters.bank.certainty_window_s", 60)
        .set("adapters.bank.quick_polls", 40)
        .set("orders.orphan_after_s", 60)
        .start()
        .await;
    let two = [world.daemon().await, world.daemon().await];
    // Long enough that the first is still under way when the others come.
    world.sim.latency_ms(300).await;
    let order = two[0]
        .merchant()
        .create("one", (TOPUP, &good_bill(1)), 5_000)
        .await;
    let order_no = order.expect("an order").order_no;
    let mut confirming = JoinSet::new();
    for number in 0..CONFIRMATIONS {
        let (caller, order_no) = (two[number % 2].merchant(), order_no.clone());
        confirming.spawn(async move { caller.confirm(&order_no).await });
    }
    let mut answered = 0;
    while let Some(answer) = confirming.join_next().await {
        let order = answer.expect("no panic").expect("the order as it stands");
        assert!(
            ["PAYING", "UNKNOWN", "SUCCEEDED"].contains(&order.state.as_str()),
            "{order:?}"
        );
        answered += 1;
    }
    assert_eq!(answered, CONFIRMATIONS);
    let end = two[1].merchant().at_rest(&order_no, PATIENCE).await;
    assert_eq!(end.state, "SUCCEEDED");
    assert_eq!(world.sim.events(&order_no, "DEBIT").len(), 1);
    assert_eq!(world.sim.events(&order_no, "CREDIT").len(), 1);
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_payments_in_doubt_are_settled_within_a_minute() {
    const ORDERS: usize = 10_000;
    let _alone = MACHINE.write().await;
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let standard_rung = toml::Value::try_from(json!([
        { "wait_s": 10, "times": 18 }, { "wait_s": 60, "times": 7 },
    ]));
    let world = Setup::on(database)
        .with_standard_jobs()
        .set("adapters.bank.tries_s", Vec::<i64>::new())
        .set("adapters.bank.total_timeout_ms", 5_000)
        .set("adapters.bank.send_within_s", 5)
        .set("adapters.bank.certainty_window_s", 600)
        .set("adapters.bank.quick_polls", 18)
        .set("adapters.bank.ladder.rungs", standard_rung.expect("TOML"))
        .set("orders.orphan_after_s", 30)
        .set("storage.readers", 8)
        .sim(&["--no-ledger-calls"])
        .start()
        .await;
    let daemon = world.daemon().await;
    let merchant = daemon.merchant();
    for fault in [
        json!({ "op": "PAY", "effect": "NOW", "answer": { "status": -1 } }),
        json!({ "op": "QUERY", "answer": { "status": -1 } }),
    ] {
        world.sim.fault(fault).await;
    }
    let begun = Instant::now();
    let answers = pay_many(std::slice::from_ref(&merchant), 0..ORDERS, 64).await;
    let unknown = answers
        .iter()
        .flatten()
        .filter(|order| order.state == "UNKNOWN")
        .count();
    assert_eq!(
        unknown,
        ORDERS,
        "{:?}",
        answers.iter().find(|answer| answer.is_err())
    );
    println!(
        "{ORDERS} payments in doubt were made in {:.1?}",
        begun.elapsed()
    );

    let others = merchant.are_more_than(0, &["SUCCEEDED", "FAILED", "REVERSING", "REVERSED"]);
    assert_eq!(
        others.await,
        Ok(false),
        "some are out of doubt before the bank is well again"
    );
    world.sim.heal().await;
    let healed = Instant::now();
    wait_for("99 % of them to be settled", PATIENCE, async || {
        let open = merchant.are_more_than(ORDERS / 100, &IN_DOUBT).await;
        open.is_ok_and(|more| !more).then_some(())
    })
    .await;
    let took = healed.elapsed();
    println!(
        "99 % of 10,000 exceptions settled in {:.1} s",
        took.as_secs_f32()
    );
    assert!(took <= Duration::from_secs(60), "it took {took:?}");
    merchant.all_at_rest(PATIENCE).await;
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_answers_what_is_under_way() {
    const UNDER_WAY: usize = 50;
    let _shared = MACHINE.read().await;
    for database in TestDatabase::all() {
        let world = Setup::on(database)
            .set("adapters.bank.total_timeout_ms", 8_000)
            .set("adapters.bank.send_within_s", 20)
            .set("adapters.bank.certainty_window_s", 30)
            .set("adapters.bank.quick_polls", 28)
            .set("orders.orphan_after_s", 60)
            .start()
            .await;
        let mut daemon = world.daemon().await;
        world.sim.latency_ms(1_500).await;
        let mut confirming = JoinSet::new();
        for number in 0..UNDER_WAY {
            let (caller, bill_no) = (daemon.merchant(), good_bill(number));
            confirming.spawn(async move {
                caller
                    .pay(&format!("stop-{number}"), (TOPUP, &bill_no), 5_000)
                    .await
            });
        }
        wait_for("all payments to be at the bank", PATIENCE, async || {
            (world.sim.calls("PAY").await == UNDER_WAY as u64).then_some(())
        })
        .await;
        let status = daemon.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", daemon.process.log());
        let mut paid: Vec<OrderView> = Vec::new();
        while let Some(answer) = confirming.join_next().await {
            paid.push(answer.expect("no panic").expect("an answer before the end"));
        }
        assert!(
            paid.iter().all(|order| order.state == "SUCCEEDED"),
            "{paid:?}"
        );
        let late = daemon
            .merchant()
            .create("late", (TOPUP, &good_bill(99)), 5_000)
            .await;
        assert!(matches!(late, Err(Failed::Link(_))), "{late:?}");
        world.check_settled();
        let next = world.daemon().await;
        for order in paid {
            assert_eq!(next.merchant().stored(&order.order_no).await, Ok(order));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_cannot_wait_leaves_the_rest_to_the_next_start() {
    const UNDER_WAY: usize = 10;
    let _shared = MACHINE.read().await;
    for database in TestDatabase::all() {
        let mut world = Setup::on(database)
            .set("server.drain_s", 1)
            .set("adapters.bank.total_timeout_ms", 60_000)
            .set("adapters.bank.certainty_window_s", 120)
            .set("adapters.bank.quick_polls", 63)
            .start()
            .await;
        let mut daemon = world.daemon().await;
        let hang = json!({ "op": "PAY", "effect": "NOW", "answer": { "hang": true } });
        world.sim.fault(hang).await;
        let mut confirming = JoinSet::new();
        for number in 0..UNDER_WAY {
            let (caller, bill_no) = (daemon.merchant(), good_bill(number));
            confirming.spawn(async move {
                caller
                    .pay(&format!("stop-{number}"), (TOPUP, &bill_no), 5_000)
                    .await
            });
        }
        wait_for("all payments to be at the bank", PATIENCE, async || {
            (world.sim.calls("PAY").await == UNDER_WAY as u64).then_some(())
        })
        .await;
        let status = daemon.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", daemon.process.log());
        world.set("adapters.bank.total_timeout_ms", 1_000);
        let next = world.daemon().await;
        let merchant = next.merchant();
        for number in 0..UNDER_WAY {
            let bill_no = good_bill(number);
            let made = merchant
                .create(&format!("stop-{number}"), (TOPUP, &bill_no), 5_000)
                .await;
            let end = merchant
                .at_rest(&made.expect("the order").order_no, PATIENCE)
                .await;
            assert_eq!(end.state, "SUCCEEDED");
        }
        world.check_settled();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_do_not_notice_that_redis_goes_away() {
    let _shared = MACHINE.read().await;
    let Some(mut redis) = PrivateRedis::start("a Redis that goes away under load") else {
        return;
    };
    let world = Setup::on(TestDatabase::sqlite())
        .redis(Some(&redis))
        .start()
        .await;
    let daemon = world.daemon().await;
    let done = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for lane in 0..4 {
        let (caller, done, stop) = (daemon.merchant(), done.clone(), stop.clone());
        callers.spawn(async move {
            let mut number = lane;
            while !stop.load(Ordering::Relaxed) {
                let (request, bill_no) = (format!("redis-{number}"), good_bill(number));
                let paid = caller.pay(&request, (TOPUP, &bill_no), 5_000).await?;
                let seen = caller.order(&paid.order_no).await?.expect("the order");
                assert!(
                    seen.version >= paid.version,
                    "{seen:?} is older than {paid:?}"
                );
                number += 4;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Failed>(())
        });
    }
    let progress = async |what: &str| {
        let from = done.load(Ordering::Relaxed);
        wait_for(what, PATIENCE, async || {
            (done.load(Ordering::Relaxed) > from + 50).then_some(())
        })
        .await;
    };
    progress("orders with Redis").await;
    redis.kill();
    progress("orders without Redis").await;
    redis.up();
    progress("orders with Redis again").await;
    wait_for("the cache to be used again", PATIENCE, async || {
        let size = redis.ask(&["DBSIZE"]);
        matches!(size, Answer::Number(keys) if keys > 0).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.expect("no panic").expect("no error to a caller");
    }
    daemon.merchant().all_at_rest(PATIENCE).await;
    world.check_settled();
}
