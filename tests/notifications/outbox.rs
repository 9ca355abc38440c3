//! The outbox: a notification is in the database exactly if the move that it tells of is.

use super::support::bank::{Deed, TestBank};
use super::*;
use futures_util::future::join_all;
use payhall::domain::case::Decision;
use payhall::domain::flow::Operation;
use payhall::domain::notification::NotificationState;
use payhall::storage::orders;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_moves_at_once_each_that_is_done_brings_one_and_each_lost_one_none() {
    for database in TestDatabase::all() {
        let center = center(&database, &Town::new()).await;
        let store = center.engine.store();
        let mut orders = Vec::new();
        for digits in 1..=30 {
            orders.push(closed(&center, "portal", digits).await);
        }
        // Every third is raced for by two; every fifth was moved before by a version that nobody has.
        let mut steps = Vec::new();
        for (place, order) in orders.iter().enumerate() {
            let stale = Order {
                version: order.version + 7,
                ..order.clone()
            };
            let base = if place % 5 == 4 { &stale } else { order };
            steps.push(to(base, OrderState::Succeeded));
            if place % 3 == 2 {
                steps.push(to(base, OrderState::Failed));
            }
        }
        let moved = join_all(steps.into_iter().map(|step| store.move_order(step))).await;
        let done = moved
            .iter()
            .filter(|moved| matches!(moved, Ok(Moved::Done)))
            .count();
        assert_eq!(done, 24, "{}", database.kind);
        for (place, order) in orders.iter().enumerate() {
            let number = order.order_no.clone();
            let stored = store
                .read(move |c| orders::find(c, &number))
                .await
                .unwrap()
                .unwrap();
            let told = told(&center, &order.order_no).await;
            let tells: Vec<_> = told
                .iter()
                .map(|n| (n.order_version, n.order_state))
                .collect();
            let mut expected = vec![(1, OrderState::Closed)];
            if place % 5 != 4 {
                expected.push((2, stored.state));
            }
            assert_eq!(tells, expected, "{}: order {place}", database.kind);
        }
    }
}

#[tokio::test]
async fn a_change_that_fails_with_its_move_leaves_nothing() {
    for database in TestDatabase::all() {
        let center = center(&database, &Town::new()).await;
        let order = closed(&center, "portal", 1).await;
        let store = center.engine.store();
        // A second one of the same version breaks the unique index: the whole move falls with it.
        let mut step = to(&order, OrderState::Succeeded);
        step.notify = Some(Notification {
            order_version: order.version,
            ..Notification::of(&step.after, Uuid::now_v7())
        });
        assert!(store.move_order(step).await.is_err(), "{}", database.kind);
        let number = order.order_no.clone();
        let stored = store.read(move |c| orders::find(c, &number)).await.unwrap();
        assert_eq!(stored, Some(order.clone()), "{}", database.kind);
        assert_eq!(told(&center, &order.order_no).await.len(), 1);
    }
}

/// Gives the merchants of a bank a notify URL.
fn with_urls(bank: &TestBank) {
    let desk = bank.engine().onboarding();
    let portal = code("portal");
    let found = bank.wait(bank.engine().merchant(&portal, &Scope::All));
    let dossier = found.unwrap().unwrap();
    let profile = Profile {
        notify_url: Some(url("portal")),
        ..dossier.approved.unwrap().profile
    };
    let maker = samples::person(samples::MAKER);
    let edited = bank.wait(desk.edit(&portal, dossier.version, profile, &maker));
    bank.wait(samples::approve(&desk, edited.unwrap())).unwrap();
    bank.wait(bank.engine().refresh_catalogue()).unwrap();
}

/// What the outbox holds about an order: version, state and reason of each.
fn outbox(bank: &TestBank, order: &OrderNo) -> Vec<(i32, OrderState, Option<String>)> {
    let number = order.clone();
    let told = bank.read(move |c| notifications::of_order(c, &number));
    assert!(
        told.iter()
            .all(|one| one.state == NotificationState::Pending)
    );
    told.into_iter()
        .map(|one| (one.order_version, one.order_state, one.order_reason))
        .collect()
}

#[test]
fn every_way_to_rest_brings_one_and_a_decided_case_another() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let untold = bank.create("topup", "13800000001", 1_000);
        bank.confirm(&untold.order_no).unwrap();
        assert!(
            outbox(&bank, &untold.order_no).is_empty(),
            "no URL, no notification"
        );

        with_urls(&bank);
        let paid = bank.create("topup", "13800000002", 1_000);
        bank.confirm(&paid.order_no).unwrap();
        assert_eq!(
            outbox(&bank, &paid.order_no),
            [(2, OrderState::Succeeded, None)]
        );

        let cancelled = bank.create("topup", "13800000003", 1_000);
        assert!(outbox(&bank, &cancelled.order_no).is_empty());
        bank.cancel(&cancelled.order_no).unwrap();
        let reason = Some("CANCELLED".to_owned());
        let expected = [(1, OrderState::Closed, reason)];
        assert_eq!(outbox(&bank, &cancelled.order_no), expected);

        let expired = bank.create("topup", "13800000004", 1_000);
        bank.advance(Duration::from_secs(3 * 3_600));
        assert_eq!(bank.expire(), 1);
        let reason = Some("EXPIRED".to_owned());
        assert_eq!(
            outbox(&bank, &expired.order_no),
            [(1, OrderState::Closed, reason)]
        );
    }
}

#[test]
fn a_case_that_is_decided_tells_once_more() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        with_urls(&bank);
        let order = bank.create("parking", "P0001", 1_200);
        let late = Deed::Late(Duration::from_secs(15 * 60));
        bank.far.tell(Operation::Pay, "P0001", [late]);
        bank.confirm(&order.order_no).unwrap();
        assert!(
            outbox(&bank, &order.order_no).is_empty(),
            "in doubt nobody is told"
        );
        let failed = || bank.state(&order.order_no) == OrderState::Failed;
        assert!(bank.run_until(Duration::from_secs(15 * 60), failed));
        let first = outbox(&bank, &order.order_no);
        assert_eq!(first.len(), 1);
        assert_eq!(
            (first[0].1, first[0].2.as_deref()),
            (OrderState::Failed, Some("NOT_FOUND"))
        );
        let case = || bank.open_case(&order.order_no).is_some();
        assert!(bank.run_until(Duration::from_secs(20 * 60), case));
        let evidence = "the bank's statement: debited at 12:15";
        let number = &order.order_no;
        bank.propose("ann", number, Decision::Succeeded, evidence)
            .unwrap();
        assert_eq!(outbox(&bank, number).len(), 1, "a proposal moves nothing");
        bank.approve("bob", number).unwrap();
        let told = outbox(&bank, number);
        assert_eq!(told.len(), 2);
        assert!(told[0].0 < told[1].0, "each has its place");
        assert_eq!(
            (told[0].1, told[1].1),
            (OrderState::Failed, OrderState::Succeeded)
        );
    }
}
