//! Who watches over the nights: it knows when a partner's file is due, and when the calendar ends.

use crate::night::Night;
use crate::support::bank::{self, TestBank, alarms};
use crate::support::database::TestDatabase;
use crate::town::{BANK, Town, date, name, today};
use payhall::domain::calendar::{CHINA, Calendar};
use payhall::engine::WatchReport;
use payhall::jobs::JobTable;
use payhall::output::Objects;
use payhall::upstream::{PartnerSettings, Partners};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tracing::Level;

/// A town with one partner, the bank, whose file comes in the afternoon.
fn afternoon(database: TestDatabase) -> Town {
    let folder = TempDir::new().unwrap();
    let inbox = folder.path().join("in");
    std::fs::create_dir_all(&inbox).unwrap();
    let text = format!(
        "side = \"BANK\"\nadapter = \"bank\"\nprofile = \"payhall-csv\"\nquiet_ms = 1\n\
         folder = {inbox:?}\nfile_name = \"{BANK}-{{date}}.csv\"\n\
         expected_from = \"15:00\"\ncritical_at = \"18:00\""
    );
    let settings: PartnerSettings = toml::from_str(&text).unwrap();
    let partners = BTreeMap::from([(name(BANK), settings)]);
    let night = bank::Night {
        partners: Partners::from_settings(&partners).unwrap(),
        objects: Some(Objects::folder(&folder.path().join("files")).unwrap()),
        calendar: Calendar::china(),
    };
    let bank = TestBank::with_night(database, night);
    Town { bank, folder }
}

#[test]
fn who_waits_for_a_file_that_is_not_overdue_is_not_late() {
    for database in TestDatabase::all() {
        let night = Night::of(afternoon(database));
        let town = &night.town;
        town.paid(1, 2);
        town.go_to_night_after(today());
        night.run_jobs();
        let next = date("2026-11-23");
        // Ten o'clock in Shanghai, the alarm's time of the job; then half past six in the evening.
        let late = |time| night.watched_at(next, time).late;
        assert_eq!(late("02:00:00"), 0);
        assert_eq!(late("10:29:59"), 0);
        assert_eq!(late("10:30:00"), 1);
        assert_eq!(late("10:30:30"), 0);
        town.send_honest(today());
        town.go_to(next, "10:40:00");
        night.run_jobs();
        assert_eq!(town.versions(today()), 1);
    }
}

#[test]
fn a_year_that_the_calendar_lacks_is_told_once_a_day_until_it_is_there() {
    let told = |night: &Night, on: &str, time: &str| night.watched_at(date(on), time).calendar;
    let heard = |level, words: &str| {
        let heard = alarms::of_kind("CALENDAR").into_iter();
        heard
            .filter(|alarm| alarm.level == level && alarm.message.contains(words))
            .count()
    };
    for (already, database) in TestDatabase::all().into_iter().enumerate() {
        let night = Night::of(Town::with_calendar(database, CHINA));
        assert_eq!(told(&night, "2026-11-22", "15:00:00"), 1);
        assert_eq!(told(&night, "2026-11-22", "15:00:30"), 0, "once");
        assert_eq!(told(&night, "2026-11-22", "15:59:59"), 0, "still the 22nd");
        assert_eq!(told(&night, "2026-11-22", "16:00:00"), 1, "a new date");
        // The calendar's own year ends.
        assert_eq!(told(&night, "2026-12-31", "15:59:59"), 1);
        assert_eq!(told(&night, "2026-12-31", "16:00:00"), 1);
        assert_eq!(told(&night, "2027-01-01", "15:59:59"), 0);
        let tests = already + 1;
        assert_eq!(
            heard(Level::WARN, "no day of 2027, which begins in 1 days"),
            tests
        );
        assert_eq!(heard(Level::ERROR, "no day of 2027: every Monday"), tests);
    }
    for database in TestDatabase::all() {
        let known = format!("{CHINA}2027-01-01,HOLIDAY,x\n");
        let night = Night::of(Town::with_calendar(database, &known));
        assert_eq!(told(&night, "2026-12-31", "15:59:59"), 0);
    }
}

#[test]
fn a_center_that_reconciles_nothing_is_not_told_of_its_calendar() {
    let bank = TestBank::new(TestDatabase::sqlite());
    let table = JobTable::load(None).unwrap();
    let watched = bank.wait(bank.engine().watch_runs(&table)).unwrap();
    assert_eq!(watched, WatchReport::default());
}
