//! Looks for partners' files, as rows: when a source was last asked about a date, and what it had then that may
//! still be being written. Also which of the days of long ago have to be asked about.

use super::Tx;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::business_days;
use super::schema_night::{partner_files, partner_looks, reconciliations};
use crate::domain::partner::{PartnerFileState, PartnerName};
use crate::domain::reconciled::RunState;
use crate::domain::time::{BusinessDate, Instant};
use chrono::NaiveDate;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// When a partner was last asked about a date; none where it never was, and where that look left a doubt.
pub fn looked_at(
    c: &mut AnyConnection,
    partner: &PartnerName,
    date: BusinessDate,
) -> Result<Option<Instant>, StoreError> {
    let key = format!("{partner} {date}");
    let of = RowOf {
        table: "partner_looks",
        key: &key,
    };
    let at: Option<i64> = partner_looks::table
        .find((partner.as_str(), date.0))
        .filter(partner_looks::found.is_null())
        .select(partner_looks::looked_at)
        .first(c)
        .optional()?;
    at.map(|at| of.instant(at)).transpose()
}

/// The closed days up to one that have flows, no result, and no accepted file of a partner: so many of them,
/// in order. Those that were not asked about for the longest time come first, the oldest before the others.
pub fn missing(
    c: &mut AnyConnection,
    partner: &PartnerName,
    until: BusinessDate,
    limit: usize,
) -> Result<Vec<BusinessDate>, StoreError> {
    let files = partner_files::table
        .filter(partner_files::partner.eq(partner.as_str()))
        .filter(partner_files::business_date.eq(business_days::business_date))
        .filter(partner_files::state.eq(PartnerFileState::Accepted.as_str()));
    let results = reconciliations::table
        .filter(reconciliations::business_date.eq(business_days::business_date))
        .filter(reconciliations::state.eq(RunState::Current.as_str()));
    let dates: Vec<NaiveDate> = business_days::table
        .filter(business_days::business_date.le(until.0))
        .filter(business_days::flows.gt(0))
        .filter(not(exists(files)))
        .filter(not(exists(results)))
        .order(business_days::business_date)
        .select(business_days::business_date)
        .load(c)?;
    let mut dates: Vec<BusinessDate> = dates.into_iter().map(BusinessDate).collect();
    sort_by_looks(c, partner, &mut dates)?;
    dates.truncate(limit);
    dates.sort_unstable();
    Ok(dates)
}

/// Sorts dates: those first that a partner was not asked about for the longest time.
pub fn sort_by_looks(
    c: &mut AnyConnection,
    partner: &PartnerName,
    dates: &mut [BusinessDate],
) -> Result<(), StoreError> {
    let Some(last) = dates.iter().max() else {
        return Ok(());
    };
    let looks: Vec<(NaiveDate, i64)> = partner_looks::table
        .filter(partner_looks::partner.eq(partner.as_str()))
        .filter(partner_looks::business_date.le(last.0))
        .select((partner_looks::business_date, partner_looks::looked_at))
        .load(c)?;
    let looks: BTreeMap<NaiveDate, i64> = looks.into_iter().collect();
    dates.sort_by_key(|date| looks.get(&date.0).copied());
    Ok(())
}

impl Tx<'_> {
    /// Writes down that a partner was asked about a date, and what it had that may still be being written;
    /// true where the look before had found the very same.
    pub fn note_partner_look(
        &mut self,
        partner: &PartnerName,
        date: BusinessDate,
        found: Option<&str>,
        now: Instant,
    ) -> Result<bool, StoreError> {
        let before: Option<Option<String>> = partner_looks::table
            .find((partner.as_str(), date.0))
            .select(partner_looks::found)
            .first(self.c)
            .optional()?;
        let look = (
            partner_looks::looked_at.eq(micros(now)),
            partner_looks::found.eq(found),
        );
        let row = (
            partner_looks::partner.eq(partner.as_str()),
            partner_looks::business_date.eq(date.0),
            look,
        );
        super::either!(self.c, |c| {
            diesel::insert_into(partner_looks::table)
                .values(row)
                .on_conflict((partner_looks::partner, partner_looks::business_date))
                .do_update()
                .set(look)
                .execute(c)
        })?;
        Ok(found.is_some() && before.flatten().as_deref() == found)
    }
}
