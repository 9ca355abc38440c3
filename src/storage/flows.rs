//! Flows and the attempts about them, as rows.

use super::business_days::stretch_of;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::orders::{Filter, Page};
use super::row::{RowOf, micros};
use super::schema::{attempts, flows};
use crate::domain::flow::{Attempt, Flow, FlowKind};
use crate::domain::ids::{FlowNo, OrderNo};
use crate::domain::order::Order;
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;
use uuid::Uuid;

/// A row of `flows`. Merchant, biller and bill are copied from the order, which never changes them,
/// so that partners can list their flows without a join.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = flows)]
pub(super) struct FlowRow {
    pub flow_no: String,
    pub order_no: String,
    pub merchant: String,
    pub biller: String,
    pub bill_no: String,
    pub kind: String,
    pub step: i32,
    pub adapter: String,
    pub amount_minor: i64,
    pub currency: String,
    pub state: String,
    pub code: Option<String>,
    pub upstream_ref: Option<String>,
    pub message: Option<String>,
    pub business_date: NaiveDate,
    pub started_at: i64,
    pub concluded_at: Option<i64>,
    pub version: i32,
}

impl FlowRow {
    pub fn new(flow: &Flow, order: &Order) -> Self {
        Self {
            flow_no: flow.flow_no.to_string(),
            order_no: flow.order_no.to_string(),
            merchant: order.merchant.to_string(),
            biller: order.biller.to_string(),
            bill_no: order.bill_no.to_string(),
            kind: flow.kind.as_str().to_owned(),
            step: flow.step,
            adapter: flow.adapter.to_string(),
            amount_minor: flow.amount.amount_minor,
            currency: flow.amount.currency.code().to_owned(),
            state: flow.state.as_str().to_owned(),
            code: flow.code.clone(),
            upstream_ref: flow.upstream_ref.clone(),
            message: flow.message.clone(),
            business_date: flow.business_date.0,
            started_at: micros(flow.started_at),
            concluded_at: flow.concluded_at.map(micros),
            version: flow.version,
        }
    }
}

impl TryFrom<FlowRow> for Flow {
    type Error = StoreError;

    fn try_from(row: FlowRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "flows",
            key: &row.flow_no,
        };
        Ok(Flow {
            flow_no: of.word(&row.flow_no)?,
            order_no: of.word(&row.order_no)?,
            kind: of.word(&row.kind)?,
            adapter: of.word(&row.adapter)?,
            amount: of.money(row.amount_minor, &row.currency)?,
            state: of.word(&row.state)?,
            business_date: BusinessDate(row.business_date),
            started_at: of.instant(row.started_at)?,
            concluded_at: of.instant_opt(row.concluded_at)?,
            step: row.step,
            code: row.code,
            upstream_ref: row.upstream_ref,
            message: row.message,
            version: row.version,
        })
    }
}

/// One flow.
pub fn find(c: &mut AnyConnection, flow_no: &FlowNo) -> Result<Option<Flow>, StoreError> {
    let row: Option<FlowRow> = flows::table
        .find(flow_no.as_str())
        .first::<FlowRow>(c)
        .optional()?;
    row.map(Flow::try_from).transpose()
}

/// The merchant that a flow belongs to, for the check of rights.
pub fn merchant_of(c: &mut AnyConnection, flow_no: &FlowNo) -> Result<Option<String>, StoreError> {
    Ok(flows::table
        .find(flow_no.as_str())
        .select(flows::merchant)
        .first(c)
        .optional()?)
}

/// The flows of many orders, each order's in the sequence of their starts.
pub fn of_orders(c: &mut AnyConnection, orders: &[OrderNo]) -> Result<Vec<Flow>, StoreError> {
    let numbers: Vec<&str> = orders.iter().map(OrderNo::as_str).collect();
    let rows: Vec<FlowRow> = flows::table
        .filter(flows::order_no.eq_any(numbers))
        .order((flows::order_no, flows::started_at, flows::flow_no))
        .load::<FlowRow>(c)?;
    rows.into_iter().map(Flow::try_from).collect()
}

/// The latest flow of a kind of an order.
pub fn latest(
    c: &mut AnyConnection,
    order_no: &OrderNo,
    kind: FlowKind,
) -> Result<Option<Flow>, StoreError> {
    let row: Option<FlowRow> = flows::table
        .filter(flows::order_no.eq(order_no.as_str()))
        .filter(flows::kind.eq(kind.as_str()))
        .order(flows::step.desc())
        .first::<FlowRow>(c)
        .optional()?;
    row.map(Flow::try_from).transpose()
}

/// A page of flows, newest first.
pub fn list(c: &mut AnyConnection, filter: &Filter, page: &Page) -> Result<Vec<Flow>, StoreError> {
    let mut query = flows::table.into_boxed();
    if !filter.states.is_empty() {
        query = query.filter(flows::state.eq_any(filter.states.clone()));
    }
    if let Some(merchant) = &filter.merchant {
        query = query.filter(flows::merchant.eq(merchant.clone()));
    }
    if let Some(biller) = &filter.biller {
        query = query.filter(flows::biller.eq(biller.clone()));
    }
    if let Some(bill_no) = &filter.bill_no {
        query = query.filter(flows::bill_no.eq(bill_no.clone()));
    }
    if let Some(from) = filter.from {
        query = query.filter(flows::flow_no.ge(from.digits()));
    }
    if let Some(to) = filter.to {
        query = query.filter(flows::flow_no.lt(stretch_of(to).1));
    }
    if let Some(after) = &page.after {
        query = query.filter(flows::flow_no.lt(after.clone()));
    }
    if let Some(before) = &page.before {
        query = query.filter(flows::flow_no.gt(before.clone()));
    }
    let query = query.limit(page.limit);
    let mut rows: Vec<FlowRow> = if page.before.is_some() && page.after.is_none() {
        query.order(flows::flow_no.asc()).load::<FlowRow>(c)?
    } else {
        query.order(flows::flow_no.desc()).load::<FlowRow>(c)?
    };
    rows.sort_by(|a, b| b.flow_no.cmp(&a.flow_no));
    rows.into_iter().map(Flow::try_from).collect()
}

/// A row of `attempts`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = attempts)]
pub(super) struct AttemptRow {
    pub attempt_id: String,
    pub flow_no: String,
    pub order_no: String,
    pub operation: String,
    pub outcome: String,
    pub code: Option<String>,
    pub cause: Option<String>,
    pub asked_at: i64,
    pub answered_at: i64,
    pub job_run: Option<String>,
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        Self {
            attempt_id: attempt.attempt_id.to_string(),
            flow_no: attempt.flow_no.to_string(),
            order_no: attempt.order_no.to_string(),
            operation: attempt.operation.as_str().to_owned(),
            outcome: attempt.outcome.as_str().to_owned(),
            code: attempt.code.clone(),
            cause: attempt.cause.clone(),
            asked_at: micros(attempt.asked_at),
            answered_at: micros(attempt.answered_at),
            job_run: attempt.job_run.map(|run| run.to_string()),
        }
    }
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "attempts",
            key: &row.attempt_id,
        };
        Ok(Attempt {
            attempt_id: of.word::<Uuid>(&row.attempt_id)?,
            flow_no: of.word(&row.flow_no)?,
            order_no: of.word(&row.order_no)?,
            operation: of.word(&row.operation)?,
            outcome: of.word(&row.outcome)?,
            asked_at: of.instant(row.asked_at)?,
            answered_at: of.instant(row.answered_at)?,
            job_run: of.word_opt(row.job_run.as_deref())?,
            code: row.code,
            cause: row.cause,
        })
    }
}

/// The attempts about an order, oldest first.
pub fn attempts_of(c: &mut AnyConnection, order_no: &OrderNo) -> Result<Vec<Attempt>, StoreError> {
    let rows: Vec<AttemptRow> = attempts::table
        .filter(attempts::order_no.eq(order_no.as_str()))
        .order((attempts::asked_at, attempts::attempt_id))
        .load::<AttemptRow>(c)?;
    rows.into_iter().map(Attempt::try_from).collect()
}

/// Writes an attempt down; one that is already there stays as it is.
pub(super) fn insert_attempt(c: &mut AnyConnection, attempt: &Attempt) -> QueryResult<()> {
    let row = AttemptRow::from(attempt);
    super::either!(c, |c| {
        diesel::insert_into(attempts::table)
            .values(&row)
            .on_conflict(attempts::attempt_id)
            .do_nothing()
            .execute(c)
    })?;
    Ok(())
}
