//! A flow that a later day's file lists once more: one line too many, or the one that was lacking; and what the
//! later days come to when the result of its own day is made or changed after theirs.

use super::town::{BANK, Said, TELECOM, Town, date, line, today};
use crate::support::database::TestDatabase;
use payhall::domain::order::Order;
use payhall::domain::reconciliation::{Class, Rule};

const TWICE: (Class, Rule) = (Class::Duplicate, Rule::ListedTwice);
const LACKING: (Class, Rule) = (Class::Short, Rule::BankMissing);

/// One minute before midnight in Shanghai.
const LATE: &str = "15:59:00";

/// A payment of today, and the line that says it.
fn one(town: &Town) -> (Order, String, Said) {
    let order = town.paid(1, 1).remove(0);
    let number = town.payment(&order);
    let said = town.honest(today()).pop().unwrap();
    assert_eq!(said.flow_no, number);
    (order, number, said)
}

#[test]
fn a_line_that_was_waited_for_and_comes_twice_is_a_duplicate() {
    for time in [LATE, "04:00:00"] {
        for database in TestDatabase::all() {
            let town = Town::new(database);
            town.go_to(today(), time);
            let (order, number, said) = one(&town);
            town.send(today(), Vec::clear, |_| {});
            town.night(today());
            let (monday, tuesday) = (date("2026-11-23"), date("2026-11-24"));
            town.paid(10, 2);
            town.send(monday, |bank| bank.push(said.clone()), |_| {});
            town.night(monday);
            assert!(town.classes(monday).is_empty());
            assert!(town.bank.open_case(&order.order_no).is_none());
            town.paid(20, 2);
            town.send(tuesday, |bank| bank.push(said), |_| {});
            town.night(tuesday);
            assert_eq!(town.classes(tuesday), [(number.clone(), TWICE)].into());
            let ended = town.differences(today())[&number].ended.clone().unwrap();
            assert_eq!((ended.on, ended.class), (monday, Class::Matched));
            assert!(town.bank.open_case(&order.order_no).is_some());
            assert!(town.reconcile().published.is_empty(), "nothing is new");
        }
    }
}

#[test]
fn a_biller_that_lists_a_flow_on_two_days_has_listed_it_twice() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let (_, number, said) = one(&town);
        town.send_honest(today());
        town.night(today());
        let monday = date("2026-11-23");
        town.paid(10, 2);
        town.send(monday, |_| {}, |biller| biller.push(said));
        town.night(monday);
        assert_eq!(town.classes(monday), [(number, TWICE)].into());
    }
}

#[test]
fn a_line_that_a_later_day_had_stays_heard_when_the_first_day_is_corrected() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let (order, number, said) = one(&town);
        town.paid(2, 1);
        let lacks = |bank: &mut Vec<Said>| bank.retain(|line| line.flow_no != number);
        let mut first = town.honest(today());
        lacks(&mut first);
        town.send(today(), lacks, |_| {});
        town.night(today());
        assert_eq!(town.classes(today())[&number], LACKING);
        let monday = date("2026-11-23");
        town.send(monday, |bank| bank.push(said), |_| {});
        town.night(monday);
        assert!(town.bank.open_case(&order.order_no).is_none());

        // Another line of the first day is corrected, and the one that Monday has is still not there.
        first[0].amount_minor += 1;
        town.drop_file(BANK, today(), &first);
        town.fetch();
        assert_eq!(town.reconcile().published, [today(), monday]);
        let found = &town.differences(today())[&number];
        assert_eq!((found.class, found.rule), LACKING);
        let ended = found.ended.clone().unwrap();
        assert_eq!((ended.on, ended.class), (monday, Class::Matched));
        assert!(town.bank.open_case(&order.order_no).is_none());
        assert!(town.reconcile().published.is_empty());

        // And then it is there: it is listed on two days.
        town.send_honest(today());
        town.fetch();
        assert_eq!(town.reconcile().published, [today(), monday]);
        assert!(town.classes(today()).is_empty());
        assert_eq!(town.classes(monday), [(number, TWICE)].into());
    }
}

#[test]
fn a_day_whose_result_comes_late_is_no_duplicate_before_and_is_heard_after() {
    for is_listed in [false, true] {
        for database in TestDatabase::all() {
            let town = Town::new(database);
            let (order, number, said) = one(&town);
            town.go_to_night_after(today());
            town.close();
            let monday = date("2026-11-23");
            town.go_to(monday, "04:00:00");
            town.paid(5, 1);
            town.send(monday, |bank| bank.push(said.clone()), |_| {});
            assert_eq!(town.night(monday).published, [monday]);
            assert!(town.classes(monday).is_empty(), "Sunday is not known yet");

            let lines = if is_listed {
                vec![said.clone()]
            } else {
                Vec::new()
            };
            town.drop_file(BANK, today(), &lines);
            town.drop_file(TELECOM, today(), &[said]);
            town.fetch();
            assert_eq!(town.reconcile().published, [today(), monday]);
            if is_listed {
                assert!(town.classes(today()).is_empty());
                assert_eq!(town.classes(monday), [(number, TWICE)].into());
            } else {
                let found = &town.differences(today())[&number];
                assert_eq!((found.class, found.rule), LACKING);
                let ended = found.ended.clone().unwrap();
                assert_eq!((ended.on, ended.class), (monday, Class::Matched));
                assert!(town.classes(monday).is_empty());
                assert!(town.bank.open_case(&order.order_no).is_none());
            }
            assert!(town.reconcile().published.is_empty());
        }
    }
}

#[test]
fn a_day_that_comes_to_the_same_beside_another_result_is_known_to_hold() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let (_, number, _) = one(&town);
        town.send_honest(today());
        town.night(today());
        let monday = date("2026-11-23");
        town.paid(5, 2);
        town.send_honest(monday);
        town.night(monday);
        let before = town.run_of(monday);
        town.send(today(), |bank| bank[0].amount_minor += 1, |_| {});
        town.fetch();
        assert_eq!(town.reconcile().published, [today()]);
        assert!(town.classes(today()).contains_key(&number));
        let after = town.run_of(monday);
        assert_eq!((after.run_id, town.versions(monday)), (before.run_id, 1));
        assert_ne!(after.input_hash, before.input_hash);
    }
}

#[test]
fn a_line_of_another_bank_settles_nothing_where_its_own_bank_has_no_file() {
    use payhall::domain::flow::Operation;
    use payhall::domain::order::OrderState;
    for database in TestDatabase::all() {
        let town = Town::with_two_banks(database);
        town.paid(1, 1);
        let bill = "13899999991";
        let unknown = town.bank.create("topup", bill, 5_000);
        town.bank.leave_in_doubt(&unknown);
        let deed = crate::support::bank::Deed::Pending;
        town.bank.far.tell_for_ever(Operation::Query, bill, deed);
        let (number, at) = (town.payment(&unknown), town.now());
        town.send(
            today(),
            |bank| bank.retain(|said| said.flow_no != number),
            |_| {},
        );
        town.drop_file(super::town::SECOND, today(), &[]);
        town.night(today());
        // Nobody paid anything on Monday: past nine nobody waits for the bank's file.
        let monday = date("2026-11-23");
        town.drop_file(super::town::SECOND, monday, &[line(&number, 5_000, at)]);
        town.go_to(date("2026-11-24"), "01:30:00");
        town.close();
        town.fetch();
        let report = town.reconcile();
        assert_eq!((report.published, report.settled), (vec![monday], 0));
        assert_eq!(town.bank.state(&unknown.order_no), OrderState::Unknown);
        let found = town.classes(monday)[&number];
        assert_eq!(found, (Class::Status, Rule::OtherBank));
        town.bank.far.heal();
        town.bank.run_for(std::time::Duration::from_secs(7_200));
    }
}
