//! Effects that come later than the answer: what they are, and which of them a restart owes.
//!
//! A late payment is written to the ledger as a HELD line when it is promised, so that a restart
//! in between neither loses it nor lets it happen twice. A late reversal is not: it exists only
//! where a script asks for it, and ends with the process.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::ledger::{BankName, Fact, Movement};
use super::protocol::Reverse;

/// An effect that is still to come.
#[derive(Debug)]
pub(super) struct Late {
    pub due: DateTime<Utc>,
    pub effect: LateEffect,
}

#[derive(Debug)]
pub(super) enum LateEffect {
    Pay(BankName, Movement),
    Reverse(Reverse),
}

/// So many milliseconds later.
pub(super) fn after(now: DateTime<Utc>, ms: u64) -> DateTime<Utc> {
    let delta = i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds);
    delta
        .and_then(|delta| now.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Finds the late payments in a ledger that were promised and did not come.
#[derive(Default)]
pub(super) struct Promises(HashMap<String, VecDeque<Late>>);

impl Promises {
    /// Looks at the next fact of the ledger.
    pub fn see(&mut self, bank: BankName, fact: &Fact) {
        match fact {
            Fact::Held(movement, Some(due)) => {
                let effect = LateEffect::Pay(bank, movement.clone());
                let late = Late { due: *due, effect };
                self.0
                    .entry(movement.flow_no.clone())
                    .or_default()
                    .push_back(late);
            }
            Fact::Paid(movement) | Fact::Refused(movement, _) => {
                self.0.get_mut(&movement.flow_no).map(VecDeque::pop_front);
            }
            Fact::Undone(_) | Fact::Tombstoned(_) | Fact::Held(_, None) => {}
        }
    }

    /// Those that are still owed.
    pub fn open(self) -> Vec<Late> {
        self.0.into_values().flatten().collect()
    }
}
