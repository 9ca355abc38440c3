//! Cases as rows.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::orders;
use super::row::{RowOf, micros};
use super::schema::{self, cases};
use crate::domain::case::{Case, CaseKind, CaseState, Proposal};
use crate::domain::ids::{CaseNo, OrderNo};
use crate::domain::time::Instant;
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// A row of `cases`.
#[derive(Clone, Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = cases, treat_none_as_null = true)]
pub(super) struct CaseRow {
    pub case_no: String,
    pub order_no: Option<String>,
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
    pub flow_no: Option<String>,
    pub owner: Option<String>,
}

impl From<&Case> for CaseRow {
    fn from(case: &Case) -> Self {
        let proposal = case.proposal.as_ref();
        Self {
            case_no: case.case_no.to_string(),
            order_no: case.order_no.as_ref().map(OrderNo::to_string),
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
            flow_no: case.flow_no.clone(),
            owner: case.owner.clone(),
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
            order_no: of.word_opt(row.order_no.as_deref())?,
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
            flow_no: row.flow_no,
            owner: row.owner,
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

/// How many cases wait for people, by kind.
pub fn open_by_kind(c: &mut AnyConnection) -> Result<Vec<(String, i64)>, StoreError> {
    let counted = cases::table
        // In the words of the index, so that both databases see that they may walk it.
        .filter(sql::<Bool>("state <> 'CLOSED'"))
        .group_by(cases::kind)
        .select((cases::kind, count_star()));
    Ok(counted.load(c)?)
}

/// What a listing of cases is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These states only; any where there is none.
    pub states: Vec<CaseState>,
    /// These kinds only; any where there is none.
    pub kinds: Vec<CaseKind>,
    /// What this person looks after.
    pub owner: Option<String>,
    /// What should have been decided by then.
    pub due_before: Option<Instant>,
    /// About these orders only. Cases that are about no order are left out where this says anything.
    pub orders: orders::Filter,
}

/// Narrows a query of cases to what the filter says of the cases themselves.
macro_rules! narrow_cases {
    ($query:ident, $filter:expr, $after:expr) => {{
        let filter: &Filter = $filter;
        if !filter.states.is_empty() {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            $query = $query.filter(cases::state.eq_any(states));
        }
        if !filter.kinds.is_empty() {
            let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
            $query = $query.filter(cases::kind.eq_any(kinds));
        }
        if let Some(owner) = &filter.owner {
            $query = $query.filter(cases::owner.eq(owner.clone()));
        }
        if let Some(due_before) = filter.due_before {
            $query = $query.filter(cases::due_at.lt(micros(due_before)));
        }
        if let Some(after) = $after {
            $query = $query.filter(cases::case_no.lt(after.as_str().to_owned()));
        }
    }};
}

/// A page of cases, newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&CaseNo>,
    limit: i64,
) -> Result<Vec<Case>, StoreError> {
    if filter.orders == orders::Filter::default() {
        let mut query = cases::table.into_boxed();
        narrow_cases!(query, filter, after);
        let query = query.order(cases::case_no.desc()).limit(limit);
        let rows: Vec<CaseRow> = query.load::<CaseRow>(c)?;
        return rows.into_iter().map(Case::try_from).collect();
    }
    let order = schema::orders::table.on(schema::orders::order_no.nullable().eq(cases::order_no));
    let mut query = cases::table
        .inner_join(order)
        .select(cases::all_columns)
        .into_boxed();
    narrow_cases!(query, filter, after);
    orders::narrow!(query, &filter.orders);
    let query = query.order(cases::case_no.desc()).limit(limit);
    let rows: Vec<CaseRow> = query.load::<CaseRow>(c)?;
    rows.into_iter().map(Case::try_from).collect()
}

/// Every case about a flow's number in partners' files, oldest first.
pub fn of_flow(c: &mut AnyConnection, flow_no: &str) -> Result<Vec<Case>, StoreError> {
    let rows: Vec<CaseRow> = cases::table
        .filter(cases::flow_no.eq(flow_no))
        .order(cases::case_no)
        .load::<CaseRow>(c)?;
    rows.into_iter().map(Case::try_from).collect()
}

/// Many cases at once; those that are not there are left out.
pub fn find_many(c: &mut AnyConnection, numbers: &[String]) -> Result<Vec<Case>, StoreError> {
    let rows: Vec<CaseRow> = cases::table
        .filter(cases::case_no.eq_any(numbers))
        .order(cases::case_no)
        .load::<CaseRow>(c)?;
    rows.into_iter().map(Case::try_from).collect()
}

/// Opens a case unless one of its kind is open for the order, or for the flow that it is about.
pub(super) fn open(c: &mut AnyConnection, case: &Case) -> QueryResult<bool> {
    let row = CaseRow::from(case);
    let of_kind = cases::table
        .filter(cases::kind.eq(row.kind.clone()))
        .filter(cases::state.ne(CaseState::Closed.as_str()));
    let open: i64 = match &row.flow_no {
        Some(flow_no) => of_kind
            .filter(cases::flow_no.eq(flow_no.clone()))
            .count()
            .get_result(c)?,
        None => of_kind
            .filter(cases::order_no.eq(row.order_no.clone()))
            .count()
            .get_result(c)?,
    };
    if open > 0 {
        return Ok(false);
    }
    diesel::insert_into(cases::table).values(row).execute(c)?;
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
