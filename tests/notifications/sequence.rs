//! At least once, one after the other: the order's own sequence, crashes, replicas and paused holders.

use super::town::Mood;
use super::*;
use payhall::domain::notification::{NotificationState, TryOutcome};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_later_one_waits_until_the_earlier_one_is_concluded() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        let second = moved_again(&center, &order, OrderState::Succeeded).await;
        moved_again(&center, &second, OrderState::Reversed).await;
        let other = closed(&center, "portal", 2).await;
        town.set("portal", Mood::Answers(503));
        for _ in 0..3 {
            center.engine.send_notifications().await.unwrap();
            let first = told(&center, &order.order_no).await.remove(0);
            go_to(&center, first.next_at);
        }
        let versions = |of: &Order| -> Vec<i64> {
            let all = town.arrived().into_iter();
            let own = all.filter(|one| one.body["orderNo"] == of.order_no.as_str());
            own.map(|one| one.version).collect()
        };
        assert!(
            versions(&order).iter().all(|version| *version == 1),
            "{}",
            database.kind
        );
        assert!(
            !versions(&other).is_empty(),
            "another order's does not wait"
        );
        town.set("portal", Mood::Answers(200));
        go_to(&center, told(&center, &order.order_no).await[0].next_at);
        center.engine.send_notifications().await.unwrap();
        let mut sequence = versions(&order);
        sequence.dedup();
        assert_eq!(sequence, [1, 2, 3], "{}", database.kind);
        let all = town.arrived().into_iter().rev();
        let own = all.filter(|one| one.body["orderNo"] == order.order_no.as_str());
        let states: Vec<_> = own.map(|one| one.body["state"].clone()).take(2).collect();
        assert_eq!(
            states,
            ["REVERSED", "SUCCEEDED"],
            "each tells its own version"
        );
    }
}

#[tokio::test]
async fn a_given_up_one_lets_the_next_one_go() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        moved_again(&center, &order, OrderState::Succeeded).await;
        town.set("portal", Mood::Answers(500));
        for _ in 1..=16 {
            go_to(&center, told(&center, &order.order_no).await[0].next_at);
            center.engine.send_notifications().await.unwrap();
        }
        let both = told(&center, &order.order_no).await;
        assert_eq!(both[0].state, NotificationState::GivenUp);
        assert_eq!(
            (both[1].state, both[1].tries),
            (NotificationState::Pending, 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_sending_and_writing_back_sends_it_again_with_the_same_id() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        town.set("portal", Mood::Hangs(200));
        let engine = center.engine.clone();
        let sending = tokio::spawn(async move { engine.send_notifications().await });
        town.wait_for("portal", 1).await;
        // From here on nothing of this program reaches the database, as if it had died.
        center.engine.store().close().await;
        town.set("portal", Mood::Answers(200));
        assert!(!matches!(sending.await.unwrap(), Ok(report) if report.delivered > 0));

        let next = replica(&database, "b", town.clone()).await;
        let early = next.engine.send_notifications().await.unwrap();
        assert_eq!(early.tried, 0, "{}: the lease still holds", database.kind);
        next.clock.advance(LEASE);
        let report = next.engine.send_notifications().await.unwrap();
        assert_eq!(
            (report.tried, report.delivered),
            (1, 1),
            "{}",
            database.kind
        );
        let arrived = town.arrived();
        assert_eq!(arrived.len(), 2);
        assert_eq!(arrived[0].id, arrived[1].id);
        assert_eq!(arrived[0].body, arrived[1].body, "the same bytes");
        let nonce = |one: &town::Arrived| {
            let input = one
                .headers
                .iter()
                .find(|(name, _)| name == "Signature-Input");
            input.unwrap().1.clone()
        };
        assert_ne!(nonce(&arrived[0]), nonce(&arrived[1]), "signed anew");
        let told = only(&next, &order.order_no).await;
        assert_eq!((told.state, told.tries), (NotificationState::Delivered, 1));
        let outcomes: Vec<_> = tries(&next, &told)
            .await
            .iter()
            .map(|row| row.outcome)
            .collect();
        assert_eq!(outcomes, [TryOutcome::Interrupted, TryOutcome::Delivered]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_only_one_sends_within_a_lease() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        for digits in 1..=40 {
            closed(
                &center,
                MERCHANTS[usize::try_from(digits % 2).unwrap()],
                digits,
            )
            .await;
        }
        let other = replica(&database, "b", town.clone()).await;
        let (a, b) = tokio::join!(
            center.engine.send_notifications(),
            other.engine.send_notifications()
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.delivered + b.delivered, 40, "{}", database.kind);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for one in town.arrived() {
            *counts.entry(one.id).or_default() += 1;
        }
        assert_eq!(counts.len(), 40);
        assert!(
            counts.values().all(|count| *count == 1),
            "{}",
            database.kind
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_paused_past_its_lease_cannot_write_back() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        town.set("portal", Mood::Hangs(503));
        let engine = center.engine.clone();
        let paused = tokio::spawn(async move { engine.send_notifications().await });
        town.wait_for("portal", 1).await;

        let fresh = Town::new();
        let other = replica(&database, "b", fresh.clone()).await;
        other.clock.advance(LEASE);
        let report = other.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 1, "{}", database.kind);
        town.set("portal", Mood::Answers(200));
        let late = paused.await.unwrap().unwrap();
        assert_eq!((late.tried, late.fenced), (1, 1), "{}", database.kind);
        let told = only(&center, &order.order_no).await;
        assert_eq!((told.state, told.tries), (NotificationState::Delivered, 1));
        let rows = tries(&center, &told).await;
        let outcomes: Vec<_> = rows
            .iter()
            .map(|row| (row.outcome, row.http_status))
            .collect();
        let evidence = (TryOutcome::Rejected, Some(503));
        assert_eq!(outcomes, [evidence, (TryOutcome::Delivered, Some(200))]);
    }
}
