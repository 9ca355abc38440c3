//! 流水: one money instruction sent out, and the calls about it that did not conclude it at once.

use super::ids::{AdapterName, FlowNo, OrderNo};
use super::money::Money;
use super::named_enum;
use super::time::{BusinessDate, Instant};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

named_enum! {
    /// What a flow tells the bank to do.
    pub enum FlowKind {
        /// Pay the bill.
        Payment = "PAYMENT",
        /// 冲正: undo a payment whose outcome is unknown, or one that a decided case sends back.
        Reversal = "REVERSAL",
    }
}

named_enum! {
    /// What is known of a flow.
    pub enum FlowState {
        /// Committed before the first byte went out; no outcome yet.
        Started = "STARTED",
        /// The far side did it.
        Succeeded = "SUCCEEDED",
        /// The far side did not do it.
        Failed = "FAILED",
        /// A payment that was undone by a reversal.
        Reversed = "REVERSED",
    }
}

/// One money instruction. Its number is the idempotency key at the far side: all tries of one step
/// carry it, and the database refuses a second number for the same step of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Our number, which the far side knows it by.
    pub flow_no: FlowNo,
    /// The order it belongs to.
    pub order_no: OrderNo,
    /// Pay or reverse.
    pub kind: FlowKind,
    /// 1 for the first step of its kind; a decided case may order a further reversal, which is 2.
    pub step: i32,
    /// Which adapter carries it.
    pub adapter: AdapterName,
    /// How much.
    pub amount: Money,
    /// What is known of it.
    pub state: FlowState,
    /// The far side's code, where it gave one.
    pub code: Option<String>,
    /// The far side's own number.
    pub upstream_ref: Option<String>,
    /// The far side's message.
    pub message: Option<String>,
    /// The day it counts on: the day on which it started.
    pub business_date: BusinessDate,
    /// When it was committed.
    pub started_at: Instant,
    /// When its outcome was committed.
    pub concluded_at: Option<Instant>,
    /// Counts the changes; a cached copy with a lower one is older.
    pub version: i32,
}

named_enum! {
    /// What a call asked for.
    pub enum Operation {
        /// Pay.
        Pay = "PAY",
        /// What became of a payment?
        Query = "QUERY",
        /// Undo it.
        Reverse = "REVERSE",
    }
}

named_enum! {
    /// What a call brought, in one word.
    pub enum AttemptOutcome {
        /// A matching success.
        Succeeded = "SUCCEEDED",
        /// A matching, known refusal.
        Refused = "REFUSED",
        /// The far side has it and works on it.
        Pending = "PENDING",
        /// The far side does not know the number.
        NotFound = "NOT_FOUND",
        /// A reversal is refused because the payment stands.
        PaymentStands = "PAYMENT_STANDS",
        /// Nothing was sent.
        NotSent = "NOT_SENT",
        /// Anything else.
        Unknown = "UNKNOWN",
    }
}

/// One call about a flow, kept as evidence because it did not conclude the flow at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// UUID v7.
    pub attempt_id: Uuid,
    /// The flow it is about.
    pub flow_no: FlowNo,
    /// That flow's order.
    pub order_no: OrderNo,
    /// What was asked.
    pub operation: Operation,
    /// What came back, in one word.
    pub outcome: AttemptOutcome,
    /// The far side's code, where there was one.
    pub code: Option<String>,
    /// The cause in words: time-out, mismatch, what was malformed. Never a body.
    pub cause: Option<String>,
    /// When the call began.
    pub asked_at: Instant,
    /// When it ended.
    pub answered_at: Instant,
    /// The run of a job that made the call; none for the tries within a confirm.
    pub job_run: Option<Uuid>,
}
