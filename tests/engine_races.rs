//! What happens at the same moment: many callers of one order, callers who leave, two programs on one
//! database. (What happens when a program comes late is in `engine_pauses.rs`.)
//!
//! Nothing here waits for wall-clock time: callers meet because they are started together.

mod support;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use payhall::cache::Snapshot;
use payhall::domain::flow::Operation;
use payhall::domain::ids::OrderNo;
use payhall::domain::order::{Order, OrderState};
use payhall::domain::refusal::RefusalCode;
use payhall::engine::{Actor, Clock, ConfirmInput, Scope};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use support::bank::books::Effect;
use support::bank::{ANSWER_WITHIN, Deed, TestBank, code, refused};
use support::database::TestDatabase;

const BILL: &str = "13800000001";

#[test]
fn a_thousand_confirms_of_one_order_pay_once() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let order = bank.create("topup", BILL, 5_000);
        let callers = (0..1_000).map(|_| bank.start_confirm(0, &order.order_no));
        let answers = bank.wait(join_all(callers));
        for answer in answers {
            let answer = refused(answer.unwrap()).expect("every caller is answered");
            let state = answer.order.state;
            assert!(
                [OrderState::Paying, OrderState::Succeeded].contains(&state),
                "{state}"
            );
        }
        bank.settle_down();
        let payment = bank.payment(&order.order_no);
        assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
        assert_eq!(bank.flows(&order.order_no).len(), 1);
        assert_eq!(bank.far.count(Operation::Pay, &payment.flow_no), 1);
        assert_eq!(
            bank.far
                .books()
                .count(payment.flow_no.as_str(), Effect::Debit),
            1
        );
    }
}

#[test]
fn two_hundred_creates_with_one_request_number_make_one_order() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let input = bank.input("topup", BILL, 5_000);
        let callers = (0..200).map(|n| {
            let engine = bank
                .house(if n % 2 == 0 { 0 } else { other })
                .engine
                .clone();
            let input = input.clone();
            bank.start(async move { engine.create(input, &Actor::system()).await })
        });
        let answers = bank.wait(join_all(callers.collect::<Vec<_>>()));
        let mut numbers: Vec<OrderNo> = answers
            .into_iter()
            .map(|answer| refused(answer.unwrap()).unwrap().order_no)
            .collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 1, "on {}: {numbers:?}", bank.database.kind);
    }
}

#[test]
fn fifty_orders_of_one_bill_and_one_pays() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        bank.far.tell(Operation::Pay, BILL, [Deed::WorkThenHang]);
        let orders: Vec<Order> = (0..50).map(|_| bank.create("topup", BILL, 5_000)).collect();
        let mut callers: FuturesUnordered<_> = orders
            .iter()
            .map(|order| {
                let number = order.order_no.clone();
                let caller = bank.start_confirm(0, &number);
                async move { (number, refused(caller.await.unwrap())) }
            })
            .collect();
        let mut told = Vec::new();
        for _ in 0..49 {
            let (_, answer) = bank
                .wait(callers.next())
                .expect("49 are answered while one pays");
            told.push(answer.expect_err("they are refused"));
        }
        bank.far.release();
        let (winner, answer) = bank.wait(callers.next()).expect("the one that pays");
        assert_eq!(answer.unwrap().order.state, OrderState::Succeeded);
        for refusal in told {
            assert_eq!(refusal.code, RefusalCode::PaymentInProgress);
            assert_eq!(
                refusal.order_no.as_ref(),
                Some(&winner),
                "on {}",
                bank.database.kind
            );
        }
    }
}

#[test]
fn a_confirm_is_answered_in_time_while_the_bank_hangs() {
    let bank = TestBank::on_sqlite();
    let order = bank.create("topup", BILL, 5_000);
    bank.far.tell(Operation::Pay, BILL, [Deed::WorkThenHang]);
    let asked_at = bank.clock.now();
    let answer = bank.confirm(&order.order_no).unwrap();
    assert_eq!(answer.order.state, OrderState::Paying);
    assert!(answer.ask_again_after.is_some());
    assert_eq!(
        (bank.clock.now() - asked_at).to_std().unwrap(),
        ANSWER_WITHIN
    );
    bank.far.release();
    bank.settle_down();
    assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
}

/// A caller who hangs up when the answer has kept it waiting so many times.
struct HangsUp<F> {
    call: Pin<Box<F>>,
    patience: u32,
}

impl<F: Future> Future for HangsUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if self.patience <= 1 => Poll::Ready(None),
            Poll::Pending => {
                self.patience -= 1;
                Poll::Pending
            }
        }
    }
}

#[test]
fn a_caller_who_hangs_up_at_any_moment_cancels_nothing() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let mut ends = Vec::new();
        for (order, patience) in bank.topups(12).iter().zip(1..) {
            let engine = bank.engine().clone();
            let input = ConfirmInput {
                order_no: order.order_no.clone(),
                credential: None,
                pass: None,
            };
            bank.wait(async {
                let (scope, actor) = (Scope::All, Actor::system());
                let call = Box::pin(engine.confirm(input, &scope, &actor));
                HangsUp { call, patience }.await
            });
            // Whatever was on its way to the database is there after this.
            bank.wait(bank.store().solo(|_| Ok(()))).unwrap();
            bank.settle_down();
            ends.push(bank.state(&order.order_no));
        }
        // Either nothing has begun, or it has gone to its end.
        assert!(
            ends.iter()
                .all(|end| [OrderState::Created, OrderState::Succeeded].contains(end)),
            "{ends:?}"
        );
        assert_eq!(
            ends.last(),
            Some(&OrderState::Succeeded),
            "the most patient one"
        );
    }
}

#[test]
fn a_confirm_that_comes_too_late_does_not_talk_over_one_that_pays() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        // A program whose clock is three hours ahead thinks that the order has expired.
        let ahead = bank.start_replica_ahead_by(Duration::from_secs(3 * 3600));
        for order in bank.topups(100) {
            let (in_time, too_late) = (
                bank.start_confirm(0, &order.order_no),
                bank.start_confirm(ahead, &order.order_no),
            );
            let (in_time, too_late) = bank.wait(async { tokio::join!(in_time, too_late) });
            let (in_time, too_late) = (refused(in_time.unwrap()), refused(too_late.unwrap()));
            bank.settle_down();
            match bank.state(&order.order_no) {
                OrderState::Closed => {
                    assert_eq!(code(too_late), RefusalCode::OrderExpired);
                    assert_eq!(code(in_time), RefusalCode::OrderClosed);
                }
                OrderState::Succeeded => {
                    let told = too_late.expect("nobody is told to make a new order while one pays");
                    assert_ne!(told.order.state, OrderState::Closed);
                    assert_eq!(in_time.unwrap().order.state, OrderState::Succeeded);
                }
                other => panic!("it is {other}"),
            }
        }
    }
}

#[test]
fn two_programs_poll_at_once_and_each_exception_is_asked_about_once() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let orders = bank.topups(30);
        for order in &orders {
            bank.leave_in_doubt(order);
            bank.far
                .tell_for_ever(Operation::Query, order.bill_no.as_str(), Deed::Unknown);
        }
        let asked = |order: &Order| {
            bank.far
                .count(Operation::Query, &bank.payment(&order.order_no).flow_no)
        };
        let before: Vec<usize> = orders.iter().map(asked).collect();
        // Their doubts began one after the other; a ladder's wait later all of them are due.
        bank.advance(Duration::from_secs(10));
        let polls = (bank.start_poll(0), bank.start_poll(other));
        let (one, two) = bank.wait(async { tokio::join!(polls.0, polls.1) });
        assert_eq!(
            one.unwrap().asked + two.unwrap().asked,
            30,
            "on {}",
            bank.database.kind
        );
        for (order, before) in orders.iter().zip(before) {
            assert_eq!(asked(order), before + 1);
        }
        bank.far.heal();
        bank.run_for(Duration::from_secs(60));
        assert!(
            orders
                .iter()
                .all(|order| bank.state(&order.order_no) == OrderState::Succeeded)
        );
    }
}

#[test]
fn no_decision_about_money_reads_the_cache() {
    let bank = TestBank::on_sqlite();
    let lie = |order: &Order, state| {
        let lie = Order {
            state,
            version: 1_000,
            ..order.clone()
        };
        bank.house(0).cache.mirror(vec![Snapshot::Order(lie)]);
    };
    // The cache says paid, the database says created: it is paid now.
    let order = bank.create("topup", BILL, 5_000);
    lie(&order, OrderState::Succeeded);
    let seen = bank
        .wait(bank.engine().order(&order.order_no, &Scope::All))
        .unwrap()
        .unwrap();
    assert_eq!(seen.state, OrderState::Succeeded, "the lie is in place");
    assert_eq!(
        bank.confirm(&order.order_no).unwrap().order.state,
        OrderState::Succeeded
    );
    assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
    // The cache says created, the database says paid: it is not paid again, and not cancelled.
    lie(&order, OrderState::Created);
    assert_eq!(
        bank.confirm(&order.order_no).unwrap().order.state,
        OrderState::Succeeded
    );
    assert_eq!(
        code(bank.cancel(&order.order_no)),
        RefusalCode::OrderStateConflict
    );
    let payment = bank.payment(&order.order_no);
    assert_eq!(bank.far.count(Operation::Pay, &payment.flow_no), 1);
    // The cache says closed, the database says in doubt: it is still asked about.
    let doubtful = bank.create("topup", "13800000002", 5_000);
    bank.leave_in_doubt(&doubtful);
    lie(&doubtful, OrderState::Closed);
    bank.run_for(Duration::from_secs(20));
    assert_eq!(bank.state(&doubtful.order_no), OrderState::Succeeded);
}
