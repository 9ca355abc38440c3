//! Files: the same twice, corrected, refused, late, still being written.

use super::town::{BANK, TELECOM, Town, file_of, name, today};
use crate::support::bank::alarms;
use crate::support::database::TestDatabase;
use payhall::domain::partner::PartnerFileState;
use payhall::engine::{Actor, DayOutcome, Mode, Received};

#[test]
fn the_same_file_twice_is_one_file_and_a_corrected_one_is_reconciled_again() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let orders = town.paid(1, 3);
        let number = town.payment(&orders[0]);
        town.send(
            today(),
            |bank| bank.retain(|said| said.flow_no != number),
            |_| {},
        );
        town.night(today());
        assert_eq!(town.classes(today()).len(), 1);
        let first = town.run_of(today());

        // The same bytes, written once more.
        let path = town.inbox(BANK, today());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(town.fetch().accepted, 0);
        let again = add(&town, BANK, &bytes);
        assert!(matches!(again, Received::Same(_)), "{again:?}");
        assert_eq!(town.files(BANK, today()).len(), 1);
        assert!(town.reconcile().published.is_empty());

        town.send_honest(today());
        assert_eq!(town.fetch().accepted, 1);
        assert_eq!(town.files(BANK, today()).last().unwrap().version, 2);
        assert_eq!(town.reconcile().published, [today()]);
        let second = town.run_of(today());
        assert_eq!((second.version, second.replaces), (2, Some(first.run_id)));
        assert!(town.classes(today()).is_empty());
        let case = town.bank.case(&orders[0].order_no).unwrap();
        let resolution = case.resolution.unwrap();
        assert!(
            resolution.starts_with("settled by evidence"),
            "{resolution}"
        );
        assert!(town.reconcile().published.is_empty(), "nothing is doubled");
    }
}

#[test]
fn a_partner_that_goes_back_to_an_earlier_file_is_heard() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let orders = town.paid(1, 3);
        let number = town.payment(&orders[0]);
        let first = file_of(today(), &town.honest(today()));
        town.send_honest(today());
        town.night(today());
        let mut lines = town.honest(today());
        lines.retain(|said| said.flow_no != number);
        let wrong = add(&town, BANK, &file_of(today(), &lines));
        assert!(matches!(wrong, Received::New(_)), "{wrong:?}");
        assert_eq!(town.reconcile().published, [today()]);
        assert_eq!(town.classes(today()).len(), 1);

        let back = add(&town, BANK, &first);
        assert!(matches!(back, Received::New(_)), "{back:?}");
        assert_eq!(back.file().version, 3);
        assert_eq!(town.reconcile().published, [today()]);
        assert!(town.classes(today()).is_empty());
        let again = add(&town, BANK, &first);
        assert!(matches!(again, Received::Same(_)), "{again:?}");
        assert_eq!(town.files(BANK, today()).len(), 3);
    }
}

#[test]
fn the_file_of_another_day_is_no_flood_of_differences() {
    let town = Town::new(TestDatabase::sqlite());
    let before = town.paid(1, 120);
    let yesterday = town.honest(today());
    assert_eq!(yesterday.len(), before.len());
    town.send_honest(today());
    town.night(today());
    let monday = super::town::date("2026-11-23");
    town.paid(500, 3);
    town.send(monday, |bank| *bank = yesterday, |_| {});
    town.go_to_night_after(monday);
    town.close();
    let fetched = town.fetch();
    assert_eq!((fetched.accepted, fetched.refused), (1, 1), "{fetched:?}");
    let refused = town.files(BANK, monday).pop().unwrap();
    assert_eq!(refused.line, Some(2));
    let reason = refused.reason.unwrap();
    let wanted =
        "flow_no: the line is of 2026-11-22, and the file is of 2026-11-23; 120 of its 120";
    assert!(reason.starts_with(wanted), "{reason}");
    let report = town.reconcile();
    assert_eq!((report.published, report.waiting), (vec![], vec![monday]));
    town.send_honest(monday);
    town.fetch();
    assert_eq!(town.reconcile().published, [monday]);
}

#[test]
fn a_small_file_of_another_day_is_known_by_its_bytes() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 3);
        town.send_honest(today());
        town.night(today());
        let yesterday = std::fs::read(town.inbox(BANK, today())).unwrap();
        let monday = super::town::date("2026-11-23");
        town.paid(500, 3);
        town.send_honest(monday);
        std::fs::write(town.inbox(BANK, monday), yesterday).unwrap();
        town.go_to_night_after(monday);
        town.close();
        assert_eq!(town.fetch().refused, 1);
        let reason = town.files(BANK, monday)[0].reason.clone().unwrap();
        assert!(
            reason.ends_with("it is the very file of 2026-11-22"),
            "{reason}"
        );
    }
}

#[test]
fn a_refused_file_keeps_the_result_and_says_where_it_is_wrong() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 3);
        town.send_honest(today());
        town.night(today());
        let before = town.run_of(today());

        let bytes = file_of(today(), &town.honest(today()));
        let text = String::from_utf8(bytes).unwrap();
        let torn = &text[..text.len() / 2];
        std::fs::write(town.inbox(BANK, today()), torn).unwrap();
        assert_eq!(town.fetch().refused, 1);
        let files = town.files(BANK, today());
        assert_eq!(files.len(), 2);
        let refused = &files[1];
        assert_eq!(refused.state, PartnerFileState::Refused);
        assert!(
            refused.reason.is_some() && refused.row_count == 0,
            "{refused:?}"
        );
        let cried = alarms::of_kind("PARTNER_FILE");
        let is_told = |text: &str| text.contains("is refused as a whole");
        assert!(cried.iter().any(|alarm| is_told(&alarm.message)));
        assert!(town.reconcile().published.is_empty());
        assert_eq!(town.run_of(today()), before);
        // It is not brought again and again.
        assert_eq!(town.fetch().refused, 0);
    }
}

#[test]
fn a_file_that_is_not_there_yet_is_no_error_until_nine() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 2);
        town.go_to(today(), "17:59:00");
        town.close();
        assert_eq!(town.fetch(), Default::default(), "it is before two o'clock");
        town.go_to_night_after(today());
        let fetched = town.fetch();
        assert_eq!((fetched.not_yet, fetched.alarms, fetched.failed), (2, 0, 0));
        assert_eq!(town.reconcile().waiting, [today()]);
        let DayOutcome::Waits(lacking) = town.outcome(today(), Mode::Publish) else {
            panic!("there are no files");
        };
        assert_eq!(
            lacking,
            [
                "the file of first-bank is not there",
                "the file of telecom is not there"
            ]
        );
        let tomorrow = super::town::date("2026-11-23");
        town.go_to(tomorrow, "01:00:00");
        assert_eq!(town.fetch().alarms, 2);
        assert_eq!(town.fetch().alarms, 0, "people are called once");
        town.send_honest(today());
        town.fetch();
        assert_eq!(town.reconcile().published, [today()]);
    }
}

#[test]
fn what_is_still_being_written_is_left_alone() {
    let town = Town::new(TestDatabase::sqlite());
    town.paid(1, 1);
    let bytes = file_of(today(), &town.honest(today()));
    let part = format!("{}.part", town.inbox(BANK, today()).display());
    std::fs::write(part, bytes).unwrap();
    town.go_to_night_after(today());
    town.close();
    assert_eq!(town.fetch().not_yet, 2);
}

/// A file that somebody brings by hand.
fn add(town: &Town, partner: &str, bytes: &[u8]) -> Received {
    let path = town.folder.path().join("by-hand.csv");
    std::fs::write(&path, bytes).unwrap();
    let partner = name(partner);
    let actor = Actor::system();
    let engine = town.bank.engine();
    let added = engine.add_partner_file((&partner, today()), &path, &actor);
    town.bank.wait(added).unwrap()
}

#[test]
fn a_file_can_be_brought_by_hand() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 2);
        town.go_to_night_after(today());
        town.close();
        let bytes = file_of(today(), &town.honest(today()));
        for partner in [BANK, TELECOM] {
            let received = add(&town, partner, &bytes);
            assert!(matches!(&received, Received::New(file) if file.row_count == 2));
            let path = town.folder.path().join("files").join(&received.file().path);
            assert_eq!(std::fs::read(path).unwrap(), bytes, "it is kept as it came");
        }
        assert_eq!(town.reconcile().published, [today()]);
    }
}
