//! Nights that were missed: a week of them, made up for in order and once each, whoever dies meanwhile and
//! however many replicas begin at once.

use crate::books::Books;
use crate::night::{self, Desk, at, days_ago};
use crate::past::{Bills, EACH_ENDING, Past};
use crate::support::world::{Daemon, World};
use chrono::{NaiveDate, TimeDelta};
use payhall::domain::flow::FlowState;
use payhall::domain::statement::Statement;
use payhall::storage::reconciliations::OurFlow;
use serde_json::json;
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
/// So long before the first files the world's clock stands where none is to be there.
const HOURS: TimeDelta = TimeDelta::hours(6);

/// A week in which bills are paid every day, most of them without trouble: of each day one payment is in doubt that the
/// older bank answers no question about, and its file has it.
async fn live(world: &World) {
    let first = at(days_ago(*NIGHTS.end()), "10:00:00");
    let past = Past::open(world, first).await;
    for (ago, day) in NIGHTS.rev().zip(0..) {
        past.stand_at(at(days_ago(ago), "10:00:00")).await;
        past.pay(bills_of(day)).await;
        let until = at(days_ago(ago), "12:00:00");
        past.poll_until(until, Duration::from_secs(600)).await;
    }
    past.close().await;
}

/// Five bad bills of sixty: on the even days those with the endings 9007 to 9011, on the odd ones 9011 to 9015. The one
/// in their middle is the school's, of the merchants in turn.
fn bills_of(day: u32) -> Bills {
    const BAD_EVERY: u32 = 12;
    let turn = day * EACH_ENDING + if day.is_multiple_of(2) { 38 } else { 74 };
    Bills {
        first: turn * BAD_EVERY,
        count: 60,
        bad_every: BAD_EVERY,
    }
}

/// Waits until every night is made up for as far as it can be without files.
async fn stated(world: &World) {
    for ago in NIGHTS.rev() {
        night::finished(world, days_ago(ago)).await;
    }
}

/// Waits until every night is made up for.
async fn made_up(world: &World) {
    let dates: Vec<NaiveDate> = NIGHTS.rev().map(days_ago).collect();
    night::over(world, &dates).await;
}

/// The flow of each night that a line has proven, as it was before.
type Proven = BTreeMap<NaiveDate, OurFlow>;

/// The flows of each night whose outcome is not known.
fn in_doubt(world: &World) -> BTreeMap<NaiveDate, Vec<OurFlow>> {
    let mut books = Books::of(world);
    let dates = NIGHTS.map(days_ago);
    dates.map(|date| (date, books.undecided(date))).collect()
}

/// What a line has proven since: of each night one flow, and nothing else has moved.
fn proven(world: &World, before: &BTreeMap<NaiveDate, Vec<OurFlow>>, kind: &str) -> Proven {
    let now = in_doubt(world);
    let mut proven = BTreeMap::new();
    for (date, flows) in before {
        let left = &now[date];
        assert!(
            left.iter().all(|flow| flows.contains(flow)),
            "{kind}: {date}"
        );
        let mut moved = flows.iter().filter(|flow| !left.contains(flow));
        let (Some(one), None) = (moved.next(), moved.next()) else {
            panic!("{kind}: not one flow of {date} was proven, {before:?}, {now:?}");
        };
        assert_eq!(one.adapter, "legacy", "{kind}: {one:?}");
        proven.insert(*date, one.clone());
    }
    proven
}

/// What was published about the days of the nights, by name: statements and results. What depends on when and by whom it
/// was made is left out: sidecars, which name the head of the audit trail, and the heads themselves; and so
/// are the parts of writers that died, which nobody reads.
fn published(folder: &Path, proven: &Proven) -> BTreeMap<String, Vec<u8>> {
    let mut files = night::files_below(folder);
    let is_part = |name: &str| name.starts_with("files/parts/");
    let dates: Vec<String> = NIGHTS.map(|ago| days_ago(ago).to_string()).collect();
    let is_of_a_night = |name: &str| dates.iter().any(|date| name.contains(date.as_str()));
    files.retain(|name, _| {
        let is_told_apart = !name.starts_with("heads/") && !name.ends_with(".json");
        is_told_apart && !is_part(name) && is_of_a_night(name)
    });
    let files = files
        .into_iter()
        .map(|(name, bytes)| match is_second(&name) {
            true => timeless(&name, &bytes, proven),
            false => (name, bytes),
        });
    files.collect()
}

/// Whether it is of a statement's second version.
fn is_second(name: &str) -> bool {
    name.starts_with("files/statements/") && name.contains("/v2/")
}

/// A second version, without the instant at which a line was read that proves a flow: it is of the run, and stands in
/// the flow's last column, and in the digests of the file and in its name. A workbook tells of the same flows; here
/// it is only asked for.
fn timeless(name: &str, bytes: &[u8], proven: &Proven) -> (String, Vec<u8>) {
    let (path, file) = name.rsplit_once('/').expect("a folder");
    let (path, _digest) = path.rsplit_once('/').expect("a folder of its digest");
    let name = format!("{path}/{file}");
    if file.ends_with(".xlsx") {
        return (name, Vec::new());
    }
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let has_time = |line: &str| {
        let is_proven = |flow: &OurFlow| line.contains(flow.flow_no.as_str());
        line.starts_with("#END,") || proven.values().any(is_proven)
    };
    let lines = text.lines().map(|line| match has_time(line) {
        true => line.rsplit_once(',').expect("columns").0,
        false => line,
    });
    (name, lines.collect::<Vec<_>>().join("\n").into_bytes())
}

/// Every statement was made once, and perhaps once more where a line has proven what became of a flow of it: whether
/// the file came before the statement was made or after it is a matter of the moment, and is told by nothing
/// that lasts. The last one has every flow whose outcome is known, and no two of them tell the same. Every night was
/// reconciled once.
async fn once_each(world: &World, desk: &Desk, proven: &Proven, kind: &str) {
    let mut books = Books::of(world);
    for date in NIGHTS.map(days_ago) {
        let flows = books.flows(date);
        let mut versions: BTreeMap<String, Vec<Statement>> = BTreeMap::new();
        for one in books.statements(date) {
            let of_party = versions.entry(one.key.party.code.clone()).or_default();
            of_party.push(one);
        }
        for party in night::PARTIES {
            assert!(versions.contains_key(party), "{kind}: {party} on {date}");
        }
        for (party, made) in versions {
            let is_its = |flow: &&OurFlow| flow.merchant == party || flow.biller == party;
            let found: Vec<i32> = made.iter().map(|one| one.version).collect();
            let is_right = match is_its(&&proven[&date]) {
                true => found == [1] || found == [1, 2],
                false => found == [1],
            };
            assert!(is_right, "{kind}: {party} on {date}: {found:?}");
            let concluded = flows.iter().filter(is_its);
            let concluded = concluded.filter(|flow| flow.state != FlowState::Started.as_str());
            let all: Vec<i64> = made.iter().map(|one| one.flows).collect();
            // The first of two lacks what was proven after it.
            let known = i64::try_from(concluded.count()).expect("a count");
            let wanted = (0..made.len() as i64).rev().map(|lacking| known - lacking);
            assert_eq!(all, wanted.collect::<Vec<_>>(), "{kind}: {party} on {date}");
        }
    }
    let query = "query Q($from: Date!, $to: Date!) { reconciliations(first: 100, from: $from, \
                 to: $to, withReplaced: true) { edges { node { businessDate version } } } }";
    let span = json!({ "from": days_ago(*NIGHTS.end()), "to": days_ago(*NIGHTS.start()) });
    let answer = desk.ask(query, span).await;
    let edges = answer["reconciliations"]["edges"].as_array();
    let nodes = edges.expect("edges").iter().map(|edge| &edge["node"]);
    let results: Vec<_> = nodes
        .map(|node| (node["businessDate"].clone(), node["version"].clone()))
        .collect();
    let once = NIGHTS.map(|ago| (json!(days_ago(ago)), json!(1)));
    assert_eq!(results, once.collect::<Vec<_>>(), "{kind}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_missed_nights_are_made_up_for_once_each_by_replicas_that_race() {
    night::on_each(|database| async move {
        let kind = database.kind;
        let world = night::world(database).await;
        live(&world).await;
        let before = in_doubt(&world);
        // A SQLite database has one center.
        let others = if kind == "postgres" { 1 } else { 0 };
        let mut daemons = vec![world.launch()];
        daemons.extend((0..others).map(|_| world.launch()));
        for daemon in &mut daemons {
            daemon.ready().await;
        }
        let desk = Desk::at(&daemons[0]);
        for ago in NIGHTS.rev() {
            desk.reconciled(days_ago(ago)).await;
        }
        made_up(&world).await;
        let proven = proven(&world, &before, kind);
        once_each(&world, &desk, &proven, kind).await;
        for daemon in &mut daemons {
            assert!(daemon.terminate().await.success(), "{kind}");
        }
        let report = world.check();
        assert!(report.contains("no findings"), "{kind}: {report}");
    })
    .await;
}

/// Who works through the nights while the test looks on.
struct Watch {
    daemon: Daemon,
    dice: u64,
}

impl Watch {
    /// Kills it so often, each time after a part of its life.
    async fn dies(&mut self, times: u64) {
        for _ in 0..times {
            self.dice = self
                .dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let life = Duration::from_millis((self.dice >> 33) % LIFE_MS_MAX);
            // The moment of a death, not a wait for anything.
            tokio::time::sleep(life).await;
            self.daemon.kill_and_relaunch();
        }
    }
}

/// Makes up for the nights and dies so often meanwhile. What is made must not depend on the moment: so first there is
/// no file, until everything is stated, and each statement of a flow that a line proves has a second version; and then
/// the files come night after night, because a day that is reconciled before an earlier one is so once more.
async fn make_up(world: &World, deaths: u64, seed: u64, kind: &str) {
    // The files of a day are there in the night after it.
    let night_after = |ago: u64| at(days_ago(ago - 1), "02:00:00");
    world.sim.stand_at(night_after(*NIGHTS.end()) - HOURS).await;
    let per_night = deaths / (2 * NIGHTS.count() as u64);
    let mut watch = Watch {
        daemon: world.launch(),
        dice: seed,
    };
    watch.dies(deaths - per_night * NIGHTS.count() as u64).await;
    watch.daemon.ready().await;
    stated(world).await;
    for ago in NIGHTS.rev() {
        world.sim.stand_at(night_after(ago)).await;
        watch.dies(per_night).await;
        watch.daemon.ready().await;
        Desk::at(&watch.daemon).reconciled(days_ago(ago)).await;
    }
    made_up(world).await;
    assert!(watch.daemon.terminate().await.success(), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deaths_in_the_night_change_no_byte_of_what_is_published() {
    night::on_each(|database| async move {
        let kind = database.kind;
        let mut world = night::world(database).await;
        live(&world).await;
        let untouched = world.database.copy();
        let before = in_doubt(&world);
        let seed: u64 = rand::random();

        let quiet = night::publish_into(&mut world, "quiet");
        make_up(&world, 0, seed, kind).await;
        let wanted = proven(&world, &before, kind);

        drop(world.work_on(untouched));
        let deadly = night::publish_into(&mut world, "deadly");
        make_up(&world, DEATHS, seed, kind).await;
        let found = proven(&world, &before, kind);
        assert_eq!(found, wanted, "{kind}, seed {seed}");

        let (wanted, found) = (published(&quiet, &wanted), published(&deadly, &found));
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
        // A merchant and the school of each night, a file and a workbook each.
        let again = wanted.keys().filter(|name| is_second(name)).count();
        assert_eq!(again, NIGHTS.count() * 4, "{kind}: {:?}", wanted.keys());
        let report = world.check();
        assert!(
            report.contains("no findings"),
            "{kind}, seed {seed}: {report}"
        );
    })
    .await;
}
