//! Sent again by hand: one or many, of one's own only, each with an audit row.

use super::town::Mood;
use super::*;
use payhall::domain::notification::{NotificationState, TryOutcome};
use payhall::domain::refusal::RefusalCode;
use payhall::engine::EngineError;
use payhall::storage::audit;
use payhall::storage::notifications::Filter;
use uuid::Uuid;

fn own(merchant: &str) -> Scope {
    Scope::Merchant(code(merchant))
}

async fn audits(center: &Replica, of: &Notification) -> Vec<(String, Option<String>)> {
    let id = of.notification_id.to_string();
    let rows = center.engine.store().read(move |c| audit::about(c, &id));
    let rows = rows.await.unwrap().into_iter();
    rows.map(|row| (row.entry.actor, row.entry.before))
        .collect()
}

/// Gives up everything that is pending.
async fn give_up_all(center: &Replica, town: &Town) {
    town.set("portal", Mood::Answers(500));
    town.set("citylife", Mood::Answers(500));
    for _ in 0..16 {
        center.engine.send_notifications().await.unwrap();
        center.clock.advance(Duration::from_secs(6 * 3_600));
    }
    town.set("portal", Mood::Answers(200));
    town.set("citylife", Mood::Answers(200));
}

#[tokio::test]
async fn one_that_was_delivered_begins_a_new_series_with_its_old_id() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        center.engine.send_notifications().await.unwrap();
        let first = only(&center, &order.order_no).await;
        assert_eq!(first.state, NotificationState::Delivered);
        let again = center
            .engine
            .notification_resend(first.notification_id, &own("portal"), &actor("portal"))
            .await
            .unwrap();
        assert_eq!(
            (again.state, again.series, again.tries),
            (NotificationState::Pending, 2, 0)
        );
        center.engine.send_notifications().await.unwrap();
        let second = only(&center, &order.order_no).await;
        assert_eq!(
            (second.state, second.series),
            (NotificationState::Delivered, 2)
        );
        let arrived = town.arrived();
        assert_eq!(arrived.len(), 2, "{}", database.kind);
        assert_eq!(
            (&arrived[0].id, &arrived[0].body),
            (&arrived[1].id, &arrived[1].body)
        );
        let rows = tries(&center, &second).await;
        let places: Vec<_> = rows.iter().map(|row| (row.series, row.number)).collect();
        assert_eq!(places, [(1, 1), (2, 1)]);
        let expected = ("merchant:portal".to_owned(), Some("DELIVERED".to_owned()));
        assert_eq!(audits(&center, &second).await, [expected]);
    }
}

#[tokio::test]
async fn one_that_waits_is_sent_at_once_and_one_that_is_due_stays_as_it_is() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        let due = only(&center, &order.order_no).await;
        let resend = || {
            center
                .engine
                .notification_resend(due.notification_id, &Scope::All, samples_ann())
        };
        assert_eq!(resend().await.unwrap(), due, "it is due");
        assert!(audits(&center, &due).await.is_empty());
        town.set("portal", Mood::Silent(TryOutcome::Broken));
        center.engine.send_notifications().await.unwrap();
        town.set("portal", Mood::Answers(200));
        assert_eq!(center.engine.send_notifications().await.unwrap().tried, 0);
        let sooner = resend().await.unwrap();
        assert_eq!((sooner.series, sooner.tries), (1, 1), "the same series");
        assert_eq!(
            center.engine.send_notifications().await.unwrap().delivered,
            1
        );
        assert_eq!(audits(&center, &due).await.len(), 1, "{}", database.kind);
    }
}

fn samples_ann() -> &'static Actor {
    static ANN: std::sync::LazyLock<Actor> =
        std::sync::LazyLock::new(|| samples::person(samples::MAKER));
    &ANN
}

#[tokio::test]
async fn many_are_sent_again_as_the_filter_says_and_no_others() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        for digits in 1..=7 {
            closed(&center, "portal", digits).await;
        }
        for digits in 11..=13 {
            closed(&center, "citylife", digits).await;
        }
        give_up_all(&center, &town).await;
        let given_up = Filter {
            states: vec![NotificationState::GivenUp],
            ..Filter::default()
        };
        let of = |merchant: &str| Filter {
            merchant: Some(code(merchant)),
            ..given_up.clone()
        };
        let engine = &center.engine;
        let (portal, citylife, who) = (own("portal"), own("citylife"), actor("portal"));
        let foreign = engine.notifications_resend(of("portal"), 100, &citylife, samples_ann());
        let foreign = foreign.await.unwrap();
        assert_eq!((foreign.count, foreign.has_more), (0, false));
        let some = engine.notifications_resend(given_up.clone(), 5, &portal, &who);
        let some = some.await.unwrap();
        assert_eq!((some.count, some.has_more), (5, true), "{}", database.kind);
        let rest = engine.notifications_resend(given_up.clone(), 100, &Scope::All, samples_ann());
        let rest = rest.await.unwrap();
        assert_eq!((rest.count, rest.has_more), (5, false), "{}", database.kind);
        let none = engine.notifications_resend(given_up, 100, &Scope::All, samples_ann());
        assert_eq!(none.await.unwrap().count, 0);
        let before = town.arrived().len();
        assert_eq!(engine.send_notifications().await.unwrap().delivered, 10);
        assert_eq!(town.arrived().len() - before, 10);
        let all = engine
            .notifications(Filter::default(), None, 100, &Scope::All)
            .await
            .unwrap();
        let mut rows = 0;
        for one in &all.rows {
            assert_eq!(one.series, 2);
            rows += audits(&center, one).await.len();
        }
        assert_eq!((all.rows.len(), rows), (10, 10), "an audit row each");
    }
}

#[tokio::test]
async fn more_than_a_transaction_holds_are_sent_again_in_several() {
    let database = TestDatabase::sqlite();
    let town = Town::new();
    let center = center(&database, &town).await;
    for digits in 1..=130 {
        closed(&center, "portal", digits).await;
    }
    assert_eq!(
        center.engine.send_notifications().await.unwrap().delivered,
        130
    );
    center.clock.advance(Duration::from_secs(1));
    let delivered = Filter {
        states: vec![NotificationState::Delivered],
        ..Filter::default()
    };
    let done = center
        .engine
        .notifications_resend(delivered, 120, &Scope::All, samples_ann());
    let done = done.await.unwrap();
    assert_eq!((done.count, done.has_more), (120, true));
}

#[tokio::test]
async fn what_is_another_s_is_not_there() {
    for database in TestDatabase::all() {
        let center = center(&database, &Town::new()).await;
        let order = closed(&center, "portal", 1).await;
        center.engine.send_notifications().await.unwrap();
        let id = only(&center, &order.order_no).await.notification_id;
        let engine = &center.engine;
        assert!(
            engine
                .notification(id, &own("portal"))
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            engine
                .notification(id, &own("citylife"))
                .await
                .unwrap()
                .is_none()
        );
        let page = |scope| async move {
            let listed = engine
                .notifications(Filter::default(), None, 10, &scope)
                .await;
            listed.unwrap().rows.len()
        };
        assert_eq!(
            (page(own("portal")).await, page(own("citylife")).await),
            (1, 0)
        );
        for (id, scope) in [(id, own("citylife")), (Uuid::now_v7(), Scope::All)] {
            let refused = engine.notification_resend(id, &scope, samples_ann()).await;
            let Err(EngineError::Refused(refusal)) = refused else {
                panic!("it is not refused: {refused:?}");
            };
            assert_eq!(
                refusal.code,
                RefusalCode::NotificationNotFound,
                "{}",
                database.kind
            );
        }
        let told = only(&center, &order.order_no).await;
        assert_eq!(told.series, 1, "nothing was sent again");
    }
}
