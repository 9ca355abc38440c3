//! Watching a run of a job until it has ended.
//!
//! What happens on this replica comes through the hub at once; what other replicas do is found by reading
//! the run again every two seconds.

use super::jobs::read_run_id;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::api::types::job_run::JobRun;
use crate::domain::job;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::Engine;
use async_graphql::{Context, ID, Result, Subscription};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

/// How often the database is asked for what other replicas did.
const REREAD: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct JobWatch;

#[Subscription]
impl JobWatch {
    /// The run as it stands, then each change of it, its progress included, until it has ended; then the
    /// stream ends. Operators only.
    async fn job_run_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id, a UUID.")] run_id: ID,
    ) -> Result<impl Stream<Item = JobRun> + use<>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let run_id = read_run_id(&run_id).map_err(Problem::from)?;
        // Listening begins before the first read, so that nothing falls between the two.
        let runs = desk.engine.hub().listen_runs();
        let found = desk.engine.job_run(run_id).await;
        let first = found.map_err(Problem::from)?.ok_or_else(|| {
            let message = format!("there is no run {run_id}; take its id from `jobRuns`");
            Problem::from(Refusal::new(RefusalCode::JobRunNotFound, message).on("runId"))
        })?;
        let watch = Watch {
            again: desk.engine.clock().sleep(REREAD),
            engine: desk.engine.clone(),
            run_id,
            runs: Some(runs),
            shown: None,
        };
        Ok(stream::unfold((watch, Some(first)), |(watch, next)| {
            watch.next(next)
        }))
    }
}

struct Watch {
    engine: Engine,
    run_id: Uuid,
    /// None once nobody announces any more.
    runs: Option<Receiver<job::JobRun>>,
    again: BoxFuture<'static, ()>,
    shown: Option<job::JobRun>,
}

type Told = (JobRun, (Watch, Option<job::JobRun>));

impl Watch {
    async fn next(mut self, ready: Option<job::JobRun>) -> Option<Told> {
        if self.shown.as_ref().is_some_and(|run| run.state.has_ended()) {
            return None;
        }
        let mut ready = ready;
        let run = loop {
            match ready.take() {
                Some(run) if self.is_news(&run) => break run,
                _ => ready = self.wait().await,
            }
        };
        self.shown = Some(run.clone());
        Some((JobRun(run), (self, None)))
    }

    /// Whether something that a watcher sees has changed, and not back: a run only goes on, and who takes it
    /// over has a higher fence.
    fn is_news(&self, run: &job::JobRun) -> bool {
        let mark = |run: &job::JobRun| {
            let told_at = run.progress.map(|told| told.at);
            (run.fence, run.state, told_at)
        };
        self.shown
            .as_ref()
            .is_none_or(|shown| mark(run) > mark(shown))
    }

    /// The run at its next sign of life; none if there is nothing to look at yet.
    async fn wait(&mut self) -> Option<job::JobRun> {
        loop {
            tokio::select! {
                moved = heard(&mut self.runs) => match moved {
                    Ok(run) if run.run_id == self.run_id => return Some(run),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return self.read().await,
                    Err(RecvError::Closed) => self.runs = None,
                },
                () = &mut self.again => {
                    self.again = self.engine.clock().sleep(REREAD);
                    return self.read().await;
                }
            }
        }
    }

    /// The run from the database. A read that fails is made good by the next one.
    async fn read(&mut self) -> Option<job::JobRun> {
        match self.engine.job_run(self.run_id).await {
            Ok(run) => run,
            Err(error) => {
                tracing::warn!(run_id = %self.run_id, %error, "a watched run was not read");
                None
            }
        }
    }
}

async fn heard(runs: &mut Option<Receiver<job::JobRun>>) -> Result<job::JobRun, RecvError> {
    match runs {
        Some(runs) => runs.recv().await,
        None => std::future::pending().await,
    }
}
