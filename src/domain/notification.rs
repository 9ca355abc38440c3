//! 通知: what a merchant is told when an order of it comes to rest, and how often that is tried.
//!
//! A notification is made in the transaction of the move that it tells of, so it is there exactly if
//! the move is. It tells of *one* version of the order, for ever: an order that a decided case moves
//! again is told of by another notification, and the version is the place of each in the order's
//! sequence. It is sent at least once; its id never changes, so that the merchant can tell a repeated
//! one from a new one.
//!
//! How one could break this: by building what is sent from the order as it stands *now*, or by letting
//! a try that proves nothing (a time-out) count as delivered.

use super::exception::later;
use super::ids::{MerchantCode, OrderNo};
use super::named_enum;
use super::order::{Order, OrderState};
use super::time::Instant;
use std::time::Duration;
use uuid::Uuid;

named_enum! {
    /// Where a notification stands.
    pub enum NotificationState {
        /// Is to be sent, or sent again.
        Pending = "PENDING",
        /// The merchant's server has confirmed it.
        Delivered = "DELIVERED",
        /// Nobody sends it any more, until somebody orders it sent again.
        GivenUp = "GIVEN_UP",
    }
}

named_enum! {
    /// Why a notification was given up.
    pub enum GiveUpReason {
        /// Every try of the series failed.
        TriesUsedUp = "TRIES_USED_UP",
        /// The merchant has no notify URL any more.
        NoUrl = "NO_URL",
    }
}

named_enum! {
    /// What came of one try.
    pub enum TryOutcome {
        /// It is on its way.
        Started = "STARTED",
        /// Answered with a status of 2xx.
        Delivered = "DELIVERED",
        /// Answered with any other status.
        Rejected = "REJECTED",
        /// No answer in time; it may have arrived.
        TimedOut = "TIMED_OUT",
        /// No connection: no address, refused, no TLS.
        Unreachable = "UNREACHABLE",
        /// The connection broke before an answer; it may have arrived.
        Broken = "BROKEN",
        /// The host has only addresses that may not be called; nothing was sent.
        AddressRefused = "ADDRESS_REFUSED",
        /// The URL may not be called; nothing was sent.
        UrlRefused = "URL_REFUSED",
        /// Nothing was sent, for a reason of the center's; does not count as a try.
        NotSent = "NOT_SENT",
        /// The program stopped in the middle; it may have arrived. Does not count as a try.
        Interrupted = "INTERRUPTED",
    }
}

/// 通知.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Unique, and the same in every try: by it the merchant knows what it was told before.
    pub notification_id: Uuid,
    /// The order that it tells of.
    pub order_no: OrderNo,
    /// The order's version that it tells of: its place in the order's sequence.
    pub order_version: i32,
    /// Who is told.
    pub merchant: MerchantCode,
    /// The state that the order came to.
    pub order_state: OrderState,
    /// Why, for an order that failed or closed.
    pub order_reason: Option<String>,
    /// Where it stands.
    pub state: NotificationState,
    /// Why it was given up.
    pub reason: Option<GiveUpReason>,
    /// Which series of tries it is in: 1, and one more each time somebody orders it sent again.
    pub series: i32,
    /// Tries of this series that came to an end.
    pub tries: i32,
    /// When it is to be sent next; while it is being sent, when somebody else may take it over.
    pub next_at: Instant,
    /// Who is sending it.
    pub lease_owner: Option<String>,
    /// Grows with every lease: who was paused past the end of its own cannot write back.
    pub fence: i64,
    /// When the order came to rest.
    pub created_at: Instant,
    /// When it was delivered or given up.
    pub concluded_at: Option<Instant>,
}

/// One try, which has a row before its first byte leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationTry {
    /// Its own id; the nonce of its signature.
    pub try_id: Uuid,
    /// Which notification.
    pub notification_id: Uuid,
    /// In which series.
    pub series: i32,
    /// Its place in the series, from 1.
    pub number: i32,
    /// When it began. Tries of one place in a series that were not sent are kept as one, the last: then
    /// this is when the first of them began.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// What came of it.
    pub outcome: TryOutcome,
    /// The status of the answer, where there was one.
    pub http_status: Option<i32>,
    /// The host that was called. The rest of the URL may hold a secret of the merchant's.
    pub host: Option<String>,
    /// What went wrong, in words; never a word of the answer's body.
    pub cause: Option<String>,
}

/// What was heard from the merchant's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What came of it.
    pub outcome: TryOutcome,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// What went wrong, in words.
    pub cause: Option<String>,
}

impl Heard {
    /// What an answer's status means: 2xx says that the merchant has it, and nothing else does.
    pub fn answered(status: u16) -> Self {
        let (outcome, cause) = match status {
            200..=299 => (TryOutcome::Delivered, None),
            300..=399 => (TryOutcome::Rejected, Some("redirects are not followed")),
            _ => (TryOutcome::Rejected, None),
        };
        Self {
            outcome,
            http_status: Some(status),
            cause: cause.map(str::to_owned),
        }
    }

    /// No answer, and why.
    pub fn nothing(outcome: TryOutcome, cause: impl Into<String>) -> Self {
        Self {
            outcome,
            http_status: None,
            cause: Some(cause.into()),
        }
    }
}

/// When a notification that was not delivered is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The wait after the first try, after the second, and so on; after the last try there is none.
    pub waits: Vec<Duration>,
    /// By how many percent a wait may be shorter or longer.
    pub jitter_percent: u32,
}

/// The waits between 16 tries, in seconds. With 10 % on each of them they end within 24 h.
pub const STANDARD_WAITS_S: [u64; 15] = [
    10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 3_600, 7_200, 10_800, 14_400, 14_400, 18_000,
];

/// How long a notification rests at least that could not be sent for want of something of the center's
/// own.
pub const NOT_SENT_WAIT: Duration = Duration::from_secs(60);
/// And at most.
pub const NOT_SENT_WAIT_MAX: Duration = Duration::from_hours(1);

impl Retries {
    /// 16 tries within 24 h, with a jitter of 10 %.
    pub fn standard() -> Self {
        Self {
            waits: STANDARD_WAITS_S.map(Duration::from_secs).to_vec(),
            jitter_percent: 10,
        }
    }

    /// The wait after the `done`-th try, which is 1 for the first; none after the last. `dice` is any
    /// number, by which merchants that failed together do not come back together.
    pub fn wait_after(&self, done: i32, dice: u32) -> Option<Duration> {
        let place = usize::try_from(done).ok()?.checked_sub(1)?;
        let wait = *self.waits.get(place)?;
        let percent = u64::from(self.jitter_percent.min(100));
        // Thousandths of a percent, from 0 to twice the jitter.
        let spread = u64::from(dice) % (2_000 * percent + 1);
        let parts = 100_000 - 1_000 * percent + spread;
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(
            micros.saturating_mul(parts) / 100_000,
        ))
    }
}

impl Notification {
    /// What a merchant is to be told of an order that has just come to rest.
    pub fn of(order: &Order, notification_id: Uuid) -> Self {
        Self {
            notification_id,
            order_no: order.order_no.clone(),
            order_version: order.version,
            merchant: order.merchant.clone(),
            order_state: order.state,
            order_reason: order.reason.clone(),
            state: NotificationState::Pending,
            reason: None,
            series: 1,
            tries: 0,
            next_at: order.updated_at,
            lease_owner: None,
            fence: 0,
            created_at: order.updated_at,
            concluded_at: None,
        }
    }

    /// The try that begins with a lease.
    pub fn begin(&self, try_id: Uuid, at: Instant) -> NotificationTry {
        NotificationTry {
            try_id,
            notification_id: self.notification_id,
            series: self.series,
            number: self.tries + 1,
            started_at: at,
            ended_at: None,
            outcome: TryOutcome::Started,
            http_status: None,
            host: None,
            cause: None,
        }
    }

    /// What a try makes of it.
    pub fn after(&self, outcome: TryOutcome, retries: &Retries, dice: u32, at: Instant) -> Self {
        let next = Self {
            lease_owner: None,
            ..self.clone()
        };
        match outcome {
            TryOutcome::Delivered => Self {
                state: NotificationState::Delivered,
                tries: self.tries + 1,
                next_at: at,
                concluded_at: Some(at),
                ..next
            },
            TryOutcome::NotSent | TryOutcome::Interrupted | TryOutcome::Started => {
                next.not_sent(at, at)
            }
            TryOutcome::Rejected
            | TryOutcome::TimedOut
            | TryOutcome::Unreachable
            | TryOutcome::Broken
            | TryOutcome::AddressRefused
            | TryOutcome::UrlRefused => {
                let tries = self.tries + 1;
                match retries.wait_after(tries, dice) {
                    Some(wait) => Self {
                        tries,
                        next_at: later(at, wait),
                        ..next
                    },
                    None => Self { tries, ..next }.given_up(GiveUpReason::TriesUsedUp, at),
                }
            }
        }
    }

    /// What it is when nothing could be sent, for a reason of the center's, and that has been so `since`
    /// an instant: it rests as long again as it could not be sent, so that the waits double from
    /// [`NOT_SENT_WAIT`] to [`NOT_SENT_WAIT_MAX`]. Such a try does not count, so it never gives it up.
    pub fn not_sent(&self, since: Instant, at: Instant) -> Self {
        let so_long = (at - since).to_std().unwrap_or_default();
        Self {
            lease_owner: None,
            next_at: later(at, so_long.clamp(NOT_SENT_WAIT, NOT_SENT_WAIT_MAX)),
            ..self.clone()
        }
    }

    /// Gives it up.
    pub fn given_up(self, reason: GiveUpReason, at: Instant) -> Self {
        Self {
            state: NotificationState::GivenUp,
            reason: Some(reason),
            lease_owner: None,
            next_at: at,
            concluded_at: Some(at),
            ..self
        }
    }

    /// Orders it sent again: a concluded one begins a new series of tries, one that waits is sent at
    /// once. Its id and its place in the order's sequence stay. `None` where it is due anyway.
    pub fn resent(&self, at: Instant) -> Option<Self> {
        let again = Self {
            next_at: at,
            lease_owner: None,
            fence: self.fence + 1,
            ..self.clone()
        };
        match self.state {
            NotificationState::Pending if self.next_at <= at || self.lease_owner.is_some() => None,
            NotificationState::Pending => Some(again),
            NotificationState::Delivered | NotificationState::GivenUp => Some(Self {
                state: NotificationState::Pending,
                reason: None,
                series: self.series + 1,
                tries: 0,
                concluded_at: None,
                ..again
            }),
        }
    }
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
