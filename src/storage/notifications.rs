//! Notifications as rows: made with the order's move, leased by whoever sends them, concluded by an
//! answer; and their tries, each written down before its first byte leaves.
//!
//! A lease moves `next_at` to its own end. So "due" is one comparison, the index over it holds what is
//! pending and nothing else, and a sender that died gives its work back by doing nothing.
//!
//! How one could break this: by leasing a notification while an earlier one of its order is pending, or
//! while any of them is being sent; by concluding without the fence.

use super::Tx;
use super::change::{Tell, Told};
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros, readable};
use super::schema::{notification_tries, notifications};
use crate::domain::ids::{MerchantCode, OrderNo};
use crate::domain::notification::{Notification, NotificationState, NotificationTry, TryOutcome};
use crate::domain::time::Instant;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use uuid::Uuid;

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

/// A row of `notification_tries`. Every column is named when rows are inserted, so that SQLite takes many
/// in one statement; else Diesel would begin a transaction of its own around them.
#[derive(Clone, Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = notification_tries, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
struct TryRow {
    try_id: String,
    notification_id: String,
    series: i32,
    number: i32,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: String,
    http_status: Option<i32>,
    host: Option<String>,
    cause: Option<String>,
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

impl From<&NotificationTry> for TryRow {
    fn from(of: &NotificationTry) -> Self {
        Self {
            try_id: of.try_id.to_string(),
            notification_id: of.notification_id.to_string(),
            series: of.series,
            number: of.number,
            started_at: micros(of.started_at),
            ended_at: of.ended_at.map(micros),
            outcome: of.outcome.as_str().to_owned(),
            http_status: of.http_status,
            host: of.host.clone(),
            cause: of.cause.clone(),
        }
    }
}

impl TryFrom<TryRow> for NotificationTry {
    type Error = StoreError;

    fn try_from(row: TryRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "notification_tries",
            key: &row.try_id,
        };
        Ok(NotificationTry {
            try_id: of.word::<Uuid>(&row.try_id)?,
            notification_id: of.word::<Uuid>(&row.notification_id)?,
            started_at: of.instant(row.started_at)?,
            ended_at: of.instant_opt(row.ended_at)?,
            outcome: of.word(&row.outcome)?,
            series: row.series,
            number: row.number,
            http_status: row.http_status,
            host: row.host,
            cause: row.cause,
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

/// The notifications of a filter that can be ordered sent again, oldest first: all but those that are
/// due anyway or are being sent.
pub fn resendable(
    c: &mut AnyConnection,
    filter: &Filter,
    now: Instant,
    limit: i64,
) -> Result<Vec<Notification>, StoreError> {
    let mut query = notifications::table.into_boxed();
    narrow!(query, filter);
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

/// The tries of notifications, in the order in which they began.
pub fn tries_of(c: &mut AnyConnection, of: &[Uuid]) -> Result<Vec<NotificationTry>, StoreError> {
    let ids = of.iter().map(Uuid::to_string);
    let rows: Vec<TryRow> = super::either!(c, |c| notification_tries::table
        .filter(notification_tries::notification_id.eq_any(ids))
        .order((
            notification_tries::notification_id,
            notification_tries::try_id
        ))
        .load::<TryRow>(c))?;
    rows.into_iter().map(NotificationTry::try_from).collect()
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

/// In the words of the partial index, so that both databases see that they may walk it.
fn is_pending() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql("state = 'PENDING'")
}

#[derive(QueryableByName)]
struct Code {
    #[diesel(sql_type = Text)]
    merchant: String,
}

/// The merchants who have something due, by code. The index is jumped through from merchant to
/// merchant, so that one with a hundred thousand rows costs no more than one with a single row.
pub fn merchants_due(c: &mut AnyConnection, now: Instant) -> Result<Vec<MerchantCode>, StoreError> {
    let question = |now: &str| {
        format!(
            "WITH RECURSIVE m (merchant) AS (\
             SELECT (SELECT MIN(n.merchant) FROM notifications n WHERE n.state = 'PENDING') \
             UNION ALL SELECT (SELECT MIN(n.merchant) FROM notifications n \
             WHERE n.state = 'PENDING' AND n.merchant > m.merchant) \
             FROM m WHERE m.merchant IS NOT NULL) \
             SELECT m.merchant FROM m WHERE m.merchant IS NOT NULL AND EXISTS (\
             SELECT 1 FROM notifications n WHERE n.state = 'PENDING' \
             AND n.merchant = m.merchant AND n.next_at <= {now}) ORDER BY m.merchant"
        )
    };
    let codes: Vec<Code> = match c {
        AnyConnection::Postgres(c) => diesel::sql_query(question("$1"))
            .bind::<BigInt, _>(micros(now))
            .load(c)?,
        AnyConnection::Sqlite(c) => diesel::sql_query(question("?1"))
            .bind::<BigInt, _>(micros(now))
            .load(c)?,
    };
    let codes = codes.into_iter().map(|code| {
        let of = RowOf {
            table: "notifications",
            key: &code.merchant,
        };
        of.word(&code.merchant)
    });
    codes.collect()
}

/// Who leases, from when, until when, and how many of which merchant.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The replica.
    pub owner: String,
    /// Now.
    pub now: Instant,
    /// When the lease lapses.
    pub until: Instant,
    /// How many of each merchant at most.
    pub rooms: Vec<(MerchantCode, i64)>,
}

/// The statement that leases for one merchant. An array is chosen once; see `exceptions::lease_due`.
const LEASE_POSTGRES: &str = "UPDATE notifications SET lease_owner = $1, next_at = $2, \
     fence = fence + 1 WHERE notification_id = ANY (ARRAY (SELECT n.notification_id \
     FROM notifications n WHERE n.state = 'PENDING' AND n.merchant = $3 AND n.next_at <= $4 \
     AND NOT EXISTS (SELECT 1 FROM notifications o WHERE o.order_no = n.order_no \
     AND o.notification_id <> n.notification_id AND o.state = 'PENDING' \
     AND (o.order_version < n.order_version OR (o.lease_owner IS NOT NULL AND o.next_at > $4))) \
     ORDER BY n.next_at LIMIT $5 FOR UPDATE OF n SKIP LOCKED)) RETURNING *";
const LEASE_SQLITE: &str = "UPDATE notifications SET lease_owner = ?1, next_at = ?2, \
     fence = fence + 1 WHERE notification_id IN (SELECT n.notification_id \
     FROM notifications n WHERE n.state = 'PENDING' AND n.merchant = ?3 AND n.next_at <= ?4 \
     AND NOT EXISTS (SELECT 1 FROM notifications o WHERE o.order_no = n.order_no \
     AND o.notification_id <> n.notification_id AND o.state = 'PENDING' \
     AND (o.order_version < n.order_version OR (o.lease_owner IS NOT NULL AND o.next_at > ?4))) \
     ORDER BY n.next_at LIMIT ?5) RETURNING *";

fn lease_of(
    c: &mut AnyConnection,
    request: &LeaseRequest,
    merchant: &MerchantCode,
    room: i64,
) -> QueryResult<Vec<NotificationRow>> {
    macro_rules! lease {
        ($c:expr, $statement:expr) => {
            diesel::sql_query($statement)
                .bind::<Text, _>(&request.owner)
                .bind::<BigInt, _>(micros(request.until))
                .bind::<Text, _>(merchant.as_str())
                .bind::<BigInt, _>(micros(request.now))
                .bind::<BigInt, _>(room)
                .load($c)
        };
    }
    match c {
        AnyConnection::Postgres(c) => lease!(c, LEASE_POSTGRES),
        AnyConnection::Sqlite(c) => lease!(c, LEASE_SQLITE),
    }
}

/// Leases what is due and writes a row for each try that begins. A try of an earlier lease that never
/// ended was interrupted.
pub(super) fn lease_due(
    c: &mut AnyConnection,
    request: &LeaseRequest,
) -> Result<Vec<(Notification, NotificationTry)>, StoreError> {
    let mut rows = Vec::new();
    for (merchant, room) in &request.rooms {
        rows.extend(lease_of(c, request, merchant, *room)?);
    }
    // Both statements would be for nothing.
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.notification_id.clone()).collect();
    super::either!(c, |c| diesel::update(
        notification_tries::table
            .filter(notification_tries::notification_id.eq_any(&ids))
            .filter(notification_tries::outcome.eq(TryOutcome::Started.as_str())),
    )
    .set((
        notification_tries::outcome.eq(TryOutcome::Interrupted.as_str()),
        notification_tries::ended_at.eq(Some(micros(request.now))),
    ))
    .execute(c))?;
    let begin = |leased: Notification| {
        let begun = leased.begin(Uuid::now_v7(), request.now);
        (leased, begun)
    };
    let leased: Vec<_> = readable::<_, Notification>(rows)
        .into_iter()
        .map(begin)
        .collect();
    let tries: Vec<TryRow> = leased.iter().map(|(_, begun)| begun.into()).collect();
    super::either!(c, |c| diesel::insert_into(notification_tries::table)
        .values(&tries)
        .execute(c))?;
    Ok(leased)
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
    let attempt = TryRow::from(&tell.attempt);
    diesel::update(notification_tries::table.find(attempt.try_id.clone()))
        .set(attempt)
        .execute(c)?;
    let written = replace(c, &tell.notification, tell.notification.fence)?;
    Ok(if written { Told::Done } else { Told::Fenced })
}

/// Writes a notification's new values if its fence is still the one that was read.
fn replace(c: &mut AnyConnection, of: &Notification, fence: i64) -> QueryResult<bool> {
    let row = NotificationRow::from(of);
    let written = diesel::update(
        notifications::table
            .filter(notifications::notification_id.eq(row.notification_id))
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
    /// Leases what is due and begins a try of each.
    pub fn lease_notifications(
        &mut self,
        request: &LeaseRequest,
    ) -> Result<Vec<(Notification, NotificationTry)>, StoreError> {
        lease_due(self.c, request)
    }

    /// Orders a notification sent again, if it is as it was read.
    pub fn resend_notification(
        &mut self,
        before: &Notification,
        after: &Notification,
    ) -> Result<bool, StoreError> {
        Ok(replace(self.c, after, before.fence)?)
    }
}
