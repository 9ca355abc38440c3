//! The processes that are measured: a database of its own, the simulated world, the daemon.

use anyhow::{Context, bail};
use payhall::config::{self, Environment, Flags};
use payhall::daemon;
use payhall::engine::samples;
use payhall::storage::Store;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The token of the load client.
pub const TOKEN: &str = "bench-merchant-token-0001";
/// The tokens of the two people who issue and approve keys.
pub const MAKER: &str = "bench-maker-token-00000001";
/// The second of them.
pub const CHECKER: &str = "bench-checker-token-000001";

/// A master key, so that the center signs its answers.
const MASTER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

const PROGRAM: &str = env!("CARGO_BIN_EXE_payhall");
const SETTINGS: &str = include_str!("../../deploy/demo.toml");

/// A process that ends with the value.
pub struct Process(Child);

impl Process {
    fn start(arguments: &[&str], log: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        Ok(Self(child))
    }

    /// The most memory that the process has held so far, in megabytes (of 1,000,000 bytes).
    pub fn peak_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line
            .and_then(|line| line.split_whitespace().nth(1))
            .context("VmHWM")?;
        Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_for(address: SocketAddr, log: &Path) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > patience {
            bail!(
                "nothing answers on {address}: {}",
                std::fs::read_to_string(log)?
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The simulated world with its latency.
pub fn start_world(folder: &Path, latency_ms: u64) -> anyhow::Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let ledger = folder.join("ledger.jsonl");
    let log = folder.join("sim.log");
    let (listen, latency) = (address.to_string(), latency_ms.to_string());
    let ledger = ledger.display().to_string();
    let arguments = [
        "sim",
        "--listen",
        &listen,
        "--ledger",
        &ledger,
        "--latency-ms",
        &latency,
    ];
    let process = Process::start(&arguments, &log)?;
    wait_for(address, &log)?;
    Ok((process, address))
}

/// One merchant calls from one address as fast as the machine goes: the limits count every request, and
/// nobody meets them.
const LIMITS: &str = "[limits]\naddress_per_s = 1000000\naddress_burst = 1000000\n\
                      merchant_per_s = 1000000\nmerchant_burst = 1000000\n";

/// A daemon on a database and a cache, with the demo's catalogue imported.
pub fn start_daemon(
    folder: &Path,
    name: &str,
    world: SocketAddr,
    database: &str,
    cache: &str,
) -> anyhow::Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let file = folder.join(format!("{name}.toml"));
    let log = folder.join(format!("{name}.log"));
    let pattern = SETTINGS.replace("127.0.0.1:8401", &world.to_string());
    let settings = format!(
        "{pattern}\n[server]\nlisten = \"{address}\"\nsandbox = true\n{LIMITS}\
         [storage]\nurl = \"{database}\"\n\
         [cache]\nurl = \"{cache}\"\n[logs]\nfilter = \"warn\"\n\
         [[callers]]\ntoken = \"{TOKEN}\"\nkind = \"merchant\"\nmerchant = \"portal\"\n\
         [[callers]]\ntoken = \"{MAKER}\"\nkind = \"operator\"\nname = \"mia\"\nrole = \"operator\"\n\
         [[callers]]\ntoken = \"{CHECKER}\"\nkind = \"operator\"\nname = \"max\"\nrole = \"reviewer\"\n\
         [keys]\nmaster = \"{MASTER}\"\n"
    );
    std::fs::write(&file, settings)?;
    let file = file.display().to_string();
    let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalogue");
    let files: Vec<PathBuf> = ["regions.csv", "billers.csv", "items.csv"]
        .iter()
        .map(|name| catalogue.join(name))
        .collect();
    let imported = Command::new(PROGRAM)
        .args(["--config", &file, "catalog", "import"])
        .args(&files)
        .output()?;
    if !imported.status.success() {
        bail!(
            "the catalogue was refused: {}",
            String::from_utf8_lossy(&imported.stderr)
        );
    }
    bring_merchants_in(Path::new(&file))?;
    let process = Process::start(&["--config", &file, "serve"], &log)?;
    wait_for(address, &log)?;
    Ok((process, address))
}

/// Two people bring the demo's merchants in; on a runtime of its own, beside the one that measures.
fn bring_merchants_in(file: &Path) -> anyhow::Result<()> {
    let config = config::load(Some(file), &Environment::default(), &Flags::default())?.config;
    let options = daemon::storage_options(&config, &daemon::instance_name());
    let work = async {
        let store = Store::open(&options, Arc::new(|_| ()))?;
        samples::bring_all_in(&store).await?;
        store.close().await;
        anyhow::Ok(())
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let done = std::thread::scope(|scope| scope.spawn(move || runtime.block_on(work)).join());
    done.unwrap_or_else(|_| bail!("bringing the merchants in panicked"))
}

/// Makes a database on the server and gives its URL.
pub fn create_database(server: &str, name: &str) -> anyhow::Result<String> {
    run(
        "psql",
        &[server, "-q", "-c", &format!("CREATE DATABASE {name}")],
    )?;
    let (host, _) = server.rsplit_once('/').context("a URL with a database")?;
    Ok(format!("{host}/{name}"))
}

/// Payments per second of the naive program, by pgbench.
pub fn naive(database: &str, seconds: u64) -> anyhow::Result<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/lifecycle/naive.sql");
    let (script, seconds) = (script.display().to_string(), seconds.to_string());
    let arguments = [
        "-n", "-M", "prepared", "-c", "16", "-j", "2", "-T", &seconds, "-f", &script,
    ];
    let printed = run("pgbench", &[&arguments[..], &[database]].concat())?;
    let line = printed.lines().find(|line| line.starts_with("tps = "));
    let tps = line
        .and_then(|line| line.split_whitespace().nth(2))
        .context("pgbench's tps")?;
    Ok(tps.parse()?)
}

/// Makes the naive program's tables.
pub fn naive_schema(database: &str) -> anyhow::Result<()> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/lifecycle/naive_schema.sql");
    run(
        "psql",
        &[database, "-q", "-f", &schema.display().to_string()],
    )
    .map(|_| ())
}

/// Runs a program of PostgreSQL's, from its own folder where it is not on the path.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let own = installed
        .map(|version| version.path().join("bin").join(program))
        .find(|p| p.exists());
    let output = Command::new(own.unwrap_or_else(|| program.into()))
        .args(arguments)
        .output()?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
