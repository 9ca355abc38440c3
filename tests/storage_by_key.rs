//! What runs for every payment finds its rows by key, whatever the planner knows about the tables, and
//! reads that come together are answered together.

mod support;

use futures_util::future::join_all;
use payhall::domain::flow::{Flow, FlowState};
use payhall::domain::order::{Order, OrderState};
use payhall::storage::exceptions::LeaseRequest;
use payhall::storage::{Created, Move, Moved, NewOrder, Store};
use std::sync::Arc;
use support::database::TestDatabase;
use support::given;

/// More orders than PostgreSQL would look up by key of its own accord while it knows no figures.
const ORDERS: u64 = 3_000;

fn open(database: &TestDatabase) -> Store {
    given::merchant(database);
    Store::open(&database.options("keys"), Arc::new(|_| ())).unwrap()
}

fn to(order: &Order, state: OrderState) -> Move {
    given::step(order, state, 0)
}

/// The life of one payment that goes well.
async fn live(store: &Store, digits: u64) {
    let order = given::order(digits);
    let audit = given::audit(&order, "CREATED");
    let new = NewOrder {
        order: order.clone(),
        merchant_version: given::MERCHANT_VERSION,
        audit,
        admission: None,
    };
    assert_eq!(store.create(new).await.unwrap(), Created::New);
    let flow = given::payment(&order, ORDERS + digits);
    let paying = Move {
        start: Some(flow.clone()),
        ..to(&order, OrderState::Paying)
    };
    assert_eq!(store.move_order(paying.clone()).await.unwrap(), Moved::Done);
    let paid = Flow {
        state: FlowState::Succeeded,
        concluded_at: Some(given::at(9)),
        version: 1,
        ..flow
    };
    let succeeded = Move {
        conclude: vec![paid],
        ..to(&paying.after, OrderState::Succeeded)
    };
    let step = store.move_order(succeeded.clone()).await;
    assert_eq!(step.unwrap(), Moved::Done);
    let found = store.find_order(&order.order_no).await.unwrap();
    assert_eq!(found, Some(succeeded.after));
}

/// Waits until nobody else is connected: then the figures of all connections are written.
fn wait_until_alone(database: &TestDatabase) {
    let alone = "DO $$ BEGIN FOR n IN 1..500 LOOP PERFORM pg_stat_clear_snapshot(); \
                 IF (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'client backend') = 1 THEN RETURN; END IF; \
                 PERFORM pg_sleep(0.02); END LOOP; RAISE 'others are still connected'; END $$";
    database.execute(alone).unwrap();
}

#[tokio::test]
async fn no_payment_scans_a_table() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    Store::migrate(&database.options("keys")).unwrap();
    wait_until_alone(&database);
    let figures = "relname, seq_scan FROM pg_stat_user_tables \
                   WHERE relname IN ('orders', 'flows', 'audit', 'exceptions')";
    let noted = format!("CREATE TABLE scans AS SELECT {figures}");
    database.execute(&noted).unwrap();
    let store = open(&database);
    join_all((0..ORDERS).map(|digits| live(&store, digits))).await;
    store.close().await;
    drop(store);
    wait_until_alone(&database);
    let compared = "DO $$ DECLARE t record; BEGIN FOR t IN SELECT s.relname, \
                    p.seq_scan - s.seq_scan AS scans FROM scans s \
                    JOIN pg_stat_user_tables p ON p.relname = s.relname \
                    WHERE p.seq_scan > s.seq_scan LOOP \
                    RAISE '% was scanned % times', t.relname, t.scans; END LOOP; END $$";
    database.execute(compared).unwrap();
    // And the figures do count: this is a scan.
    database.execute("SELECT count(*) FROM flows").unwrap();
    wait_until_alone(&database);
    let told = database.execute(compared).unwrap_err();
    assert!(told.contains("flows was scanned"), "{told}");
}

#[tokio::test]
async fn a_lease_takes_no_more_than_it_may_however_old_the_figures_are() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    Store::migrate(&database.options("keys")).unwrap();
    // The figures are of a quiet week; then a bank breaks down.
    let rows = |from: u32, to: u32, closed_at: &str| {
        format!(
            "INSERT INTO exceptions SELECT 'x' || n, 'o' || n, 'f' || n, NULL, 'QUERY', 0, 0, 0, 0, \
             NULL, 0, 0, 0, n, 'NONE', false, NULL, NULL, 0, {closed_at} \
             FROM generate_series({from}, {to}) n"
        )
    };
    database.execute(&rows(1, 20_000, "1")).unwrap();
    database.execute("ANALYZE exceptions").unwrap();
    database.execute(&rows(20_001, 23_000, "NULL")).unwrap();
    // The rows are not what a poller would read; what counts is how many of them are held.
    let odd = "UPDATE exceptions SET exception_id = gen_random_uuid()::text, \
               order_no = lpad(next_at::text, 24, '2026112200'), \
               payment_flow_no = lpad(next_at::text, 24, '2026112200') WHERE closed_at IS NULL";
    database.execute(odd).unwrap();
    let store = open(&database);
    let request = LeaseRequest {
        owner: "one".to_owned(),
        now: given::at(0),
        until: given::at(60),
        limit: 500,
    };
    let leased = store.solo(move |tx| tx.lease_exceptions(&request)).await;
    assert_eq!(leased.unwrap().len(), 500);
    let held = "DO $$ BEGIN IF (SELECT count(*) FROM exceptions WHERE lease_owner IS NOT NULL) <> 500 \
                THEN RAISE 'other rows are held'; END IF; END $$";
    database.execute(held).unwrap();
    store.close().await;
}

#[tokio::test]
async fn each_question_gets_its_own_answer() {
    for database in TestDatabase::all() {
        Store::migrate(&database.options("keys")).unwrap();
        let store = open(&database);
        join_all((0..50).map(|digits| live(&store, digits))).await;
        // Twice the orders that there are, and each of them twice.
        let asked = (0..100).chain(0..100).map(given::order_no);
        let found = join_all(asked.map(async |number| {
            let found = store.find_order(&number).await.unwrap();
            found.map(|order| order.order_no) == Some(number)
        }))
        .await;
        let expected: Vec<bool> = (0..100).chain(0..100).map(|digits| digits < 50).collect();
        assert_eq!(found, expected, "{}", database.kind);
        store.close().await;
    }
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    Store::migrate(&database.options("keys")).unwrap();
    let store = open(&database);
    live(&store, 1).await;
    let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute(cut).unwrap();
    let found = store.find_order(&given::order_no(1)).await.unwrap();
    assert!(found.is_some());
    live(&store, 2).await;
    store.close().await;
    let closed = store.find_order(&given::order_no(1)).await.unwrap_err();
    assert_eq!(closed.to_string(), "storage is closed");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_harms_no_other() {
    for database in TestDatabase::all() {
        Store::migrate(&database.options("keys")).unwrap();
        let store = open(&database);
        join_all((0..10).map(|digits| live(&store, digits))).await;
        let bad = given::number(3);
        let spoilt = format!("UPDATE orders SET currency = 'XXL' WHERE order_no = '{bad}'");
        database.execute(&spoilt).unwrap();
        let numbers: Vec<_> = (0..10).map(given::order_no).collect();
        let found = join_all(numbers.iter().map(|number| store.find_order(number))).await;
        for (number, found) in numbers.iter().zip(found) {
            match found {
                Ok(order) => assert_eq!(order.map(|order| order.order_no).as_ref(), Some(number)),
                Err(error) => assert!(error.to_string().contains(&bad), "{error}"),
            }
        }
        let told = store.find_order(&given::order_no(3)).await;
        assert!(
            told.unwrap_err().to_string().contains("currency"),
            "{}",
            database.kind
        );
        store.close().await;
    }
}
