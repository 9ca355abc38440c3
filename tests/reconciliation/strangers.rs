//! Lines that are not what they seem: of a bank that had nothing to do with the flow, and of payments that a
//! reversal buried.

use super::town::{SECOND, Said, Town, date, line, today};
use crate::support::bank::Deed;
use crate::support::database::TestDatabase;
use payhall::domain::flow::{FlowKind, Operation};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::reconciliation::{Class, Rule};
use std::time::Duration;

#[test]
fn a_line_of_another_bank_settles_nothing_and_hides_nothing() {
    for database in TestDatabase::all() {
        let town = Town::with_two_banks(database);
        let paid = town.payment(&town.paid(1, 1)[0]);
        let unknown = town.bank.create("topup", "13899999991", 5_000);
        town.bank.leave_in_doubt(&unknown);
        town.bank
            .far
            .tell_for_ever(Operation::Query, "13899999991", Deed::Pending);
        let at = town.now();
        let doubtful = town.payment(&unknown);
        town.send(today(), |bank| bank.clear(), |_| {});
        let strange = [line(&paid, 1_001, at), line(&doubtful, 5_000, at)];
        town.drop_file(SECOND, today(), &strange);
        let report = town.night(today());
        assert_eq!((report.settled, report.differences), (0, 2), "{report:?}");
        assert_eq!(town.bank.state(&unknown.order_no), OrderState::Unknown);
        for number in [&paid, &doubtful] {
            let found = town.classes(today())[number];
            assert_eq!(found, (Class::Status, Rule::OtherBank), "{number}");
        }
        town.bank.far.heal();
        town.bank.run_for(Duration::from_secs(7_200));
    }
}

/// An order whose payment was undone while nobody knew of it.
fn undone(town: &Town) -> Order {
    let bill = "13899999991";
    let order = town.in_the_dark(bill);
    let is_undone = || town.bank.state(&order.order_no) == OrderState::Reversed;
    assert!(town.bank.run_until(Duration::from_secs(1_800), is_undone));
    order
}

#[test]
fn a_payment_that_a_reversal_buried_is_compared_as_the_bank_has_it() {
    let of = |kinds: &'static [FlowKind]| {
        move |lines: &mut Vec<Said>| lines.retain(|said| kinds.contains(&said.kind))
    };
    let (neither, both): (&[_], &[_]) = (&[], &[FlowKind::Payment, FlowKind::Reversal]);
    let (payment, reversal): (&[_], &[_]) = (&[FlowKind::Payment], &[FlowKind::Reversal]);
    // What the bank lists, what the biller lists, and what is wrong with it.
    let table = [
        (both, both, None),
        (neither, neither, None),
        (
            payment,
            both,
            Some((FlowKind::Reversal, (Class::Short, Rule::BankMissing))),
        ),
        (
            reversal,
            neither,
            Some((FlowKind::Reversal, (Class::Status, Rule::BankSaysYes))),
        ),
    ];
    for (place, (bank, biller, wrong)) in table.into_iter().enumerate() {
        let town = Town::new(TestDatabase::sqlite());
        let order = undone(&town);
        town.send(today(), of(bank), of(biller));
        town.night(today());
        let flows = town.bank.flows(&order.order_no);
        let number = |kind| {
            let flow = flows.iter().find(|flow| flow.kind == kind);
            flow.expect("it was made").flow_no.to_string()
        };
        let wanted = wrong.map(|(kind, class)| (number(kind), class));
        let found: Vec<_> = town.classes(today()).into_iter().collect();
        assert_eq!(found, Vec::from_iter(wanted), "line {place}");
        assert_eq!(town.bank.state(&order.order_no), OrderState::Reversed);
    }
}

/// The bank may have written the payment into the next day's file: the day is looked at again when that comes.
#[test]
fn a_file_of_the_next_day_has_a_buried_payment_looked_at_again() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let order = undone(&town);
        let flows = town.bank.flows(&order.order_no);
        let number = |kind| {
            let flow = flows.iter().find(|flow| flow.kind == kind);
            flow.expect("it was made").flow_no.to_string()
        };
        town.send(today(), |bank| bank.clear(), |biller| biller.clear());
        town.night(today());
        let first = town.run_of(today());
        assert!(first.inputs.beside.is_empty() && first.difference_count == 0);
        let tomorrow = date("2026-11-23");
        town.paid(1, 1);
        town.send_honest(tomorrow);
        town.night(tomorrow);
        let confirmed = town.run_of(today());
        assert_eq!(
            (confirmed.run_id, town.versions(today())),
            (first.run_id, 1)
        );
        assert_eq!(
            confirmed.inputs.beside.len(),
            1,
            "the bank's, and not the biller's"
        );
        assert_ne!(confirmed.input_hash, first.input_hash);
        let listed = line(&number(FlowKind::Payment), 5_000, town.now());
        town.send(tomorrow, |bank| bank.push(listed), |_| {});
        town.fetch();
        town.reconcile();
        assert_eq!(town.versions(today()), 2);
        let found = town.classes(today());
        assert!(found.contains_key(&number(FlowKind::Reversal)), "{found:?}");
    }
}
