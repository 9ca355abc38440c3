//! What merchants with a limit of the day have confirmed, a row a merchant and business date.
//!
//! It is changed in the transaction that starts the payment. The row is locked until the end of it, so
//! whoever comes next adds to what is true. What was confirmed counts, whatever becomes of it.

use super::DayLimit;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::schema::merchant_days;
use crate::domain::ids::MerchantCode;
use crate::domain::order::Order;
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;

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
