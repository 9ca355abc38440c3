//! The test bank itself: its clock, its far side, and above all its audit, which must find what is
//! wrong. An audit that finds nothing would make every other test worthless.

mod support;

use payhall::domain::flow::Operation;
use payhall::domain::order::OrderState;
use support::bank::{Deed, TestBank};

#[test]
fn a_payment_that_goes_well() {
    let bank = TestBank::on_sqlite();
    let order = bank.create("topup", "13800000001", 5_000);
    let answer = bank.confirm(&order.order_no).unwrap();
    assert_eq!(answer.order.state, OrderState::Succeeded);
}

#[test]
fn a_payment_in_doubt() {
    let bank = TestBank::on_sqlite();
    let order = bank.create("topup", "13800000001", 5_000);
    bank.far.tell(Operation::Pay, "13800000001", [Deed::Lost]);
    bank.far.tell(
        Operation::Query,
        "13800000001",
        [Deed::Unknown, Deed::Unknown, Deed::Unknown],
    );
    let answer = bank.confirm(&order.order_no).unwrap();
    assert_eq!(answer.order.state, OrderState::Unknown);
    bank.advance(std::time::Duration::from_secs(10));
    bank.poll();
    assert_eq!(bank.state(&order.order_no), OrderState::Succeeded);
}
