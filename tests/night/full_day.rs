//! A whole day of twenty thousand payments and more, with every fault of the banks and billers, orders
//! around midnight and planted differences of every class: closed, stated, reconciled, and checked.

use crate::books::Books;
use crate::night::{self, Desk, at, days_ago};
use crate::past::{Bills, EACH_ENDING, ITEMS, Past, ending_of};
use crate::support::world::World;
use payhall::domain::statement::PartyKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many days ago the day was.
const DAY: u64 = 4;
/// How often something is polled in the past.
const POLL: Duration = Duration::from_secs(600);

/// When most is paid, and how much.
const RUSHES: [(&str, Bills); 3] = [
    ("09:00:00", rush(0, 8_000)),
    ("12:00:00", rush(10_000, 8_000)),
    ("18:00:00", rush(20_000, 4_000)),
];

const fn rush(first: u32, count: u32) -> Bills {
    Bills {
        first,
        count,
        bad_every: 50,
    }
}

/// Every bad day of every biller once more, in the last second of our day, which is the first of the bank's next one.
const BAD_AT_MIDNIGHT: Bills = Bills {
    first: 31_100,
    count: 2 * EACH_ENDING,
    bad_every: 1,
};

/// What an order comes to after the night, by the ending of its bill number: at the bank that can reverse, and at the
/// older one. What neither bank says a word about waits for a person.
const ENDS_AS: [(u32, &str, &str); 16] = [
    (9_001, "FAILED", "FAILED"),
    (9_002, "SUCCEEDED", "SUCCEEDED"),
    (9_003, "MANUAL", "MANUAL"),
    (9_004, "FAILED", "FAILED"),
    (9_005, "SUCCEEDED", "SUCCEEDED"),
    (9_006, "SUCCEEDED", "SUCCEEDED"),
    (9_007, "SUCCEEDED", "SUCCEEDED"),
    (9_008, "SUCCEEDED", "SUCCEEDED"),
    (9_009, "REVERSED", "MANUAL"),
    // It answers no question, but has the payment in its file.
    (9_010, "REVERSED", "SUCCEEDED"),
    (9_011, "MANUAL", "MANUAL"),
    (9_012, "FAILED", "FAILED"),
    // The bank's answer to the reversal says so; the older bank's file does.
    (9_013, "SUCCEEDED", "SUCCEEDED"),
    (9_014, "FAILED", "FAILED"),
    (9_015, "SUCCEEDED", "SUCCEEDED"),
    (9_016, "FAILED", "FAILED"),
];
/// Where bills are looked up, and so cannot be paid with an ending with which there is no bill to be seen.
const WITH_LOOKUP: [&str; 2] = ["bj-power", "sh-gas"];
const NO_BILL: [u32; 3] = [9_012, 9_014, 9_015];
/// Who is paid through the older bank.
const BY_LEGACY: &str = "sh-school";

/// Lives through the day: three rushes, the minutes around midnight, and the small hours in which most of
/// what is in doubt is settled.
async fn live(world: &World) {
    let (day, next) = (days_ago(DAY), days_ago(DAY - 1));
    let past = Past::open(world, at(day, "09:00:00")).await;
    for (time, bills) in RUSHES {
        past.stand_at(at(day, time)).await;
        past.pay(bills).await;
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
    past.pay(BAD_AT_MIDNIGHT).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_day_is_closed_stated_and_reconciled_to_the_last_unit() {
    night::on_each(|database| async move {
        let kind = database.kind;
        let world = night::world(database).await;
        live(&world).await;
        let planted = plant(&world).await;
        let mut daemon = world.daemon().await;
        let desk = Desk::at(&daemon);
        for date in [DAY, DAY - 1] {
            desk.reconciled(days_ago(date)).await;
        }
        // The next day's file has lines about the flows of this one: it is looked at once more.
        night::over(&world, &[DAY, DAY - 1].map(days_ago)).await;

        let found = desk.discrepancies(days_ago(DAY)).await;
        let mut books = Books::of(&world);
        let undecided: BTreeSet<String> = {
            let flows = books.undecided(days_ago(DAY)).into_iter();
            flows.map(|flow| flow.flow_no).collect()
        };
        let odd = unexplained(found, &planted, &undecided);
        assert!(odd.is_empty(), "{kind}:\n{}", odd.join("\n"));
        every_bad_day_ends_as_it_should(&mut books, &planted, kind);
        balance(&desk, kind).await;
        agree(&desk, &mut books, kind).await;
        drop(books);
        let ended = daemon.terminate().await;
        assert!(ended.success(), "{kind}: {ended}");
        let report = world.check();
        assert!(report.contains("no findings"), "{kind}: {report}");
    })
    .await;
}

/// What was found and not planted, or planted and not found.
fn unexplained(
    mut found: BTreeMap<String, (String, String)>,
    planted: &BTreeMap<String, String>,
    undecided: &BTreeSet<String>,
) -> Vec<String> {
    let mut odd = Vec::new();
    for flow_no in undecided.iter().filter(|one| !planted.contains_key(*one)) {
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
            // Where we do not know ourselves, a line that is missing contradicts nobody: it waits.
            Some((first, _))
                if class == "SHORT" && undecided.contains(flow_no) && first == "EXPECTED" => {}
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

/// Each ending was had by each biller, and came to what it has to: at the bank, or by a line of its file. What was
/// planted in a flow is another story.
fn every_bad_day_ends_as_it_should(
    books: &mut Books,
    planted: &BTreeMap<String, String>,
    kind: &str,
) {
    let mut ended: BTreeMap<(String, u32), BTreeSet<&str>> = BTreeMap::new();
    for flow in books.flows(days_ago(DAY)) {
        if let Some(ending) = ending_of(&flow.bill_no)
            && !planted.contains_key(&flow.flow_no)
        {
            let states = ended.entry((flow.biller, ending)).or_default();
            states.insert(books.state_of(&flow.order_no));
        }
    }
    let mut wanted = BTreeMap::new();
    for (item, _) in ITEMS {
        for (ending, at_bank, at_legacy) in ENDS_AS {
            let biller = biller_of(item);
            let has_bill = !WITH_LOOKUP.contains(&biller) || !NO_BILL.contains(&ending);
            let state = if biller == BY_LEGACY {
                at_legacy
            } else {
                at_bank
            };
            if has_bill {
                wanted.insert((biller.to_owned(), ending), BTreeSet::from([state]));
            }
        }
    }
    assert_eq!(ended, wanted, "{kind}");
}

/// An item's code begins with its biller's.
fn biller_of(item: &str) -> &str {
    item.rsplit_once('-').expect("a biller and a thing").0
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
/// buried is in both of its sums or in neither of them, so the balance of both days is the same to the last
/// unit, with what only the next day's file has proven. And merchants and billers are told of the same money.
async fn agree(desk: &Desk, books: &mut Books, kind: &str) {
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
    for date in [DAY, DAY - 1].map(days_ago) {
        let before = settled;
        let answer = desk.ask(query, json!({ "date": date })).await;
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
        for party in [PartyKind::Merchant, PartyKind::Biller] {
            let stated = books.stated_minor(date, party);
            assert_eq!(
                stated,
                settled - before,
                "{kind}: {date}: stated to every {party}"
            );
        }
    }
    assert!(settled > 0, "{kind}");
    assert_eq!(
        settled, moved,
        "{kind}: settled, and moved by what was compared"
    );
}
