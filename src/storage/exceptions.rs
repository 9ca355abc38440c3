//! Exceptions as rows: opened with the order's move, leased by pollers, closed by an answer.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::orders;
use super::row::{RowOf, micros, readable};
use super::schema::{self, exceptions};
use crate::domain::exception::{AlarmLevel, Exception, Phase};
use crate::domain::ids::OrderNo;
use crate::domain::time::Instant;
use diesel::prelude::*;
use uuid::Uuid;

/// A row of `exceptions`.
#[derive(Clone, Debug, Queryable, QueryableByName, Insertable)]
#[diesel(table_name = exceptions)]
pub(super) struct ExceptionRow {
    pub exception_id: String,
    pub order_no: String,
    pub payment_flow_no: String,
    pub reversal_flow_no: Option<String>,
    pub phase: String,
    pub polls: i32,
    pub unknowns: i32,
    pub not_found: i32,
    pub tries: i32,
    pub last_outcome: Option<String>,
    pub payment_started_at: i64,
    pub opened_at: i64,
    pub phase_at: i64,
    pub next_at: i64,
    pub alarm: String,
    pub escalated: bool,
    pub lease_owner: Option<String>,
    pub lease_until: Option<i64>,
    pub fence: i64,
    pub closed_at: Option<i64>,
    pub holder_lost: bool,
}

/// What the holder of a lease writes: all but what never changes, and but the alarm, which any
/// replica may raise meanwhile.
#[derive(AsChangeset)]
#[diesel(table_name = exceptions, treat_none_as_null = true)]
struct Held {
    reversal_flow_no: Option<String>,
    phase: String,
    polls: i32,
    unknowns: i32,
    not_found: i32,
    tries: i32,
    last_outcome: Option<String>,
    phase_at: i64,
    next_at: i64,
    escalated: bool,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    closed_at: Option<i64>,
    holder_lost: bool,
}

impl From<ExceptionRow> for Held {
    fn from(row: ExceptionRow) -> Self {
        let ExceptionRow {
            exception_id: _,
            order_no: _,
            payment_flow_no: _,
            reversal_flow_no,
            phase,
            polls,
            unknowns,
            not_found,
            tries,
            last_outcome,
            payment_started_at: _,
            opened_at: _,
            phase_at,
            next_at,
            alarm: _,
            escalated,
            lease_owner,
            lease_until,
            fence: _,
            closed_at,
            holder_lost,
        } = row;
        Self {
            reversal_flow_no,
            phase,
            polls,
            unknowns,
            not_found,
            tries,
            last_outcome,
            phase_at,
            next_at,
            escalated,
            lease_owner,
            lease_until,
            closed_at,
            holder_lost,
        }
    }
}

impl From<&Exception> for ExceptionRow {
    fn from(exception: &Exception) -> Self {
        Self {
            exception_id: exception.exception_id.to_string(),
            order_no: exception.order_no.to_string(),
            payment_flow_no: exception.payment_flow_no.to_string(),
            reversal_flow_no: exception.reversal_flow_no.as_ref().map(ToString::to_string),
            phase: exception.phase.as_str().to_owned(),
            polls: exception.polls,
            unknowns: exception.unknowns,
            not_found: exception.not_found,
            tries: exception.tries,
            last_outcome: exception
                .last_outcome
                .map(|outcome| outcome.as_str().to_owned()),
            payment_started_at: micros(exception.payment_started_at),
            opened_at: micros(exception.opened_at),
            phase_at: micros(exception.phase_at),
            next_at: micros(exception.next_at),
            alarm: exception.alarm.as_str().to_owned(),
            escalated: exception.escalated,
            lease_owner: exception.lease_owner.clone(),
            lease_until: exception.lease_until.map(micros),
            fence: exception.fence,
            closed_at: exception.closed_at.map(micros),
            holder_lost: exception.holder_lost,
        }
    }
}

impl TryFrom<ExceptionRow> for Exception {
    type Error = StoreError;

    fn try_from(row: ExceptionRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "exceptions",
            key: &row.exception_id,
        };
        Ok(Exception {
            exception_id: of.word::<Uuid>(&row.exception_id)?,
            order_no: of.word(&row.order_no)?,
            payment_flow_no: of.word(&row.payment_flow_no)?,
            reversal_flow_no: of.word_opt(row.reversal_flow_no.as_deref())?,
            phase: of.word(&row.phase)?,
            last_outcome: of.word_opt(row.last_outcome.as_deref())?,
            payment_started_at: of.instant(row.payment_started_at)?,
            opened_at: of.instant(row.opened_at)?,
            phase_at: of.instant(row.phase_at)?,
            next_at: of.instant(row.next_at)?,
            alarm: of.word(&row.alarm)?,
            lease_until: of.instant_opt(row.lease_until)?,
            closed_at: of.instant_opt(row.closed_at)?,
            polls: row.polls,
            unknowns: row.unknowns,
            not_found: row.not_found,
            tries: row.tries,
            escalated: row.escalated,
            lease_owner: row.lease_owner,
            fence: row.fence,
            holder_lost: row.holder_lost,
        })
    }
}

/// The open exception of an order.
pub fn open_of(c: &mut AnyConnection, order_no: &OrderNo) -> Result<Option<Exception>, StoreError> {
    let row: Option<ExceptionRow> = exceptions::table
        .filter(exceptions::order_no.eq(order_no.as_str()))
        .filter(exceptions::closed_at.is_null())
        .first::<ExceptionRow>(c)
        .optional()?;
    row.map(Exception::try_from).transpose()
}

/// Every exception of an order, oldest first.
pub fn of_order(c: &mut AnyConnection, order_no: &OrderNo) -> Result<Vec<Exception>, StoreError> {
    let rows: Vec<ExceptionRow> = exceptions::table
        .filter(exceptions::order_no.eq(order_no.as_str()))
        .order((exceptions::opened_at, exceptions::exception_id))
        .load::<ExceptionRow>(c)?;
    rows.into_iter().map(Exception::try_from).collect()
}

/// What a listing of exceptions is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Closed ones are left out.
    pub open_only: bool,
    /// This phase only.
    pub phase: Option<Phase>,
    /// About these orders only.
    pub orders: orders::Filter,
}

/// A page of exceptions by id (which sorts by time), newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Exception>, StoreError> {
    let order = schema::orders::table.on(schema::orders::order_no.eq(exceptions::order_no));
    let mut query = exceptions::table
        .inner_join(order)
        .select(exceptions::all_columns)
        .into_boxed();
    if filter.open_only {
        query = query.filter(exceptions::closed_at.is_null());
    }
    if let Some(phase) = filter.phase {
        query = query.filter(exceptions::phase.eq(phase.as_str()));
    }
    orders::narrow!(query, &filter.orders);
    if let Some(after) = after {
        query = query.filter(exceptions::exception_id.lt(after.to_string()));
    }
    let rows: Vec<ExceptionRow> = query
        .order(exceptions::exception_id.desc())
        .limit(limit)
        .load::<ExceptionRow>(c)?;
    rows.into_iter().map(Exception::try_from).collect()
}

/// The open exceptions of one phase, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFigures {
    /// Which phase.
    pub phase: Phase,
    /// How many.
    pub count: i64,
    /// When the oldest of them was opened.
    pub oldest: Instant,
    /// The highest place on the ladder: how often the bank was asked about one of them.
    pub polls_max: i32,
}

/// The open exceptions in figures, phase by phase.
pub fn open_figures(c: &mut AnyConnection) -> Result<Vec<OpenFigures>, StoreError> {
    use diesel::dsl::{count_star, max, min};
    let rows: Vec<(String, i64, Option<i64>, Option<i32>)> = exceptions::table
        .filter(exceptions::closed_at.is_null())
        .group_by(exceptions::phase)
        .select((
            exceptions::phase,
            count_star(),
            min(exceptions::opened_at),
            max(exceptions::polls),
        ))
        .load(c)?;
    rows.into_iter()
        .map(|(phase, count, oldest, polls)| {
            let of = RowOf {
                table: "exceptions",
                key: &phase,
            };
            Ok(OpenFigures {
                phase: of.word(&phase)?,
                count,
                oldest: of.instant(oldest.unwrap_or(0))?,
                polls_max: polls.unwrap_or(0),
            })
        })
        .collect()
}

/// Who leases, from when, until when, and how many at most.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The replica.
    pub owner: String,
    /// Now.
    pub now: Instant,
    /// When the lease lapses.
    pub until: Instant,
    /// At most so many.
    pub limit: i64,
}

/// Leases the due exceptions that nobody else works on. Each lease raises the row's fence, so that
/// a holder who was paused past the end of its lease cannot write back. That a holder never gave its
/// lease up is kept: what it sent last is not in the counts.
pub(super) fn lease_due(
    c: &mut AnyConnection,
    request: &LeaseRequest,
) -> Result<Vec<Exception>, StoreError> {
    const HEAD: &str = "UPDATE exceptions SET holder_lost = (holder_lost OR (phase = 'REVERSE' AND \
                        lease_owner IS NOT NULL)), lease_owner = ";
    let rows: Vec<ExceptionRow> = match c {
        AnyConnection::Postgres(c) => diesel::sql_query(format!(
            // An array is chosen once. A subquery in an IN may be run for each row, and then each
            // run skips the rows of the runs before it and locks further ones.
            "{HEAD}$1, lease_until = $2, fence = fence + 1 WHERE exception_id = ANY (ARRAY \
             (SELECT exception_id FROM exceptions WHERE closed_at IS NULL AND next_at <= $3 \
              AND (lease_until IS NULL OR lease_until <= $3) ORDER BY next_at LIMIT $4 \
              FOR UPDATE SKIP LOCKED)) RETURNING *"
        ))
        .bind::<diesel::sql_types::Text, _>(&request.owner)
        .bind::<diesel::sql_types::BigInt, _>(micros(request.until))
        .bind::<diesel::sql_types::BigInt, _>(micros(request.now))
        .bind::<diesel::sql_types::BigInt, _>(request.limit)
        .load(c)?,
        AnyConnection::Sqlite(c) => diesel::sql_query(format!(
            "{HEAD}?1, lease_until = ?2, fence = fence + 1 WHERE exception_id IN \
             (SELECT exception_id FROM exceptions WHERE closed_at IS NULL AND next_at <= ?3 \
              AND (lease_until IS NULL OR lease_until <= ?3) ORDER BY next_at LIMIT ?4) RETURNING *"
        ))
        .bind::<diesel::sql_types::Text, _>(&request.owner)
        .bind::<diesel::sql_types::BigInt, _>(micros(request.until))
        .bind::<diesel::sql_types::BigInt, _>(micros(request.now))
        .bind::<diesel::sql_types::BigInt, _>(request.limit)
        .load(c)?,
    };
    Ok(readable(rows))
}

/// Opens an exception with its order's move.
pub(super) fn insert(c: &mut AnyConnection, exception: &Exception) -> QueryResult<()> {
    diesel::insert_into(exceptions::table)
        .values(ExceptionRow::from(exception))
        .execute(c)?;
    Ok(())
}

/// Writes an open exception's new values if nobody has leased it since they were read; false if
/// somebody has. The order's own version does not tell: an ask that settles nothing leaves it alone.
pub(super) fn replace(c: &mut AnyConnection, exception: &Exception) -> QueryResult<bool> {
    write(c, ExceptionRow::from(exception))
}

/// Writes the counts of an ask back if the lease is still the same, and gives the lease up.
pub(super) fn write_back(c: &mut AnyConnection, exception: &Exception) -> QueryResult<bool> {
    let row = ExceptionRow {
        lease_owner: None,
        lease_until: None,
        ..ExceptionRow::from(exception)
    };
    write(c, row)
}

fn write(c: &mut AnyConnection, row: ExceptionRow) -> QueryResult<bool> {
    let (id, fence) = (row.exception_id.clone(), row.fence);
    let written = diesel::update(
        exceptions::table
            .filter(exceptions::exception_id.eq(id))
            .filter(exceptions::fence.eq(fence))
            .filter(exceptions::closed_at.is_null()),
    )
    .set(Held::from(row))
    .execute(c)?;
    Ok(written == 1)
}

/// Closes whatever exception of an order is open.
pub(super) fn close(c: &mut AnyConnection, order_no: &OrderNo, now: Instant) -> QueryResult<()> {
    diesel::update(
        exceptions::table
            .filter(exceptions::order_no.eq(order_no.as_str()))
            .filter(exceptions::closed_at.is_null()),
    )
    .set((
        exceptions::closed_at.eq(Some(micros(now))),
        exceptions::lease_owner.eq(None::<String>),
        exceptions::lease_until.eq(None::<i64>),
    ))
    .execute(c)?;
    Ok(())
}

/// The open exceptions that are older than an instant and have called less loudly than a level.
pub fn quieter_than(
    c: &mut AnyConnection,
    level: AlarmLevel,
    opened_before: Instant,
    limit: i64,
) -> Result<Vec<Exception>, StoreError> {
    let quieter: Vec<&str> = AlarmLevel::ALL
        .iter()
        .filter(|l| **l < level)
        .map(|l| l.as_str())
        .collect();
    let rows: Vec<ExceptionRow> = exceptions::table
        .filter(exceptions::closed_at.is_null())
        .filter(exceptions::phase.ne(Phase::Watch.as_str()))
        .filter(exceptions::opened_at.le(micros(opened_before)))
        .filter(exceptions::alarm.eq_any(quieter))
        .order(exceptions::opened_at)
        .limit(limit)
        .load::<ExceptionRow>(c)?;
    Ok(readable(rows))
}

/// Raises the alarm level of an exception; false when somebody else has done so already.
pub(super) fn raise_alarm(
    c: &mut AnyConnection,
    exception_id: Uuid,
    from: AlarmLevel,
    to: AlarmLevel,
) -> QueryResult<bool> {
    let raised = diesel::update(
        exceptions::table
            .filter(exceptions::exception_id.eq(exception_id.to_string()))
            .filter(exceptions::alarm.eq(from.as_str()))
            .filter(exceptions::closed_at.is_null()),
    )
    .set(exceptions::alarm.eq(to.as_str()))
    .execute(c)?;
    Ok(raised == 1)
}
