//! Nothing is sent unsigned, and no secret is left anywhere: a notify URL's path and query may hold one.

use super::support::bank::alarms;
use super::town::Mood;
use super::*;
use payhall::domain::notification::{NotificationState, TryOutcome};
use payhall::storage::notifications::Filter;
use std::io::Write;
use std::sync::Mutex;

const CANARY: &str = "canary-4c1f";

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_secret_in_the_url_is_in_no_row_and_no_log() {
    // Somebody listens on every thread. Where nobody does, the first one there to come to a line says so for
    // all, and the paper stays empty.
    alarms::listen();
    let paper = Paper::default();
    let writer = paper.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        // Such URLs as a person might have written, good and bad.
        for url in [
            format!("https://portal.example.com/{CANARY}?token={CANARY}"),
            format!("http://portal.example.com/{CANARY}"),
            format!("https://10.0.0.1/{CANARY}"),
            format!("https://{CANARY}:{CANARY}@portal.example.com/"),
            CANARY.to_owned(),
        ] {
            let change = format!(
                "UPDATE merchant_revisions SET notify_url = '{url}' WHERE merchant = 'portal'"
            );
            database.execute(&change).unwrap();
            town.set("portal", Mood::Answers(500));
            go_to(&center, only(&center, &order.order_no).await.next_at);
            assert_eq!(center.engine.send_notifications().await.unwrap().tried, 1);
        }
        let told = only(&center, &order.order_no).await;
        let rows = tries(&center, &told).await;
        assert_eq!(rows.len(), 5);
        assert_eq!(rows[1].outcome, TryOutcome::UrlRefused);
        assert_eq!(rows[2].outcome, TryOutcome::AddressRefused);
        let timeline = center
            .engine
            .timeline(&order.order_no, &Scope::All)
            .await
            .unwrap();
        let said = format!("{told:?} {rows:?} {timeline:?}");
        assert!(!said.contains(CANARY), "{}: {said}", database.kind);
    }
    let logged = String::from_utf8_lossy(&paper.0.lock().unwrap()).into_owned();
    assert!(
        logged.contains("a merchant could not be notified"),
        "{logged}"
    );
    assert!(!logged.contains(CANARY), "{logged}");
}

#[tokio::test]
async fn without_a_key_nothing_is_taken_nothing_is_lost_and_somebody_is_called() {
    alarms::listen();
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        let made = only(&center, &order.order_no).await;
        let now = given::at(0);
        let parts = (Masters::default(), town.clone() as Arc<dyn Notifier>);
        let keyless = Replica::start_on(&database, "b", now, parts).await;
        keyless.engine.refresh_center_key().await.unwrap();
        let before = alarms::of_kind("NOTIFICATIONS_STOPPED").len();
        let cries = || alarms::of_kind("NOTIFICATIONS_STOPPED").len() - before;
        for _ in 0..60 {
            let report = keyless.engine.send_notifications().await.unwrap();
            assert_eq!(report, Default::default(), "{}", database.kind);
            keyless.clock.advance(Duration::from_secs(59));
        }
        assert_eq!(cries(), 1, "{}: once an hour", database.kind);
        keyless.clock.advance(Duration::from_secs(60));
        keyless.engine.send_notifications().await.unwrap();
        assert_eq!(cries(), 2, "{}", database.kind);
        assert!(town.arrived().is_empty(), "nothing is sent unsigned");
        let told = only(&center, &order.order_no).await;
        assert_eq!(told, made, "{}: it was not touched", database.kind);
        assert_eq!(last_tries(&center, &told).await.total, 0);
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 1, "{}", database.kind);
        keyless.clock.advance(Duration::from_secs(7_200));
        keyless.engine.send_notifications().await.unwrap();
        assert_eq!(cries(), 2, "{}: nothing waits any more", database.kind);
    }
}

#[tokio::test]
async fn many_of_all_kinds_are_listed_in_pages() {
    for database in TestDatabase::all() {
        let center = center(&database, &Town::new()).await;
        for digits in 1..=5 {
            closed(&center, "portal", digits).await;
        }
        let engine = &center.engine;
        let filter = Filter {
            states: vec![NotificationState::Pending],
            from: Some(given::at(0)),
            to: Some(given::at(1)),
            ..Filter::default()
        };
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = engine
                .notifications(filter.clone(), after, 2, &Scope::All)
                .await
                .unwrap();
            seen.extend(page.rows.iter().map(|one| one.notification_id));
            after = seen.last().copied();
            if !page.has_more {
                break;
            }
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (5, &sorted), "{}", database.kind);
        let early = Filter {
            to: Some(given::at(0)),
            ..filter
        };
        let none = engine
            .notifications(early, None, 2, &Scope::All)
            .await
            .unwrap();
        assert!(none.rows.is_empty());
    }
}
