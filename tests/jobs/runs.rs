//! What a run leaves behind: its row, its metrics, and how it ends.

use crate::support::database::TestDatabase;
use crate::support::replica::Replica;
use crate::worker::{
    Act, Manner, TIME_OUT, Worker, at, dates, every_night, every_ten_seconds, patient, ran,
};
use payhall::domain::job::JobRunState;
use payhall::jobs::{Driver, JobTable, Ticked};
use payhall::storage::job_runs;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_run_is_given_its_row_and_its_name() {
    let database = TestDatabase::sqlite();
    let mut worker = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
    worker.tick().await;
    let context = worker.began().await;
    assert_eq!(context.run.run_id, worker.runs().await[0].run_id);
    assert_eq!(context.actor.who, "job:probe");
    assert!(worker.driver.tick("prob").await.is_err());
}

#[tokio::test]
async fn errors_panics_and_time_outs_are_written_down_and_the_next_run_comes() {
    let table = [
        (Act::Fail, "nothing was written: the disk is full"),
        (Act::Panic, "it panicked: a bad day"),
        (Act::Hang, "it did not end within 600 s"),
    ];
    for database in TestDatabase::all() {
        for (place, (act, wanted)) in table.iter().enumerate() {
            let now = format!("2026-11-{}T04:00:03Z", 10 + place);
            let manner = Manner {
                now: &now,
                ..every_ten_seconds(act.clone())
            };
            let mut worker = Worker::start(&database, manner).await;
            let tick = worker.tick_beside();
            worker.began().await;
            if matches!(act, Act::Hang) {
                // The tick goes on with the due times that came meanwhile, so it is stopped.
                worker.replica.stop.cancel();
                worker.advance(TIME_OUT);
            }
            let runs = ran(tick).await;
            assert_eq!(runs.len(), 1, "{wanted}");
            let stored = worker.runs().await.pop().unwrap();
            assert_eq!(stored.run_id, runs[0].run_id);
            assert_eq!(stored.state, JobRunState::Failed);
            assert_eq!(stored.error.as_deref(), Some(*wanted));
            assert_eq!(stored.report, None);
            if !matches!(act, Act::Hang) {
                worker.advance(10);
                assert_eq!(worker.tick().await.len(), 1, "{wanted}");
            }
            worker.replica.engine.store().close().await;
        }
    }
}

#[tokio::test]
async fn in_one_process_a_job_runs_once_at_a_time() {
    let database = TestDatabase::sqlite();
    let gate = Arc::new(Semaphore::new(0));
    let act = Act::Gate(gate.clone(), 1);
    let mut worker = Worker::start(&database, every_ten_seconds(act)).await;
    let tick = worker.tick_beside();
    worker.began().await;
    worker.advance(10);
    let second = worker.driver.tick("probe").await.unwrap();
    assert!(matches!(second, Ticked::Busy));
    let asked = worker.ask("probe", None).await;
    assert_eq!(asked.state, JobRunState::Waiting);
    // The running one is enough: when it ends, it goes on with what was asked for and became due.
    gate.add_permits(3);
    let ended = patient(tick).await.unwrap();
    assert!(matches!(ended, Ticked::Ran(runs) if runs.len() == 3));
    assert_eq!(
        worker.due_times().await,
        ["11-22 04:00:00", "11-22 04:00:10", "11-22 04:00:13"]
    );
}

#[tokio::test]
async fn a_new_table_takes_over_while_a_run_is_under_way() {
    for database in TestDatabase::all() {
        let gate = Arc::new(Semaphore::new(0));
        let minutes = Manner {
            schedule: "0 * * * * *",
            act: Act::Gate(gate.clone(), 1),
            ..every_night("a", "2026-11-18T18:00:01Z", "RUN_ALL")
        };
        let mut worker = Worker::start(&database, minutes).await;
        let mut metronome = worker.driver.start().await.unwrap();
        let first = worker.began().await.run;
        // Five minutes pass while it runs, and from now on the file says the half of each minute.
        worker.advance(300);
        let later = Manner {
            schedule: "30 * * * * *",
            ..every_night("a", "2026-11-18T18:00:01Z", "RUN_ALL")
        };
        let table = worker.table(&later);
        let reloaded = worker.driver.reload(&mut metronome, table);
        reloaded.await.unwrap();
        let jobs = worker.driver.table().list(first.scheduled_at);
        assert_eq!(jobs[0].schedule, "30 * * * * *");
        let busy = worker.driver.tick("probe").await.unwrap();
        assert!(matches!(busy, Ticked::Busy), "the run under way is enough");
        gate.add_permits(1);
        patient(async { while worker.runs().await[0].state == JobRunState::Running {} }).await;
        let next = patient(async {
            loop {
                worker.advance(10);
                tokio::task::yield_now().await;
                if let Ok(context) = worker.began.try_recv() {
                    return context.run;
                }
            }
        });
        assert_eq!(
            next.await.scheduled_at,
            at("2026-11-18T18:00:30Z"),
            "{}",
            database.kind
        );
        metronome.stop().await;
        worker.replica.stop.cancel();
        worker.rest().await;
        let runs = worker.runs().await;
        assert_eq!(runs[0].run_id, first.run_id);
        assert_eq!(runs[0].state, JobRunState::Succeeded);
    }
}

#[tokio::test]
async fn a_stopping_program_claims_nothing_and_waits_for_what_runs() {
    let database = TestDatabase::sqlite();
    let gate = Arc::new(Semaphore::new(0));
    let act = Act::Gate(gate.clone(), 1);
    let mut worker = Worker::start(&database, every_ten_seconds(act)).await;
    let tick = worker.tick_beside();
    let context = worker.began().await;
    worker.replica.stop.cancel();
    worker.replica.tasks.close();
    assert!(context.stop.is_cancelled());
    assert!(!worker.replica.tasks.is_empty(), "the run is waited for");
    worker.advance(10);
    gate.add_permits(1);
    let ended = patient(tick).await.unwrap();
    assert!(matches!(ended, Ticked::Ran(runs) if runs.len() == 1));
    patient(worker.replica.tasks.wait()).await;
    assert_eq!(worker.tick().await, []);
}

#[tokio::test]
async fn runs_that_found_nothing_to_do_are_forgotten_and_no_others() {
    for database in TestDatabase::all() {
        let quiet = every_ten_seconds(Act::Report(0));
        let quiet = Worker::start(&database, quiet).await;
        quiet.tick().await;
        let busy = Manner {
            now: "2026-11-22T04:00:13Z",
            ..every_ten_seconds(Act::Report(1))
        };
        Worker::start(&database, busy).await.tick_and_go().await;
        quiet.advance(86_400);
        quiet.tick().await;
        quiet.advance(10);
        quiet.tick().await;
        // The first was a day old when the hour to look had come again.
        assert_eq!(
            quiet.due_times().await,
            ["11-22 04:00:10", "11-23 04:00:00", "11-23 04:00:10"],
            "{}",
            database.kind
        );
    }
}

#[tokio::test]
async fn the_last_success_of_a_date_is_never_forgotten() {
    for database in TestDatabase::all() {
        let quiet = Manner {
            act: Act::Report(0),
            follower: Some("0 0 2 * * *"),
            ..every_night("a", "2026-11-18T18:00:01Z", "RUN_ALL")
        };
        let worker = Worker::start(&database, quiet).await;
        for _ in 0..4 {
            assert_eq!(worker.tick().await.len(), 1);
            // Asked for by hand as well: of two that found nothing, the last is enough.
            worker.ask("probe", None).await;
            assert_eq!(worker.tick().await.len(), 1);
            worker.advance(86_400);
        }
        // Each of them was quiet and is older than what is kept, and what comes after still sees them.
        worker.advance(2 * 86_400);
        worker.tick().await;
        let ran = worker.tick_of("follower").await;
        let nights = ["18", "19", "20", "21", "22", "23", "24"];
        let nights: Vec<String> = nights.iter().map(|day| format!("2026-11-{day}")).collect();
        assert_eq!(dates(&ran), nights, "{}", database.kind);
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_no_end() {
    let database = TestDatabase::sqlite();
    let worker = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
    worker.replica.engine.store().close().await;
    let ticked = worker.driver.tick("probe").await.unwrap();
    assert!(matches!(ticked, Ticked::Failed(_)), "{ticked:?}");
}

#[tokio::test]
async fn the_jobs_of_the_program_run() {
    for database in TestDatabase::all() {
        let now = at("2026-11-22T04:00:03Z");
        let replica = Replica::start(&database, "a", now).await;
        let (tasks, stop) = (replica.tasks.clone(), replica.stop.clone());
        let table = JobTable::load(None).unwrap();
        let driver = Driver::new(replica.engine.clone(), table, tasks, stop);
        for job in driver.table().list(now) {
            let Ticked::Ran(runs) = driver.tick(job.name).await.unwrap() else {
                panic!("{} did not run", job.name);
            };
            assert_eq!(runs.len(), 1, "{}", job.name);
            assert_eq!(runs[0].state, JobRunState::Succeeded, "{runs:?}");
        }
        let store = replica.engine.store();
        let last = store.read(job_runs::last_success).await.unwrap();
        let names: Vec<&str> = last.iter().map(|(job, _)| job.as_str()).collect();
        let all = driver.table().list(now).len();
        assert_eq!(names.len(), all, "{names:?}");
    }
}

#[test]
fn runs_are_counted_and_timed() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let database = TestDatabase::sqlite();
            let worker = Worker::start(&database, every_ten_seconds(Act::Report(1))).await;
            worker.tick().await;
            let failing = Manner {
                now: "2026-11-22T04:00:10Z",
                ..every_ten_seconds(Act::Fail)
            };
            let failing = Worker::start(&database, failing).await;
            failing.tick().await;
            failing.rest().await;
        });
        recorder.handle().render()
    });
    for line in [
        "payhall_job_runs_total{job=\"probe\",state=\"SUCCEEDED\"} 1",
        "payhall_job_runs_total{job=\"probe\",state=\"FAILED\"} 1",
        "payhall_job_last_success_timestamp_seconds{job=\"probe\"} 1795320003",
        "payhall_job_run_seconds_count{job=\"probe\"} 2",
        "payhall_alarms_total{kind=\"JOB\",level=\"WARN\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
