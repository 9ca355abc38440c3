//! `payhall jobs`: what the center does by the clock, from the command line of a machine that reaches the
//! database.
//!
//! `run` and `backfill` run nothing themselves: they write down what is asked for, as the API does, and a
//! center that serves takes it within ten seconds. So the work is done where its settings, its locks and
//! its alarms are.

use crate::config::Config;
use crate::daemon;
use crate::domain::job::{JobRun, JobRunState};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{
    Actor, Asker, Backfill, BackfillMode, Clock, EngineError, RunAsk, SystemClock, ask_for_run,
    backfill,
};
use crate::jobs::JobTable;
use crate::storage::{Store, StoreError, View, job_runs};
use anyhow::Context;
use chrono::NaiveDate;
use clap::{Subcommand, value_parser};
use secrecy::ExposeSecret;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// No list is longer than this.
const COUNT_MAX: i64 = 1_000;
/// How often a run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so long without a center that takes the run, that is said.
const TAKEN_WITHIN: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

/// What is done with jobs.
#[derive(Clone, Debug, Subcommand)]
pub enum JobsCommand {
    /// Every job: when it runs and why, and how its last run went.
    List,
    /// The next times of a job.
    Next {
        /// The job's name.
        job: String,
        /// How many.
        #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=COUNT_MAX))]
        count: u32,
    },
    /// Asks for a run of a job, which a center that serves begins within ten seconds; waits for its end.
    Run {
        /// The job's name.
        job: String,
        /// The business date that it works on; the last that has ended, if not given.
        #[arg(long, value_name = "DATE")]
        date: Option<NaiveDate>,
        /// Does not wait for its end.
        #[arg(long)]
        no_wait: bool,
    },
    /// The latest runs, newest first.
    History {
        /// Of this job only.
        job: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=COUNT_MAX))]
        count: u32,
    },
    /// Asks for a run of each business date of a stretch that has none which succeeded, in order; waits for
    /// their end.
    Backfill {
        /// The job's name.
        job: String,
        /// The first business date.
        #[arg(long, value_name = "DATE")]
        from: NaiveDate,
        /// The last business date.
        #[arg(long, value_name = "DATE")]
        to: NaiveDate,
        /// Only tells which runs it would ask for.
        #[arg(long)]
        dry_run: bool,
        /// Does not wait for their end.
        #[arg(long)]
        no_wait: bool,
    },
}

/// Who is told what the command has to say, piece by piece.
pub type Say<'a> = &'a (dyn Fn(&str) -> anyhow::Result<()> + Sync);

/// Does it.
///
/// # Errors
/// Job files with mistakes, a database that cannot be used, what was refused, in its words, or a run that
/// failed.
pub async fn run(config: &Config, command: JobsCommand, say: Say<'_>) -> anyhow::Result<()> {
    let table = JobTable::load(config.jobs.folder()).context("the jobs cannot be used")?;
    let now = SystemClock.now();
    match command {
        JobsCommand::List => say(&list(config, &table, now)?),
        JobsCommand::Next { job, count } => {
            let mut text = String::new();
            for at in table.next(&job, now, usize::try_from(count)?)? {
                let at = at.with_timezone(&config.center.zone);
                writeln!(text, "{}", at.to_rfc3339())?;
            }
            say(&text)
        }
        JobsCommand::History { job, count } => {
            say(&history(config, &table, job.as_deref(), count)?)
        }
        JobsCommand::Run { job, date, no_wait } => {
            let wanted = RunAsk {
                job,
                business_date: date.map(BusinessDate),
            };
            let work = async |store: &Store, asker| {
                let run = ask_for_run(store, &table, wanted, asker).await?;
                Ok(vec![run])
            };
            ask(config, work, (say, !no_wait)).await
        }
        JobsCommand::Backfill {
            job,
            from,
            to,
            dry_run,
            no_wait,
        } => {
            let mode = if dry_run {
                BackfillMode::Preview
            } else {
                BackfillMode::Do
            };
            let (from, to) = (BusinessDate(from), BusinessDate(to));
            let wanted = Backfill {
                job,
                from,
                to,
                mode,
            };
            let work = async |store: &Store, asker| backfill(store, &table, wanted, asker).await;
            ask(config, work, (say, !no_wait && !dry_run)).await
        }
    }
}

/// The database for commands that only look: it is neither made nor migrated by them.
fn open_view(config: &Config) -> anyhow::Result<View> {
    Ok(View::open(config.storage.url.expose_secret())?)
}

fn list(config: &Config, table: &JobTable, now: Instant) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut view = open_view(config);
    for job in table.list(now) {
        writeln!(text, "{job}")?;
        if let Ok(view) = &mut view
            && let Some(run) = job_runs::latest(view.connection(), job.name)?
        {
            writeln!(text, "    last: {}", line(&run))?;
        }
    }
    if let Err(error) = view {
        writeln!(text, "runs are not shown: {error:#}")?;
    }
    Ok(text)
}

fn history(
    config: &Config,
    table: &JobTable,
    job: Option<&str>,
    count: u32,
) -> anyhow::Result<String> {
    if let Some(job) = job {
        // A name that is no job's would only show an empty history.
        table.next(job, Instant::UNIX_EPOCH, 0)?;
    }
    let mut view = open_view(config)?;
    let mut text = String::new();
    for run in job_runs::list(view.connection(), job, None, i64::from(count))? {
        writeln!(text, "{}", line(&run))?;
    }
    Ok(text)
}

/// A run in a line.
fn line(run: &JobRun) -> String {
    let JobRun {
        job,
        state,
        business_date,
        ..
    } = run;
    let at = run.scheduled_at.to_rfc3339();
    let mut text = format!("{at} {job} {state} for {business_date}");
    if let Some(who) = &run.asked_by {
        text += &format!(", asked for by {who}");
    }
    if let Some(progress) = &run.progress {
        text += &format!(" [{progress}]");
    }
    if let Some(words) = run.error.as_ref().or(run.report.as_ref()) {
        text += &format!(" {words}");
    }
    text
}

/// Writes down what is asked for, and waits for its end where that is wanted.
async fn ask(
    config: &Config,
    work: impl AsyncFnOnce(&Store, Asker) -> Result<Vec<JobRun>, EngineError>,
    (say, waits): (Say<'_>, bool),
) -> anyhow::Result<()> {
    // Says what is wrong with a database that is not there, and makes none.
    drop(open_view(config)?);
    let options = daemon::storage_options(config, &daemon::instance_name());
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let asker = Asker {
        actor: Actor::system(),
        now: SystemClock.now(),
        day: config.business_day(),
    };
    let done = match work(&store, asker).await {
        Ok(runs) => told(&store, runs, (say, waits)).await,
        Err(EngineError::Refused(refusal)) => Err(anyhow::anyhow!(refusal.message)),
        Err(fault) => Err(fault.into()),
    };
    store.close().await;
    done
}

async fn told(
    store: &Store,
    runs: Vec<JobRun>,
    (say, waits): (Say<'_>, bool),
) -> anyhow::Result<()> {
    if runs.is_empty() {
        return say("there is nothing to make up for\n");
    }
    for run in &runs {
        say(&format!("{}\n", line(run)))?;
    }
    let mut failed = 0;
    if waits {
        for run in runs {
            let ended = follow(store, run, say).await?;
            failed += usize::from(ended.state == JobRunState::Failed);
        }
    }
    anyhow::ensure!(failed == 0, "runs that failed: {failed}");
    Ok(())
}

/// Says how a run fares until it has ended.
async fn follow(store: &Store, run: JobRun, say: Say<'_>) -> anyhow::Result<JobRun> {
    let since = SystemClock.now();
    let (mut shown, mut has_hinted) = (run, false);
    while !shown.state.has_ended() {
        tokio::time::sleep(LOOK_EVERY).await;
        let run_id = shown.run_id;
        let read = store.read(move |c| job_runs::find(c, run_id)).await;
        let run = match read {
            Ok(run) => run.context("the run is gone from the database")?,
            // Who serves is busy; the next look sees more.
            Err(StoreError::GaveWay(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        if run != shown {
            let is_renewal = run.state == shown.state && run.progress == shown.progress;
            if !is_renewal {
                say(&format!("{}\n", line(&run)))?;
            }
            shown = run;
        }
        let waits_long = SystemClock.now() - since > TAKEN_WITHIN;
        if shown.state == JobRunState::Waiting && waits_long && !has_hinted {
            has_hinted = true;
            say(
                "no center has begun it yet: does one serve this database, and have the jobs that come \
                 before succeeded for this business date? It stays written down; Ctrl-C ends the waiting\n",
            )?;
        }
    }
    Ok(shown)
}
