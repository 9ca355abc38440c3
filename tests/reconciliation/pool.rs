//! What waits for its other side: over midnight, and to the end of its three business days.

use super::town::{Town, date, line, today};
use crate::support::database::TestDatabase;
use payhall::domain::reconciliation::{Class, Rule};
use payhall::storage::discrepancies;

/// One minute before midnight in Shanghai.
const LATE: &str = "15:59:00";

#[test]
fn a_flow_that_the_bank_lists_on_the_next_day_matches_then() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 2);
        town.go_to(today(), LATE);
        let order = town.paid(3, 1).remove(0);
        let number = town.payment(&order);
        let moved = town.honest(today()).pop().unwrap();
        assert_eq!(moved.flow_no, number);
        let monday = date("2026-11-23");
        town.send(today(), |bank| drop(bank.pop()), |_| {});
        let report = town.night(today());
        assert_eq!(report.published, [today()]);
        let waiting = &town.differences(today())[&number];
        assert_eq!(
            (waiting.class, waiting.rule),
            (Class::Expected, Rule::NearCutOff)
        );
        assert_eq!(waiting.due_on, Some(date("2026-11-25")));
        assert_eq!(waiting.case_no, None, "nobody has to look at it");

        town.send(monday, |bank| bank.push(moved), |_| {});
        assert_eq!(town.night(monday).published, [monday]);
        assert!(town.classes(monday).is_empty());
        let ended = town.differences(today())[&number].ended.clone().unwrap();
        assert_eq!(
            (ended.on, ended.class, ended.rule),
            (monday, Class::Matched, Rule::AllAgree)
        );
        // A further night changes nothing.
        assert!(town.reconcile().published.is_empty());
    }
}

#[test]
fn a_line_of_the_next_day_that_names_another_bill_ends_no_waiting_well() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.go_to(today(), LATE);
        let orders = town.paid(1, 2);
        let numbers = [0, 1].map(|n| town.payment(&orders[n]));
        let mut moved = town.honest(today());
        moved[1].bill_no = "13999999999".to_owned();
        town.send(today(), Vec::clear, |_| {});
        town.night(today());
        assert_eq!(town.classes(today()).len(), 2);
        let monday = date("2026-11-23");
        town.send(monday, |bank| bank.extend(moved), |_| {});
        town.night(monday);
        let odd = (Class::Status, Rule::OtherBill);
        assert_eq!(town.classes(monday), [(numbers[1].clone(), odd)].into());
        let ended = town.differences(today())[&numbers[0]].ended.clone();
        assert_eq!(ended.unwrap().class, Class::Matched);
        let case = town.bank.open_case(&orders[1].order_no);
        assert!(case.is_some(), "a person is called");
    }
}

#[test]
fn the_pool_ends_after_three_business_days_with_a_holiday_among_them() {
    for database in TestDatabase::all() {
        let holiday = "date,kind,name\n2026-11-24,HOLIDAY,a day off\n";
        let town = Town::with_calendar(database, holiday);
        town.go_to(today(), LATE);
        let order = town.paid(1, 1).remove(0);
        let number = town.payment(&order);
        town.send(today(), |bank| bank.clear(), |_| {});
        town.night(today());
        assert_eq!(town.classes(today())[&number].0, Class::Expected);
        assert_eq!(
            town.differences(today())[&number].due_on,
            Some(date("2026-11-26"))
        );
        // Monday is one, Tuesday is off, Wednesday is two, Thursday is three.
        for day in ["2026-11-23", "2026-11-24", "2026-11-25"] {
            town.send_honest(date(day));
            town.night(date(day));
            assert!(town.classes(date(day)).is_empty(), "{day}");
            assert_eq!(town.differences(today())[&number].ended, None, "{day}");
        }
        let thursday = date("2026-11-26");
        town.send_honest(thursday);
        town.night(thursday);
        assert_eq!(
            town.classes(thursday)[&number],
            (Class::Short, Rule::BankMissing)
        );
        let ended = town.differences(today())[&number].ended.clone().unwrap();
        assert_eq!((ended.on, ended.class), (thursday, Class::Short));
        let case = town
            .bank
            .open_case(&order.order_no)
            .expect("a person is called");
        assert_eq!(case.flow_no.as_ref(), Some(&number));

        // The line comes after all: the case is settled by it.
        let friday = date("2026-11-27");
        let at = town.now();
        let late = line(&number, order.amount.amount_minor, at);
        town.send(friday, |bank| bank.push(late), |_| {});
        town.night(friday);
        let ended = town.differences(thursday)[&number].ended.clone().unwrap();
        assert_eq!((ended.on, ended.class), (friday, Class::Matched));
        assert!(town.bank.open_case(&order.order_no).is_none());
    }
}

#[test]
fn a_day_without_the_bank_s_file_ends_no_waiting() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.go_to(today(), LATE);
        let number = town.payment(&town.paid(1, 1)[0]);
        town.send(today(), |bank| bank.clear(), |_| {});
        town.night(today());
        assert_eq!(town.classes(today())[&number].0, Class::Expected);
        // Nothing was paid on Monday, and nobody sends a file; past nine nobody waits for one.
        let monday = date("2026-11-23");
        town.go_to(date("2026-11-24"), "01:30:00");
        town.close();
        town.fetch();
        assert_eq!(town.reconcile().published, [monday]);
        assert_eq!(town.differences(today())[&number].ended, None);
        for day in ["2026-11-24", "2026-11-25"] {
            town.send_honest(date(day));
            town.night(date(day));
        }
        assert_eq!(
            town.classes(date("2026-11-25"))[&number],
            (Class::Short, Rule::BankMissing)
        );
    }
}

#[test]
fn a_line_that_comes_a_day_early_matches_when_its_flow_is_there() {
    let town = Town::new(TestDatabase::sqlite());
    town.paid(1, 1);
    let monday = date("2026-11-23");
    // The bank's clock is ahead: it lists on Sunday what starts on Monday.
    town.go_to(today(), "16:00:10");
    let order = town.paid(2, 1).remove(0);
    let number = town.payment(&order);
    let early = town.honest(monday).pop().unwrap();
    assert_eq!(early.flow_no, number);
    town.send(today(), |bank| bank.push(early), |_| {});
    town.night(today());
    assert_eq!(
        town.classes(today())[&number],
        (Class::Expected, Rule::NearCutOff)
    );
    town.send(monday, |bank| bank.clear(), |_| {});
    town.night(monday);
    assert!(
        town.classes(monday).is_empty(),
        "{:?}",
        town.classes(monday)
    );
    let ended = town.differences(today())[&number].ended.clone().unwrap();
    assert_eq!((ended.on, ended.class), (monday, Class::Matched));
}

#[test]
fn a_line_that_is_listed_on_two_days_is_a_duplicate() {
    let town = Town::new(TestDatabase::sqlite());
    let order = town.paid(1, 1).remove(0);
    let number = town.payment(&order);
    town.send_honest(today());
    town.night(today());
    let monday = date("2026-11-23");
    let again = town.honest(today()).pop().unwrap();
    town.paid(2, 1);
    town.send(monday, |bank| bank.push(again), |_| {});
    town.night(monday);
    assert_eq!(
        town.classes(monday)[&number],
        (Class::Duplicate, Rule::ListedTwice)
    );
}

#[test]
fn a_corrected_file_of_an_earlier_day_is_reconciled_through_the_days_after_it() {
    let town = Town::new(TestDatabase::sqlite());
    town.go_to(today(), LATE);
    let order = town.paid(1, 1).remove(0);
    let number = town.payment(&order);
    let moved = town.honest(today()).pop().unwrap();
    let monday = date("2026-11-23");
    town.send(today(), |bank| bank.clear(), |_| {});
    town.night(today());
    town.send(monday, |bank| bank.push(moved.clone()), |_| {});
    town.night(monday);
    // The bank lists it on Sunday after all, and on Monday no more.
    town.send_honest(today());
    town.drop_file(super::town::BANK, monday, &[]);
    town.fetch();
    let report = town.reconcile();
    assert_eq!(report.published, [today(), monday]);
    assert!(town.classes(today()).is_empty() && town.classes(monday).is_empty());
    let all = [number];
    let left = town.bank.read(move |c| discrepancies::of_numbers(c, &all));
    assert!(left.is_empty(), "{left:?}");
}

/// The file of a day of long ago comes when no day near to it is looked at any more: what waits from then on is
/// ended by the first day that is.
#[test]
fn what_a_very_late_file_leaves_waiting_is_ended_by_the_next_day_that_is_looked_at() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.go_to(today(), "15:50:00");
        let order = &town.paid(1, 1)[0];
        let number = town.payment(order);
        let recent = date("2027-01-13");
        town.go_to(recent, "04:00:00");
        town.paid(2, 1);
        town.send_honest(recent);
        town.night(recent);
        assert!(town.differences(recent).is_empty());
        town.send(today(), |bank| bank.clear(), |biller| biller.clear());
        town.fetch();
        town.reconcile();
        let found = town.differences(today()).remove(&number).unwrap();
        assert_eq!(found.class, Class::Expected);
        let ended = found.ended.expect("a day that is looked at ends it");
        assert_eq!(ended.class, Class::Short);
        assert!(ended.on > date("2026-12-31"), "{}", ended.on);
    }
}
