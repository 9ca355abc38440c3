//! Nights that were missed: a week of them, made up for in order and once each, whoever dies meanwhile and
//! however many replicas begin at once.

use crate::night::{self, Desk, at, days_ago};
use crate::past::{Bills, Past};
use crate::support::database::TestDatabase;
use crate::support::world::{Daemon, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// How many days ago the days of the nights were. The day between them and today is empty. Depending on the
/// time of day it is closed, stated and reconciled too, or not yet: what is asserted leaves that open.
const NIGHTS: RangeInclusive<u64> = 2..=8;
/// How often somebody dies.
const DEATHS: u64 = 50;
/// Deaths come within this time after a start: before the daemon serves, and after it has done some work.
const LIFE_MS_MAX: u64 = 2_500;

/// A week in which bills are paid every day, most of them without trouble.
async fn live(world: &World) {
    let first = at(days_ago(*NIGHTS.end()), "10:00:00");
    let past = Past::open(world, first).await;
    for (ago, first) in NIGHTS.rev().zip((0..).step_by(1_000)) {
        past.stand_at(at(days_ago(ago), "10:00:00")).await;
        past.pay(Bills {
            first,
            count: 60,
            bad_every: 20,
        })
        .await;
        let until = at(days_ago(ago), "12:00:00");
        past.poll_until(until, Duration::from_secs(600)).await;
    }
    past.close().await;
}

/// Waits until every night is made up for.
async fn made_up(desk: &Desk) {
    for ago in NIGHTS.rev() {
        desk.reconciled(days_ago(ago)).await;
        desk.stated(days_ago(ago)).await;
    }
}

/// What was published about the days of the nights, by name: statements and results. What depends on when and by whom it
/// was made is left out: sidecars, which name the head of the audit trail, and the heads themselves; and so
/// are the parts of writers that died, which nobody reads.
fn published(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = night::files_below(folder);
    let is_part = |name: &str| name.starts_with("files/parts/");
    let dates: Vec<String> = NIGHTS.map(|ago| days_ago(ago).to_string()).collect();
    let is_of_a_night = |name: &str| dates.iter().any(|date| name.contains(date.as_str()));
    files.retain(|name, _| {
        let is_told_apart = !name.starts_with("heads/") && !name.ends_with(".json");
        is_told_apart && !is_part(name) && is_of_a_night(name)
    });
    files
}

/// Nothing was made twice, and every night has its result.
async fn once_each(daemon: &Daemon, kind: &str) {
    let query = "query Q { statements(first: 100) { edges { node { version } } \
                 pageInfo { hasNextPage } } \
                 reconciliations(first: 100, withReplaced: true) { edges { node { \
                 businessDate version } } } }";
    let answer = Desk::at(daemon).ask(query, json!({})).await;
    let nodes = |list: &str| -> Vec<Value> {
        let edges = answer[list]["edges"].as_array().expect("edges");
        edges.iter().map(|edge| edge["node"].clone()).collect()
    };
    let statements = nodes("statements");
    assert!(statements.len() >= 7, "{kind}: {answer}");
    for one in statements.iter().chain(&nodes("reconciliations")) {
        assert_eq!(one["version"], json!(1), "{kind}: made twice: {one}");
    }
    let dates: Vec<Value> = NIGHTS.map(|ago| json!(days_ago(ago))).collect();
    let mut results = nodes("reconciliations");
    results.retain(|one| dates.contains(&one["businessDate"]));
    assert_eq!(results.len(), 7, "{kind}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_missed_nights_are_made_up_for_once_each_by_replicas_that_race() {
    for database in TestDatabase::all() {
        let kind = database.kind;
        let world = night::world(database).await;
        live(&world).await;
        // A SQLite database has one center.
        let others = if kind == "postgres" { 1 } else { 0 };
        let mut daemons = vec![world.launch()];
        daemons.extend((0..others).map(|_| world.launch()));
        for daemon in &mut daemons {
            daemon.ready().await;
        }
        made_up(&Desk::at(&daemons[0])).await;
        once_each(&daemons[0], kind).await;
        for daemon in &mut daemons {
            assert!(daemon.terminate().await.success(), "{kind}");
        }
        let report = world.check();
        assert!(report.contains("no findings"), "{kind}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deaths_in_the_night_change_no_byte_of_what_is_published() {
    for database in TestDatabase::all() {
        let kind = database.kind;
        let mut world = night::world(database).await;
        live(&world).await;
        let untouched = world.database.copy();

        let quiet = night::publish_into(&mut world, "quiet");
        let mut daemon = world.daemon().await;
        made_up(&Desk::at(&daemon)).await;
        assert!(daemon.terminate().await.success(), "{kind}");

        drop(world.work_on(untouched));
        let deadly = night::publish_into(&mut world, "deadly");
        let seed: u64 = rand::random();
        let mut dice = seed;
        let mut daemon = world.launch();
        for _ in 0..DEATHS {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let life = Duration::from_millis((dice >> 33) % LIFE_MS_MAX);
            // The moment of a death, not a wait for anything.
            tokio::time::sleep(life).await;
            daemon.kill_and_relaunch();
        }
        daemon.ready().await;
        made_up(&Desk::at(&daemon)).await;
        assert!(daemon.terminate().await.success(), "{kind}");

        let (wanted, found) = (published(&quiet), published(&deadly));
        assert_eq!(
            night::names(&found),
            night::names(&wanted),
            "{kind}, seed {seed}"
        );
        let other: Vec<_> = wanted
            .iter()
            .filter(|(name, bytes)| found.get(*name) != Some(bytes))
            .map(|(name, _)| name)
            .collect();
        assert!(other.is_empty(), "{kind}, seed {seed}: {other:?}");
        assert!(!wanted.is_empty(), "{kind}");
        let report = world.check();
        assert!(
            report.contains("no findings"),
            "{kind}, seed {seed}: {report}"
        );
    }
}
