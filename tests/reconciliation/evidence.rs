//! What a line proves: doubt that ends, a reversal that stops, a success that comes late.

use super::town::{Said, Town, line, today};
use crate::support::bank::Deed;
use crate::support::database::TestDatabase;
use payhall::domain::case::{CaseKind, CaseState};
use payhall::domain::flow::{FlowKind, FlowState, Operation};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::reconciliation::{Class, Rule};
use payhall::files::LineStatus;
use payhall::storage::audit;
use std::time::Duration;

/// An order that the bank has paid and does not say so.
fn in_doubt(town: &Town, bill: &str) -> Order {
    let order = town.bank.create("topup", bill, 5_000);
    town.bank.leave_in_doubt(&order);
    town.bank
        .far
        .tell_for_ever(Operation::Query, bill, Deed::Pending);
    order
}

/// The audit row that says by which line an order was settled.
fn told(town: &Town, order: &Order) -> String {
    let number = order.order_no.to_string();
    let rows = town.bank.read(move |c| audit::about(c, &number));
    let details = rows.into_iter().filter_map(|row| row.entry.detail);
    let mut listed = details.filter(|detail| detail.contains("listed in"));
    listed.next().expect("a row names the line")
}

#[test]
fn an_unknown_order_that_the_bank_lists_as_paid_has_succeeded() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 2);
        let unknown = in_doubt(&town, "13899999991");
        let manual = in_doubt(&town, "13899999992");
        town.bank.run_for(Duration::from_secs(3_700));
        assert_eq!(town.bank.state(&manual.order_no), OrderState::Manual);
        let late = in_doubt(&town, "13899999993");
        let at = town.now();
        let numbers = [&unknown, &manual, &late].map(|order| town.payment(order));
        town.send(
            today(),
            |bank| bank.extend(numbers.iter().map(|number| line(number, 5_000, at))),
            |biller| biller.extend(numbers.iter().map(|number| line(number, 5_000, at))),
        );
        let report = town.night(today());
        assert_eq!((report.settled, report.differences), (3, 0), "{report:?}");
        for order in [&unknown, &manual, &late] {
            assert_eq!(town.bank.state(&order.order_no), OrderState::Succeeded);
            assert!(town.bank.exception(&order.order_no).is_none());
            assert!(town.bank.open_case(&order.order_no).is_none());
            let told = told(&town, order);
            assert!(told.contains("partner/first-bank/2026-11-22/v1."), "{told}");
            assert!(told.contains(" line "), "{told}");
        }
        // The result is the same before and after.
        let before = town.run_of(today());
        let after = town.dry_run(today());
        assert_eq!(after.run.result_hash, before.result_hash);
    }
}

#[test]
fn a_line_about_another_bill_settles_nothing() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let order = in_doubt(&town, "13899999991");
        let (number, at) = (town.payment(&order), town.now());
        let other = Said {
            bill_no: "13899999992".to_owned(),
            ..line(&number, 5_000, at)
        };
        town.send(
            today(),
            |bank| bank.push(other.clone()),
            |biller| biller.push(other.clone()),
        );
        let report = town.night(today());
        assert_eq!((report.settled, report.differences), (0, 1), "{report:?}");
        assert_ne!(town.bank.state(&order.order_no), OrderState::Succeeded);
        let odd = (Class::Status, Rule::OtherBill);
        assert_eq!(town.classes(today())[&number], odd);
        town.bank.far.heal();
        town.bank.run_for(Duration::from_secs(7_200));
    }
}

#[test]
fn an_unknown_order_that_the_bank_lists_as_failed_has_failed() {
    let town = Town::new(TestDatabase::sqlite());
    let order = town.bank.create("topup", "13899999991", 5_000);
    town.bank
        .far
        .tell(Operation::Pay, "13899999991", [Deed::Unknown]);
    town.bank
        .far
        .tell_for_ever(Operation::Query, "13899999991", Deed::Pending);
    town.bank.confirm(&order.order_no).unwrap();
    assert_eq!(town.bank.state(&order.order_no), OrderState::Unknown);
    let mut failed = line(&town.payment(&order), 5_000, town.now());
    failed.status = LineStatus::Failed;
    town.send(today(), |bank| bank.push(failed), |_| {});
    town.night(today());
    let order = town.bank.order(&order.order_no);
    assert_eq!(order.state, OrderState::Failed);
    assert_eq!(order.reason.as_deref(), Some("LISTED_AS_FAILED"));
    assert!(town.classes(today()).is_empty());
}

#[test]
fn a_line_with_another_amount_settles_nothing() {
    let town = Town::new(TestDatabase::sqlite());
    let order = in_doubt(&town, "13899999991");
    let other = line(&town.payment(&order), 4_999, town.now());
    town.send(today(), |bank| bank.push(other), |_| {});
    let report = town.night(today());
    assert_eq!((report.settled, report.differences), (0, 1));
    assert_eq!(town.bank.state(&order.order_no), OrderState::Unknown);
    town.bank.far.heal();
    town.bank.run_for(Duration::from_secs(7_200));
}

/// A reversal that cannot reach the bank: no try of it was sent.
#[test]
fn a_reversal_that_was_never_sent_stops_where_the_bank_lists_the_payment() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let bill = "13899999991";
        let order = town.in_the_dark(bill);
        town.bank
            .far
            .tell_for_ever(Operation::Reverse, bill, Deed::NotSent);
        let is_reversing = || town.bank.state(&order.order_no) == OrderState::Reversing;
        assert!(town.bank.run_until(Duration::from_secs(900), is_reversing));
        town.bank.settle_down();
        let at = town.now();
        let number = town.payment(&order);
        let both = [line(&number, 5_000, at)];
        town.send(
            today(),
            |bank| bank.extend(both.clone()),
            |biller| biller.extend(both.clone()),
        );
        town.night(today());
        assert_eq!(town.bank.state(&order.order_no), OrderState::Succeeded);
        assert!(town.bank.exception(&order.order_no).is_none());
        let flows = town.bank.flows(&order.order_no);
        let reversal = flows.iter().find(|flow| flow.kind == FlowKind::Reversal);
        assert_eq!(reversal.unwrap().state, FlowState::Failed);
        town.bank.far.heal();
        town.bank.run_for(Duration::from_secs(3_600));
        assert_eq!(town.bank.state(&order.order_no), OrderState::Succeeded);
    }
}

/// A reversal that may have reached the bank: the line says what was, not what is.
#[test]
fn a_reversal_that_may_be_on_its_way_is_left_to_its_own_answer() {
    let town = Town::new(TestDatabase::sqlite());
    let bill = "13899999991";
    let order = town.in_the_dark(bill);
    town.bank.far.tell(Operation::Reverse, bill, [Deed::Lost]);
    town.bank
        .far
        .tell_for_ever(Operation::Reverse, bill, Deed::Unknown);
    let is_reversing = || town.bank.state(&order.order_no) == OrderState::Reversing;
    assert!(town.bank.run_until(Duration::from_secs(900), is_reversing));
    let listed = line(&town.payment(&order), 5_000, town.now());
    town.send(today(), |bank| bank.push(listed), |_| {});
    town.night(today());
    assert_eq!(town.bank.state(&order.order_no), OrderState::Reversing);
    town.bank.far.heal();
    town.bank.run_for(Duration::from_secs(7_200));
    assert_eq!(town.bank.state(&order.order_no), OrderState::Reversed);
}

/// The program dies while the bank undoes the payment, and the next one cannot reach the bank: no try is in the
/// counts, and still one was sent.
#[test]
fn a_try_of_a_reversal_that_nobody_counted_is_not_taken_for_none() {
    for database in TestDatabase::all() {
        let mut town = Town::new(database);
        let bill = "13899999991";
        let order = town.in_the_dark(bill);
        town.bank
            .far
            .tell(Operation::Reverse, bill, [Deed::WorkThenHang]);
        town.bank
            .far
            .tell_for_ever(Operation::Reverse, bill, Deed::NotSent);
        let listed = line(&town.payment(&order), 5_000, town.now());
        while town.bank.far.hanging() == 0 {
            town.bank.advance(Duration::from_secs(5));
            let poll = town.bank.start_poll(0);
            town.bank.wait(async {
                while town.bank.far.hanging() == 0 && !poll.is_finished() {
                    tokio::task::yield_now().await;
                }
            });
        }
        town.bank.crash();
        town.bank.run_for(Duration::from_secs(900));
        let exception = town.bank.exception(&order.order_no).unwrap();
        assert_eq!((exception.tries, exception.holder_lost), (0, true));
        town.send(today(), |bank| bank.push(listed), |_| {});
        town.night(today());
        assert_eq!(town.bank.state(&order.order_no), OrderState::Reversing);
        town.bank.far.heal();
        town.bank.run_for(Duration::from_secs(7_200));
        assert_eq!(town.bank.state(&order.order_no), OrderState::Reversed);
    }
}

#[test]
fn a_reversal_that_the_bank_lists_is_done() {
    let town = Town::new(TestDatabase::sqlite());
    let bill = "13899999991";
    let order = town.in_the_dark(bill);
    town.bank.far.tell(Operation::Reverse, bill, [Deed::Lost]);
    town.bank
        .far
        .tell_for_ever(Operation::Reverse, bill, Deed::Unknown);
    let is_reversing = || town.bank.state(&order.order_no) == OrderState::Reversing;
    assert!(town.bank.run_until(Duration::from_secs(900), is_reversing));
    let at = town.now();
    let flows = town.bank.flows(&order.order_no);
    let lines: Vec<_> = flows
        .iter()
        .map(|flow| super::town::Said {
            kind: flow.kind,
            ..line(flow.flow_no.as_str(), 5_000, at)
        })
        .collect();
    town.send(
        today(),
        |bank| bank.extend(lines.clone()),
        |biller| biller.extend(lines.clone()),
    );
    let report = town.night(today());
    assert_eq!(town.bank.state(&order.order_no), OrderState::Reversed);
    assert_eq!(report.differences, 0, "{:?}", town.classes(today()));
    assert!(told(&town, &order).contains(" line "));
}

#[test]
fn a_success_that_comes_late_opens_a_case_and_flips_nothing() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let bill = "13899999991";
        let order = town.bank.create("topup", bill, 5_000);
        town.bank
            .far
            .tell(Operation::Pay, bill, [Deed::Refuse("INSUFFICIENT_FUNDS")]);
        town.bank.confirm(&order.order_no).unwrap();
        assert_eq!(town.bank.state(&order.order_no), OrderState::Failed);
        let listed = line(&town.payment(&order), 5_000, town.now());
        town.send(today(), |bank| bank.push(listed), |_| {});
        town.night(today());
        assert_eq!(town.bank.state(&order.order_no), OrderState::Failed);
        let number = order.order_no.clone();
        let cases = town
            .bank
            .wait(town.bank.engine().cases_of(&number))
            .unwrap();
        let late = cases.iter().find(|case| case.kind == CaseKind::LateSuccess);
        let late = late.expect("a case was opened");
        assert_eq!(late.state, CaseState::Open);
        assert!(
            late.cause.contains("listed in partner/first-bank"),
            "{}",
            late.cause
        );
        town.reconcile();
        let again = town
            .bank
            .wait(town.bank.engine().cases_of(&number))
            .unwrap();
        assert_eq!(again.len(), cases.len(), "nothing is doubled");
    }
}
