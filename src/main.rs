//! The command line and nothing else.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use payhall::api;
use payhall::check::{self, CheckOptions};
use payhall::config::{self, Config, Environment, Flags, Loaded};
use payhall::daemon::{self, Daemon};
use payhall::demo::{self, DemoArgs};
use payhall::engine::{self, Actor, Clock, ImportFile};
use payhall::jobs::JobTable;
use payhall::sim::{self, SimArgs};
use payhall::storage::{Store, catalogue, job_runs};
use payhall::telemetry::{self, Metrics};
use secrecy::ExposeSecret;
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
    /// The settings file; without it PAYHALL_CONFIG is looked at, then the defaults hold.
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
    /// Regions, billers, items and merchants.
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Prints the GraphQL schema.
    Schema,
    /// The scheduled jobs.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// The settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Compares the database with the simulated world's ledger: exit code 0 fine, 3 findings.
    Check(CheckArgs),
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
        /// CSV files: regions, billers, items, merchants, one kind a file.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only checks.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Every job: when it runs and why.
    List,
    /// The next times of a job.
    Next {
        /// The job's name.
        job: String,
        /// How many.
        #[arg(long, default_value_t = 5)]
        count: usize,
    },
    /// The latest runs, newest first.
    History {
        /// Of this job only.
        job: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        count: u32,
    },
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
            eprintln!("payhall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match &cli.command {
        Command::Schema => print!("{}", api::sdl()),
        Command::Config(ConfigCommand::Template) => print!("{}", config::TEMPLATE),
        Command::Config(ConfigCommand::Show) => print!("{}", config::show(&load(&cli)?)),
        Command::Config(ConfigCommand::Check) => {
            let config = load(&cli)?.config;
            config
                .warnings()
                .iter()
                .for_each(|warning| println!("warning: {warning}"));
            println!("the settings are right");
        }
        Command::Check(_) | Command::Sim(_) | Command::Demo(_) => {
            return runtime.block_on(run_beside(cli));
        }
        Command::Serve(_) => return runtime.block_on(serve(&load(&cli)?.config)),
        Command::Migrate => migrate(&load(&cli)?.config)?,
        Command::Catalog(CatalogCommand::Import { files, dry_run }) => {
            runtime.block_on(import(&load(&cli)?.config, files, *dry_run))?;
        }
        Command::Jobs(command) => runtime.block_on(jobs(&load(&cli)?.config, command))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that have settings of their own.
async fn run_beside(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Sim(args) => {
            sim::run(args.into(), stopped()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => {
            telemetry::start_logs(telemetry::LogFormat::Auto, "warn")?;
            demo::run(args, Metrics::install()?, stopped()).await?;
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

/// Exit code 0: nothing found. 3: findings. 1 is left to errors.
fn check(config: &Config, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let url = config.storage.url.expose_secret();
    let options = CheckOptions {
        grace: Duration::from_secs(args.grace_s),
        settled: args.settled,
        ..CheckOptions::new(url, &args.ledger, engine::SystemClock.now())
    };
    let report = check::run(&options)?;
    if args.json {
        println!("{}", report.to_json()?);
    } else {
        println!("{report}");
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    telemetry::start_logs(config.logs.format, &config.logs.filter)?;
    let daemon = Daemon::start(config, Metrics::install()?).await?;
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    stopped().await;
    tracing::info!("stopping");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    daemon.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Completes on SIGTERM or Ctrl-C.
async fn stopped() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn migrate(config: &Config) -> anyhow::Result<()> {
    let options = daemon::storage_options(config, &daemon::instance_name());
    let ran = Store::migrate(&options)?;
    match ran.as_slice() {
        [] => println!("the schema is up to date"),
        names => println!("run: {}", names.join(", ")),
    }
    Ok(())
}

async fn import(config: &Config, files: &[PathBuf], dry_run: bool) -> anyhow::Result<()> {
    let files = files
        .iter()
        .map(|path| read_file(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let adapters: Vec<_> = config.adapters.keys().cloned().collect();
    let options = daemon::storage_options(config, &daemon::instance_name());
    Store::migrate(&options)?;
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let known = store.read(catalogue::load).await?;
    let outcome = match engine::read_catalogue(files, &known, &adapters) {
        Ok(parts) if dry_run => {
            println!("the files are right; nothing was imported");
            drop(parts);
            Ok(())
        }
        Ok(parts) => {
            let now = engine::SystemClock.now();
            let report = engine::import(&store, parts, &Actor::system(), now).await;
            report
                .map(|report| println!("{report}"))
                .map_err(anyhow::Error::from)
        }
        Err(problems) => Err(problems.into()),
    };
    store.close().await;
    outcome
}

fn read_file(path: &Path) -> anyhow::Result<ImportFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(ImportFile {
        name: path.display().to_string(),
        bytes,
    })
}

async fn jobs(config: &Config, command: &JobsCommand) -> anyhow::Result<()> {
    let folder = Some(config.jobs.dir.as_path()).filter(|dir| !dir.as_os_str().is_empty());
    let table = JobTable::load(folder)?;
    let now = engine::SystemClock.now();
    match command {
        JobsCommand::List => {
            for job in table.list(now) {
                println!("{job}");
            }
        }
        JobsCommand::Next { job, count } => {
            for at in table.next(job, now, *count)? {
                println!("{}", at.with_timezone(&config.center.zone).to_rfc3339());
            }
        }
        JobsCommand::History { job, count } => {
            let options = daemon::storage_options(config, &daemon::instance_name());
            let store = Store::open(&options, Arc::new(|_| ()))?;
            let (job, count) = (job.clone(), i64::from(*count));
            let runs = store
                .read(move |c| job_runs::list(c, job.as_deref(), None, count))
                .await?;
            for run in runs {
                let words = run.error.or(run.report).unwrap_or_default();
                println!(
                    "{} {} {} {words}",
                    run.scheduled_at.to_rfc3339(),
                    run.job,
                    run.state
                );
            }
            store.close().await;
        }
    }
    Ok(())
}
