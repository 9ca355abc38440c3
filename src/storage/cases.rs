//! Cases as rows.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::orders;
use super::row::{RowOf, micros};
use super::schema::{self, cases};
use crate::domain::case::{Case, CaseKind, CaseState, Proposal};
use crate::domain::ids::{CaseNo, OrderNo};
use diesel::prelude::*;

/// A row of `cases`.
#[derive(Clone, Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = cases, treat_none_as_null = true)]
pub(super) struct CaseRow {
    pub case_no: String,
    pub order_no: String,
    pub kind: String,
    pub state: String,
    pub cause: String,
    pub opened_at: i64,
    pub due_at: i64,
    pub decision: Option<String>,
    pub evidence: Option<String>,
    pub maker: Option<String>,
    pub proposed_at: Option<i64>,
    pub checker: Option<String>,
    pub closed_at: Option<i64>,
    pub resolution: Option<String>,
    pub version: i32,
}

impl From<&Case> for CaseRow {
    fn from(case: &Case) -> Self {
        let proposal = case.proposal.as_ref();
        Self {
            case_no: case.case_no.to_string(),
            order_no: case.order_no.to_string(),
            kind: case.kind.as_str().to_owned(),
            state: case.state.as_str().to_owned(),
            cause: case.cause.clone(),
            opened_at: micros(case.opened_at),
            due_at: micros(case.due_at),
            decision: proposal.map(|p| p.decision.as_str().to_owned()),
            evidence: proposal.map(|p| p.evidence.clone()),
            maker: proposal.map(|p| p.maker.clone()),
            proposed_at: proposal.map(|p| micros(p.proposed_at)),
            checker: case.checker.clone(),
            closed_at: case.closed_at.map(micros),
            resolution: case.resolution.clone(),
            version: case.version,
        }
    }
}

impl TryFrom<CaseRow> for Case {
    type Error = StoreError;

    fn try_from(row: CaseRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "cases",
            key: &row.case_no,
        };
        let proposal = match (row.decision, row.evidence, row.maker, row.proposed_at) {
            (Some(decision), Some(evidence), Some(maker), Some(proposed_at)) => Some(Proposal {
                decision: of.word(&decision)?,
                evidence,
                maker,
                proposed_at: of.instant(proposed_at)?,
            }),
            (None, None, None, None) => None,
            _ => return Err(of.corrupt("half a proposal")),
        };
        Ok(Case {
            case_no: of.word(&row.case_no)?,
            order_no: of.word(&row.order_no)?,
            kind: of.word(&row.kind)?,
            state: of.word(&row.state)?,
            opened_at: of.instant(row.opened_at)?,
            due_at: of.instant(row.due_at)?,
            closed_at: of.instant_opt(row.closed_at)?,
            cause: row.cause,
            proposal,
            checker: row.checker,
            resolution: row.resolution,
            version: row.version,
        })
    }
}

/// One case.
pub fn find(c: &mut AnyConnection, case_no: &CaseNo) -> Result<Option<Case>, StoreError> {
    let row: Option<CaseRow> = cases::table
        .find(case_no.as_str())
        .first::<CaseRow>(c)
        .optional()?;
    row.map(Case::try_from).transpose()
}

/// Every case of an order, oldest first.
pub fn of_order(c: &mut AnyConnection, order_no: &OrderNo) -> Result<Vec<Case>, StoreError> {
    let rows: Vec<CaseRow> = cases::table
        .filter(cases::order_no.eq(order_no.as_str()))
        .order(cases::case_no)
        .load::<CaseRow>(c)?;
    rows.into_iter().map(Case::try_from).collect()
}

/// The open case of a kind of an order.
pub fn open_of(
    c: &mut AnyConnection,
    order_no: &OrderNo,
    kind: CaseKind,
) -> Result<Option<Case>, StoreError> {
    let row: Option<CaseRow> = cases::table
        .filter(cases::order_no.eq(order_no.as_str()))
        .filter(cases::kind.eq(kind.as_str()))
        .filter(cases::state.ne(CaseState::Closed.as_str()))
        .first::<CaseRow>(c)
        .optional()?;
    row.map(Case::try_from).transpose()
}

/// What a listing of cases is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These states only; any where there is none.
    pub states: Vec<CaseState>,
    /// About these orders only.
    pub orders: orders::Filter,
}

/// A page of cases, newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&CaseNo>,
    limit: i64,
) -> Result<Vec<Case>, StoreError> {
    let order = schema::orders::table.on(schema::orders::order_no.eq(cases::order_no));
    let mut query = cases::table
        .inner_join(order)
        .select(cases::all_columns)
        .into_boxed();
    if !filter.states.is_empty() {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        query = query.filter(cases::state.eq_any(states));
    }
    orders::narrow!(query, &filter.orders);
    if let Some(after) = after {
        query = query.filter(cases::case_no.lt(after.as_str()));
    }
    let rows: Vec<CaseRow> = query
        .order(cases::case_no.desc())
        .limit(limit)
        .load::<CaseRow>(c)?;
    rows.into_iter().map(Case::try_from).collect()
}

/// Opens a case unless one of its kind is open for the order.
pub(super) fn open(c: &mut AnyConnection, case: &Case) -> QueryResult<bool> {
    let open: i64 = cases::table
        .filter(cases::order_no.eq(case.order_no.as_str()))
        .filter(cases::kind.eq(case.kind.as_str()))
        .filter(cases::state.ne(CaseState::Closed.as_str()))
        .count()
        .get_result(c)?;
    if open > 0 {
        return Ok(false);
    }
    diesel::insert_into(cases::table)
        .values(CaseRow::from(case))
        .execute(c)?;
    Ok(true)
}

/// Writes a case's new values if nobody changed it since it was read.
pub(super) fn replace(c: &mut AnyConnection, case: &Case) -> QueryResult<bool> {
    let row = CaseRow::from(case);
    let (case_no, before) = (row.case_no.clone(), row.version - 1);
    let written = diesel::update(
        cases::table
            .filter(cases::case_no.eq(case_no))
            .filter(cases::version.eq(before)),
    )
    .set(row)
    .execute(c)?;
    Ok(written == 1)
}
