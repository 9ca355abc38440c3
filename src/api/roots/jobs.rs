//! Scheduled jobs: reading them, and asking for runs. What is asked for is written down; a driver runs it.

use super::overview::job_name;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::types::invalid;
use crate::api::types::job::Job;
use crate::api::types::job_run::JobRun;
use crate::api::types::refusal::UserError;
use crate::api::types::scalars::Date;
use crate::domain::job;
use crate::domain::refusal::Refusal;
use crate::engine::{Backfill, BackfillMode, RunAsk};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use uuid::Uuid;

/// Which run is asked for.
#[derive(InputObject)]
pub struct JobTriggerInput {
    /// The job's name.
    job: String,
    /// The business date that it works on; the last that has ended, if not given.
    business_date: Option<Date>,
}

/// Which business dates are made up for.
#[derive(InputObject)]
pub struct JobBackfillInput {
    /// The job's name.
    job: String,
    /// The first business date.
    from: Date,
    /// The last business date, which has to have ended; 366 days at most.
    to: Date,
    /// Only tells which runs it would ask for.
    #[graphql(default)]
    dry_run: bool,
}

/// What became of `jobTrigger`.
#[derive(SimpleObject)]
pub struct JobTriggerPayload {
    /// The run that waits for its turn; none if it was refused.
    run: Option<JobRun>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// What became of `jobBackfill`.
#[derive(SimpleObject)]
pub struct JobBackfillPayload {
    /// The runs that wait for their turn, one a business date, in order; none if it was refused. Dates that
    /// have a run which succeeded, or may yet, and dates on which the job has nothing to do, have none.
    runs: Option<Vec<JobRun>>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct JobQuery;

#[Object]
impl JobQuery {
    /// The scheduled jobs, by name; operators only.
    #[graphql(complexity = "10 + 2 * child_complexity")]
    async fn jobs(&self, ctx: &Context<'_>) -> Result<Vec<Job>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let now = desk.engine.clock().now();
        Ok(desk.jobs.jobs(now).into_iter().map(Job).collect())
    }

    /// One run of a job; operators only.
    #[graphql(complexity = "2 + child_complexity")]
    async fn job_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id, a UUID.")] run_id: ID,
    ) -> Result<Option<JobRun>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let run_id = read_run_id(&run_id).map_err(Problem::from)?;
        let found = desk.engine.job_run(run_id).await;
        Ok(found.map_err(Problem::from)?.map(JobRun))
    }
}

#[derive(Default)]
pub struct JobMutation;

#[Object]
impl JobMutation {
    /// Asks for a run of a job. It begins as soon as no other run of the job is under way and the jobs that
    /// come before are done with its business date; watch it by `jobRunChanged`. Where one for the same
    /// date waits already, that one is the answer.
    #[graphql(complexity = "10 + child_complexity")]
    async fn job_trigger(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which run.")] input: JobTriggerInput,
    ) -> Result<JobTriggerPayload> {
        let (run, user_errors) = outcome(trigger(ctx, input).await)?;
        let run = run.map(JobRun);
        Ok(JobTriggerPayload { run, user_errors })
    }

    /// Asks for a run of each business date of a stretch that has none which succeeded, in order.
    #[graphql(complexity = "50 + 20 * child_complexity")]
    async fn job_backfill(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which business dates.")] input: JobBackfillInput,
    ) -> Result<JobBackfillPayload> {
        let (runs, user_errors) = outcome(backfill(ctx, input).await)?;
        let runs = runs.map(|runs| runs.into_iter().map(JobRun).collect());
        Ok(JobBackfillPayload { runs, user_errors })
    }
}

async fn trigger(ctx: &Context<'_>, input: JobTriggerInput) -> Result<job::JobRun, Problem> {
    let desk = Desk::open(ctx, Right::JobRun)?;
    job_name(&input.job)?;
    let ask = RunAsk {
        job: input.job,
        business_date: input.business_date.map(|date| date.0),
    };
    let actor = desk.actor();
    Ok(desk.engine.ask_for_run(&**desk.jobs, ask, &actor).await?)
}

async fn backfill(ctx: &Context<'_>, input: JobBackfillInput) -> Result<Vec<job::JobRun>, Problem> {
    let desk = Desk::open(ctx, Right::JobRun)?;
    job_name(&input.job)?;
    let mode = if input.dry_run {
        BackfillMode::Preview
    } else {
        BackfillMode::Do
    };
    let ask = Backfill {
        job: input.job,
        from: input.from.0,
        to: input.to.0,
        mode,
    };
    let actor = desk.actor();
    Ok(desk.engine.backfill(&**desk.jobs, ask, &actor).await?)
}

pub(super) fn read_run_id(id: &ID) -> Result<Uuid, Refusal> {
    Uuid::try_parse(id)
        .map_err(|_| invalid("runId", "runId has to be a UUID, as `jobRuns` shows it"))
}
