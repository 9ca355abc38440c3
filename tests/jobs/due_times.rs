//! Which due times are run: missed ones, jumping clocks, changes of the clocks, runs by hand, and
//! what wakes the driver.

use crate::support::database::TestDatabase;
use crate::worker::{Act, Manner, Worker, at, every_night, every_ten_seconds, patient};
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
async fn a_clock_that_jumps_runs_nothing_twice() {
    for database in TestDatabase::all() {
        let begin = every_ten_seconds(Act::Report(1));
        let worker = Worker::start(&database, begin).await;
        worker.tick().await;
        // An hour ahead: what lies between was missed and is left out.
        worker.advance(3_600);
        assert_eq!(worker.tick().await.len(), 1);
        // And back: the due times from then on are run, but none that has its row.
        let back = Manner {
            now: "2026-11-22T04:00:05Z",
            ..every_ten_seconds(Act::Report(1))
        };
        let back = Worker::start(&database, back).await;
        assert_eq!(back.tick().await, []);
        back.advance(10);
        assert_eq!(back.tick().await.len(), 1);
        back.advance(3_585);
        assert_eq!(back.tick().await, [], "that one has its row");
        back.advance(10);
        assert_eq!(back.tick().await.len(), 1);
        let wanted = [
            "11-22 04:00:00",
            "11-22 04:00:10",
            "11-22 05:00:00",
            "11-22 05:00:10",
        ];
        assert_eq!(back.due_times().await, wanted, "{}", database.kind);
    }
}

#[tokio::test]
async fn no_date_is_missed_or_run_twice_where_the_clocks_change() {
    let table = [
        (
            "2026-03-27T12:00:00Z",
            ["03-28 01:30:00", "03-29 01:00:00", "03-30 00:30:00"],
        ),
        (
            "2026-10-23T12:00:00Z",
            ["10-24 00:30:00", "10-25 00:30:00", "10-26 01:30:00"],
        ),
    ];
    for (begin, wanted) in table {
        for catch_up in ["SKIP", "RUN_ONCE", "RUN_ALL"] {
            let database = TestDatabase::sqlite();
            let manner = Manner {
                schedule: "0 30 2 * * *",
                zone: "Europe/Berlin",
                ..every_night("a", begin, catch_up)
            };
            let worker = Worker::start(&database, manner).await;
            let made = worker.tick().await.len();
            for _ in 0..6 * 24 * 3 {
                worker.advance(600);
                worker.tick().await;
            }
            let due = worker.due_times().await;
            assert_eq!(due[made..], wanted, "{catch_up}");
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
        let by_hand = after.driver.run_now("probe").await.unwrap();
        let claimed = by_hand.run.clone();
        let ended = patient(by_hand.ended()).await.unwrap();
        assert_eq!(ended.run_id, claimed.run_id);
        assert_eq!(ended.state, JobRunState::Succeeded);
        assert_ne!(ended.scheduled_at.timestamp_subsec_micros(), 0);
        assert_eq!(after.tick().await.len(), 2, "{}", database.kind);
        assert!(after.driver.run_now("prob").await.is_err());
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
