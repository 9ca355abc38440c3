//! 任务: what the center does by itself, by the clock.
//!
//! A job takes no input: it looks at the database and does what is missing there. So a tick, a
//! restart, a take-over and the making up for a missed night are one path, and a run may always
//! start over. That is why a job here is so small: what it does is a verb of the engine.
//!
//! **The metronome is not the truth.** tokio-cron-scheduler loses ticks, fires on every replica,
//! reads a zone as the offset of today, and falls silent when the clock is set back. It only wakes
//! the driver (`driver.rs`). The truth is a row of `job_runs`, unique by job and due time: whoever
//! inserts it runs it, and holds it by a lease with a fence (`run.rs`). Every ten seconds each job
//! is looked at anyway, so a lost tick costs ten seconds and a dead replica its lease.
//!
//! A job may name others that have to be done with the same business date (`after`), and a time by which
//! it has to be done itself (`alarm_at`); what comes next is decided by `choose.rs`. When a job is done, it
//! may say ([`Job::standing`]); else a run that succeeded says it. Runs that somebody asks
//! for are rows that wait; nothing but the driver runs anything.
//!
//! A job is three things of one name: `jobs/NAME.toml` says when (`plan.rs`), `src/jobs/NAME.rs`
//! says what, and a line of [`table`] joins the two.
//!
//! How one could break it: by a job that cannot be run twice; by one that keeps something in
//! memory from run to run; by one that blocks its thread, so that neither its time-out nor a lost
//! lease can end it.

mod chain;
mod choose;
mod driver;
mod plan;
mod progress;
mod run;
mod schedule;
mod table;
mod turn;

mod archive_records;
mod audit_cache;
mod close_day;
mod expire_keys;
mod expire_orders;
mod fetch_partner_files;
mod make_biller_statements;
mod make_merchant_statements;
mod poll_exceptions;
mod publish_audit_heads;
mod reconcile_day;
mod send_notifications;
mod summarise_settlement;
mod watch_runs;

pub use archive_records::ArchiveRecords;
pub use audit_cache::AuditCache;
pub use close_day::CloseDay;
pub use driver::{Driver, Metronome, MetronomeError, Ticked};
pub use expire_keys::ExpireKeys;
pub use expire_orders::ExpireOrders;
pub use fetch_partner_files::FetchPartnerFiles;
pub use make_biller_statements::MakeBillerStatements;
pub use make_merchant_statements::MakeMerchantStatements;
pub use plan::{CatchUp, FileProblem, Plan};
pub use poll_exceptions::PollExceptions;
pub use progress::KeptProgress;
pub use publish_audit_heads::PublishAuditHeads;
pub use reconcile_day::ReconcileDay;
pub use schedule::{BadSchedule, Schedule};
pub use send_notifications::SendNotifications;
pub use summarise_settlement::SummariseSettlement;
pub use table::{JobFilesError, JobTable, NoSuchJob};
pub use watch_runs::WatchRuns;

use crate::domain::job::JobRun;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Actor, Engine, Standing};
use crate::storage::StoreError;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a run of a job is given.
#[derive(Clone)]
pub struct JobContext {
    /// The engine, whose verbs do the work.
    pub engine: Engine,
    /// The run itself; its id is the evidence that the job's calls carry.
    pub run: JobRun,
    /// Who does it, for the audit rows: `job:NAME`.
    pub actor: Actor,
    /// Cancelled when the program stops, the time is over or the lease is lost. A long job looks at
    /// it between two steps; what it has not done by then is missing and done by the next run.
    pub stop: CancellationToken,
    /// Where a long job tells how far it has come; written when the lease is renewed.
    pub progress: Arc<KeptProgress>,
    /// The jobs that there are.
    pub table: JobTable,
}

/// Something that is done by the clock.
pub trait Job: Send + Sync + 'static {
    /// Its name: of `jobs/NAME.toml`, of `src/jobs/NAME.rs`, in `job_runs` and in the logs.
    const NAME: &'static str;

    /// What a run did. The default value is the report of a run that found nothing to do.
    type Report: Serialize + Default + PartialEq + Send;

    /// Does what is missing.
    ///
    /// # Errors
    /// Whatever stops it; the chain of causes is kept with the run.
    fn run(&self, context: JobContext)
    -> impl Future<Output = anyhow::Result<Self::Report>> + Send;

    /// How it stands with a business date, for what comes after it and for who watches over it. A job
    /// whose runs may succeed before there is anything to do has to say so itself.
    ///
    /// # Errors
    /// Storage failed.
    fn standing(
        _engine: &Engine,
        _date: BusinessDate,
    ) -> impl Future<Output = Result<Standing, StoreError>> + Send {
        std::future::ready(Ok(Standing::AsRunsSay))
    }

    /// From when on it can do what a business date needs of it, at the earliest: before that nobody who
    /// watches over it may call it late.
    fn ready_from(engine: &Engine, date: BusinessDate) -> Instant {
        engine.business_day().end_of(date)
    }
}

/// What a run did, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    report: String,
    is_quiet: bool,
}

/// A [`Job`] of any report, as the driver holds it.
trait AnyJob: Send + Sync {
    fn run(&self, context: JobContext) -> BoxFuture<'_, anyhow::Result<Done>>;

    /// The report of a run that found nothing to do.
    fn quiet_report(&self) -> anyhow::Result<String>;

    fn standing(
        &self,
        engine: Engine,
        date: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>>;

    fn ready_from(&self, engine: &Engine, date: BusinessDate) -> Instant;
}

impl<J: Job> AnyJob for J {
    fn run(&self, context: JobContext) -> BoxFuture<'_, anyhow::Result<Done>> {
        Box::pin(async move {
            let report = Job::run(self, context).await?;
            Ok(Done {
                is_quiet: report == J::Report::default(),
                report: serde_json::to_string(&report)?,
            })
        })
    }

    fn quiet_report(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&J::Report::default())?)
    }

    fn standing(
        &self,
        engine: Engine,
        date: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>> {
        Box::pin(async move { J::standing(&engine, date).await })
    }

    fn ready_from(&self, engine: &Engine, date: BusinessDate) -> Instant {
        J::ready_from(engine, date)
    }
}
