//! What does not grow and is not worked on for nothing: tries that are not sent, what readers are given,
//! looks that find nothing.

use super::support::bank::alarms;
use super::town::Mood;
use super::*;
use payhall::domain::notification::TryOutcome;
use payhall::engine::TimelineKind;
use payhall::storage::Tx;
use payhall::storage::notifications::{LeaseRequest, TRIES_SHOWN, claimable, merchants_due};

#[tokio::test]
async fn what_cannot_be_sent_rests_longer_each_time_and_is_one_row() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        let currency =
            |code: &str| database.execute(&format!("UPDATE orders SET currency = '{code}'"));
        currency("no currency").unwrap();
        let mut waits = Vec::new();
        let made = only(&center, &order.order_no).await;
        let mut now = made.next_at;
        for _ in 0..9 {
            let report = center.engine.send_notifications().await.unwrap();
            assert_eq!((report.tried, report.failed), (1, 0), "{}", database.kind);
            let told = only(&center, &order.order_no).await;
            waits.push((told.next_at - now).num_seconds());
            now = told.next_at;
            go_to(&center, now);
        }
        let expected = [60, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600];
        assert_eq!(waits, expected, "{}", database.kind);
        let told = only(&center, &order.order_no).await;
        let row = tries(&center, &told).await;
        assert_eq!((told.tries, row.len()), (0, 1), "{}", database.kind);
        assert_eq!(row[0].outcome, TryOutcome::NotSent);
        assert_eq!(row[0].started_at, made.next_at, "since the first");
        assert!(row[0].ended_at > Some(row[0].started_at), "until the last");
        currency("CNY").unwrap();
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 1);
        let rows = tries(&center, &told).await;
        let outcomes: Vec<_> = rows.iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, [TryOutcome::NotSent, TryOutcome::Delivered]);
    }
}

#[tokio::test]
async fn of_many_tries_the_last_are_read_and_all_are_counted() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        let other = closed(&center, "portal", 2).await;
        center.engine.send_notifications().await.unwrap();
        let told = only(&center, &order.order_no).await;
        // As many series as a merchant may order; these ids come before every one of today.
        let rows: Vec<String> = (1..=120)
            .map(|n| {
                format!(
                    "('00000000-0000-7000-8000-{n:012}', '{}', 1, {n}, {n}, {n}, 'REJECTED', 500, NULL, NULL)",
                    told.notification_id
                )
            })
            .collect();
        let insert = format!("INSERT INTO notification_tries VALUES {}", rows.join(", "));
        database.execute(&insert).unwrap();
        let found = last_tries(&center, &told).await;
        assert_eq!(found.total, 121, "{}", database.kind);
        assert_eq!(i64::try_from(found.last.len()).unwrap(), TRIES_SHOWN);
        let numbers: Vec<i32> = found.last.iter().map(|row| row.number).collect();
        let expected: Vec<i32> = (72..=120).chain([1]).collect();
        assert_eq!(numbers, expected, "{}: the last, in order", database.kind);
        let other = only(&center, &other.order_no).await;
        assert_eq!(last_tries(&center, &other).await.total, 1);
        let timeline = center.engine.timeline(&order.order_no, &Scope::All);
        let entries = timeline.await.unwrap().entries.into_iter();
        let about: Vec<String> = entries
            .filter(|entry| entry.kind == TimelineKind::Notification)
            .map(|entry| entry.text)
            .collect();
        // Made, delivered, what was left out, and the last tries.
        assert_eq!(about.len(), 53, "{}: {about:?}", database.kind);
        let left_out = format!(
            "notification {} had 71 tries before its last 50, which are not shown",
            told.notification_id
        );
        assert!(about.contains(&left_out), "{}: {about:?}", database.kind);
    }
}

#[tokio::test]
async fn what_waits_behind_an_earlier_one_is_not_looked_at_and_not_leased() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let store = center.engine.store();
        let order = closed(&center, "portal", 1).await;
        town.set("portal", Mood::Answers(500));
        center.engine.send_notifications().await.unwrap();
        moved_again(&center, &order, OrderState::Succeeded).await;
        let both = told(&center, &order.order_no).await;
        let ids: Vec<_> = both.iter().map(|one| one.notification_id).collect();
        let look = async |now: Instant| {
            let rooms = MERCHANTS.map(|merchant| (code(merchant), 32));
            let read = move |c: &mut _| Ok((merchants_due(c, now)?, claimable(c, now, &rooms)?));
            store.read(read).await.unwrap()
        };
        let lease = async |now: Instant| {
            let request = LeaseRequest {
                owner: "z".to_owned(),
                now,
                until: now + chrono::TimeDelta::minutes(1),
                ids: ids.clone(),
            };
            let step = move |tx: &mut Tx<'_>| tx.lease_notifications(&request);
            let leased = store.solo(step).await.unwrap();
            let ids = leased.iter().map(|(of, _)| of.notification_id);
            ids.collect::<Vec<_>>()
        };
        let early = both[1].next_at;
        assert!(early < both[0].next_at);
        assert_eq!(look(early).await, (vec![], vec![]), "{}", database.kind);
        assert!(lease(early).await.is_empty(), "{}", database.kind);
        let due = both[0].next_at;
        let found = look(due).await;
        assert_eq!(
            found,
            (vec![code("portal")], vec![ids[0]]),
            "{}",
            database.kind
        );
        assert_eq!(lease(due).await, [ids[0]], "{}", database.kind);
        assert!(
            lease(due).await.is_empty(),
            "{}: it is leased",
            database.kind
        );
        assert_eq!(look(due).await, (vec![], vec![]), "{}", database.kind);
    }
}

#[tokio::test]
async fn each_merchant_gets_as_many_as_it_has_room_for() {
    for database in TestDatabase::all() {
        let center = center(&database, &Town::new()).await;
        let mut expected = Vec::new();
        for digits in 1..=5 {
            let order = closed(&center, "portal", digits).await;
            closed(&center, "citylife", 10 + digits).await;
            expected.push(only(&center, &order.order_no).await.notification_id);
            center.clock.advance(Duration::from_secs(1));
        }
        let now = payhall::engine::Clock::now(&center.clock);
        let rooms = [(code("portal"), 3), (code("citylife"), 9)];
        let read = move |c: &mut _| claimable(c, now, &rooms);
        let found = center.engine.store().read(read).await.unwrap();
        assert_eq!(found.len(), 8, "{}", database.kind);
        let own: Vec<_> = found
            .into_iter()
            .filter(|id| expected.contains(id))
            .collect();
        assert_eq!(own, expected[..3], "{}: the oldest first", database.kind);
    }
}

/// Starts to send as the program does, with a clock that goes on by itself for half a lease, which is many
/// times what its pauses take: so a lease holds however long the database takes.
fn keep_notifying(center: &Replica) -> Vec<tokio::task::JoinHandle<()>> {
    let clock = center.clock.clone();
    let ticking = async move {
        let (tick, mut left) = (Duration::from_micros(10), LEASE / 2);
        while !left.is_zero() {
            clock.advance(tick);
            left -= tick;
            tokio::task::yield_now().await;
        }
    };
    let sending = center.engine.clone().keep_notifying();
    vec![tokio::spawn(ticking), tokio::spawn(sending)]
}

/// Waits until an error is logged about a notification, and says how often it was.
async fn logged(of: &Notification) -> usize {
    let id = of.notification_id.to_string();
    loop {
        let errors = alarms::errors().into_iter();
        let about = errors.filter(|line| line.contains(&id)).count();
        if about > 0 {
            return about;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_try_whose_end_is_lost_is_logged_once_where_it_happens() {
    alarms::listen();
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        town.set("portal", Mood::Panics);
        town.set("citylife", Mood::Hangs(200));
        let panicked = closed(&center, "portal", 1).await;
        let panicked = only(&center, &panicked.order_no).await;
        let untold = closed(&center, "citylife", 2).await;
        let untold = only(&center, &untold.order_no).await;
        let running = keep_notifying(&center);
        assert_eq!(logged(&panicked).await, 1, "{}", database.kind);
        town.wait_for("citylife", 1).await;
        // From here on nothing can be written down.
        center.engine.store().close().await;
        town.set("citylife", Mood::Answers(200));
        assert_eq!(logged(&untold).await, 1, "{}", database.kind);
        running.iter().for_each(|task| task.abort());
        town.set("portal", Mood::Answers(200));
        let next = replica(&database, "b", town.clone()).await;
        next.clock.advance(LEASE + LEASE);
        let report = next.engine.send_notifications().await.unwrap();
        assert_eq!(report.delivered, 2, "{}: it comes again", database.kind);
        assert_eq!(logged(&panicked).await, 1, "{}", database.kind);
        assert_eq!(logged(&untold).await, 1, "{}", database.kind);
    }
}
