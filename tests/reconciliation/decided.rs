//! What two people decide about a reversal is what the day says from then on: its counts, and what is found.

use super::town::{SECOND, Said, Town, date, line, today};
use crate::support::bank::Deed;
use crate::support::database::TestDatabase;
use payhall::domain::business_day::FlowSum;
use payhall::domain::case::{CaseKind, CaseState, Decision};
use payhall::domain::flow::{Flow, FlowKind, FlowState, Operation};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::reconciliation::{Class, RowState, Rule};
use payhall::domain::refusal::RefusalCode;
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

/// A payment that the bank does not know when it is asked, and lists as paid: people are asked about a success that
/// came late.
fn unknown_and_listed(town: &Town) -> Order {
    let order = town.bank.create("topup", BILL, 5_000);
    town.bank.leave_in_doubt(&order);
    let query = Operation::Query;
    town.bank.far.tell_for_ever(query, BILL, Deed::NotFound);
    let has_failed = || town.bank.state(&order.order_no) == OrderState::Failed;
    assert!(town.bank.run_until(Duration::from_secs(1_800), has_failed));
    let listed = line(&town.payment(&order), 5_000, town.now());
    let as_paid = |lines: &mut Vec<Said>| lines.push(listed.clone());
    town.send(today(), as_paid, as_paid);
    town.night(today());
    let says_yes = (Class::Status, Rule::BankSaysYes);
    assert_eq!(
        town.classes(today()),
        [(town.payment(&order), says_yes)].into()
    );
    order
}

fn cases_of(town: &Town, order: &Order) -> Vec<(CaseKind, CaseState)> {
    let number = order.order_no.clone();
    let cases = town
        .bank
        .wait(town.bank.engine().cases_of(&number))
        .unwrap();
    cases.iter().map(|case| (case.kind, case.state)).collect()
}

/// The answer to what people ordered comes after the case was closed, and after the day was compared once more.
#[test]
fn the_answer_to_a_decision_has_the_day_compared_again() {
    for (answer, state) in [
        (Deed::Honest, OrderState::Reversed),
        (Deed::Stands, OrderState::Succeeded),
    ] {
        for database in TestDatabase::all() {
            let town = Town::new(database);
            let order = unknown_and_listed(&town);
            let reverse = Operation::Reverse;
            town.bank.far.tell_for_ever(reverse, BILL, Deed::Unknown);
            decide(&town, &order, Decision::Reverse);
            town.reconcile();
            assert_eq!(town.bank.state(&order.order_no), OrderState::Reversing);
            assert_eq!(
                town.classes(today()).len(),
                1,
                "it is compared as it stands"
            );
            town.bank.far.tell_for_ever(reverse, BILL, answer.clone());
            let is_answered = || town.bank.state(&order.order_no) == state;
            assert!(town.bank.run_until(Duration::from_secs(1_800), is_answered));
            town.reconcile();
            assert_eq!(town.classes(today()), [].into(), "{answer:?}");
        }
    }
}

#[test]
fn a_closed_case_answers_for_no_other_difference_than_its_own() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        let order = unknown_and_listed(&town);
        town.bank
            .declared
            .corrected_outside
            .insert(order.order_no.clone());
        let late = CaseKind::LateSuccess;
        assert_eq!(cases_of(&town, &order), [(late, CaseState::Open)]);
        decide(&town, &order, Decision::Keep);
        // A corrected file that says the same of it is no news.
        let number = town.payment(&order);
        town.paid(1, 1);
        let listed = |amount_minor: i64| {
            let said = line(&number, amount_minor, town.now());
            move |lines: &mut Vec<Said>| lines.push(said.clone())
        };
        town.send(today(), listed(5_000), listed(5_000));
        town.fetch();
        town.reconcile();
        assert_eq!(
            (town.versions(today()), town.classes(today()).len()),
            (2, 1)
        );
        assert_eq!(cases_of(&town, &order), [(late, CaseState::Closed)]);
        // One that says something else of it asks anew.
        town.send(today(), listed(6_000), listed(6_000));
        town.fetch();
        let report = town.reconcile();
        assert_eq!(report.differences, 1, "{report:?}");
        let own = (CaseKind::Discrepancy, CaseState::Open);
        assert_eq!(cases_of(&town, &order), [(late, CaseState::Closed), own]);
    }
}

#[test]
fn what_was_proposed_about_another_difference_is_not_approved() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let order = town.paid(1, 1).remove(0);
        let number = town.payment(&order);
        town.send(today(), |bank| bank.clear(), |_| {});
        town.night(today());
        assert_eq!(town.classes(today())[&number].0, Class::Short);
        let proposed = town
            .bank
            .propose("ann", &order.order_no, Decision::Keep, "tomorrow");
        let proposed = proposed.unwrap();
        town.send(today(), |bank| bank[0].amount_minor = 50_000, |_| {});
        town.fetch();
        town.reconcile();
        assert_eq!(town.classes(today())[&number].0, Class::Amount);
        let asked = town.bank.open_case(&order.order_no).unwrap();
        assert_eq!(asked.case_no, proposed.case_no);
        assert_eq!((asked.state, asked.proposal), (CaseState::Open, None));
        assert!(asked.cause.starts_with("AMOUNT"), "{}", asked.cause);
        let approved = town.bank.approve_as_read("bob", &proposed);
        assert_eq!(approved.unwrap_err().code, RefusalCode::CaseChanged);
    }
}

/// A bank without tombstones paid after it had reversed. While the second reversal is under way the payment is paid,
/// and a file without it is short of it.
#[test]
fn a_payment_whose_reversal_moved_nothing_is_not_buried() {
    for database in TestDatabase::all() {
        let town = Town::with_two_banks(database);
        let bill = "V0001";
        let order = town.bank.create("village-topup", bill, 2_000);
        let late = [Deed::Late(Duration::from_secs(360))];
        town.bank.far.tell(Operation::Pay, bill, late);
        let query = Operation::Query;
        town.bank.far.tell_for_ever(query, bill, Deed::Unknown);
        town.bank.confirm(&order.order_no).unwrap();
        let is_undone = || town.bank.state(&order.order_no) == OrderState::Reversed;
        assert!(town.bank.run_until(Duration::from_secs(300), is_undone));
        town.bank.far.tell_for_ever(query, bill, Deed::Honest);
        town.bank.run_for(Duration::from_secs(900));
        let late = (CaseKind::LateSuccess, CaseState::Open);
        assert_eq!(cases_of(&town, &order), [late]);
        town.send_honest(today());
        town.drop_file(SECOND, today(), &[]);
        town.night(today());
        assert_eq!(town.classes(today()), [].into(), "the bank lists neither");

        let reverse = Operation::Reverse;
        town.bank.far.tell_for_ever(reverse, bill, Deed::Unknown);
        decide(&town, &order, Decision::Reverse);
        town.reconcile();
        let short = (Class::Short, Rule::BankMissing);
        assert_eq!(
            town.classes(today()),
            [(town.payment(&order), short)].into()
        );
        town.bank.far.heal();
        assert!(town.bank.run_until(Duration::from_secs(1_800), is_undone));
    }
}

/// Nobody was asked about it, and the bank's answer came after the day was compared: the day says what statements say,
/// and waits for the next file.
#[test]
fn an_answer_that_comes_after_a_day_was_compared_is_compared_too() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.go_to(today(), "15:50:00");
        let order = town.bank.create("topup", BILL, 5_000);
        town.bank.leave_in_doubt(&order);
        let number = town.payment(&order);
        town.send(today(), |bank| bank.clear(), |biller| biller.clear());
        town.night(today());
        let found = town.differences(today());
        assert_eq!(found[&number].our_state, Some(RowState::Pending));
        assert_eq!(found[&number].class, Class::Expected);
        assert!(town.bank.case(&order.order_no).is_none());
        town.reconcile();
        assert_eq!(town.versions(today()), 1, "nothing has moved");

        town.bank.run_for(Duration::from_secs(60));
        assert_eq!(town.bank.state(&order.order_no), OrderState::Succeeded);
        town.reconcile();
        let found = town.differences(today());
        assert_eq!(found[&number].our_state, Some(RowState::Succeeded));
        assert_eq!(found[&number].class, Class::Expected);
        let tomorrow = date("2026-11-23");
        let listed = line(&number, 5_000, town.now());
        let late = |lines: &mut Vec<Said>| lines.push(listed.clone());
        town.send(tomorrow, late, late);
        town.night(tomorrow);
        let ended = town.differences(today())[&number].ended.clone().unwrap();
        assert_eq!((ended.on, ended.class), (tomorrow, Class::Matched));
    }
}
