//! What merchants with a limit of the day have confirmed, a row a merchant and business date.
//!
//! It is changed in the transaction that starts the payment. The row is locked until the end of it, so
//! whoever comes next adds to what is true. What was confirmed counts, whatever becomes of it.

use super::DayLimit;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::schema::{flows, merchant_days, merchant_revisions};
use crate::domain::flow::FlowKind;
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::Stage;
use crate::domain::order::Order;
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

#[derive(Insertable)]
#[diesel(table_name = merchant_days)]
struct DayRow<'a> {
    merchant: &'a str,
    business_date: NaiveDate,
    currency: &'a str,
    confirmed_minor: i64,
}

/// Adds an amount to what a merchant has confirmed on a day, if the day has room for it. The row is
/// locked until the end of the transaction, so whoever comes next adds to what is true.
pub(super) fn count_in(c: &mut AnyConnection, order: &Order, day: DayLimit) -> QueryResult<bool> {
    let amount_minor = order.amount.amount_minor;
    if amount_minor > day.most_minor {
        return Ok(false);
    }
    let (merchant, currency) = (order.merchant.as_str(), order.amount.currency.code());
    let add = |c: &mut AnyConnection| {
        diesel::update(
            merchant_days::table
                .find((merchant, day.date.0, currency))
                .filter(merchant_days::confirmed_minor.le(day.most_minor - amount_minor)),
        )
        .set(merchant_days::confirmed_minor.eq(merchant_days::confirmed_minor + amount_minor))
        .execute(c)
    };
    if add(c)? == 1 {
        return Ok(true);
    }
    let row = DayRow {
        merchant,
        business_date: day.date.0,
        currency,
        confirmed_minor: amount_minor,
    };
    let begun = super::either!(c, |c| {
        diesel::insert_into(merchant_days::table)
            .values(&row)
            .on_conflict((
                merchant_days::merchant,
                merchant_days::business_date,
                merchant_days::currency,
            ))
            .do_nothing()
            .execute(c)
    })?;
    // Where another transaction has begun the day meanwhile, it is added to.
    Ok(begun == 1 || add(c)? == 1)
}

/// Takes back what [`count_in`] added in the same transaction.
pub(super) fn count_out(c: &mut AnyConnection, order: &Order, day: DayLimit) -> QueryResult<()> {
    let of_day = (
        order.merchant.as_str(),
        day.date.0,
        order.amount.currency.code(),
    );
    let rest = merchant_days::confirmed_minor - order.amount.amount_minor;
    diesel::update(merchant_days::table.find(of_day))
        .set(merchant_days::confirmed_minor.eq(rest))
        .execute(c)?;
    Ok(())
}

/// What a merchant has confirmed on a day under a limit, in minor units.
pub fn confirmed_on(
    c: &mut AnyConnection,
    code: &MerchantCode,
    date: BusinessDate,
    currency: &str,
) -> Result<i64, StoreError> {
    let found = merchant_days::table
        .find((code.as_str(), date.0, currency))
        .select(merchant_days::confirmed_minor)
        .first(c)
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// A profile of a merchant that was approved: from when on it is in force, and whether it limits a day.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Approved {
    /// The merchant.
    pub merchant: String,
    /// When it was approved, in microseconds.
    pub decided_at: i64,
    /// The most that may be confirmed on a day, in minor units.
    pub day_limit_minor: Option<i64>,
}

/// Every approved profile of the merchants of whom one limits or limited a day, by merchant and time.
pub fn approved(c: &mut AnyConnection) -> Result<Vec<Approved>, StoreError> {
    let limited = merchant_revisions::table
        .filter(merchant_revisions::stage.eq_any(IN_FORCE))
        .filter(merchant_revisions::day_limit_minor.is_not_null())
        .select(merchant_revisions::merchant)
        .distinct();
    let limited: Vec<String> = limited.load(c)?;
    Ok(merchant_revisions::table
        .filter(merchant_revisions::merchant.eq_any(limited))
        .filter(merchant_revisions::stage.eq_any(IN_FORCE))
        .filter(merchant_revisions::decided_at.is_not_null())
        .order((
            merchant_revisions::merchant,
            merchant_revisions::decided_at,
            merchant_revisions::revision,
        ))
        .select((
            merchant_revisions::merchant,
            merchant_revisions::decided_at.assume_not_null(),
            merchant_revisions::day_limit_minor,
        ))
        .load(c)?)
}

/// Stages of profiles that are or were in force.
const IN_FORCE: [&str; 2] = [Stage::Approved.as_str(), Stage::Replaced.as_str()];

/// An amount of one business date and currency, in minor units.
pub type DaySum = (NaiveDate, String, i64);

/// The merchants that have days.
pub fn merchants(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    Ok(merchant_days::table
        .select(merchant_days::merchant)
        .distinct()
        .load(c)?)
}

/// What was counted on the days of a merchant.
pub fn counted(c: &mut AnyConnection, merchant: &str) -> Result<Vec<DaySum>, StoreError> {
    Ok(merchant_days::table
        .filter(merchant_days::merchant.eq(merchant))
        .select((
            merchant_days::business_date,
            merchant_days::currency,
            merchant_days::confirmed_minor,
        ))
        .load(c)?)
}

/// What payments a merchant began within a time, in microseconds, by business date.
pub fn begun(
    c: &mut AnyConnection,
    merchant: &str,
    (from, until): (i64, i64),
) -> Result<Vec<DaySum>, StoreError> {
    Ok(flows::table
        .filter(flows::merchant.eq(merchant))
        .filter(flows::kind.eq(FlowKind::Payment.as_str()))
        .filter(flows::started_at.ge(from))
        .filter(flows::started_at.lt(until))
        .group_by((flows::business_date, flows::currency))
        .select((
            flows::business_date,
            flows::currency,
            sql::<BigInt>("CAST(SUM(amount_minor) AS BIGINT)"),
        ))
        .load(c)?)
}
