//! Runs that somebody asked for: by hand, and for business dates that have none.

use crate::support::database::TestDatabase;
use crate::worker::{Act, Manner, Worker, at, date_of, dates, every_night, somebody};
use payhall::domain::job::JobRunState;
use payhall::domain::refusal::RefusalCode;
use payhall::engine::{Backfill, BackfillMode, EngineError, RunAsk};
use payhall::storage::audit;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// It is Sunday the 22nd, ten in the morning; the 21st is the last date that has ended.
const MORNING: &str = "2026-11-22T02:00:00Z";

#[tokio::test]
async fn what_was_asked_for_survives_whoever_took_it_down() {
    for database in TestDatabase::all() {
        let first = Worker::start(&database, every_night("a", MORNING, "RUN_ALL")).await;
        first.tick().await;
        let asked = first.ask("probe", Some("2026-11-18")).await;
        // Who asks again is told of the same.
        assert_eq!(first.ask("probe", Some("2026-11-18")).await, asked);
        first.replica.engine.store().close().await;
        let second = Worker::start(&database, every_night("b", MORNING, "RUN_ALL")).await;
        let ran = second.tick().await;
        assert_eq!(dates(&ran), ["2026-11-18"], "{}", database.kind);
        assert_eq!(ran[0].run_id, asked.run_id);
        assert_eq!((ran[0].owner.as_str(), ran[0].fence), ("b", 1));
        assert_eq!(second.tick().await, []);
        let read = |c: &mut _| audit::about(c, "probe");
        let rows = second.replica.engine.store().read(read).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].entry.actor, "operator:olga");
        assert_eq!(rows[0].entry.action, "RUN_ASKED");
        assert_eq!(rows[0].entry.after, Some(asked.run_id.to_string()));
    }
}

#[tokio::test]
async fn dates_without_a_success_are_made_up_for_in_order_and_once() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let failing = Manner {
            act: Act::FailUntil(gate.clone()),
            ..every_night("a", "2026-11-18T18:00:01Z", "RUN_ALL")
        };
        let worker = Worker::start(&database, failing).await;
        // The 18th failed; the 19th and the 20th succeed; the 21st fails.
        worker.tick().await;
        worker.replica.clock.set(at("2026-11-20T18:00:01Z"));
        gate.add_permits(2);
        assert_eq!(dates(&worker.tick().await), ["2026-11-19", "2026-11-20"]);
        worker.replica.clock.set(at(MORNING));
        assert_eq!(worker.tick().await[0].state, JobRunState::Failed);

        let asked = worker.backfill("probe", "2026-11-16", "2026-11-21").await;
        let wanted = ["2026-11-16", "2026-11-17", "2026-11-18", "2026-11-21"];
        assert_eq!(dates(&asked), wanted, "{}", database.kind);
        assert!(asked.iter().all(|run| run.state == JobRunState::Waiting));
        // Again: nothing is to be made up for that is not in hand.
        assert_eq!(
            worker.backfill("probe", "2026-11-16", "2026-11-21").await,
            []
        );
        gate.add_permits(4);
        let ran = worker.tick().await;
        assert_eq!(dates(&ran), wanted);
        assert!(ran.iter().all(|run| run.state == JobRunState::Succeeded));
        assert_eq!(worker.tick().await, []);
        assert_eq!(
            worker.backfill("probe", "2026-11-16", "2026-11-21").await,
            []
        );
        // What failed is evidence and stays.
        let runs = worker.runs().await;
        let failed = runs.iter().filter(|run| run.state == JobRunState::Failed);
        assert_eq!(failed.count(), 2);
        assert_eq!(runs.len(), 8);
    }
}

#[tokio::test]
async fn what_was_made_up_for_is_not_missed_and_hides_nothing_that_was() {
    for database in TestDatabase::all() {
        let before = every_night("a", "2026-11-16T18:00:01Z", "RUN_ALL");
        Worker::start(&database, before).await.tick_and_go().await;
        let worker = Worker::start(&database, every_night("b", MORNING, "RUN_ALL")).await;
        // The 17th to the 21st were missed, and somebody asks for two of them first.
        let asked = worker.backfill("probe", "2026-11-18", "2026-11-19").await;
        assert_eq!(dates(&asked), ["2026-11-18", "2026-11-19"]);
        let mut ran = dates(&worker.tick().await);
        assert_eq!(
            ran,
            [
                "2026-11-18",
                "2026-11-19",
                "2026-11-17",
                "2026-11-20",
                "2026-11-21"
            ],
            "{}",
            database.kind
        );
        ran.sort();
        ran.dedup();
        assert_eq!(ran.len(), 5);
        assert_eq!(worker.tick().await, []);
    }
}

#[tokio::test]
async fn a_preview_asks_for_nothing() {
    let database = TestDatabase::sqlite();
    let worker = Worker::start(&database, every_night("a", MORNING, "RUN_ALL")).await;
    let ask = Backfill {
        job: "probe".to_owned(),
        from: date_of("2026-11-18"),
        to: date_of("2026-11-19"),
        mode: BackfillMode::Preview,
    };
    let engine = &worker.replica.engine;
    let told = engine.backfill(&worker.driver, ask, &somebody()).await;
    assert_eq!(dates(&told.unwrap()), ["2026-11-18", "2026-11-19"]);
    assert_eq!(worker.runs().await, []);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let database = TestDatabase::sqlite();
    let worker = Worker::start(&database, every_night("a", MORNING, "RUN_ALL")).await;
    let engine = &worker.replica.engine;
    let run = async |job: &str, date: &str| {
        let ask = RunAsk {
            job: job.to_owned(),
            business_date: Some(date_of(date)),
        };
        engine.ask_for_run(&worker.driver, ask, &somebody()).await
    };
    let made_up = async |from: &str, to: &str| {
        let ask = Backfill {
            job: "probe".to_owned(),
            from: date_of(from),
            to: date_of(to),
            mode: BackfillMode::Do,
        };
        engine.backfill(&worker.driver, ask, &somebody()).await
    };
    let refusal = |error: EngineError| match error {
        EngineError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let unknown = refusal(run("prob", "2026-11-20").await.unwrap_err());
    assert_eq!(unknown.code, RefusalCode::JobNotFound);
    assert_eq!(unknown.message, "there is no job \"prob\"; there are probe");
    let early = refusal(run("probe", "2026-11-22").await.unwrap_err());
    assert_eq!(
        early.message,
        "the business date 2026-11-22 has not ended; the last that has is 2026-11-21"
    );
    for (from, to, field) in [
        ("2026-11-20", "2026-11-22", "to"),
        ("2026-11-21", "2026-11-20", "from"),
        ("2025-11-19", "2026-11-20", "from"),
    ] {
        let refused = refusal(made_up(from, to).await.unwrap_err());
        assert_eq!(
            (refused.code, refused.field),
            (RefusalCode::InvalidArgument, Some(field))
        );
    }
    assert_eq!(worker.runs().await, []);
}
