//! The settings: one struct is the file, the environment and the flags together. Defaults live in one
//! commented file, `deploy/payhall.default.toml`, which is compiled in; no default hides in code.

mod bounds;
mod check;
mod in_force;
mod load;
mod oidc;
mod show;
mod words;

pub use crate::telemetry::LogFormat;
pub use check::{Problem, split_url};
pub use in_force::Setting;
pub use load::{ConfigError, Environment, Flags, Loaded, TEMPLATE, load};
pub use oidc::OidcConfig;
pub use show::show;

use crate::cache::CacheSettings;
use crate::domain::ids::{AdapterName, MerchantCode};
use crate::domain::partner::PartnerName;
use crate::upstream::{AdapterSettings, PartnerSettings};
use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listener.
    pub server: ServerConfig,
    /// The GraphQL edge and its limits.
    pub api: ApiConfig,
    /// How often somebody may call.
    pub limits: LimitsConfig,
    /// Zone and cut-off.
    pub center: CenterConfig,
    /// Times of an order.
    pub orders: OrdersConfig,
    /// The poller.
    pub polling: PollingConfig,
    /// The database.
    pub storage: StorageConfig,
    /// The cache.
    pub cache: CacheSettings,
    /// When and where to call for help.
    pub alarms: AlarmsConfig,
    /// How merchants are told.
    pub notifications: NotificationsConfig,
    /// Where private keys are kept.
    pub keys: KeysConfig,
    /// The bank's identity provider.
    pub oidc: OidcConfig,
    /// The scheduler.
    pub jobs: JobsConfig,
    /// How long records are kept.
    pub archive: ArchiveConfig,
    /// What is published as files.
    pub output: OutputConfig,
    /// Where files are kept, and how they are laid out.
    pub files: FilesConfig,
    /// How days are closed and stated.
    pub statements: StatementsConfig,
    /// Logs.
    pub logs: LogsConfig,
    /// Who may call.
    #[serde(default)]
    pub callers: Vec<CallerConfig>,
    /// The banks and their billers.
    #[serde(default)]
    pub adapters: BTreeMap<AdapterName, AdapterSettings>,
    /// Whose files are reconciled.
    #[serde(default)]
    pub partners: BTreeMap<PartnerName, PartnerSettings>,
    /// All of them as they were read, one by one, for the audit trail.
    #[serde(skip)]
    pub in_force: Vec<Setting>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// How long work may take to end after SIGTERM, in seconds.
    pub drain_s: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one address that is no trusted proxy; 0 is no limit.
    pub connections_per_address: usize,
    /// WebSockets at once.
    pub websockets_max: usize,
    /// WebSockets at once of one address; 0 is no limit.
    pub websockets_per_address: usize,
    /// Seconds for the head of a request, and for a connection to idle between two.
    pub header_timeout_s: u64,
    /// Seconds for the body of a request.
    pub body_timeout_s: u64,
    /// Seconds for an answer to be taken once it does not leave by itself.
    pub write_timeout_s: u64,
    /// Whether this is a place to try things out, where rules that guard real merchants are loosened.
    pub sandbox: bool,
}

/// `[api]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// What callers write before the path, such as `https://pay.example.com`, where a proxy stands before
    /// the center; empty: http and the Host header. Signatures cover what the callers wrote, and where it is
    /// https the cookies of sessions are for https alone.
    pub public_url: String,
    /// The proxies that may say where a request comes from: addresses and networks.
    pub trusted_proxies: Vec<String>,
    /// Whether there is a playground.
    pub playground: bool,
    /// Whether known callers may ask for the schema.
    pub introspection: bool,
    /// The largest request, in bytes.
    pub body_bytes_max: usize,
    /// Nesting of a document.
    pub depth_max: usize,
    /// Cost of a document.
    pub complexity_max: usize,
    /// Fields that a document expands to.
    pub expansion_max: usize,
}

/// `[limits]`: on each replica; 0 is no limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests a second of one address.
    pub address_per_s: u32,
    /// Requests at once of one address.
    pub address_burst: u32,
    /// Requests a second of one merchant.
    pub merchant_per_s: u32,
    /// Requests at once of one merchant.
    pub merchant_burst: u32,
    /// Requests a second of one operator.
    pub operator_per_s: u32,
    /// Requests at once of one operator.
    pub operator_burst: u32,
    /// Refused proofs of one address in a minute.
    pub refused_per_min: u32,
    /// Tries to log in from one address in a minute.
    pub logins_per_address_per_min: u32,
    /// Tries to log in under one name in a minute.
    pub logins_per_name_per_min: u32,
}

impl Config {
    /// Where files are kept: where the settings say, or beside a database that is a file; else nowhere.
    pub fn files_place(&self) -> Option<String> {
        if !self.files.url.is_empty() {
            return Some(self.files.url.clone());
        }
        let file = self.storage.url.expose_secret().strip_prefix("sqlite:")?;
        let beside = Path::new(file).with_extension("files");
        Some(beside.display().to_string())
    }
}

/// `[center]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterConfig {
    /// The zone of business dates.
    pub zone: Tz,
    /// The local time at which a new business date begins, as `HH:MM`.
    pub cutoff: String,
    /// A file of holidays in place of the compiled-in one; empty for that.
    pub calendar: PathBuf,
}

impl CenterConfig {
    /// The file of holidays, where one is named.
    pub fn calendar_file(&self) -> Option<&Path> {
        named(&self.calendar)
    }
}

/// `[orders]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrdersConfig {
    /// Seconds until an unconfirmed order closes.
    pub expiry_s: u64,
    /// Milliseconds within which a confirm is answered.
    pub answer_within_ms: u64,
    /// Seconds after which a started payment without an outcome goes to the poller.
    pub orphan_after_s: u64,
}

/// `[polling]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollingConfig {
    /// Exceptions taken at once.
    pub batch: u32,
    /// Exceptions worked on at once.
    pub parallel: usize,
    /// Seconds of a lease.
    pub lease_s: u64,
}

/// `[storage]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// `sqlite:PATH` or `postgres://…`; may hold a password.
    pub url: SecretString,
    /// Connections that read.
    pub readers: u32,
    /// Threads that commit.
    pub writers: u32,
    /// Changes in one commit.
    pub batch_max: usize,
    /// Changes in the queue.
    pub queue_max: usize,
    /// Milliseconds to wait for a connection.
    pub pool_timeout_ms: u64,
    /// Milliseconds that a statement may run.
    pub statement_timeout_ms: u64,
    /// Milliseconds to wait for a lock.
    pub lock_timeout_ms: u64,
}

/// `[alarms]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmsConfig {
    /// Seconds of doubt before a warning.
    pub warn_s: u64,
    /// Seconds of doubt before a critical alarm.
    pub critical_s: u64,
    /// Seconds within which a case should be decided.
    pub case_due_s: u64,
    /// Where alarms are posted; may hold a secret.
    pub webhook_url: SecretString,
}

/// `[notifications]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationsConfig {
    /// How many are on their way at once.
    pub parallel: usize,
    /// How many of one merchant are.
    pub parallel_per_merchant: usize,
    /// Milliseconds that a merchant's server may take, connecting included.
    pub timeout_ms: u64,
    /// Seconds of a lease.
    pub lease_s: u64,
    /// Seconds between one try and the next.
    pub waits_s: Vec<u64>,
    /// By how many percent a wait may differ.
    pub jitter_percent: u32,
}

/// `[keys]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// The master key: 32 bytes in Base64, or `file:PATH` of a file that holds them. Empty: the center
    /// keeps no private keys, signs nothing, and makes no keys for merchants.
    pub master: SecretString,
    /// The master key before it, for as long as private keys are under it.
    pub former_master: SecretString,
}

/// `[jobs]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// A folder of job files in place of the compiled-in ones; empty for those.
    pub dir: PathBuf,
}

impl JobsConfig {
    /// The folder, where there is one.
    pub fn folder(&self) -> Option<&Path> {
        named(&self.dir)
    }
}

/// `[archive]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// Days that runs of jobs are kept.
    pub job_runs_days: u64,
    /// Days that notifications are kept.
    pub notifications_days: u64,
    /// Days that sessions of operators are kept.
    pub sessions_days: u64,
}

/// `[output]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The folder that files are published into; empty: nothing is published.
    pub dir: PathBuf,
}

impl OutputConfig {
    /// The folder, where there is one.
    pub fn folder(&self) -> Option<&Path> {
        named(&self.dir)
    }
}

/// `[statements]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementsConfig {
    /// Seconds from the cut-off of a business day to its closing.
    pub close_grace_s: u64,
    /// Days for which a closed day is counted again each night.
    pub recount_days: u32,
    /// The profile of whoever has none of its own.
    pub profile: String,
    /// The profiles of others, by names such as `merchant:portal`.
    #[serde(default)]
    pub profiles: BTreeMap<String, String>,
    /// Up to how many flows a workbook is made beside the file; 0 for never.
    pub xlsx_rows_max: u64,
    /// Months for which they are kept.
    pub keep_months: u32,
    /// When those of the day before should be there, as `HH:MM`.
    pub ready_at: String,
    /// Seconds that a link lives.
    pub link_lasts_s: u64,
}

/// `[files]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// Where files are kept, statements and partners' files and results: a folder, or a bucket. Empty: beside
    /// a database that is a file, else nowhere.
    pub url: String,
    /// A folder of profiles of files besides the compiled-in ones; empty for none.
    pub profiles_dir: PathBuf,
}

impl FilesConfig {
    /// The folder, where there is one.
    pub fn folder(&self) -> Option<&Path> {
        named(&self.profiles_dir)
    }
}

fn named(folder: &Path) -> Option<&Path> {
    Some(folder).filter(|folder| !folder.as_os_str().is_empty())
}

/// `[logs]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsConfig {
    /// How they look.
    pub format: LogFormat,
    /// What is logged, as tracing's filters are written.
    pub filter: String,
}

/// What kind of caller a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerKind {
    /// A merchant's server.
    Merchant,
    /// A person of the bank.
    Operator,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerRole {
    /// Reads.
    Viewer,
    /// Reads and proposes: the maker.
    Operator,
    /// Reads, approves and rejects: the checker.
    Reviewer,
    /// Reads everything, operators and audit included.
    Auditor,
    /// All of it.
    Admin,
}

impl CallerRole {
    /// The word as it is written in settings and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            CallerRole::Viewer => "viewer",
            CallerRole::Operator => "operator",
            CallerRole::Reviewer => "reviewer",
            CallerRole::Auditor => "auditor",
            CallerRole::Admin => "admin",
        }
    }
}

/// `[[callers]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// The bearer token.
    pub token: SecretString,
    /// What it stands for.
    pub kind: CallerKind,
    /// The merchant's code, for a merchant.
    #[serde(default)]
    pub merchant: Option<MerchantCode>,
    /// The person's name, for an operator.
    #[serde(default)]
    pub name: Option<String>,
    /// The person's role, for an operator.
    #[serde(default)]
    pub role: Option<CallerRole>,
}

#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod tests;
