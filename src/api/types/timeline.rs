//! Timelines: why an order is where it is, and what happens next.

use super::case::Case;
use super::exception::Exception;
use super::flow::Attempt;
use super::order::Order;
use crate::api::auth::Right;
use crate::api::desk::{Caller, Desk};
use crate::api::errors::Problem;
use crate::domain::time::Instant;
use crate::engine;
use async_graphql::{Context, Description, Enum, Object, Result};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "engine::TimelineKind")]
pub enum TimelineKind {
    /// The order moved from one state to another.
    Transition,
    /// A money instruction was written down.
    FlowStarted,
    /// Its outcome was written down.
    FlowConcluded,
    /// A call that did not conclude its flow.
    Attempt,
    /// An exception was opened or closed.
    Exception,
    /// Something was done about a case; operators only.
    Decision,
    /// Something about telling the merchant: made, tried, delivered, given up, sent again.
    Notification,
    /// A job's run that worked on the order; operators only.
    JobRun,
}

/// One thing that happened to an order.
#[derive(Description)]
pub struct TimelineEntry(engine::TimelineEntry);

#[Object(use_type_description)]
impl TimelineEntry {
    /// When.
    async fn at(&self) -> Instant {
        self.0.at
    }

    /// What kind of thing.
    async fn kind(&self) -> TimelineKind {
        self.0.kind.into()
    }

    /// What happened, in words.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// Who did it, where somebody did. A merchant is not told the names of operators.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let caller = Caller::of(ctx)?;
        Ok(self.0.actor.as_deref().map(|actor| caller.reads(actor)))
    }
}

/// What happens next to an order that is not at rest.
#[derive(Description)]
pub struct NextStep(engine::NextStep);

#[Object(use_type_description)]
impl NextStep {
    /// What, in words.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// When, where that is known.
    async fn at(&self) -> Option<Instant> {
        self.0.at
    }
}

/// Everything about an order, in order.
#[derive(Description)]
pub struct OrderTimeline(pub engine::Timeline);

#[Object(use_type_description)]
impl OrderTimeline {
    /// The order as it stands in the database.
    async fn order(&self) -> Order {
        Order(self.0.order.clone())
    }

    /// What happened, oldest first. A merchant is not shown decisions and job runs.
    async fn entries(&self, ctx: &Context<'_>) -> Result<Vec<TimelineEntry>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let oversees = desk.caller.principal.may(Right::Oversee);
        let shown = self.0.entries.iter().filter(|entry| match entry.kind {
            engine::TimelineKind::Decision | engine::TimelineKind::JobRun => oversees,
            engine::TimelineKind::Transition
            | engine::TimelineKind::FlowStarted
            | engine::TimelineKind::FlowConcluded
            | engine::TimelineKind::Attempt
            | engine::TimelineKind::Exception
            | engine::TimelineKind::Notification => true,
        });
        Ok(shown.cloned().map(TimelineEntry).collect())
    }

    /// What happens next; none for an order at rest.
    async fn next(&self) -> Option<NextStep> {
        self.0.next.clone().map(NextStep)
    }

    /// The calls about the order that did not conclude its flows at once, oldest first.
    #[graphql(complexity = "5 + child_complexity")]
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<Attempt>> {
        let desk = Desk::open(ctx, Right::OrderRead)?;
        let attempts = desk.engine.attempts_of(&self.0.order.order_no).await;
        let attempts = attempts.map_err(Problem::from)?;
        Ok(attempts.into_iter().map(Attempt).collect())
    }

    /// The exceptions of the order, oldest first; operators only.
    #[graphql(complexity = "5 + child_complexity")]
    async fn exceptions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Exception>>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let found = desk.engine.exceptions_of(&self.0.order.order_no).await;
        let found = found.map_err(Problem::from)?;
        Ok(Some(found.into_iter().map(Exception).collect()))
    }

    /// The cases of the order, oldest first; operators only.
    #[graphql(complexity = "5 + child_complexity")]
    async fn cases(&self, ctx: &Context<'_>) -> Result<Option<Vec<Case>>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let found = desk.engine.cases_of(&self.0.order.order_no).await;
        let found = found.map_err(Problem::from)?;
        Ok(Some(found.into_iter().map(Case).collect()))
    }
}
