//! 异常记录: the row that the poller works on, and the rules by which doubt is settled.
//!
//! Three phases. `QUERY`: the bank is asked what became of the payment, on the ladder. `REVERSE`:
//! the reversal is on its way and is repeated with one number until a final answer. `WATCH`: the
//! order is at rest on "not found" or on a reversal that the bank cannot tombstone, and is asked
//! about once more, so that a late success opens a case instead of staying unseen.
//!
//! Nothing here ends doubt by tiredness: the ladder's end calls a person, it never guesses.

use super::flow::AttemptOutcome;
use super::ids::{FlowNo, OrderNo};
use super::named_enum;
use super::outcome::{Receipt, Reply};
use super::retry::Ladder;
use super::time::Instant;
use std::time::Duration;
use uuid::Uuid;

named_enum! {
    /// What the poller does about an exception.
    pub enum Phase {
        /// Ask what became of the payment.
        Query = "QUERY",
        /// Repeat the reversal until a final answer.
        Reverse = "REVERSE",
        /// Ask once more about an order at rest.
        Watch = "WATCH",
    }
}

named_enum! {
    /// How loudly an open exception has called.
    pub enum AlarmLevel {
        /// Not yet.
        None = "NONE",
        /// Open longer than the warning age.
        Warn = "WARN",
        /// Open longer than the critical age.
        Critical = "CRITICAL",
    }
}

/// A payment in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// UUID v7.
    pub exception_id: Uuid,
    /// The order in doubt.
    pub order_no: OrderNo,
    /// Its payment flow.
    pub payment_flow_no: FlowNo,
    /// The reversal flow of phase `REVERSE`.
    pub reversal_flow_no: Option<FlowNo>,
    /// What is being done.
    pub phase: Phase,
    /// Asks that went out: the place on the ladder.
    pub polls: i32,
    /// Unknown answers since the bank last said "pending".
    pub unknowns: i32,
    /// "Not found" answers since the bank last said "pending".
    pub not_found: i32,
    /// Reversal tries that went out.
    pub tries: i32,
    /// What the last call brought.
    pub last_outcome: Option<AttemptOutcome>,
    /// When the payment flow started: the certainty window counts from here.
    pub payment_started_at: Instant,
    /// When doubt began.
    pub opened_at: Instant,
    /// When the current phase began; the reversal tries count from here.
    pub phase_at: Instant,
    /// When the next call is due.
    pub next_at: Instant,
    /// How loudly it has called so far.
    pub alarm: AlarmLevel,
    /// Whether a case was opened for it.
    pub escalated: bool,
    /// The replica that works on it now.
    pub lease_owner: Option<String>,
    /// Until when; a lapsed lease may be taken by any replica.
    pub lease_until: Option<Instant>,
    /// Grows with each lease taken; a write-back with a lower one is refused.
    pub fence: i64,
    /// When it was closed.
    pub closed_at: Option<Instant>,
    /// Whether a replica that held it in phase `REVERSE` never came back: its try may have gone out, and is
    /// in no count.
    pub holder_lost: bool,
}

impl Exception {
    /// Whether a try of its reversal may have reached the bank.
    pub fn may_be_reversed(&self) -> bool {
        self.tries > 0 || self.holder_lost || self.lease_owner.is_some()
    }
}

/// How doubt is settled with one adapter: data, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtRules {
    /// The waits between asks.
    pub ladder: Ladder,
    /// How many unknown answers come before a reversal.
    pub quick_polls: u32,
    /// When the tries of a reversal are due, counted from its start.
    pub reversal_at: Vec<Duration>,
    /// How long "not found" proves nothing.
    pub certainty_window: Duration,
    /// How many times "not found" has to be said.
    pub not_found_asks: u32,
    /// When an exception that is neither settled nor reversed becomes a case.
    pub case_after: Duration,
    /// Whether the adapter can be asked.
    pub can_query: bool,
    /// Whether the adapter can reverse.
    pub can_reverse: bool,
    /// Whether a reversal of a payment that never arrived bars it for good.
    pub tombstones: bool,
}

/// When open exceptions call for help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmAges {
    /// Warn at this age.
    pub warn: Duration,
    /// Critical at this age.
    pub critical: Duration,
}

/// What an answer means for the exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The payment is known to have succeeded.
    Succeeded(Receipt),
    /// The payment is known to have been refused.
    Refused {
        /// The named reason.
        reason: String,
        /// The far side's words.
        receipt: Receipt,
    },
    /// The payment never arrived, past the certainty window.
    NotFound,
    /// Asking does not settle it: reverse, directly after this ask.
    Reverse,
    /// The reversal was done.
    Reversed(Receipt),
    /// The reversal is refused because the payment stands.
    Stands(Receipt),
    /// Watching showed nothing new: close.
    Quiet,
    /// Not settled: try again later, with these counts.
    Wait(Progress),
}

/// The counts of an exception after an ask that settled nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// See [`Exception::polls`].
    pub polls: i32,
    /// See [`Exception::unknowns`].
    pub unknowns: i32,
    /// See [`Exception::not_found`].
    pub not_found: i32,
    /// See [`Exception::tries`].
    pub tries: i32,
    /// When the next call is due; none when the ladder is used up.
    pub next_at: Option<Instant>,
    /// Whether a person has to be called now.
    pub escalate: bool,
}

/// How long an order at rest is watched at most: whatever a bank has not said by then is found by
/// comparing books.
const WATCH_FOR: Duration = Duration::from_secs(7 * 86_400);

impl Exception {
    /// Weighs the answer to "what became of the payment?" in phase `QUERY`.
    pub fn weigh_query(&self, reply: Reply, rules: &DoubtRules, now: Instant) -> Verdict {
        let asked = !matches!(reply, Reply::NotSent(_));
        let mut progress = self.progress(asked);
        match reply {
            Reply::Succeeded(receipt) => return Verdict::Succeeded(receipt),
            Reply::Refused { reason, receipt } => return Verdict::Refused { reason, receipt },
            Reply::NotFound => {
                progress.not_found += 1;
                let certain_at = later(self.payment_started_at, rules.certainty_window);
                if now >= certain_at && progress.not_found >= count(rules.not_found_asks) {
                    return Verdict::NotFound;
                }
            }
            Reply::Pending => {
                progress.not_found = 0;
                progress.unknowns = 0;
            }
            Reply::NotSent(_) => {}
            Reply::Unknown(_) | Reply::PaymentStands(_) => {
                progress.unknowns += 1;
                let due = progress.unknowns > count(rules.quick_polls);
                if due && rules.can_reverse && !self.escalated {
                    return Verdict::Reverse;
                }
            }
        }
        let wait = rules
            .ladder
            .wait_after(u32::try_from(progress.polls).unwrap_or(0));
        progress.next_at = Some(later(now, wait));
        progress.escalate = !self.escalated && self.is_older(rules.case_after, now);
        Verdict::Wait(progress)
    }

    /// Weighs the ask directly before the first try of a reversal (law 4). It is evidence, and decides
    /// nothing by itself; only a payment that is still on its way, and an ask that did not go out,
    /// hold the reversal back.
    pub fn weigh_before_reversal(
        &self,
        reply: &Reply,
        rules: &DoubtRules,
        now: Instant,
    ) -> Option<Progress> {
        let progress = match reply {
            Reply::Pending => self.progress(true),
            Reply::NotSent(_) => self.progress(false),
            Reply::Succeeded(_)
            | Reply::Refused { .. }
            | Reply::NotFound
            | Reply::PaymentStands(_)
            | Reply::Unknown(_) => return None,
        };
        let polls = u32::try_from(progress.polls).unwrap_or(0);
        let is_over = self.is_older(rules.case_after, now);
        Some(Progress {
            next_at: (!is_over).then(|| later(now, rules.ladder.wait_after(polls))),
            escalate: is_over,
            ..progress
        })
    }

    /// Weighs the answer to a reversal in phase `REVERSE`.
    pub fn weigh_reversal(&self, reply: Reply, rules: &DoubtRules, now: Instant) -> Verdict {
        let mut progress = Progress {
            polls: self.polls,
            ..self.progress(false)
        };
        match reply {
            Reply::Succeeded(receipt) => return Verdict::Reversed(receipt),
            Reply::PaymentStands(receipt) => return Verdict::Stands(receipt),
            Reply::NotSent(_) => {
                progress.next_at = Some(later(now, rules.ladder.wait_after(0)));
                if self.is_older(rules.case_after, now) {
                    progress.next_at = None;
                }
            }
            Reply::Refused { .. } | Reply::Pending | Reply::NotFound | Reply::Unknown(_) => {
                progress.tries += 1;
                let place = usize::try_from(progress.tries).unwrap_or(usize::MAX);
                let before = place
                    .checked_sub(1)
                    .and_then(|place| rules.reversal_at.get(place));
                let due = rules.reversal_at.get(place);
                // Tries that are overdue keep their distance: a bank that comes back is not called
                // six times in a row.
                progress.next_at = due.map(|wait| {
                    let apart = wait.saturating_sub(before.copied().unwrap_or_default());
                    later(self.phase_at, *wait).max(later(now, apart))
                });
            }
        }
        progress.escalate = progress.next_at.is_none();
        Verdict::Wait(progress)
    }

    /// Weighs the answer about an order at rest, in phase `WATCH`.
    pub fn weigh_watch(&self, reply: Reply, rules: &DoubtRules, now: Instant) -> Verdict {
        let asked = !matches!(reply, Reply::NotSent(_));
        let mut progress = self.progress(asked);
        match reply {
            Reply::Succeeded(receipt) => return Verdict::Succeeded(receipt),
            Reply::Refused { .. } | Reply::NotFound => return Verdict::Quiet,
            _ if self.is_older(WATCH_FOR, now) => return Verdict::Quiet,
            Reply::Pending | Reply::PaymentStands(_) | Reply::NotSent(_) | Reply::Unknown(_) => {}
        }
        let wait = rules
            .ladder
            .wait_after(u32::try_from(progress.polls).unwrap_or(0));
        progress.next_at = Some(later(now, wait));
        Verdict::Wait(progress)
    }

    /// The alarm level that its age calls for.
    pub fn alarm_due(&self, ages: AlarmAges, now: Instant) -> AlarmLevel {
        if self.is_older(ages.critical, now) {
            AlarmLevel::Critical
        } else if self.is_older(ages.warn, now) {
            AlarmLevel::Warn
        } else {
            AlarmLevel::None
        }
    }

    /// The exception with the counts of an ask that settled nothing.
    pub fn after(&self, progress: Progress, outcome: AttemptOutcome) -> Exception {
        Exception {
            polls: progress.polls,
            unknowns: progress.unknowns,
            not_found: progress.not_found,
            tries: progress.tries,
            next_at: progress.next_at.unwrap_or(self.next_at),
            last_outcome: Some(outcome),
            ..self.clone()
        }
    }

    fn is_older(&self, age: Duration, now: Instant) -> bool {
        now >= later(self.opened_at, age)
    }

    fn progress(&self, asked: bool) -> Progress {
        Progress {
            polls: self.polls.saturating_add(i32::from(asked)),
            unknowns: self.unknowns,
            not_found: self.not_found,
            tries: self.tries,
            next_at: None,
            escalate: false,
        }
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The end of the calendar: an instant that never comes, and that every database and text can hold.
const NEVER: Instant = match Instant::from_timestamp(253_402_300_799, 0) {
    Some(end) => end,
    None => Instant::MAX_UTC,
};

/// An instant moved by a wait; a wait beyond the year 9999 never ends.
pub fn later(at: Instant, wait: Duration) -> Instant {
    chrono::Duration::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_add_signed(wait))
        .map_or(NEVER, |at| at.min(NEVER))
}

#[cfg(test)]
#[path = "exception_tests.rs"]
mod tests;
