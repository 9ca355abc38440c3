//! Orders as rows.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros, readable};
use super::schema::orders;
use crate::domain::ids::{MerchantCode, OrderNo, RequestNo};
use crate::domain::order::{Order, OrderState};
use crate::domain::time::{BusinessDate, Instant};
use chrono::NaiveDate;
use diesel::prelude::*;
use std::collections::HashMap;

/// A row of `orders`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = orders)]
pub(super) struct OrderRow {
    pub order_no: String,
    pub merchant: String,
    pub request_no: String,
    pub fingerprint: String,
    pub item: String,
    pub biller: String,
    pub bill_no: String,
    pub bill_ref: Option<String>,
    pub amount_minor: i64,
    pub currency: String,
    pub state: String,
    pub reason: Option<String>,
    pub business_date: NaiveDate,
    pub expires_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub version: i32,
}

impl From<&Order> for OrderRow {
    fn from(order: &Order) -> Self {
        Self {
            order_no: order.order_no.to_string(),
            merchant: order.merchant.to_string(),
            request_no: order.request_no.to_string(),
            fingerprint: order.fingerprint.clone(),
            item: order.item.to_string(),
            biller: order.biller.to_string(),
            bill_no: order.bill_no.to_string(),
            bill_ref: order.bill_ref.clone(),
            amount_minor: order.amount.amount_minor,
            currency: order.amount.currency.code().to_owned(),
            state: order.state.as_str().to_owned(),
            reason: order.reason.clone(),
            business_date: order.business_date.0,
            expires_at: micros(order.expires_at),
            created_at: micros(order.created_at),
            updated_at: micros(order.updated_at),
            version: order.version,
        }
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = StoreError;

    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "orders",
            key: &row.order_no,
        };
        Ok(Order {
            order_no: of.word(&row.order_no)?,
            merchant: of.word(&row.merchant)?,
            request_no: of.word(&row.request_no)?,
            item: of.word(&row.item)?,
            biller: of.word(&row.biller)?,
            bill_no: of.word(&row.bill_no)?,
            amount: of.money(row.amount_minor, &row.currency)?,
            state: of.word(&row.state)?,
            business_date: BusinessDate(row.business_date),
            expires_at: of.instant(row.expires_at)?,
            created_at: of.instant(row.created_at)?,
            updated_at: of.instant(row.updated_at)?,
            fingerprint: row.fingerprint,
            bill_ref: row.bill_ref,
            reason: row.reason,
            version: row.version,
        })
    }
}

/// One order.
pub fn find(c: &mut AnyConnection, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
    let row: Option<OrderRow> = orders::table
        .find(order_no.as_str())
        .first::<OrderRow>(c)
        .optional()?;
    row.map(Order::try_from).transpose()
}

/// The rows of many orders by number, in no particular order.
pub(super) fn rows_of(
    c: &mut AnyConnection,
    numbers: &[&OrderNo],
) -> Result<Vec<OrderRow>, StoreError> {
    let numbers = numbers.iter().map(|number| number.as_str());
    // Said to each database by itself, so that PostgreSQL gets one array and prepares it once.
    Ok(super::either!(c, |c| orders::table
        .filter(orders::order_no.eq_any(numbers))
        .load::<OrderRow>(c))?)
}

/// Many orders by number, in no particular order.
pub fn find_many(c: &mut AnyConnection, numbers: &[OrderNo]) -> Result<Vec<Order>, StoreError> {
    let numbers: Vec<&OrderNo> = numbers.iter().collect();
    let rows = rows_of(c, &numbers)?;
    rows.into_iter().map(Order::try_from).collect()
}

/// Many orders by number; one that cannot be read is left out and said.
pub fn find_readable(
    c: &mut AnyConnection,
    numbers: &[OrderNo],
) -> Result<HashMap<OrderNo, Order>, StoreError> {
    let numbers: Vec<&OrderNo> = numbers.iter().collect();
    let found: Vec<Order> = readable(rows_of(c, &numbers)?);
    let by_number = |order: Order| (order.order_no.clone(), order);
    Ok(found.into_iter().map(by_number).collect())
}

/// The order that a merchant's request number made.
pub fn find_by_request(
    c: &mut AnyConnection,
    merchant: &MerchantCode,
    request_no: &RequestNo,
) -> Result<Option<Order>, StoreError> {
    let row: Option<OrderRow> = orders::table
        .filter(orders::merchant.eq(merchant.as_str()))
        .filter(orders::request_no.eq(request_no.as_str()))
        .first::<OrderRow>(c)
        .optional()?;
    row.map(Order::try_from).transpose()
}

/// Orders that nobody confirmed in time.
pub fn expired(c: &mut AnyConnection, now: Instant, most: i64) -> Result<Vec<Order>, StoreError> {
    let rows: Vec<OrderRow> = orders::table
        .filter(orders::state.eq(OrderState::Created.as_str()))
        .filter(orders::expires_at.le(micros(now)))
        .order(orders::expires_at)
        .limit(most)
        .load::<OrderRow>(c)?;
    Ok(readable(rows))
}

/// Narrows to open payments in the words of the index `orders_open_payment`, so that both databases
/// see that they may walk it.
pub(super) fn is_open_payment() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql("orders.state IN ('PAYING', 'UNKNOWN', 'REVERSING', 'MANUAL')")
}

/// Orders whose payment started at or before an instant and has no outcome: whoever started it may
/// be gone.
///
/// They come oldest first, after the one that the page before ended with.
pub fn orphans(
    c: &mut AnyConnection,
    before: Instant,
    after: Option<&Order>,
    most: i64,
) -> Result<Vec<Order>, StoreError> {
    let (at, number) = after.map_or((i64::MIN, ""), |order| {
        (micros(order.updated_at), order.order_no.as_str())
    });
    let rows: Vec<OrderRow> = orders::table
        .filter(is_open_payment())
        .filter(orders::state.eq(OrderState::Paying.as_str()))
        .filter(orders::updated_at.le(micros(before)))
        .filter(
            orders::updated_at
                .gt(at)
                .or(orders::updated_at.eq(at).and(orders::order_no.gt(number))),
        )
        .order((orders::updated_at, orders::order_no))
        .limit(most)
        .load::<OrderRow>(c)?;
    Ok(readable(rows))
}

/// What a listing of orders, or of what belongs to orders, is narrowed to; every part may be left
/// out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These states only.
    pub states: Vec<String>,
    /// This merchant only.
    pub merchant: Option<String>,
    /// This biller only.
    pub biller: Option<String>,
    /// This bill only.
    pub bill_no: Option<String>,
    /// From this business date on.
    pub from: Option<BusinessDate>,
    /// Up to this business date, which is included.
    pub to: Option<BusinessDate>,
}

/// One page of a listing: newest first, keyed by the number itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this number (exclusive) in the listing's order.
    pub after: Option<String>,
    /// Only what comes before this number (exclusive); the page then ends next to it.
    pub before: Option<String>,
    /// At most so many.
    pub limit: i64,
}

/// Narrows a query that `orders` is part of to the orders of a filter. A macro, because Diesel's types
/// for queries of one table and of two, for two databases, have no common bound that could be said.
macro_rules! narrow {
    ($query:ident, $filter:expr) => {{
        use $crate::domain::order::OrderState;
        use $crate::storage::orders::{Filter, is_open_payment};
        use $crate::storage::schema::orders;
        let filter: &Filter = $filter;
        if !filter.states.is_empty() {
            $query = $query.filter(orders::state.eq_any(filter.states.clone()));
            let is_open =
                |state: &String| OrderState::OPEN_PAYMENT.iter().any(|o| o.as_str() == state);
            if filter.states.iter().all(is_open) {
                $query = $query.filter(is_open_payment());
            }
        }
        if let Some(merchant) = &filter.merchant {
            $query = $query.filter(orders::merchant.eq(merchant.clone()));
        }
        if let Some(biller) = &filter.biller {
            $query = $query.filter(orders::biller.eq(biller.clone()));
        }
        if let Some(bill_no) = &filter.bill_no {
            $query = $query.filter(orders::bill_no.eq(bill_no.clone()));
        }
        // A number begins with its business date, so a range of dates is a range of the key.
        if let Some(from) = filter.from {
            $query = $query.filter(orders::order_no.ge(from.digits()));
        }
        if let Some(to) = filter.to {
            $query = $query
                .filter(orders::order_no.lt($crate::storage::business_days::stretch_of(to).1));
        }
    }};
}
pub(super) use narrow;

/// A page of orders, newest first.
pub fn list(c: &mut AnyConnection, filter: &Filter, page: &Page) -> Result<Vec<Order>, StoreError> {
    let mut query = orders::table.into_boxed();
    narrow!(query, filter);
    if let Some(after) = &page.after {
        query = query.filter(orders::order_no.lt(after.clone()));
    }
    if let Some(before) = &page.before {
        query = query.filter(orders::order_no.gt(before.clone()));
    }
    let query = query.limit(page.limit);
    let mut rows: Vec<OrderRow> = if page.before.is_some() && page.after.is_none() {
        query.order(orders::order_no.asc()).load::<OrderRow>(c)?
    } else {
        query.order(orders::order_no.desc()).load::<OrderRow>(c)?
    };
    rows.sort_by(|a, b| b.order_no.cmp(&a.order_no));
    rows.into_iter().map(Order::try_from).collect()
}

/// How many orders stand in each state.
pub fn count_by_state(c: &mut AnyConnection) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(orders::table
        .filter(is_open_payment())
        .group_by(orders::state)
        .select((orders::state, diesel::dsl::count_star()))
        .load::<(String, i64)>(c)?)
}
