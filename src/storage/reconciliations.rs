//! Results of reconciling as rows: runs, and their counts and sums. `discrepancies.rs` has the flows.

use super::Tx;
use super::business_days::stretch_of;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::{business_days, cases, flows};
use super::schema_night::{partner_files, reconciliation_sums, reconciliations};
use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::money::Currency;
use crate::domain::partner::PartnerFileState;
use crate::domain::reconciled::{Counted, ReconciliationRun, RunState, SideSum};
use crate::domain::reconciliation::{Side, Sum, Tally};
use crate::domain::time::{BusinessDate, Instant};
use chrono::NaiveDate;
use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A row of `reconciliations`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = reconciliations)]
struct RunRow {
    run_id: String,
    business_date: NaiveDate,
    version: i32,
    state: String,
    replaces: Option<String>,
    inputs: String,
    input_hash: String,
    result_hash: String,
    flow_count: i64,
    difference_count: i64,
    file_path: String,
    file_sha256: String,
    file_bytes: i64,
    actor: String,
    made_at: i64,
}

impl From<&ReconciliationRun> for RunRow {
    fn from(run: &ReconciliationRun) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            business_date: run.business_date.0,
            version: run.version,
            state: run.state.as_str().to_owned(),
            replaces: run.replaces.map(|id| id.to_string()),
            // A struct of numbers and texts always has a JSON form.
            inputs: serde_json::to_string(&run.inputs).unwrap_or_default(),
            input_hash: run.input_hash.clone(),
            result_hash: run.result_hash.clone(),
            flow_count: run.flow_count,
            difference_count: run.difference_count,
            file_path: run.file_path.clone(),
            file_sha256: run.file_sha256.clone(),
            file_bytes: run.file_bytes,
            actor: run.actor.clone(),
            made_at: micros(run.made_at),
        }
    }
}

impl TryFrom<RunRow> for ReconciliationRun {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "reconciliations",
            key: &row.run_id,
        };
        Ok(ReconciliationRun {
            run_id: of.word::<Uuid>(&row.run_id)?,
            business_date: BusinessDate(row.business_date),
            version: row.version,
            state: of.word(&row.state)?,
            replaces: of.word_opt(row.replaces.as_deref())?,
            inputs: serde_json::from_str(&row.inputs).map_err(|error| of.corrupt(error))?,
            made_at: of.instant(row.made_at)?,
            input_hash: row.input_hash,
            result_hash: row.result_hash,
            flow_count: row.flow_count,
            difference_count: row.difference_count,
            file_path: row.file_path,
            file_sha256: row.file_sha256,
            file_bytes: row.file_bytes,
            actor: row.actor,
        })
    }
}

fn read(rows: Vec<RunRow>) -> Result<Vec<ReconciliationRun>, StoreError> {
    rows.into_iter().map(ReconciliationRun::try_from).collect()
}

/// One run.
pub fn find(c: &mut AnyConnection, run_id: Uuid) -> Result<Option<ReconciliationRun>, StoreError> {
    let row: Option<RunRow> = reconciliations::table
        .find(run_id.to_string())
        .first::<RunRow>(c)
        .optional()?;
    row.map(ReconciliationRun::try_from).transpose()
}

/// Every run of a date, the first version first.
pub fn of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<ReconciliationRun>, StoreError> {
    read(
        reconciliations::table
            .filter(reconciliations::business_date.eq(date.0))
            .order(reconciliations::version)
            .load::<RunRow>(c)?,
    )
}

/// The run of a date that counts.
pub fn current(
    c: &mut AnyConnection,
    date: BusinessDate,
) -> Result<Option<ReconciliationRun>, StoreError> {
    let all = of(c, date)?;
    Ok(all.into_iter().find(|run| run.state == RunState::Current))
}

/// The closed days up to one that have flows and at least one file, and no result, in order.
pub fn left_open(
    c: &mut AnyConnection,
    until: BusinessDate,
    limit: i64,
) -> Result<Vec<BusinessDate>, StoreError> {
    let results = reconciliations::table
        .filter(reconciliations::business_date.eq(business_days::business_date))
        .filter(reconciliations::state.eq(RunState::Current.as_str()));
    let files = partner_files::table
        .filter(partner_files::business_date.eq(business_days::business_date))
        .filter(partner_files::state.eq(PartnerFileState::Accepted.as_str()));
    let dates: Vec<NaiveDate> = business_days::table
        .filter(business_days::business_date.le(until.0))
        .filter(business_days::flows.gt(0))
        .filter(not(exists(results)))
        .filter(exists(files))
        .order(business_days::business_date)
        .select(business_days::business_date)
        .limit(limit)
        .load(c)?;
    Ok(dates.into_iter().map(BusinessDate).collect())
}

/// The runs that count of the dates from one to another, both included, by date.
pub fn current_between(
    c: &mut AnyConnection,
    from: BusinessDate,
    to: BusinessDate,
) -> Result<Vec<ReconciliationRun>, StoreError> {
    read(
        reconciliations::table
            .filter(reconciliations::business_date.between(from.0, to.0))
            .filter(reconciliations::state.eq(RunState::Current.as_str()))
            .order(reconciliations::business_date)
            .load::<RunRow>(c)?,
    )
}

/// What a listing of runs is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// From this date on.
    pub from: Option<BusinessDate>,
    /// Up to this date, which is included.
    pub to: Option<BusinessDate>,
    /// Replaced runs too.
    pub with_replaced: bool,
}

/// A page of runs by id (which sorts by time), newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ReconciliationRun>, StoreError> {
    let mut query = reconciliations::table.into_boxed();
    if let Some(from) = filter.from {
        query = query.filter(reconciliations::business_date.ge(from.0));
    }
    if let Some(to) = filter.to {
        query = query.filter(reconciliations::business_date.le(to.0));
    }
    if !filter.with_replaced {
        query = query.filter(reconciliations::state.eq(RunState::Current.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(reconciliations::run_id.lt(after.to_string()));
    }
    let query = query.order(reconciliations::run_id.desc()).limit(limit);
    read(query.load::<RunRow>(c)?)
}

/// A row of `reconciliation_sums`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = reconciliation_sums)]
struct SumRow {
    run_id: String,
    side: String,
    partner: String,
    class: String,
    currency: String,
    paid_count: i64,
    paid_minor: i64,
    returned_count: i64,
    returned_minor: i64,
    unmoved_count: i64,
    unmoved_minor: i64,
}

impl SumRow {
    fn try_new(run_id: Uuid, sum: &SideSum) -> Result<Self, StoreError> {
        let too_large = || StoreError::Refused("a sum of a reconciliation leaves 64 bits".into());
        let count = |sum: Sum| i64::try_from(sum.count).map_err(|_| too_large());
        let minor = |sum: Sum| i64::try_from(sum.minor).map_err(|_| too_large());
        Ok(Self {
            run_id: run_id.to_string(),
            side: sum.counted.as_str().to_owned(),
            partner: sum.partner.clone(),
            class: sum.class.as_str().to_owned(),
            currency: sum.currency.code().to_owned(),
            paid_count: count(sum.tally.paid)?,
            paid_minor: minor(sum.tally.paid)?,
            returned_count: count(sum.tally.returned)?,
            returned_minor: minor(sum.tally.returned)?,
            unmoved_count: count(sum.tally.unmoved)?,
            unmoved_minor: minor(sum.tally.unmoved)?,
        })
    }
}

impl TryFrom<SumRow> for SideSum {
    type Error = StoreError;

    fn try_from(row: SumRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "reconciliation_sums",
            key: &row.run_id,
        };
        let sum = |count: i64, minor: i64| -> Result<Sum, StoreError> {
            Ok(Sum {
                count: u64::try_from(count).map_err(|error| of.corrupt(error))?,
                minor: i128::from(minor),
            })
        };
        Ok(SideSum {
            counted: match row.side.as_str() {
                "FLOWS" => Counted::Flows,
                side => Counted::Rows(of.word::<Side>(side)?),
            },
            class: of.word(&row.class)?,
            currency: Currency::try_new(&row.currency).map_err(|error| of.corrupt(error))?,
            tally: Tally {
                paid: sum(row.paid_count, row.paid_minor)?,
                returned: sum(row.returned_count, row.returned_minor)?,
                unmoved: sum(row.unmoved_count, row.unmoved_minor)?,
            },
            partner: row.partner,
        })
    }
}

/// The counts and sums of a run, sorted.
pub fn sums_of(c: &mut AnyConnection, run_id: Uuid) -> Result<Vec<SideSum>, StoreError> {
    let rows: Vec<SumRow> = reconciliation_sums::table
        .filter(reconciliation_sums::run_id.eq(run_id.to_string()))
        .order((
            reconciliation_sums::side,
            reconciliation_sums::partner,
            reconciliation_sums::class,
            reconciliation_sums::currency,
        ))
        .load::<SumRow>(c)?;
    rows.into_iter().map(SideSum::try_from).collect()
}

/// A flow of ours, as far as reconciling looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct OurFlow {
    /// Its number.
    pub flow_no: String,
    /// Its order.
    pub order_no: String,
    /// Its merchant.
    pub merchant: String,
    /// Its biller.
    pub biller: String,
    /// The number of its bill.
    pub bill_no: String,
    /// PAYMENT or REVERSAL.
    pub kind: String,
    /// Its adapter.
    pub adapter: String,
    /// How much.
    pub amount_minor: i64,
    /// In which currency.
    pub currency: String,
    /// What is known of it.
    pub state: String,
    /// Microseconds.
    pub started_at: i64,
    /// Microseconds.
    pub concluded_at: Option<i64>,
}

/// The next flows of a date, by number.
pub fn flows_of(
    c: &mut AnyConnection,
    date: BusinessDate,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<OurFlow>, StoreError> {
    let (from, to) = stretch_of(date);
    let after = after.unwrap_or(&from);
    Ok(flows::table
        .filter(flows::flow_no.gt(after))
        .filter(flows::flow_no.lt(to))
        .order(flows::flow_no)
        .limit(limit)
        .select(OUR_COLUMNS)
        .load(c)?)
}

type OurColumns = (
    flows::flow_no,
    flows::order_no,
    flows::merchant,
    flows::biller,
    flows::bill_no,
    flows::kind,
    flows::adapter,
    flows::amount_minor,
    flows::currency,
    flows::state,
    flows::started_at,
    flows::concluded_at,
);

const OUR_COLUMNS: OurColumns = (
    flows::flow_no,
    flows::order_no,
    flows::merchant,
    flows::biller,
    flows::bill_no,
    flows::kind,
    flows::adapter,
    flows::amount_minor,
    flows::currency,
    flows::state,
    flows::started_at,
    flows::concluded_at,
);

/// Flows of ours by their numbers; those that are not there are left out.
pub fn flows_by_number(
    c: &mut AnyConnection,
    numbers: &[String],
) -> Result<Vec<OurFlow>, StoreError> {
    Ok(flows::table
        .filter(flows::flow_no.eq_any(numbers))
        .order(flows::flow_no)
        .select(OUR_COLUMNS)
        .load(c)?)
}

/// The orders of a date's payments that were reversed, and of its reversals that succeeded.
pub fn undone_on(
    c: &mut AnyConnection,
    date: BusinessDate,
) -> Result<BTreeSet<String>, StoreError> {
    let (from, to) = stretch_of(date);
    let reversed = flows::kind
        .eq(FlowKind::Payment.as_str())
        .and(flows::state.eq(FlowState::Reversed.as_str()));
    let reversal = flows::kind
        .eq(FlowKind::Reversal.as_str())
        .and(flows::state.eq(FlowState::Succeeded.as_str()));
    let orders: Vec<String> = flows::table
        .filter(flows::flow_no.gt(from))
        .filter(flows::flow_no.lt(to))
        .filter(reversed.or(reversal))
        .select(flows::order_no)
        .load(c)?;
    Ok(orders.into_iter().collect())
}

/// All flows of some orders, by number.
pub fn flows_of_orders(
    c: &mut AnyConnection,
    orders: &[String],
) -> Result<Vec<OurFlow>, StoreError> {
    Ok(flows::table
        .filter(flows::order_no.eq_any(orders))
        .order(flows::flow_no)
        .select(OUR_COLUMNS)
        .load(c)?)
}

/// What may still move, or has moved past what is usual, among the flows of a date: how many have no outcome, and what
/// the versions (counted from 1) of those sum up to whose orders people were asked about, in cases that were closed from
/// an instant on (a case about them is not older than they are). The first falls with each late answer, the second
/// grows with each decision, and with the answer to what was decided.
pub fn movable(
    c: &mut AnyConnection,
    date: BusinessDate,
    since: Instant,
) -> Result<(i64, i64), StoreError> {
    let (from, to) = stretch_of(date);
    let of_date = flows::flow_no.ge(from).and(flows::flow_no.lt(to));
    let undecided = flows::table
        .filter(of_date.clone())
        .filter(flows::state.eq(FlowState::Started.as_str()))
        .count()
        .get_result(c)?;
    let closed = cases::table
        .filter(cases::closed_at.ge(micros(since)))
        .filter(cases::order_no.is_not_null())
        .select(cases::order_no.assume_not_null());
    let moved = flows::table
        .filter(of_date)
        .filter(flows::order_no.eq_any(closed))
        .select(sql::<BigInt>(
            "CAST(COALESCE(SUM(version + 1), 0) AS BIGINT)",
        ))
        .first(c)?;
    Ok((undecided, moved))
}

/// The adapters of a date's flows, each once.
pub fn adapters_of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<String>, StoreError> {
    let (from, to) = stretch_of(date);
    Ok(flows::table
        .filter(flows::flow_no.ge(from))
        .filter(flows::flow_no.lt(to))
        .select(flows::adapter)
        .distinct()
        .order(flows::adapter)
        .load(c)?)
}

/// The billers of a date's flows, each once.
pub fn billers_of(c: &mut AnyConnection, date: BusinessDate) -> Result<Vec<String>, StoreError> {
    let (from, to) = stretch_of(date);
    Ok(flows::table
        .filter(flows::flow_no.ge(from))
        .filter(flows::flow_no.lt(to))
        .select(flows::biller)
        .distinct()
        .order(flows::biller)
        .load(c)?)
}

impl Tx<'_> {
    /// Writes down for which inputs a result is known to hold; false where it counts no more.
    pub fn confirm_reconciliation(&mut self, run: &ReconciliationRun) -> Result<bool, StoreError> {
        let RunRow {
            run_id,
            inputs,
            input_hash,
            ..
        } = RunRow::from(run);
        let current = reconciliations::table
            .find(run_id)
            .filter(reconciliations::state.eq(RunState::Current.as_str()));
        let written = diesel::update(current)
            .set((
                reconciliations::inputs.eq(inputs),
                reconciliations::input_hash.eq(input_hash),
            ))
            .execute(self.c)?;
        Ok(written == 1)
    }
}

/// Writes a run with its counts and sums; the one that it replaces counts no more. False where somebody
/// else was first: then nothing was written.
pub(super) fn publish(
    c: &mut AnyConnection,
    run: &ReconciliationRun,
    sums: &[SideSum],
) -> Result<bool, StoreError> {
    let current = reconciliations::table
        .filter(reconciliations::business_date.eq(run.business_date.0))
        .filter(reconciliations::state.eq(RunState::Current.as_str()));
    let known: Option<String> = current
        .select(reconciliations::run_id)
        .first(c)
        .optional()?;
    if known != run.replaces.map(|id| id.to_string()) {
        return Ok(false);
    }
    if let Some(known) = known {
        // Who had to wait here for another one, which published, finds that it counts no more.
        let current = reconciliations::table
            .find(known)
            .filter(reconciliations::state.eq(RunState::Current.as_str()));
        let replaced = diesel::update(current)
            .set(reconciliations::state.eq(RunState::Replaced.as_str()))
            .execute(c)?;
        if replaced != 1 {
            return Ok(false);
        }
    }
    let row = RunRow::from(run);
    let written = super::either!(c, |c| {
        diesel::insert_into(reconciliations::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(c)
    })?;
    if written != 1 {
        // Two that saw no result both got here, and this one had to wait for the other: nothing was written.
        if run.replaces.is_none() && self::current(c, run.business_date)?.is_some() {
            return Ok(false);
        }
        // The row before it was marked in this transaction: the error takes that back.
        return Err(StoreError::Refused(format!(
            "version {} of the reconciliation of {} is there, and is not its result",
            run.version, run.business_date
        )));
    }
    for sum in sums {
        diesel::insert_into(reconciliation_sums::table)
            .values(SumRow::try_new(run.run_id, sum)?)
            .execute(c)?;
    }
    Ok(true)
}
