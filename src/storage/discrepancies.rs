//! Flows that are not plainly matched, as rows; those that are EXPECTED are the pool.
//!
//! A row is written with its run and then only ended by a run of a later date, or given its case. When that
//! later run is replaced, what it had ended is open again in the same transaction.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::RowOf;
use super::schema::cases;
use super::schema_night::{discrepancies, reconciliations};
use crate::domain::case::CaseState;
use crate::domain::ids::CaseNo;
use crate::domain::money::Currency;
use crate::domain::reconciled::{Discrepancy, Ended, PartnerRow, RunState};
use crate::domain::reconciliation::Class;
use crate::domain::time::BusinessDate;
use chrono::NaiveDate;
use diesel::prelude::*;
use uuid::Uuid;

/// A row of `discrepancies`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = discrepancies)]
struct DiscrepancyRow {
    discrepancy_id: String,
    run_id: String,
    business_date: NaiveDate,
    flow_no: String,
    kind: String,
    order_no: Option<String>,
    merchant: Option<String>,
    biller: Option<String>,
    adapter: Option<String>,
    class: String,
    rule: String,
    currency: String,
    our_state: Option<String>,
    our_minor: Option<i64>,
    bank_file: Option<String>,
    bank_line: Option<i64>,
    bank_status: Option<String>,
    bank_minor: Option<i64>,
    biller_file: Option<String>,
    biller_line: Option<i64>,
    biller_status: Option<String>,
    biller_minor: Option<i64>,
    risk_minor: i64,
    due_on: Option<NaiveDate>,
    ended_on: Option<NaiveDate>,
    ended_run: Option<String>,
    ended_class: Option<String>,
    ended_rule: Option<String>,
    case_no: Option<String>,
}

impl From<&Discrepancy> for DiscrepancyRow {
    fn from(one: &Discrepancy) -> Self {
        let (bank, biller) = (one.bank.as_ref(), one.biller_row.as_ref());
        let ended = one.ended.as_ref();
        Self {
            discrepancy_id: one.discrepancy_id.to_string(),
            run_id: one.run_id.to_string(),
            business_date: one.business_date.0,
            flow_no: one.flow_no.clone(),
            kind: one.kind.clone(),
            order_no: one.order_no.as_ref().map(ToString::to_string),
            merchant: one.merchant.clone(),
            biller: one.biller.clone(),
            adapter: one.adapter.clone(),
            class: one.class.as_str().to_owned(),
            rule: one.rule.as_str().to_owned(),
            currency: one.currency.code().to_owned(),
            our_state: one.our_state.map(|state| state.as_str().to_owned()),
            our_minor: one.our_minor,
            bank_file: bank.map(|row| row.file.clone()),
            bank_line: bank.map(|row| row.line),
            bank_status: bank.map(|row| row.status.as_str().to_owned()),
            bank_minor: bank.map(|row| row.amount_minor),
            biller_file: biller.map(|row| row.file.clone()),
            biller_line: biller.map(|row| row.line),
            biller_status: biller.map(|row| row.status.as_str().to_owned()),
            biller_minor: biller.map(|row| row.amount_minor),
            risk_minor: one.risk_minor,
            due_on: one.due_on.map(|date| date.0),
            ended_on: ended.map(|ended| ended.on.0),
            ended_run: ended.map(|ended| ended.run_id.to_string()),
            ended_class: ended.map(|ended| ended.class.as_str().to_owned()),
            ended_rule: ended.map(|ended| ended.rule.as_str().to_owned()),
            case_no: one.case_no.as_ref().map(ToString::to_string),
        }
    }
}

/// The four columns of a partner's row.
type PartnerColumns = (Option<String>, Option<i64>, Option<String>, Option<i64>);

fn partner_row(of: &RowOf<'_>, row: PartnerColumns) -> Result<Option<PartnerRow>, StoreError> {
    match row {
        (Some(file), Some(line), Some(status), Some(amount_minor)) => Ok(Some(PartnerRow {
            file,
            line,
            status: of.word(&status)?,
            amount_minor,
        })),
        (None, None, None, None) => Ok(None),
        _ => Err(of.corrupt("half a row of a partner")),
    }
}

impl TryFrom<DiscrepancyRow> for Discrepancy {
    type Error = StoreError;

    fn try_from(row: DiscrepancyRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "discrepancies",
            key: &row.discrepancy_id,
        };
        let ended = match (row.ended_on, row.ended_run, row.ended_class, row.ended_rule) {
            (Some(on), Some(run), Some(class), Some(rule)) => Some(Ended {
                on: BusinessDate(on),
                run_id: of.word::<Uuid>(&run)?,
                class: of.word(&class)?,
                rule: of.word(&rule)?,
            }),
            (None, None, None, None) => None,
            _ => return Err(of.corrupt("half an end")),
        };
        Ok(Discrepancy {
            discrepancy_id: of.word::<Uuid>(&row.discrepancy_id)?,
            run_id: of.word::<Uuid>(&row.run_id)?,
            business_date: BusinessDate(row.business_date),
            order_no: of.word_opt(row.order_no.as_deref())?,
            class: of.word(&row.class)?,
            rule: of.word(&row.rule)?,
            currency: Currency::try_new(&row.currency).map_err(|error| of.corrupt(error))?,
            our_state: of.word_opt(row.our_state.as_deref())?,
            bank: partner_row(
                &of,
                (
                    row.bank_file,
                    row.bank_line,
                    row.bank_status,
                    row.bank_minor,
                ),
            )?,
            biller_row: partner_row(
                &of,
                (
                    row.biller_file,
                    row.biller_line,
                    row.biller_status,
                    row.biller_minor,
                ),
            )?,
            due_on: row.due_on.map(BusinessDate),
            case_no: of.word_opt(row.case_no.as_deref())?,
            flow_no: row.flow_no,
            kind: row.kind,
            merchant: row.merchant,
            biller: row.biller,
            adapter: row.adapter,
            our_minor: row.our_minor,
            risk_minor: row.risk_minor,
            ended,
        })
    }
}

fn read(rows: Vec<DiscrepancyRow>) -> Result<Vec<Discrepancy>, StoreError> {
    rows.into_iter().map(Discrepancy::try_from).collect()
}

/// What the runs that count found EXPECTED on the dates up to one, and what no date before its successor has
/// ended: the pool for that successor. What a later date has ended is looked for from `from` on; what nobody has
/// ended is in it however old it is, for its file may have come after any time.
pub fn pool(
    c: &mut AnyConnection,
    from: BusinessDate,
    to: BusinessDate,
) -> Result<Vec<Discrepancy>, StoreError> {
    let current = reconciliations::table
        .filter(reconciliations::state.eq(RunState::Current.as_str()))
        .filter(reconciliations::business_date.le(to.0))
        .select(reconciliations::run_id);
    let ended_later = discrepancies::ended_on
        .gt(to.0)
        .and(discrepancies::business_date.ge(from.0));
    read(
        discrepancies::table
            .filter(discrepancies::business_date.le(to.0))
            .filter(discrepancies::class.eq(Class::Expected.as_str()))
            .filter(discrepancies::run_id.eq_any(current))
            .filter(discrepancies::ended_on.is_null().or(ended_later))
            .order((discrepancies::flow_no, discrepancies::business_date))
            .load::<DiscrepancyRow>(c)?,
    )
}

/// The flows of a run.
pub fn of_run(c: &mut AnyConnection, run_id: Uuid) -> Result<Vec<Discrepancy>, StoreError> {
    read(
        discrepancies::table
            .filter(discrepancies::run_id.eq(run_id.to_string()))
            .order(discrepancies::flow_no)
            .load::<DiscrepancyRow>(c)?,
    )
}

/// Everything that runs which count have found about some numbers, by number and date.
pub fn of_numbers(
    c: &mut AnyConnection,
    numbers: &[String],
) -> Result<Vec<Discrepancy>, StoreError> {
    let current = reconciliations::table
        .filter(reconciliations::state.eq(RunState::Current.as_str()))
        .select(reconciliations::run_id);
    read(
        discrepancies::table
            .filter(discrepancies::flow_no.eq_any(numbers))
            .filter(discrepancies::run_id.eq_any(current))
            .order((discrepancies::flow_no, discrepancies::business_date))
            .load::<DiscrepancyRow>(c)?,
    )
}

/// What a listing of discrepancies is narrowed to; only those of runs that count are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this class by now.
    pub classes: Vec<Class>,
    /// Whose files say something of it: a part of the files' paths.
    pub partner: Option<String>,
    /// From this date on.
    pub from: Option<BusinessDate>,
    /// Up to this date, which is included.
    pub to: Option<BusinessDate>,
    /// Only what still waits, for its other side or for a person.
    pub open_only: bool,
}

/// A page of discrepancies by id (which sorts by time), newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Discrepancy>, StoreError> {
    let current = reconciliations::table
        .filter(reconciliations::state.eq(RunState::Current.as_str()))
        .select(reconciliations::run_id);
    let mut query = discrepancies::table
        .filter(discrepancies::run_id.eq_any(current))
        .into_boxed();
    if !filter.classes.is_empty() {
        let words: Vec<&str> = filter.classes.iter().map(|class| class.as_str()).collect();
        let ended = discrepancies::ended_class.is_not_null();
        let by_now = ended
            .and(discrepancies::ended_class.eq_any(words.clone()))
            .or(discrepancies::ended_class
                .is_null()
                .and(discrepancies::class.eq_any(words)));
        query = query.filter(by_now.assume_not_null());
    }
    if let Some(partner) = &filter.partner {
        let like = format!("partner/{partner}/%");
        let named = discrepancies::bank_file
            .like(like.clone())
            .or(discrepancies::biller_file.like(like));
        query = query.filter(named.assume_not_null());
    }
    if let Some(from) = filter.from {
        query = query.filter(discrepancies::business_date.ge(from.0));
    }
    if let Some(to) = filter.to {
        query = query.filter(discrepancies::business_date.le(to.0));
    }
    if filter.open_only {
        let open_cases = cases::table
            .filter(cases::state.ne(CaseState::Closed.as_str()))
            .select(cases::case_no.nullable());
        let waits = discrepancies::class
            .eq(Class::Expected.as_str())
            .and(discrepancies::ended_on.is_null());
        let with_people = discrepancies::case_no
            .is_not_null()
            .and(discrepancies::case_no.eq_any(open_cases).assume_not_null());
        query = query.filter(waits.or(with_people));
    }
    if let Some(after) = after {
        query = query.filter(discrepancies::discrepancy_id.lt(after.to_string()));
    }
    let query = query
        .order(discrepancies::discrepancy_id.desc())
        .limit(limit);
    read(query.load::<DiscrepancyRow>(c)?)
}

/// Writes the flows of a run.
pub(super) fn insert(c: &mut AnyConnection, found: &[Discrepancy]) -> QueryResult<()> {
    for one in found {
        diesel::insert_into(discrepancies::table)
            .values(DiscrepancyRow::from(one))
            .execute(c)?;
    }
    Ok(())
}

/// Ends what an earlier date found EXPECTED.
pub(super) fn end(c: &mut AnyConnection, id: Uuid, ended: &Ended) -> QueryResult<()> {
    diesel::update(discrepancies::table.find(id.to_string()))
        .set((
            discrepancies::ended_on.eq(Some(ended.on.0)),
            discrepancies::ended_run.eq(Some(ended.run_id.to_string())),
            discrepancies::ended_class.eq(Some(ended.class.as_str())),
            discrepancies::ended_rule.eq(Some(ended.rule.as_str())),
        ))
        .execute(c)?;
    Ok(())
}

/// Opens again what a run had ended: another run takes its place.
pub(super) fn open_again(c: &mut AnyConnection, run_id: Uuid) -> QueryResult<()> {
    diesel::update(discrepancies::table.filter(discrepancies::ended_run.eq(run_id.to_string())))
        .set((
            discrepancies::ended_on.eq(None::<NaiveDate>),
            discrepancies::ended_run.eq(None::<String>),
            discrepancies::ended_class.eq(None::<String>),
            discrepancies::ended_rule.eq(None::<String>),
        ))
        .execute(c)?;
    Ok(())
}

/// Says which case is about a discrepancy.
pub(super) fn give_case(c: &mut AnyConnection, id: Uuid, case_no: &CaseNo) -> QueryResult<()> {
    diesel::update(discrepancies::table.find(id.to_string()))
        .set(discrepancies::case_no.eq(Some(case_no.as_str())))
        .execute(c)?;
    Ok(())
}
