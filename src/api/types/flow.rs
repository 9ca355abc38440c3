//! Flows and the calls about them.

use super::money::Money;
use super::order::{checked, words};
use super::scalars::Date;
use crate::domain::flow;
use crate::domain::refusal::Refusal;
use crate::domain::time::Instant;
use crate::storage::orders::Filter;
use async_graphql::{Description, Enum, ID, InputObject, Object};

/// What a flow tells the bank to do.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "flow::FlowKind")]
pub enum FlowKind {
    /// Pay the bill.
    Payment,
    /// Undo a payment (冲正).
    Reversal,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "flow::FlowState")]
pub enum FlowState {
    /// Written down before the first byte went out; no outcome yet.
    Started,
    /// The bank did it.
    Succeeded,
    /// The bank did not do it.
    Failed,
    /// A payment that was undone by a reversal.
    Reversed,
}

/// A money instruction (流水): one payment or one reversal. Its number is what the bank knows it by,
/// and every try of it carries the same one.
#[derive(Description)]
pub struct Flow(pub flow::Flow);

#[Object(use_type_description)]
impl Flow {
    /// Its number: 24 digits, beginning with the business date.
    async fn flow_no(&self) -> &str {
        self.0.flow_no.as_str()
    }

    /// The order it belongs to.
    async fn order_no(&self) -> &str {
        self.0.order_no.as_str()
    }

    /// Pay or undo.
    async fn kind(&self) -> FlowKind {
        self.0.kind.into()
    }

    /// 1 for the first of its kind; a decided case may order a further reversal.
    async fn step(&self) -> i32 {
        self.0.step
    }

    /// The name of the way to the bank that carries it.
    async fn adapter(&self) -> &str {
        self.0.adapter.as_str()
    }

    /// How much.
    async fn amount(&self) -> Money {
        Money(self.0.amount)
    }

    /// What is known of it.
    async fn state(&self) -> FlowState {
        self.0.state.into()
    }

    /// The bank's result code, where it gave one.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The bank's own number.
    async fn upstream_ref(&self) -> Option<&str> {
        self.0.upstream_ref.as_deref()
    }

    /// The bank's message.
    async fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The business date on which it counts: the one on which it started.
    async fn business_date(&self) -> Date {
        Date(self.0.business_date)
    }

    /// When it was written down, before it was sent.
    async fn started_at(&self) -> Instant {
        self.0.started_at
    }

    /// When its outcome was written down.
    async fn concluded_at(&self) -> Option<Instant> {
        self.0.concluded_at
    }

    /// Counts its changes; a copy with a lower one is older.
    async fn version(&self) -> i32 {
        self.0.version
    }
}

/// Which flows a listing holds; what is left out does not narrow it.
#[derive(Default, InputObject)]
pub struct FlowFilter {
    /// Only flows in these states.
    states: Option<Vec<FlowState>>,
    /// Only flows of this merchant; a merchant sees its own in any case.
    merchant: Option<String>,
    /// Only flows of this biller.
    biller: Option<String>,
    /// Only flows of this bill number.
    bill_no: Option<String>,
    /// Only flows of this business date or later.
    from: Option<Date>,
    /// Only flows of this business date or earlier.
    to: Option<Date>,
}

impl TryFrom<FlowFilter> for Filter {
    type Error = Refusal;

    fn try_from(filter: FlowFilter) -> Result<Self, Refusal> {
        let states = filter.states.unwrap_or_default().into_iter();
        checked(Filter {
            states: words(
                states
                    .map(flow::FlowState::from)
                    .map(flow::FlowState::as_str),
            ),
            merchant: filter.merchant,
            biller: filter.biller,
            bill_no: filter.bill_no,
            from: filter.from.map(|date| date.0),
            to: filter.to.map(|date| date.0),
        })
    }
}

/// What a call asked for.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "flow::Operation")]
pub enum Operation {
    /// Pay.
    Pay,
    /// What became of a payment?
    Query,
    /// Undo it.
    Reverse,
}

/// What a call brought, in one word.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "flow::AttemptOutcome")]
pub enum AttemptOutcome {
    /// A matching success.
    Succeeded,
    /// A known refusal.
    Refused,
    /// The bank has it and works on it.
    Pending,
    /// The bank does not know the number.
    NotFound,
    /// The bank refuses to undo the payment because it stands.
    PaymentStands,
    /// Nothing was sent.
    NotSent,
    /// Anything else: the outcome is not known.
    Unknown,
}

/// One call about a flow, kept as evidence because it did not conclude the flow at once.
#[derive(Description)]
pub struct Attempt(pub flow::Attempt);

#[Object(use_type_description)]
impl Attempt {
    /// Its id.
    async fn attempt_id(&self) -> ID {
        self.0.attempt_id.into()
    }

    /// The flow it is about.
    async fn flow_no(&self) -> &str {
        self.0.flow_no.as_str()
    }

    /// What was asked.
    async fn operation(&self) -> Operation {
        self.0.operation.into()
    }

    /// What came back, in one word.
    async fn outcome(&self) -> AttemptOutcome {
        self.0.outcome.into()
    }

    /// The bank's result code, where there was one.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The cause in words, such as a time-out.
    async fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// When the call began.
    async fn asked_at(&self) -> Instant {
        self.0.asked_at
    }

    /// When it ended.
    async fn answered_at(&self) -> Instant {
        self.0.answered_at
    }
}
