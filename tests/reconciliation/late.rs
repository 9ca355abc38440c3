//! The job itself: that its runs succeed while a day waits for files does not make the day reconciled.

use crate::support::database::TestDatabase;
use crate::town::{Town, date, today};
use payhall::domain::job::JobRunState;
use payhall::domain::time::BusinessDate;
use payhall::jobs::{Driver, JobTable, Ticked};
use tokio_util::sync::CancellationToken;

struct Night {
    town: Town,
    driver: Driver,
}

impl Night {
    /// A center whose jobs have worked on the day before.
    fn new(database: TestDatabase) -> Self {
        let town = Town::new(database);
        let house = town.bank.house(0);
        let table = JobTable::load(None).unwrap();
        let (engine, tasks) = (house.engine.clone(), house.tasks.clone());
        let driver = Driver::new(engine, table, tasks, CancellationToken::new());
        let night = Self { town, driver };
        night.run_jobs();
        night
    }

    /// Has every job of the night run once; each run succeeds.
    fn run_jobs(&self) {
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

    fn late_at(&self, on: BusinessDate, time: &str) -> u32 {
        self.town.go_to(on, time);
        let watched = self.town.bank.engine().watch_runs(&self.driver);
        self.town.bank.wait(watched).unwrap().late
    }
}

#[test]
fn a_day_that_waits_for_a_file_at_ten_is_told_once() {
    for database in TestDatabase::all() {
        let night = Night::new(database);
        let town = &night.town;
        town.paid(1, 2);
        town.go_to_night_after(today());
        night.run_jobs();
        // Ten o'clock in Shanghai.
        let next = date("2026-11-23");
        assert_eq!(night.late_at(next, "01:59:59"), 0);
        assert_eq!(night.late_at(next, "02:00:00"), 1);
        assert_eq!(night.late_at(next, "02:00:30"), 0);
        town.send_honest(today());
        town.go_to(next, "02:20:00");
        night.run_jobs();
        assert_eq!(town.versions(today()), 1);
        // Nothing happened on the next day, and nobody sends a file about it: that is not late.
        town.go_to_night_after(next);
        night.run_jobs();
        assert_eq!(night.late_at(date("2026-11-24"), "02:00:00"), 0);
    }
}

#[test]
fn a_day_from_long_ago_is_reconciled_when_its_files_come_at_last() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 2);
        town.go_to_night_after(date("2027-01-10"));
        town.close();
        town.fetch();
        town.reconcile();
        assert_eq!(town.versions(today()), 0, "nobody has sent a file");
        town.send_honest(today());
        assert_eq!(town.fetch().accepted, 2);
        assert!(town.reconcile().published.contains(&today()));
        assert!(!town.reconcile().published.contains(&today()));
        assert_eq!(town.versions(today()), 1);
    }
}
