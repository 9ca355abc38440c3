//! What the center does, one verb a file. The only caller of storage writes.
//!
//! Every verb reads the same: authorise, load, ask the domain, save, answer. Async outside,
//! transactions inside; no transaction is ever open during a call to the far side. Time, randomness
//! and upstreams come from outside, so a test runs a whole day on a manual clock.

mod admit;
mod alarm;
mod archive_records;
mod ask_for_runs;
mod audit_cache;
mod browse;
mod cancel;
mod case_notes;
mod center_key;
mod clock;
mod close_day;
mod confirm;
mod create;
mod decide;
mod decide_batch;
mod document;
mod escalate;
mod find;
mod hub;
mod import;
mod job_book;
mod keys;
mod late_dates;
mod links;
mod lookup;
mod notify;
mod numbers;
mod onboard;
mod operators;
mod partner_files;
mod poll;
mod publish_heads;
mod reconcile;
mod record_settings;
mod resend;
mod reverse;
mod rewrap;
pub mod samples;
mod settle;
mod standing;
mod statements;
mod summarise_settlement;
mod tend_keys;
mod timeline;
mod watch_calendar;
mod watch_runs;

pub use admit::{AdmitError, Admittance, Pass};
pub use alarm::{Alarm, AlarmKind, Alarms};
pub use archive_records::{ArchiveReport, KeepTimes};
pub use ask_for_runs::{
    Asker, BACKFILL_DAYS_MAX, Backfill, BackfillMode, RunAsk, ask_for_run, backfill,
};
pub use audit_cache::CacheAuditReport;
pub use browse::{CategoryGroup, PayableItems};
pub use center_key::CenterKey;
pub use clock::{Clock, ManualClock, SystemClock};
pub use close_day::{CloseReport, ClosingRules};
pub use confirm::{ConfirmInput, Confirmed};
pub use create::CreateInput;
pub use decide_batch::{BatchLine, BatchPreview};
pub use document::Document;
pub use find::{Listing, Scope};
pub use hub::Hub;
pub use import::{ImportError, ImportFile, ImportProblem, ImportReport, import, read_catalogue};
pub use job_book::JobBook;
pub use keys::{Issued, KeyIssueInput, key_not_found};
pub use links::{LinkError, LinkedTo};
pub use lookup::LookedUp;
pub use notify::{NotifyOptions, NotifyReport};
pub use onboard::Onboarding;
pub use operators::{
    CodesBegun, Credentials, LoggedIn, NewOperator, Operators, OperatorsParts, PasswordCost,
    Passwords, Seal, Temporary, Visit,
};
#[cfg(feature = "oidc")]
pub use operators::{
    Departure, ProviderLogin, ProviderParts, ProviderRefusal, Returned, TICKET_LASTS_S,
};
pub use partner_files::{FetchReport, FileFault, Received};
pub use poll::{ExpireReport, PollReport};
pub use publish_heads::{HeadsReport, PublishError};
pub use reconcile::{
    DayOutcome, Explained, Heard, Mode, Proof, ReconcileReport, Reconciled, ResultName,
};
pub use record_settings::{SettingInForce, Whose, record_settings};
pub use resend::ManyResent;
pub use rewrap::{RewrapReport, rewrap_keys};
pub use standing::Standing;
pub use statements::{
    DocumentName, FoundDocument, Part, Reissued, RenderError, StatementError, StatementRules,
    StatementsReport,
};
pub use summarise_settlement::SettlementReport;
pub use tend_keys::KeysReport;
pub use timeline::{NextStep, Timeline, TimelineEntry, TimelineKind};
pub use watch_runs::WatchReport;

use crate::cache::Cache;
use crate::domain::audit::AuditEntry;
use crate::domain::calendar::Calendar;
use crate::domain::catalogue::Catalogue;
use crate::domain::exception::AlarmAges;
use crate::domain::refusal::Refusal;
use crate::domain::time::{BusinessDay, Instant};
use crate::files::Profiles;
use crate::output::{Objects, OutputFolder};
use crate::storage::{Denied, Store, StoreError, catalogue};
use crate::trust::Masters;
use crate::upstream::{Notifier, Upstreams};
use admit::HeldKeys;
use notify::Lanes;
use numbers::Numbers;
use resend::Resends;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The rules of the house that are settings.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Zone and cut-off.
    pub day: BusinessDay,
    /// When a business date is closed.
    pub closing: ClosingRules,
    /// Which days are business days.
    pub calendar: Arc<Calendar>,
    /// How long an order may wait for its confirmation.
    pub order_expiry: Duration,
    /// A confirm is answered within this time, whatever the far side does.
    pub answer_within: Duration,
    /// A payment that started this long ago without an outcome goes to the poller.
    pub orphan_after: Duration,
    /// When open exceptions call for help.
    pub alarm_ages: AlarmAges,
    /// By when a case should be decided.
    pub case_due: Duration,
    /// How long a lease on an exception holds.
    pub lease: Duration,
    /// How many exceptions are leased at once.
    pub poll_batch: u32,
    /// How many exceptions are worked on at once.
    pub poll_parallel: usize,
    /// The folder that files are published into; none where nothing is published.
    pub output: Option<OutputFolder>,
    /// How statements are made; none where they are kept nowhere.
    pub statements: Option<Arc<StatementRules>>,
    /// How files are laid out, by name.
    pub profiles: Arc<Profiles>,
    /// Where partners' files and results are kept; none where nothing is reconciled.
    pub objects: Option<Objects>,
    /// Whether this is a sandbox, where merchants may be notified over plain http.
    pub sandbox: bool,
    /// How merchants are notified.
    pub notify: NotifyOptions,
    /// How long records are kept that are no story of money.
    pub keep: KeepTimes,
    /// The name of this run of the program: owner of its leases.
    pub instance: String,
}

/// What the engine is made of.
pub struct EngineParts {
    /// The database.
    pub store: Store,
    /// The cache.
    pub cache: Cache,
    /// The far side.
    pub upstreams: Upstreams,
    /// Who brings notifications to merchants.
    pub notifier: Arc<dyn Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where moves are announced; the store's listener feeds it.
    pub hub: Hub,
    /// Where alarms go.
    pub alarms: Alarms,
    /// Detached work, waited for when the program stops.
    pub tasks: TaskTracker,
    /// Cancelled when the program stops: no new work is claimed.
    pub stop: CancellationToken,
    /// The master keys, under which private keys are kept.
    pub masters: Masters,
    /// The rules.
    pub options: EngineOptions,
    /// Randomness: tells this run's numbers from another replica's.
    pub random: u32,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    cache: Cache,
    upstreams: Upstreams,
    notifier: Arc<dyn Notifier>,
    lanes: Lanes,
    resends: Resends,
    clock: Arc<dyn Clock>,
    hub: Hub,
    alarms: Alarms,
    tasks: TaskTracker,
    stop: CancellationToken,
    masters: Masters,
    held_keys: HeldKeys,
    center_key: RwLock<Option<Arc<CenterKey>>>,
    options: EngineOptions,
    numbers: Numbers,
    catalogue: RwLock<Arc<Catalogue>>,
    /// Held while the catalogue is read again, so that many who find it old read it once.
    refreshing: tokio::sync::Mutex<()>,
}

/// Who does something, for the audit row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `merchant:CODE`, `operator:NAME`, `job:NAME` or `system`.
    pub who: String,
    /// The request that caused it.
    pub request_id: Option<String>,
}

impl Actor {
    /// The program itself.
    pub fn system() -> Self {
        Self {
            who: "system".to_owned(),
            request_id: None,
        }
    }

    /// A scheduled job.
    pub fn job(name: &str) -> Self {
        Self {
            who: format!("job:{name}"),
            request_id: None,
        }
    }
}

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An expected refusal: data for the caller.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// Storage failed: a fault.
    #[error("storage failed")]
    Store(#[from] StoreError),
    /// The signed request that asked was not let in, and nothing was done for it.
    #[error("the signed request was not let in")]
    NotLetIn(Denied),
}

impl Engine {
    /// Puts the parts together and reads the catalogue.
    pub async fn start(parts: EngineParts) -> Result<Engine, StoreError> {
        let catalogue = parts.store.read(catalogue::load).await?;
        let numbers = Numbers::new(parts.options.day, parts.random);
        Ok(Engine(Arc::new(Inner {
            store: parts.store,
            cache: parts.cache,
            upstreams: parts.upstreams,
            notifier: parts.notifier,
            lanes: Lanes::default(),
            resends: Resends::default(),
            clock: parts.clock,
            hub: parts.hub,
            alarms: parts.alarms,
            tasks: parts.tasks,
            stop: parts.stop,
            masters: parts.masters,
            held_keys: HeldKeys::default(),
            center_key: RwLock::default(),
            options: parts.options,
            numbers,
            catalogue: RwLock::new(Arc::new(catalogue)),
            refreshing: tokio::sync::Mutex::new(()),
        })))
    }

    /// The catalogue as it was last read.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.0
            .catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the catalogue again if somebody imported, or changed a merchant; true when it is another
    /// than the caller knew.
    pub async fn refresh_catalogue(&self) -> Result<bool, StoreError> {
        let known = self.catalogue().version;
        let _alone = self.0.refreshing.lock().await;
        let current = self.catalogue().version;
        if self.0.store.read(catalogue::version).await? == current {
            return Ok(current != known);
        }
        let fresh = Arc::new(self.0.store.read(catalogue::load).await?);
        *self
            .0
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    /// Where moves of orders are announced.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// The database, for reads that are nobody's verb.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The engine's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Where alarms go.
    pub fn alarms(&self) -> &Alarms {
        &self.0.alarms
    }

    /// The name of this run of the program.
    pub fn instance(&self) -> &str {
        &self.0.options.instance
    }

    /// Zone and cut-off.
    pub fn business_day(&self) -> BusinessDay {
        self.0.options.day
    }

    /// Which days are business days.
    pub fn calendar(&self) -> &Calendar {
        &self.0.options.calendar
    }

    fn now(&self) -> Instant {
        self.0.clock.now()
    }

    fn audit(&self, at: Instant, actor: &Actor, action: &str) -> AuditEntry {
        AuditEntry {
            at,
            actor: actor.who.clone(),
            action: action.to_owned(),
            subject_kind: "ORDER",
            subject: String::new(),
            before: None,
            after: None,
            detail: None,
            request_id: actor.request_id.clone(),
        }
    }
}
