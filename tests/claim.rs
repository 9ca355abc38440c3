//! What a center takes before it touches anything: its port, and on SQLite the database. A second
//! one is refused before it can adopt a payment that the first one is just making.

mod support;

use serde_json::json;
use std::process::Output;
use std::time::Duration;
use support::client::{MAKER, nodes};
use support::database::TestDatabase;
use support::process::{run, wait_for};
use support::world::{Setup, TOPUP, World};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a second center with the first one's settings, and gives its end.
fn second(world: &World, flags: &[&str]) -> Output {
    let file = world.folder.path().join("daemon-1.toml");
    let mut arguments = vec!["--config".to_owned(), file.display().to_string()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    run(&arguments)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_center_is_refused_before_it_touches_the_first_one_s_payments() {
    let world = Setup::on(TestDatabase::sqlite())
        // However long the second ones take to be refused, the first one's payment is under way.
        .set("adapters.bank.total_timeout_ms", 60_000)
        .set("adapters.bank.certainty_window_s", 120)
        .set("adapters.bank.quick_polls", 63)
        .set("orders.orphan_after_s", 120)
        .start()
        .await;
    let mut first = world.daemon().await;
    let hang = json!({ "op": "PAY", "effect": "NOW", "times": 1, "answer": { "hang": true } });
    world.sim.fault(hang).await;
    let merchant = first.merchant();
    let order = merchant.create("r1", (TOPUP, "13800000001"), 5_000).await;
    let order_no = order.expect("an order").order_no;
    let (caller, number) = (merchant.clone(), order_no.clone());
    let confirm = tokio::spawn(async move { caller.confirm(&number).await });
    wait_for("the bank to be called", PATIENCE, async || {
        (world.sim.calls("PAY").await > 0).then_some(())
    })
    .await;

    for (flags, said) in [
        (&["serve"][..], "cannot listen on"),
        (
            &["serve", "--listen", "127.0.0.1:0"],
            "another payhall serves the database",
        ),
    ] {
        let output = second(&world, flags);
        let cried = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{cried}");
        assert!(cried.contains(said), "{cried}");
    }
    const DOUBTS: &str = "{ exceptions(first: 100) { edges { node { orderNo } } } }";
    let doubts = first.caller(MAKER).ask(DOUBTS, json!({})).await;
    let doubts = doubts.expect("an answer");
    assert_eq!(nodes(&doubts["exceptions"]).count(), 0, "{doubts}");
    let stored = merchant.stored(&order_no).await.expect("an order");
    assert_eq!(stored.state, "PAYING");

    // Tools work beside a center, and a kill frees what it held.
    world.import_catalogue();
    let history = second(&world, &["jobs", "history"]);
    assert!(history.status.success(), "{history:?}");
    first.kill_and_restart().await;
    confirm.abort();
    let settled = first.merchant().at_rest(&order_no, PATIENCE).await;
    assert_eq!(settled.state, "SUCCEEDED");
    world.check_settled();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_center_that_is_told_to_stop_while_it_starts_stops_in_order() {
    for database in TestDatabase::all() {
        let world = Setup::on(database).start().await;
        let mut starting = world.launch();
        // Its port is the first thing that it takes; most of the start is still to come.
        wait_for("the port to be taken", PATIENCE, async || {
            TcpStream::connect(starting.address()).await.ok()
        })
        .await;
        let status = starting.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", starting.process.log());
        let next = world.daemon().await;
        let merchant = next.merchant();
        let paid = merchant.pay("r1", (TOPUP, "13800000001"), 5_000).await;
        let order_no = paid.expect("an order").order_no;
        let settled = merchant.at_rest(&order_no, PATIENCE).await;
        assert_eq!(settled.state, "SUCCEEDED");
    }
}
