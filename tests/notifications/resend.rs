//! Sent again by hand: one or many, of one's own only, each with an audit row.

use super::support::replica::Manner;
use super::town::Mood;
use super::*;
use futures_util::FutureExt;
use payhall::domain::notification::{NotificationState, TryOutcome};
use payhall::domain::refusal::{RefusalCode, Retry};
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
async fn more_than_a_page_holds_are_sent_again_once_each() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        for digits in 1..=250 {
            closed(&center, "portal", digits).await;
        }
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 250);
        center.clock.advance(Duration::from_secs(1));
        let delivered = Filter {
            states: vec![NotificationState::Delivered],
            ..Filter::default()
        };
        let resend = async |most| {
            let filter = delivered.clone();
            let done = center
                .engine
                .notifications_resend(filter, most, &Scope::All, samples_ann())
                .await
                .unwrap();
            (done.count, done.has_more)
        };
        assert_eq!(resend(230).await, (230, true), "{}", database.kind);
        assert_eq!(resend(20).await, (20, false), "{}", database.kind);
        assert_eq!(resend(1_000).await, (0, false), "{}", database.kind);
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 250);
        let mut after = None;
        while let Ok(page) = center
            .engine
            .notifications(Filter::default(), after, 100, &Scope::All)
            .await
        {
            assert!(page.rows.iter().all(|one| one.series == 2), "none twice");
            after = page.rows.last().map(|one| one.notification_id);
            if !page.has_more {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_was_sent_again_and_failed_meanwhile_is_not_sent_again_by_the_same_call() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        town.set("portal", Mood::Answers(500));
        for digits in 1..=60 {
            closed(&center, "portal", digits).await;
        }
        center.engine.send_notifications().await.unwrap();
        center.clock.advance(Duration::from_secs(1));
        let waiting = Filter {
            states: vec![NotificationState::Pending],
            ..Filter::default()
        };
        // Whoever is sent again fails and waits again before the call is over.
        let (engine, stop) = (&center.engine, tokio_util::sync::CancellationToken::new());
        let sending = async {
            while !stop.is_cancelled() {
                engine.send_notifications().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let resending = async {
            let done = engine.notifications_resend(waiting, 1_000, &Scope::All, samples_ann());
            let done = done.await.unwrap();
            stop.cancel();
            done
        };
        let ((), done) = tokio::join!(sending, resending);
        assert_eq!(
            (done.count, done.has_more),
            (60, false),
            "{}",
            database.kind
        );
        let listed = engine.notifications(Filter::default(), None, 100, &Scope::All);
        for one in &listed.await.unwrap().rows {
            assert_eq!(audits(&center, one).await.len(), 1, "{}", database.kind);
        }
    }
}

#[tokio::test]
async fn what_changed_since_it_was_read_is_left_as_it_is() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        closed(&center, "portal", 1).await;
        center.engine.send_notifications().await.unwrap();
        center.clock.advance(Duration::from_secs(1));
        let (store, now) = (
            center.engine.store(),
            payhall::engine::Clock::now(&center.clock),
        );
        let look =
            move |c: &mut _| notifications::resendable(c, &Filter::default(), now, (None, 9));
        let before = store.read(look).await.unwrap().remove(0);
        let id = before.notification_id;
        let single = center
            .engine
            .notification_resend(id, &Scope::All, samples_ann());
        single.await.unwrap();
        center.engine.send_notifications().await.unwrap();
        let after = before.resent(now).unwrap();
        let step = move |tx: &mut payhall::storage::Tx<'_>| tx.resend_notification(&before, &after);
        assert!(!store.solo(step).await.unwrap(), "{}", database.kind);
        let found = center.engine.notification(id, &Scope::All).await.unwrap();
        assert_eq!(found.unwrap().state, NotificationState::Delivered);
        let behind =
            move |c: &mut _| notifications::resendable(c, &Filter::default(), now, (Some(id), 9));
        assert!(store.read(behind).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_second_call_of_the_same_caller_is_refused_while_one_goes_on() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        closed(&center, "portal", 1).await;
        closed(&center, "citylife", 2).await;
        center.engine.send_notifications().await.unwrap();
        center.clock.advance(Duration::from_secs(1));
        let delivered = Filter {
            states: vec![NotificationState::Delivered],
            ..Filter::default()
        };
        // One writer: who holds it holds up whatever is to be written.
        let manner = Manner {
            masters: Masters::read([MASTER]).unwrap(),
            notifier: town.clone(),
            writers: 1,
            output: None,
            statements: None,
            closing: Default::default(),
        };
        let narrow = Replica::start_as(&database, "b", given::at(1), manner).await;
        let resend = async |scope: Scope| {
            let filter = delivered.clone();
            let engine = &narrow.engine;
            engine
                .notifications_resend(filter, 10, &scope, samples_ann())
                .await
        };
        // The first one cannot end before the second one is answered: what it would write waits.
        let (free, held) = std::sync::mpsc::channel::<()>();
        let hold = move |_: &mut payhall::storage::Tx<'_>| {
            let _ = held.recv();
            Ok(())
        };
        let (hold, first, second, other) = tokio::join!(
            biased;
            narrow.engine.store().solo(hold),
            resend(own("portal")),
            async { resend(own("portal")).now_or_never() },
            async {
                drop(free);
                resend(own("citylife")).await
            }
        );
        hold.unwrap();
        assert_eq!(first.unwrap().count, 1, "{}", database.kind);
        assert_eq!(other.unwrap().count, 1, "{}", database.kind);
        let Some(Err(EngineError::Refused(refusal))) = second else {
            panic!("it is not refused at once: {second:?}");
        };
        assert_eq!(refusal.code, RefusalCode::ResendInProgress);
        assert_eq!(refusal.retry, Retry::Later);
        assert!(resend(own("portal")).await.is_ok(), "it is over");
    }
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
