//! The command line and nothing else.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use payhall::api;
use payhall::audit_command::{self, AuditCommand};
use payhall::check::{self, CheckOptions};
use payhall::config::{self, Config, ConfigError, Environment, Flags, Loaded, Problem};
use payhall::daemon::{self, Daemon};
use payhall::demo::{self, DemoArgs};
use payhall::engine::{self, Actor, Clock, ImportFile};
use payhall::jobs::JobTable;
use payhall::jobs_command::{self, JobsCommand};
use payhall::operator_command::{self, OperatorCommand};
use payhall::partner_files_command::{self, PartnerFilesCommand};
use payhall::reconcile_command::{self, ReconcileCommand};
use payhall::sign::{self, SignArgs};
use payhall::sim::{self, SimArgs};
use payhall::storage::{Store, View, catalogue};
use payhall::telemetry::{self, Metrics};
use payhall::upstream::Upstreams;
use sd_notify::NotifyState;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Payhall, a bill payment center.
#[derive(Debug, Parser)]
#[command(name = "payhall", version, about, propagate_version = true)]
struct Cli {
    /// The settings file; without it PAYHALL_CONFIG is looked at, then the defaults hold. Like the two
    /// below, not for demo, sim, schema, rights, sign and reconcile files.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database: sqlite:PATH or postgres://... (storage.url).
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The cache: redis://... or nothing for memory (cache.url).
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the center: the API, the jobs, until SIGTERM or Ctrl-C.
    Serve(ServeArgs),
    /// Brings the database's schema up to date.
    Migrate,
    /// Regions, billers and items.
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Prints the GraphQL schema.
    Schema,
    /// The scheduled jobs.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// The people of the center: the first administrator comes from here.
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Files of banks and billers.
    #[command(subcommand)]
    PartnerFiles(PartnerFilesCommand),
    /// Prints the table of rights.
    Rights,
    /// Private keys at rest.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Compares the database with the simulated world's ledger: exit code 0 fine, 3 findings.
    Check(CheckArgs),
    /// The audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Reconciliation.
    #[command(subcommand)]
    Reconcile(ReconcileCommand),
    /// Prints a signed call as a curl command, to paste.
    Sign(SignArgs),
    /// Runs the simulated world: a bank and billers with scripted faults.
    Sim(SimArgs),
    /// Runs a center beside a simulated world, with first orders, until Ctrl-C.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where to listen (server.listen).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// What is compared, and how strictly.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The simulated world's ledger.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// Seconds that an order may stand still before somebody has to be at work on it.
    #[arg(long, default_value_t = 60)]
    grace_s: u64,
    /// Faults are over: every order has to be settled or with people.
    #[arg(long)]
    settled: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum CatalogCommand {
    /// Checks files and imports all of them or nothing.
    Import {
        /// CSV files: regions, billers, items, one kind a file.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only checks.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Wraps every private key by the current master key (keys.master); keys.former_master opens those
    /// that are not yet. May run while the center works, and be repeated.
    Rewrap,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the commented defaults.
    Template,
    /// Checks the settings and lists everything that is wrong.
    Check,
    /// Prints the settings in force and where each comes from, without secrets.
    Show,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            // Who has closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "payhall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    refuse_unused(&cli)?;
    match &cli.command {
        Command::Schema => say(api::sdl())?,
        Command::Rights => say(api::rights_table())?,
        Command::Operator(command) => {
            let config = load(&cli)?.config;
            let done = operator_command::run(&config, command.clone());
            say(runtime.block_on(done)?)?;
        }
        Command::Sign(args) => say(sign::command(args, engine::SystemClock.now())?)?,
        Command::Config(ConfigCommand::Template) => say(config::TEMPLATE)?,
        Command::Config(ConfigCommand::Show) => say(config::show(&load(&cli)?))?,
        Command::Config(ConfigCommand::Check) => check_settings(&load(&cli)?.config)?,
        Command::Audit(AuditCommand::Verify(args)) => {
            let report = audit_command::run(&load(&cli)?.config, args)?;
            let json = args.json().then(|| report.to_json()).transpose()?;
            return judged(json, &report, report.is_clean());
        }
        Command::Reconcile(ReconcileCommand::Files(args)) => {
            let report = reconcile_command::compare_files(args)?;
            let json = args.json().then(|| report.to_json()).transpose()?;
            return judged(json, &report, report.all_matched());
        }
        Command::Reconcile(ReconcileCommand::Day(args)) => {
            let config = load(&cli)?.config;
            let report = runtime.block_on(reconcile_command::day(&config, args))?;
            return judged(None, &report, report.is_clean());
        }
        Command::Reconcile(ReconcileCommand::Explain(args)) => {
            let config = load(&cli)?.config;
            let explained = runtime.block_on(reconcile_command::explain(&config, args))?;
            say(format_args!("{explained}\n"))?;
        }
        Command::PartnerFiles(command) => {
            let config = load(&cli)?.config;
            say(runtime.block_on(partner_files_command::run(&config, command))?)?;
        }
        Command::Check(_) | Command::Sim(_) | Command::Demo(_) => {
            return runtime.block_on(run_beside(cli));
        }
        Command::Serve(_) => return runtime.block_on(serve(&load(&cli)?.config)),
        Command::Migrate => migrate(&load(&cli)?.config)?,
        Command::Catalog(CatalogCommand::Import { files, dry_run }) => {
            runtime.block_on(import(&load(&cli)?.config, files, *dry_run))?;
        }
        Command::Jobs(command) => {
            let config = load(&cli)?.config;
            let say = |text: &str| say(text);
            let done = jobs_command::run(&config, command.clone(), &say);
            runtime.block_on(done)?;
        }
        Command::Keys(KeysCommand::Rewrap) => runtime.block_on(rewrap(&load(&cli)?.config))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses flags that a command would not look at: whoever gives one believes that it counts.
fn refuse_unused(cli: &Cli) -> anyhow::Result<()> {
    let name = match cli.command {
        Command::Demo(_) => "demo",
        Command::Sim(_) => "sim",
        Command::Schema => "schema",
        Command::Rights => "rights",
        Command::Sign(_) => "sign",
        Command::Reconcile(ReconcileCommand::Files(_)) => "reconcile files",
        _ => return Ok(()),
    };
    let given = [
        ("--config", cli.config.is_some()),
        ("--database-url", cli.database_url.is_some()),
        ("--redis-url", cli.redis_url.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => anyhow::bail!(
            "{flag} means nothing to `payhall {name}`, which has settings of its own: see `payhall {name} \
             --help`, or run `payhall serve`"
        ),
        None => Ok(()),
    }
}

/// The commands that have settings of their own.
async fn run_beside(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Sim(args) => {
            sim::run(args.into(), stopped()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => {
            telemetry::start_logs(telemetry::LogFormat::Auto, "warn")?;
            demo::run(args, Metrics::install()?, stopped()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(ref args) => check(&load(&cli)?.config, args),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn load(cli: &Cli) -> anyhow::Result<Loaded> {
    let mut flags = Vec::new();
    let mut flag = |path, value: &Option<String>| {
        if let Some(value) = value {
            flags.push((path, value.clone()));
        }
    };
    flag("storage.url", &cli.database_url);
    flag("cache.url", &cli.redis_url);
    if let Command::Serve(args) = &cli.command {
        flag("server.listen", &args.listen);
    }
    Ok(config::load(
        cli.config.as_deref(),
        &Environment::of_process(),
        &Flags(flags),
    )?)
}

/// Says something on standard output. A reader that has seen enough and has hung up, such as `head`,
/// is no failure, but `println!` would panic.
fn say(text: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        said => said.context("cannot write to standard output"),
    }
}

/// Does what `serve` does at its start with what the settings name, as far as nobody has to be
/// called: reads the certificates, the job files, the calendar, the profiles of files and the master keys, and
/// looks for SQLite's folder.
fn check_settings(config: &Config) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let mut found = |path: String, what: String| {
        let source = None;
        wrong.push(Problem { path, source, what });
    };
    for (name, settings) in &config.adapters {
        let alone = BTreeMap::from([(name.clone(), settings.clone())]);
        if let Err(error) = Upstreams::from_settings(&alone) {
            let what = format!("{:#}", anyhow::Error::from(error));
            found(format!("adapters.{name}"), what);
        }
    }
    if let Err(error) = JobTable::load(config.jobs.folder()) {
        found(
            "jobs.dir".to_owned(),
            format!("{:#}", anyhow::Error::from(error)),
        );
    }
    if let Err(error) = daemon::masters(config) {
        found("keys".to_owned(), format!("{error:#}"));
    }
    if let Err(error) = daemon::night::calendar(config) {
        found("center.calendar".to_owned(), format!("{error:#}"));
    }
    if let Err(error) = daemon::night::profiles(config) {
        found("files".to_owned(), format!("{error:#}"));
    }
    if let Some(what) = unusable_output(config) {
        found("output.dir".to_owned(), what);
    }
    if let Err(error) = daemon::night::files_to_read(config) {
        let cause = error.chain().skip(1).map(ToString::to_string);
        found("files.url".to_owned(), cause.collect::<Vec<_>>().join(": "));
    }
    #[cfg(feature = "oidc")]
    if let Err(error) = daemon::provider::provider(config) {
        found("oidc".to_owned(), format!("{error:#}"));
    }
    if let Some(folder) = missing_folder(config.storage.url.expose_secret()) {
        let what = format!("there is no folder {}; make it", folder.display());
        found("storage.url".to_owned(), what);
    }
    if !wrong.is_empty() {
        return Err(ConfigError::Wrong(wrong).into());
    }
    let calendar = daemon::night::calendar_warning(config, engine::SystemClock.now())?;
    for warning in config.warnings().into_iter().chain(calendar) {
        say(format_args!("warning: {warning}\n"))?;
    }
    say("the settings are right\n")
}

/// Why nothing can be published, where something should be.
fn unusable_output(config: &Config) -> Option<String> {
    let folder = config.output.folder()?;
    if !folder.is_dir() {
        return Some(format!("there is no folder {}; make it", folder.display()));
    }
    let what = "nothing can be signed without keys.master; name one, or empty output.dir";
    let has_master = !config.keys.master.expose_secret().is_empty();
    (!has_master).then(|| what.to_owned())
}

/// The folder of a SQLite file, if it is not there.
fn missing_folder(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?;
    let folder = Path::new(path).parent()?;
    let is_named = !folder.as_os_str().is_empty() && !path.starts_with("file:");
    (is_named && !folder.is_dir()).then_some(folder)
}

/// Exit code 0: nothing found. 3: findings. 1 is left to errors.
fn check(config: &Config, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let url = config.storage.url.expose_secret();
    let options = CheckOptions {
        grace: Duration::from_secs(args.grace_s),
        settled: args.settled,
        cache: config.cache.clone(),
        files: daemon::night::files_to_read(config)?,
        ..CheckOptions::new(url, &args.ledger, engine::SystemClock.now())
    };
    let report = check::run(&options)?;
    let json = args.json.then(|| report.to_json()).transpose()?;
    judged(json, &report, report.is_clean())
}

/// Says what was found, as JSON where that is wanted; the exit code tells whether that is anything.
fn judged(
    json: Option<String>,
    report: &impl std::fmt::Display,
    is_clean: bool,
) -> anyhow::Result<ExitCode> {
    match json {
        Some(json) => say(format_args!("{json}\n"))?,
        None => say(format_args!("{report}\n"))?,
    }
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    telemetry::start_logs(config.logs.format, &config.logs.filter)?;
    // From here on SIGHUP is heard, and ends nothing; and whoever says stop is heard at any moment.
    let mut hangups = signal(SignalKind::hangup())?;
    let mut stopped = std::pin::pin!(stopped()?);
    let mut daemon = tokio::select! {
        daemon = Daemon::start(config, Metrics::install()?) => daemon?,
        () = &mut stopped => {
            tracing::info!("stopping before it served anybody");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(()) = hangups.recv() => reload(&mut daemon, config).await,
        }
    }
    tracing::info!("stopping");
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
    daemon.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Reads the job files again. Where anything is wrong with them, what runs goes on as it was.
async fn reload(daemon: &mut Daemon, config: &Config) {
    let begins: Vec<NotifyState<'_>> = std::iter::once(NotifyState::Reloading)
        .chain(NotifyState::monotonic_usec_now().ok())
        .collect();
    let _ = sd_notify::notify(false, &begins);
    match daemon.reload_jobs(config).await {
        Ok(jobs) => tracing::info!(jobs, "the job files were read again"),
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "the job files were read again and are not used; the jobs run as before"
        ),
    }
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

/// Completes on SIGTERM or Ctrl-C, of which neither is lost from now on.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn migrate(config: &Config) -> anyhow::Result<()> {
    let options = daemon::storage_options(config, &daemon::instance_name());
    let ran = Store::migrate(&options)?;
    match ran.as_slice() {
        [] => say("the schema is up to date\n"),
        names => say(format_args!("run: {}\n", names.join(", "))),
    }
}

async fn import(config: &Config, files: &[PathBuf], dry_run: bool) -> anyhow::Result<()> {
    let files = files
        .iter()
        .map(|path| read_file(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let adapters: Vec<_> = config.adapters.keys().cloned().collect();
    if dry_run {
        let mut view = open_view(config)?;
        engine::read_catalogue(files, &catalogue::load(view.connection())?, &adapters)?;
        return say("the files are right; nothing was imported\n");
    }
    let options = daemon::storage_options(config, &daemon::instance_name());
    Store::migrate(&options)?;
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let known = store.read(catalogue::load).await?;
    let outcome = match engine::read_catalogue(files, &known, &adapters) {
        Ok(parts) => {
            let now = engine::SystemClock.now();
            let report = engine::import(&store, parts, &Actor::system(), now).await;
            report.map_err(anyhow::Error::from)
        }
        Err(problems) => Err(problems.into()),
    };
    store.close().await;
    say(format_args!("{}\n", outcome?))
}

async fn rewrap(config: &Config) -> anyhow::Result<()> {
    let options = daemon::storage_options(config, &daemon::instance_name());
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let masters = daemon::masters(config)?;
    let operators = daemon::operators(&store, config)?;
    let (actor, now) = (Actor::system(), engine::SystemClock.now());
    let done = async {
        let keys = engine::rewrap_keys(&store, &masters, (&actor, now))
            .await?
            .rewrapped;
        Ok((keys, operators.rewrap_codes(&actor).await?))
    };
    let done = done.await;
    store.close().await;
    match done {
        Ok((keys, codes)) => say(format_args!(
            "{keys} private keys and the one-time codes of {codes} operators are under the current \
             master key now that were not before; keys.former_master is not needed any more\n"
        )),
        Err(engine::EngineError::Refused(refusal)) => Err(refusal.into()),
        Err(error) => Err(error.into()),
    }
}

/// The database for commands that only look: it is neither made nor migrated by them.
fn open_view(config: &Config) -> anyhow::Result<View> {
    Ok(View::open(config.storage.url.expose_secret())?)
}

fn read_file(path: &Path) -> anyhow::Result<ImportFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(ImportFile {
        name: path.display().to_string(),
        bytes,
    })
}
