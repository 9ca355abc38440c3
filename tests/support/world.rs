//! The whole system as it stands in production: a simulated world with its ledger, a database, and
//! any number of daemons, each a process of its own that is reached over HTTP only. At the end of a
//! test [`World::check`] compares the database with the ledger.

use super::client::{CHECKER, Client, MAKER, MERCHANT, http_client};
use super::database::TestDatabase;
use super::process::{Process, free_address, run, wait_for};
use super::redis::PrivateRedis;
use payhall::config::{self, Config, Environment, Flags};
use payhall::domain::time::Instant;
use payhall::engine::samples;
use payhall::storage::Store;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How long a process may take to come up in an unoptimised build on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The item that is paid through the bank that can reverse.
pub const TOPUP: &str = "sh-telecom-topup";
/// The item that is paid through the older bank, which cannot.
pub const FEE: &str = "sh-school-fee";

/// What a world is made of.
pub struct Setup {
    database: TestDatabase,
    settings: toml::Table,
    sim: Vec<String>,
    /// Jobs that run by another schedule than in production.
    jobs: Vec<(String, String)>,
}

impl Setup {
    /// The demo's settings with short waits, on a database.
    pub fn on(database: TestDatabase) -> Self {
        let pattern = include_str!("../../deploy/demo.toml");
        let settings = pattern.parse().expect("deploy/demo.toml is TOML");
        let mut setup = Self {
            database,
            settings,
            sim: Vec::new(),
            jobs: Vec::new(),
        }
        .every_second("poll_exceptions");
        for adapter in ["bank", "legacy"] {
            let at = |key: &str| format!("adapters.{adapter}.{key}");
            setup = setup
                .set(&at("connect_timeout_ms"), 900)
                .set(&at("total_timeout_ms"), 1000)
                .set(&at("lookup_timeout_ms"), 1000)
                .set(&at("tries_s"), vec![0, 1])
                .set(&at("send_within_s"), 3)
                .set(&at("certainty_window_s"), 5)
                .set(&at("quick_polls"), 4)
                .set(&at("ladder.then_s"), 1)
                .set(&at("ladder.rungs"), Vec::<toml::Value>::new())
                // Faults are the rule here: the breaker has a test of its own.
                .set(&at("breaker.window_calls"), 100_000)
                .set(&at("lookup_breaker.window_calls"), 100_000);
        }
        setup
            .set("adapters.bank.reversal_at_s", vec![0, 1, 2, 3])
            .set("adapters.legacy.case_after_s", 8)
            .set("orders.orphan_after_s", 5)
            .set("polling.lease_s", 15)
            .set("storage.readers", 4)
            // A daemon that stood still for two seconds answers, if late.
            .set("storage.pool_timeout_ms", 30_000)
            .set("cache.open_ttl_s", 1)
            .set("logs.format", "json")
    }

    /// Changes a setting, by its path.
    pub fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Self {
        set(&mut self.settings, path, value.into());
        self
    }

    /// Keeps copies in a Redis, if there is one; the memory of each daemon otherwise.
    pub fn redis(self, redis: Option<&PrivateRedis>) -> Self {
        match redis {
            Some(redis) => self.set("cache.url", redis.url()),
            None => self,
        }
    }

    /// Flags for the simulated world.
    pub fn sim(mut self, flags: &[&str]) -> Self {
        self.sim.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Has a job run every second.
    pub fn every_second(mut self, job: &str) -> Self {
        self.jobs.push((job.to_owned(), "*/1 * * * * *".to_owned()));
        self
    }

    /// All jobs run as often as in production.
    pub fn with_standard_jobs(mut self) -> Self {
        self.jobs.clear();
        self
    }

    /// Starts the simulated world and imports the catalogue. No daemon runs yet.
    pub async fn start(self) -> World {
        let world = self.start_empty().await;
        world.import_catalogue();
        world
    }

    /// Starts the simulated world and leaves the database empty.
    pub async fn start_empty(self) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sim = Sim::start(folder.path(), &self.sim).await;
        let mut settings = self.settings;
        for adapter in ["bank", "legacy"] {
            let url = format!("{}/{adapter}", sim.url);
            set(
                &mut settings,
                &format!("adapters.{adapter}.url"),
                url.into(),
            );
            let billers = format!("{}/billers", sim.url);
            set(
                &mut settings,
                &format!("adapters.{adapter}.biller_url"),
                billers.into(),
            );
        }
        set(
            &mut settings,
            "storage.url",
            self.database.url.clone().into(),
        );
        set(
            &mut settings,
            "alarms.webhook_url",
            format!("{}/webhook", sim.url).into(),
        );
        // Two people come by tokens.
        set(&mut settings, "server.sandbox", true.into());
        settings.insert("callers".to_owned(), callers());
        if !self.jobs.is_empty() {
            let dir = write_jobs(folder.path(), &self.jobs);
            set(&mut settings, "jobs.dir", dir.display().to_string().into());
        }
        World {
            daemons: 0.into(),
            settings,
            sim,
            database: self.database,
            folder,
        }
    }
}

/// Puts a value at a path such as `adapters.bank.url`, making the tables that lead there.
fn set(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table
                .entry(first)
                .or_insert_with(|| toml::Table::new().into())
                .as_table_mut()
                .expect("a path leads through tables");
            set(inner, rest, value);
        }
    }
}

fn callers() -> toml::Value {
    let text = format!(
        "[[callers]]\ntoken = \"{MERCHANT}\"\nkind = \"merchant\"\nmerchant = \"portal\"\n\
         [[callers]]\ntoken = \"{MAKER}\"\nkind = \"operator\"\nname = \"ann\"\nrole = \"operator\"\n\
         [[callers]]\ntoken = \"{CHECKER}\"\nkind = \"operator\"\nname = \"bob\"\nrole = \"reviewer\"\n"
    );
    let mut table: toml::Table = text.parse().expect("TOML");
    table.remove("callers").expect("the list")
}

/// The compiled-in jobs, some with another schedule and a short lease on their runs.
fn write_jobs(folder: &Path, jobs: &[(String, String)]) -> PathBuf {
    let dir = folder.join("jobs");
    std::fs::create_dir(&dir).expect("a folder");
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs");
    for (name, schedule) in jobs {
        let file = format!("{name}.toml");
        let text = std::fs::read_to_string(compiled_in.join(&file)).expect("a job");
        let mut job: toml::Table = text.parse().expect("TOML");
        set(&mut job, "schedule", schedule.clone().into());
        set(&mut job, "lease_s", 3.into());
        std::fs::write(dir.join(file), job.to_string()).expect("a job file");
    }
    dir
}

/// A running world.
pub struct World {
    daemons: std::cell::Cell<u32>,
    settings: toml::Table,
    /// The simulated world. Declared before the folder, so that it ends first.
    pub sim: Sim,
    pub database: TestDatabase,
    pub folder: TempDir,
}

impl World {
    /// Changes a setting for the daemons that are started from now on.
    pub fn set(&mut self, path: &str, value: impl Into<toml::Value>) {
        set(&mut self.settings, path, value.into());
    }

    /// Brings the schema up to date and imports the demo's catalogue.
    pub fn import_catalogue(&self) {
        let file = self.write_settings("import", free_address());
        let mut arguments = vec![
            "--config".to_owned(),
            file,
            "catalog".into(),
            "import".into(),
        ];
        let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/catalogue");
        for name in ["regions.csv", "billers.csv", "items.csv"] {
            arguments.push(catalogue.join(name).display().to_string());
        }
        let imported = run(&arguments);
        let said = String::from_utf8_lossy(&imported.stderr);
        assert!(
            imported.status.success(),
            "the catalogue was refused: {said}"
        );
        self.bring_merchants_in();
    }

    /// Two people bring the demo's merchants in; on a runtime of its own, since a test may be on one.
    fn bring_merchants_in(&self) {
        let options = self.database.options("onboarding");
        let work = async {
            let store = Store::open(&options, Arc::new(|_| ())).expect("the store");
            let brought = samples::bring_all_in(&store).await;
            brought.expect("the merchants come in");
            store.close().await;
        };
        std::thread::scope(|scope| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            scope.spawn(move || runtime.block_on(work));
        });
    }

    /// Starts a daemon and waits until it serves.
    pub async fn daemon(&self) -> Daemon {
        let mut daemon = self.launch();
        daemon.ready().await;
        daemon
    }

    /// Starts a daemon and does not wait.
    pub fn launch(&self) -> Daemon {
        self.daemons.set(self.daemons.get() + 1);
        let name = format!("daemon-{}", self.daemons.get());
        let address = free_address();
        let file = self.write_settings(&name, address);
        Daemon::launch(name, address, file, self.folder.path().to_owned())
    }

    /// Lets the daemons that start from now on work on another database; gives the one before.
    pub fn work_on(&mut self, database: TestDatabase) -> TestDatabase {
        self.set("storage.url", database.url.clone());
        std::mem::replace(&mut self.database, database)
    }

    /// The settings as they stand, as the program reads them.
    pub fn config(&self) -> Config {
        let file = self.write_settings("config", ([127, 0, 0, 1], 1).into());
        let loaded = config::load(
            Some(Path::new(&file)),
            &Environment::default(),
            &Flags::default(),
        );
        loaded.expect("the settings are good").config
    }

    /// Runs another command of the program with the settings as they stand, some of them exchanged.
    pub fn command(&self, exchanged: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut settings = self.settings.clone();
        for (path, value) in exchanged {
            set(&mut settings, path, (*value).into());
        }
        let file = self.folder.path().join("command.toml");
        std::fs::write(&file, settings.to_string()).expect("a settings file");
        let first = ["--config".to_owned(), file.display().to_string()];
        let rest = arguments.iter().map(|argument| (*argument).to_owned());
        run(&first.into_iter().chain(rest).collect::<Vec<_>>())
    }

    fn write_settings(&self, name: &str, address: SocketAddr) -> String {
        let mut settings = self.settings.clone();
        set(&mut settings, "server.listen", address.to_string().into());
        let file = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&file, settings.to_string()).expect("a settings file");
        file.display().to_string()
    }

    /// Compares the database with the bank's ledger, and the copies in Redis with the database:
    /// nothing may be found. The report is given.
    pub fn check(&self) -> String {
        self.run_check(&[])
    }

    /// The same after the faults are over: nothing may be left in doubt either.
    pub fn check_settled(&self) -> String {
        self.run_check(&["--settled"])
    }

    /// Looks at the audit trail by itself: nothing may be found. The report is given.
    pub fn verify_audit(&self) -> String {
        let settings = self.write_settings("verify", ([127, 0, 0, 1], 1).into());
        let arguments = ["--config", &settings, "audit", "verify"].map(str::to_owned);
        self.run_clean(&arguments)
    }

    fn run_check(&self, flags: &[&str]) -> String {
        let ledger = self.sim.ledger.display().to_string();
        let settings = self.write_settings("check", ([127, 0, 0, 1], 1).into());
        let mut arguments: Vec<String> = ["--config", &settings, "check", "--ledger", &ledger]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.run_clean(&arguments)
    }

    fn run_clean(&self, arguments: &[String]) -> String {
        let checked = run(arguments);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        let cried = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.code() == Some(0),
            "payhall {arguments:?} on {}: {:?}\n{said}\n{cried}",
            self.database.kind,
            checked.status
        );
        said
    }
}

/// A daemon. It is killed with the value.
pub struct Daemon {
    pub process: Process,
    pub url: String,
    name: String,
    address: SocketAddr,
    file: String,
    folder: PathBuf,
    http: reqwest::Client,
}

impl Daemon {
    fn launch(name: String, address: SocketAddr, file: String, folder: PathBuf) -> Self {
        let arguments = ["--config".to_owned(), file.clone(), "serve".to_owned()];
        let process = Process::start(&name, &folder, &arguments);
        let (url, http) = (format!("http://{address}"), http_client());
        Self {
            process,
            url,
            name,
            address,
            file,
            folder,
            http,
        }
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) {
        let url = format!("{}/readyz", self.url);
        let (http, process, name) = (&self.http, &mut self.process, &self.name);
        wait_for(&format!("{name} to be ready"), START, async || {
            if let Some(status) = process.has_ended() {
                panic!("{name} ended at once: {status}\n{}", process.log());
            }
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// `kill -9`, then the same daemon again, at the same address.
    pub async fn kill_and_restart(&mut self) {
        self.kill_and_relaunch();
        self.ready().await;
    }

    /// The same without waiting until it serves. Callers that are asked for from now on have no connection
    /// to the one that was killed.
    pub fn kill_and_relaunch(&mut self) {
        self.process.kill();
        self.http = http_client();
        let arguments = ["--config".to_owned(), self.file.clone(), "serve".to_owned()];
        self.process = Process::start(&self.name, &self.folder, &arguments);
    }

    /// SIGTERM, and waits for the end, which has to come within the half minute that is promised.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.ended(Duration::from_secs(30)).await
    }

    /// A merchant's server.
    pub fn merchant(&self) -> Client {
        self.caller(MERCHANT)
    }

    /// Whoever has this token.
    pub fn caller(&self, token: &str) -> Client {
        Client::new(self.http.clone(), &self.url, token)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The simulated world's process.
pub struct Sim {
    pub process: Process,
    pub url: String,
    pub ledger: PathBuf,
    http: reqwest::Client,
}

impl Sim {
    async fn start(folder: &Path, flags: &[String]) -> Self {
        let address = free_address();
        let ledger = folder.join("ledger.jsonl");
        let mut arguments: Vec<String> = [
            "sim",
            "--listen",
            &address.to_string(),
            "--ledger",
            &ledger.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend_from_slice(flags);
        let process = Process::start("sim", folder, &arguments);
        let url = format!("http://{address}");
        let sim = Self {
            process,
            url,
            ledger,
            http: http_client(),
        };
        wait_for("the simulated world", START, async || {
            sim.try_call("GET", "stats", None).await
        })
        .await;
        sim
    }

    /// Puts a fault in force and gives its number; see `src/sim/faults`.
    pub async fn fault(&self, fault: Value) -> u64 {
        let answer = self.call("POST", "faults", Some(&fault)).await;
        answer["id"]
            .as_u64()
            .unwrap_or_else(|| panic!("{fault}: {answer}"))
    }

    /// Ends one fault.
    pub async fn remove_fault(&self, id: u64) {
        self.call("DELETE", &format!("faults/{id}"), None).await;
    }

    /// Ends all scripted faults.
    pub async fn clear_faults(&self) {
        self.call("DELETE", "faults", None).await;
    }

    /// Ends all faults and the tricks of the well-known bill numbers.
    pub async fn heal(&self) {
        self.call("POST", "heal", Some(&json!({}))).await;
    }

    /// How long banks and billers take from now on.
    pub async fn latency_ms(&self, ms: u64) {
        self.call("POST", "latency", Some(&json!({ "ms": ms })))
            .await;
    }

    /// Sets the world's clock to an instant, at which it stands still.
    pub async fn stand_at(&self, at: Instant) {
        let clock = json!({ "now": at, "pace": "STANDS" });
        self.call("POST", "clock", Some(&clock)).await;
    }

    /// Lets the world's clock show the real time again.
    pub async fn clock_of_today(&self) {
        self.call("DELETE", "clock", None).await;
    }

    /// How many calls of a kind there were: `PAY`, `QUERY`, `REVERSE` or `LOOKUP`.
    pub async fn calls(&self, operation: &str) -> u64 {
        let stats = self.call("GET", "stats", None).await;
        stats["calls"][operation].as_u64().expect("a counter")
    }

    /// The alarms about an order that were posted to the webhook, by kind.
    pub async fn alarms(&self, order_no: &str) -> Vec<String> {
        let notices = self.call("GET", "webhooks", None).await;
        let notices = notices["webhooks"].as_array().cloned().unwrap_or_default();
        let bodies = notices.into_iter().map(|mut notice| notice["body"].take());
        let about = bodies.filter(|body| body["order_no"] == json!(order_no));
        about
            .filter_map(|body| body["kind"].as_str().map(str::to_owned))
            .collect()
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.try_call(method, path, body).await;
        answer.unwrap_or_else(|| panic!("the simulated world did not answer {method} {path}"))
    }

    async fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let method = method.parse().expect("a method");
        let mut request = self
            .http
            .request(method, format!("{}/admin/{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let text = request.send().await.ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// For how many orders the bank was told to pay, however often.
    pub fn orders_paid_for(&self) -> usize {
        let ledger = std::fs::read_to_string(&self.ledger).expect("the ledger");
        let lines = ledger
            .lines()
            .filter(|line| line.contains("\"op\":\"PAY\""));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let orders = lines.filter_map(|line| line["order_no"].as_str().map(str::to_owned));
        orders.collect::<HashSet<_>>().len()
    }

    /// The lines of the ledger about an order with this event, such as `DEBIT`.
    pub fn events(&self, order_no: &str, event: &str) -> Vec<Value> {
        let ledger = std::fs::read_to_string(&self.ledger).expect("the ledger");
        let lines = ledger.lines().filter(|line| line.contains(order_no));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == json!(event)).collect()
    }
}
