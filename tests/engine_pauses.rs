//! What happens when a program comes late: one that was paused past its lease, one that died in the
//! middle, one whose database was gone when the bank answered.
//!
//! Nothing here waits for wall-clock time: a pause is a call that hangs at the far side while time
//! passes on the manual clock, and a death takes the runtime away under the engine.

mod support;

use payhall::domain::case::Decision;
use payhall::domain::exception::Phase;
use payhall::domain::flow::{AttemptOutcome, Operation};
use payhall::domain::order::OrderState;
use std::time::Duration;
use support::bank::{Deed, LEASE, ORPHAN_AFTER, TestBank, alarms};
use support::database::TestDatabase;
use support::given;

const BILL: &str = "13800000001";

/// The first program begins to poll, and its question hangs.
fn pause_in_poll(bank: &TestBank) -> tokio::task::JoinHandle<payhall::engine::PollReport> {
    let paused = bank.start_poll(0);
    bank.wait_until_hanging(1);
    paused
}

#[test]
fn a_paused_holder_cannot_write_back_past_its_lease() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("topup", BILL, 5_000);
        bank.leave_in_doubt(&order);
        bank.far.tell(
            Operation::Query,
            BILL,
            [Deed::UnknownThenHang, Deed::Pending],
        );
        bank.advance(Duration::from_secs(10));
        let paused = pause_in_poll(&bank);
        // Its lease lapses; the other program asks, and learns that the bank works on it.
        bank.advance(LEASE);
        bank.poll_at(other);
        let learned = bank.exception(&order.order_no).expect("still in doubt");
        assert_eq!(
            (learned.polls, learned.last_outcome),
            (1, Some(AttemptOutcome::Pending))
        );
        bank.far.release();
        bank.wait(paused).unwrap();
        let after = bank.exception(&order.order_no).expect("still in doubt");
        assert_eq!(
            after, learned,
            "on {}: the counts of the paused one are old",
            bank.database.kind
        );
        let kept = bank
            .wait(bank.engine().attempts_of(&order.order_no))
            .unwrap();
        let polls = kept
            .iter()
            .filter(|attempt| attempt.asked_at > given::at(7))
            .count();
        assert_eq!(polls, 2, "what both heard is kept as evidence");
        bank.run_for(Duration::from_secs(60));
        assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
    }
}

#[test]
fn a_paused_holder_cannot_undo_what_another_settled() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("topup", BILL, 5_000);
        bank.leave_in_doubt(&order);
        bank.far
            .tell(Operation::Query, BILL, [Deed::UnknownThenHang]);
        bank.advance(Duration::from_secs(10));
        let paused = pause_in_poll(&bank);
        bank.advance(LEASE);
        bank.poll_at(other);
        let settled = bank.order(&order.order_no);
        assert_eq!(settled.state, OrderState::Succeeded);
        bank.far.release();
        bank.wait(paused).unwrap();
        assert_eq!(bank.order(&order.order_no), settled);
        assert_eq!(bank.exception(&order.order_no), None);
    }
}

#[test]
fn a_paused_holder_does_not_reverse_on_what_it_heard_long_ago() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("topup", BILL, 5_000);
        bank.leave_in_doubt(&order);
        bank.far
            .tell(Operation::Query, BILL, vec![Deed::Unknown; 18]);
        bank.run_for(Duration::from_secs(180));
        // The 19th unknown calls for a reversal; but whoever hears it is paused with it.
        bank.far.tell(
            Operation::Query,
            BILL,
            [Deed::UnknownThenHang, Deed::Pending],
        );
        bank.advance(Duration::from_secs(60));
        let paused = pause_in_poll(&bank);
        bank.advance(LEASE);
        bank.poll_at(other);
        bank.far.release();
        bank.wait(paused).unwrap();
        // The bank's last word was "pending", and what is pending is never reversed.
        assert_eq!(
            bank.state(&order.order_no),
            OrderState::Unknown,
            "on {}",
            bank.database.kind
        );
        let payment = bank.payment(&order.order_no);
        assert_eq!(bank.far.count(Operation::Reverse, &payment.flow_no), 0);
        let exception = bank.exception(&order.order_no).expect("still in doubt");
        assert_eq!((exception.phase, exception.unknowns), (Phase::Query, 0));
        bank.run_for(Duration::from_secs(600));
        assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
    }
}

#[test]
fn a_fence_never_goes_back() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("parking", "P0001", 1_200);
        bank.far.tell(Operation::Pay, "P0001", [Deed::Lost]);
        bank.far.tell(
            Operation::Query,
            "P0001",
            [Deed::Unknown, Deed::Unknown, Deed::Unknown],
        );
        bank.far.tell(
            Operation::Query,
            "P0001",
            [Deed::UnknownThenHang, Deed::Unknown],
        );
        bank.confirm(&order.order_no).unwrap();
        bank.far
            .tell_for_ever(Operation::Query, "P0001", Deed::Unknown);
        // Paused for longer than an hour, it would call a person with the numbers of an hour ago.
        bank.advance(Duration::from_secs(10));
        let paused = pause_in_poll(&bank);
        bank.advance(LEASE);
        bank.poll_at(other);
        let fence = bank.exception(&order.order_no).expect("in doubt").fence;
        bank.advance(Duration::from_secs(3_600));
        bank.far.release();
        bank.wait(paused).unwrap();
        // It then took the lease as anybody may, and called a person on what it heard with that one.
        let after = bank.exception(&order.order_no).expect("in doubt");
        assert_eq!((fence, after.fence), (2, 3), "on {}", bank.database.kind);
        assert_eq!((after.polls, after.unknowns), (2, 2));
        assert_eq!(bank.state(&order.order_no), OrderState::Manual);
        bank.far.heal();
        assert!(bank.run_until(Duration::from_secs(7_200), || {
            bank.state(&order.order_no).is_terminal()
        }));
    }
}

#[test]
fn whatever_a_dead_program_left_is_adopted_and_nothing_is_sent_twice() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let orders = bank.topups(20);
        for (order, deed) in orders
            .iter()
            .zip([Deed::WorkThenHang, Deed::Hang].into_iter().cycle())
        {
            bank.far
                .tell(Operation::Pay, order.bill_no.as_str(), [deed]);
            drop(bank.start_confirm(0, &order.order_no));
        }
        bank.wait_until_hanging(20);
        bank.crash();
        bank.run_for(ORPHAN_AFTER + Duration::from_secs(20));
        for (order, was_paid) in orders.iter().zip([true, false].into_iter().cycle()) {
            let expected = if was_paid {
                OrderState::Succeeded
            } else {
                OrderState::Unknown
            };
            assert_eq!(
                bank.state(&order.order_no),
                expected,
                "on {}",
                bank.database.kind
            );
        }
        bank.run_for(Duration::from_secs(30 * 60));
        for order in &orders {
            let payment = bank.payment(&order.order_no);
            assert_eq!(bank.far.count(Operation::Pay, &payment.flow_no), 1);
            assert!(bank.state(&order.order_no).is_terminal());
        }
    }
}

#[test]
fn a_database_that_is_gone_when_the_bank_answers() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let order = bank.create("topup", BILL, 5_000);
        bank.far.tell(Operation::Pay, BILL, [Deed::WorkThenHang]);
        assert_eq!(
            bank.confirm(&order.order_no).unwrap().order.state,
            OrderState::Paying
        );
        bank.wait(bank.store().close());
        bank.far.release();
        bank.settle_down();
        assert_eq!(
            bank.state(&order.order_no),
            OrderState::Paying,
            "nothing could be written"
        );
        bank.crash();
        bank.run_for(ORPHAN_AFTER + Duration::from_secs(20));
        assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
        let payment = bank.payment(&order.order_no);
        assert_eq!(bank.far.count(Operation::Pay, &payment.flow_no), 1);
    }
}

#[test]
fn a_row_that_cannot_be_read_holds_up_its_own_order_only() {
    let columns = [
        ("exceptions SET last_outcome", "ODD", "UNKNOWN"),
        ("flows SET currency", "XXL", "CNY"),
    ];
    for (column, bad, good) in columns {
        for database in TestDatabase::all() {
            let bank = TestBank::new(database);
            let orders = bank.topups(3);
            for order in &orders {
                let bill_no = order.bill_no.as_str();
                let unknown = [Deed::Unknown, Deed::Unknown, Deed::Unknown];
                bank.far.tell(Operation::Pay, bill_no, [Deed::Lost]);
                bank.far.tell(Operation::Query, bill_no, unknown);
                bank.confirm(&order.order_no).unwrap();
            }
            let number = &orders[1].order_no;
            let put = |word| format!("UPDATE {column} = '{word}' WHERE order_no = '{number}'");
            bank.database.execute(&put(bad)).unwrap();
            for _ in 0..12 {
                bank.advance(Duration::from_secs(10));
                bank.poll();
            }
            let states = orders.iter().map(|order| bank.state(&order.order_no));
            let states: Vec<OrderState> = states.collect();
            let (paid, open) = (OrderState::Succeeded, OrderState::Unknown);
            assert_eq!(
                states,
                [paid, open, paid],
                "{column}, {}",
                bank.database.kind
            );
            bank.database.execute(&put(good)).unwrap();
            bank.run_for(Duration::from_secs(120));
            assert_eq!(bank.state(number), paid);
        }
    }
}

#[test]
fn an_alarm_is_raised_once_although_a_paused_holder_writes_back_later() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("parking", "P0001", 1_200);
        bank.far.tell(Operation::Pay, "P0001", [Deed::Lost]);
        bank.far
            .tell_for_ever(Operation::Query, "P0001", Deed::Unknown);
        bank.confirm(&order.order_no).unwrap();
        bank.run_for(Duration::from_secs(530));
        bank.far
            .tell(Operation::Query, "P0001", [Deed::UnknownThenHang]);
        bank.advance(Duration::from_secs(10));
        let paused = pause_in_poll(&bank);
        bank.advance(Duration::from_secs(60));
        // Ten minutes old by now: the other program cries.
        assert_eq!(bank.poll_at(other).alarms, 1);
        bank.far.release();
        bank.wait(paused).unwrap();
        assert_eq!((bank.poll().alarms, bank.poll_at(other).alarms), (0, 0));
        assert_eq!(
            alarms::about(&order.order_no).len(),
            1,
            "on {}",
            bank.database.kind
        );
        bank.far.heal();
        bank.run_for(Duration::from_secs(600));
    }
}

#[test]
fn what_a_confirm_heard_is_kept_although_the_poller_took_over_meanwhile() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let order = bank.create("topup", BILL, 5_000);
        bank.far.tell(Operation::Pay, BILL, [Deed::UnknownThenHang]);
        bank.far.tell(
            Operation::Query,
            BILL,
            [Deed::Pending, Deed::Pending, Deed::Pending],
        );
        bank.confirm(&order.order_no).unwrap();
        bank.advance(ORPHAN_AFTER);
        assert_eq!(bank.poll_at(other).orphans, 1);
        bank.far.release();
        bank.advance(Duration::from_secs(8));
        let heard = bank
            .wait(bank.engine().attempts_of(&order.order_no))
            .unwrap();
        let paid = heard
            .iter()
            .find(|attempt| attempt.operation == Operation::Pay);
        let paid = paid.expect("what the bank said to the payment itself is evidence");
        assert_eq!(
            paid.code.as_deref(),
            Some("-1"),
            "on {}",
            bank.database.kind
        );
        let end = || bank.state(&order.order_no) == OrderState::Failed;
        assert!(bank.run_until(Duration::from_secs(1_800), end));
    }
}

#[test]
fn a_success_that_comes_back_after_a_reversal_went_out_settles_nothing() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let order = bank.create("topup", BILL, 5_000);
        bank.far.tell(Operation::Pay, BILL, [Deed::WorkThenHang]);
        bank.far
            .tell_for_ever(Operation::Query, BILL, Deed::Unknown);
        // The bank does reverse, and never says so.
        bank.far.tell(Operation::Reverse, BILL, [Deed::Lost]);
        bank.far
            .tell_for_ever(Operation::Reverse, BILL, Deed::Unknown);
        bank.confirm(&order.order_no).unwrap();
        let other = bank.start_replica();
        let is_manual = || bank.state(&order.order_no) == OrderState::Manual;
        assert!(bank.run_until(Duration::from_secs(3_600), is_manual));
        // Only now the program that paid wakes up, with the bank's "success" in its hand.
        bank.far.release();
        bank.settle_down();
        assert_eq!(
            bank.state(&order.order_no),
            OrderState::Manual,
            "on {}",
            bank.database.kind
        );
        let heard = bank
            .wait(bank.house(other).engine.attempts_of(&order.order_no))
            .unwrap();
        let late = heard
            .iter()
            .find(|attempt| attempt.operation == Operation::Pay);
        assert_eq!(
            late.unwrap().outcome,
            AttemptOutcome::Succeeded,
            "it is there for people"
        );
        bank.propose(
            "ann",
            &order.order_no,
            Decision::Reversed,
            "the reversal slip",
        )
        .unwrap();
        bank.approve("bob", &order.order_no).unwrap();
        assert_eq!(bank.state(&order.order_no), OrderState::Reversed);
    }
}
