//! 订单: the order and its state machine, the heart of the house.
//!
//! `next` is the only table of transitions: what is not in it does not exist. The engine never
//! matches on a state to decide what to do; it hands an event in and writes what comes out.
//! Recovery after a crash goes through the same function. Three outcomes, never mixed up: the order
//! moves, it had already moved (so a repeated message is harmless), or the event is not allowed.
//!
//! How one could break this: by adding an arrow out of a terminal state without a decided case, or
//! an arrow that time alone can take from a state in which money may have moved.

use super::flow::{FlowKind, FlowState};
use super::ids::{BillNo, BillerCode, ItemCode, MerchantCode, OrderNo, RequestNo};
use super::money::Money;
use super::named_enum;
use super::time::{BusinessDate, Instant};
use serde::{Deserialize, Serialize};

named_enum! {
    /// 订单状态.
    pub enum OrderState {
        /// Made, not confirmed: nothing was sent.
        Created = "CREATED",
        /// The payment flow is committed; the call is on its way.
        Paying = "PAYING",
        /// The bank may or may not have paid; an exception is open.
        Unknown = "UNKNOWN",
        /// Paid.
        Succeeded = "SUCCEEDED",
        /// Known not to be paid.
        Failed = "FAILED",
        /// 冲正 is on its way.
        Reversing = "REVERSING",
        /// Undone.
        Reversed = "REVERSED",
        /// A person has to find out.
        Manual = "MANUAL",
        /// Never sent: expired or cancelled.
        Closed = "CLOSED",
    }
}

impl OrderState {
    /// States that an order rests in for good.
    pub const TERMINAL: [OrderState; 4] = [
        OrderState::Succeeded,
        OrderState::Failed,
        OrderState::Reversed,
        OrderState::Closed,
    ];

    /// States in which a payment is open: a second one for the same bill is refused.
    pub const OPEN_PAYMENT: [OrderState; 4] = [
        OrderState::Paying,
        OrderState::Unknown,
        OrderState::Reversing,
        OrderState::Manual,
    ];

    /// Whether the order rests here for good.
    pub fn is_terminal(self) -> bool {
        Self::TERMINAL.contains(&self)
    }

    /// Whether a payment of it may still move money.
    pub fn is_open_payment(self) -> bool {
        Self::OPEN_PAYMENT.contains(&self)
    }
}

named_enum! {
    /// What can happen to an order.
    pub enum OrderEvent {
        /// The customer confirmed; the payment flow starts.
        Confirmed = "CONFIRMED",
        /// The customer cancelled before paying.
        Cancelled = "CANCELLED",
        /// Nobody confirmed in time.
        Expired = "EXPIRED",
        /// The bank paid.
        PaymentSucceeded = "PAYMENT_SUCCEEDED",
        /// The bank refused for a known reason.
        PaymentRefused = "PAYMENT_REFUSED",
        /// Not one byte of the payment was ever sent.
        PaymentNotSent = "PAYMENT_NOT_SENT",
        /// The tries are used up without an answer.
        PaymentUnknown = "PAYMENT_UNKNOWN",
        /// The bank does not know the payment, past the certainty window.
        PaymentNotFound = "PAYMENT_NOT_FOUND",
        /// Asking does not settle it: a reversal flow starts.
        ReversalStarted = "REVERSAL_STARTED",
        /// The bank undid the payment.
        ReversalSucceeded = "REVERSAL_SUCCEEDED",
        /// The bank refuses to undo it because the payment stands.
        PaymentStands = "PAYMENT_STANDS",
        /// Neither polling nor reversal brought an answer.
        LadderUsedUp = "LADDER_USED_UP",
        /// Two people found: it was paid.
        DecidedSucceeded = "DECIDED_SUCCEEDED",
        /// Two people found: it was not paid.
        DecidedFailed = "DECIDED_FAILED",
        /// Two people found: it was undone.
        DecidedReversed = "DECIDED_REVERSED",
        /// Two people ordered the payment to be undone.
        ReversalOrdered = "REVERSAL_ORDERED",
    }
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The order moves to this state.
    To(OrderState),
    /// The order is already where the event leads; nothing is to be written.
    AlreadyThere,
}

/// An event that the order's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {state} does not take {event}")]
pub struct NotAllowed {
    /// Where the order stands.
    pub state: OrderState,
    /// What was to happen.
    pub event: OrderEvent,
    /// The far side says "paid" about an order that is terminal without being paid: a case opens by
    /// itself, the state stays.
    pub late_success: bool,
}

/// The state machine.
pub fn next(state: OrderState, event: OrderEvent) -> Result<Transition, NotAllowed> {
    use OrderEvent as E;
    use OrderState as S;
    let to = match (state, event) {
        (S::Created, E::Confirmed) => S::Paying,
        (S::Created, E::Cancelled | E::Expired) => S::Closed,

        (S::Paying, E::PaymentSucceeded) => S::Succeeded,
        (S::Paying, E::PaymentRefused | E::PaymentNotSent) => S::Failed,
        (S::Paying, E::PaymentUnknown) => S::Unknown,

        (S::Unknown, E::PaymentSucceeded) => S::Succeeded,
        (S::Unknown, E::PaymentRefused | E::PaymentNotFound) => S::Failed,
        (S::Unknown, E::ReversalStarted) => S::Reversing,
        (S::Unknown, E::LadderUsedUp) => S::Manual,

        (S::Reversing, E::ReversalSucceeded) => S::Reversed,
        (S::Reversing, E::PaymentStands) => S::Succeeded,
        (S::Reversing, E::LadderUsedUp) => S::Manual,

        // An answer of the bank ends a manual order as well: law 1 puts evidence above people.
        (S::Manual, E::PaymentSucceeded | E::DecidedSucceeded) => S::Succeeded,
        (S::Manual, E::PaymentRefused | E::PaymentNotFound | E::DecidedFailed) => S::Failed,
        (S::Manual, E::DecidedReversed) => S::Reversed,
        (S::Manual, E::ReversalOrdered) => S::Reversing,

        // Out of a terminal state leads only a decided case.
        (S::Succeeded | S::Failed | S::Reversed, E::ReversalOrdered) => S::Reversing,
        (S::Failed | S::Reversed, E::DecidedSucceeded) => S::Succeeded,

        (S::Succeeded, E::PaymentSucceeded | E::PaymentStands | E::DecidedSucceeded)
        | (S::Failed, E::PaymentRefused | E::PaymentNotFound | E::PaymentNotSent)
        | (S::Failed, E::DecidedFailed)
        | (S::Unknown, E::PaymentUnknown)
        | (S::Reversing, E::ReversalStarted | E::ReversalOrdered)
        | (S::Reversed, E::ReversalSucceeded | E::DecidedReversed)
        | (S::Manual, E::LadderUsedUp)
        | (S::Closed, E::Cancelled | E::Expired) => return Ok(Transition::AlreadyThere),

        (state, event) => {
            let late_success = matches!(event, E::PaymentSucceeded | E::PaymentStands)
                && matches!(state, S::Failed | S::Reversed | S::Closed);
            return Err(NotAllowed {
                state,
                event,
                late_success,
            });
        }
    };
    Ok(Transition::To(to))
}

/// What an event proves about an open flow of a kind; none where it proves nothing about it.
pub fn flow_after(event: OrderEvent, kind: FlowKind) -> Option<FlowState> {
    use FlowKind::{Payment, Reversal};
    use OrderEvent as E;
    match (event, kind) {
        (E::PaymentSucceeded | E::DecidedSucceeded | E::PaymentStands, Payment) => {
            Some(FlowState::Succeeded)
        }
        (
            E::PaymentRefused | E::PaymentNotSent | E::PaymentNotFound | E::DecidedFailed,
            Payment,
        ) => Some(FlowState::Failed),
        (E::ReversalSucceeded | E::DecidedReversed, Payment) => Some(FlowState::Reversed),
        (E::ReversalSucceeded | E::DecidedReversed, Reversal) => Some(FlowState::Succeeded),
        (E::PaymentStands | E::DecidedSucceeded | E::DecidedFailed, Reversal) => {
            Some(FlowState::Failed)
        }
        (
            E::Confirmed
            | E::Cancelled
            | E::Expired
            | E::PaymentUnknown
            | E::ReversalStarted
            | E::ReversalOrdered
            | E::LadderUsedUp,
            _,
        )
        | (
            E::PaymentSucceeded | E::PaymentRefused | E::PaymentNotSent | E::PaymentNotFound,
            Reversal,
        ) => None,
    }
}

/// An order: one bill to be paid once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub order_no: OrderNo,
    /// Who made it.
    pub merchant: MerchantCode,
    /// The merchant's own number of the request.
    pub request_no: RequestNo,
    /// SHA-256 (hex) of the content, so that the same number with other content is told apart.
    pub fingerprint: String,
    /// What is paid.
    pub item: ItemCode,
    /// Who is paid.
    pub biller: BillerCode,
    /// Which bill.
    pub bill_no: BillNo,
    /// The biller's reference that binds the amount, where the lookup gave one.
    pub bill_ref: Option<String>,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: OrderState,
    /// Why it failed or was closed: a named reason.
    pub reason: Option<String>,
    /// The business date on which it was made.
    pub business_date: BusinessDate,
    /// When it closes by itself if nobody confirms.
    pub expires_at: Instant,
    /// When it was made.
    pub created_at: Instant,
    /// When it last moved.
    pub updated_at: Instant,
    /// Counts the moves; compare-and-set and the cache's fence go by it.
    pub version: i32,
}

/// The content that makes two requests the same, hashed.
pub fn fingerprint(item: &ItemCode, bill_no: &BillNo, amount: Money) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    let minor = amount.amount_minor.to_string();
    for field in [
        item.as_str(),
        bill_no.as_str(),
        &minor,
        amount.currency.code(),
    ] {
        hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(field.as_bytes());
    }
    super::audit::hex(&hash.finalize())
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
