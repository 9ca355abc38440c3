//! An order's flows among themselves, by our database alone: one number a step (I2), written down
//! before the order moves on (I5), and telling the same as the order (I7).

use super::dossier::Dossier;
use super::report::{Findings, Invariant};
use crate::domain::flow::{Flow, FlowState};
use crate::domain::order::OrderState;

/// Judges one order's flows.
pub(super) fn judge(dossier: &Dossier, findings: &mut Findings) {
    judge_steps(dossier, findings);
    let order = &dossier.order;
    for flow in dossier
        .flows
        .iter()
        .filter(|flow| flow.amount != order.amount)
    {
        findings.about(
            &order.order_no,
            Invariant::Match,
            "a flow is about another amount than its order",
            format!(
                "order {}, {} flow {} {}",
                order.amount, flow.kind, flow.flow_no, flow.amount
            ),
        );
    }
    match dossier.payments().next() {
        None => judge_without_payment(dossier, findings),
        Some(payment) => judge_payment(dossier, payment, findings),
    }
    judge_reversal(dossier, findings);
}

fn judge_reversal(dossier: &Dossier, findings: &mut Findings) {
    let order = &dossier.order;
    let any = |state| dossier.reversals().any(|flow| flow.state == state);
    if order.state == OrderState::Reversing && !any(FlowState::Started) {
        findings.about(
            &order.order_no,
            Invariant::IntentFirst,
            "the order is REVERSING without a reversal flow that was started",
            numbers(dossier),
        );
    }
    // What is stated of an order comes to nothing exactly if one reversal took away what its payment says.
    let count = dossier
        .reversals()
        .filter(|flow| flow.state == FlowState::Succeeded)
        .count();
    if count != usize::from(order.state == OrderState::Reversed) {
        findings.about(
            &order.order_no,
            Invariant::Match,
            format!(
                "the order is {}, and {count} of its reversals succeeded",
                order.state
            ),
            numbers(dossier),
        );
    }
}

/// One payment; reversals numbered from 1.
fn judge_steps(dossier: &Dossier, findings: &mut Findings) {
    let of = |steps: Vec<i32>| {
        steps
            .into_iter()
            .zip(1..)
            .all(|(step, place)| step == place)
    };
    let payments: Vec<i32> = dossier.payments().map(|flow| flow.step).collect();
    let reversals: Vec<i32> = dossier.reversals().map(|flow| flow.step).collect();
    if payments.len() > 1 || !of(payments) || !of(reversals) {
        findings.about(
            &dossier.order.order_no,
            Invariant::OneEffect,
            "an order has one payment flow, and one flow for each further step",
            numbers(dossier),
        );
    }
}

fn judge_without_payment(dossier: &Dossier, findings: &mut Findings) {
    let state = dossier.order.state;
    let never_sent = matches!(state, OrderState::Created | OrderState::Closed);
    if !never_sent || dossier.reversals().next().is_some() {
        findings.about(
            &dossier.order.order_no,
            Invariant::IntentFirst,
            "there is no payment flow",
            format!("order {state}; {}", numbers(dossier)),
        );
    }
}

fn judge_payment(dossier: &Dossier, payment: &Flow, findings: &mut Findings) {
    let state = dossier.order.state;
    let expected = match state {
        OrderState::Succeeded => Some(FlowState::Succeeded),
        OrderState::Failed => Some(FlowState::Failed),
        OrderState::Reversed => Some(FlowState::Reversed),
        OrderState::Created | OrderState::Closed => None,
        // A payment that people sent back keeps what was known of it.
        OrderState::Reversing | OrderState::Manual if dossier.was_decided() => Some(payment.state),
        OrderState::Paying | OrderState::Unknown | OrderState::Reversing | OrderState::Manual => {
            Some(FlowState::Started)
        }
    };
    let is_concluded = payment.state != FlowState::Started;
    if expected != Some(payment.state) || is_concluded != payment.concluded_at.is_some() {
        findings.about(
            &dossier.order.order_no,
            Invariant::Match,
            "the order and its payment flow do not tell the same",
            format!(
                "order {state}, flow {} {}, concluded at {:?}",
                payment.flow_no, payment.state, payment.concluded_at
            ),
        );
    }
}

fn numbers(dossier: &Dossier) -> String {
    let words: Vec<String> = dossier
        .flows
        .iter()
        .map(|flow| {
            format!(
                "{} {} {} {}",
                flow.kind, flow.step, flow.flow_no, flow.state
            )
        })
        .collect();
    if words.is_empty() {
        "no flows".to_owned()
    } else {
        words.join(", ")
    }
}
