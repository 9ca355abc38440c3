//! Confirms an order: everything is checked again, the payment flow is committed, then the bank is
//! called, in a detached task. A caller that hangs up cancels nothing; one that waits is answered
//! within the time that the settings promise, with the order as it then stands.

use super::create::{Allowance, ROUNDS_MAX, check_amount, check_bill_no};
use super::settle::{Settled, Step};
use super::{Actor, Alarm, AlarmKind, Engine, EngineError, Pass, Scope};
use crate::domain::bill::Bill;
use crate::domain::exception::{AlarmLevel, Exception, Phase, later};
use crate::domain::flow::{Attempt, Flow, FlowKind, FlowState, Operation};
use crate::domain::ids::{BillNo, OrderNo};
use crate::domain::item::{Item, ItemMode};
use crate::domain::merchant::Merchant;
use crate::domain::order::{Order, OrderEvent, OrderState, next};
use crate::domain::outcome::Reply;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::storage::{DayLimit, ExceptionMove, Permit, StoreError};
use crate::upstream::{Adapter, PayCall, QueryCall};
use backon::{ExponentialBuilder, Retryable};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// What a customer confirms.
#[derive(Debug)]
pub struct ConfirmInput {
    /// Which order.
    pub order_no: OrderNo,
    /// The password or token that the bank checks: passed on, never stored, never logged.
    pub credential: Option<SecretString>,
    /// What lets a signed request in together with its payment; none for what was let in before.
    pub pass: Option<Pass>,
}

/// The answer to a confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The order as it stands.
    pub order: Order,
    /// Where the outcome is not known yet: ask again after this time.
    pub ask_again_after: Option<Duration>,
}

/// How long a caller should wait before it asks about an order that is not settled.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Confirms an order and pays it. Confirming it again is harmless: it answers with the order as
    /// it stands.
    ///
    /// # Errors
    /// A refusal when the order is not the caller's, is closed or expired, when the bill has changed,
    /// or when another payment of the bill is open; a fault when storage fails.
    pub async fn confirm(
        &self,
        input: ConfirmInput,
        scope: &Scope,
        actor: &Actor,
    ) -> Result<Confirmed, EngineError> {
        let answer_at = later(self.now(), self.0.options.answer_within);
        for _ in 0..ROUNDS_MAX {
            match self.confirm_once(&input, scope, actor, answer_at).await? {
                Some(confirmed) => return Ok(confirmed),
                None => drop(self.refresh_catalogue().await?),
            }
        }
        Err(StoreError::GaveWay(format!(
            "the merchant of order {} changes all the time",
            input.order_no
        ))
        .into())
    }

    /// None where the order's merchant has changed since it was checked, and nothing was written.
    async fn confirm_once(
        &self,
        input: &ConfirmInput,
        scope: &Scope,
        actor: &Actor,
        answer_at: Instant,
    ) -> Result<Option<Confirmed>, EngineError> {
        let order = self.order_stored(&input.order_no, scope).await?;
        let order = order.ok_or_else(|| not_found(&input.order_no))?;
        if next(order.state, OrderEvent::Confirmed).is_err() {
            return standing(order).map(Some);
        }
        if self.now() >= order.expires_at {
            return self.expire_now(order, actor).await.map(Some);
        }
        let (item, adapter, allowance) = self.check_again(&order, answer_at).await?;
        let flow = self.payment_flow(&order, &item);
        let payment = Payment {
            permit: permit(&allowance, &flow),
            order,
            flow,
            adapter,
            credential: input.credential.clone(),
            pass: input.pass.clone(),
        };
        let as_read = payment.order.clone();
        let (began, ended) = self.pay_detached(payment, actor.clone());
        // The wait for our own database is a real one, whatever clock the engine was given. The task goes
        // on; a caller that was kept waiting asks again.
        let Ok(began) = tokio::time::timeout(self.0.options.answer_within, began).await else {
            return standing(as_read).map(Some);
        };
        // No answer means that the task is gone, with the program.
        let began = began.map_err(|_| StoreError::Closed)??;
        let started = match began {
            Settled::Moved(order) => order,
            Settled::AlreadyThere(order) | Settled::NotAllowed(order) => {
                return standing(order).map(Some);
            }
            Settled::OpenPayment(first) => {
                let is_seen = self.order_stored(&first, scope).await?.is_some();
                return Err(in_progress(&input.order_no, Some(first).filter(|_| is_seen)).into());
            }
            Settled::Stale => return Ok(None),
            Settled::DayIsFull => {
                let limits = allowance.limits;
                return Err(limits
                    .day_is_full(limits.day_minor.unwrap_or_default())
                    .into());
            }
            Settled::Overtaken => return Err(not_found(&input.order_no).into()),
        };
        let left = (answer_at - self.now()).to_std().unwrap_or_default();
        let order = tokio::select! {
            order = ended => order.ok().flatten().unwrap_or(started),
            () = self.0.clock.sleep(left) => started,
        };
        standing(order).map(Some)
    }

    /// Checks everything again that can have changed since the order was made.
    async fn check_again(
        &self,
        order: &Order,
        answer_at: Instant,
    ) -> Result<(Item, Arc<Adapter>, Allowance), EngineError> {
        self.check_merchant(&order.merchant, Merchant::check_state)
            .await?;
        let item = self.payable_item(&self.catalogue(), &order.item)?.clone();
        let allows = |merchant: &Merchant| merchant.check_order(&item, order.amount);
        let allowance = self.check_merchant(&order.merchant, allows).await?;
        let adapter = self.adapter_of(&item)?;
        check_bill_no(&item, &order.bill_no)?;
        match item.mode {
            ItemMode::Direct => check_amount(&item, order.amount, None)?,
            ItemMode::Lookup if adapter.lookup_binds && order.bill_ref.is_some() => {}
            ItemMode::Lookup => {
                let bill = self.bill_in_time(&item, &order.bill_no, answer_at).await?;
                check_amount(&item, order.amount, Some(bill.due)).map_err(|refusal| {
                    let message = format!("the bill has changed: {}", refusal.message);
                    Refusal::new(RefusalCode::BillChanged, message).on("orderNo")
                })?;
            }
        }
        Ok((item, adapter, allowance))
    }

    /// The bill from the biller, or a refusal when the caller has to be answered before that. Nothing
    /// was sent by then, so the same confirm may simply come again.
    async fn bill_in_time(
        &self,
        item: &Item,
        bill_no: &BillNo,
        answer_at: Instant,
    ) -> Result<Bill, EngineError> {
        let left = (answer_at - self.now()).to_std().unwrap_or_default();
        tokio::select! {
            biased;
            bill = self.fresh_bill_of(item, bill_no) => bill,
            () = self.0.clock.sleep(left) => {
                let message = format!("the biller did not say in time whether {bill_no} is open");
                Err(Refusal::new(RefusalCode::BillUnavailable, message)
                    .on("orderNo")
                    .later()
                    .into())
            }
        }
    }

    fn payment_flow(&self, order: &Order, item: &Item) -> Flow {
        let now = self.now();
        let (business_date, flow_no) = self.0.numbers.flow(now);
        Flow {
            flow_no,
            order_no: order.order_no.clone(),
            kind: FlowKind::Payment,
            step: 1,
            adapter: item.adapter.clone(),
            amount: order.amount,
            state: FlowState::Started,
            code: None,
            upstream_ref: None,
            message: None,
            business_date,
            started_at: now,
            concluded_at: None,
            version: 0,
        }
    }

    /// Starts the payment and pays, in a task of its own: a caller who hangs up at any moment cancels
    /// nothing, not even between the commit and the call. Tells first how it began, then how it ended.
    fn pay_detached(&self, payment: Payment, actor: Actor) -> (Began, Ended) {
        let (begin, began) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let mut step = Step::new(OrderEvent::Confirmed, &actor);
            step.start = Some(payment.flow.clone());
            step.permit = Some(payment.permit);
            step.pass = payment.pass.clone();
            let settled = engine.settle(payment.order.clone(), Vec::new(), step).await;
            let started = match &settled {
                Ok(Settled::Moved(order)) => Some(order.clone()),
                _ => None,
            };
            // A caller that is gone is told nothing; what it began goes on.
            let _ = begin.send(settled);
            if let Some(order) = started {
                let payment = Payment { order, ..payment };
                let _ = end.send(engine.pay(payment, &actor).await);
            }
        });
        (began, ended)
    }

    /// The call and its tries, then the outcome. None when the outcome could not be written down:
    /// then the poller will find a started flow without one.
    async fn pay(&self, payment: Payment, actor: &Actor) -> Option<Order> {
        let known = self.try_to_pay(&payment).await;
        let mut step = Step::new(OrderEvent::PaymentUnknown, actor);
        step.attempts = known.attempts;
        match known.reply {
            Reply::Succeeded(receipt) => {
                step.event = OrderEvent::PaymentSucceeded;
                step.receipt = Some(receipt);
            }
            Reply::Refused { reason, receipt } => {
                step.event = OrderEvent::PaymentRefused;
                step.reason = Some(reason);
                step.receipt = Some(receipt);
            }
            Reply::NotSent(_) if !known.was_sent => {
                step.event = OrderEvent::PaymentNotSent;
                step.reason = Some("NOT_SENT".to_owned());
            }
            _ => {
                let exception = self.doubt(&payment.order, &payment.flow, &payment.adapter);
                step.exception = ExceptionMove::Open(exception);
            }
        }
        let order_no = payment.order.order_no.clone();
        let settle = || {
            self.settle(
                payment.order.clone(),
                vec![payment.flow.clone()],
                step.clone(),
            )
        };
        let repeats = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100));
        match settle.retry(repeats.with_max_times(4)).await {
            Ok(settled) => {
                if let (Settled::NotAllowed(_), Some(attempt)) = (&settled, known.conclusion) {
                    self.keep_late_answer(&order_no, attempt).await;
                }
                settled.order()
            }
            Err(error) => {
                tracing::error!(%order_no, %error, "an outcome was not written; the poller takes over");
                None
            }
        }
    }

    /// An answer that came when it could not settle the order any more is evidence for people.
    async fn keep_late_answer(&self, order_no: &OrderNo, attempt: Attempt) {
        let outcome = attempt.outcome;
        tracing::warn!(%order_no, %outcome, "the bank answered when others had gone on");
        if let Err(error) = self.keep_evidence(vec![attempt]).await {
            tracing::error!(%order_no, %error, "a late answer was not written");
        }
    }

    /// The exception that opens with an unknown payment.
    pub(super) fn doubt(&self, order: &Order, flow: &Flow, adapter: &Adapter) -> Exception {
        let now = self.now();
        Exception {
            exception_id: Uuid::now_v7(),
            order_no: order.order_no.clone(),
            payment_flow_no: flow.flow_no.clone(),
            reversal_flow_no: None,
            phase: Phase::Query,
            polls: 0,
            unknowns: 0,
            not_found: 0,
            tries: 0,
            last_outcome: None,
            payment_started_at: flow.started_at,
            opened_at: now,
            phase_at: now,
            next_at: later(now, adapter.rules.ladder.wait_after(0)),
            alarm: AlarmLevel::None,
            escalated: false,
            lease_owner: None,
            lease_until: None,
            fence: 0,
            closed_at: None,
            holder_lost: false,
        }
    }

    /// The call, then queries after the waits of the settings. The payment goes out again, with the
    /// same number, only if nothing was sent, or if the bank does not know it and is idempotent.
    async fn try_to_pay(&self, payment: &Payment) -> Tried {
        let adapter = &payment.adapter;
        let mut tried = Tried {
            reply: Reply::NotFound,
            was_sent: false,
            attempts: Vec::new(),
            conclusion: None,
        };
        let mut waits = adapter.tries.iter();
        let mut operation = Operation::Pay;
        loop {
            let asked_at = self.now();
            let reply = match operation {
                Operation::Query => adapter.payments.query(&payment.query_call()).await,
                Operation::Pay | Operation::Reverse => self.send(payment).await,
            };
            tried.was_sent |= operation == Operation::Pay && !matches!(reply, Reply::NotSent(_));
            tried.reply = reply;
            let attempt = self.attempt(&payment.flow, operation, &tried.reply, asked_at, None);
            if matches!(tried.reply, Reply::Succeeded(_) | Reply::Refused { .. }) {
                tried.conclusion = Some(attempt);
                return tried;
            }
            self.cry_on_mismatch(&payment.order.order_no, &tried.reply);
            tried.attempts.push(attempt);
            let may_send =
                !tried.was_sent || (adapter.idempotent && matches!(tried.reply, Reply::NotFound));
            operation = if may_send {
                Operation::Pay
            } else {
                Operation::Query
            };
            if operation == Operation::Query && !adapter.rules.can_query {
                return tried;
            }
            match waits.next() {
                Some(wait) => self.0.clock.sleep(*wait).await,
                None => return tried,
            }
        }
    }

    /// Sends the payment, if it is not too late to: a process that was stopped between its commit
    /// and its call must not pay when others have long settled the order.
    async fn send(&self, payment: &Payment) -> Reply {
        let valid_until = later(payment.flow.started_at, payment.adapter.send_within);
        if self.now() >= valid_until {
            return Reply::NotSent("the time in which the payment may be sent is over".to_owned());
        }
        let (order, flow) = (&payment.order, &payment.flow);
        let call = PayCall {
            order_no: &order.order_no,
            flow_no: &flow.flow_no,
            item: &order.item,
            biller: &order.biller,
            bill_no: &order.bill_no,
            bill_ref: order.bill_ref.as_deref(),
            amount: flow.amount,
            credential: payment.credential.as_ref(),
            valid_until,
        };
        payment.adapter.payments.pay(&call).await
    }

    /// A call that is kept as evidence.
    pub(super) fn attempt(
        &self,
        flow: &Flow,
        operation: Operation,
        reply: &Reply,
        asked_at: Instant,
        job_run: Option<Uuid>,
    ) -> Attempt {
        Attempt {
            attempt_id: Uuid::now_v7(),
            flow_no: flow.flow_no.clone(),
            order_no: flow.order_no.clone(),
            operation,
            outcome: reply.outcome(),
            code: reply.code(),
            cause: reply.cause(),
            asked_at,
            answered_at: self.now(),
            job_run,
        }
    }

    /// An answer about something else is a reason to call for help at once.
    pub(super) fn cry_on_mismatch(&self, order_no: &OrderNo, reply: &Reply) {
        if let Reply::Unknown(cause) = reply
            && reply.is_mismatch()
        {
            self.0.alarms.raise(Alarm {
                level: AlarmLevel::Critical,
                kind: AlarmKind::Mismatch,
                order_no: Some(order_no.clone()),
                message: cause.to_string(),
            });
        }
    }
}

/// How a payment began: whether its flow was committed.
type Began = oneshot::Receiver<Result<Settled, EngineError>>;

/// How a payment ended; none when the outcome could not be written down.
type Ended = oneshot::Receiver<Option<Order>>;

/// A payment on its way.
struct Payment {
    order: Order,
    flow: Flow,
    permit: Permit,
    adapter: Arc<Adapter>,
    credential: Option<SecretString>,
    pass: Option<Pass>,
}

impl Payment {
    fn query_call(&self) -> QueryCall<'_> {
        QueryCall {
            flow_no: &self.flow.flow_no,
            bill_no: &self.order.bill_no,
            amount: self.flow.amount,
        }
    }
}

/// What the merchant allows of a payment that starts with this flow.
fn permit(allowance: &Allowance, flow: &Flow) -> Permit {
    let limit = |most_minor| DayLimit {
        date: flow.business_date,
        most_minor,
    };
    Permit {
        merchant_version: allowance.version,
        day: allowance.limits.day_minor.map(limit),
    }
}

/// What the tries brought.
struct Tried {
    reply: Reply,
    was_sent: bool,
    /// The calls that concluded nothing.
    attempts: Vec<Attempt>,
    /// The call that did; kept only where it came too late.
    conclusion: Option<Attempt>,
}

/// The order as it stands, as an answer to a confirm.
fn standing(order: Order) -> Result<Confirmed, EngineError> {
    if order.state == OrderState::Closed {
        let message = format!("order {} is closed and cannot be paid", order.order_no);
        return Err(Refusal::new(RefusalCode::OrderClosed, message)
            .on("orderNo")
            .into());
    }
    let ask_again_after = (!order.state.is_terminal()).then_some(ASK_AGAIN);
    Ok(Confirmed {
        order,
        ask_again_after,
    })
}

/// The refusal of a second payment of a bill. The first one is named to whom it belongs: that another
/// merchant is paying is said, which of its orders does it is not.
fn in_progress(order_no: &OrderNo, first: Option<OrderNo>) -> Refusal {
    let refusal = |why: String| {
        let message = format!("order {order_no} was not paid: {why}");
        Refusal::new(RefusalCode::PaymentInProgress, message).on("orderNo")
    };
    match first {
        Some(first) => refusal(format!(
            "order {first} is paying the same bill; ask about that one"
        ))
        .see(first),
        None => refusal(
            "the same bill is being paid elsewhere; look the bill up later, and confirm again if it \
             is still due"
                .to_owned(),
        )
        .later(),
    }
}

pub(super) fn not_found(order_no: &OrderNo) -> Refusal {
    Refusal::new(
        RefusalCode::OrderNotFound,
        format!("there is no order {order_no}"),
    )
    .on("orderNo")
}

impl Engine {
    /// Closes an order that nobody confirmed in time, and refuses whoever confirms it now. One that
    /// another caller confirmed meanwhile is answered as it stands: nobody is told to make a new
    /// order while this one pays.
    async fn expire_now(&self, order: Order, actor: &Actor) -> Result<Confirmed, EngineError> {
        let message = format!(
            "order {} was to be confirmed by {}; make a new one",
            order.order_no,
            order.expires_at.to_rfc3339()
        );
        let mut step = Step::new(OrderEvent::Expired, actor);
        step.reason = Some("EXPIRED".to_owned());
        match self.settle(order, Vec::new(), step).await? {
            Settled::NotAllowed(order) => standing(order),
            Settled::Moved(_)
            | Settled::AlreadyThere(_)
            | Settled::OpenPayment(_)
            | Settled::Overtaken
            | Settled::Stale
            | Settled::DayIsFull => Err(Refusal::new(RefusalCode::OrderExpired, message)
                .on("orderNo")
                .into()),
        }
    }
}
