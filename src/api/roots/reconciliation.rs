//! Reconciliation, for operators: partners' files, results, what differs, and why.

use super::overview::forward;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::paging::{
    DiscrepancyConnection, Kind, PartnerFileConnection, ReconciliationConnection, cost,
};
use crate::api::types::reconciliation::{
    Discrepancy, LineProof, PartnerFileState, Reconciliation, ReconciliationClass,
    ReconciliationExplanation, ReconciliationMode, ReconciliationSum,
};
use crate::api::types::refusal::UserError;
use crate::api::types::scalars::Date;
use crate::api::types::{invalid, parse};
use crate::domain::partner::{self, PartnerName};
use crate::domain::progress::Silent;
use crate::domain::reconciliation::Class;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::{DayOutcome, EngineError, Mode, Reconciled};
use crate::storage::orders::Page;
use crate::storage::{discrepancies, partner_files, reconciliations};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use uuid::Uuid;

/// How many differences a dry run shows.
const SHOWN_MAX: usize = 100;

/// Which files.
#[derive(Default, InputObject)]
pub struct PartnerFileFilter {
    /// Only of this partner, by its name in the settings.
    partner: Option<String>,
    /// From this business date on.
    from: Option<Date>,
    /// Up to this business date, which is included.
    to: Option<Date>,
    /// Only in this state.
    state: Option<PartnerFileState>,
}

/// Which flows.
#[derive(Default, InputObject)]
pub struct DiscrepancyFilter {
    /// Only of these classes.
    classes: Option<Vec<ReconciliationClass>>,
    /// Only where this partner's file says something, by its name in the settings.
    partner: Option<String>,
    /// From this business date on.
    from: Option<Date>,
    /// Up to this business date, which is included.
    to: Option<Date>,
    /// Only what waits for its other side or for a person.
    open_only: Option<bool>,
}

#[derive(Default)]
pub struct ReconciliationQuery;

#[Object]
impl ReconciliationQuery {
    /// Files that banks and billers sent, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn partner_files(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only such files.")] filter: Option<PartnerFileFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<PartnerFileConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::PartnerFile, first, after)?;
        let PartnerFileFilter {
            partner,
            from,
            to,
            state,
        } = filter.unwrap_or_default();
        let filter = partner_files::Filter {
            partner: named(partner)?,
            from: from.map(|date| date.0),
            to: to.map(|date| date.0),
            state: state.map(partner::PartnerFileState::from),
        };
        let listing = desk
            .engine
            .partner_files(filter, row_after(&page), page.limit);
        let listing = listing.await.map_err(Problem::from)?;
        Ok(PartnerFileConnection::new(&page, listing))
    }

    /// Results of reconciling, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn reconciliations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From this business date on.")] from: Option<Date>,
        #[graphql(desc = "Up to this business date, which is included.")] to: Option<Date>,
        #[graphql(default = false, desc = "Results that were replaced too.")] with_replaced: bool,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<ReconciliationConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::Reconciliation, first, after)?;
        let filter = reconciliations::Filter {
            from: from.map(|date| date.0),
            to: to.map(|date| date.0),
            with_replaced,
        };
        let listing = desk
            .engine
            .reconciliations(filter, row_after(&page), page.limit);
        let listing = listing.await.map_err(Problem::from)?;
        Ok(ReconciliationConnection::new(&page, listing))
    }

    /// The result of a business date; operators only.
    #[graphql(complexity = "2 + child_complexity")]
    async fn reconciliation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The date.")] date: Date,
        #[graphql(desc = "A version of it; the one that counts if not given.")] version: Option<
            i32,
        >,
    ) -> Result<Option<Reconciliation>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let found = desk.engine.reconciliation(date.0, version).await;
        Ok(found.map_err(Problem::from)?.map(Reconciliation::from))
    }

    /// The counts and sums of the result of a business date: they add up to what each side listed;
    /// operators only.
    #[graphql(complexity = "10 + child_complexity")]
    async fn reconciliation_sums(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The date.")] date: Date,
        #[graphql(desc = "A version of it; the one that counts if not given.")] version: Option<
            i32,
        >,
    ) -> Result<Vec<ReconciliationSum>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let found = desk.engine.reconciliation(date.0, version).await;
        let Some(run) = found.map_err(Problem::from)? else {
            return Ok(Vec::new());
        };
        let sums = desk.engine.reconciliation_sums(run.run_id).await;
        let sums = sums.map_err(Problem::from)?.into_iter();
        Ok(sums.map(ReconciliationSum::from).collect())
    }

    /// Flows that are not plainly matched, newest first; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn discrepancies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only such flows.")] filter: Option<DiscrepancyFilter>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<DiscrepancyConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::Discrepancy, first, after)?;
        let DiscrepancyFilter {
            classes,
            partner,
            from,
            to,
            open_only,
        } = filter.unwrap_or_default();
        let classes = classes.unwrap_or_default().into_iter();
        let filter = discrepancies::Filter {
            classes: classes.map(Class::from).collect(),
            partner: named(partner)?.map(|name| name.to_string()),
            from: from.map(|date| date.0),
            to: to.map(|date| date.0),
            open_only: open_only.unwrap_or(false),
        };
        let listing = desk
            .engine
            .discrepancies(filter, row_after(&page), page.limit);
        let listing = listing.await.map_err(Problem::from)?;
        Ok(DiscrepancyConnection::new(&page, listing))
    }

    /// Why a flow has its class: what each side says, in which line of which file; operators only. Reads
    /// the files of its days, so it takes its time.
    #[graphql(complexity = "100 + child_complexity")]
    async fn reconciliation_explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number, as it stands in the files: 1 to 128 characters.")]
        flow_no: String,
    ) -> Result<Option<ReconciliationExplanation>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        if !(1..=128).contains(&flow_no.chars().count()) {
            let rule = invalid("flowNo", "flowNo has to be 1 to 128 characters");
            return Err(Problem::from(rule).into());
        }
        let explained = desk.engine.reconciliation_explain(&flow_no).await;
        let explained = explained.map_err(|fault| Problem::from(EngineError::from(fault)))?;
        Ok(explained.map(ReconciliationExplanation))
    }
}

/// Which date is reconciled, and whether it may change anything.
#[derive(InputObject)]
pub struct ReconciliationRunInput {
    /// The business date; it has to be closed.
    date: Date,
    /// Publish, or show only.
    mode: ReconciliationMode,
}

/// What became of `reconciliationRun`.
#[derive(SimpleObject)]
pub struct ReconciliationRunPayload {
    /// The result: a new one, the one that would be published, or the one that is there and stays because
    /// it comes to the same. None if it was refused.
    reconciliation: Option<Reconciliation>,
    /// Whether the result that is there stays.
    is_same: bool,
    /// The counts and sums; empty where the result stays.
    sums: Vec<ReconciliationSum>,
    /// The first 100 flows that are not plainly matched; `discrepancies` lists all that are published.
    differences: Vec<Discrepancy>,
    /// What lines of the bank prove: settled by a run that publishes.
    proofs: Vec<LineProof>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ReconciliationMutation;

#[Object]
impl ReconciliationMutation {
    /// Reconciles a closed business date once more, or shows what that would come to.
    #[graphql(complexity = "100 + child_complexity")]
    async fn reconciliation_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which date, and how.")] input: ReconciliationRunInput,
    ) -> Result<ReconciliationRunPayload> {
        let mode = input.mode;
        let (done, user_errors) = outcome(run(ctx, input).await)?;
        let mut payload = ReconciliationRunPayload {
            reconciliation: None,
            is_same: false,
            sums: Vec::new(),
            differences: Vec::new(),
            proofs: Vec::new(),
            user_errors,
        };
        match done {
            Some(Done::Same(run)) => {
                payload.is_same = true;
                payload.reconciliation = Some((*run).into());
            }
            Some(Done::New(new)) => {
                let differences = new.differences.into_iter().take(SHOWN_MAX);
                payload.differences = differences.map(Discrepancy).collect();
                payload.sums = new.sums.into_iter().map(ReconciliationSum::from).collect();
                let proofs = new.proofs.iter().take(SHOWN_MAX);
                payload.proofs = proofs.map(LineProof::from).collect();
                payload.reconciliation = Some(match mode {
                    ReconciliationMode::Publish => new.run.into(),
                    ReconciliationMode::DryRun => Reconciliation::shown(new.run),
                });
            }
            None => {}
        }
        Ok(payload)
    }
}

enum Done {
    Same(Box<crate::domain::reconciled::ReconciliationRun>),
    New(Box<Reconciled>),
}

async fn run(ctx: &Context<'_>, input: ReconciliationRunInput) -> Result<Done, Problem> {
    let desk = Desk::open(ctx, Right::Reconcile)?;
    let (date, actor) = (input.date.0, desk.actor());
    let done = match input.mode {
        ReconciliationMode::Publish => desk.engine.reconcile_again(date, &actor, &Silent).await,
        ReconciliationMode::DryRun => {
            let mode = Mode::DryRun;
            desk.engine.reconcile_day(date, mode, &actor, &Silent).await
        }
    };
    let refused = |message: String| {
        let refusal = Refusal::new(RefusalCode::ReconciliationWaits, message).on("date");
        Problem::from(refusal.later())
    };
    match done.map_err(EngineError::from)? {
        DayOutcome::Published(new) | DayOutcome::Shown(new) => Ok(Done::New(new)),
        DayOutcome::Same(run) => Ok(Done::Same(run)),
        DayOutcome::Waits(lacking) => Err(refused(format!(
            "{date} cannot be reconciled yet: {}",
            lacking.join("; ")
        ))),
        DayOutcome::Overtaken => Err(refused(format!(
            "{date} was reconciled by somebody else at this moment; look at the result"
        ))),
    }
}

fn named(partner: Option<String>) -> Result<Option<PartnerName>, Problem> {
    let name = partner.map(|text| parse("partner", &text));
    Ok(name.transpose()?)
}

/// The cursor of a listing whose rows are known by UUIDs.
fn row_after(page: &Page) -> Option<Uuid> {
    let id = page.after.as_deref();
    id.and_then(|id| Uuid::try_parse(id).ok())
}
