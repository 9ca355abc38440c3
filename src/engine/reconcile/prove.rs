//! What a line proves is done at once: the order is settled by it, as by an answer of the bank.
//!
//! | our flow | the bank's line | what happens |
//! |---|---|---|
//! | payment without an outcome, order PAYING, UNKNOWN, MANUAL | paid | `PAYMENT_SUCCEEDED` |
//! | the same | failed | `PAYMENT_REFUSED` |
//! | payment without an outcome, order REVERSING | paid | `PAYMENT_STANDS`, if no try of the reversal can have reached the bank, or the bank lists the reversal as failed |
//! | reversal without an outcome, order REVERSING | done | `REVERSAL_SUCCEEDED` |
//! | payment that failed, order FAILED, REVERSED, CLOSED | paid | a case `LATE_SUCCESS`; the state stays |
//!
//! Everything else is left to the bank's own answer and to people. A line says what was when the file was
//! written: a reversal that went out later may have undone it since, and then the line proves nothing about
//! what is. A reversal that two people ordered is not stopped by a line that says what they knew. The amount
//! and the currency are the line's and ours alike, or the comparison would not have called it a proof.
//!
//! How one could break it: by stopping a reversal that may be on its way; by settling by the line of a biller.

use super::plan::Plan;
use super::weigh::{Found, Weighed};
use crate::domain::case::{CaseKind, CaseState};
use crate::domain::exception::{Exception, Phase};
use crate::domain::flow::{Flow, FlowKind, FlowState};
use crate::domain::ids::FlowNo;
use crate::domain::order::{Order, OrderEvent, OrderState};
use crate::domain::reconciliation::{Row, RowState, Rule};
use crate::domain::time::Instant;
use crate::engine::partner_files::FileFault;
use crate::engine::settle::{Settled, Step};
use crate::engine::{Actor, Engine, EngineError};
use crate::storage::{
    AnyConnection, ExceptionMove, StoreError, cases, exceptions, flows, orders, reconciliations,
};
use std::collections::BTreeMap;

/// What a line of the bank says of a flow of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The flow.
    pub flow_no: String,
    /// What became of the money.
    pub says: RowState,
    /// The line: the file's path and the line's number.
    pub line: String,
    /// Whether we had taken it for failed.
    pub is_late: bool,
    /// The reversal of the same order that the bank lists as failed.
    pub reversal_failed: Option<FlowNo>,
    /// Whether the bank lists a reversal of the same order as done.
    pub reversal_done: bool,
}

/// An order with everything that a proof is held against.
struct Held {
    order: Order,
    flows: Vec<Flow>,
    exception: Option<Exception>,
    /// Whether two people have decided about a late success of it before.
    is_decided: bool,
}

impl Engine {
    /// What the bank's lines prove, in the order of the numbers.
    pub(super) async fn proofs_of(
        &self,
        plan: &Plan,
        weighed: &Weighed,
    ) -> Result<Vec<Proof>, FileFault> {
        let mut proofs: Vec<Proof> = weighed
            .proofs
            .iter()
            .filter_map(|found| proof_of(plan, weighed, found))
            .collect();
        // What the bank lists of a reversal says something about its payment too.
        let of_reversals = weighed.proofs.iter().filter(|found| {
            let is_reversal = |row: &Row| row.kind == Some(FlowKind::Reversal);
            found.ours.iter().any(is_reversal)
        });
        let says: BTreeMap<String, Option<RowState>> = of_reversals
            .map(|found| (found.flow_no.clone(), found.verdict.proves))
            .collect();
        if says.is_empty() {
            return Ok(proofs);
        }
        let numbers: Vec<String> = says.keys().cloned().collect();
        let reversals = self.orders_of(numbers).await?;
        let numbers: Vec<String> = proofs.iter().map(|proof| proof.flow_no.clone()).collect();
        let orders = self.orders_of(numbers).await?;
        for proof in &mut proofs {
            let order = orders.get(&proof.flow_no);
            let its = reversals.iter().filter(|(_, of)| Some(*of) == order);
            for (number, _) in its {
                match says.get(number) {
                    Some(Some(RowState::Failed)) => {
                        proof.reversal_failed = FlowNo::try_new(number).ok();
                    }
                    _ => proof.reversal_done = true,
                }
            }
        }
        Ok(proofs)
    }

    /// The orders of some flows, by the flows' numbers.
    async fn orders_of(
        &self,
        numbers: Vec<String>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let read = move |c: &mut AnyConnection| {
            let mut orders = BTreeMap::new();
            for numbers in numbers.chunks(500) {
                let found = reconciliations::flows_by_number(c, numbers)?;
                orders.extend(found.into_iter().map(|flow| (flow.flow_no, flow.order_no)));
            }
            Ok(orders)
        };
        self.0.store.read(read).await
    }

    /// Settles by a line, as far as the state machine allows.
    pub(super) async fn settle_by_line(
        &self,
        proof: &Proof,
        actor: &Actor,
    ) -> Result<(), FileFault> {
        let Ok(flow_no) = FlowNo::try_new(&proof.flow_no) else {
            return Ok(());
        };
        let Some((flow, held)) = self.held(flow_no).await? else {
            return Ok(());
        };
        let Some(mut step) = step_of(proof, &flow, &held, actor, self.now()) else {
            tracing::info!(
                order_no = %held.order.order_no,
                flow_no = %flow.flow_no,
                line = proof.line,
                "a line says {}, and the order is {}: left to the bank's own answer",
                proof.says,
                held.order.state
            );
            return Ok(());
        };
        step.evidence = Some(format!("listed in {}", proof.line));
        let order_no = held.order.order_no.clone();
        match self.settle(held.order, held.flows, step).await {
            Ok(Settled::Moved(order)) => {
                tracing::info!(%order_no, state = %order.state, line = proof.line, "an order was settled by a line");
                metrics::counter!("payhall_settled_by_line_total", "outcome" => order.state.as_str())
                    .increment(1);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(EngineError::Store(error)) => Err(error.into()),
            Err(error) => Err(StoreError::Refused(error.to_string()).into()),
        }
    }

    async fn held(&self, flow_no: FlowNo) -> Result<Option<(Flow, Held)>, StoreError> {
        let read = move |c: &mut AnyConnection| {
            let Some(flow) = flows::find(c, &flow_no)? else {
                return Ok(None);
            };
            let Some(order) = orders::find(c, &flow.order_no)? else {
                return Ok(None);
            };
            let held = Held {
                flows: flows::of_orders(c, std::slice::from_ref(&order.order_no))?,
                exception: exceptions::open_of(c, &order.order_no)?,
                is_decided: cases::of_order(c, &order.order_no)?.iter().any(|case| {
                    case.kind == CaseKind::LateSuccess && case.state == CaseState::Closed
                }),
                order,
            };
            Ok(Some((flow, held)))
        };
        self.0.store.read(read).await
    }
}

fn proof_of(plan: &Plan, weighed: &Weighed, found: &Found) -> Option<Proof> {
    let row = found.bank.first()?;
    let file = if plan.is_carried(row) {
        let origin = weighed.carried.get(&found.flow_no)?.origin.as_ref()?;
        origin.bank.as_ref()?.file.clone()
    } else {
        plan.party_of(row)?.file.path.clone()
    };
    Some(Proof {
        flow_no: found.flow_no.clone(),
        says: found.verdict.proves.unwrap_or(row.state),
        line: format!("{file} line {}", row.line),
        is_late: found.verdict.rule == Rule::BankSaysYes,
        reversal_failed: None,
        reversal_done: false,
    })
}

/// The step that a proof leads to; none where it is left to others.
fn step_of(proof: &Proof, flow: &Flow, held: &Held, actor: &Actor, now: Instant) -> Option<Step> {
    let state = held.order.state;
    let step = |event| Some(Step::new(event, actor));
    if proof.is_late {
        // The state machine says what that is: a late success, which opens a case.
        // What was decided about it stays decided, whatever version of the file says it again.
        let is_late =
            flow.kind == FlowKind::Payment && flow.state == FlowState::Failed && !held.is_decided;
        return is_late.then(|| Step::new(OrderEvent::PaymentSucceeded, actor));
    }
    if flow.state != FlowState::Started {
        return None;
    }
    match (flow.kind, proof.says, state) {
        (FlowKind::Payment, RowState::Succeeded, OrderState::Reversing) => {
            stands(proof, held, actor, now)
        }
        (FlowKind::Payment, RowState::Succeeded, _) => step(OrderEvent::PaymentSucceeded),
        (FlowKind::Payment, RowState::Failed, OrderState::Reversing) => None,
        (FlowKind::Payment, RowState::Failed, _) => {
            let mut step = Step::new(OrderEvent::PaymentRefused, actor);
            step.reason = Some("LISTED_AS_FAILED".to_owned());
            Some(step)
        }
        (FlowKind::Reversal, RowState::Succeeded, OrderState::Reversing) => {
            step(OrderEvent::ReversalSucceeded)
        }
        (FlowKind::Reversal, _, _) | (_, RowState::Pending, _) => None,
    }
}

/// The payment stands, and the reversal stops: only where none of it can be on its way, or the bank has
/// refused it for good.
fn stands(proof: &Proof, held: &Held, actor: &Actor, now: Instant) -> Option<Step> {
    let is_ordered = held
        .order
        .reason
        .as_deref()
        .is_some_and(|reason| reason.starts_with("DECIDED_"));
    if is_ordered {
        return None;
    }
    // The bank undid it: the reversal's own line settles that.
    if proof.reversal_done {
        return None;
    }
    let mut step = Step::new(OrderEvent::PaymentStands, actor);
    let exception = held.exception.as_ref()?;
    if exception.lease_owner.is_some() || exception.phase != Phase::Reverse {
        return None;
    }
    // A try that may have been sent, and was refused, is listed as failed.
    let is_refused =
        proof.reversal_failed.is_some() && proof.reversal_failed == exception.reversal_flow_no;
    if exception.may_be_reversed() && !is_refused {
        return None;
    }
    // Whoever leases it in this moment makes the whole step void.
    step.exception = ExceptionMove::Replace(Exception {
        closed_at: Some(now),
        ..exception.clone()
    });
    Some(step)
}
