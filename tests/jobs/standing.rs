//! The jobs of the night themselves: a run that succeeded before there was anything to do is no proof that
//! a date is done, neither for what comes after nor for who watches.

use crate::support::database::TestDatabase;
use crate::support::replica::{MASTER, Manner, Replica, notifier};
use crate::worker::{at, date_of, dates};
use payhall::domain::job::JobRun;
use payhall::engine::{ClosingRules, JobBook, WatchReport};
use payhall::jobs::{Driver, JobTable, Ticked};
use payhall::storage::{business_days, job_runs};
use payhall::trust::Masters;
use std::time::Duration;

const OPENED: &str = "2026-11-22T04:00:03Z";
const STATEMENTS: &str = "make_merchant_statements";

struct Night {
    replica: Replica,
    driver: Driver,
}

impl Night {
    /// A center that has closed the 21st, at noon of the 22nd in Shanghai.
    async fn start(database: &TestDatabase) -> Self {
        let table = JobTable::load(None).unwrap();
        Self::start_with(database, ClosingRules::default(), table).await
    }

    /// The same with rules of its own.
    async fn start_with(database: &TestDatabase, closing: ClosingRules, table: JobTable) -> Self {
        let manner = Manner {
            masters: Masters::read([MASTER]).unwrap(),
            notifier: notifier(),
            writers: 2,
            output: None,
            statements: None,
            closing,
        };
        let replica = Replica::start_as(database, "a", at(OPENED), manner).await;
        let (tasks, stop) = (replica.tasks.clone(), replica.stop.clone());
        let driver = Driver::new(replica.engine.clone(), table, tasks, stop);
        let night = Self { replica, driver };
        assert_eq!(dates(&night.tick("close_day").await), ["2026-11-21"]);
        assert_eq!(dates(&night.tick(STATEMENTS).await), ["2026-11-21"]);
        assert_eq!(
            dates(&night.tick("summarise_settlement").await),
            ["2026-11-21"]
        );
        night
    }

    /// Ticks a job at a time.
    async fn tick_at(&self, time: &str, job: &str) -> Vec<JobRun> {
        self.replica.clock.set(at(time));
        self.tick(job).await
    }

    async fn tick(&self, job: &str) -> Vec<JobRun> {
        match self.driver.tick(job).await.unwrap() {
            Ticked::Ran(runs) => runs,
            other => panic!("{other:?}"),
        }
    }

    async fn late_at(&self, time: &str) -> u32 {
        self.replica.clock.set(at(time));
        let watched = self.replica.engine.watch_runs(&self.driver).await;
        let watched = watched.unwrap();
        let late = watched.late;
        let wanted = WatchReport {
            late,
            ..WatchReport::default()
        };
        assert_eq!(watched, wanted);
        late
    }

    /// Whether a run of `close_day` succeeded for the 22nd, and whether that day is closed.
    async fn of_the_22nd(&self) -> (bool, bool) {
        let date = date_of("2026-11-22");
        let read = move |c: &mut _| {
            let has_succeeded = job_runs::has_succeeded(c, "close_day", date)?;
            Ok((has_succeeded, business_days::find(c, date)?.is_some()))
        };
        self.replica.engine.store().read(read).await.unwrap()
    }
}

#[tokio::test]
async fn a_day_that_is_not_closed_by_one_is_told_once_although_a_run_succeeded() {
    for database in TestDatabase::all() {
        let night = Night::start(&database).await;
        // Midnight in Shanghai: the run carries the 22nd, whose grace is not over.
        let ran = night.tick_at("2026-11-22T16:00:00Z", "close_day").await;
        assert_eq!(dates(&ran), ["2026-11-22"]);
        assert_eq!(night.of_the_22nd().await, (true, false));
        assert_eq!(night.late_at("2026-11-22T16:59:59Z").await, 0);
        assert_eq!(
            night.late_at("2026-11-22T17:00:00Z").await,
            1,
            "{}",
            database.kind
        );
        assert_eq!(night.late_at("2026-11-22T17:00:30Z").await, 0);
        night.tick("close_day").await;
        assert_eq!(night.of_the_22nd().await, (true, true));
        assert_eq!(night.late_at("2026-11-22T17:01:00Z").await, 0);
    }
}

#[tokio::test]
async fn what_comes_after_the_closing_waits_until_the_day_is_closed() {
    for database in TestDatabase::all() {
        let night = Night::start(&database).await;
        night.tick_at("2026-11-22T16:00:00Z", "close_day").await;
        for job in [STATEMENTS, "summarise_settlement", "fetch_partner_files"] {
            let ran = night.tick_at("2026-11-22T16:09:00Z", job).await;
            let of_the_22nd = ran
                .iter()
                .filter(|run| run.business_date.0.to_string() == "2026-11-22");
            assert_eq!(of_the_22nd.count(), 0, "{job} {}", database.kind);
        }
        let ran = night.tick_at("2026-11-22T16:10:00Z", "close_day").await;
        assert_eq!(dates(&ran), ["2026-11-22"]);
        for job in [STATEMENTS, "summarise_settlement", "fetch_partner_files"] {
            assert_eq!(dates(&night.tick(job).await), ["2026-11-22"], "{job}");
        }
    }
}

#[tokio::test]
async fn a_settlement_that_is_not_summed_up_is_late_and_statements_that_nobody_keeps_are_not() {
    for database in TestDatabase::all() {
        let night = Night::start(&database).await;
        night.tick_at("2026-11-22T16:10:00Z", "close_day").await;
        assert_eq!(night.late_at("2026-11-23T00:59:59Z").await, 0);
        assert_eq!(
            night.late_at("2026-11-23T01:00:00Z").await,
            1,
            "{}",
            database.kind
        );
        assert_eq!(night.late_at("2026-11-23T01:00:30Z").await, 0);
    }
}

/// A day that is closed as late as the settings may say: at six in the morning.
fn six_hours() -> ClosingRules {
    ClosingRules {
        grace: Duration::from_secs(6 * 3_600),
        ..ClosingRules::default()
    }
}

#[tokio::test]
async fn nobody_is_late_before_the_day_can_be_closed_whatever_the_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let early = include_str!("../../jobs/summarise_settlement.toml").replace("09:00", "05:00");
    std::fs::write(folder.path().join("summarise_settlement.toml"), early).unwrap();
    for database in TestDatabase::all() {
        let table = JobTable::load(Some(folder.path())).unwrap();
        let night = Night::start_with(&database, six_hours(), table).await;
        night.tick_at("2026-11-22T16:00:00Z", "close_day").await;
        assert_eq!(night.of_the_22nd().await, (true, false));
        // One o'clock is the alarm's time of close_day, five o'clock that of the settlement.
        for early in ["17:00:00", "21:00:00", "22:29:59"] {
            let late = night.late_at(&format!("2026-11-22T{early}Z")).await;
            assert_eq!(late, 0, "{early} {}", database.kind);
        }
        assert_eq!(night.late_at("2026-11-22T22:30:00Z").await, 2);
        assert_eq!(night.late_at("2026-11-22T22:30:30Z").await, 0);
        let late = night.replica.engine.dates_late(&night.driver).await;
        let late: Vec<_> = late
            .unwrap()
            .into_iter()
            .filter(|late| late.1 > 0)
            .collect();
        assert_eq!(late, [("close_day", 1), ("summarise_settlement", 1)]);
        night.tick("close_day").await;
        night.tick("summarise_settlement").await;
        let late = night.replica.engine.dates_late(&night.driver).await;
        assert!(late.unwrap().iter().all(|late| late.1 == 0));
    }
}

#[tokio::test]
async fn what_comes_after_the_closing_begins_with_it() {
    let database = TestDatabase::sqlite();
    let table = JobTable::load(None).unwrap();
    let night = Night::start_with(&database, six_hours(), table).await;
    let of = |job| {
        let from = night
            .driver
            .ready_from(&night.replica.engine, job, date_of("2026-11-22"));
        from.to_rfc3339()
    };
    for job in [
        "close_day",
        STATEMENTS,
        "make_biller_statements",
        "summarise_settlement",
        "fetch_partner_files",
        "reconcile_day",
    ] {
        assert_eq!(of(job), "2026-11-22T22:00:00+00:00", "{job}");
    }
    for job in ["publish_audit_heads", "archive_records", "open_day"] {
        assert_eq!(of(job), "2026-11-22T16:00:00+00:00", "{job}");
    }
}
