//! What goes wrong at the merchant's: refused, silent, hanging, for a day.

use super::support::bank::alarms;
use super::town::Mood;
use super::*;
use payhall::domain::notification::{GiveUpReason, NotificationState, TryOutcome};
use std::collections::BTreeSet;

#[tokio::test]
async fn sixteen_tries_in_a_day_and_then_one_alarm() {
    alarms::listen();
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        town.set("portal", Mood::Silent(TryOutcome::TimedOut));
        for number in 1..=16 {
            let report = center.engine.send_notifications().await.unwrap();
            assert_eq!(report.tried, 1, "{}: try {number}", database.kind);
            let told = only(&center, &order.order_no).await;
            assert_eq!(told.tries, number);
            if number == 16 {
                break;
            }
            assert_eq!(told.state, NotificationState::Pending);
            go_to(&center, told.next_at - chrono::TimeDelta::microseconds(1));
            let early = center.engine.send_notifications().await.unwrap();
            assert_eq!(early.tried, 0, "not before its time");
            go_to(&center, told.next_at);
        }
        let told = only(&center, &order.order_no).await;
        assert_eq!(told.state, NotificationState::GivenUp);
        assert_eq!(told.reason, Some(GiveUpReason::TriesUsedUp));
        let rows = tries(&center, &told).await;
        let numbers: Vec<i32> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| row.outcome == TryOutcome::TimedOut));
        let took = rows[15].started_at - rows[0].started_at;
        assert!(took > chrono::TimeDelta::hours(18) && took < chrono::TimeDelta::hours(24));
        let ids: BTreeSet<String> = town.arrived().into_iter().map(|one| one.id).collect();
        assert_eq!(ids.len(), 1, "always the same id");
        let nonces: BTreeSet<_> = rows.iter().map(|row| row.try_id).collect();
        assert_eq!(nonces.len(), 16, "never the same signature");
        let heard = alarms::about(&order.order_no);
        let kinds: Vec<&str> = heard.iter().map(|alarm| alarm.kind.as_str()).collect();
        assert_eq!(kinds, ["NOTIFICATION_GIVEN_UP"]);
        center.clock.advance(Duration::from_secs(7 * 86_400));
        let after = center.engine.send_notifications().await.unwrap();
        assert_eq!(after.tried, 0, "given up is given up");
    }
}

#[tokio::test]
async fn whatever_is_no_two_hundred_is_tried_again_and_kept() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let moods = [
            (Mood::Answers(302), TryOutcome::Rejected, Some(302)),
            (Mood::Answers(404), TryOutcome::Rejected, Some(404)),
            (
                Mood::Silent(TryOutcome::Unreachable),
                TryOutcome::Unreachable,
                None,
            ),
            (Mood::Silent(TryOutcome::Broken), TryOutcome::Broken, None),
            (
                Mood::Silent(TryOutcome::AddressRefused),
                TryOutcome::AddressRefused,
                None,
            ),
            (Mood::Answers(204), TryOutcome::Delivered, Some(204)),
        ];
        let order = closed(&center, "portal", 1).await;
        for (mood, _, _) in &moods {
            town.set("portal", mood.clone());
            go_to(&center, only(&center, &order.order_no).await.next_at);
            center.engine.send_notifications().await.unwrap();
        }
        let told = only(&center, &order.order_no).await;
        assert_eq!((told.state, told.tries), (NotificationState::Delivered, 6));
        let rows = tries(&center, &told).await;
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.outcome, row.http_status))
            .collect();
        let expected: Vec<_> = moods
            .iter()
            .map(|(_, outcome, status)| (*outcome, *status))
            .collect();
        assert_eq!(found, expected, "{}", database.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_that_hangs_holds_up_nobody_else() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        town.set("portal", Mood::Hangs(200));
        for digits in 1..=60 {
            closed(&center, "portal", digits).await;
        }
        for digits in 101..=105 {
            closed(&center, "citylife", digits).await;
        }
        let engine = center.engine.clone();
        let sending = tokio::spawn(async move { engine.send_notifications().await });
        town.wait_for("citylife", 5).await;
        assert!(town.arrived_at("portal").len() <= 32, "{}", database.kind);
        town.set("portal", Mood::Answers(200));
        let report = sending.await.unwrap().unwrap();
        assert_eq!((report.delivered, report.failed), (65, 0));
        assert!(town.most_at_once("portal") <= 32);
    }
}

#[tokio::test]
async fn a_merchant_that_fails_has_one_place() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        closed(&center, "portal", 1).await;
        town.set("portal", Mood::Silent(TryOutcome::TimedOut));
        center.engine.send_notifications().await.unwrap();
        for digits in 2..=9 {
            closed(&center, "portal", digits).await;
        }
        let before = town.arrived().len();
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!((report.tried, town.arrived().len() - before), (8, 8));
        assert_eq!(town.most_at_once("portal"), 1, "{}", database.kind);
    }
}
