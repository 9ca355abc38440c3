//! A town whose jobs run as the daemon runs them.

use crate::town::Town;
use payhall::domain::job::JobRunState;
use payhall::domain::time::BusinessDate;
use payhall::engine::WatchReport;
use payhall::jobs::{Driver, JobTable, Ticked};
use tokio_util::sync::CancellationToken;

/// A town and its jobs.
pub struct Night {
    pub town: Town,
    driver: Driver,
}

impl Night {
    /// A town whose jobs have worked on the day before.
    pub fn of(town: Town) -> Self {
        let house = town.bank.house(0);
        let table = JobTable::load(None).unwrap();
        let (engine, tasks) = (house.engine.clone(), house.tasks.clone());
        let driver = Driver::new(engine, table, tasks, CancellationToken::new());
        let night = Self { town, driver };
        night.run_jobs();
        night
    }

    /// Has every job of the night run once; each run succeeds.
    pub fn run_jobs(&self) {
        for job in [
            "close_day",
            "summarise_settlement",
            "fetch_partner_files",
            "reconcile_day",
        ] {
            let ticked = self.town.bank.wait(self.driver.tick(job)).unwrap();
            let Ticked::Ran(runs) = ticked else {
                panic!("{ticked:?}");
            };
            assert_eq!(runs.len(), 1, "{job}");
            assert_eq!(runs[0].state, JobRunState::Succeeded, "{runs:?}");
        }
    }

    /// What the watch finds at a time (UTC) of a date.
    pub fn watched_at(&self, on: BusinessDate, time: &str) -> WatchReport {
        self.town.go_to(on, time);
        let watched = self.town.bank.engine().watch_runs(&self.driver);
        self.town.bank.wait(watched).unwrap()
    }
}
