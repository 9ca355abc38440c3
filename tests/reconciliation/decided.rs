//! What two people decide about a reversal is what the day says from then on: its counts, and what is found.

use super::town::{Said, Town, date, line, today};
use crate::support::bank::Deed;
use crate::support::database::TestDatabase;
use payhall::domain::business_day::FlowSum;
use payhall::domain::case::Decision;
use payhall::domain::flow::{Flow, FlowKind, FlowState, Operation};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::reconciliation::{Class, Rule};
use payhall::domain::time::BusinessDate;
use payhall::storage::business_days;
use std::time::Duration;

const BILL: &str = "13899999991";

fn flow_of(town: &Town, order: &Order, kind: FlowKind) -> Flow {
    let mut flows = town.bank.flows(&order.order_no);
    flows.retain(|flow| flow.kind == kind);
    assert_eq!(flows.len(), 1, "{flows:?}");
    flows.remove(0)
}

/// Ann proposes and Bob approves.
fn decide(town: &Town, order: &Order, decision: Decision) {
    let number = &order.order_no;
    town.bank
        .propose("ann", number, decision, "slip 8")
        .unwrap();
    town.bank.approve("bob", number).unwrap();
}

/// What a date's flows come to: what was paid less what was given back.
fn net_minor(town: &Town, date: BusinessDate) -> i64 {
    net_of(&town.bank.read(move |c| business_days::count(c, date)))
}

fn net_of(sums: &[FlowSum]) -> i64 {
    let counted = sums.iter().map(|sum| match (sum.kind, sum.state) {
        (FlowKind::Payment, FlowState::Succeeded | FlowState::Reversed) => sum.amount_minor,
        (FlowKind::Reversal, FlowState::Succeeded) => -sum.amount_minor,
        _ => 0,
    });
    counted.sum()
}

/// The branch paid back what nobody was told to reverse: it is stated, and the bank's file lacks it until somebody says why.
#[test]
fn what_came_back_past_the_center_is_taken_away_and_asked_about() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        let order = town.bank.create("topup", BILL, 5_000);
        town.bank.leave_in_doubt(&order);
        town.bank
            .far
            .tell_for_ever(Operation::Query, BILL, Deed::Pending);
        let is_manual = || town.bank.state(&order.order_no) == OrderState::Manual;
        assert!(town.bank.run_until(Duration::from_secs(7_200), is_manual));
        decide(&town, &order, Decision::Reversed);
        town.bank
            .declared
            .corrected_outside
            .insert(order.order_no.clone());
        assert_eq!(town.bank.state(&order.order_no), OrderState::Reversed);
        let reversal = flow_of(&town, &order, FlowKind::Reversal);
        assert_eq!(reversal.state, FlowState::Succeeded);
        assert_eq!(
            (reversal.business_date, net_minor(&town, today())),
            (today(), 0)
        );

        let payment_alone =
            |lines: &mut Vec<Said>| lines.retain(|said| said.kind == FlowKind::Payment);
        town.send(today(), payment_alone, |_| {});
        town.night(today());
        let number = reversal.flow_no.to_string();
        let found = town.classes(today());
        assert_eq!(
            found[&number],
            (Class::Short, Rule::BankMissing),
            "{found:?}"
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(town.bank.open_case(&order.order_no).is_some());
        decide(&town, &order, Decision::Keep);
        assert!(town.bank.open_case(&order.order_no).is_none());
        town.bank.far.heal();
    }
}

/// The bank's file has the payment and not the reversal that it had confirmed. Two people find that it is right.
#[test]
fn a_reversal_that_moved_nothing_is_no_longer_counted() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        let order = town.in_the_dark(BILL);
        let is_undone = || town.bank.state(&order.order_no) == OrderState::Reversed;
        assert!(town.bank.run_until(Duration::from_secs(1_800), is_undone));
        assert_eq!(net_minor(&town, today()), 0);
        let payment = line(&town.payment(&order), 5_000, town.now());
        let payment_alone = |lines: &mut Vec<Said>| *lines = vec![payment.clone()];
        town.send(today(), payment_alone, payment_alone);
        town.night(today());
        let reversal = flow_of(&town, &order, FlowKind::Reversal)
            .flow_no
            .to_string();
        let short = (Class::Short, Rule::BankMissing);
        assert_eq!(town.classes(today()), [(reversal, short)].into());

        decide(&town, &order, Decision::Succeeded);
        town.bank
            .declared
            .corrected_outside
            .insert(order.order_no.clone());
        let reversal = flow_of(&town, &order, FlowKind::Reversal);
        assert_eq!(reversal.state, FlowState::Failed);
        assert_eq!(net_minor(&town, today()), 5_000);
        // The next night counts the day again and finds that all agree.
        let tomorrow = date("2026-11-23");
        town.send_honest(tomorrow);
        town.night(tomorrow);
        assert_eq!(town.classes(today()), [].into());
        let stated = town.bank.read(|c| business_days::sums_of(c, today()));
        assert_eq!(net_of(&stated), 5_000);
    }
}
