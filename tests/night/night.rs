//! A world whose nights can be played: partners' files come from the simulated world, and the jobs of the
//! night look every second what is missing.

use crate::books::Books;
use crate::support::client::{Client, MAKER};
use crate::support::database::TestDatabase;
use crate::support::process::wait_for;
use crate::support::world::{Daemon, Setup, World};
use chrono::{Days, NaiveDate};
use futures_util::future::join_all;
use payhall::domain::time::{BusinessDay, Instant};
use payhall::engine::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// Who sends files, on which side, for whom, and how they are laid out.
const PARTNERS: [(&str, &str, &str); 6] = [
    ("bank", "BANK", "unionpay-zm"),
    ("legacy", "BANK", "pipe"),
    ("sh-school", "BILLER", "pipe"),
    ("bj-power", "BILLER", "alipay"),
    ("sh-gas", "BILLER", "payhall-csv"),
    ("sh-telecom", "BILLER", "payhall-csv"),
];

/// Who pays and who is paid in these worlds.
pub const PARTIES: [&str; 6] = [
    "portal",
    "citylife",
    "sh-telecom",
    "sh-school",
    "bj-power",
    "sh-gas",
];

/// What the jobs of a night are called.
const JOBS: [&str; 6] = [
    "close_day",
    "make_merchant_statements",
    "make_biller_statements",
    "summarise_settlement",
    "fetch_partner_files",
    "reconcile_day",
];

/// The date on which these tests began, where the center is: what they do on a date is looked at under the
/// same date, although midnight may have come in between.
static TODAY: LazyLock<NaiveDate> = LazyLock::new(|| {
    let today = BusinessDay::SHANGHAI.date_of(SystemClock.now());
    today.0
});

/// The date so many days before these tests began. Of the day before they began (1) the files may not be there
/// yet, and it may not be closed: both come in its night, in which the tests may run as well.
pub fn days_ago(days: u64) -> NaiveDate {
    TODAY.checked_sub_days(Days::new(days)).expect("a date")
}

/// A time of a date, where the center is.
pub fn at(date: NaiveDate, time: &str) -> Instant {
    let text = format!("{date}T{time}+08:00");
    let at = chrono::DateTime::parse_from_rfc3339(&text);
    at.expect("a time such as 09:30:00").to_utc()
}

/// How long a night may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A world with partners, whose daemons work through the night as soon as they start.
pub async fn world(database: TestDatabase) -> World {
    let mut setup = Setup::on(database)
        .set("adapters.bank.tries_s", vec![0, 0])
        .set("adapters.legacy.tries_s", vec![0, 0])
        .set("keys.master", crate::support::replica::MASTER)
        // Nothing is committed around the real midnight, and in the minutes after it the night would stand still
        // until that day could be closed.
        .set("statements.close_grace_s", 0)
        // Workbooks of many flows take long to pack in a build that is not optimised, each time that they are made.
        .set("statements.xlsx_rows_max", 5_000)
        // A success that is later than "not found" counts would be a case of its own.
        .sim(&["--ignore-valid-until", "--late-success-ms", "3000"]);
    for job in JOBS {
        setup = setup.every_second(job);
    }
    let mut world = setup.start().await;
    for (name, side, profile) in PARTNERS {
        let mut set = |key: &str, value: toml::Value| {
            world.set(&format!("partners.{name}.{key}"), value);
        };
        set("side", side.into());
        set("profile", profile.into());
        match side {
            "BANK" => set("adapter", name.into()),
            _ => set("billers", vec![name].into()),
        }
        let url = format!("{}/files/{name}/{{date}}", world.sim.url);
        world.set(
            &format!("partners.{name}.digest_url"),
            format!("{url}.sha256"),
        );
        world.set(&format!("partners.{name}.url"), url);
    }
    publish_into(&mut world, "published");
    world
}

/// Plays nights on every kind of database at once: most of it is waiting.
pub async fn on_each<N: Future<Output = ()>>(play: impl Fn(TestDatabase) -> N) {
    join_all(TestDatabase::all().into_iter().map(play)).await;
}

/// Has the daemons that start from now on publish into a folder of their own.
pub fn publish_into(world: &mut World, name: &str) -> PathBuf {
    let folder = world.folder.path().join(name);
    let heads = folder.join("heads");
    std::fs::create_dir_all(&heads).expect("a folder");
    world.set("output.dir", heads.display().to_string());
    let files = format!("file:{}", folder.join("files").display());
    world.set("files.url", files);
    folder
}

/// Plants differences in the file of a partner and a date: number and class of each.
pub async fn plant(
    world: &World,
    partner: &str,
    date: NaiveDate,
    plants: Value,
) -> BTreeMap<String, String> {
    let spec = json!({ "partner": partner, "date": date, "plants": plants });
    let answer = world.sim.call("POST", "plants", Some(&spec)).await;
    let planted = answer["plants"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let one = |plant: &Value| {
        let word = |key: &str| plant[key].as_str().map(str::to_owned);
        Some((word("flow_no")?, word("class")?))
    };
    planted.iter().filter_map(one).collect()
}

/// An operator's look at what the night has come to.
pub struct Desk(Client);

impl Desk {
    /// At a running daemon.
    pub fn at(daemon: &Daemon) -> Self {
        Self(daemon.caller(MAKER))
    }

    /// Asks.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer = self.0.ask(query, variables).await;
        answer.unwrap_or_else(|failed| panic!("{query}: {failed}"))
    }

    /// Waits until a date has a result, and gives its version.
    pub async fn reconciled(&self, date: NaiveDate) -> i64 {
        let query = "query Q($date: Date!) { reconciliation(date: $date) { version } }";
        wait_for(&format!("the result of {date}"), PATIENCE, async || {
            let answer = self.0.ask(query, json!({ "date": date })).await.ok()?;
            answer["reconciliation"]["version"].as_i64()
        })
        .await
    }

    /// What was not plainly matched on a date: the number of each flow, with the class that it had then and
    /// the one that it has now.
    pub async fn discrepancies(&self, date: NaiveDate) -> BTreeMap<String, (String, String)> {
        let query = "query Q($date: Date!, $after: String) { \
                     discrepancies(filter: {from: $date, to: $date}, first: 100, after: $after) { \
                     edges { node { flowNo class classAtFirst } } pageInfo { hasNextPage endCursor } } }";
        let mut found = BTreeMap::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "date": date, "after": after });
            let answer = self.ask(query, variables).await;
            let page = &answer["discrepancies"];
            for edge in page["edges"].as_array().expect("edges") {
                let word = |key: &str| edge["node"][key].as_str().expect("a word").to_owned();
                found.insert(word("flowNo"), (word("classAtFirst"), word("class")));
            }
            if page["pageInfo"]["hasNextPage"] != json!(true) {
                return found;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }
}

/// Waits until the night is over for some dates: each has a result of what there is now, and its statements and
/// settlement tell of its flows as they stand. Lines move flows, so all of that has to be so at one instant.
pub async fn over(world: &World, dates: &[NaiveDate]) {
    let what = format!("the end of the night of {dates:?}");
    wait_for(&what, PATIENCE, async || {
        let mut books = Books::of(world);
        let mut dates = dates.iter();
        let is_over = |date: &NaiveDate| books.are_compared(*date) && books.are_finished(*date);
        dates.all(is_over).then_some(())
    })
    .await;
}

/// Waits until the statements of a date and what is settled for it tell of its flows as they stand.
pub async fn finished(world: &World, date: NaiveDate) {
    let what = format!("the statements and the settlement of {date}");
    wait_for(&what, PATIENCE, async || {
        Books::of(world).are_finished(date).then_some(())
    })
    .await;
}

/// Everything below a folder: the path of each file and its bytes.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display();
                files.insert(name.to_string(), std::fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

/// The names of a folder's files that a test wants.
pub fn names(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<&str> {
    files.keys().map(String::as_str).collect()
}
