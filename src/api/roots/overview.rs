//! The center's own affairs, for operators: exceptions, cases, job runs.

use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::paging::{
    CaseConnection, ExceptionConnection, JobRunConnection, Kind, PageArgs, cost,
};
use crate::api::types::case::{Case, CaseKind, CaseState};
use crate::api::types::exception::Phase;
use crate::api::types::order::OrderFilter;
use crate::api::types::{invalid, parse};
use crate::domain::case;
use crate::domain::exception;
use crate::domain::ids::CaseNo;
use crate::domain::refusal::Refusal;
use crate::domain::time::Instant;
use crate::storage::orders::{self, Page};
use crate::storage::{cases, exceptions};
use async_graphql::{Context, InputObject, Object, Result};
use uuid::Uuid;

/// Which cases.
#[derive(Default, InputObject)]
pub struct CaseFilter {
    /// Only cases of these kinds.
    kinds: Option<Vec<CaseKind>>,
    /// Only what this person looks after.
    owner: Option<String>,
    /// Only what should have been decided by then.
    due_before: Option<Instant>,
}

#[derive(Default)]
pub struct OverviewQuery;

#[Object]
impl OverviewQuery {
    /// Payments in doubt, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn exceptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = true, desc = "Leave closed ones out.")] open_only: bool,
        #[graphql(desc = "Only those in this phase.")] phase: Option<Phase>,
        #[graphql(desc = "Only those about such orders.")] orders: Option<OrderFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<ExceptionConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::Exception, first, after)?;
        let filter = exceptions::Filter {
            open_only,
            phase: phase.map(exception::Phase::from),
            orders: such(orders)?,
        };
        let after = uuid_after(&page);
        let listing = desk.engine.exceptions(filter, after, page.limit).await;
        Ok(ExceptionConnection::new(
            &page,
            listing.map_err(Problem::from)?,
        ))
    }

    /// One case; operators only.
    #[graphql(complexity = "2 + child_complexity")]
    async fn case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] case_no: String,
    ) -> Result<Option<Case>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let case_no: CaseNo = parse("caseNo", &case_no).map_err(Problem::from)?;
        let found = desk.engine.case(&case_no).await.map_err(Problem::from)?;
        Ok(found.map(Case))
    }

    /// Cases, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn cases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only cases in these states.")] states: Option<Vec<CaseState>>,
        #[graphql(desc = "Only such cases.")] filter: Option<CaseFilter>,
        #[graphql(desc = "Only those about such orders.")] orders: Option<OrderFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<CaseConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::Case, first, after)?;
        let after = page.after.as_deref().map(|number| parse("after", number));
        let after = after.transpose().map_err(Problem::from)?;
        let states = states.unwrap_or_default().into_iter();
        let mut states: Vec<_> = states.map(case::CaseState::from).collect();
        states.sort_unstable();
        states.dedup();
        let CaseFilter {
            kinds,
            owner,
            due_before,
        } = filter.unwrap_or_default();
        let kinds = kinds.unwrap_or_default().into_iter();
        let filter = cases::Filter {
            states,
            kinds: kinds.map(case::CaseKind::from).collect(),
            owner,
            due_before,
            orders: such(orders)?,
        };
        let listing = desk.engine.cases(filter, after, page.limit).await;
        Ok(CaseConnection::new(&page, listing.map_err(Problem::from)?))
    }

    /// Runs of scheduled jobs, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn job_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only runs of the job of this name.")] job: Option<String>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<JobRunConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::JobRun, first, after)?;
        if let Some(name) = &job {
            job_name(name).map_err(Problem::from)?;
        }
        let listing = desk
            .engine
            .job_runs(job, uuid_after(&page), page.limit)
            .await;
        Ok(JobRunConnection::new(
            &page,
            listing.map_err(Problem::from)?,
        ))
    }
}

/// The form of a job's name, which is a Rust module's. Which jobs there were is for the record to say:
/// it may hold runs of one that there is no more.
pub(super) fn job_name(text: &str) -> Result<(), Refusal> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    let rule = "job has to be 1 to 64 small letters, digits or '_'";
    Err(invalid("job", rule))
}

/// The orders that a listing is narrowed to; all where nothing is said of them.
fn such(orders: Option<OrderFilter>) -> Result<orders::Filter, Problem> {
    let filter = orders.unwrap_or_default().try_into();
    filter.map_err(Problem::Refused)
}

pub(super) fn forward(
    kind: Kind,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Page, Problem> {
    let args = PageArgs {
        first,
        after,
        ..PageArgs::default()
    };
    Ok(args.page(kind)?)
}

/// The cursor of a listing whose rows are known by UUIDs; its form was checked when it was read.
fn uuid_after(page: &Page) -> Option<Uuid> {
    page.after
        .as_deref()
        .and_then(|id| Uuid::try_parse(id).ok())
}
