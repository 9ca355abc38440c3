//! Settlement summaries as rows, one for each day, merchant, biller and currency.

use super::Tx;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::settlement_summaries;
use crate::domain::business_day::ClosedDay;
use crate::domain::settlement::{self, SettlementSummary};
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;

#[derive(Queryable, Insertable)]
#[diesel(table_name = settlement_summaries)]
struct SummaryRow {
    business_date: NaiveDate,
    merchant: String,
    biller: String,
    currency: String,
    payments: i64,
    gross_minor: i64,
    reversals: i64,
    reversed_minor: i64,
    fees_minor: i64,
    net_minor: i64,
    made_at: i64,
    version: i32,
}

impl From<&SettlementSummary> for SummaryRow {
    fn from(summary: &SettlementSummary) -> Self {
        Self {
            business_date: summary.date.0,
            merchant: summary.merchant.clone(),
            biller: summary.biller.clone(),
            currency: summary.currency.code().to_owned(),
            payments: summary.payments,
            gross_minor: summary.gross_minor,
            reversals: summary.reversals,
            reversed_minor: summary.reversed_minor,
            fees_minor: summary.fees_minor,
            net_minor: summary.net_minor(),
            made_at: micros(summary.made_at),
            version: summary.version,
        }
    }
}

impl TryFrom<SummaryRow> for SettlementSummary {
    type Error = StoreError;

    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        let key = format!("{} {} {}", row.business_date, row.merchant, row.biller);
        let of = RowOf {
            table: "settlement_summaries",
            key: &key,
        };
        Ok(Self {
            date: BusinessDate(row.business_date),
            currency: of.money(0, &row.currency)?.currency,
            made_at: of.instant(row.made_at)?,
            merchant: row.merchant,
            biller: row.biller,
            payments: row.payments,
            gross_minor: row.gross_minor,
            reversals: row.reversals,
            reversed_minor: row.reversed_minor,
            fees_minor: row.fees_minor,
            version: row.version,
        })
    }
}

/// Which summaries.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one day.
    pub date: Option<BusinessDate>,
    /// Of one merchant.
    pub merchant: Option<String>,
    /// Of one biller.
    pub biller: Option<String>,
}

/// The place of a summary in the listing: newest day first, then by merchant, biller and currency.
pub type Place = (NaiveDate, String, String, String);

/// A page of summaries after a place.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<SettlementSummary>, StoreError> {
    use settlement_summaries as s;
    let mut query = s::table.into_boxed();
    if let Some(date) = filter.date {
        query = query.filter(s::business_date.eq(date.0));
    }
    if let Some(merchant) = &filter.merchant {
        query = query.filter(s::merchant.eq(merchant.clone()));
    }
    if let Some(biller) = &filter.biller {
        query = query.filter(s::biller.eq(biller.clone()));
    }
    if let Some((date, merchant, biller, currency)) = after.cloned() {
        let later = s::merchant
            .gt(merchant.clone())
            .or(s::merchant.eq(merchant).and(
                s::biller
                    .gt(biller.clone())
                    .or(s::biller.eq(biller).and(s::currency.gt(currency))),
            ));
        query = query.filter(
            s::business_date
                .lt(date)
                .or(s::business_date.eq(date).and(later)),
        );
    }
    let rows: Vec<SummaryRow> = query
        .order((s::business_date.desc(), s::merchant, s::biller, s::currency))
        .limit(limit)
        .load(c)?;
    rows.into_iter().map(SettlementSummary::try_from).collect()
}

/// The summaries of a day, sorted.
pub fn of_day(
    c: &mut AnyConnection,
    date: BusinessDate,
) -> Result<Vec<SettlementSummary>, StoreError> {
    let filter = Filter {
        date: Some(date),
        ..Filter::default()
    };
    list(c, &filter, None, i64::MAX)
}

impl Tx<'_> {
    /// Writes the summaries of a closed day in place of those before and tells how many are new, changed or
    /// gone; what says the same as before stays. Replicas that do so about the same day do it one after
    /// the other. None where the day was counted again since, or the catalogue is not that of `version` any
    /// more: then nothing was written.
    pub fn keep_summaries(
        &mut self,
        day: &ClosedDay,
        version: i64,
        mut summaries: Vec<SettlementSummary>,
    ) -> Result<Option<u64>, StoreError> {
        use settlement_summaries as s;
        if !self.hold_for_work(day, version)? {
            return Ok(None);
        }
        let date = day.date;
        let before = of_day(self.c, date)?;
        let changed = settlement::follow(&before, &mut summaries);
        if changed > 0 {
            diesel::delete(s::table.filter(s::business_date.eq(date.0))).execute(self.c)?;
            for summary in &summaries {
                diesel::insert_into(s::table)
                    .values(SummaryRow::from(summary))
                    .execute(self.c)?;
            }
        }
        Ok(Some(changed))
    }
}
