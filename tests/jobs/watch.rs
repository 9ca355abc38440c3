//! Who watches: progress that is kept, and alarms that are raised once, whatever is killed.

use crate::support::database::TestDatabase;
use crate::worker::{Act, Manner, Worker, at, dates, every_night, every_ten_seconds, patient};
use metrics_exporter_prometheus::PrometheusBuilder;
use payhall::domain::job::JobRunState;
use payhall::engine::WatchReport;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A night that has to be done by nine.
fn by_nine(act: Act) -> Manner<'static> {
    Manner {
        lines: "alarm_at = \"09:00\"",
        act,
        ..every_night("a", "2026-11-21T18:00:01Z", "RUN_ALL")
    }
}

async fn watch(worker: &Worker) -> WatchReport {
    let watched = worker.replica.engine.watch_runs(&worker.driver).await;
    watched.unwrap()
}

fn found(failed: u32, late: u32) -> WatchReport {
    WatchReport {
        failed,
        late,
        calendar: 0,
    }
}

#[tokio::test]
async fn progress_is_written_with_the_lease_and_kept() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let telling = Manner {
            act: Act::Tell(250, 1_000, gate.clone()),
            ..every_night("a", "2026-11-21T18:00:00Z", "RUN_ALL")
        };
        let mut worker = Worker::start(&database, telling).await;
        let tick = worker.tick_beside();
        worker.began().await;
        assert_eq!(
            worker.runs().await[0].progress,
            None,
            "not before the renewal"
        );
        let told = worker.progress().await;
        assert_eq!((told.done, told.total), (250, Some(1_000)));
        let seconds = u64::try_from((told.at - told.since).num_seconds()).unwrap();
        assert!(seconds >= 20);
        assert_eq!(told.rate_per_s(), Some(250 / seconds));
        let left = told.time_left().unwrap();
        assert_eq!(left.as_secs(), seconds * 3, "{}", database.kind);
        gate.add_permits(1);
        patient(tick).await.unwrap();
        let run = worker.runs().await.pop().unwrap();
        assert_eq!(run.state, JobRunState::Succeeded);
        assert_eq!(run.progress.unwrap().done, 250);
    }
}

#[tokio::test]
async fn who_takes_a_run_over_counts_anew() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let telling = Manner {
            act: Act::Tell(250, 1_000, gate),
            ..every_night("a", "2026-11-21T18:00:00Z", "RUN_ALL")
        };
        let mut first = Worker::start(&database, telling).await;
        let tick = first.tick_beside();
        first.began().await;
        first.progress().await;
        tick.abort();
        first.replica.engine.store().close().await;
        let heir = every_night("b", "2026-11-21T18:00:00Z", "RUN_ALL");
        let heir = Worker::start(&database, heir).await;
        let lapsed = first.replica.engine.clock().now() + chrono::TimeDelta::minutes(10);
        heir.replica.clock.set(lapsed);
        let ran = heir.tick().await;
        assert_eq!(
            (ran[0].fence, ran[0].progress),
            (2, None),
            "{}",
            database.kind
        );
        assert_eq!(heir.runs().await[0].progress, None);
    }
}

#[tokio::test]
async fn a_failure_that_was_not_told_before_a_kill_is_told_once_afterwards() {
    for database in TestDatabase::all() {
        let failing = Worker::start(&database, by_nine(Act::Fail)).await;
        // It is killed between the commit of the failure and the alarm: its row stands there untold.
        failing.tick().await;
        failing.rest().await;
        failing.replica.engine.store().close().await;
        database.execute("DELETE FROM job_alarms").unwrap();
        let heir = Worker::start(&database, by_nine(Act::Report(1))).await;
        assert_eq!(
            watch(&heir).await,
            found(0, 0),
            "its own replica may yet tell"
        );
        heir.advance(120);
        assert_eq!(watch(&heir).await, found(1, 0), "{}", database.kind);
        assert_eq!(watch(&heir).await, found(0, 0));
        heir.advance(60);
        assert_eq!(watch(&heir).await, found(0, 0));
    }
}

#[test]
fn a_failure_is_told_at_once_by_whoever_ran_it_and_by_nobody_else() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let database = TestDatabase::sqlite();
            let worker = Worker::start(&database, by_nine(Act::Fail)).await;
            worker.tick().await;
            worker.rest().await;
            worker.advance(3_600);
            assert_eq!(watch(&worker).await, found(0, 0));
        });
        recorder.handle().render()
    });
    let line = "payhall_alarms_total{kind=\"JOB\",level=\"WARN\"} 1";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn a_beat_that_fails_again_and_again_is_told_once() {
    for database in TestDatabase::all() {
        let worker = Worker::start(&database, every_ten_seconds(Act::Fail)).await;
        for _ in 0..6 {
            worker.tick().await;
            worker.advance(10);
        }
        worker.rest().await;
        database.execute("DELETE FROM job_alarms").unwrap();
        worker.advance(120);
        assert_eq!(watch(&worker).await, found(1, 0), "{}", database.kind);
        assert_eq!(watch(&worker).await, found(0, 0));
    }
}

#[tokio::test]
async fn a_date_that_is_late_is_told_once() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(1));
        let worker = Worker::start(&database, by_nine(Act::FailUntil(gate.clone()))).await;
        assert_eq!(dates(&worker.tick().await), ["2026-11-21"]);
        worker.replica.clock.set(at("2026-11-23T00:59:59Z"));
        assert_eq!(worker.tick().await[0].state, JobRunState::Failed);
        worker.rest().await;
        assert_eq!(watch(&worker).await.late, 0, "it is not nine yet");
        worker.advance(1);
        assert_eq!(watch(&worker).await.late, 1, "{}", database.kind);
        assert_eq!(watch(&worker).await.late, 0);
        // Nobody was there for three nights: each of them is late, and the first of them was told.
        worker.replica.clock.set(at("2026-11-26T01:00:00Z"));
        assert_eq!(watch(&worker).await.late, 3);
        assert_eq!(watch(&worker).await.late, 0);
        gate.add_permits(100);
        worker.tick().await;
        worker.advance(86_400);
        worker.tick().await;
        assert_eq!(watch(&worker).await, found(0, 0));
    }
}

#[tokio::test]
async fn what_a_center_did_not_live_through_is_not_late() {
    for database in TestDatabase::all() {
        let fresh = Manner {
            now: "2026-11-22T04:00:00Z",
            ..by_nine(Act::Fail)
        };
        let worker = Worker::start(&database, fresh).await;
        assert_eq!(watch(&worker).await, found(0, 0), "nothing ever ran");
        worker.tick().await;
        worker.rest().await;
        assert_eq!(watch(&worker).await.late, 0, "{}", database.kind);
    }
}
