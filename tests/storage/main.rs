//! Storage on both databases: the same tests, the same answers.

mod admissions;
mod listings;
#[path = "../support/mod.rs"]
mod support;

use payhall::domain::audit::row_hash;
use payhall::domain::case::{Case, CaseKind, CaseState, Decision, Proposal};
use payhall::domain::exception::Exception;
use payhall::domain::flow::{Flow, FlowState};
use payhall::domain::ids::CaseNo;
use payhall::domain::order::{Order, OrderState};
use payhall::storage::exceptions::LeaseRequest;
use payhall::storage::{
    Created, ExceptionMove, Move, Moved, NewOrder, Store, StoreError, Touch, Touched,
};
use payhall::storage::{audit, cases, exceptions, flows, orders};
use std::sync::Arc;
use support::database::TestDatabase;
use support::given;

/// Opens a migrated store with nobody listening.
fn open(database: &TestDatabase, instance: &str) -> Store {
    let options = database.options(instance);
    Store::migrate(&options).unwrap();
    given::merchant(database);
    Store::open(&options, Arc::new(|_| ())).unwrap()
}

fn new(order: &Order) -> NewOrder {
    NewOrder {
        order: order.clone(),
        merchant_version: given::MERCHANT_VERSION,
        audit: given::audit(order, "CREATED"),
        admission: None,
    }
}

fn to(order: &Order, state: OrderState) -> Move {
    given::step(order, state, i64::from(order.version) + 1)
}

fn start(order: &Order, digits: u64) -> (Move, Flow) {
    let flow = given::payment(order, digits);
    let step = Move {
        start: Some(flow.clone()),
        ..to(order, OrderState::Paying)
    };
    (step, flow)
}

fn concluded(flow: &Flow, state: FlowState) -> Flow {
    Flow {
        state,
        code: Some("1".to_owned()),
        concluded_at: Some(given::at(9)),
        version: flow.version + 1,
        ..flow.clone()
    }
}

/// Makes an order and brings it to UNKNOWN with an open exception.
async fn in_doubt(store: &Store, digits: u64) -> (Order, Flow, Exception) {
    let order = given::order(digits);
    store.create(new(&order)).await.unwrap();
    let (step, flow) = start(&order, 1_000_000 + digits);
    let paying = step.after.clone();
    assert_eq!(store.move_order(step).await.unwrap(), Moved::Done);
    let exception = given::exception(&paying, &flow);
    let step = Move {
        exception: ExceptionMove::Open(exception.clone()),
        attempts: vec![given::attempt(&flow)],
        ..to(&paying, OrderState::Unknown)
    };
    let unknown = step.after.clone();
    assert_eq!(store.move_order(step).await.unwrap(), Moved::Done);
    (unknown, flow, exception)
}

async fn stored(store: &Store, order: &Order) -> Order {
    let number = order.order_no.clone();
    store
        .read(move |c| orders::find(c, &number))
        .await
        .unwrap()
        .unwrap()
}

/// Every chain verifies, and there is exactly one row for every expected step.
async fn chains_hold(store: &Store, expected: usize) {
    let rows = store
        .read(|c| {
            let mut rows = Vec::new();
            for stream in audit::streams(c)? {
                rows.push(audit::stretch(c, &stream, 0, i64::MAX)?);
            }
            Ok(rows)
        })
        .await
        .unwrap();
    let mut count = 0;
    for chain in rows {
        for (place, row) in chain.iter().enumerate() {
            assert_eq!(
                row.seq,
                i64::try_from(place).unwrap() + 1,
                "a gap in {}",
                row.stream
            );
            let hash = row_hash(&row.stream, row.seq, &row.prev_hash, &row.entry);
            assert_eq!(row.hash, hash, "{} {}", row.stream, row.seq);
            if place > 0 {
                assert_eq!(row.prev_hash, chain[place - 1].hash);
            }
            count += 1;
        }
    }
    assert_eq!(count, expected, "audit rows");
}

#[tokio::test]
async fn an_order_comes_back_as_it_was_written() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let mut order = given::order(1);
        order.bill_ref = Some("R-账单".to_owned());
        assert_eq!(store.create(new(&order)).await.unwrap(), Created::New);
        assert_eq!(stored(&store, &order).await, order, "{}", database.kind);
        store.close().await;
    }
}

#[tokio::test]
async fn a_request_number_makes_one_order() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let tries = (0..200_u64).map(|digits| {
            let order = Order {
                request_no: given::order(0).request_no,
                ..given::order(digits)
            };
            let order = Order {
                fingerprint: "same".to_owned(),
                ..order
            };
            store.create(new(&order))
        });
        // Not awaited one by one: they meet in batches, and on PostgreSQL in two writers.
        let made: Vec<_> = futures_util::future::join_all(tries)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let first = made.iter().filter(|made| **made == Created::New).count();
        assert_eq!(first, 1, "{}", database.kind);
        assert!(made.iter().all(|made| !matches!(made, Created::Differs(_))));
        let other = Order {
            request_no: given::order(0).request_no,
            fingerprint: "other".to_owned(),
            ..given::order(777)
        };
        assert!(matches!(
            store.create(new(&other)).await.unwrap(),
            Created::Differs(_)
        ));
        chains_hold(&store, 1).await;
        store.close().await;
    }
}

#[tokio::test]
async fn one_of_many_moves_of_one_order_wins() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let order = given::order(1);
        store.create(new(&order)).await.unwrap();
        let moves = (0..300).map(|digits| store.move_order(start(&order, 5_000 + digits).0));
        let moved: Vec<_> = futures_util::future::join_all(moves)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            moved.iter().filter(|m| **m == Moved::Done).count(),
            1,
            "{}",
            database.kind
        );
        assert!(moved.iter().all(|m| matches!(m, Moved::Done | Moved::Lost)));
        let number = order.order_no.clone();
        let flows = store
            .read(move |c| flows::of_orders(c, &[number]))
            .await
            .unwrap();
        assert_eq!(flows.len(), 1);
        chains_hold(&store, 2).await;
        store.close().await;
    }
}

#[tokio::test]
async fn one_open_payment_per_bill() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let bill_no = given::order(1).bill_no;
        let same_bill: Vec<Order> = (1..=50)
            .map(|n| Order {
                bill_no: bill_no.clone(),
                ..given::order(n)
            })
            .collect();
        for order in &same_bill {
            store.create(new(order)).await.unwrap();
        }
        let moves = same_bill
            .iter()
            .zip(900..)
            .map(|(o, n)| store.move_order(start(o, n).0));
        let moved: Vec<_> = futures_util::future::join_all(moves)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winner = moved
            .iter()
            .position(|m| *m == Moved::Done)
            .expect("one of them wins");
        for (place, moved) in moved
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != winner)
        {
            let first = same_bill[winner].order_no.clone();
            assert_eq!(
                *moved,
                Moved::OpenPayment { first },
                "{} {place}",
                database.kind
            );
        }
        // When the first has come to rest, the next may pay.
        let first = stored(&store, &same_bill[winner]).await;
        store
            .move_order(to(&first, OrderState::Failed))
            .await
            .unwrap();
        let next = &same_bill[(winner + 1) % same_bill.len()];
        assert_eq!(
            store.move_order(start(next, 990).0).await.unwrap(),
            Moved::Done
        );
        store.close().await;
    }
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_open_payment_and_a_second_number() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let (unknown, _, _) = in_doubt(&store, 1).await;
        let twin = Order {
            bill_no: unknown.bill_no.clone(),
            ..given::order(2)
        };
        store.create(new(&twin)).await.unwrap();
        let open = format!(
            "UPDATE orders SET state = 'PAYING' WHERE order_no = '{}'",
            twin.order_no
        );
        assert!(database.execute(&open).is_err(), "{}: law 3", database.kind);
        let second = format!(
            "INSERT INTO flows SELECT '{}', order_no, merchant, biller, bill_no, kind, step, \
             adapter, amount_minor, currency, state, code, upstream_ref, message, business_date, \
             started_at, concluded_at, version FROM flows WHERE order_no = '{}'",
            given::number(4242),
            unknown.order_no
        );
        assert!(
            database.execute(&second).is_err(),
            "{}: invariant 2",
            database.kind
        );
        store.close().await;
    }
}

#[tokio::test]
async fn a_bad_change_does_not_harm_its_neighbours() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let orders: Vec<Order> = (1..=40).map(given::order).collect();
        for order in &orders {
            store.create(new(order)).await.unwrap();
        }
        // Every tenth flow takes a number that is taken: its insert breaks the whole batch.
        store.move_order(start(&orders[0], 7_000).0).await.unwrap();
        let moves = orders[1..].iter().enumerate().map(|(place, order)| {
            let digits = if place % 10 == 3 {
                7_000
            } else {
                7_100 + place as u64
            };
            store.move_order(start(order, digits).0)
        });
        for (place, moved) in futures_util::future::join_all(moves)
            .await
            .into_iter()
            .enumerate()
        {
            if place % 10 == 3 {
                assert!(moved.is_err(), "{} {place}: {moved:?}", database.kind);
                assert_eq!(
                    stored(&store, &orders[place + 1]).await.state,
                    OrderState::Created
                );
            } else {
                assert_eq!(moved.unwrap(), Moved::Done, "{} {place}", database.kind);
            }
        }
        chains_hold(&store, 40 + 40 - 4).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_somebody_else_concluded_loses_its_move_alone() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let mut doubtful = Vec::new();
        for digits in 1..=20 {
            doubtful.push(in_doubt(&store, digits).await);
        }
        let is_late = |place: usize| place % 5 == 3;
        let moves = doubtful
            .iter()
            .enumerate()
            .map(|(place, (order, flow, _))| {
                let mut flow = concluded(flow, FlowState::Succeeded);
                // As if it had been read after somebody else's conclusion.
                flow.version += i32::from(is_late(place));
                store.move_order(Move {
                    conclude: vec![flow],
                    exception: ExceptionMove::Close,
                    ..to(order, OrderState::Succeeded)
                })
            });
        let moved = futures_util::future::join_all(moves).await;
        for (place, moved) in moved.into_iter().enumerate() {
            let (result, state) = match is_late(place) {
                true => (Moved::Lost, OrderState::Unknown),
                false => (Moved::Done, OrderState::Succeeded),
            };
            assert_eq!(moved.unwrap(), result, "{} {place}", database.kind);
            assert_eq!(stored(&store, &doubtful[place].0).await.state, state);
        }
        chains_hold(&store, 3 * 20 + 16).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_whole_life_writes_flow_exception_and_evidence_together() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let (unknown, flow, exception) = in_doubt(&store, 1).await;
        let step = Move {
            conclude: vec![concluded(&flow, FlowState::Succeeded)],
            exception: ExceptionMove::Close,
            ..to(&unknown, OrderState::Succeeded)
        };
        assert_eq!(store.move_order(step).await.unwrap(), Moved::Done);
        let number = unknown.order_no.clone();
        let (flows, attempts, open) = store
            .read(move |c| {
                Ok((
                    flows::of_orders(c, std::slice::from_ref(&number))?,
                    flows::attempts_of(c, &number)?,
                    exceptions::of_order(c, &number)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(flows, [concluded(&flow, FlowState::Succeeded)]);
        assert_eq!(attempts.len(), 1);
        assert_eq!(open[0].exception_id, exception.exception_id);
        assert!(open[0].closed_at.is_some());
        chains_hold(&store, 4).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_lease_is_held_by_one_and_fences_the_one_before() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let other = open(&database, "b");
        for digits in 1..=20 {
            in_doubt(&store, digits).await;
        }
        let lease = |store: &Store, owner: &str, now: i64| {
            let request = LeaseRequest {
                owner: owner.to_owned(),
                now: given::at(now),
                until: given::at(now + 60),
                limit: 100,
            };
            let store = store.clone();
            async move {
                store
                    .solo(move |tx| tx.lease_exceptions(&request))
                    .await
                    .unwrap()
            }
        };
        let (a, b) = tokio::join!(lease(&store, "a", 10), lease(&other, "b", 10));
        assert_eq!(
            a.len() + b.len(),
            20,
            "{}: each is leased once",
            database.kind
        );
        assert!(
            lease(&other, "b", 69).await.is_empty(),
            "nothing lapses early"
        );
        let (held, holder) = if a.is_empty() { (b, "b") } else { (a, "a") };
        let again = lease(&store, "c", 70).await;
        assert_eq!(again.len(), 20, "lapsed leases may be taken");
        let stale = Touch {
            exception: held[0].clone(),
            attempts: Vec::new(),
        };
        assert_eq!(
            store.touch(stale).await.unwrap(),
            Touched::Fenced,
            "{holder} was too late"
        );
        let mine = again
            .iter()
            .find(|e| e.exception_id == held[0].exception_id)
            .unwrap();
        let fresh = Exception {
            polls: 7,
            next_at: given::at(500),
            ..mine.clone()
        };
        let touch = Touch {
            exception: fresh,
            attempts: Vec::new(),
        };
        assert_eq!(store.touch(touch).await.unwrap(), Touched::Done);
        store.close().await;
        other.close().await;
    }
}

/// An open case about an order.
fn open_case(digits: u64) -> Case {
    Case {
        case_no: CaseNo::try_new(given::number(digits)).unwrap(),
        order_no: Some(given::order_no(digits)),
        flow_no: None,
        owner: None,
        kind: CaseKind::Doubt,
        state: CaseState::Open,
        cause: "no answer".to_owned(),
        opened_at: given::at(0),
        due_at: given::at(10),
        proposal: None,
        checker: None,
        closed_at: None,
        resolution: None,
        version: 0,
    }
}

#[tokio::test]
async fn the_database_keeps_maker_and_checker_apart() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let case = Case {
            state: CaseState::Closed,
            proposal: Some(Proposal {
                decision: Decision::Failed,
                evidence: "letter".to_owned(),
                maker: "operator:ann".to_owned(),
                proposed_at: given::at(1),
            }),
            checker: Some("operator:ann".to_owned()),
            closed_at: Some(given::at(2)),
            ..open_case(1)
        };
        let one_person = case.clone();
        let refused = store.solo(move |tx| tx.open_case(&one_person)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{}: {refused:?}",
            database.kind
        );
        let two = Case {
            checker: Some("operator:bob".to_owned()),
            ..case
        };
        assert!(store.solo(move |tx| tx.open_case(&two)).await.unwrap());
        let found = store
            .read(|c| cases::of_order(c, &given::order_no(1)))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_closed_store_says_so() {
    let database = TestDatabase::sqlite();
    let store = open(&database, "a");
    store.close().await;
    assert!(matches!(
        store.create(new(&given::order(1))).await,
        Err(StoreError::Closed)
    ));
}

#[tokio::test]
async fn an_unusable_url_is_named() {
    for url in ["", "mysql://x", "sqlite:", "payhall.db"] {
        let options = payhall::storage::StorageOptions {
            url: url.to_owned(),
            ..TestDatabase::sqlite().options("a")
        };
        let refused = Store::migrate(&options).unwrap_err();
        assert!(
            refused.to_string().contains("storage.url"),
            "{url:?}: {refused}"
        );
    }
}
