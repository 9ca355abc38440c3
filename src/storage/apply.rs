//! One change at a time, in plain statements that both databases take. This is the meaning of a
//! change; `batch.rs` does the same to many at once on PostgreSQL and falls back to here.

use super::change::{CaseMove, Created, ExceptionMove, Move, Moved, NewOrder, Touch, Touched};
use super::connection::AnyConnection;
use super::error::StoreError;
use super::flows::{FlowRow, insert_attempt};
use super::orders::OrderRow;
use super::row::micros;
use super::schema::{flows, orders};
use super::{audit, cases, exceptions, merchant_days, merchants, notifications};
use crate::domain::audit::ChainHead;
use crate::domain::flow::Flow;
use crate::domain::ids::OrderNo;
use crate::domain::order::Order;
use diesel::prelude::*;

/// Why one change could not be applied.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database said so.
    Diesel(diesel::result::Error),
    /// Rows are not what this program wrote.
    Store(StoreError),
    /// The move is void although its first statements went through: roll back, it was lost.
    Void,
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Failure::Diesel(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

/// Makes an order, or finds the one that the same request made.
pub(super) fn create(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    new: &NewOrder,
) -> Result<Created, Failure> {
    if !is_current(c, &new.order, new.merchant_version)? {
        return found(c, new);
    }
    let row = OrderRow::from(&new.order);
    let made = super::either!(c, |c| {
        diesel::insert_into(orders::table)
            .values(&row)
            .on_conflict((orders::merchant, orders::request_no))
            .do_nothing()
            .execute(c)
    })?;
    if made == 1 {
        audit::append(c, chain, new.audit.clone())?;
        return Ok(Created::New);
    }
    found(c, new)
}

/// Whether an order's merchant still is what was checked.
fn is_current(c: &mut AnyConnection, order: &Order, version: i32) -> QueryResult<bool> {
    Ok(merchants::version_of(c, &order.merchant)? == Some(version))
}

/// Why an order was not made: the one that its request number made before, compared with what it asks
/// for now; or else its merchant.
pub(super) fn found(c: &mut AnyConnection, new: &NewOrder) -> Result<Created, Failure> {
    let asked = &new.order;
    let first = super::orders::find_by_request(c, &asked.merchant, &asked.request_no)?;
    match first {
        Some(first) if first.fingerprint == asked.fingerprint => Ok(Created::Same(first)),
        Some(first) => Ok(Created::Differs(first)),
        None if !is_current(c, asked, new.merchant_version)? => Ok(Created::Stale),
        None => Err(Failure::Store(StoreError::Unavailable(
            "the first order of this request is not visible yet; ask again".to_owned(),
        ))),
    }
}

/// Moves an order.
pub(super) fn move_order(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    step: &Move,
) -> Result<Moved, Failure> {
    if opens_payment(step)
        && let Some(first) = other_open_payment(c, &step.before)?
    {
        return Ok(Moved::OpenPayment { first });
    }
    let day = match &step.permit {
        Some(permit) if !is_current(c, &step.before, permit.merchant_version)? => {
            return Ok(Moved::Stale);
        }
        permit => permit.and_then(|permit| permit.day),
    };
    if let Some(day) = day
        && !merchant_days::count_in(c, &step.before, day)?
    {
        return Ok(Moved::DayIsFull);
    }
    let after = &step.after;
    let written = diesel::update(
        orders::table
            .filter(orders::order_no.eq(after.order_no.as_str()))
            .filter(orders::version.eq(step.before.version))
            .filter(orders::state.eq(step.before.state.as_str())),
    )
    .set((
        orders::state.eq(after.state.as_str()),
        orders::reason.eq(after.reason.clone()),
        orders::updated_at.eq(micros(after.updated_at)),
        orders::version.eq(after.version),
    ))
    .execute(c)?;
    if written == 0 {
        if let Some(day) = day {
            merchant_days::count_out(c, &step.before, day)?;
        }
        return Ok(Moved::Lost);
    }
    if let Some(flow) = &step.start {
        diesel::insert_into(flows::table)
            .values(FlowRow::new(flow, after))
            .execute(c)?;
    }
    for flow in &step.conclude {
        conclude_flow(c, flow)?;
    }
    if let Some(notification) = &step.notify {
        notifications::insert(c, notification)?;
    }
    apply_rest(c, step)?;
    for entry in &step.audits {
        audit::append(c, chain, entry.clone())?;
    }
    Ok(Moved::Done)
}

/// What a move brings besides order, flows, notification and audit row: rare enough to be done row by row.
pub(super) fn apply_rest(c: &mut AnyConnection, step: &Move) -> Result<(), Failure> {
    for attempt in &step.attempts {
        insert_attempt(c, attempt)?;
    }
    let after = &step.after;
    match &step.exception {
        ExceptionMove::Keep => {}
        ExceptionMove::Open(exception) => {
            exceptions::close(c, &after.order_no, after.updated_at)?;
            exceptions::insert(c, exception)?;
        }
        ExceptionMove::Replace(exception) => {
            if !exceptions::replace(c, exception)? {
                return Err(Failure::Void);
            }
        }
        ExceptionMove::Close => exceptions::close(c, &after.order_no, after.updated_at)?,
    }
    match &step.case {
        CaseMove::Keep => {}
        CaseMove::Open(case) => {
            if !cases::open(c, case)? {
                return Err(Failure::Void);
            }
        }
        CaseMove::Replace(case) => {
            if !cases::replace(c, case)? {
                return Err(Failure::Void);
            }
        }
    }
    Ok(())
}

fn conclude_flow(c: &mut AnyConnection, flow: &Flow) -> Result<(), Failure> {
    let written = diesel::update(
        flows::table
            .filter(flows::flow_no.eq(flow.flow_no.as_str()))
            .filter(flows::version.eq(flow.version - 1)),
    )
    .set((
        flows::state.eq(flow.state.as_str()),
        flows::code.eq(flow.code.clone()),
        flows::upstream_ref.eq(flow.upstream_ref.clone()),
        flows::message.eq(flow.message.clone()),
        flows::concluded_at.eq(flow.concluded_at.map(micros)),
        flows::version.eq(flow.version),
    ))
    .execute(c)?;
    if written == 1 {
        Ok(())
    } else {
        Err(Failure::Void)
    }
}

/// Whether the move opens a payment where there was none.
pub(super) fn opens_payment(step: &Move) -> bool {
    step.after.state.is_open_payment() && !step.before.state.is_open_payment()
}

fn other_open_payment(c: &mut AnyConnection, order: &Order) -> QueryResult<Option<OrderNo>> {
    let number: Option<String> = orders::table
        .filter(orders::biller.eq(order.biller.as_str()))
        .filter(orders::bill_no.eq(order.bill_no.as_str()))
        .filter(super::orders::is_open_payment())
        .filter(orders::order_no.ne(order.order_no.as_str()))
        .select(orders::order_no)
        .first(c)
        .optional()?;
    Ok(number.and_then(|number| OrderNo::try_new(number).ok()))
}

/// Writes an ask that settled nothing.
pub(super) fn touch(c: &mut AnyConnection, touch: &Touch) -> Result<Touched, Failure> {
    for attempt in &touch.attempts {
        insert_attempt(c, attempt)?;
    }
    let written = exceptions::write_back(c, &touch.exception)?;
    Ok(if written {
        Touched::Done
    } else {
        Touched::Fenced
    })
}
