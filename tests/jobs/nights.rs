//! Nights: jobs that come after each other, missed nights, and replicas that race.

use crate::support::database::TestDatabase;
use crate::worker::{Act, Manner, Worker, dates, every_night, patient};
use payhall::domain::job::{JobRun, JobRunState};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Two jobs each night, the second after the first.
fn pair(name: &'static str, now: &'static str) -> Manner<'static> {
    Manner {
        follower: Some("0 0 2 * * *"),
        ..every_night(name, now, "RUN_ALL")
    }
}

fn of(runs: &[JobRun], job: &str) -> Vec<JobRun> {
    let mut own: Vec<JobRun> = runs.iter().filter(|run| run.job == job).cloned().collect();
    own.sort_by_key(|run| run.started_at);
    own
}

#[tokio::test]
async fn a_run_waits_for_the_one_before_it_of_the_same_date() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let failing = Manner {
            act: Act::FailUntil(gate.clone()),
            ..pair("a", "2026-11-21T18:00:01Z")
        };
        let worker = Worker::start(&database, failing).await;
        assert_eq!(worker.tick_of("follower").await, [], "nothing came before");
        assert_eq!(worker.tick().await[0].state, JobRunState::Failed);
        assert_eq!(worker.tick_of("follower").await, [], "a failure is none");
        // The next date's success is another's.
        gate.add_permits(1);
        worker.advance(86_400);
        assert_eq!(dates(&worker.tick().await), ["2026-11-22"]);
        assert_eq!(worker.tick_of("follower").await.len(), 0, "in order");
        // Somebody makes up for the one that failed.
        worker.backfill("probe", "2026-11-21", "2026-11-21").await;
        gate.add_permits(1);
        assert_eq!(dates(&worker.tick().await), ["2026-11-21"]);
        let followed = worker.tick_of("follower").await;
        assert_eq!(
            dates(&followed),
            ["2026-11-21", "2026-11-22"],
            "{}",
            database.kind
        );
    }
}

#[tokio::test]
async fn what_comes_after_is_woken_by_a_success() {
    let database = TestDatabase::sqlite();
    let mut worker = Worker::start(&database, pair("a", "2026-11-21T18:00:01Z")).await;
    let metronome = worker.driver.start().await.unwrap();
    // The engine's clock stands still, so the regular look never comes.
    assert_eq!(worker.began().await.run.job, "probe");
    assert_eq!(worker.began().await.run.job, "follower");
    worker.ask("probe", Some("2026-11-11")).await;
    assert_eq!(
        worker.began().await.run.business_date.to_string(),
        "2026-11-11"
    );
    metronome.stop().await;
    worker.replica.stop.cancel();
}

#[tokio::test]
async fn seven_missed_nights_are_run_in_order_and_once_by_two_replicas_that_race() {
    for database in TestDatabase::all() {
        let before = Worker::start(&database, pair("before", "2026-11-14T18:00:01Z")).await;
        before.tick().await;
        before.tick_of("follower").await;
        before.replica.engine.store().close().await;
        let now = "2026-11-22T02:00:00Z";
        let a = Worker::start(&database, pair("a", now)).await;
        let b = Worker::start(&database, pair("b", now)).await;
        let count = async || a.runs().await.len();
        patient(async {
            while count().await < 16 {
                tokio::join!(
                    a.tick_of("follower"),
                    b.tick(),
                    b.tick_of("follower"),
                    a.tick()
                );
            }
        })
        .await;
        tokio::join!(
            a.tick(),
            b.tick(),
            a.tick_of("follower"),
            b.tick_of("follower")
        );
        let runs = a.runs().await;
        assert_eq!(runs.len(), 16, "{}", database.kind);
        let nights: Vec<String> = (14..=21).map(|day| format!("2026-11-{day}")).collect();
        for job in ["probe", "follower"] {
            let own = of(&runs, job);
            assert_eq!(dates(&own), nights, "{job} {}", database.kind);
            assert!(own.iter().all(|run| run.fence == 1));
            assert!(own.iter().all(|run| run.state == JobRunState::Succeeded));
            assert!(own.is_sorted_by_key(|run| run.scheduled_at));
        }
        let mut begun: BTreeMap<(String, String), usize> = BTreeMap::new();
        for mut worker in [a, b] {
            while let Ok(context) = worker.began.try_recv() {
                let run = context.run;
                *begun
                    .entry((run.job, run.business_date.to_string()))
                    .or_default() += 1;
            }
        }
        assert_eq!(begun.len(), 14);
        assert!(begun.values().all(|times| *times == 1), "{begun:?}");
    }
}

#[tokio::test]
async fn a_night_that_died_half_way_is_ended_by_another_before_the_next_begins() {
    for database in TestDatabase::all() {
        let dying = Manner {
            act: Act::Hang,
            ..pair("dying", "2026-11-20T18:00:01Z")
        };
        let mut dying = Worker::start(&database, dying).await;
        let tick = dying.tick_beside();
        dying.began().await;
        tick.abort();
        dying.replica.engine.store().close().await;
        let heir = Worker::start(&database, pair("heir", "2026-11-22T02:00:00Z")).await;
        let ran = heir.tick().await;
        assert_eq!(
            dates(&ran),
            ["2026-11-20", "2026-11-21"],
            "{}",
            database.kind
        );
        assert_eq!((ran[0].fence, ran[1].fence), (2, 1));
        let followed = heir.tick_of("follower").await;
        assert_eq!(dates(&followed), ["2026-11-20", "2026-11-21"]);
    }
}
