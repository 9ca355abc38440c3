//! What the far side is told to do: a queue of deeds for each operation and bill, and one deed for
//! ever after. Whatever nobody told it, it does as an honest bank does.

use payhall::domain::flow::Operation;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What the far side does with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its work, and says what came of it.
    Honest,
    /// A payment: refuses it for good, for this reason. A query: says so.
    Refuse(&'static str),
    /// Nothing, and says "-1".
    Unknown,
    /// Its work, but the answer is lost.
    Lost,
    /// Nothing now; its work so much later. No answer.
    Late(Duration),
    /// Has the payment and works on it, until it carries it out or drops it.
    Pending,
    /// Says that it does not know the number, whatever the truth.
    NotFound,
    /// Cannot be reached: not one byte is sent.
    NotSent,
    /// Its work, but the answer names another amount.
    WrongAmount,
    /// Its work, but the answer is about another bill.
    WrongBill,
    /// Its work, but the answer is not in the agreed form.
    Garbage,
    /// A reversal: comes too late, the payment stands.
    Stands,
    /// Waits until it is let go, then does its work if it still may.
    Hang,
    /// Its work, then waits until it is let go, and says what came of it.
    WorkThenHang,
    /// Says "-1" now, but the answer arrives only when it is let go.
    UnknownThenHang,
}

/// The queues.
#[derive(Debug, Default)]
pub struct Script {
    queues: HashMap<(Operation, String), VecDeque<Deed>>,
    for_ever: HashMap<(Operation, String), Deed>,
}

impl Script {
    /// Adds deeds for the next calls of an operation about a bill.
    pub fn tell(
        &mut self,
        operation: Operation,
        bill_no: &str,
        deeds: impl IntoIterator<Item = Deed>,
    ) {
        let key = (operation, bill_no.to_owned());
        self.queues.entry(key).or_default().extend(deeds);
    }

    /// What is done once the queue is empty.
    pub fn tell_for_ever(&mut self, operation: Operation, bill_no: &str, deed: Deed) {
        self.for_ever.insert((operation, bill_no.to_owned()), deed);
    }

    /// Forgets everything: from now on the far side is honest.
    pub fn heal(&mut self) {
        *self = Self::default();
    }

    /// What to do with the next call.
    pub fn next(&mut self, operation: Operation, bill_no: &str) -> Deed {
        let key = (operation, bill_no.to_owned());
        let queued = self.queues.get_mut(&key).and_then(VecDeque::pop_front);
        queued
            .or_else(|| self.for_ever.get(&key).cloned())
            .unwrap_or(Deed::Honest)
    }
}
