//! A whole day of twenty thousand payments and more, with every fault of the banks and billers, orders
//! around midnight and planted differences of every class: closed, stated, reconciled, and checked.

use crate::night::{self, Desk, at, days_ago};
use crate::past::{Bills, Past};
use crate::support::database::TestDatabase;
use crate::support::world::World;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many days ago the day was.
const DAY: u64 = 4;
/// How often something is polled in the past.
const POLL: Duration = Duration::from_secs(600);

/// Lives through the day: three rushes, the minutes around midnight, and the small hours in which most of
/// what is in doubt is settled.
async fn live(world: &World) {
    let (day, next) = (days_ago(DAY), days_ago(DAY - 1));
    let past = Past::open(world, at(day, "09:00:00")).await;
    let rushes = [
        ("09:00:00", 0, 8_000),
        ("12:00:00", 10_000, 8_000),
        ("18:00:00", 20_000, 4_000),
    ];
    for (time, first, count) in rushes {
        past.stand_at(at(day, time)).await;
        past.pay(Bills {
            first,
            count,
            bad_every: 50,
        })
        .await;
        let until = at(day, time) + chrono::Duration::hours(1);
        past.poll_until(until, POLL).await;
    }
    // The last minutes of the day, the bank's clock two seconds ahead, and the first of the next.
    past.stand_at(at(day, "23:58:00")).await;
    past.pay(around_midnight(30_000)).await;
    let ahead = chrono::Duration::seconds(2);
    past.stand_ahead(at(day, "23:59:59"), ahead).await;
    past.pay(Bills {
        first: 31_000,
        count: 60,
        bad_every: 0,
    })
    .await;
    past.stand_at(at(next, "00:00:01")).await;
    past.pay(around_midnight(32_000)).await;
    past.poll_until(at(next, "04:00:00"), POLL).await;
    past.close().await;
}

fn around_midnight(first: u32) -> Bills {
    Bills {
        first,
        count: 200,
        bad_every: 20,
    }
}

/// Differences of every class, at a bank and at billers.
async fn plant(world: &World) -> BTreeMap<String, String> {
    let all = json!([
        { "class": "LONG", "count": 3 },
        { "class": "LONG", "count": 1, "of": "UNPAID" },
        { "class": "SHORT", "count": 3 },
        { "class": "AMOUNT", "count": 3 },
        { "class": "STATUS", "count": 2 },
        { "class": "BILL", "count": 2 },
        { "class": "DUPLICATE", "count": 2 },
        { "class": "DUPLICATE", "count": 1, "amount": "OTHER" },
        { "class": "EXPECTED", "count": 2 },
    ]);
    let few = json!([
        { "class": "LONG", "count": 1 },
        { "class": "SHORT", "count": 2 },
        { "class": "AMOUNT", "count": 1 },
        { "class": "DUPLICATE", "count": 1 },
    ]);
    let mut planted = BTreeMap::new();
    planted.append(&mut night::plant(world, "bank", days_ago(DAY), all).await);
    for partner in ["legacy", "sh-telecom", "bj-power"] {
        // The dice choose anew for each partner; what is a difference already is no second one.
        let mut more = night::plant(world, partner, days_ago(DAY), few.clone()).await;
        let twice: Vec<_> = more
            .keys()
            .filter(|number| planted.contains_key(*number))
            .collect();
        assert!(twice.is_empty(), "planted on two sides: {twice:?}");
        planted.append(&mut more);
    }
    planted
}

/// The payments of a date that the center does not know the outcome of, after the night.
async fn undecided(desk: &Desk, date: NaiveDate) -> Vec<String> {
    let query = "query Q($filter: FlowFilter) { flows(filter: $filter, first: 100) { \
                 edges { node { flowNo } } pageInfo { hasNextPage } } }";
    let filter = json!({ "filter": { "states": ["STARTED"], "from": date, "to": date } });
    let answer = desk.ask(query, filter).await;
    let page = &answer["flows"];
    assert_eq!(page["pageInfo"]["hasNextPage"], json!(false), "{page}");
    let edges = page["edges"].as_array().expect("edges").iter();
    edges
        .map(|edge| {
            edge["node"]["flowNo"]
                .as_str()
                .expect("a number")
                .to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_day_is_closed_stated_and_reconciled_to_the_last_unit() {
    for database in TestDatabase::all() {
        let kind = database.kind;
        let world = night::world(database).await;
        live(&world).await;
        let planted = plant(&world).await;
        let mut daemon = world.daemon().await;
        let desk = Desk::at(&daemon);
        for date in [DAY, DAY - 1] {
            desk.reconciled(days_ago(date)).await;
            desk.stated(days_ago(date)).await;
        }

        let found = desk.discrepancies(days_ago(DAY)).await;
        let undecided = undecided(&desk, days_ago(DAY)).await;
        let odd = unexplained(found, &planted, &undecided);
        assert!(odd.is_empty(), "{kind}:\n{}", odd.join("\n"));
        balance(&desk, kind).await;
        agree(&desk, kind).await;
        let ended = daemon.terminate().await;
        assert!(ended.success(), "{kind}: {ended}");
        let report = world.check();
        assert!(report.contains("no findings"), "{kind}: {report}");
    }
}

/// What was found and not planted, or planted and not found.
fn unexplained(
    mut found: BTreeMap<String, (String, String)>,
    planted: &BTreeMap<String, String>,
    undecided: &[String],
) -> Vec<String> {
    let mut odd = Vec::new();
    for flow_no in undecided {
        // Nobody says anything about it: it waits, and is a person's in the end.
        match found.remove(flow_no) {
            Some((first, _)) if first == "EXPECTED" => {}
            other => odd.push(format!("{flow_no} has no outcome, and is {other:?}")),
        }
    }
    for (flow_no, class) in planted {
        match found.remove(flow_no) {
            // The neighbour day's file has it.
            Some((first, now)) if class == "EXPECTED" && first == *class && now == "MATCHED" => {}
            Some((first, _)) if class != "EXPECTED" && first == *class => {}
            other => odd.push(format!(
                "{flow_no} was planted as {class}, and is {other:?}"
            )),
        }
    }
    // What is left crossed midnight at the bank, whose clock was ahead, or which took its time.
    let crossed = |number: &String, first: &str, now: &str| {
        number[8..] >= *"86280" && first == "EXPECTED" && now == "MATCHED"
    };
    let (crossed, rest): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|(number, (first, now))| crossed(number, first, now));
    if crossed.len() < 50 {
        odd.push(format!("only {} flows crossed midnight", crossed.len()));
    }
    odd.extend(
        rest.into_iter()
            .map(|one| format!("{one:?} was not planted")),
    );
    odd
}

/// What each side listed is what its classes add up to.
async fn balance(desk: &Desk, kind: &str) {
    let query = "query Q($date: Date!) { reconciliationSums(date: $date) { \
                 counted class paid { count } returned { count } unmoved { count } } \
                 reconciliation(date: $date) { inputs { partner rows } } }";
    let answer = desk.ask(query, json!({ "date": days_ago(DAY) })).await;
    let rows_of = |value: &Value| -> u64 {
        let digits = value.as_str().expect("digits");
        digits.parse().expect("a number")
    };
    let sums = answer["reconciliationSums"].as_array().expect("sums");
    let listed = |side: &str| -> u64 {
        let of_side = sums.iter().filter(|sum| sum["counted"] == json!(side));
        let parts = of_side.flat_map(|sum| ["paid", "returned", "unmoved"].map(|part| &sum[part]));
        parts.map(|part| rows_of(&part["count"])).sum()
    };
    let inputs = answer["reconciliation"]["inputs"]
        .as_array()
        .expect("inputs");
    let rows: u64 = inputs.iter().map(|input| rows_of(&input["rows"])).sum();
    assert_eq!(listed("BANK") + listed("BILLER"), rows, "{kind}: {answer}");
    assert!(listed("OURS") >= 20_000, "{kind}: {answer}");
}

/// What is settled for the two days is what reconciliation found to have moved: a payment that a reversal
/// buried is in both of its sums or in neither of them, so the balance is the same to the last unit.
async fn agree(desk: &Desk, kind: &str) {
    let query = "query Q($date: Date!) { \
                 settlements(first: 100, filter: { businessDate: $date }) { \
                 edges { node { merchant biller gross { minor } reversed { minor } } } \
                 pageInfo { hasNextPage } } \
                 statements(first: 100, filter: { from: $date, to: $date }) { \
                 edges { node { party } } } \
                 reconciliationSums(date: $date) { counted paid { sum { minor } } \
                 returned { sum { minor } } } }";
    let minor = |value: &Value| -> i128 {
        let digits = value["minor"].as_str().expect("digits");
        digits.parse().expect("a number")
    };
    let (mut settled, mut moved) = (0, 0);
    for date in [DAY, DAY - 1] {
        let answer = desk.ask(query, json!({ "date": days_ago(date) })).await;
        let edges = answer["settlements"]["edges"].as_array().expect("edges");
        for edge in edges {
            settled += minor(&edge["node"]["gross"]) - minor(&edge["node"]["reversed"]);
        }
        let sums = answer["reconciliationSums"].as_array().expect("sums");
        for sum in sums.iter().filter(|sum| sum["counted"] == json!("OURS")) {
            moved += minor(&sum["paid"]["sum"]) - minor(&sum["returned"]["sum"]);
        }
        let statements = answer["statements"]["edges"].as_array().expect("edges");
        let has = |party: &str| {
            let of_party = |edge: &Value| edge["node"]["party"] == json!(party);
            statements.iter().any(of_party)
        };
        for party in night::PARTIES {
            assert!(has(party), "{kind}: no statement of {party}: {answer}");
        }
    }
    assert!(settled > 0, "{kind}");
    assert_eq!(
        settled, moved,
        "{kind}: settled, and moved by what was compared"
    );
}
