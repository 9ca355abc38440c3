//! Polls the open exceptions that are due: asks the bank, and settles what its answer settles.
//!
//! The poller takes no input. It looks at the database, leases what is due, and does the next thing
//! for each; a tick, a wake-up and a restart are one path. Any number of replicas may poll at once:
//! a lease with a fence keeps two of them off one exception, and a holder that was paused past its
//! lease cannot write back. No payment is ever sent from here.

use super::settle::{Settled, Step};
use super::{Actor, Engine, EngineError};
use crate::domain::exception::{Exception, Phase, Progress, Verdict, later};
use crate::domain::flow::{Attempt, Flow, FlowKind, Operation};
use crate::domain::order::{Order, OrderEvent};
use crate::domain::outcome::{Cause, Reply};
use crate::storage::exceptions::LeaseRequest;
use crate::storage::{AnyConnection, ExceptionMove, StoreError, Touch, Touched, flows, orders};
use crate::upstream::{Adapter, QueryCall};
use futures_util::StreamExt;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// What a run of the poller did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PollReport {
    /// Payments without an outcome that were taken over.
    pub orphans: u32,
    /// Exceptions that were worked on.
    pub asked: u32,
    /// Orders that came to rest.
    pub settled: u32,
    /// Exceptions that wait for their next time.
    pub waiting: u32,
    /// Exceptions that failed on our side and are tried again after the lease.
    pub failed: u32,
    /// Exceptions that called for help.
    pub alarms: u32,
}

/// What a run of the expiry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExpireReport {
    /// Orders that were closed.
    pub closed: u32,
    /// Orders that somebody else moved meanwhile.
    pub moved_meanwhile: u32,
}

/// How one exception ended in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    Settled,
    Waiting,
}

impl Polled {
    /// How it ended where a step was not an answer of the bank: whoever was overtaken, because its
    /// lease had lapsed, leaves the exception to the one who holds it now.
    pub(super) fn after(settled: &Settled) -> Self {
        match settled {
            Settled::Overtaken => Polled::Waiting,
            Settled::Moved(_)
            | Settled::AlreadyThere(_)
            | Settled::NotAllowed(_)
            | Settled::OpenPayment(_)
            | Settled::Stale
            | Settled::DayIsFull => Polled::Settled,
        }
    }
}

/// An exception with everything that belongs to it.
pub(super) struct Doubtful {
    pub exception: Exception,
    pub order: Order,
    pub flows: Vec<Flow>,
    pub adapter: Arc<Adapter>,
    pub run: Option<Uuid>,
}

/// How many orphans are taken over at once.
const ORPHAN_BATCH: i64 = 500;

impl Engine {
    /// Takes over what nobody works on, asks about everything that is due, and raises the alarms.
    /// `run` is the run of the job, kept with every call as evidence.
    pub async fn poll(&self, run: Option<Uuid>, actor: &Actor) -> Result<PollReport, EngineError> {
        let mut report = PollReport::default();
        while !self.0.stop.is_cancelled() {
            // Between the batches too: in a brown-out there is always more that is due.
            match self.adopt_orphans(actor).await {
                Ok(adopted) => report.orphans += adopted,
                Err(error) => {
                    tracing::error!(%error, "payments without an outcome could not be taken over");
                    report.failed += 1;
                }
            }
            report.alarms += self.raise_alarms().await?;
            let leased = self.lease_due().await?;
            if leased.is_empty() {
                break;
            }
            let work = self.load(leased, run).await?;
            let polled = futures_util::stream::iter(work)
                .map(|doubtful| self.poll_one(doubtful, actor))
                .buffer_unordered(self.0.options.poll_parallel.max(1));
            futures_util::pin_mut!(polled);
            while let Some(one) = polled.next().await {
                report.asked += 1;
                match one {
                    Ok(Polled::Settled) => report.settled += 1,
                    Ok(Polled::Waiting) => report.waiting += 1,
                    Err(error) => {
                        tracing::error!(%error, "an exception could not be worked on");
                        report.failed += 1;
                    }
                }
            }
        }
        Ok(report)
    }

    /// Payments that were started and have no outcome: whoever started them may be gone. On SQLite
    /// nobody else can be at work, so at start every one of them is an orphan.
    pub async fn adopt_orphans(&self, actor: &Actor) -> Result<u32, EngineError> {
        let before = self.now()
            - chrono::Duration::from_std(self.0.options.orphan_after).unwrap_or_default();
        self.adopt(before, actor).await
    }

    /// At start: takes over what an earlier run of the program left behind.
    pub async fn recover(&self) -> Result<u32, EngineError> {
        if self.0.store.is_sqlite() {
            self.adopt(self.now(), &Actor::system()).await
        } else {
            self.adopt_orphans(&Actor::system()).await
        }
    }

    async fn adopt(
        &self,
        before: crate::domain::time::Instant,
        actor: &Actor,
    ) -> Result<u32, EngineError> {
        let (mut adopted, mut last) = (0, None);
        loop {
            let after = last.take();
            let read = move |c: &mut AnyConnection| {
                let orphans = orders::orphans(c, before, after.as_ref(), ORPHAN_BATCH)?;
                let numbers: Vec<_> = orphans.iter().map(|order| order.order_no.clone()).collect();
                let flows = flows::of_orders(c, &numbers)?;
                Ok((orphans, flows))
            };
            let (orphans, flows) = self.0.store.read(read).await?;
            let Some(oldest_left) = orphans.last().cloned() else {
                return Ok(adopted);
            };
            last = Some(oldest_left);
            let adopting = futures_util::stream::iter(orphans)
                .map(|order| self.adopt_one(order, &flows, actor))
                .buffer_unordered(self.0.options.poll_parallel.max(1));
            futures_util::pin_mut!(adopting);
            while let Some(one) = adopting.next().await {
                match one {
                    Ok(is_adopted) => adopted += u32::from(is_adopted),
                    Err(error) => tracing::error!(%error, "an orphan could not be taken over"),
                }
            }
        }
    }

    /// Makes an orphan UNKNOWN, with an exception that is due at once; false when it has moved, or when
    /// nobody can be asked about it.
    async fn adopt_one(
        &self,
        order: Order,
        flows: &[Flow],
        actor: &Actor,
    ) -> Result<bool, EngineError> {
        let own = |flow: &&Flow| flow.order_no == order.order_no && flow.kind == FlowKind::Payment;
        let Some(flow) = flows.iter().find(own) else {
            tracing::error!(order_no = %order.order_no, "a paying order has no flow");
            return Ok(false);
        };
        let Some(adapter) = self.0.upstreams.get(&flow.adapter) else {
            tracing::error!(
                order_no = %order.order_no,
                adapter = %flow.adapter,
                "a payment without an outcome cannot be asked about: its adapter is not in the settings"
            );
            return Ok(false);
        };
        let mut exception = self.doubt(&order, flow, adapter);
        exception.next_at = exception.opened_at;
        let mut step = Step::new(OrderEvent::PaymentUnknown, actor);
        step.exception = ExceptionMove::Open(exception);
        let settled = self.settle(order, vec![flow.clone()], step).await?;
        Ok(matches!(settled, Settled::Moved(_)))
    }

    async fn lease_due(&self) -> Result<Vec<Exception>, EngineError> {
        let now = self.now();
        let request = LeaseRequest {
            owner: self.0.options.instance.clone(),
            now,
            until: later(now, self.0.options.lease),
            limit: i64::from(self.0.options.poll_batch),
        };
        Ok(self
            .0
            .store
            .solo(move |tx| tx.lease_exceptions(&request))
            .await?)
    }

    /// Loads the orders and flows of leased exceptions. Where a row cannot be read they are loaded one
    /// by one, so that it holds up its own order only.
    async fn load(
        &self,
        leased: Vec<Exception>,
        run: Option<Uuid>,
    ) -> Result<Vec<Doubtful>, EngineError> {
        match self.load_all(&leased, run).await {
            Err(EngineError::Store(StoreError::Corrupt { .. })) => {}
            loaded => return loaded,
        }
        let mut work = Vec::new();
        for exception in leased {
            match self.load_all(std::slice::from_ref(&exception), run).await {
                Ok(loaded) => work.extend(loaded),
                Err(error) => {
                    tracing::error!(order_no = %exception.order_no, %error, "an exception waits for a row that can be read");
                }
            }
        }
        Ok(work)
    }

    /// Loads the orders and flows of leased exceptions in two reads.
    async fn load_all(
        &self,
        leased: &[Exception],
        run: Option<Uuid>,
    ) -> Result<Vec<Doubtful>, EngineError> {
        let numbers: Vec<_> = leased.iter().map(|e| e.order_no.clone()).collect();
        let (found, flows) = self
            .0
            .store
            .read(move |c| {
                Ok((
                    orders::find_many(c, &numbers)?,
                    flows::of_orders(c, &numbers)?,
                ))
            })
            .await?;
        let mut orders: HashMap<_, _> = found
            .into_iter()
            .map(|order| (order.order_no.clone(), order))
            .collect();
        let mut by_order: HashMap<_, Vec<Flow>> = HashMap::new();
        for flow in flows {
            by_order
                .entry(flow.order_no.clone())
                .or_default()
                .push(flow);
        }
        let mut work = Vec::with_capacity(leased.len());
        for exception in leased {
            let flows = by_order.remove(&exception.order_no).unwrap_or_default();
            let payment = flows
                .iter()
                .find(|flow| flow.flow_no == exception.payment_flow_no);
            let adapter = payment
                .and_then(|flow| self.0.upstreams.get(&flow.adapter))
                .cloned();
            match (orders.remove(&exception.order_no), adapter) {
                (Some(order), Some(adapter)) => {
                    work.push(Doubtful {
                        exception: exception.clone(),
                        order,
                        flows,
                        adapter,
                        run,
                    });
                }
                _ => tracing::error!(
                    order_no = %exception.order_no,
                    "an exception has no order, no flow or no adapter in the settings"
                ),
            }
        }
        Ok(work)
    }

    async fn poll_one(&self, doubtful: Doubtful, actor: &Actor) -> Result<Polled, EngineError> {
        // Waiting for its turn it may have lost its lease; then somebody else may be at it.
        if doubtful.exception.lease_until <= Some(self.now()) {
            return Ok(Polled::Waiting);
        }
        match doubtful.exception.phase {
            Phase::Query => self.ask(doubtful, actor).await,
            Phase::Reverse => self.go_on_reversing(doubtful, actor).await,
            Phase::Watch => self.watch(doubtful, actor).await,
        }
    }

    /// Asks the bank about the payment of an exception. Where it cannot be asked there is no answer and
    /// no attempt.
    pub(super) async fn query(
        &self,
        doubtful: &Doubtful,
    ) -> Result<(Reply, Vec<Attempt>), EngineError> {
        let payment = doubtful.payment()?;
        let asked_at = self.now();
        if !doubtful.adapter.rules.can_query {
            let cause = Cause::Malformed("this adapter cannot be asked".to_owned());
            return Ok((Reply::Unknown(cause), Vec::new()));
        }
        let call = QueryCall {
            flow_no: &payment.flow_no,
            bill_no: &doubtful.order.bill_no,
            amount: payment.amount,
        };
        let reply = doubtful.adapter.payments.query(&call).await;
        self.cry_on_mismatch(&doubtful.order.order_no, &reply);
        let attempt = self.attempt(payment, Operation::Query, &reply, asked_at, doubtful.run);
        Ok((reply, vec![attempt]))
    }

    /// Phase QUERY.
    async fn ask(&self, doubtful: Doubtful, actor: &Actor) -> Result<Polled, EngineError> {
        let (reply, attempts) = self.query(&doubtful).await?;
        let outcome = reply.outcome();
        let rules = &doubtful.adapter.rules;
        let mut step = Step::new(OrderEvent::PaymentSucceeded, actor);
        step.attempts = attempts;
        match doubtful.exception.weigh_query(reply, rules, self.now()) {
            Verdict::Succeeded(receipt) => step.receipt = Some(receipt),
            Verdict::Refused { reason, receipt } => {
                step.event = OrderEvent::PaymentRefused;
                step.reason = Some(reason);
                step.receipt = Some(receipt);
            }
            Verdict::NotFound => {
                step.event = OrderEvent::PaymentNotFound;
                step.reason = Some("NOT_FOUND".to_owned());
                step.exception = ExceptionMove::Open(self.watch_of(&doubtful));
            }
            Verdict::Reverse => return self.start_reversal(doubtful, step, actor).await,
            Verdict::Wait(progress) => {
                let exception = doubtful.exception.after(progress, outcome);
                return self.wait(doubtful, exception, step, progress).await;
            }
            Verdict::Reversed(_) | Verdict::Stands(_) | Verdict::Quiet => {
                return Err(StoreError::Refused("a query was weighed as a reversal".into()).into());
            }
        }
        self.settle(doubtful.order, doubtful.flows, step).await?;
        Ok(Polled::Settled)
    }

    /// Phase WATCH.
    async fn watch(&self, doubtful: Doubtful, actor: &Actor) -> Result<Polled, EngineError> {
        let (reply, attempts) = self.query(&doubtful).await?;
        let outcome = reply.outcome();
        let mut step = Step::new(OrderEvent::PaymentSucceeded, actor);
        let mut exception = doubtful.exception.clone();
        match doubtful
            .exception
            .weigh_watch(reply, &doubtful.adapter.rules, self.now())
        {
            Verdict::Succeeded(receipt) => {
                step.receipt = Some(receipt);
                self.settle(doubtful.order.clone(), doubtful.flows.clone(), step)
                    .await?;
                exception.closed_at = Some(self.now());
            }
            Verdict::Wait(progress) => exception = exception.after(progress, outcome),
            _ => exception.closed_at = Some(self.now()),
        }
        let closed = exception.closed_at.is_some();
        self.write_back(exception, attempts).await?;
        Ok(if closed {
            Polled::Settled
        } else {
            Polled::Waiting
        })
    }

    /// Not settled: writes the counts back, or calls a person where the ladder is used up.
    pub(super) async fn wait(
        &self,
        doubtful: Doubtful,
        exception: Exception,
        step: Step,
        progress: Progress,
    ) -> Result<Polled, EngineError> {
        if progress.escalate {
            return self.escalate(doubtful, exception, step, progress).await;
        }
        self.write_back(exception, step.attempts).await?;
        Ok(Polled::Waiting)
    }

    async fn write_back(
        &self,
        exception: Exception,
        attempts: Vec<Attempt>,
    ) -> Result<(), EngineError> {
        let order_no = exception.order_no.clone();
        let touched = self
            .0
            .store
            .touch(Touch {
                exception,
                attempts,
            })
            .await?;
        if touched == Touched::Fenced {
            tracing::warn!(%order_no, "a lease was lost meanwhile; the counts stay as they are");
        }
        Ok(())
    }
}

impl Doubtful {
    /// The payment flow.
    pub(super) fn payment(&self) -> Result<&Flow, StoreError> {
        let wanted = &self.exception.payment_flow_no;
        self.flows
            .iter()
            .find(|flow| flow.flow_no == *wanted)
            .ok_or_else(|| StoreError::Corrupt {
                table: "exceptions",
                key: self.exception.exception_id.to_string(),
                why: format!("its payment flow {wanted} is missing"),
            })
    }
}
