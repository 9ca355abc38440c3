//! Walks whole tables in the order of their keys, for those who look at everything: a stretch of
//! keys at a time, so that a million rows need no more memory than a page of them.
//!
//! A row that cannot be read as what it should be does not end the walk: it is handed out as its
//! error, because whoever looks at everything wants to know of all of them.

use super::audit::AuditRecord;
use super::cases::CaseRow;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::exceptions::ExceptionRow;
use super::flows::FlowRow;
use super::orders::OrderRow;
use super::schema::{audit, cases, exceptions, flows, nonces, orders};
use crate::domain::audit::AuditRow;
use crate::domain::case::Case;
use crate::domain::exception::Exception;
use crate::domain::flow::Flow;
use crate::domain::order::{Order, OrderState};
use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;

/// A row, or why it cannot be read.
pub type Readable<T> = Result<T, StoreError>;

/// A stretch of keys; an end that is missing is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch<'a> {
    /// Only what comes after this key.
    pub after: Option<&'a str>,
    /// Only what comes up to this key, which is included.
    pub upto: Option<&'a str>,
}

/// Loads the rows of a table whose key lies in a stretch, sorted.
macro_rules! load {
    ($c:expr, $stretch:expr, $query:expr, $key:expr, $order:expr => $row:ty) => {{
        let mut query = $query;
        if let Some(after) = $stretch.after {
            query = query.filter($key.gt(after.to_owned()));
        }
        if let Some(upto) = $stretch.upto {
            query = query.filter($key.le(upto.to_owned()));
        }
        let rows: Vec<$row> = query.order($order).load::<$row>($c)?;
        rows
    }};
}

/// The next orders after a number, each under its number.
pub fn orders(
    c: &mut AnyConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(String, Readable<Order>)>, StoreError> {
    let stretch = Stretch { after, upto: None };
    let query = orders::table.into_boxed().limit(limit);
    let rows = load!(c, stretch, query, orders::order_no, orders::order_no => OrderRow);
    Ok(rows
        .into_iter()
        .map(|row| (row.order_no.clone(), Order::try_from(row)))
        .collect())
}

/// The flows of a stretch of order numbers, each order's by kind and step.
pub fn flows(
    c: &mut AnyConnection,
    orders: Stretch<'_>,
) -> Result<Vec<Readable<Flow>>, StoreError> {
    let sorted = (flows::order_no, flows::kind, flows::step);
    let query = flows::table.into_boxed();
    let rows = load!(c, orders, query, flows::order_no, sorted => FlowRow);
    Ok(rows.into_iter().map(Flow::try_from).collect())
}

/// The exceptions of a stretch of order numbers, open and closed.
pub fn exceptions(
    c: &mut AnyConnection,
    orders: Stretch<'_>,
) -> Result<Vec<Readable<Exception>>, StoreError> {
    let sorted = (exceptions::order_no, exceptions::exception_id);
    let query = exceptions::table.into_boxed();
    let rows = load!(c, orders, query, exceptions::order_no, sorted => ExceptionRow);
    Ok(rows.into_iter().map(Exception::try_from).collect())
}

/// The cases of a stretch of order numbers, open and closed; those about no order are not among them.
pub fn cases(
    c: &mut AnyConnection,
    orders: Stretch<'_>,
) -> Result<Vec<Readable<Case>>, StoreError> {
    let sorted = (cases::order_no, cases::case_no);
    let query = cases::table
        .filter(cases::order_no.is_not_null())
        .into_boxed();
    let rows = load!(c, orders, query, cases::order_no, sorted => CaseRow);
    Ok(rows.into_iter().map(Case::try_from).collect())
}

/// The next cases after a number, each under its number.
pub fn cases_by_number(
    c: &mut AnyConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<(String, Readable<Case>)>, StoreError> {
    let stretch = Stretch { after, upto: None };
    let query = cases::table.into_boxed().limit(limit);
    let rows = load!(c, stretch, query, cases::case_no, cases::case_no => CaseRow);
    Ok(rows
        .into_iter()
        .map(|row| (row.case_no.clone(), Case::try_from(row)))
        .collect())
}

/// The audit rows about a stretch of things of one kind, each thing's by time.
pub fn audit_about(
    c: &mut AnyConnection,
    subject_kind: &str,
    subjects: Stretch<'_>,
) -> Result<Vec<Readable<AuditRow>>, StoreError> {
    let sorted = (audit::subject, audit::at, audit::stream, audit::seq);
    let of_kind = audit::subject_kind.eq(subject_kind.to_owned());
    let query = audit::table.into_boxed().filter(of_kind);
    let rows = load!(c, subjects, query, audit::subject, sorted => AuditRecord);
    Ok(rows.into_iter().map(AuditRow::try_from).collect())
}

/// The next rows of one audit chain after a place, each under its place.
pub fn chain(
    c: &mut AnyConnection,
    stream: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Readable<AuditRow>)>, StoreError> {
    let rows: Vec<AuditRecord> = audit::table
        .filter(audit::stream.eq(stream))
        .filter(audit::seq.gt(after))
        .order(audit::seq)
        .limit(limit)
        .load::<AuditRecord>(c)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.seq, AuditRow::try_from(row)))
        .collect())
}

/// Orders that share what only one of them may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// What they share, in two words.
    pub key: (String, String),
    /// How many they are.
    pub count: i64,
    /// The oldest of them.
    pub first: String,
    /// The newest of them.
    pub last: String,
}

type SharedRow = (String, String, i64, Option<String>, Option<String>);

fn shared(rows: Vec<SharedRow>) -> Vec<Shared> {
    rows.into_iter()
        .map(|(one, two, count, first, last)| Shared {
            key: (one, two),
            count,
            first: first.unwrap_or_default(),
            last: last.unwrap_or_default(),
        })
        .collect()
}

/// Merchants and request numbers that more than one order carries.
pub fn repeated_requests(c: &mut AnyConnection, limit: i64) -> Result<Vec<Shared>, StoreError> {
    let rows: Vec<SharedRow> = orders::table
        .group_by((orders::merchant, orders::request_no))
        .having(count_star().gt(1))
        .select((
            orders::merchant,
            orders::request_no,
            count_star(),
            min(orders::order_no),
            max(orders::order_no),
        ))
        .limit(limit)
        .load(c)?;
    Ok(shared(rows))
}

/// Billers and bill numbers that more than one open payment is about.
pub fn repeated_payments(c: &mut AnyConnection, limit: i64) -> Result<Vec<Shared>, StoreError> {
    let rows: Vec<SharedRow> = orders::table
        .filter(orders::state.eq_any(OrderState::OPEN_PAYMENT.map(OrderState::as_str)))
        .group_by((orders::biller, orders::bill_no))
        .having(count_star().gt(1))
        .select((
            orders::biller,
            orders::bill_no,
            count_star(),
            min(orders::order_no),
            max(orders::order_no),
        ))
        .limit(limit)
        .load(c)?;
    Ok(shared(rows))
}

/// How many nonces are remembered.
pub fn nonces(c: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(nonces::table.count().get_result(c)?)
}
