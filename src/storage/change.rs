//! What a caller can ask the writer to do, and what comes back. A lost race is a value here, never
//! an error.

use crate::domain::audit::AuditEntry;
use crate::domain::case::Case;
use crate::domain::exception::Exception;
use crate::domain::flow::{Attempt, Flow};
use crate::domain::ids::{KeyId, OrderNo};
use crate::domain::notification::{Notification, NotificationTry};
use crate::domain::order::Order;
use crate::domain::time::{BusinessDate, Instant};

/// Makes an order.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The order, in state CREATED.
    pub order: Order,
    /// The version of the merchant that allows it; any other makes it [`Created::Stale`].
    pub merchant_version: i32,
    /// Its audit row.
    pub audit: AuditEntry,
    /// The signed request that asks for it, unless it was let in before.
    pub admission: Option<Admission>,
}

/// What became of a new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    New,
    /// The merchant's request number had made this order before, with the same content.
    Same(Order),
    /// The merchant's request number had made this order before, with other content.
    Differs(Order),
    /// The merchant has changed since it was checked; nothing was written.
    Stale,
    /// The request that asks for it was not let in; nothing was written.
    Denied(Denied),
}

/// What lets an order go from made to paying: its merchant, as it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The merchant's version; any other makes the move [`Moved::Stale`].
    pub merchant_version: i32,
    /// The merchant's limit of the day, where it has one.
    pub day: Option<DayLimit>,
}

/// A limit of the day, and the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLimit {
    /// The business date on which the payment counts.
    pub date: BusinessDate,
    /// The most that may be confirmed on it, in minor units.
    pub most_minor: i64,
}

/// Asks that a signed request be let in: its signature was found right. By itself, or in one
/// transaction with the change that the request asks for: then both happen or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The key that it was signed with.
    pub key_id: KeyId,
    /// What makes it unique among the requests of this key.
    pub nonce: String,
    /// From when on the nonce need not be known any more: the request is too old by then.
    pub forget_at: Instant,
    /// Now, by the center's clock.
    pub now: Instant,
    /// Tells this request from another one with the same nonce: chosen at random. One that meets its own
    /// nonce was let in before, so asking again changes nothing.
    pub tag: i64,
}

/// What became of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The request may go on; its nonce is used up.
    Done,
    /// It may not.
    Denied(Denied),
}

/// Why a signed request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The nonce was used before.
    Replayed,
    /// The key was revoked, or its time is over, since it was read.
    KeyCountsNoMore(KeyId),
}

/// What a move does to the order's exception.
#[derive(Clone, Debug, Default)]
pub enum ExceptionMove {
    /// Nothing.
    #[default]
    Keep,
    /// Opens one (an open one is closed first).
    Open(Exception),
    /// Writes an open one's new values; if somebody leased it meanwhile the whole move is lost.
    Replace(Exception),
    /// Closes it.
    Close,
}

/// What a move does to cases.
#[derive(Clone, Debug, Default)]
pub enum CaseMove {
    /// Nothing.
    #[default]
    Keep,
    /// Opens one, unless one of its kind is open.
    Open(Case),
    /// Writes a case's new values; if somebody changed it meanwhile the whole move is lost.
    Replace(Case),
}

/// Moves an order from one state to the next, with everything that belongs to the step. All of it is
/// one transaction; the order's state and version are compared and set.
#[derive(Clone, Debug)]
pub struct Move {
    /// The order as it was read.
    pub before: Order,
    /// The order as it is to be: the next version.
    pub after: Order,
    /// For a payment that starts: what its merchant may do.
    pub permit: Option<Permit>,
    /// A flow that starts.
    pub start: Option<Flow>,
    /// Flows of the order with their new values: each the next version of one that is there, and never of the
    /// one that starts.
    pub conclude: Vec<Flow>,
    /// Calls that are kept as evidence.
    pub attempts: Vec<Attempt>,
    /// What happens to the exception.
    pub exception: ExceptionMove,
    /// What happens to cases.
    pub case: CaseMove,
    /// What the merchant is told of it, where the order comes to rest and the merchant wants to be told.
    pub notify: Option<Notification>,
    /// The audit rows: exactly one of the order, and one of the case where it moves too.
    pub audits: Vec<AuditEntry>,
    /// The signed request that asks for it, unless it was let in before.
    pub admission: Option<Admission>,
}

/// What became of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was written.
    Done,
    /// Somebody else moved the order (or the case, or leased the exception) first; nothing was written.
    Lost,
    /// Another payment of the same bill is open; nothing was written.
    OpenPayment {
        /// The order that pays the bill.
        first: OrderNo,
    },
    /// The merchant has changed since it was checked; nothing was written.
    Stale,
    /// The amount does not fit into the merchant's day any more; nothing was written.
    DayIsFull,
    /// The request that asks for it was not let in; nothing was written.
    Denied(Denied),
}

/// Writes what an ask brought when it settled nothing: the calls, and the exception's new counts if
/// the lease still holds.
#[derive(Clone, Debug)]
pub struct Touch {
    /// The exception with its new values and the fence that it was leased with.
    pub exception: Exception,
    /// The calls.
    pub attempts: Vec<Attempt>,
}

/// What became of a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It was written.
    Done,
    /// The lease was lost meanwhile: only the calls were written, as evidence.
    Fenced,
}

/// Writes what came of a try to notify a merchant: the try, and the notification if the lease still
/// holds.
#[derive(Clone, Debug)]
pub struct Tell {
    /// The notification with its new values and the fence that it was leased with.
    pub notification: Notification,
    /// The try, ended.
    pub attempt: NotificationTry,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was written.
    Done,
    /// The lease was lost meanwhile: only the try was written, as evidence.
    Fenced,
}
