//! Exceptions.

use super::flow::AttemptOutcome;
use crate::domain::exception;
use crate::domain::time::Instant;
use async_graphql::{Description, Enum, ID, Object};

/// What the poller does about an exception.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "exception::Phase")]
pub enum Phase {
    /// Ask what became of the payment.
    Query,
    /// Repeat the reversal until a final answer.
    Reverse,
    /// Ask once more about an order that is at rest.
    Watch,
}

/// How loudly an open exception has called for help.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "exception::AlarmLevel")]
pub enum AlarmLevel {
    /// Not yet.
    None,
    /// Open longer than the warning age.
    Warn,
    /// Open longer than the critical age.
    Critical,
}

/// A payment in doubt (异常记录): the row that the poller works on.
#[derive(Description)]
pub struct Exception(pub exception::Exception);

#[Object(use_type_description)]
impl Exception {
    /// Its id.
    async fn exception_id(&self) -> ID {
        self.0.exception_id.into()
    }

    /// The order in doubt.
    async fn order_no(&self) -> &str {
        self.0.order_no.as_str()
    }

    /// Its payment flow.
    async fn payment_flow_no(&self) -> &str {
        self.0.payment_flow_no.as_str()
    }

    /// The reversal flow, from the moment there is one.
    async fn reversal_flow_no(&self) -> Option<&str> {
        self.0
            .reversal_flow_no
            .as_ref()
            .map(|number| number.as_str())
    }

    /// What is being done about it.
    async fn phase(&self) -> Phase {
        self.0.phase.into()
    }

    /// How many times the bank was asked.
    async fn polls(&self) -> i32 {
        self.0.polls
    }

    /// How many of the latest answers were unknown.
    async fn unknowns(&self) -> i32 {
        self.0.unknowns
    }

    /// How many of the latest answers were "not found".
    async fn not_found(&self) -> i32 {
        self.0.not_found
    }

    /// How many times the reversal was sent.
    async fn tries(&self) -> i32 {
        self.0.tries
    }

    /// What the last call brought.
    async fn last_outcome(&self) -> Option<AttemptOutcome> {
        self.0.last_outcome.map(AttemptOutcome::from)
    }

    /// When doubt began.
    async fn opened_at(&self) -> Instant {
        self.0.opened_at
    }

    /// When the next call is due.
    async fn next_at(&self) -> Instant {
        self.0.next_at
    }

    /// How loudly it has called for help so far.
    async fn alarm(&self) -> AlarmLevel {
        self.0.alarm.into()
    }

    /// Whether a case was opened for it.
    async fn escalated(&self) -> bool {
        self.0.escalated
    }

    /// When it was closed.
    async fn closed_at(&self) -> Option<Instant> {
        self.0.closed_at
    }
}
