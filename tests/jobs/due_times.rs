//! Which due times are run: missed ones, jumping clocks, changes of the clocks, runs by hand, and
//! what wakes the driver.

use crate::support::database::TestDatabase;
use crate::worker::{Act, Manner, Worker, at, dates, every_night, every_ten_seconds, patient};
use payhall::domain::job::JobRunState;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn missed_nights_follow_the_rule() {
    let first = "11-18 18:00:00";
    let (second, third, fourth) = ("11-19 18:00:00", "11-20 18:00:00", "11-21 18:00:00");
    let table = [
        ("SKIP", vec![first]),
        ("RUN_ONCE", vec![first, fourth]),
        ("RUN_ALL", vec![first, second, third, fourth]),
    ];
    for (catch_up, wanted) in table {
        for database in TestDatabase::all() {
            let before = every_night("a", "2026-11-18T18:00:01Z", catch_up);
            let before = Worker::start(&database, before).await;
            assert_eq!(before.tick_and_go().await.len(), 1);
            let after = every_night("a", "2026-11-22T02:00:00Z", catch_up);
            let mut after = Worker::start(&database, after).await;
            let caught_up = after.tick().await;
            assert_eq!(after.due_times().await, wanted, "{catch_up}");
            // Oldest first, and nothing twice.
            assert!(caught_up.is_sorted_by_key(|run| run.scheduled_at));
            assert_eq!(after.tick().await, []);
            while after.began.try_recv().is_ok() {}
        }
    }
}

#[tokio::test]
async fn missed_nights_are_run_in_order_by_whoever_comes() {
    for database in TestDatabase::all() {
        let before = every_night("a", "2026-11-18T18:00:01Z", "RUN_ALL");
        Worker::start(&database, before).await.tick_and_go().await;
        let gate = Arc::new(Semaphore::new(0));
        let slow = Manner {
            act: Act::Gate(gate.clone(), 1),
            ..every_night("slow", "2026-11-22T02:00:00Z", "RUN_ALL")
        };
        let mut slow = Worker::start(&database, slow).await;
        let tick = slow.tick_beside();
        slow.began().await;
        let other = every_night("other", "2026-11-22T02:00:00Z", "RUN_ALL");
        let other = Worker::start(&database, other).await;
        assert_eq!(other.tick().await, [], "it waits for the night before");
        slow.replica.stop.cancel();
        gate.add_permits(1);
        patient(tick).await.unwrap();
        assert_eq!(other.tick().await.len(), 2);
        let owners: Vec<String> = other
            .runs()
            .await
            .into_iter()
            .map(|run| run.owner)
            .collect();
        assert_eq!(owners, ["a", "slow", "other", "other"]);
    }
}

#[tokio::test]
async fn a_beat_goes_on_when_the_clock_is_set_back() {
    for database in TestDatabase::all() {
        let worker = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
        // Ten minutes of a clock that is an hour ahead.
        worker.advance(3_600);
        for _ in 0..60 {
            assert_eq!(worker.tick().await.len(), 1);
            worker.advance(10);
        }
        // It is set right; two replicas live through that hour and the ten minutes once more.
        worker.replica.clock.set(at("2026-11-22T04:00:03Z"));
        let other = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
        for beat in 0..6 * 70 {
            let (one, two) = tokio::join!(worker.tick(), other.tick());
            let ran = one.len() + two.len();
            // Where the clock reaches what it showed before, it rests for no longer than `on_time`.
            let is_end = beat >= 6 * 69 - 1;
            assert!(
                ran == 1 || (is_end && ran == 0),
                "{beat}: {ran}, {}",
                database.kind
            );
            worker.advance(10);
            other.advance(10);
        }
        for _ in 0..6 {
            assert_eq!(worker.tick().await.len(), 1);
            worker.advance(10);
        }
        // Set back twice: the second time is told apart from the first.
        worker.replica.clock.set(at("2026-11-22T04:30:03Z"));
        assert_eq!(worker.tick().await.len(), 1);
        let again = worker.due_times().await;
        let beats = again.iter().filter(|due| *due == "11-22 04:30:00").count();
        assert_eq!(beats, 2, "{}", database.kind);
    }
}

#[tokio::test]
async fn a_night_is_never_run_twice_whatever_the_clock_does() {
    for catch_up in ["RUN_ONCE", "RUN_ALL"] {
        for database in TestDatabase::all() {
            let night = every_night("a", "2026-11-19T18:00:01Z", catch_up);
            let worker = Worker::start(&database, night).await;
            for _ in 0..3 {
                assert_eq!(worker.tick().await.len(), 1);
                worker.advance(86_400);
            }
            for back in ["2026-11-21T17:30:00Z", "2026-11-20T12:00:00Z"] {
                worker.replica.clock.set(at(back));
                for _ in 0..24 * 6 {
                    assert_eq!(worker.tick().await, [], "{catch_up} {}", database.kind);
                    worker.advance(600);
                    if worker.replica.engine.clock().now() > at("2026-11-22T17:59:00Z") {
                        break;
                    }
                }
            }
            worker.replica.clock.set(at("2026-11-22T18:00:00Z"));
            assert_eq!(worker.tick().await.len(), 1);
            let nights = [19, 20, 21, 22].map(|day| format!("11-{day} 18:00:00"));
            assert_eq!(worker.due_times().await, nights);
        }
    }
}

#[tokio::test]
async fn no_date_is_missed_or_run_twice_where_the_clocks_change() {
    let table = [
        (
            "2026-03-27T12:00:00Z",
            ["03-28 01:30:00", "03-29 01:00:00", "03-30 00:30:00"],
            "Europe/Berlin",
        ),
        (
            "2026-10-23T12:00:00Z",
            ["10-24 00:30:00", "10-25 00:30:00", "10-26 01:30:00"],
            "Europe/Berlin",
        ),
        // In New York the gap is 02:00 to 03:00 of 8 March, the repetition 01:00 to 02:00 of 1 November.
        (
            "2026-03-06T12:00:00Z",
            ["03-07 07:30:00", "03-08 07:00:00", "03-09 06:30:00"],
            "America/New_York",
        ),
        (
            "2026-10-30T12:00:00Z",
            ["10-31 06:30:00", "11-01 07:30:00", "11-02 07:30:00"],
            "America/New_York",
        ),
        // Shanghai's clocks do not change.
        (
            "2026-03-27T00:00:00Z",
            ["03-27 18:30:00", "03-28 18:30:00", "03-29 18:30:00"],
            "Asia/Shanghai",
        ),
    ];
    for (begin, wanted, zone) in table {
        for catch_up in ["SKIP", "RUN_ONCE", "RUN_ALL"] {
            let database = TestDatabase::sqlite();
            let manner = Manner {
                schedule: "0 30 2 * * *",
                zone,
                ..every_night("a", begin, catch_up)
            };
            let worker = Worker::start(&database, manner).await;
            let made = worker.tick().await.len();
            for _ in 0..6 * 24 * 3 {
                worker.advance(600);
                worker.tick().await;
            }
            let due = worker.due_times().await;
            assert_eq!(due[made..], wanted, "{catch_up} {zone}");
        }
    }
}

#[tokio::test]
async fn a_run_by_hand_hides_no_missed_night() {
    for database in TestDatabase::all() {
        let before = every_night("a", "2026-11-19T18:00:00Z", "RUN_ALL");
        Worker::start(&database, before).await.tick_and_go().await;
        let after = every_night("a", "2026-11-22T02:00:00Z", "RUN_ALL");
        let after = Worker::start(&database, after).await;
        let asked = after.ask("probe", None).await;
        assert_ne!(asked.scheduled_at.timestamp_subsec_micros(), 0);
        assert_eq!(asked.state, JobRunState::Waiting);
        let ran = after.tick().await;
        // What somebody waits for comes first, then the nights in order.
        assert_eq!(ran[0].run_id, asked.run_id);
        assert_eq!(dates(&ran), ["2026-11-21", "2026-11-20", "2026-11-21"]);
        assert!(ran.iter().all(|run| run.state == JobRunState::Succeeded));
        assert_eq!(ran[0].asked_by.as_deref(), Some("operator:olga"));
    }
}

#[tokio::test]
async fn the_metronome_wakes_the_driver() {
    let database = TestDatabase::sqlite();
    let manner = Manner {
        schedule: "* * * * * *",
        ..every_ten_seconds(Act::Report(1))
    };
    let mut worker = Worker::start(&database, manner).await;
    let metronome = worker.driver.start().await.unwrap();
    // The first comes from the look at the start. The engine's clock moves only here, so that the
    // regular look never comes: the others come from the metronome, which has a clock of its own.
    for _ in 0..3 {
        worker.began().await;
        worker.advance(1);
    }
    metronome.stop().await;
    worker.replica.stop.cancel();
    worker.replica.tasks.close();
    patient(worker.replica.tasks.wait()).await;
    let due = worker.due_times().await;
    assert_eq!(due[..2], ["11-22 04:00:03", "11-22 04:00:04"]);
}

#[tokio::test]
async fn every_ten_seconds_each_job_is_looked_at_whatever_the_metronome_does() {
    let database = TestDatabase::sqlite();
    let manner = every_night("a", "2026-11-21T17:59:55Z", "RUN_ALL");
    let mut worker = Worker::start(&database, manner).await;
    // A job that never ran begins with its latest due time.
    let metronome = worker.driver.start().await.unwrap();
    let first = worker.began().await.run;
    assert_eq!(first.scheduled_at, at("2026-11-20T18:00:00Z"));
    let second = patient(async {
        loop {
            worker.advance(10);
            tokio::task::yield_now().await;
            if let Ok(context) = worker.began.try_recv() {
                return context.run;
            }
        }
    });
    assert_eq!(second.await.scheduled_at, at("2026-11-21T18:00:00Z"));
    metronome.stop().await;
    worker.replica.stop.cancel();
}
