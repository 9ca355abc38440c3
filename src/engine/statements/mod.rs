//! 对账单: makes the statements of closed days, each once, and again where what they tell has changed.
//!
//! A day is worked on when it was closed, and again when its count has changed (`close_day.rs`). First it is
//! asked what the flows of the day come to between each merchant and biller, in one pass; the digest of that
//! is the statement's *content*. Where the last version of a statement has the same content, nothing is to be
//! done. Where it has another, the file is written once more into nothing: if its bytes are the same, only
//! the content is written down; if not, there is a further version. A version is never changed.
//!
//! A statement that cannot be written keeps nobody else waiting: the other parties and days are stated, its own
//! day stays due, and the run fails at its end. Only what concerns everybody ends a run at once, as a database
//! or a store of files that is away.
//!
//! Crash here: the files are durable before the row that publishes them, and their names hold their digests.
//! What was written without its row is written again, to the same bytes and names. Two replicas that make the
//! same statement meet at its row; whoever comes second finds it there.
//!
//! How one could break it: by anything in the bytes that is not in the database, such as the time of making;
//! by a row before its files.

mod content;
mod download;
mod issue;
mod kept;
mod links;
mod parties;
mod render;

pub use download::FoundDocument;
pub use kept::Reissued;
pub use links::{DocumentName, Part};
pub use render::RenderError;

use self::render::Watch;
use super::partner_files::with_causes;
use super::{Actor, Engine, EngineError};
use crate::domain::business_day::ClosedDay;
use crate::domain::progress::Progress;
use crate::domain::statement::{Party, PartyKind, StatementKey};
use crate::domain::time::BusinessDate;
use crate::files::{NoSuchProfile, Profile, Profiles};
use crate::output::{Objects, ObjectsError};
use crate::storage::{StoreError, business_days, catalogue};
use chrono::NaiveTime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many closed days are looked at in one run.
const DAYS_MAX: i64 = 1_000;

/// How statements are made; the section `[statements]` of the settings.
#[derive(Clone, Debug)]
pub struct StatementRules {
    /// Where they are kept.
    pub objects: Objects,
    /// The profiles that there are.
    pub profiles: Profiles,
    /// The profile of whoever has none of its own.
    pub profile: String,
    /// The profile of a party, by its name as in `merchant:portal`.
    pub profile_of: BTreeMap<String, String>,
    /// Up to how many flows a workbook is made beside the file; 0 for never.
    pub xlsx_rows_max: u64,
    /// For how many months statements are kept.
    pub keep_months: u32,
    /// When the statements of the day before should be there, as the clock of the center's zone shows.
    pub ready_at: NaiveTime,
    /// How long a link lives.
    pub link_lasts: Duration,
}

impl StatementRules {
    /// The profile of a party.
    ///
    /// # Errors
    /// There is none of the name that the settings say.
    pub fn profile_for(&self, party: &Party) -> Result<Arc<Profile>, NoSuchProfile> {
        let own = self.profile_of.get(&party.to_string());
        self.profiles.get(own.unwrap_or(&self.profile))
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatementsReport {
    /// The days that were worked on, in order.
    pub days: Vec<BusinessDate>,
    /// First versions that were made.
    pub made: u64,
    /// Further versions, because what they tell has changed.
    pub reissued: u64,
    /// Statements that stood as they were.
    pub stood: u64,
    /// Flows on what was made.
    pub flows: u64,
    /// Statements whose time was over and that are gone.
    pub forgotten: u64,
}

impl StatementsReport {
    fn count(&mut self, issued: &issue::Issued) {
        match issued {
            issue::Issued::Stood(_) => self.stood += 1,
            issue::Issued::New(statement) => {
                match statement.version {
                    1 => self.made += 1,
                    _ => self.reissued += 1,
                }
                self.flows += u64::try_from(statement.flows).unwrap_or(0);
            }
        }
    }
}

/// Why statements cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The settings name no place to keep them.
    #[error("statements are not kept anywhere: name a place (files.url)")]
    NoStore,
    /// A party's profile is not there.
    #[error("the profile of {0} cannot be used")]
    Profile(Party, #[source] NoSuchProfile),
    /// A file cannot be written.
    #[error("the statement of {0} for {1} cannot be written")]
    Render(Party, BusinessDate, #[source] Box<RenderError>),
    /// What is settled cannot be summed up.
    #[error("the settlement of {0} cannot be summed up")]
    Settlement(BusinessDate, #[source] Box<RenderError>),
    /// The store of files failed.
    #[error("the store of files failed (files.url)")]
    Objects(#[from] ObjectsError),
    /// Storage failed.
    #[error("storage failed")]
    Store(#[from] StoreError),
    /// A verb of the engine failed.
    #[error("the center's key cannot be used")]
    Engine(#[from] EngineError),
    /// A sidecar cannot be signed.
    #[error("a sidecar cannot be signed: {0}")]
    NotSigned(String),
    /// Others issue the same statement all the time.
    #[error("the statement of {0} for {1} is issued by others whenever it is looked at")]
    Busy(Party, BusinessDate),
}

impl StatementError {
    /// Whether the next statement, or the next day's sums, would fail of it as well.
    pub(in crate::engine) fn concerns_all(&self) -> bool {
        match self {
            Self::Profile(..) | Self::Render(..) | Self::Settlement(..) | Self::Busy(..) => false,
            Self::Objects(error) => !matches!(
                error,
                ObjectsError::Missing(_) | ObjectsError::Taken(_) | ObjectsError::Name(_)
            ),
            Self::Store(error) => {
                !matches!(error, StoreError::Corrupt { .. } | StoreError::Refused(_))
            }
            Self::NoStore | Self::Engine(_) | Self::NotSigned(_) => true,
        }
    }

    /// The same, naming whose statement it was.
    fn about(self, key: &StatementKey) -> Self {
        let cause = match self {
            Self::Store(error) => RenderError::Store(error),
            Self::Objects(error) => RenderError::Objects(error),
            error => return error,
        };
        Self::Render(key.party.clone(), key.date, Box::new(cause))
    }
}

/// A run under way.
struct Run<'a> {
    kind: PartyKind,
    actor: &'a Actor,
    stop: &'a CancellationToken,
    watch: Watch,
    report: StatementsReport,
    /// The first thing that was left, where anything was.
    left: Option<StatementError>,
}

impl Run<'_> {
    /// Goes on without what failed.
    fn leave(&mut self, what: &dyn Display, error: StatementError) {
        let why = with_causes(&error);
        tracing::error!(%what, error = why, "a statement was not made; the run goes on without it");
        self.left.get_or_insert(error);
    }

    fn end(self) -> Result<StatementsReport, StatementError> {
        match self.left {
            Some(error) => Err(error),
            None => Ok(self.report),
        }
    }
}

/// What became of a day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DayCame {
    /// All of it is stated.
    Whole,
    /// Some of it was left.
    InPart,
    /// The run has to end before it is done.
    Stopped,
}

/// The work of the night that makes the statements of one kind of party.
pub(super) fn work_of(kind: PartyKind) -> &'static str {
    match kind {
        PartyKind::Merchant => "MERCHANT_STATEMENTS",
        PartyKind::Biller => "BILLER_STATEMENTS",
    }
}

impl Engine {
    /// Makes what is missing of the statements of one kind of party, of all closed days in order. What cannot
    /// be made is left, and the rest is made.
    ///
    /// # Errors
    /// Whatever stops it, or else the first thing that was left; what is made stays made, and the next run goes
    /// on from there.
    pub async fn make_statements(
        &self,
        kind: PartyKind,
        actor: &Actor,
        (progress, stop): (Arc<dyn Progress>, &CancellationToken),
    ) -> Result<StatementsReport, StatementError> {
        let rules = self.statement_rules()?;
        self.refresh_center_key().await?;
        let mut run = Run {
            kind,
            actor,
            stop,
            watch: Watch {
                progress,
                ..Watch::silent()
            },
            report: StatementsReport::default(),
            left: None,
        };
        let due = move |c: &mut _| business_days::to_work_on(c, work_of(kind), DAYS_MAX);
        for day in self.0.store.read(due).await? {
            if stop.is_cancelled() {
                return run.end();
            }
            match self.work_on(&day, &mut run).await {
                Ok(DayCame::Whole) => run.report.days.push(day.date),
                Ok(DayCame::InPart) => {}
                Ok(DayCame::Stopped) => return run.end(),
                Err(error) if error.concerns_all() => return Err(error),
                Err(error) => run.leave(&day.date, error),
            }
        }
        rules.objects.sweep(Duration::from_secs(86_400)).await;
        run.report.forgotten = self.forget_statements(&rules).await?;
        run.end()
    }

    /// Makes the statements of one day.
    async fn work_on(&self, day: &ClosedDay, run: &mut Run<'_>) -> Result<DayCame, StatementError> {
        let version = self.0.store.read(catalogue::version).await?;
        let rules = self.statement_rules()?;
        // What would be forgotten at once is not stated.
        let is_kept = self
            .oldest_kept(&rules)
            .is_none_or(|oldest| day.date >= oldest);
        let due = match is_kept {
            true => self.parties_of(day, run.kind).await?,
            false => Vec::new(),
        };
        // Days of the same run count on.
        run.watch.total = Some(run.watch.before + due.iter().map(|told| told.flows).sum::<u64>());
        let mut came = DayCame::Whole;
        for told in &due {
            if run.stop.is_cancelled() {
                return Ok(DayCame::Stopped);
            }
            let issued = self.issue(day, (told, &run.watch), issue::Order::Changed, run.actor);
            match issued.await {
                Ok(issued) => run.report.count(&issued),
                Err(error) if error.concerns_all() => return Err(error),
                Err(error) => {
                    let what = format!("{} {} {}", told.key.party, day.date, told.key.currency);
                    run.leave(&what, error.about(&told.key));
                    came = DayCame::InPart;
                }
            }
            run.watch.before += told.flows;
            run.watch.progress.at(run.watch.before, run.watch.total);
        }
        if came == DayCame::Whole {
            let (worked, kind, now) = (day.clone(), run.kind, self.now());
            let write = move |tx: &mut crate::storage::Tx<'_>| {
                tx.day_worked(&worked, (work_of(kind), version), now)
            };
            self.0.store.solo(write).await?;
        }
        Ok(came)
    }

    pub(super) fn statement_rules(&self) -> Result<Arc<StatementRules>, StatementError> {
        let rules = self.0.options.statements.clone();
        rules.ok_or(StatementError::NoStore)
    }
}
