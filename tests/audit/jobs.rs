//! Asking for runs of jobs leaves its rows; looking, and asking for what is there already, none.

use crate::support::database::TestDatabase;
use crate::support::replica::Replica;
use crate::verbs::{assert_clean, assert_told, by, told};
use payhall::domain::time::BusinessDate;
use payhall::engine::{Backfill, BackfillMode, RunAsk};
use payhall::jobs::JobTable;

#[tokio::test]
async fn who_asks_for_runs_is_written_down() {
    for database in TestDatabase::all() {
        let now = "2026-11-22T04:00:00Z".parse().unwrap();
        let replica = Replica::start(&database, "a", now).await;
        let (engine, table) = (&replica.engine, JobTable::load(None).unwrap());
        let run = async |job: &str, request: &str| {
            let ask = RunAsk {
                job: job.to_owned(),
                business_date: None,
            };
            let actor = by("operator:ann", request);
            let asked = engine.ask_for_run(&table, ask, &actor).await;
            asked.map(|run| run.run_id).ok()
        };
        let asked = run("watch_runs", "ask").await;
        assert!(asked.is_some());
        assert_eq!(run("watch_runs", "ask again").await, asked);
        assert_eq!(run("nothing", "ask for nothing").await, None);
        for (mode, request, runs) in [
            (BackfillMode::Preview, "look", 2),
            (BackfillMode::Do, "make up", 2),
            (BackfillMode::Do, "make up again", 0),
        ] {
            let ask = Backfill {
                job: "archive_records".to_owned(),
                from: BusinessDate("2026-11-20".parse().unwrap()),
                to: BusinessDate("2026-11-21".parse().unwrap()),
                mode,
            };
            let actor = by("operator:ann", request);
            let asked = engine.backfill(&table, ask, &actor).await;
            assert_eq!(asked.unwrap().len(), runs, "{request}");
        }
        let rows: &[(&str, &[&str])] = &[
            ("ask", &["JOB RUN_ASKED"]),
            ("make up", &["JOB BACKFILL_ASKED"]),
        ];
        assert_told(database.kind, &told(engine.store()).await, rows);
        assert_clean(&database);
    }
}
