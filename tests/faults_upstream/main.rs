//! What the far side can do to us, over real HTTP: every row about upstreams in the table of faults,
//! each ended by a comparison of the database with the bank's own ledger.

mod rows;
#[path = "../support/mod.rs"]
mod support;

use rows::{Row, all_rows, pay, query, reverse, unknown};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use support::client::{CHECKER, Client, Failed, MAKER, OrderView};
use support::database::TestDatabase;
use support::load::pay_many;
use support::process::wait_for;
use support::world::{FEE, Setup, TOPUP, World};
use tokio::task::JoinSet;

/// How long an order may take to come to where it has to be.
const PATIENCE: Duration = Duration::from_secs(90);

/// A bill number of an item that behaves well at the simulated bank.
fn bill_no(item: &str, number: usize) -> String {
    assert!(
        number < 9_000,
        "numbers that end in 9001 and more have tricks of their own"
    );
    match item {
        TOPUP => format!("1380000{number:04}"),
        _ => format!("S2026{number:04}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_ends_where_the_bank_s_books_say() {
    let world = Setup::on(TestDatabase::sqlite())
        // Room for some asks before a success that comes late, but in time: even where a process stands
        // still for some seconds, or some asks are lost on a slow machine.
        .set("adapters.bank.send_within_s", 6)
        .set("adapters.bank.certainty_window_s", 9)
        .set("adapters.bank.quick_polls", 8)
        .set("adapters.legacy.send_within_s", 6)
        .set("adapters.legacy.certainty_window_s", 14)
        .set("adapters.legacy.case_after_s", 20)
        .start()
        .await;
    let daemon = world.daemon().await;
    let rows = all_rows();
    let merchant = daemon.merchant();
    let mut confirming = JoinSet::new();
    for (place, row) in rows.iter().enumerate() {
        let bill_no = bill_no(row.item, place);
        for fault in &row.faults {
            let mut fault = fault.clone();
            fault["bill_no"] = json!(bill_no);
            world.sim.fault(fault).await;
        }
        let (merchant, item) = (merchant.clone(), row.item);
        confirming.spawn(async move {
            let paid = merchant
                .pay(&format!("row-{place}"), (item, &bill_no), 5_000)
                .await;
            (place, paid)
        });
    }
    let mut mistakes = Vec::new();
    let mut orders: Vec<Option<OrderView>> = vec![None; rows.len()];
    while let Some(confirmed) = confirming.join_next().await {
        let (place, answer) = confirmed.expect("no panic");
        match answer {
            Ok(order) => orders[place] = Some(order),
            Err(error) => mistakes.push(format!("{}: {error}", rows[place].name)),
        }
    }
    for (row, order) in rows.iter().zip(orders) {
        let Some(order) = order else { continue };
        let end = end_of(&merchant, row, &order.order_no).await;
        mistakes.extend(wrong_with(&world, &merchant, row, &end).await);
    }
    assert!(
        mistakes.is_empty(),
        "{} rows:\n{}",
        mistakes.len(),
        mistakes.join("\n")
    );
    world.check();
}

/// The order where it was expected, or where nothing but people will move it from.
async fn end_of(merchant: &Client, row: &Row, order_no: &str) -> OrderView {
    wait_for(
        &format!("the end of {:?}", row.name),
        PATIENCE,
        async || {
            let order = merchant.stored(order_no).await.ok()?;
            let is_there = row.ends.contains(&order.state.as_str());
            // A slow machine may call people about an order that the bank answers for after all.
            (is_there || (order.is_at_rest() && order.state != "MANUAL")).then_some(order)
        },
    )
    .await
}

/// What is wrong with the end of a row's order, with its story.
async fn wrong_with(world: &World, merchant: &Client, row: &Row, end: &OrderView) -> Vec<String> {
    let mut wrong = Vec::new();
    if !row.ends.contains(&end.state.as_str()) {
        wrong.push(format!("is {}, not {:?}", end.state, row.ends));
    }
    if row.reason.is_some() && end.reason.as_deref() != row.reason {
        wrong.push(format!("for {:?}, not {:?}", end.reason, row.reason));
    }
    if let Some(kind) = row.alarm {
        // It is posted when the order has moved already.
        wait_for(&format!("{kind} of {:?}", row.name), PATIENCE, async || {
            let raised = world.sim.alarms(&end.order_no).await;
            raised.iter().any(|raised| raised == kind).then_some(())
        })
        .await;
    }
    if !wrong.is_empty() {
        let story = merchant.timeline(&end.order_no).await.unwrap_or_default();
        wrong.push(format!("{:#}", story["entries"]));
    }
    wrong
        .into_iter()
        .map(|what| format!("{}: {what}", row.name))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_sent_is_a_known_failure() {
    // What is refused is refused at once; a slow machine may not turn that into a time-out.
    let mut world = Setup::on(TestDatabase::sqlite())
        .set("adapters.bank.connect_timeout_ms", 20_000)
        .set("adapters.bank.total_timeout_ms", 30_000)
        .set("adapters.bank.lookup_timeout_ms", 30_000)
        .set("adapters.bank.certainty_window_s", 60)
        .set("adapters.bank.quick_polls", 60)
        .start()
        .await;
    let good_url = format!("{}/bank", world.sim.url);
    let closed = support::process::free_address();
    let bad_urls = [
        ("no address", "http://bank.invalid/bank".to_owned()),
        ("connection refused", format!("http://{closed}/bank")),
        ("no TLS there", good_url.replace("http:", "https:")),
    ];
    let bill = (TOPUP, "13800000001");
    for (place, (name, url)) in bad_urls.iter().enumerate() {
        world.set("adapters.bank.url", url.as_str());
        let mut daemon = world.daemon().await;
        let paid = daemon
            .merchant()
            .pay(&format!("unsent-{place}"), bill, 5_000)
            .await;
        let order = paid.expect(name);
        assert_eq!(
            (order.state.as_str(), order.reason.as_deref()),
            ("FAILED", Some("NOT_SENT"))
        );
        assert!(
            world.sim.events(&order.order_no, "CALL").is_empty(),
            "{name}"
        );
        assert!(daemon.terminate().await.success());
    }
    world.set("adapters.bank.url", good_url);
    let daemon = world.daemon().await;
    let merchant = daemon.merchant();
    let order = merchant
        .pay("sent", bill, 5_000)
        .await
        .expect("paid at last");
    assert_eq!(
        merchant.at_rest(&order.order_no, PATIENCE).await.state,
        "SUCCEEDED"
    );
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_an_answer_nor_a_reversal_is_decided_by_two_people() {
    let world = Setup::on(TestDatabase::sqlite()).start().await;
    let daemon = world.daemon().await;
    let (ann, bob) = (daemon.caller(MAKER), daemon.caller(CHECKER));
    world
        .sim
        .fault(json!({ "op": "ANY", "effect": "NONE", "answer": { "status": -1 } }))
        .await;
    let paid = daemon
        .merchant()
        .pay("r", (TOPUP, "13800000001"), 5_000)
        .await
        .expect("an order");
    let order = ann.at_rest(&paid.order_no, PATIENCE).await;
    assert_eq!(order.state, "MANUAL");
    let cases = ann.cases(&order.order_no).await.expect("cases");
    assert_eq!(cases.len(), 1, "{cases:?}");
    let raised = wait_for("the alarm", PATIENCE, async || {
        Some(world.sim.alarms(&order.order_no).await).filter(|raised| !raised.is_empty())
    });
    assert_eq!(raised.await, ["CASE_OPENED"]);
    world.check_settled();

    let case_no = cases[0]["caseNo"].as_str().expect("a number");
    let again = daemon
        .merchant()
        .pay("r2", (TOPUP, "13800000001"), 5_000)
        .await;
    let Err(Failed::Refused { code, order_no }) = again else {
        panic!("{again:?}")
    };
    assert_eq!(
        (code.as_str(), order_no),
        ("PAYMENT_IN_PROGRESS", Some(order.order_no.clone()))
    );
    const DECIDE: &str = "mutation D($no: String!) { caseDecide(input: \
        { caseNo: $no, decision: FAILED, evidence: \"the bank's statement of today has no such line\" }) \
        { case { state version } userErrors { code } } }";
    const APPROVE: &str = "mutation A($no: String!, $version: Int!) \
        { caseApprove(input: { caseNo: $no, version: $version }) \
        { case { state } order { state } userErrors { code } } }";
    let case = json!({ "no": case_no });
    let proposed = ann.ask(DECIDE, case).await.expect("an answer");
    assert_eq!(
        proposed["caseDecide"]["case"]["state"], "PROPOSED",
        "{proposed}"
    );
    let case = json!({ "no": case_no, "version": proposed["caseDecide"]["case"]["version"] });
    let own = ann.ask(APPROVE, case.clone()).await;
    let is_refused = own
        .as_ref()
        .map_or(true, |data| data["caseApprove"]["case"].is_null());
    assert!(is_refused, "the maker approved: {own:?}");
    let approved = bob.ask(APPROVE, case).await.expect("an answer");
    assert_eq!(
        approved["caseApprove"]["order"]["state"], "FAILED",
        "{approved}"
    );
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_success_opens_a_case_and_moves_no_order() {
    let world = Setup::on(TestDatabase::sqlite())
        .set("adapters.bank.tombstones", false)
        // A payment that was not found is asked about once more, a window later. The bank has to have come
        // to its senses by then, and nobody calls people before.
        .set("adapters.legacy.send_within_s", 6)
        .set("adapters.legacy.certainty_window_s", 10)
        .set("adapters.legacy.case_after_s", 60)
        .start()
        .await;
    let daemon = world.daemon().await;
    let merchant = daemon.merchant();
    let fault = async |fault: Value, bill_no: &str| {
        let mut fault = fault;
        fault["bill_no"] = json!(bill_no);
        world.sim.fault(fault).await;
    };
    // The bank pays, and for a while does not find the payment in its own books.
    fault(pay("NOW", json!({ "hang": true })), "S20260001").await;
    fault(query(json!({ "status": 4 })), "S20260001").await;
    // The bank says that it has undone the payment, and has not.
    for bad in [
        pay("NOW", unknown()),
        query(unknown()),
        reverse("NONE", json!({ "status": 1 })),
    ] {
        fault(bad, "13800000002").await;
    }
    let (failed, reversed) = tokio::join!(
        merchant.pay("r1", (FEE, "S20260001"), 5_000),
        merchant.pay("r2", (TOPUP, "13800000002"), 5_000),
    );
    let failed = merchant
        .at_rest(&failed.expect("an order").order_no, PATIENCE)
        .await;
    let reversed = merchant
        .at_rest(&reversed.expect("an order").order_no, PATIENCE)
        .await;
    assert_eq!((&*failed.state, &*reversed.state), ("FAILED", "REVERSED"));
    world.sim.clear_faults().await;
    for order in [failed, reversed] {
        let ann = daemon.caller(MAKER);
        let case = wait_for("the case of a late success", PATIENCE, async || {
            ann.cases(&order.order_no).await.ok()?.into_iter().next()
        });
        assert_eq!(case.await["kind"], "LATE_SUCCESS");
        let raised = wait_for("the alarm", PATIENCE, async || {
            let raised = world.sim.alarms(&order.order_no).await;
            raised
                .iter()
                .any(|kind| kind == "LATE_SUCCESS")
                .then_some(())
        });
        raised.await;
        let after = merchant.stored(&order.order_no).await.expect("the order");
        assert_eq!((&after.state, after.version), (&order.state, order.version));
    }
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brown_out_costs_no_order_and_few_calls() {
    const ORDERS: usize = 400;
    const AT_ONCE: usize = 16;
    let world = Setup::on(TestDatabase::sqlite())
        .set("adapters.bank.breaker.window_calls", 50)
        .set("adapters.bank.breaker.open_ms", 1_000)
        .start()
        .await;
    let daemon = world.daemon().await;
    for (percent, effect, answer) in [
        (
            20,
            "NOW",
            json!({ "http": 503, "content_type": "text/html", "body": "busy" }),
        ),
        (
            25,
            "NONE",
            json!({ "http": 503, "content_type": "text/html", "body": "busy" }),
        ),
        (17, "NONE", json!({ "reset": true })),
    ] {
        // Each is rolled for what the ones before have let through: together about a half.
        let fault = json!({ "op": "ANY", "bank": "bank", "percent": percent, "effect": effect,
                            "answer": answer });
        world.sim.fault(fault).await;
    }
    let answers = pay_many(&[daemon.merchant()], 0..ORDERS, AT_ONCE).await;
    let calls = world.sim.calls("PAY").await;
    daemon.merchant().all_at_rest(PATIENCE).await;
    let answered: Vec<OrderView> = answers
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("an answer to each");
    let succeeded = answered
        .iter()
        .filter(|order| order.state == "SUCCEEDED")
        .count();
    let reached = world.sim.orders_paid_for();
    println!(
        "brown-out: {ORDERS} orders, {calls} pay calls for {reached} of them (the breaker kept the \
         others back), {succeeded} paid at once"
    );
    assert!(
        calls * 10 <= ORDERS as u64 * 11,
        "{calls} pay calls for {ORDERS} orders"
    );
    assert!(
        succeeded > 0,
        "half of the calls went well, and no order was paid"
    );
    world.sim.heal().await;
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_biller_that_hangs_does_not_slow_the_others() {
    const HUNG: usize = 60;
    let world = Setup::on(TestDatabase::sqlite())
        // Longer than the others take on any machine, and a little less than the world lets them hang.
        .set("adapters.bank.lookup_timeout_ms", 110_000)
        .set("adapters.bank.total_timeout_ms", 110_000)
        .set("adapters.bank.concurrency_wait_ms", 110_000)
        .set("adapters.bank.lookup_concurrency_max", 8)
        .set("adapters.bank.send_within_s", 20)
        .set("adapters.bank.certainty_window_s", 240)
        .set("orders.orphan_after_s", 240)
        .set("adapters.bank.quick_polls", 130)
        .start()
        .await;
    let daemon = world.daemon().await;
    let hang = json!({ "hang": true });
    world
        .sim
        .fault(json!({ "op": "LOOKUP", "biller": "bj-power", "answer": hang }))
        .await;
    world
        .sim
        .fault(json!({ "op": "PAY", "bank": "bank", "effect": "NOW", "answer": hang }))
        .await;
    let mut hung = JoinSet::new();
    for number in 0..HUNG {
        let merchant = daemon.merchant();
        hung.spawn(async move {
            let _ = lookup(&merchant, "bj-power-bill", &format!("{number:010}")).await;
        });
        let merchant = daemon.merchant();
        hung.spawn(async move {
            let bill_no = bill_no(TOPUP, number);
            let _ = merchant
                .pay(&format!("h-{number}"), (TOPUP, &bill_no), 5_000)
                .await;
        });
    }
    wait_for("the hanging calls", PATIENCE, async || {
        let full = world.sim.calls("LOOKUP").await == 8;
        (full && world.sim.calls("PAY").await == HUNG as u64).then_some(())
    })
    .await;
    for number in 0..40 {
        let merchant = daemon.merchant();
        let bill = lookup(&merchant, "bj-water-bill", &format!("{number:09}")).await;
        assert!(bill.is_ok(), "{bill:?}");
        let bill = lookup(&merchant, "sh-gas-bill", &format!("{number:012}")).await;
        assert!(bill.is_ok(), "{bill:?}");
        let bill_no = bill_no(FEE, number);
        let paid = merchant
            .pay(&format!("o-{number}"), (FEE, &bill_no), 5_000)
            .await;
        assert_eq!(paid.expect("an order").state, "SUCCEEDED");
    }
    assert_eq!(
        world.sim.calls("LOOKUP").await,
        8 + 80,
        "the hung biller got its places only"
    );
    world.sim.heal().await;
    world.check();
}

async fn lookup(merchant: &Client, item: &str, bill_no: &str) -> Result<Value, Failed> {
    const BILL: &str =
        "query B($item: String!, $no: String!) { bill(item: $item, billNo: $no) { billNo } }";
    merchant
        .ask(BILL, json!({ "item": item, "no": bill_no }))
        .await
}

/// The rows tell themselves apart by name in a failure, so no two may share one.
#[test]
fn no_two_rows_have_one_name() {
    let rows = all_rows();
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
