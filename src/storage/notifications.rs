//! Notifications as rows: made with the order's move, leased by whoever sends them (`lease.rs`),
//! concluded by an answer; and their tries (`tries.rs`), each written down before its first byte leaves.
//!
//! How one could break this: by concluding without the fence.

use super::Tx;
use super::change::{Tell, Told};
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros, readable};
use super::schema::notifications;
use crate::domain::ids::{MerchantCode, OrderNo};
use crate::domain::notification::{Notification, NotificationState, NotificationTry};
use crate::domain::time::Instant;
use diesel::prelude::*;
use uuid::Uuid;

mod lease;
mod tries;

pub use lease::{LeaseRequest, claimable, merchants_due};
pub use tries::{TRIES_SHOWN, Tries, not_sent_since, tries_of};

/// A row of `notifications`.
#[derive(Clone, Debug, Queryable, QueryableByName, Insertable)]
#[diesel(table_name = notifications)]
pub(super) struct NotificationRow {
    pub notification_id: String,
    pub order_no: String,
    pub order_version: i32,
    pub merchant: String,
    pub order_state: String,
    pub order_reason: Option<String>,
    pub state: String,
    pub reason: Option<String>,
    pub series: i32,
    pub tries: i32,
    pub next_at: i64,
    pub lease_owner: Option<String>,
    pub fence: i64,
    pub created_at: i64,
    pub concluded_at: Option<i64>,
}

impl From<&Notification> for NotificationRow {
    fn from(of: &Notification) -> Self {
        Self {
            notification_id: of.notification_id.to_string(),
            order_no: of.order_no.to_string(),
            order_version: of.order_version,
            merchant: of.merchant.to_string(),
            order_state: of.order_state.as_str().to_owned(),
            order_reason: of.order_reason.clone(),
            state: of.state.as_str().to_owned(),
            reason: of.reason.map(|reason| reason.as_str().to_owned()),
            series: of.series,
            tries: of.tries,
            next_at: micros(of.next_at),
            lease_owner: of.lease_owner.clone(),
            fence: of.fence,
            created_at: micros(of.created_at),
            concluded_at: of.concluded_at.map(micros),
        }
    }
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "notifications",
            key: &row.notification_id,
        };
        Ok(Notification {
            notification_id: of.word::<Uuid>(&row.notification_id)?,
            order_no: of.word(&row.order_no)?,
            merchant: of.word(&row.merchant)?,
            order_state: of.word(&row.order_state)?,
            state: of.word(&row.state)?,
            reason: of.word_opt(row.reason.as_deref())?,
            next_at: of.instant(row.next_at)?,
            created_at: of.instant(row.created_at)?,
            concluded_at: of.instant_opt(row.concluded_at)?,
            order_version: row.order_version,
            order_reason: row.order_reason,
            series: row.series,
            tries: row.tries,
            lease_owner: row.lease_owner,
            fence: row.fence,
        })
    }
}

/// What a listing of notifications is narrowed to; every part may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this order only.
    pub order_no: Option<OrderNo>,
    /// Of this merchant only.
    pub merchant: Option<MerchantCode>,
    /// In these states only.
    pub states: Vec<NotificationState>,
    /// Made at this instant or later.
    pub from: Option<Instant>,
    /// Made before this instant.
    pub to: Option<Instant>,
}

/// Narrows a query of `notifications` to a filter. A macro, because Diesel's types for queries have no
/// common bound that could be said.
macro_rules! narrow {
    ($query:ident, $filter:expr) => {{
        let filter: &Filter = $filter;
        if let Some(order_no) = &filter.order_no {
            $query = $query.filter(notifications::order_no.eq(order_no.to_string()));
        }
        if let Some(merchant) = &filter.merchant {
            $query = $query.filter(notifications::merchant.eq(merchant.to_string()));
        }
        if !filter.states.is_empty() {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            $query = $query.filter(notifications::state.eq_any(states));
        }
        if let Some(from) = filter.from {
            $query = $query.filter(notifications::created_at.ge(micros(from)));
        }
        if let Some(to) = filter.to {
            $query = $query.filter(notifications::created_at.lt(micros(to)));
        }
    }};
}

/// One notification.
pub fn find(c: &mut AnyConnection, id: Uuid) -> Result<Option<Notification>, StoreError> {
    let row: Option<NotificationRow> = notifications::table
        .find(id.to_string())
        .first::<NotificationRow>(c)
        .optional()?;
    row.map(Notification::try_from).transpose()
}

/// The notifications of an order, in its sequence.
pub fn of_order(
    c: &mut AnyConnection,
    order_no: &OrderNo,
) -> Result<Vec<Notification>, StoreError> {
    let rows: Vec<NotificationRow> = notifications::table
        .filter(notifications::order_no.eq(order_no.as_str()))
        .order(notifications::order_version)
        .load::<NotificationRow>(c)?;
    rows.into_iter().map(Notification::try_from).collect()
}

/// A page of notifications by id (which sorts by time), newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Notification>, StoreError> {
    let mut query = notifications::table.into_boxed();
    narrow!(query, filter);
    if let Some(after) = after {
        query = query.filter(notifications::notification_id.lt(after.to_string()));
    }
    let rows: Vec<NotificationRow> = query
        .order(notifications::notification_id.desc())
        .limit(limit)
        .load::<NotificationRow>(c)?;
    rows.into_iter().map(Notification::try_from).collect()
}

/// The notifications of a filter that can be ordered sent again, by id (which sorts by time), oldest
/// first, behind one: all but those that are due anyway or are being sent.
pub fn resendable(
    c: &mut AnyConnection,
    filter: &Filter,
    now: Instant,
    (behind, limit): (Option<Uuid>, i64),
) -> Result<Vec<Notification>, StoreError> {
    let mut query = notifications::table.into_boxed();
    narrow!(query, filter);
    if let Some(behind) = behind {
        query = query.filter(notifications::notification_id.gt(behind.to_string()));
    }
    let waits = notifications::next_at
        .gt(micros(now))
        .and(notifications::lease_owner.is_null());
    let rows: Vec<NotificationRow> = query
        .filter(
            notifications::state
                .ne(NotificationState::Pending.as_str())
                .or(waits),
        )
        .order(notifications::notification_id)
        .limit(limit)
        .load::<NotificationRow>(c)?;
    Ok(readable(rows))
}

/// What is pending, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingFigures {
    /// How many.
    pub count: i64,
    /// When the oldest of them was made.
    pub oldest: Option<Instant>,
}

/// What is pending, in figures.
pub fn pending_figures(c: &mut AnyConnection) -> Result<PendingFigures, StoreError> {
    use diesel::dsl::{count_star, min};
    let (count, oldest): (i64, Option<i64>) = notifications::table
        .filter(is_pending())
        .select((count_star(), min(notifications::created_at)))
        .first(c)?;
    let of = RowOf {
        table: "notifications",
        key: "the oldest",
    };
    Ok(PendingFigures {
        count,
        oldest: of.instant_opt(oldest)?,
    })
}

/// A merchant who has waited long for what it is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Who.
    pub merchant: MerchantCode,
    /// How many of its notifications are pending in their first series.
    pub count: i64,
    /// When the oldest of them was made.
    pub oldest: Instant,
}

/// The merchants whose oldest pending notification was made before an instant, by code. What somebody
/// ordered sent again is old by itself and does not count.
pub fn merchants_behind(c: &mut AnyConnection, before: Instant) -> Result<Vec<Behind>, StoreError> {
    use diesel::dsl::{count_star, min};
    let rows: Vec<(String, i64, Option<i64>)> = notifications::table
        .filter(is_pending())
        .filter(notifications::series.eq(1))
        .group_by(notifications::merchant)
        .having(min(notifications::created_at).lt(micros(before)))
        .select((
            notifications::merchant,
            count_star(),
            min(notifications::created_at),
        ))
        .order(notifications::merchant)
        .load(c)?;
    let rows = rows.into_iter().map(|(merchant, count, oldest)| {
        let of = RowOf {
            table: "notifications",
            key: &merchant,
        };
        Ok(Behind {
            merchant: of.word(&merchant)?,
            count,
            oldest: of.instant(oldest.unwrap_or_default())?,
        })
    });
    rows.collect()
}

/// In the words of the partial index, so that both databases see that they may walk it.
fn is_pending() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql("state = 'PENDING'")
}

/// Makes a notification with its order's move.
pub(super) fn insert(c: &mut AnyConnection, notification: &Notification) -> QueryResult<()> {
    diesel::insert_into(notifications::table)
        .values(NotificationRow::from(notification))
        .execute(c)?;
    Ok(())
}

/// Writes what came of a try: the try itself always, the notification if the lease is still the same.
pub(super) fn tell(c: &mut AnyConnection, tell: &Tell) -> QueryResult<Told> {
    tries::conclude(c, &tell.attempt)?;
    let leased = (NotificationState::Pending, tell.notification.fence);
    let written = replace(c, &tell.notification, leased)?;
    Ok(if written { Told::Done } else { Told::Fenced })
}

/// Writes a notification's new values if its state and its fence are still those that were read.
fn replace(
    c: &mut AnyConnection,
    of: &Notification,
    (state, fence): (NotificationState, i64),
) -> QueryResult<bool> {
    let row = NotificationRow::from(of);
    let written = diesel::update(
        notifications::table
            .filter(notifications::notification_id.eq(row.notification_id))
            .filter(notifications::state.eq(state.as_str()))
            .filter(notifications::fence.eq(fence)),
    )
    .set((
        notifications::state.eq(row.state),
        notifications::reason.eq(row.reason),
        notifications::series.eq(row.series),
        notifications::tries.eq(row.tries),
        notifications::next_at.eq(row.next_at),
        notifications::lease_owner.eq(row.lease_owner),
        notifications::fence.eq(row.fence),
        notifications::concluded_at.eq(row.concluded_at),
    ))
    .execute(c)?;
    Ok(written == 1)
}

impl Tx<'_> {
    /// Leases what is still due of what was found, and begins a try of each.
    pub fn lease_notifications(
        &mut self,
        request: &LeaseRequest,
    ) -> Result<Vec<(Notification, NotificationTry)>, StoreError> {
        lease::lease(self.c, request)
    }

    /// Orders a notification sent again, if it is as it was read.
    pub fn resend_notification(
        &mut self,
        before: &Notification,
        after: &Notification,
    ) -> Result<bool, StoreError> {
        Ok(replace(self.c, after, (before.state, before.fence))?)
    }
}
