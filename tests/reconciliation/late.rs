//! The job itself: that its runs succeed while a day waits for files does not make the day reconciled.

use crate::night::Night;
use crate::support::database::TestDatabase;
use crate::town::{Town, date, today};

#[test]
fn a_day_that_waits_for_a_file_at_ten_is_told_once() {
    for database in TestDatabase::all() {
        let night = Night::of(Town::new(database));
        let town = &night.town;
        town.paid(1, 2);
        town.go_to_night_after(today());
        night.run_jobs();
        // Ten o'clock in Shanghai.
        let next = date("2026-11-23");
        assert_eq!(night.watched_at(next, "01:59:59").late, 0);
        assert_eq!(night.watched_at(next, "02:00:00").late, 1);
        assert_eq!(night.watched_at(next, "02:00:30").late, 0);
        town.send_honest(today());
        town.go_to(next, "02:20:00");
        night.run_jobs();
        assert_eq!(town.versions(today()), 1);
        // Nothing happened on the next day, and nobody sends a file about it: that is not late.
        town.go_to_night_after(next);
        night.run_jobs();
        assert_eq!(night.watched_at(date("2026-11-24"), "02:00:00").late, 0);
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
