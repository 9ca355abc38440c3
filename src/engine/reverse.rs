//! 冲正: undoes a payment that asking does not settle. The bank was asked directly before; the
//! reversal is a flow of its own, committed before the first byte, and repeated with the same number
//! until a final answer.

use super::poll::{Doubtful, Polled};
use super::settle::{Settled, Step};
use super::{Actor, Engine, EngineError};
use crate::domain::exception::{Exception, Phase, Verdict, later};
use crate::domain::flow::{Attempt, Flow, FlowKind, FlowState, Operation};
use crate::domain::order::OrderEvent;
use crate::storage::{ExceptionMove, StoreError};
use crate::upstream::ReverseCall;
use uuid::Uuid;

impl Engine {
    /// Starts the reversal and sends it at once. `asked` carries the ask that came directly before.
    pub(super) async fn start_reversal(
        &self,
        doubtful: Doubtful,
        asked: Step,
        actor: &Actor,
    ) -> Result<Polled, EngineError> {
        let flow = self.reversal_flow(doubtful.payment()?, &doubtful.flows);
        let exception = Exception {
            phase: Phase::Reverse,
            reversal_flow_no: Some(flow.flow_no.clone()),
            phase_at: self.now(),
            next_at: self.now(),
            holder_lost: false,
            ..doubtful.exception.clone()
        };
        let step = Step {
            start: Some(flow.clone()),
            exception: ExceptionMove::Replace(exception.clone()),
            ..Step {
                event: OrderEvent::ReversalStarted,
                ..asked
            }
        };
        match self
            .settle(doubtful.order.clone(), doubtful.flows.clone(), step)
            .await?
        {
            Settled::Moved(order) => {
                let mut flows = doubtful.flows;
                flows.push(flow);
                let doubtful = Doubtful {
                    exception,
                    order,
                    flows,
                    ..doubtful
                };
                self.reverse(doubtful, Vec::new(), actor).await
            }
            other => Ok(Polled::after(&other)),
        }
    }

    /// Phase REVERSE. Before the first try that may reach the bank it is asked about the payment: the
    /// reversal may rest on a decision, or the program may have stopped since the ask before it.
    pub(super) async fn go_on_reversing(
        &self,
        doubtful: Doubtful,
        actor: &Actor,
    ) -> Result<Polled, EngineError> {
        if doubtful.exception.tries > 0 {
            return self.reverse(doubtful, Vec::new(), actor).await;
        }
        let (reply, asked) = self.query(&doubtful).await?;
        let rules = &doubtful.adapter.rules;
        let held = doubtful
            .exception
            .weigh_before_reversal(&reply, rules, self.now());
        match held {
            Some(progress) => {
                let exception = doubtful.exception.after(progress, reply.outcome());
                let mut step = Step::new(OrderEvent::PaymentUnknown, actor);
                step.attempts = asked;
                self.wait(doubtful, exception, step, progress).await
            }
            None => self.reverse(doubtful, asked, actor).await,
        }
    }

    /// The next reversal flow of a payment.
    pub(super) fn reversal_flow(&self, payment: &Flow, flows: &[Flow]) -> Flow {
        let now = self.now();
        let (business_date, flow_no) = self.0.numbers.flow(now);
        let reversals = flows.iter().filter(|flow| flow.kind == FlowKind::Reversal);
        let last = reversals.map(|flow| flow.step).max().unwrap_or(0);
        Flow {
            flow_no,
            kind: FlowKind::Reversal,
            step: last + 1,
            state: FlowState::Started,
            code: None,
            upstream_ref: None,
            message: None,
            business_date,
            started_at: now,
            concluded_at: None,
            version: 0,
            ..payment.clone()
        }
    }

    /// Sends the reversal once more. `asked` are the asks that went before it.
    async fn reverse(
        &self,
        doubtful: Doubtful,
        asked: Vec<Attempt>,
        actor: &Actor,
    ) -> Result<Polled, EngineError> {
        let payment = doubtful.payment()?;
        let reversal = doubtful.reversal()?;
        let asked_at = self.now();
        let call = ReverseCall {
            order_no: &doubtful.order.order_no,
            flow_no: &reversal.flow_no,
            payment_flow_no: &payment.flow_no,
            bill_no: &doubtful.order.bill_no,
            amount: payment.amount,
        };
        let reply = doubtful.adapter.payments.reverse(&call).await;
        self.cry_on_mismatch(&doubtful.order.order_no, &reply);
        let outcome = reply.outcome();
        let mut step = Step::new(OrderEvent::ReversalSucceeded, actor);
        let attempt = self.attempt(reversal, Operation::Reverse, &reply, asked_at, doubtful.run);
        step.attempts = asked;
        step.attempts.push(attempt);
        let rules = &doubtful.adapter.rules;
        match doubtful.exception.weigh_reversal(reply, rules, self.now()) {
            Verdict::Reversed(receipt) => {
                step.receipt = Some(receipt);
                if !rules.tombstones && rules.can_query {
                    step.exception = ExceptionMove::Open(self.watch_of(&doubtful));
                }
            }
            Verdict::Stands(receipt) => {
                step.event = OrderEvent::PaymentStands;
                step.receipt = Some(receipt);
            }
            Verdict::Wait(progress) => {
                let exception = doubtful.exception.after(progress, outcome);
                return self.wait(doubtful, exception, step, progress).await;
            }
            _ => {
                return Err(StoreError::Refused("a reversal was weighed as a query".into()).into());
            }
        }
        self.settle(doubtful.order, doubtful.flows, step).await?;
        Ok(Polled::Settled)
    }

    /// The exception that asks once more about an order that came to rest without a success.
    pub(super) fn watch_of(&self, doubtful: &Doubtful) -> Exception {
        let now = self.now();
        Exception {
            exception_id: Uuid::now_v7(),
            phase: Phase::Watch,
            polls: 0,
            unknowns: 0,
            not_found: 0,
            tries: 0,
            last_outcome: None,
            opened_at: now,
            phase_at: now,
            next_at: later(now, doubtful.adapter.rules.certainty_window),
            alarm: crate::domain::exception::AlarmLevel::None,
            escalated: false,
            lease_owner: None,
            lease_until: None,
            fence: 0,
            closed_at: None,
            holder_lost: false,
            ..doubtful.exception.clone()
        }
    }
}

impl Doubtful {
    /// The reversal flow of phase REVERSE.
    fn reversal(&self) -> Result<&Flow, StoreError> {
        let wanted = self.exception.reversal_flow_no.as_ref();
        self.flows
            .iter()
            .find(|flow| Some(&flow.flow_no) == wanted)
            .ok_or_else(|| StoreError::Corrupt {
                table: "exceptions",
                key: self.exception.exception_id.to_string(),
                why: "its reversal flow is missing".to_owned(),
            })
    }
}
