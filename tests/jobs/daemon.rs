//! Jobs through the program as it is run: its command line, its API, SIGHUP and what the system is told.

use crate::support::client::{Client, MAKER, http_client};
use crate::support::database::TestDatabase;
use crate::support::process::{Process, command, free_address, run, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A center without any bank, its folder of job files, and an ear for what it tells the system.
struct Center {
    process: Process,
    client: Client,
    address: SocketAddr,
    file: String,
    jobs: PathBuf,
    ear: UnixDatagram,
    folder: TempDir,
}

impl Center {
    async fn start(database: &TestDatabase) -> Self {
        let folder = TempDir::new().unwrap();
        let jobs = folder.path().join("jobs");
        std::fs::create_dir(&jobs).unwrap();
        let address = free_address();
        let file = folder.path().join("payhall.toml");
        let settings = format!(
            "server.listen = \"{address}\"\nserver.sandbox = true\nstorage.url = {:?}\njobs.dir = {:?}\n\
             [[callers]]\ntoken = \"{MAKER}\"\nkind = \"operator\"\nname = \"ann\"\n\
             role = \"operator\"\n",
            database.url,
            jobs.display().to_string()
        );
        std::fs::write(&file, settings).unwrap();
        let socket = folder.path().join("notify");
        let ear = UnixDatagram::bind(&socket).unwrap();
        ear.set_nonblocking(true).unwrap();
        let file = file.display().to_string();
        let center = Self {
            process: serve(&folder, &file),
            client: caller(address),
            address,
            file,
            jobs,
            ear,
            folder,
        };
        assert_eq!(center.told().await, "READY=1");
        center
    }

    /// `kill -9`, then another program of the same settings, which is asked over connections of its own.
    async fn kill_and_restart(&mut self) {
        self.process.kill();
        self.client = caller(self.address);
        self.process = serve(&self.folder, &self.file);
        assert_eq!(self.told().await, "READY=1");
    }

    /// What the system is told next.
    async fn told(&self) -> String {
        wait_for("a word to the system", PATIENCE, async || {
            let mut text = [0; 256];
            let length = self.ear.recv(&mut text).ok()?;
            Some(String::from_utf8_lossy(&text[..length]).trim().to_owned())
        })
        .await
    }

    async fn hang_up(&self) {
        self.process.signal("HUP");
        let begins = self.told().await;
        assert!(
            begins.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{begins}"
        );
        assert_eq!(self.told().await, "READY=1");
    }

    fn write(&self, text: &str) {
        std::fs::write(self.jobs.join("expire_orders.toml"), text).unwrap();
    }

    async fn ask(&self, document: &str, variables: Value) -> Value {
        self.client.ask(document, variables).await.unwrap()
    }

    async fn schedule(&self) -> String {
        let jobs = self.ask("{ jobs { name schedule } }", json!({})).await;
        let jobs = jobs["jobs"].as_array().unwrap();
        let job = jobs.iter().find(|job| job["name"] == "expire_orders");
        job.unwrap()["schedule"].as_str().unwrap().to_owned()
    }

    /// Runs the command line beside it; its exit code and what it said.
    fn jobs(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut all = vec!["--config".to_owned(), self.file.clone(), "jobs".to_owned()];
        all.extend(arguments.iter().map(|word| (*word).to_owned()));
        let output = run(&all);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

fn caller(address: SocketAddr) -> Client {
    Client::new(http_client(), &format!("http://{address}"), MAKER)
}

fn serve(folder: &TempDir, file: &str) -> Process {
    let arguments = ["--config".to_owned(), file.to_owned(), "serve".to_owned()];
    let mut command = command(&arguments);
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    Process::spawn("center", folder.path(), command)
}

const GOOD: &str = include_str!("../../jobs/expire_orders.toml");

#[tokio::test]
async fn sighup_reads_the_job_files_again_and_a_bad_one_changes_nothing() {
    for database in TestDatabase::all() {
        let mut center = Center::start(&database).await;
        assert_eq!(center.schedule().await, "0 * * * * *");
        center.write(&GOOD.replace("0 * * * * *", "7 * * * * *"));
        center.hang_up().await;
        assert_eq!(center.schedule().await, "7 * * * * *");
        for (bad, why) in [
            (
                GOOD.replace("Asia/Shanghai", "Asia/Peking"),
                "expire_orders.toml:5: ",
            ),
            (
                format!("{GOOD}after = [\"expire_keys\"]\n"),
                "catch_up RUN_ONCE or RUN_ALL",
            ),
            (
                format!("{}after = [\"nobody\"]\n", GOOD.replace("SKIP", "RUN_ALL")),
                "after: there is no job",
            ),
        ] {
            center.write(&bad);
            center.hang_up().await;
            assert_eq!(center.schedule().await, "7 * * * * *", "{why}");
            let log = center.process.log();
            assert!(
                log.contains("the jobs run as before") && log.contains(why),
                "{why}"
            );
        }
        assert!(center.process.has_ended().is_none());
        center.write(&GOOD.replace("0 * * * * *", "9 * * * * *"));
        center.hang_up().await;
        assert_eq!(center.schedule().await, "9 * * * * *");
        // What stands on the disk at a start is refused.
        center.write("schedule = 1\n");
        let (code, said) = center.jobs(&["list"]);
        assert_eq!(code, Some(1));
        assert!(said.contains("expire_orders.toml:1: "), "{said}");
        center.process.signal("TERM");
        assert!(center.process.ended(PATIENCE).await.success());
        drop(center.folder);
    }
}

#[tokio::test]
async fn what_the_command_line_and_the_api_ask_for_is_run_by_the_center() {
    for database in TestDatabase::all() {
        let center = Center::start(&database).await;
        let (code, said) = center.jobs(&["run", "expire_orders", "--date", "2026-01-05"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("expire_orders WAITING for 2026-01-05"),
            "{said}"
        );
        assert!(
            said.contains("expire_orders SUCCEEDED for 2026-01-05"),
            "{said}"
        );
        assert!(said.contains("asked for by system"), "{said}");
        let stretch = ["--from", "2026-01-03", "--to", "2026-01-06"];
        let asked = [&["backfill", "archive_records"][..], &stretch].concat();
        let (code, said) = center.jobs(&[&asked[..], &["--dry-run"]].concat());
        assert_eq!((code, said.lines().count()), (Some(0), 4), "{said}");
        let (code, said) = center.jobs(&asked);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("SUCCEEDED").count(), 4, "{said}");
        let (_, said) = center.jobs(&asked);
        assert_eq!(said, "there is nothing to make up for\n");

        let trigger = "mutation($i: JobTriggerInput!) { jobTrigger(input: $i) {
            run { runId state askedBy businessDate } userErrors { code } } }";
        let input = json!({ "i": { "job": "expire_keys", "businessDate": "2026-01-07" } });
        let run = center.ask(trigger, input).await["jobTrigger"]["run"].clone();
        assert_eq!(run["askedBy"], "operator:ann");
        let one = "query($id: ID!) { jobRun(runId: $id) { state businessDate } }";
        let ended = wait_for("the run to end", PATIENCE, async || {
            let run = center.ask(one, json!({ "id": run["runId"] })).await;
            let run = run["jobRun"].clone();
            (run["state"] == "SUCCEEDED").then_some(run)
        });
        assert_eq!(ended.await["businessDate"], "2026-01-07");

        // It runs every minute: the one that is told may be under way.
        wait_for("a success in the list", PATIENCE, async || {
            let (code, said) = center.jobs(&["list"]);
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("last: "), "{said}");
            said.contains("expire_keys SUCCEEDED").then_some(())
        })
        .await;
        let (code, said) = center.jobs(&["history", "archive_records", "--count", "4"]);
        assert_eq!((code, said.lines().count()), (Some(0), 4), "{said}");
        let (code, said) = center.jobs(&["run", "expire_order"]);
        assert_eq!(code, Some(1));
        assert!(said.contains("there is no job \"expire_order\""), "{said}");
    }
}

#[tokio::test]
async fn what_was_asked_for_is_run_once_each_and_in_order_through_kills() {
    const RUNS: &str = "{ jobRuns(job: \"archive_records\", first: 100) { edges { node {
        state businessDate askedBy startedAt } } } }";
    for database in TestDatabase::all() {
        let mut center = Center::start(&database).await;
        let quick =
            include_str!("../../jobs/archive_records.toml").replace("lease_s = 60", "lease_s = 3");
        std::fs::write(center.jobs.join("archive_records.toml"), quick).unwrap();
        center.hang_up().await;
        let stretch = ["--from", "2025-01-01", "--to", "2025-02-28", "--no-wait"];
        let (code, said) = center.jobs(&[&["backfill", "archive_records"][..], &stretch].concat());
        assert_eq!((code, said.lines().count()), (Some(0), 59), "{said}");
        let asked = async |center: &Center| -> Vec<Value> {
            let runs = center.ask(RUNS, json!({})).await;
            let edges = runs["jobRuns"]["edges"].as_array().unwrap().clone();
            let nodes = edges.into_iter().map(|edge| edge["node"].clone());
            nodes.filter(|run| !run["askedBy"].is_null()).collect()
        };
        let succeeded = |runs: &[Value]| {
            let done = runs.iter().filter(|run| run["state"] == "SUCCEEDED");
            done.count()
        };
        for few in [1, 10, 20, 30, 40] {
            wait_for("some runs to end", PATIENCE, async || {
                (succeeded(&asked(&center).await) >= few).then_some(())
            })
            .await;
            center.kill_and_restart().await;
        }
        let mut runs = wait_for("all runs to end", PATIENCE, async || {
            let runs = asked(&center).await;
            (succeeded(&runs) == 59).then_some(runs)
        })
        .await;
        runs.sort_by_key(|run| run["businessDate"].as_str().unwrap().to_owned());
        let mut dates: Vec<&str> = runs
            .iter()
            .map(|run| run["businessDate"].as_str().unwrap())
            .collect();
        dates.dedup();
        assert_eq!(dates.len(), 59, "{}", database.kind);
        let began = |run: &Value| run["startedAt"].as_str().unwrap().to_owned();
        assert!(runs.is_sorted_by_key(began), "{}", database.kind);
    }
}
