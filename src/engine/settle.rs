//! The one place where an order's money state moves: order, flows, exception, case, the merchant's
//! notification and audit row in one transaction, by compare-and-set on state and version.
//!
//! A caller says what is known now; the state machine says what that does. A lost race is answered
//! by reading the order again and asking the state machine once more, never by writing over it.
//!
//! How one could break this: by moving an order anywhere else; by settling on something that is not
//! an answer, a statement line or a decision of two people.

use super::{Actor, Alarm, AlarmKind, Engine, EngineError, Pass};
use crate::domain::audit::AuditEntry;
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::exception::AlarmLevel;
use crate::domain::flow::{Attempt, Flow, FlowKind, FlowState};
use crate::domain::ids::OrderNo;
use crate::domain::order::{Order, OrderEvent, OrderState, Transition, flow_after, next};
use crate::domain::outcome::Receipt;
use crate::domain::time::Instant;
use crate::storage::{
    CaseMove, ExceptionMove, Move, Moved, Permit, StoreError, cases, flows, orders,
};
use std::sync::Arc;

/// What is known now, and what goes into the same transaction.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What happened.
    pub event: OrderEvent,
    /// Why, as a named reason; kept with an order that failed or closed.
    pub reason: Option<String>,
    /// The far side's words.
    pub receipt: Option<Receipt>,
    /// Calls that are kept as evidence.
    pub attempts: Vec<Attempt>,
    /// A flow that starts.
    pub start: Option<Flow>,
    /// For a payment that starts: what its merchant may do.
    pub permit: Option<Permit>,
    /// What happens to the exception; at rest it is closed unless this says otherwise.
    pub exception: ExceptionMove,
    /// A case that is opened, or decided.
    pub case: CaseMove,
    /// What lets the signed request in that asks for the move; none for what was let in before.
    pub pass: Option<Pass>,
    /// What it rests on where that is no call: a line of a partner's file.
    pub evidence: Option<String>,
    /// Who caused it.
    pub actor: Actor,
}

impl Step {
    /// A step with nothing beside its event.
    pub fn new(event: OrderEvent, actor: &Actor) -> Self {
        Self {
            event,
            reason: None,
            receipt: None,
            attempts: Vec::new(),
            start: None,
            permit: None,
            exception: ExceptionMove::Keep,
            case: CaseMove::Keep,
            pass: None,
            evidence: None,
            actor: actor.clone(),
        }
    }

    /// Whether it is void if somebody else changed the case, or holds the exception by now.
    fn rests_on_more(&self) -> bool {
        matches!(self.case, CaseMove::Replace(_))
            || matches!(self.exception, ExceptionMove::Replace(_))
    }
}

/// What became of a step.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// The order moved.
    Moved(Order),
    /// It was there already.
    AlreadyThere(Order),
    /// Its state does not take the event; nothing was written. A late success has opened a case.
    NotAllowed(Order),
    /// Another payment of the same bill is open; nothing was written.
    OpenPayment(OrderNo),
    /// The case that was decided, or the exception that was worked on, has been changed by somebody
    /// else; nothing was written.
    Overtaken,
    /// The merchant has changed since it was checked; nothing was written.
    Stale,
    /// The merchant's limit of the day has no room for it; nothing was written.
    DayIsFull,
}

impl Settled {
    /// The order as it stands after the step; none when another order is in the way.
    pub fn order(self) -> Option<Order> {
        match self {
            Settled::Moved(order) | Settled::AlreadyThere(order) | Settled::NotAllowed(order) => {
                Some(order)
            }
            Settled::OpenPayment(_) | Settled::Overtaken | Settled::Stale | Settled::DayIsFull => {
                None
            }
        }
    }
}

/// How often a lost race is looked at again. Each round somebody else has moved the order, and an
/// order has few moves in it.
const ROUNDS_MAX: u32 = 8;

impl Engine {
    /// Moves an order by what is known now. `known` are its flows as far as the event concludes
    /// them, as they were last read.
    pub(super) async fn settle(
        &self,
        order: Order,
        known: Vec<Flow>,
        step: Step,
    ) -> Result<Settled, EngineError> {
        let (mut order, mut flows) = (order, known);
        for _ in 0..ROUNDS_MAX {
            let refused = match next(order.state, step.event) {
                Ok(Transition::To(_)) if is_overtaken_by_reversal(&order, &flows, step.event) => {
                    self.keep_evidence(step.attempts).await?;
                    return Ok(Settled::NotAllowed(order));
                }
                Ok(Transition::AlreadyThere) => {
                    self.keep_evidence(step.attempts).await?;
                    return Ok(Settled::AlreadyThere(order));
                }
                Ok(Transition::To(to)) => {
                    let mut planned = self.plan(&order, &flows, to, &step).await?;
                    planned.admission = step.pass.as_ref().and_then(Pass::admission);
                    let planned = Arc::new(planned);
                    let moved = self.0.store.move_order(planned.clone()).await?;
                    if !matches!(moved, Moved::Denied(_)) {
                        step.pass.iter().for_each(Pass::used);
                    }
                    match moved {
                        Moved::Done => {
                            self.moved(&planned);
                            return Ok(Settled::Moved(planned.after.clone()));
                        }
                        Moved::OpenPayment { first } => return Ok(Settled::OpenPayment(first)),
                        Moved::Stale => return Ok(Settled::Stale),
                        Moved::DayIsFull => return Ok(Settled::DayIsFull),
                        Moved::Denied(why) => return Err(EngineError::NotLetIn(why)),
                        Moved::Lost => None,
                    }
                }
                Err(refused) => Some(refused),
            };
            if let Some(refused) = refused {
                if refused.late_success {
                    self.open_late_success(&order, &step).await?;
                }
                self.keep_evidence(step.attempts).await?;
                return Ok(Settled::NotAllowed(order));
            }
            let version = order.version;
            (order, flows) = self.read_again(&order.order_no).await?;
            if order.version == version && step.rests_on_more() {
                self.keep_evidence(step.attempts).await?;
                return Ok(Settled::Overtaken);
            }
        }
        Err(StoreError::GaveWay(format!("order {} moves all the time", order.order_no)).into())
    }

    /// Keeps the calls of a step that moved nothing: what was heard is evidence all the same.
    pub(super) async fn keep_evidence(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        self.0
            .store
            .solo(move |tx| tx.keep_attempts(&attempts))
            .await
    }

    async fn read_again(&self, order_no: &OrderNo) -> Result<(Order, Vec<Flow>), EngineError> {
        let number = order_no.clone();
        let found = self
            .0
            .store
            .read(move |c| {
                let order = orders::find(c, &number)?;
                Ok((order, flows::of_orders(c, std::slice::from_ref(&number))?))
            })
            .await?;
        match found {
            (Some(order), flows) => Ok((order, flows)),
            (None, _) => {
                Err(StoreError::Refused(format!("order {order_no} is not in the database")).into())
            }
        }
    }

    /// Writes out everything that the step changes.
    async fn plan(
        &self,
        order: &Order,
        flows: &[Flow],
        to: OrderState,
        step: &Step,
    ) -> Result<Move, EngineError> {
        let now = self.now().max(order.updated_at);
        let after = Order {
            state: to,
            reason: step.reason.clone(),
            updated_at: now,
            version: order.version + 1,
            ..order.clone()
        };
        let mut audits = vec![self.order_audit(order, &after, step)];
        let case = match &step.case {
            CaseMove::Keep if order.state == OrderState::Manual => {
                self.settled_case(order, step, now, &mut audits).await?
            }
            CaseMove::Keep => CaseMove::Keep,
            CaseMove::Open(case) => {
                audits.push(self.case_audit(now, &step.actor, case, "OPENED", None));
                CaseMove::Open(case.clone())
            }
            CaseMove::Replace(case) => {
                let before = Some(CaseState::Proposed);
                audits.push(self.case_audit(now, &step.actor, case, "APPROVED", before));
                CaseMove::Replace(case.clone())
            }
        };
        let exception = match &step.exception {
            ExceptionMove::Keep if to.is_terminal() && was_in_doubt(order.state) => {
                ExceptionMove::Close
            }
            other => other.clone(),
        };
        let notify = self.notification_of(&after);
        Ok(Move {
            conclude: flows
                .iter()
                .filter_map(|flow| conclude(flow, step, now))
                .collect(),
            before: order.clone(),
            after,
            start: step.start.clone(),
            permit: step.permit,
            attempts: step.attempts.clone(),
            exception,
            case,
            notify,
            audits,
            admission: None,
        })
    }

    /// The bank's own answer ends a manual order: its case is closed with it.
    async fn settled_case(
        &self,
        order: &Order,
        step: &Step,
        now: Instant,
        audits: &mut Vec<AuditEntry>,
    ) -> Result<CaseMove, EngineError> {
        let number = order.order_no.clone();
        let open = self
            .0
            .store
            .read(move |c| cases::open_of(c, &number, CaseKind::Doubt))
            .await?;
        let Some(case) = open else {
            return Ok(CaseMove::Keep);
        };
        let closed = Case {
            state: CaseState::Closed,
            closed_at: Some(now),
            resolution: Some(format!("settled by evidence: {}", step.event)),
            version: case.version + 1,
            ..case.clone()
        };
        audits.push(self.case_audit(now, &step.actor, &closed, "SETTLED", Some(case.state)));
        Ok(CaseMove::Replace(closed))
    }

    fn order_audit(&self, before: &Order, after: &Order, step: &Step) -> AuditEntry {
        let code = step
            .receipt
            .as_ref()
            .map(|receipt| format!("code {}", receipt.code));
        let flow = step
            .start
            .as_ref()
            .map(|flow| format!("flow {}", flow.flow_no));
        let words: Vec<String> = [step.reason.clone(), code, flow, step.evidence.clone()]
            .into_iter()
            .flatten()
            .collect();
        AuditEntry {
            subject: after.order_no.to_string(),
            before: Some(before.state.as_str().to_owned()),
            after: Some(after.state.as_str().to_owned()),
            detail: (!words.is_empty()).then(|| words.join("; ")),
            ..self.audit(after.updated_at, &step.actor, step.event.as_str())
        }
    }

    pub(super) fn case_audit(
        &self,
        at: Instant,
        actor: &Actor,
        case: &Case,
        action: &str,
        before: Option<CaseState>,
    ) -> AuditEntry {
        let proposal = case.proposal.as_ref();
        let detail = match (action, proposal) {
            ("PROPOSED" | "APPROVED", Some(proposal)) => {
                Some(format!("{}: {}", proposal.decision, proposal.evidence))
            }
            ("OPENED", _) => Some(format!("{}: {}", case.about(), case.cause)),
            _ => case.resolution.clone(),
        };
        AuditEntry {
            subject_kind: "CASE",
            subject: case.case_no.to_string(),
            before: before.map(|state| state.as_str().to_owned()),
            after: Some(case.state.as_str().to_owned()),
            detail,
            ..self.audit(at, actor, action)
        }
    }

    /// Counts and calls after the commit.
    fn moved(&self, step: &Move) {
        let state = step.after.state;
        if state.is_terminal() || state == OrderState::Manual {
            metrics::counter!("payhall_orders_total", "outcome" => state.as_str()).increment(1);
        }
        if let CaseMove::Open(case) = &step.case {
            self.0.alarms.raise(Alarm {
                level: AlarmLevel::Critical,
                kind: AlarmKind::CaseOpened,
                order_no: case.order_no.clone(),
                message: format!("case {} waits for a decision: {}", case.case_no, case.cause),
            });
        }
    }

    /// Success of an order that is at rest without being paid: the state stays, a case opens.
    async fn open_late_success(&self, order: &Order, step: &Step) -> Result<(), EngineError> {
        let now = self.now();
        let words = step.receipt.as_ref().map_or_else(String::new, |receipt| {
            let reference = receipt.upstream_ref.as_deref().unwrap_or("none");
            format!(", code {}, reference {reference}", receipt.code)
        });
        let listed = step.evidence.iter().map(|text| format!(", {text}"));
        let words = words + &listed.collect::<String>();
        let cause = format!(
            "the bank reports success of an order that is {}{words}",
            order.state
        );
        let case = self.new_case(order, CaseKind::LateSuccess, cause.clone());
        let audit = self.case_audit(now, &step.actor, &case, "OPENED", None);
        let opened = self
            .0
            .store
            .solo(move |tx| {
                let opened = tx.open_case(&case)?;
                if opened {
                    tx.audit(audit.clone())?;
                }
                Ok(opened)
            })
            .await?;
        if opened {
            self.0.alarms.raise(Alarm {
                level: AlarmLevel::Critical,
                kind: AlarmKind::LateSuccess,
                order_no: Some(order.order_no.clone()),
                message: cause,
            });
        }
        Ok(())
    }
}

/// Whether an answer about the payment says what was and not what is: a reversal has gone out since
/// and has no outcome, so the money may be back already. Such an answer can only come from a program
/// that was paused with it; people decide, or the reversal's own answer.
fn is_overtaken_by_reversal(order: &Order, flows: &[Flow], event: OrderEvent) -> bool {
    let is_about_payment = matches!(
        event,
        OrderEvent::PaymentSucceeded | OrderEvent::PaymentRefused | OrderEvent::PaymentNotFound
    );
    let is_open = |flow: &Flow| flow.kind == FlowKind::Reversal && flow.state == FlowState::Started;
    order.state == OrderState::Manual && is_about_payment && flows.iter().any(is_open)
}

/// Whether an order in this state may have an open exception: each comes with the move that leaves
/// these two.
fn was_in_doubt(state: OrderState) -> bool {
    !matches!(state, OrderState::Created | OrderState::Paying)
}

/// The flow's new values, where the event proves something about it. A payment may be corrected
/// (a reversal undoes a payment that had succeeded). A reversal is concluded once, but for one thing: where
/// people find that the money is with the biller all the same, what counted as its success moved nothing.
/// Without that, statements would take away what was never given back.
fn conclude(flow: &Flow, step: &Step, now: Instant) -> Option<Flow> {
    let state = match (flow.kind, flow.state) {
        (FlowKind::Reversal, FlowState::Succeeded) => moved_nothing(step.event)?,
        (FlowKind::Reversal, FlowState::Started) | (FlowKind::Payment, _) => {
            flow_after(step.event, flow.kind)?
        }
        (FlowKind::Reversal, _) => return None,
    };
    if flow.state == state {
        return None;
    }
    let about = match step.event {
        OrderEvent::ReversalSucceeded | OrderEvent::PaymentStands => FlowKind::Reversal,
        _ => FlowKind::Payment,
    };
    let receipt = step.receipt.as_ref().filter(|_| flow.kind == about);
    Some(Flow {
        state,
        code: receipt
            .map(|r| r.code.clone())
            .or_else(|| flow.code.clone()),
        upstream_ref: receipt
            .and_then(|r| r.upstream_ref.clone())
            .or_else(|| flow.upstream_ref.clone()),
        message: receipt
            .and_then(|r| r.message.clone())
            .or_else(|| flow.message.clone()),
        concluded_at: Some(now),
        version: flow.version + 1,
        ..flow.clone()
    })
}

/// What is left of a reversal that had succeeded when two people decide that the payment is paid, or has to be
/// undone (again).
fn moved_nothing(event: OrderEvent) -> Option<FlowState> {
    match event {
        OrderEvent::DecidedSucceeded | OrderEvent::ReversalOrdered => Some(FlowState::Failed),
        _ => None,
    }
}
