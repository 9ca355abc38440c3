//! The whole life of paid orders, measured from outside: real HTTP, a real upstream call for each
//! order, a real database. Every figure stands beside a baseline of the same run; the machine may be
//! slow today, the ratio is what counts.
//!
//!     make bench                          everything, about three minutes
//!     make bench BENCH="--seconds 5"      shorter

#![allow(clippy::float_arithmetic, reason = "figures, not money")]

mod load;
mod world;

use anyhow::{Context, bail};
use load::{Caller, Connection, Hand, Plan, open_loop};
use payhall::domain::key::Algorithm;
use payhall::trust::{PrivateKey, document_is_signed_by, sign_document};
use serde_json::json;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CREATE: &str = "mutation Create($input: OrderCreateInput!) { orderCreate(input: $input) \
                      { order { orderNo } userErrors { code message } } }";
const CONFIRM: &str = "mutation Confirm($input: OrderConfirmInput!) { orderConfirm(input: $input) \
                       { order { state } userErrors { code message } } }";
const QUERY: &str = "query Order($orderNo: String!) { order(orderNo: $orderNo) \
                     { orderNo state amount { minor currency } } }";

const BY_TOKEN: Caller = Caller::Token(world::TOKEN);
const ISSUE: &str = "mutation Issue($input: KeyIssueInput!) { keyIssue(input: $input) \
                     { key { keyId } userErrors { code message } } }";
const APPROVE: &str = "mutation Approve($input: KeyApproveInput!) { keyApprove(input: $input) \
                       { key { state } userErrors { code message } } }";
/// An RSA key of 2048 bits, made for tests.
const RSA_2048: &str = include_str!("../../tests/data/keys/rsa-pss-2048-private.pem");

/// The latency of the simulated bank.
const LATENCY_MS: u64 = 5;
/// Connections of the load client at full load.
const CONNECTIONS: usize = 128;
/// More than any machine does: at this rate the loop is never idle.
const FULL: f64 = 1e6;

/// The program's own allocator, so that the load client takes no more of the machine than it has to.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One line of the report and one object of `target/bench.json`.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    baseline: f64,
    what: &'static str,
    ratio: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let seconds = seconds()?;
    let server = variable("PAYHALL_TEST_DATABASE_URL")?;
    let redis = variable("PAYHALL_TEST_REDIS_URL")?;
    let folder = tempfile::tempdir()?;
    let (_world, world) = world::start_world(folder.path(), LATENCY_MS)?;

    let naive_database = world::create_database(&server, "bench_naive")?;
    world::naive_schema(&naive_database)?;
    let before = world::naive(&naive_database, seconds)?;
    println!("naive lifecycle (pgbench)      {before:10.0} payments/s");

    let database = world::create_database(&server, "bench_payhall")?;
    let (daemon, address) =
        world::start_daemon(folder.path(), "postgres", world, &database, &redis)?;
    let mut numbers = Vec::new();
    let postgres = paid_orders(address, BY_TOKEN, seconds, 1, &mut numbers).await?;
    println!("paid orders on PostgreSQL      {postgres:10.0} orders/s");
    let (p50, p99) = confirm_at_200(address, seconds, 2).await?;
    println!("confirm at 200/s               {p50:10.1} ms p50, {p99:.1} ms p99");
    let queries = cached_queries(address, seconds, &numbers).await?;
    println!("cached order queries           {queries:10.0} queries/s");
    let hand = hand(address, PrivateKey::generate(Algorithm::Ed25519)?).await?;
    let ed25519 = paid_orders(address, hand, seconds, 4, &mut Vec::new()).await?;
    println!("the same, signed by ed25519    {ed25519:10.0} orders/s");
    let hand = hand_of_rsa(address).await?;
    let rsa = paid_orders(address, hand, seconds, 5, &mut Vec::new()).await?;
    println!("the same, signed by RSA-2048   {rsa:10.0} orders/s");
    let unsigned = paid_orders(address, BY_TOKEN, seconds, 6, &mut Vec::new()).await?;
    println!("unsigned, once more            {unsigned:10.0} orders/s");
    // Like the baseline, which is measured before and after as well.
    let unsigned = (postgres + unsigned) / 2.0;
    let most = most_by_arithmetic(unsigned)?;
    println!("at most, by arithmetic alone   {most:10.0} orders/s signed by ed25519");
    let resident = daemon.peak_mb()?;
    println!("daemon's peak memory           {resident:10.0} MB");
    drop(daemon);

    let after = world::naive(&naive_database, seconds)?;
    println!("naive lifecycle, once more     {after:10.0} payments/s");
    let naive = (before + after) / 2.0;

    let file = format!("sqlite:{}", folder.path().join("bench.db").display());
    let (daemon, address) = world::start_daemon(folder.path(), "sqlite", world, &file, "")?;
    let sqlite = paid_orders(address, BY_TOKEN, seconds, 3, &mut Vec::new()).await?;
    println!("paid orders on SQLite          {sqlite:10.0} orders/s");
    drop(daemon);

    report(&[
        figure(
            "paid_orders_postgres",
            unsigned,
            "orders/s",
            naive,
            "naive lifecycle by pgbench",
        ),
        figure(
            "paid_orders_sqlite",
            sqlite,
            "orders/s",
            naive,
            "naive lifecycle by pgbench",
        ),
        figure(
            "signed_ed25519",
            ed25519,
            "orders/s",
            unsigned,
            "the same without signatures",
        ),
        figure(
            "signed_rsa2048",
            rsa,
            "orders/s",
            unsigned,
            "the same without signatures",
        ),
        figure(
            "signed_ed25519_most",
            most,
            "orders/s",
            unsigned,
            "what arithmetic alone leaves of the same",
        ),
        figure("confirm_p99_ms_at_200", p99, "ms", 60.0, "the limit"),
        figure(
            "cached_order_queries",
            queries,
            "queries/s",
            8_000.0,
            "the aim",
        ),
        figure("resident_mb", resident, "MB", 150.0, "the limit"),
    ])
}

/// `--seconds N` of each measurement; cargo's own arguments are passed over.
fn seconds() -> anyhow::Result<u64> {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            return arguments
                .next()
                .and_then(|n| n.parse().ok())
                .context("--seconds takes a number");
        }
    }
    Ok(10)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the servers' addresses come from tests/servers.sh"
)]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run `make bench`"))
}

fn figure(
    name: &'static str,
    value: f64,
    unit: &'static str,
    baseline: f64,
    what: &'static str,
) -> Figure {
    Figure {
        name,
        value,
        unit,
        baseline,
        what,
        ratio: value / baseline,
    }
}

fn request(query: &str, variables: serde_json::Value) -> String {
    json!({ "query": query, "variables": variables }).to_string()
}

/// A key of the merchant that two people have let in, over the API.
async fn hand(address: SocketAddr, private: PrivateKey) -> anyhow::Result<Caller> {
    let mut maker = Connection::open(address, Caller::Token(world::MAKER)).await?;
    let input = json!({ "input": {
        "merchant": "portal",
        "algorithm": private.algorithm().as_str().to_uppercase().replace('-', "_"),
        "publicKey": private.public_key().to_pem(),
    }});
    let answer = maker.post(request(ISSUE, input)).await?;
    let (_, rest) = answer
        .split_once("\"keyId\":\"")
        .with_context(|| answer.clone())?;
    let key_id: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let mut checker = Connection::open(address, Caller::Token(world::CHECKER)).await?;
    let input = json!({ "input": { "keyId": key_id, "version": 0 } });
    let answer = checker.post(request(APPROVE, input)).await?;
    if !answer.contains("\"ACTIVE\"") {
        bail!("not approved: {answer}");
    }
    Ok(Caller::Signed(Arc::new(Hand { key_id, private })))
}

async fn hand_of_rsa(address: SocketAddr) -> anyhow::Result<Caller> {
    let private = PrivateKey::from_pem(Algorithm::RsaPssSha512, RSA_2048)?;
    hand(address, private).await
}

/// How many orders a second there could be at most with ed25519, if signing cost nothing but its
/// arithmetic: two requests an order, each signed by the load client, checked by the center, and answered
/// by the center's signature, on processors that are busy with unsigned orders as it is.
fn most_by_arithmetic(unsigned: f64) -> anyhow::Result<f64> {
    const ROUNDS: u32 = 5_000;
    let private = PrivateKey::generate(Algorithm::Ed25519)?;
    let public = private.public_key();
    // About as long as the signature base of a request.
    let base = [b'{'; 600];
    let begun = Instant::now();
    let mut signature = Vec::new();
    for _ in 0..ROUNDS {
        signature = sign_document(&private, &base)?;
    }
    let sign = begun.elapsed() / ROUNDS;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        if !document_is_signed_by(public, &base, &signature) {
            bail!("a signature does not fit its own key");
        }
    }
    let check = begun.elapsed() / ROUNDS;
    println!("ed25519                        {sign:?} to sign, {check:?} to check");
    let processors = std::thread::available_parallelism()?.get() as f64;
    let an_order = processors / unsigned;
    let signing = 2.0 * (2 * sign + check).as_secs_f64();
    Ok(processors / (an_order + signing))
}

/// Makes an order that nobody else makes: `series` tells the measurements apart.
async fn create(connection: &mut Connection, series: u64, number: u64) -> anyhow::Result<String> {
    // Bill numbers that end in 0000 to 8999 always succeed at the simulated bank.
    let bill_no = format!(
        "13{series}{:04}{:04}",
        number / 9_000 % 10_000,
        number % 9_000
    );
    let input = json!({ "input": {
        "requestNo": format!("bench-{series}-{number}"),
        "item": "sh-telecom-topup",
        "billNo": bill_no,
        "amount": { "minor": "5000", "currency": "CNY" },
    }});
    let answer = connection.post(request(CREATE, input)).await?;
    let (_, rest) = answer
        .split_once("\"orderNo\":\"")
        .with_context(|| answer.clone())?;
    Ok(rest.chars().take_while(char::is_ascii_digit).collect())
}

async fn confirm(connection: &mut Connection, order_no: &str) -> anyhow::Result<()> {
    let input = json!({ "input": { "orderNo": order_no, "credential": "123456" } });
    let answer = connection.post(request(CONFIRM, input)).await?;
    if answer.contains("\"SUCCEEDED\"") {
        Ok(())
    } else {
        bail!("not paid: {answer}")
    }
}

/// Orders made, confirmed and paid per second at full load.
async fn paid_orders(
    address: SocketAddr,
    caller: Caller,
    seconds: u64,
    series: u64,
    numbers: &mut Vec<String>,
) -> anyhow::Result<f64> {
    let paid = RefCell::new(Vec::new());
    let plan = Plan {
        rate: FULL,
        time: Duration::from_secs(seconds),
        connections: CONNECTIONS,
    };
    let outcome = open_loop(plan, address, caller, async |connection, number| {
        let order_no = create(connection, series, number).await?;
        confirm(connection, &order_no).await?;
        paid.borrow_mut().push(order_no);
        Ok(())
    })
    .await?;
    if outcome.failed > 0 {
        bail!(
            "{} orders were not paid; the first: {:?}",
            outcome.failed,
            outcome.first_error
        );
    }
    *numbers = paid.into_inner();
    Ok(outcome.rate())
}

/// The latency of a confirm at 200 a second: p50 and p99 in milliseconds.
async fn confirm_at_200(
    address: SocketAddr,
    seconds: u64,
    series: u64,
) -> anyhow::Result<(f64, f64)> {
    let mut connection = Connection::open(address, BY_TOKEN).await?;
    let mut orders = Vec::new();
    for number in 0..seconds * 200 {
        orders.push(create(&mut connection, series, number).await?);
    }
    let plan = Plan {
        rate: 200.0,
        time: Duration::from_secs(seconds),
        connections: 64,
    };
    let outcome = open_loop(plan, address, BY_TOKEN, async |connection, number| {
        let order_no = usize::try_from(number)
            .ok()
            .and_then(|place| orders.get(place));
        confirm(connection, order_no.context("no more orders")?).await
    })
    .await?;
    if outcome.failed > 0 {
        bail!(
            "{} confirms failed; the first: {:?}",
            outcome.failed,
            outcome.first_error
        );
    }
    Ok((outcome.quantile_ms(0.5), outcome.quantile_ms(0.99)))
}

/// Queries of single orders per second, of orders that are in the cache.
async fn cached_queries(
    address: SocketAddr,
    seconds: u64,
    numbers: &[String],
) -> anyhow::Result<f64> {
    let warm: Vec<&String> = numbers.iter().rev().take(2_000).collect();
    let mut connection = Connection::open(address, BY_TOKEN).await?;
    for order_no in &warm {
        ask(&mut connection, order_no).await?;
    }
    let plan = Plan {
        rate: FULL,
        time: Duration::from_secs(seconds),
        connections: 32,
    };
    let outcome = open_loop(plan, address, BY_TOKEN, async |connection, number| {
        let place = usize::try_from(number)? % warm.len();
        ask(connection, warm[place]).await
    })
    .await?;
    if outcome.failed > 0 {
        bail!(
            "{} queries failed; the first: {:?}",
            outcome.failed,
            outcome.first_error
        );
    }
    Ok(outcome.rate())
}

async fn ask(connection: &mut Connection, order_no: &str) -> anyhow::Result<()> {
    let answer = connection
        .post(request(QUERY, json!({ "orderNo": order_no })))
        .await?;
    if answer.contains(order_no) {
        Ok(())
    } else {
        bail!("another answer: {answer}")
    }
}

/// Prints the figures and writes them down.
fn report(figures: &[Figure]) -> anyhow::Result<()> {
    println!(
        "\n{:<24} {:>12} {:<10} {:>12} {:>7}",
        "figure", "value", "unit", "baseline", "ratio"
    );
    let mut all = serde_json::Map::new();
    for figure in figures {
        let Figure {
            name,
            value,
            unit,
            baseline,
            what,
            ratio,
        } = figure;
        println!("{name:<24} {value:>12.1} {unit:<10} {baseline:>12.1} {ratio:>7.2}   ({what})");
        let rounded = |number: f64| (number * 1_000.0).round() / 1_000.0;
        all.insert(
            (*name).to_owned(),
            json!({
                "value": rounded(*value),
                "unit": unit,
                "baseline": rounded(*baseline),
                "ratio": rounded(*ratio),
            }),
        );
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    std::fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\nwritten to {}", file.display());
    Ok(())
}
