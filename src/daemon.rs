//! Builds, starts, drains, stops: the only room that knows every room.
//!
//! Start: take the port, and on SQLite the database; migrate under the guard, open storage with the
//! cache and the hub listening to its commits, read the catalogue, take over what an earlier run left
//! in doubt, start the jobs, then answer. A start that fails for want of its port has touched nothing;
//! who connects early waits until the first answers come.
//! Stop, within the time of the settings: claim no new work, let the requests and detached payments
//! that are under way end, commit what is queued. What is not done by then is in the database as
//! started, and the next run's poller finds it there.

use crate::api::{
    Api, ApiOptions, ApiParts, Introspection, LimitOptions, MetricsText, Principal, Rate,
    ReadyCheck, Stopwatch, Tokens,
};
use crate::cache::{Cache, Snapshot};
use crate::config::{ArchiveConfig, CallerConfig, CallerRole, Config, LimitsConfig};
use crate::domain::merchant::MerchantKind;
use crate::domain::notification::Retries;
use crate::domain::operator::Role;
use crate::engine::{
    Clock, ClosingRules, Engine, EngineOptions, Hub, KeepTimes, NotifyOptions, Operators,
    OperatorsParts, PasswordCost, Passwords, SettingInForce, SystemClock, Whose, record_settings,
};
use crate::jobs::{Driver, JobTable, Metronome};
use crate::output::OutputFolder;
use crate::storage::{Committed, StorageOptions, Store, catalogue};
use crate::telemetry::Metrics;
use crate::trust::Masters;
use crate::upstream::{HttpNotifier, Partners, Reach, SystemNames, Upstreams, Webhook};
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

mod bare;
mod claim;
mod figures;
pub mod night;
#[cfg(feature = "oidc")]
pub mod provider;

pub use bare::Bare;
pub use claim::Claim;

/// A running center.
pub struct Daemon {
    engine: Engine,
    store: Store,
    cache: Cache,
    driver: Driver,
    metronome: Metronome,
    addr: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    drain: Duration,
    /// Freed when everything else has ended.
    _database: Option<claim::DatabaseLock>,
}

/// How storage is opened with these settings. The instance is this run's own name.
pub fn storage_options(config: &Config, instance: &str) -> StorageOptions {
    let storage = &config.storage;
    StorageOptions {
        url: storage.url.expose_secret().to_owned(),
        readers: storage.readers,
        writers: storage.writers,
        batch_max: storage.batch_max,
        queue_max: storage.queue_max,
        pool_timeout: Duration::from_millis(storage.pool_timeout_ms),
        statement_timeout: Duration::from_millis(storage.statement_timeout_ms),
        lock_timeout: Duration::from_millis(storage.lock_timeout_ms),
        instance: instance.to_owned(),
    }
}

/// A name for this run of the program, unlike any other's.
pub fn instance_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

impl Daemon {
    /// Starts a center and returns when it listens.
    pub async fn start(config: &Config, metrics: Metrics) -> anyhow::Result<Daemon> {
        let address = config.server.listen;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another address with --listen")
        })?;
        let claim = Claim::try_new(listener, config.storage.url.expose_secret())?;
        Self::start_with(config, metrics, claim).await
    }

    /// Starts a center on a port and a database that were claimed for it.
    pub async fn start_with(
        config: &Config,
        metrics: Metrics,
        claim: Claim,
    ) -> anyhow::Result<Daemon> {
        let calendar = night::calendar_warning(config, SystemClock.now())?;
        for warning in config.warnings().into_iter().chain(calendar) {
            tracing::warn!("settings: {warning}");
        }
        let addr = claim.addr()?;
        let instance = instance_name();
        let bare = Bare::start(config, &instance, Arc::new(SystemClock)).await?;
        let Bare {
            engine,
            store,
            cache,
            tasks,
            stop,
        } = bare;
        take_over(&engine).await?;
        engine
            .refresh_center_key()
            .await
            .context("the center's own key cannot be used (keys.master)")?;
        let table = JobTable::load(config.jobs.folder()).context("the jobs cannot be used")?;
        record(&store, config, &table, &instance).await?;
        let driver = Driver::new(engine.clone(), table, tasks.clone(), stop.clone());
        let metronome = driver.start().await?;
        figures::keep_fresh(&engine, Arc::new(driver.clone()), &tasks, &stop);
        tasks.spawn(engine.clone().keep_notifying());
        let kept = metrics.clone().keep();
        tasks.spawn(stop.clone().run_until_cancelled_owned(kept));
        let api = Api::new(ApiParts {
            engine: engine.clone(),
            jobs: Arc::new(driver.clone()),
            operators: operators(&store, config)?,
            #[cfg(feature = "oidc")]
            provider: provider::way_in(&store, config)?,
            tokens: Tokens::try_new(config.callers.iter().map(caller))?,
            options: api_options(config),
            ready: readiness(&engine, &stop),
            metrics: metrics_text(metrics),
            stop: stop.clone(),
        });
        let server = tokio::spawn(async move { api.serve(claim.listener).await });
        tracing::info!(address = %addr, instance, "listening");
        Ok(Daemon {
            engine,
            store,
            cache,
            driver,
            metronome,
            addr,
            server,
            tasks,
            stop,
            drain: Duration::from_secs(config.server.drain_s),
            _database: claim.database,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The engine, for the demo's first orders.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Reads the job files again, and goes by them from now on; how many jobs there are. What is under way
    /// ends as it began.
    ///
    /// # Errors
    /// Files with mistakes, or a database that does not take them down: then all stays as it was.
    pub async fn reload_jobs(&mut self, config: &Config) -> anyhow::Result<usize> {
        let table = JobTable::load(config.jobs.folder()).context("the jobs cannot be used")?;
        let jobs = table.list(SystemClock.now()).len();
        record(&self.store, config, &table, self.engine.instance()).await?;
        self.driver.reload(&mut self.metronome, table).await?;
        Ok(jobs)
    }

    /// Ends what is under way and stops, within the drain time. True when everything ended by itself.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let orderly = async {
            let _ = self.server.await;
            self.metronome.stop().await;
            self.tasks.wait().await;
        };
        let ended = tokio::time::timeout(self.drain, orderly).await.is_ok();
        if !ended {
            tracing::warn!("the drain time is over; what is left is taken over at the next start");
        }
        self.store.close().await;
        self.cache.drain().await;
        ended
    }
}

/// The people's desk over a database, for the daemon and the command line. Without a master key nobody
/// can set up one-time codes.
///
/// # Errors
/// The master keys cannot be read, or passwords cannot be computed.
pub fn operators(store: &Store, config: &Config) -> anyhow::Result<Operators> {
    let masters = masters(config)?;
    let seal = masters.current().is_some().then(|| Arc::new(masters) as _);
    Ok(Operators::new(OperatorsParts {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        passwords: Passwords::try_new(PasswordCost::OWASP)
            .context("passwords cannot be computed")?,
        seal,
    }))
}

/// Writes the settings and the job files in force down, where they have changed.
async fn record(
    store: &Store,
    config: &Config,
    table: &JobTable,
    instance: &str,
) -> anyhow::Result<()> {
    let of_config = config.in_force.iter().map(|one| SettingInForce {
        path: one.path.clone(),
        shown: one.shown.clone(),
        secret: one.secret.clone(),
        whose: match one.path.as_str() {
            // Replicas on one machine cannot have the same.
            "server.listen" => Whose::Replica,
            _ => Whose::Center,
        },
    });
    let of_jobs = table
        .settings()
        .into_iter()
        .map(|(path, shown)| SettingInForce {
            path,
            shown,
            secret: None,
            whose: Whose::Center,
        });
    // The setting may name a file: whether another key is in it is told by the key's name.
    let masters = masters(config)?;
    let master = SettingInForce {
        path: "keys.master.name".to_owned(),
        shown: masters.current().unwrap_or_default().to_owned(),
        secret: None,
        whose: Whose::Center,
    };
    let in_force = of_config.chain(of_jobs).chain([master]).collect();
    let by = (instance, SystemClock.now());
    let changed = record_settings(store, &masters, in_force, by).await;
    let changed = changed.context("the settings cannot be written down")?;
    if changed > 0 {
        tracing::info!(
            changed,
            "settings are others than at the last start; see the audit trail"
        );
    }
    Ok(())
}

/// The banks and billers, and the partners whose files are reconciled.
fn upstreams(config: &Config) -> anyhow::Result<Upstreams> {
    let partners = Partners::from_settings(&config.partners);
    let adapters = Upstreams::from_settings(&config.adapters);
    Ok(adapters
        .context("an adapter cannot be used")?
        .with_partners(partners.context("a partner's files cannot be fetched")?))
}

/// Who brings notifications to merchants.
fn notifier(config: &Config) -> anyhow::Result<HttpNotifier> {
    let reach = if config.server.sandbox {
        Reach::Sandbox
    } else {
        Reach::Public
    };
    let timeout = Duration::from_millis(config.notifications.timeout_ms);
    HttpNotifier::try_new(reach, timeout, Arc::new(SystemNames))
        .context("merchants cannot be notified from this machine")
}

fn notify_options(config: &Config) -> NotifyOptions {
    let settings = &config.notifications;
    let waits = settings.waits_s.iter().copied();
    NotifyOptions {
        parallel: settings.parallel,
        parallel_per_merchant: settings.parallel_per_merchant,
        lease: Duration::from_secs(settings.lease_s),
        retries: Retries {
            waits: waits.map(Duration::from_secs).collect(),
            jitter_percent: settings.jitter_percent,
        },
    }
}

/// The alarms' address, where the settings name one.
fn webhook(config: &Config) -> anyhow::Result<Option<Webhook>> {
    match config.alarms.webhook_url.expose_secret() {
        "" => Ok(None),
        url => Ok(Some(
            Webhook::try_new(url).context("the alarm webhook cannot be used")?,
        )),
    }
}

/// Takes over what an earlier run left in doubt.
async fn take_over(engine: &Engine) -> anyhow::Result<()> {
    let adopted = engine
        .recover()
        .await
        .context("what was left in doubt cannot be read")?;
    if adopted > 0 {
        tracing::warn!(adopted, "payments without an outcome were taken over");
    }
    Ok(())
}

/// Migrates and opens the database, on a thread that may block.
async fn open_store(options: StorageOptions, cache: Cache, hub: Hub) -> anyhow::Result<Store> {
    let opened = tokio::task::spawn_blocking(move || {
        let ran = Store::migrate(&options)?;
        for name in ran {
            tracing::info!(name, "a migration was run");
        }
        Store::open(
            &options,
            Arc::new(move |committed| announce(&cache, &hub, committed)),
        )
    });
    opened.await?.context("the database cannot be opened")
}

/// The master keys that the settings name: the current one, then the one before.
///
/// # Errors
/// A file cannot be read, or what is named is no master key. No message holds any of it.
pub fn masters(config: &Config) -> anyhow::Result<Masters> {
    let mut texts = Vec::new();
    for (path, setting) in [
        ("keys.master", &config.keys.master),
        ("keys.former_master", &config.keys.former_master),
    ] {
        let setting = setting.expose_secret();
        if setting.is_empty() {
            continue;
        }
        let text = match setting.strip_prefix("file:") {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("{path}: cannot read {file}"))?,
            None => setting.to_owned(),
        };
        Masters::read([text.as_str()]).with_context(|| path.to_owned())?;
        texts.push(Zeroizing::new(text));
    }
    Ok(Masters::read(texts.iter().map(|text| text.as_str()))?)
}

/// After a commit: the hub's listeners, the cache and the sender of notifications hear of it.
fn announce(cache: &Cache, hub: &Hub, committed: Committed) {
    hub.announce(&committed.orders);
    if committed.notifications > 0 {
        hub.announce_notifications();
    }
    let orders = committed.orders.into_iter().map(Snapshot::Order);
    let flows = committed.flows.into_iter().map(Snapshot::Flow);
    cache.mirror(orders.chain(flows).collect());
}

fn engine_options(config: &Config, instance: &str) -> anyhow::Result<EngineOptions> {
    let objects = night::files(config)?;
    Ok(EngineOptions {
        day: config.business_day(),
        closing: ClosingRules {
            grace: Duration::from_secs(config.statements.close_grace_s),
            recount_days: config.statements.recount_days,
        },
        calendar: Arc::new(night::calendar(config).context("center.calendar")?),
        statements: night::statement_rules(config, objects.clone())?.map(Arc::new),
        order_expiry: Duration::from_secs(config.orders.expiry_s),
        answer_within: Duration::from_millis(config.orders.answer_within_ms),
        orphan_after: Duration::from_secs(config.orders.orphan_after_s),
        alarm_ages: config.alarm_ages(),
        case_due: Duration::from_secs(config.alarms.case_due_s),
        lease: Duration::from_secs(config.polling.lease_s),
        poll_batch: config.polling.batch,
        poll_parallel: config.polling.parallel,
        output: config.output.folder().map(OutputFolder::new),
        profiles: Arc::new(night::profiles(config)?),
        objects,
        sandbox: config.server.sandbox,
        notify: notify_options(config),
        keep: keep_times(&config.archive),
        instance: instance.to_owned(),
    })
}

fn keep_times(archive: &ArchiveConfig) -> KeepTimes {
    let days = |days: u64| chrono::TimeDelta::days(i64::try_from(days).unwrap_or(i64::MAX));
    KeepTimes {
        job_runs: days(archive.job_runs_days),
        notifications: days(archive.notifications_days),
        sessions: days(archive.sessions_days),
    }
}

fn api_options(config: &Config) -> ApiOptions {
    let public_url = crate::config::split_url(&config.api.public_url);
    // Pages have the name that callers write, whatever the gateway calls this program.
    let page = public_url.as_ref();
    let page = page.map(|(scheme, authority)| format!("{scheme}://{authority}"));
    ApiOptions {
        body_bytes_max: config.api.body_bytes_max,
        expansion_max: config.api.expansion_max,
        depth_max: config.api.depth_max,
        complexity_max: config.api.complexity_max,
        introspection: if config.api.introspection {
            Introspection::SignedIn
        } else {
            Introspection::Off
        },
        playground: config.api.playground,
        https: config.api.public_url.starts_with("https://"),
        public_url,
        origins: page.into_iter().collect(),
        trusted_proxies: config.trusted_proxies(),
        limits: limit_options(&config.limits),
        header_timeout: Duration::from_secs(config.server.header_timeout_s),
        body_timeout: Duration::from_secs(config.server.body_timeout_s),
        write_timeout: Duration::from_secs(config.server.write_timeout_s),
        sandbox: config.server.sandbox,
        connections_max: config.server.connections_max,
        connections_per_address: config.server.connections_per_address,
        websockets_max: config.server.websockets_max,
        websockets_per_address: config.server.websockets_per_address,
        drain: Duration::from_secs(config.server.drain_s),
        ..ApiOptions::default()
    }
}

fn limit_options(limits: &LimitsConfig) -> LimitOptions {
    let rate = |per_s, burst| Rate { per_s, burst };
    LimitOptions {
        address: rate(limits.address_per_s, limits.address_burst),
        merchant: rate(limits.merchant_per_s, limits.merchant_burst),
        operator: rate(limits.operator_per_s, limits.operator_burst),
        refused_per_min: limits.refused_per_min,
        logins_per_address_per_min: limits.logins_per_address_per_min,
        logins_per_name_per_min: limits.logins_per_name_per_min,
        stopwatch: Stopwatch::default(),
    }
}

/// A caller of the settings as the API knows it; the settings were checked when they were read.
fn caller(caller: &CallerConfig) -> (SecretString, Principal) {
    let principal = match (&caller.merchant, &caller.name) {
        (Some(code), _) => Principal::Merchant {
            code: code.clone(),
            kind: MerchantKind::Channel,
        },
        (None, name) => Principal::Operator {
            name: name.clone().unwrap_or_default(),
            role: match caller.role {
                Some(CallerRole::Admin) => Role::Admin,
                Some(CallerRole::Auditor) => Role::Auditor,
                Some(CallerRole::Reviewer) => Role::Reviewer,
                Some(CallerRole::Operator) => Role::Operator,
                Some(CallerRole::Viewer) | None => Role::Viewer,
            },
        },
    };
    (caller.token.clone(), principal)
}

/// Ready is: the database answers, and the program is not stopping.
fn readiness(engine: &Engine, stop: &CancellationToken) -> ReadyCheck {
    let (store, stop) = (engine.store().clone(), stop.clone());
    Arc::new(move || {
        let (store, stop) = (store.clone(), stop.clone());
        Box::pin(async move {
            if stop.is_cancelled() {
                return Err("stopping\n".to_owned());
            }
            match store.read(catalogue::version).await {
                Ok(_) => Ok("ready\n".to_owned()),
                Err(error) => {
                    tracing::warn!(%error, "not ready");
                    Err("the database does not answer\n".to_owned())
                }
            }
        })
    })
}

fn metrics_text(metrics: Metrics) -> MetricsText {
    Arc::new(move || metrics.render())
}
