//! The test bank itself: its clock, its far side, and above all its audit, which must find what is
//! wrong. An audit that finds nothing would make every other test worthless.

mod support;

use payhall::domain::audit::AuditRow;
use payhall::domain::flow::{AttemptOutcome, FlowState, Operation};
use payhall::domain::order::OrderState;
use payhall::engine::Clock;
use std::time::Duration;
use support::bank::books::{Books, Effect, Line};
use support::bank::far_side::Call;
use support::bank::inspect::{Declared, Facts};
use support::bank::{Deed, TICK, TestBank};

const BILL: &str = "13800000001";

/// A bank at which one order was paid and another one was reversed.
fn paid_and_reversed() -> TestBank {
    let bank = TestBank::on_sqlite();
    let paid = bank.create("topup", BILL, 5_000);
    bank.confirm(&paid.order_no).unwrap();
    let reversed = bank.create("topup", "13800000002", 5_000);
    bank.leave_in_doubt(&reversed);
    bank.far
        .tell_for_ever(Operation::Query, "13800000002", Deed::Unknown);
    bank.run_for(Duration::from_secs(600));
    assert_eq!(bank.state(&paid.order_no), OrderState::Succeeded);
    assert_eq!(bank.state(&reversed.order_no), OrderState::Reversed);
    bank
}

/// The books without the lines that are not kept.
fn only(books: &Books, keep: impl Fn(&Line) -> bool) -> Books {
    let mut kept = Books::default();
    books
        .lines()
        .iter()
        .filter(|line| keep(line))
        .for_each(|line| kept.add(line.clone()));
    kept
}

fn again(facts: &mut Facts, effect: Effect) {
    let line = facts
        .books
        .lines()
        .iter()
        .find(|line| line.effect == effect)
        .cloned();
    facts.books.add(line.expect("there is one"));
}

/// The audit row of the order that was reversed in which it came to this state.
fn row_to(facts: &mut Facts, state: OrderState) -> &mut AuditRow {
    let rows = facts.chains.iter_mut().flatten();
    let mut found = rows.filter(|row| row.entry.after.as_deref() == Some(state.as_str()));
    found.next().expect("there is such a row")
}

fn place_of(calls: &[Call], operation: Operation) -> usize {
    calls
        .iter()
        .position(|call| call.operation == operation)
        .expect("there is such a call")
}

#[test]
fn the_audit_finds_each_thing_that_is_wrong() {
    type Spoil = fn(&mut Facts);
    let spoilt: [(&str, Spoil); 18] = [
        ("I1: ", |f| {
            f.books = only(&f.books, |line| line.effect != Effect::Reversal)
        }),
        ("I1: ", |f| {
            f.books = only(&f.books, |line| line.effect != Effect::Credit)
        }),
        ("I1: ", |f| f.books = Books::default()),
        ("I1: ", |f| f.orders[1].amount.amount_minor -= 1),
        ("I2: number", |f| again(f, Effect::Debit)),
        ("I2: number", |f| again(f, Effect::Reversal)),
        ("I2: 2 payments", |f| f.flows.push(f.flows[0].clone())),
        ("I3: nobody was called", |f| {
            f.orders[0].state = OrderState::Manual
        }),
        ("I3: nobody asks", |f| {
            f.orders[0].state = OrderState::Unknown
        }),
        ("left undone", |f| f.orders[0].state = OrderState::Paying),
        ("I4: left its rest", |f| {
            row_to(f, OrderState::Reversed).entry.before = Some("FAILED".to_owned());
        }),
        ("I5: the bank did something", |f| f.flows.clear()),
        ("I5: 0 payments", |f| f.flows.clear()),
        ("I6: reversed after", |f| {
            let place = place_of(&f.calls, Operation::Reverse);
            f.calls[place - 1].outcome = Some(AttemptOutcome::Pending);
        }),
        ("I6: paid after", |f| {
            let place = place_of(&f.calls, Operation::Reverse);
            let call = Call {
                operation: Operation::Pay,
                ..f.calls[place].clone()
            };
            f.calls.push(call);
        }),
        ("I8: chain", |f| {
            row_to(f, OrderState::Reversed).entry.actor = "nobody".to_owned()
        }),
        ("I8: its audit rows are no way", |f| {
            row_to(f, OrderState::Reversing).entry.after = Some("MANUAL".to_owned());
        }),
        ("PAYMENT", |f| {
            f.flows
                .iter_mut()
                .for_each(|flow| flow.state = FlowState::Started)
        }),
    ];
    let facts = paid_and_reversed().facts();
    assert_eq!(facts.findings(&Declared::default()), Vec::<String>::new());
    for (expected, spoil) in spoilt {
        let mut facts = facts.clone();
        spoil(&mut facts);
        let found = facts.findings(&Declared::default());
        assert!(
            found.iter().any(|what| what.contains(expected)),
            "{expected}: {found:#?}"
        );
    }
    let mut facts = facts;
    let chain = facts
        .chains
        .iter_mut()
        .find(|chain| !chain.is_empty())
        .unwrap();
    let is_of_order = |row: &AuditRow| row.entry.subject_kind == "ORDER";
    chain.remove(chain.iter().position(is_of_order).unwrap() + 1);
    let found = facts.findings(&Declared::default()).join("\n");
    assert!(
        found.contains("I8: chain") && found.contains("audit rows for"),
        "{found}"
    );
}

#[test]
#[should_panic(expected = "left undone")]
fn a_bank_that_leaves_an_order_in_the_middle_fails() {
    let bank = TestBank::on_sqlite();
    let order = bank.create("topup", BILL, 5_000);
    bank.leave_in_doubt(&order);
}

#[test]
fn a_test_may_say_beforehand_what_it_leaves() {
    let mut bank = TestBank::on_sqlite();
    let order = bank.create("topup", BILL, 5_000);
    bank.leave_in_doubt(&order);
    bank.declared.unfinished.insert(order.order_no);
}

#[test]
fn ticks_that_are_leapt_over_would_have_done_nothing() {
    let calls = |pass: fn(&TestBank)| {
        let bank = TestBank::on_sqlite();
        let orders = bank.topups(2);
        bank.leave_in_doubt(&orders[0]);
        bank.far
            .tell_for_ever(Operation::Query, orders[0].bill_no.as_str(), Deed::Unknown);
        bank.far.tell(
            Operation::Reverse,
            orders[0].bill_no.as_str(),
            vec![Deed::Unknown; 4],
        );
        bank.leave_in_doubt(&orders[1]);
        bank.far
            .tell_for_ever(Operation::Query, orders[1].bill_no.as_str(), Deed::Pending);
        let parking = bank.create("parking", "P0001", 1_000);
        bank.far.tell(Operation::Pay, "P0001", [Deed::Unknown]);
        bank.confirm(&parking.order_no).unwrap();
        pass(&bank);
        bank.far.heal();
        pass(&bank);
        let calls = bank.far.calls();
        calls
            .into_iter()
            .map(|call| (call.at, call.operation, call.bill_no))
            .collect::<Vec<_>>()
    };
    let hour = Duration::from_secs(3_600);
    let leapt = calls(|bank| bank.run_for(Duration::from_secs(3_600)));
    let each = calls(|bank| {
        let end = bank.clock.now() + chrono::Duration::seconds(3_600);
        while bank.clock.now() < end {
            bank.advance(TICK);
            bank.poll();
        }
    });
    assert!(leapt.len() > 60, "{} calls in {hour:?}", leapt.len());
    assert_eq!(sorted(leapt), sorted(each));
}

/// Calls of one instant come in any sequence.
fn sorted<T: Ord>(mut calls: Vec<T>) -> Vec<T> {
    calls.sort();
    calls
}

#[test]
fn the_far_side_notices_a_payment_that_was_not_committed_before() {
    use payhall::domain::ids::{AdapterName, BillNo, BillerCode, FlowNo, ItemCode, OrderNo};
    use payhall::domain::money::{Currency, Money};
    use payhall::upstream::PayCall;
    let bank = TestBank::on_sqlite();
    let upstreams = support::bank::catalogue::upstreams(&bank.far);
    let adapter = upstreams
        .get(&AdapterName::try_new("bank").unwrap())
        .unwrap();
    let number = support::given::number(1);
    let call = PayCall {
        order_no: &OrderNo::try_new(number.clone()).unwrap(),
        flow_no: &FlowNo::try_new(number).unwrap(),
        item: &ItemCode::try_new("topup").unwrap(),
        biller: &BillerCode::try_new("telecom").unwrap(),
        bill_no: &BillNo::try_new(BILL).unwrap(),
        bill_ref: None,
        amount: Money::new(5_000, Currency::CNY),
        credential: None,
        valid_until: support::given::at(5),
    };
    bank.wait(adapter.payments.pay(&call));
    let breaches = std::mem::take(&mut bank.far.world().breaches);
    assert!(
        breaches[0].contains("before it was committed"),
        "{breaches:?}"
    );
    // It knows of no such number either.
    let found = bank.facts().findings(&Declared::default());
    assert!(found.iter().any(|what| what.starts_with("I5")), "{found:?}");
    bank.far.world().books = Books::default();
}

#[test]
fn a_bank_that_is_told_twice_pays_once_or_twice_as_it_is() {
    for (item, bill, debits) in [("topup", BILL, 1), ("parking", "P0001", 2)] {
        let bank = TestBank::on_sqlite();
        let order = bank.create(item, bill, 1_000);
        bank.confirm(&order.order_no).unwrap();
        let payment = bank.payment(&order.order_no);
        let upstreams = support::bank::catalogue::upstreams(&bank.far);
        let adapter = upstreams.get(&payment.adapter).unwrap();
        let call = payhall::upstream::PayCall {
            order_no: &order.order_no,
            flow_no: &payment.flow_no,
            item: &order.item,
            biller: &order.biller,
            bill_no: &order.bill_no,
            bill_ref: None,
            amount: order.amount,
            credential: None,
            valid_until: support::given::at(5),
        };
        bank.wait(adapter.payments.pay(&call));
        let books = bank.far.books();
        assert_eq!(books.count(payment.flow_no.as_str(), Effect::Debit), debits);
        let is_wrong = !bank.facts().findings(&Declared::default()).is_empty();
        assert_eq!(is_wrong, debits > 1, "the audit sees what such a bank did");
        // What is too much was corrected outside, so that this test ends well.
        let mut one = Books::default();
        let first = books.lines().iter().take(2);
        first.for_each(|line| one.add(line.clone()));
        bank.far.world().books = one;
    }
}
