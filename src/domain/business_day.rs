//! 日切: a business date that is closed, and what its flows come to.

use super::audit::ChainHead;
use super::flow::{FlowKind, FlowState};
use super::money::Currency;
use super::time::{BusinessDate, Instant};
use serde::Serialize;

/// How many flows of one kind, state and currency there are, and what they sum up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FlowSum {
    /// Pay or reverse.
    pub kind: FlowKind,
    /// What is known of them.
    pub state: FlowState,
    /// In which currency.
    pub currency: Currency,
    /// How many.
    pub flows: i64,
    /// What they sum up to, in minor units.
    pub amount_minor: i64,
    /// What their versions sum up to: it grows whenever one of them moves.
    pub versions: i64,
}

/// A closed business date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedDay {
    /// Which one.
    pub date: BusinessDate,
    /// When it was closed.
    pub closed_at: Instant,
    /// The run of the program that closed it.
    pub closed_by: String,
    /// When its flows were last counted.
    pub counted_at: Instant,
    /// How many flows started on it.
    pub flows: i64,
    /// How many of them had no outcome when they were counted.
    pub undecided: i64,
    /// How many were found that the count of the closing had not seen.
    pub late: i64,
    /// The row of the audit trail that tells of the last count that changed something.
    pub told_by: ChainHead,
}

impl ClosedDay {
    /// A day that is being closed, with what was counted of it.
    pub fn closing(date: BusinessDate, at: Instant, by: &str, sums: &[FlowSum]) -> Self {
        Self {
            // Known when the row of the audit trail is written.
            told_by: ChainHead::start(by),
            date,
            closed_at: at,
            closed_by: by.to_owned(),
            counted_at: at,
            flows: flows_of(sums),
            undecided: undecided_of(sums),
            late: 0,
        }
    }

    /// The day as it stands after another count.
    pub fn counted_again(&self, at: Instant, sums: &[FlowSum]) -> Self {
        let flows = flows_of(sums);
        Self {
            counted_at: at,
            flows,
            undecided: undecided_of(sums),
            late: self.late + (flows - self.flows).max(0),
            ..self.clone()
        }
    }
}

fn flows_of(sums: &[FlowSum]) -> i64 {
    sums.iter().map(|sum| sum.flows).sum()
}

fn undecided_of(sums: &[FlowSum]) -> i64 {
    let undecided = sums.iter().filter(|sum| sum.state == FlowState::Started);
    undecided.map(|sum| sum.flows).sum()
}
