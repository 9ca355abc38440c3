//! Asks for runs of jobs: one now, or those of business dates that have none.
//!
//! Nothing runs here. What is asked for is written down as runs that wait, with who asked; a driver, on
//! this replica or any, claims them like every other. So what was asked for survives whatever dies, the
//! command line and the API ask in one way, and nothing runs twice.

use super::job_book::due_of;
use super::{Actor, Engine, EngineError, JobBook};
use crate::domain::audit::AuditEntry;
use crate::domain::job::{JobInfo, JobRun, JobRunState};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::{BusinessDate, BusinessDay, Instant};
use crate::storage::{Store, Tx, job_runs};
use std::collections::BTreeSet;
use uuid::Uuid;

/// So many days are made up for at once, at most.
pub const BACKFILL_DAYS_MAX: i64 = 366;
/// How often a free microsecond is looked for.
const ROUNDS_MAX: i64 = 100;

/// Which run is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAsk {
    /// Of which job.
    pub job: String,
    /// The business date that it works on; none: the last that has ended.
    pub business_date: Option<BusinessDate>,
}

/// Which business dates are to be made up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Of which job.
    pub job: String,
    /// The first.
    pub from: BusinessDate,
    /// The last.
    pub to: BusinessDate,
    /// Whether it is done, or only shown.
    pub mode: BackfillMode,
}

/// Whether a backfill is done, or only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillMode {
    /// The runs are written down.
    Do,
    /// The runs are only told.
    Preview,
}

/// Who asks, when, and by which rule business dates end.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who.
    pub actor: Actor,
    /// When.
    pub now: Instant,
    /// Zone and cut-off.
    pub day: BusinessDay,
}

impl Engine {
    /// Asks for one run of a job, which a driver begins as soon as it may.
    ///
    /// # Errors
    /// A refusal where there is no such job or the date has not ended. Storage failed.
    pub async fn ask_for_run(
        &self,
        book: &dyn JobBook,
        ask: RunAsk,
        actor: &Actor,
    ) -> Result<JobRun, EngineError> {
        let run = ask_for_run(&self.0.store, book, ask, self.asker(actor)).await?;
        self.0.hub.announce_run(&run);
        Ok(run)
    }

    /// Asks for a run of each business date of a stretch that has none which succeeded or may yet, in
    /// order.
    ///
    /// # Errors
    /// A refusal where there is no such job or the stretch makes no sense. Storage failed.
    pub async fn backfill(
        &self,
        book: &dyn JobBook,
        ask: Backfill,
        actor: &Actor,
    ) -> Result<Vec<JobRun>, EngineError> {
        let mode = ask.mode;
        let runs = backfill(&self.0.store, book, ask, self.asker(actor)).await?;
        if let (BackfillMode::Do, Some(first)) = (mode, runs.first()) {
            self.0.hub.announce_run(first);
        }
        Ok(runs)
    }

    fn asker(&self, actor: &Actor) -> Asker {
        Asker {
            actor: actor.clone(),
            now: self.now(),
            day: self.business_day(),
        }
    }
}

/// Asks for one run of a job. Where one for the same date waits already, that one is enough.
///
/// # Errors
/// A refusal where there is no such job or the date has not ended. Storage failed.
pub async fn ask_for_run(
    store: &Store,
    book: &dyn JobBook,
    ask: RunAsk,
    asker: Asker,
) -> Result<JobRun, EngineError> {
    known(book, &ask.job, asker.now)?;
    let last = asker.day.last_ended(asker.now);
    let date = ask.business_date.unwrap_or(last);
    ended(date, last, "businessDate")?;
    let run = waiting(&ask.job, date, job_runs::by_hand_at(asker.now), &asker);
    let audit = audit(
        &asker,
        &ask.job,
        "RUN_ASKED",
        format!("business date {date}"),
    );
    let step = move |tx: &mut Tx<'_>| {
        let waits = job_runs::waiting(tx.c, &run.job)?;
        if let Some(same) = waits.into_iter().find(|one| one.business_date == date) {
            return Ok(Some(same));
        }
        let mut run = run.clone();
        for _ in 0..ROUNDS_MAX {
            if tx.ask_for_run(&run)? {
                let after = Some(run.run_id.to_string());
                tx.audit(AuditEntry {
                    after,
                    ..audit.clone()
                })?;
                return Ok(Some(run));
            }
            run.scheduled_at =
                job_runs::by_hand_at(run.scheduled_at + chrono::TimeDelta::microseconds(1));
        }
        Ok(None)
    };
    let done = store.solo(step).await?;
    done.ok_or_else(|| {
        let message = "many ask for runs of this job at this instant; ask again";
        Refusal::new(RefusalCode::JobBusy, message).later().into()
    })
}

/// Asks for the runs of a stretch of business dates, one a date: for the first due time at which the job
/// works on it. Dates that have a run which succeeded, runs or waits are left out, and so are dates on
/// which the job has nothing to do. A run that failed stays what it was: it is evidence.
///
/// # Errors
/// A refusal where there is no such job or the stretch makes no sense. Storage failed.
pub async fn backfill(
    store: &Store,
    book: &dyn JobBook,
    ask: Backfill,
    asker: Asker,
) -> Result<Vec<JobRun>, EngineError> {
    known(book, &ask.job, asker.now)?;
    ended(ask.to, asker.day.last_ended(asker.now), "to")?;
    let days = (ask.to.0 - ask.from.0).num_days();
    if !(0..BACKFILL_DAYS_MAX).contains(&days) {
        let message = format!(
            "from has to be the date of to, or up to {} days before it",
            BACKFILL_DAYS_MAX - 1
        );
        return Err(invalid("from", message).into());
    }
    let dates = std::iter::successors(Some(ask.from), |date| Some(date.next()));
    let wanted: Vec<JobRun> = dates
        .take_while(|date| *date <= ask.to)
        .filter_map(|date| Some((date, due_of(book, asker.day, &ask.job, date)?)))
        .filter(|(_, due)| *due <= asker.now)
        .map(|(date, due)| waiting(&ask.job, date, due, &asker))
        .collect();
    let audit = audit(
        &asker,
        &ask.job,
        "BACKFILL_ASKED",
        format!("business dates {} to {}", ask.from, ask.to),
    );
    let step = move |tx: &mut Tx<'_>| {
        let in_hand = job_runs::dates_in_hand(tx.c, &ask.job, (ask.from, ask.to))?;
        let in_hand: BTreeSet<BusinessDate> = in_hand.into_iter().collect();
        let mut made = Vec::new();
        for run in wanted
            .iter()
            .filter(|run| !in_hand.contains(&run.business_date))
        {
            let mut run = run.clone();
            run.scheduled_at = tx.free_time(&run.job, run.scheduled_at)?;
            if ask.mode == BackfillMode::Preview || tx.ask_for_run(&run)? {
                made.push(run);
            }
        }
        if ask.mode == BackfillMode::Do && !made.is_empty() {
            tx.audit(AuditEntry {
                after: Some(format!("{} runs", made.len())),
                ..audit.clone()
            })?;
        }
        Ok(made)
    };
    Ok(store.solo(step).await?)
}

fn known(book: &dyn JobBook, job: &str, now: Instant) -> Result<JobInfo, Refusal> {
    let jobs = book.jobs(now);
    let names: Vec<&str> = jobs.iter().map(|info| info.name).collect();
    let message = format!("there is no job {job:?}; there are {}", names.join(", "));
    let found = jobs.into_iter().find(|info| info.name == job);
    found.ok_or_else(|| Refusal::new(RefusalCode::JobNotFound, message).on("job"))
}

fn ended(date: BusinessDate, last: BusinessDate, field: &'static str) -> Result<(), Refusal> {
    if date <= last {
        return Ok(());
    }
    let message = format!("the business date {date} has not ended; the last that has is {last}");
    Err(invalid(field, message))
}

fn invalid(field: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::InvalidArgument, message).on(field)
}

/// A run that waits.
fn waiting(job: &str, business_date: BusinessDate, scheduled_at: Instant, by: &Asker) -> JobRun {
    JobRun {
        run_id: Uuid::now_v7(),
        job: job.to_owned(),
        scheduled_at,
        business_date,
        asked_by: Some(by.actor.who.clone()),
        state: JobRunState::Waiting,
        owner: String::new(),
        fence: 0,
        lease_until: by.now,
        started_at: by.now,
        finished_at: None,
        progress: None,
        report: None,
        error: None,
    }
}

fn audit(by: &Asker, job: &str, action: &str, detail: String) -> AuditEntry {
    AuditEntry {
        at: by.now,
        actor: by.actor.who.clone(),
        action: action.to_owned(),
        subject_kind: "JOB",
        subject: job.to_owned(),
        before: None,
        after: None,
        detail: Some(detail),
        request_id: by.actor.request_id.clone(),
    }
}
