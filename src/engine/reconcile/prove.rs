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
use crate::domain::reconciliation::{RowState, Rule};
use crate::domain::time::Instant;
use crate::engine::partner_files::FileFault;
use crate::engine::settle::{Settled, Step};
use crate::engine::{Actor, Engine, EngineError};
use crate::storage::{AnyConnection, ExceptionMove, StoreError, cases, exceptions, flows, orders};
use std::collections::BTreeSet;

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
    /// Whether the bank lists a reversal of the same order as failed.
    pub reversal_failed: bool,
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
        // A reversal that the bank lists as failed says something about its payment too.
        let failed: Vec<String> = weighed
            .proofs
            .iter()
            .filter(|found| found.verdict.proves == Some(RowState::Failed))
            .filter(|found| {
                found
                    .ours
                    .iter()
                    .any(|row| row.kind == Some(FlowKind::Reversal))
            })
            .map(|found| found.flow_no.clone())
            .collect();
        if !failed.is_empty() {
            let read = move |c: &mut AnyConnection| {
                let found = failed
                    .iter()
                    .filter_map(|number| FlowNo::try_new(number).ok());
                let found: Result<Vec<_>, _> = found.map(|no| flows::find(c, &no)).collect();
                Ok(found?
                    .into_iter()
                    .flatten()
                    .map(|flow| flow.order_no)
                    .collect::<BTreeSet<_>>())
            };
            let orders = self.0.store.read(read).await?;
            for proof in &mut proofs {
                let Ok(number) = FlowNo::try_new(&proof.flow_no) else {
                    continue;
                };
                let read = move |c: &mut AnyConnection| flows::find(c, &number);
                let flow = self.0.store.read(read).await?;
                proof.reversal_failed = flow.is_some_and(|flow| orders.contains(&flow.order_no));
            }
        }
        Ok(proofs)
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
        reversal_failed: false,
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
    let mut step = Step::new(OrderEvent::PaymentStands, actor);
    if proof.reversal_failed {
        return Some(step);
    }
    let exception = held.exception.as_ref()?;
    // Nobody holds it, and no try of it counts: a try that was not sent leaves no count.
    let is_unsent = exception.phase == Phase::Reverse
        && exception.tries == 0
        && exception.lease_owner.is_none();
    if !is_unsent {
        return None;
    }
    // Whoever leases it in this moment makes the whole step void.
    step.exception = ExceptionMove::Replace(Exception {
        closed_at: Some(now),
        ..exception.clone()
    });
    Some(step)
}
