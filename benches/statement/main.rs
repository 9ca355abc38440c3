//! A statement of a million flows from PostgreSQL, from the look at what is due to the durable file and its row,
//! beside what PostgreSQL's own client takes to copy the same columns into a file. Both in turn, so that a
//! slow machine is slow for both; the middle of the rounds counts.
//!
//!     make bench                          with the others
//!     … --bench statement -- --flows 100000

#![allow(clippy::float_arithmetic, reason = "figures, not money")]

use anyhow::{Context, bail, ensure};
use payhall::config::{self, Config, Environment, Flags};
use payhall::daemon::Bare;
use payhall::domain::progress::Silent;
use payhall::domain::statement::PartyKind;
use payhall::engine::{Actor, ManualClock};
use payhall::storage::day_flows::OF_MERCHANT;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each is measured.
const ROUNDS: usize = 5;
const FLOWS: u64 = 1_000_000;
const DATABASE: &str = "bench_statement";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flows = flows()?;
    let server = server()
        .context("PAYHALL_TEST_DATABASE_URL names no server: run it by tests/servers.sh")?;
    psql(&server, &format!("CREATE DATABASE {DATABASE}"))?;
    let (host, _) = server.rsplit_once('/').context("a URL with a database")?;
    let url = format!("{host}/{DATABASE}");
    // Where the repository is, not in memory: both write to the same disk.
    let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))?;
    let config = settings(folder.path(), &url)?;
    let clock = ManualClock::new("2026-11-22T18:00:00Z".parse()?);
    let bare = Bare::start(&config, "bench", Arc::new(clock)).await?;
    fill(&url, flows)?;
    let actor = Actor::job("bench");
    bare.engine.close_days(&actor, &Silent).await?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for round in 1..=ROUNDS {
        theirs.push(copy(&url, &folder.path().join("copied.csv"))?);
        ours.push(state(&bare, &actor, flows).await?);
        let (copied, stated) = (theirs[round - 1], ours[round - 1]);
        println!("round {round}: \\copy {copied:6.2} s, statement {stated:6.2} s");
        let forget = "DELETE FROM statement_sums; DELETE FROM statements; \
                      DELETE FROM business_day_works";
        psql(&url, forget)?;
        std::fs::remove_dir_all(folder.path().join("files/statements"))?;
    }
    bare.stop().await;
    report(middle(&mut ours), middle(&mut theirs))
}

/// The time of the statement: everything that the job does about its day.
async fn state(bare: &Bare, actor: &Actor, flows: u64) -> anyhow::Result<f64> {
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let made = bare
        .engine
        .make_statements(PartyKind::Merchant, actor, (Arc::new(Silent), &stop));
    let made = made.await?;
    let took = begun.elapsed();
    ensure!((made.made, made.flows) == (1, flows), "{made:?}");
    Ok(took.as_secs_f64())
}

/// The time of PostgreSQL's client, for the same columns of the same rows in the same order.
fn copy(url: &str, file: &Path) -> anyhow::Result<f64> {
    let question = [
        ("payhall.from", "20261122"),
        ("payhall.to", "20261123"),
        ("payhall.party", "portal"),
        ("payhall.currency", "CNY"),
    ]
    .iter()
    .fold(OF_MERCHANT.to_owned(), |question, (name, value)| {
        question.replace(&format!("current_setting('{name}')"), &format!("'{value}'"))
    });
    let file = file.display();
    let command = format!("\\copy ({question}) TO '{file}' WITH (FORMAT csv)");
    let begun = Instant::now();
    psql(url, &command)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Orders and payments of one merchant on one day, a hundred times as many minor units as it is the n-th.
fn fill(url: &str, flows: u64) -> anyhow::Result<()> {
    let number = "lpad((n * 80000)::text, 11, '0') || '00007'";
    let biller = "(ARRAY['sh-telecom', 'sh-gas', 'bj-power', 'bj-water'])[(1 + n % 4)::int]";
    let bill_no = "(13000000000 + n)::text";
    let orders = format!(
        "INSERT INTO orders (order_no, merchant, request_no, fingerprint, item, biller, bill_no, \
         amount_minor, currency, state, business_date, expires_at, created_at, updated_at, version) \
         SELECT '20261122' || {number}, 'portal', 'R-' || n, 'f', 'sh-telecom-topup', {biller}, \
         {bill_no}, 100 + n % 50000, 'CNY', 'SUCCEEDED', '2026-11-22', 0, 0, 0, 2 \
         FROM generate_series(1::bigint, {flows}) n"
    );
    let payments = format!(
        "INSERT INTO flows (flow_no, order_no, merchant, biller, bill_no, kind, step, adapter, \
         amount_minor, currency, state, code, upstream_ref, message, business_date, started_at, \
         concluded_at, version) SELECT '20261122' || {number}, '20261122' || {number}, 'portal', \
         {biller}, {bill_no}, 'PAYMENT', 1, 'bank', 100 + n % 50000, 'CNY', 'SUCCEEDED', '1', \
         'B2026112200' || n, 'paid', '2026-11-22', 1763740800000000 + n * 80000, \
         1763740800000000 + n * 80000 + 40000, 1 FROM generate_series(1::bigint, {flows}) n"
    );
    psql(url, &orders)?;
    psql(url, &payments)?;
    psql(url, "VACUUM ANALYZE")
}

fn settings(folder: &Path, url: &str) -> anyhow::Result<Config> {
    let file = folder.join("bench.toml");
    let files = folder.join("files");
    let text = format!(
        "[storage]\nurl = \"{url}\"\n[keys]\nmaster = \"{MASTER}\"\n[files]\nurl = \"file:{}\"\n",
        files.display()
    );
    std::fs::write(&file, text)?;
    Ok(config::load(Some(&file), &Environment::default(), &Flags::default())?.config)
}

/// A master key for the run.
const MASTER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn psql(url: &str, command: &str) -> anyhow::Result<()> {
    let output = Command::new("psql")
        .args([url, "-q", "-v", "ON_ERROR_STOP=1", "-c", command])
        .output()?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the servers are named by tests/servers.sh"
)]
fn server() -> Option<String> {
    std::env::var("PAYHALL_TEST_DATABASE_URL").ok()
}

fn flows() -> anyhow::Result<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--flows");
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(number)) => number.parse().context("--flows takes a number"),
        _ => Ok(FLOWS),
    }
}

fn middle(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Prints the figure and writes it down, beside those of the other benchmarks.
fn report(ours: f64, theirs: f64) -> anyhow::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    let mut all: serde_json::Map<String, Value> = match std::fs::read_to_string(&file) {
        Ok(others) => serde_json::from_str(&others).context("target/bench.json")?,
        Err(_) => serde_json::Map::new(),
    };
    let rounded = |number: f64| (number * 1_000.0).round() / 1_000.0;
    let ratio = ours / theirs;
    println!("statement_1m {ours:.2} s, \\copy {theirs:.2} s, ratio {ratio:.2}");
    let figure = json!({
        "value": rounded(ours),
        "unit": "s",
        "baseline": rounded(theirs),
        "ratio": rounded(ratio),
    });
    all.insert("statement_1m".to_owned(), figure);
    std::fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("written to {}", file.display());
    Ok(())
}
