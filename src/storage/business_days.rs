//! The days that are closed, as rows, and what the flows of a day come to.
//!
//! A day's flows are those whose number begins with its digits: a stretch of the primary key.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::{business_day_sums, business_day_works, business_days, cases, flows};
use super::{Tx, catalogue, either};
use crate::domain::audit::{AuditEntry, ChainHead};
use crate::domain::business_day::{ClosedDay, FlowSum};
use crate::domain::money::Currency;
use crate::domain::time::{BusinessDate, Instant};
use chrono::NaiveDate;
use diesel::dsl::{count_star, min, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The row of an audit chain that is none: a work that names it was done at no count that a day can have.
const NO_COUNT: i64 = -1;
/// Orders are looked up so many at a time.
const ORDERS_AT_ONCE: usize = 500;

#[derive(Queryable, Insertable)]
#[diesel(table_name = business_days)]
struct DayRow {
    business_date: NaiveDate,
    closed_at: i64,
    closed_by: String,
    counted_at: i64,
    flows: i64,
    undecided: i64,
    late: i64,
    audit_stream: String,
    audit_seq: i64,
    audit_hash: Vec<u8>,
}

impl From<&ClosedDay> for DayRow {
    fn from(day: &ClosedDay) -> Self {
        Self {
            business_date: day.date.0,
            closed_at: micros(day.closed_at),
            closed_by: day.closed_by.clone(),
            counted_at: micros(day.counted_at),
            flows: day.flows,
            undecided: day.undecided,
            late: day.late,
            audit_stream: day.told_by.stream.clone(),
            audit_seq: day.told_by.seq,
            audit_hash: day.told_by.hash.clone(),
        }
    }
}

impl TryFrom<DayRow> for ClosedDay {
    type Error = StoreError;

    fn try_from(row: DayRow) -> Result<Self, StoreError> {
        let date = BusinessDate(row.business_date);
        let key = date.to_string();
        let of = RowOf {
            table: "business_days",
            key: &key,
        };
        Ok(Self {
            date,
            closed_at: of.instant(row.closed_at)?,
            counted_at: of.instant(row.counted_at)?,
            closed_by: row.closed_by,
            flows: row.flows,
            undecided: row.undecided,
            late: row.late,
            told_by: ChainHead {
                stream: row.audit_stream,
                seq: row.audit_seq,
                hash: row.audit_hash,
            },
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = business_day_sums)]
struct SumRow {
    business_date: NaiveDate,
    kind: String,
    state: String,
    currency: String,
    flows: i64,
    amount_minor: i64,
    versions: i64,
}

/// Two texts between which the numbers of all flows of a date lie, the second excluded. They are digits
/// alone, which every collation sorts alike.
pub fn stretch_of(date: BusinessDate) -> (String, String) {
    let next = date.0.succ_opt().unwrap_or(date.0);
    (date.digits(), BusinessDate(next).digits())
}

/// The dates that are closed, from one to another, both included.
pub fn closed_dates(
    c: &mut AnyConnection,
    from: BusinessDate,
    to: BusinessDate,
) -> Result<BTreeSet<BusinessDate>, StoreError> {
    let dates: Vec<NaiveDate> = business_days::table
        .filter(business_days::business_date.between(from.0, to.0))
        .select(business_days::business_date)
        .load(c)?;
    Ok(dates.into_iter().map(BusinessDate).collect())
}

/// The first day that was closed.
pub fn first_closed(c: &mut AnyConnection) -> Result<Option<BusinessDate>, StoreError> {
    let first: Option<NaiveDate> = business_days::table
        .select(min(business_days::business_date))
        .first(c)?;
    Ok(first.map(BusinessDate))
}

/// A closed day; none where it is not closed.
pub fn find(c: &mut AnyConnection, date: BusinessDate) -> Result<Option<ClosedDay>, StoreError> {
    let row: Option<DayRow> = business_days::table.find(date.0).first(c).optional()?;
    row.map(ClosedDay::try_from).transpose()
}

/// The closed days after one, or all of them, in order.
pub fn closed_after(
    c: &mut AnyConnection,
    after: Option<BusinessDate>,
    limit: i64,
) -> Result<Vec<ClosedDay>, StoreError> {
    let mut query = business_days::table.into_boxed();
    if let Some(after) = after {
        query = query.filter(business_days::business_date.gt(after.0));
    }
    let query = query.order(business_days::business_date).limit(limit);
    let rows: Vec<DayRow> = query.load(c)?;
    rows.into_iter().map(ClosedDay::try_from).collect()
}

/// The days that have to be counted again: those from a date on, those on which something was undecided,
/// and those of which a case was decided since they were counted. Nothing else can change what a closed
/// day comes to: a flow that has an outcome is moved by a case alone. A decision is as old as its replica's clock
/// says and is committed a moment later: one up to `grace` older than the count may not be in it.
pub fn to_count_again(
    c: &mut AnyConnection,
    from: BusinessDate,
    grace: Duration,
) -> Result<Vec<ClosedDay>, StoreError> {
    let grace = i64::try_from(grace.as_micros()).unwrap_or(0);
    let oldest: Option<i64> = business_days::table
        .select(min(business_days::counted_at))
        .first(c)?;
    // A case may order a reversal, whose answer comes after the case was closed and moves the payment.
    let decided: Vec<(String, Option<i64>)> = cases::table
        .filter(cases::closed_at.ge(oldest.unwrap_or(0).saturating_sub(grace)))
        .filter(cases::order_no.is_not_null())
        .select((cases::order_no.assume_not_null(), cases::closed_at))
        .load(c)?;
    let mut touched: BTreeMap<NaiveDate, i64> = BTreeMap::new();
    for decided in decided.chunks(ORDERS_AT_ONCE) {
        let numbers = decided.iter().map(|(order_no, _)| order_no.as_str());
        let of_orders: Vec<(String, NaiveDate, Option<i64>)> = flows::table
            .filter(flows::order_no.eq_any(numbers))
            .select((flows::order_no, flows::business_date, flows::concluded_at))
            .load(c)?;
        for (order_no, date, _) in &of_orders {
            let its = of_orders.iter().filter(|(of, ..)| of == order_no);
            let concluded = its.filter_map(|(.., at)| *at).max();
            let closed = decided.iter().filter(|(of, _)| of == order_no);
            let closed = closed.filter_map(|(_, at)| *at).max();
            let last = concluded.max(closed).unwrap_or(0);
            let known = touched.entry(*date).or_default();
            *known = last.max(*known);
        }
    }
    let dates: Vec<NaiveDate> = touched.keys().copied().collect();
    let query = business_days::table
        .filter(
            business_days::business_date
                .ge(from.0)
                .or(business_days::undecided.gt(0))
                .or(business_days::business_date.eq_any(dates)),
        )
        .order(business_days::business_date);
    let rows: Vec<DayRow> = query.load(c)?;
    let is_due = |row: &DayRow| {
        let decided_at = touched.get(&row.business_date).copied().unwrap_or(0);
        row.business_date >= from.0 || row.undecided > 0 || decided_at >= row.counted_at - grace
    };
    let due = rows.into_iter().filter(is_due);
    due.map(ClosedDay::try_from).collect()
}

/// The closed days about which a work of the night was not done yet, in order, and after them those about which
/// it was done at an older count, or by other contracts: who waits for last night's does not wait for what is
/// stated once more.
pub fn to_work_on(
    c: &mut AnyConnection,
    work: &str,
    limit: i64,
) -> Result<Vec<ClosedDay>, StoreError> {
    let once = business_day_works::table
        .filter(business_day_works::work.eq(work))
        .filter(business_day_works::business_date.eq(business_days::business_date));
    let mut rows: Vec<DayRow> = business_days::table
        .filter(diesel::dsl::not(diesel::dsl::exists(once)))
        .order(business_days::business_date)
        .limit(limit)
        .load(c)?;
    let left = limit - i64::try_from(rows.len()).unwrap_or(limit);
    let done = business_day_works::table
        .filter(business_day_works::work.eq(work))
        .filter(business_day_works::business_date.eq(business_days::business_date))
        .filter(business_day_works::audit_stream.eq(business_days::audit_stream))
        .filter(business_day_works::audit_seq.eq(business_days::audit_seq));
    let again: Vec<DayRow> = business_days::table
        .filter(diesel::dsl::exists(once))
        .filter(diesel::dsl::not(diesel::dsl::exists(done)))
        .order(business_days::business_date)
        .limit(left)
        .load(c)?;
    rows.extend(again);
    rows.into_iter().map(ClosedDay::try_from).collect()
}

/// Whether a work of the night was done about a day, at whatever count.
pub fn is_worked(
    c: &mut AnyConnection,
    date: BusinessDate,
    work: &str,
) -> Result<bool, StoreError> {
    let of_day = business_day_works::table.find((date.0, work));
    Ok(diesel::select(diesel::dsl::exists(of_day)).get_result(c)?)
}

/// Whether a work of the night was done about a day, at the count that it has now.
pub fn is_worked_at(
    c: &mut AnyConnection,
    day: &ClosedDay,
    work: &str,
) -> Result<bool, StoreError> {
    let of_day = business_day_works::table
        .find((day.date.0, work))
        .filter(business_day_works::audit_stream.eq(&day.told_by.stream))
        .filter(business_day_works::audit_seq.eq(day.told_by.seq));
    Ok(diesel::select(diesel::dsl::exists(of_day)).get_result(c)?)
}

/// The first date on which a flow started; none where none did.
pub fn first_flow(c: &mut AnyConnection) -> Result<Option<BusinessDate>, StoreError> {
    let first: Option<NaiveDate> = flows::table
        .order(flows::flow_no)
        .select(flows::business_date)
        .first(c)
        .optional()?;
    Ok(first.map(BusinessDate))
}

/// Counts the flows of a date, by kind, state and currency, sorted.
pub fn count(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<FlowSum>, StoreError> {
    let (from, to) = stretch_of(date);
    let rows: Vec<(String, String, String, i64, i64, i64)> = flows::table
        .filter(flows::flow_no.ge(from))
        .filter(flows::flow_no.lt(to))
        .group_by((flows::kind, flows::state, flows::currency))
        .select((
            flows::kind,
            flows::state,
            flows::currency,
            count_star(),
            sql::<BigInt>("CAST(SUM(amount_minor) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(version) AS BIGINT)"),
        ))
        .order((flows::kind, flows::state, flows::currency))
        .load(c)?;
    let rows = rows.into_iter().map(|row| SumRow {
        business_date: date.0,
        kind: row.0,
        state: row.1,
        currency: row.2,
        flows: row.3,
        amount_minor: row.4,
        versions: row.5,
    });
    rows.map(|row| sum_of(&row, "flows")).collect()
}

/// What a closed day's flows came to when they were last counted.
pub fn sums_of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<FlowSum>, StoreError> {
    let rows: Vec<SumRow> = business_day_sums::table
        .filter(business_day_sums::business_date.eq(date.0))
        .order((
            business_day_sums::kind,
            business_day_sums::state,
            business_day_sums::currency,
        ))
        .load(c)?;
    rows.iter()
        .map(|row| sum_of(row, "business_day_sums"))
        .collect()
}

fn sum_of(row: &SumRow, table: &'static str) -> Result<FlowSum, StoreError> {
    let key = row.business_date.to_string();
    let of = RowOf { table, key: &key };
    Ok(FlowSum {
        kind: of.word(&row.kind)?,
        state: of.word(&row.state)?,
        currency: Currency::try_new(&row.currency).map_err(|error| of.corrupt(error))?,
        flows: row.flows,
        amount_minor: row.amount_minor,
        versions: row.versions,
    })
}

impl Tx<'_> {
    /// Closes a day and tells of it; false where it is closed already, and then nothing was written.
    pub fn close_day(
        &mut self,
        day: &ClosedDay,
        sums: &[FlowSum],
        told: AuditEntry,
    ) -> Result<bool, StoreError> {
        let row = DayRow::from(day);
        let closed = either!(self.c, |c| {
            diesel::insert_into(business_days::table)
                .values(&row)
                .on_conflict(business_days::business_date)
                .do_nothing()
                .execute(c)
        })?;
        if closed == 1 {
            self.keep_sums(day.date, sums, told)?;
        }
        Ok(closed == 1)
    }

    /// Writes what a closed day was counted to, unless somebody else counted it since `before`. Where the
    /// sums are others than before, `told` tells of it.
    pub fn recount_day(
        &mut self,
        before: Instant,
        day: &ClosedDay,
        sums: &[FlowSum],
        told: Option<AuditEntry>,
    ) -> Result<bool, StoreError> {
        let of_day = business_days::table
            .find(day.date.0)
            .filter(business_days::counted_at.eq(micros(before)));
        let counted = diesel::update(of_day)
            .set((
                business_days::counted_at.eq(micros(day.counted_at)),
                business_days::flows.eq(day.flows),
                business_days::undecided.eq(day.undecided),
                business_days::late.eq(day.late),
            ))
            .execute(self.c)?;
        if let (1, Some(told)) = (counted, told) {
            self.keep_sums(day.date, sums, told)?;
        }
        Ok(counted == 1)
    }

    /// Takes a closed day: whoever else takes it waits until this transaction has ended. None where it is not
    /// closed.
    fn hold_day(&mut self, date: BusinessDate) -> Result<Option<ClosedDay>, StoreError> {
        let query = business_days::table.find(date.0);
        let held: Option<DayRow> = match self.c {
            AnyConnection::Postgres(c) => query.for_update().first(c),
            // A transaction that writes has SQLite to itself.
            AnyConnection::Sqlite(c) => query.first(c),
        }
        .optional()?;
        held.map(ClosedDay::try_from).transpose()
    }

    /// Takes a closed day for a work that was done at a count of it and by a version of the catalogue; false
    /// where either is another by now, and then the work is of the past.
    pub(super) fn hold_for_work(
        &mut self,
        day: &ClosedDay,
        version: i64,
    ) -> Result<bool, StoreError> {
        let held = self.hold_day(day.date)?;
        let is_its = held.is_some_and(|held| held.told_by == day.told_by);
        Ok(is_its && catalogue::hold_version(self.c)? == version)
    }

    /// Writes down that a work of the night is done about a closed day, at the count that it was done at.
    /// Where the catalogue is not that of `version` any more, it may have been done by other contracts, and
    /// nothing is written down: the next run looks again.
    pub fn day_worked(
        &mut self,
        day: &ClosedDay,
        (work, version): (&str, i64),
        now: Instant,
    ) -> Result<(), StoreError> {
        if catalogue::hold_version(self.c)? != version {
            return Ok(());
        }
        let row = (
            business_day_works::business_date.eq(day.date.0),
            business_day_works::work.eq(work),
            business_day_works::audit_stream.eq(&day.told_by.stream),
            business_day_works::audit_seq.eq(day.told_by.seq),
            business_day_works::done_at.eq(micros(now)),
        );
        let again = (
            business_day_works::audit_stream.eq(&day.told_by.stream),
            business_day_works::audit_seq.eq(day.told_by.seq),
            business_day_works::done_at.eq(micros(now)),
        );
        // Two replicas may have done the same about the same day.
        either!(self.c, |c| {
            diesel::insert_into(business_day_works::table)
                .values(row)
                .on_conflict((business_day_works::business_date, business_day_works::work))
                .do_update()
                .set(again)
                .execute(c)
        })?;
        Ok(())
    }

    /// Has the works of the closed days from a date on done again; tells how many days those are.
    pub(super) fn work_again_from(&mut self, from: BusinessDate) -> Result<usize, StoreError> {
        let works = business_day_works::table.filter(business_day_works::business_date.ge(from.0));
        diesel::update(works)
            .set(business_day_works::audit_seq.eq(NO_COUNT))
            .execute(self.c)?;
        let days: i64 = business_days::table
            .filter(business_days::business_date.ge(from.0))
            .count()
            .get_result(self.c)?;
        Ok(usize::try_from(days).unwrap_or(0))
    }

    fn keep_sums(
        &mut self,
        date: BusinessDate,
        sums: &[FlowSum],
        told: AuditEntry,
    ) -> Result<(), StoreError> {
        self.audit(told)?;
        let head = &*self.chain;
        diesel::update(business_days::table.find(date.0))
            .set((
                business_days::audit_stream.eq(&head.stream),
                business_days::audit_seq.eq(head.seq),
                business_days::audit_hash.eq(&head.hash),
            ))
            .execute(self.c)?;
        let of_day = business_day_sums::business_date.eq(date.0);
        diesel::delete(business_day_sums::table.filter(of_day)).execute(self.c)?;
        for sum in sums {
            let row = SumRow {
                business_date: date.0,
                kind: sum.kind.as_str().to_owned(),
                state: sum.state.as_str().to_owned(),
                currency: sum.currency.code().to_owned(),
                flows: sum.flows,
                amount_minor: sum.amount_minor,
                versions: sum.versions,
            };
            diesel::insert_into(business_day_sums::table)
                .values(row)
                .execute(self.c)?;
        }
        Ok(())
    }
}
