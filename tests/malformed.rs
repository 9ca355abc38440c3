//! Malformed answers over real HTTP, to payments and to queries alike. None of them may conclude
//! anything: where the bank did nothing, an answer that looks like success pays nobody; where it
//! did pay, one that looks like a refusal fails nobody. When the bank has come to its senses, every
//! order ends where its books say.
//!
//! Each answer is right in every point but the one that its name tells, so that a reader who
//! forgives this point would be caught.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use support::client::{Client, OrderView};
use support::database::TestDatabase;
use support::process::wait_for;
use support::world::{Setup, TOPUP, World};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(90);

/// The right answer; `%` stands for the status. The simulated world fills in what begins with `$`.
const RIGHT: &str = concat!(
    r#"{"status":%,"flow_no":"$flow_no","bill_no":"$bill_no","#,
    r#""amount_minor":"$amount_minor","currency":"$currency","upstream_ref":"U1"}"#
);

/// The right answer with one piece exchanged.
fn spoiled(piece: &str, with: &str) -> String {
    assert!(RIGHT.contains(piece), "{piece} is not in the right answer");
    RIGHT.replacen(piece, with, 1)
}

fn json_body(body: impl Into<String>) -> Value {
    http(200, "application/json", body)
}

fn http(code: u16, content_type: &str, body: impl Into<String>) -> Value {
    json!({ "http": code, "content_type": content_type, "body": body.into() })
}

fn with_header(name: &str, value: &str) -> Value {
    let mut answer = json_body(RIGHT);
    answer["headers"] = json!({ name: value });
    answer
}

fn raw(head: &str, body: &str) -> Value {
    json!({ "raw": format!("{head}\r\n\r\n{body}") })
}

/// These answers end with their connection. They say so, because the next payment would otherwise
/// be sent into one that is just being closed, and hear the end of it and not its own lie.
const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";

/// Bodies that are no JSON object, or not only one.
fn no_objects() -> Vec<(&'static str, Value)> {
    let half = &RIGHT[..RIGHT.len() / 2];
    let deep = format!("{}{RIGHT}{}", "[".repeat(20_000), "]".repeat(20_000));
    let mut all = vec![
        ("lists upon lists", json_body(deep)),
        ("an answer in a list", json_body(format!("[{RIGHT}]"))),
        ("two answers", json_body(format!("{RIGHT}{RIGHT}"))),
        (
            "two answers on two lines",
            json_body(format!("{RIGHT}\n{RIGHT}")),
        ),
        ("rubbish behind", json_body(format!("{RIGHT}x"))),
        ("a NUL behind", json_body(format!("{RIGHT}\0"))),
        ("a comma behind", json_body(format!("{RIGHT},"))),
        ("a byte order mark", json_body(format!("\u{feff}{RIGHT}"))),
        ("a guard line before", json_body(format!(")]}}',\n{RIGHT}"))),
        ("a comment before", json_body(format!("/* ok */{RIGHT}"))),
        ("a callback", json_body(format!("callback({RIGHT})"))),
        (
            "an answer in an answer",
            json_body(format!("{{\"data\":{RIGHT}}}")),
        ),
        ("half an answer", json_body(half)),
        (
            "a trailing comma",
            json_body(spoiled("\"U1\"}", "\"U1\",}")),
        ),
        ("single quotes", json_body(RIGHT.replace('"', "'"))),
        (
            "keys without quotes",
            json_body(RIGHT.replace("\"status\"", "status")),
        ),
    ];
    for (name, body) in [
        ("nothing", ""),
        ("white space", " \r\n\t "),
        ("null", "null"),
        ("true", "true"),
        ("a number", "%"),
        ("a word", "\"SUCCESS\""),
        ("an empty object", "{}"),
        ("NaN", "NaN"),
        ("XML", "<?xml version=\"1.0\"?><status>%</status>"),
        (
            "a form",
            "status=%&flow_no=$flow_no&amount_minor=$amount_minor",
        ),
    ] {
        all.push((name, json_body(body)));
    }
    all
}

/// Answers in which a piece of the right one is exchanged for something else, a name each.
fn exchanged(piece: &str, others: &[(&'static str, &str)]) -> Vec<(&'static str, Value)> {
    let answer = |with: &str| json_body(spoiled(piece, with));
    others
        .iter()
        .map(|(name, with)| (*name, answer(with)))
        .collect()
}

/// Objects whose status is not a status.
fn bad_statuses() -> Vec<(&'static str, Value)> {
    exchanged(
        r#""status":%"#,
        &[
            ("no status", r#""state":%"#),
            ("a status of null", r#""status":null"#),
            ("a status in quotes", r#""status":"%""#),
            ("a status with a fraction", r#""status":%.0"#),
            ("a status with an exponent", r#""status":%e0"#),
            ("a status of true", r#""status":true"#),
            ("a status in a list", r#""status":[%]"#),
            ("a status beyond everything", r#""status":1e999"#),
            ("a status with a zero before", r#""status":0%"#),
            ("a status with a plus", r#""status":+%"#),
            ("a status twice", r#""status":%,"status":%"#),
            ("two statuses", r#""status":-1,"status":%"#),
            (
                "two statuses, one escaped",
                r#""status":-1,"st\u0061tus":%"#,
            ),
            ("a status of another case", r#""STATUS":%"#),
        ],
    )
}

/// Objects about nobody's flow or bill, or somebody else's.
fn bad_numbers() -> Vec<(&'static str, Value)> {
    let flows = exchanged(
        r#""flow_no":"$flow_no""#,
        &[
            ("no flow number", r#""flow":"$flow_no""#),
            ("a flow number of null", r#""flow_no":null"#),
            ("a flow number without quotes", r#""flow_no":$flow_no"#),
            ("a flow number with a blank", r#""flow_no":"$flow_no ""#),
            ("a flow number with more", r#""flow_no":"$flow_no0""#),
            ("a flow number with a NUL", r#""flow_no":"$flow_no\u0000""#),
            (
                "a flow number twice",
                r#""flow_no":"$flow_no","flow_no":"$flow_no""#,
            ),
            ("half a surrogate", r#""flow_no":"$flow_no\ud800""#),
        ],
    );
    let bills = exchanged(
        r#""bill_no":"$bill_no""#,
        &[
            ("no bill", r#""bill":"$bill_no""#),
            ("a bill of null", r#""bill_no":null"#),
            ("a bill without quotes", r#""bill_no":$bill_no"#),
        ],
    );
    let long = format!(r#""{}""#, "U".repeat(300));
    let references = exchanged(
        r#""U1""#,
        &[
            ("a control character", "\"U\n1\""),
            ("a reference without end", &long),
        ],
    );
    [flows, bills, references].concat()
}

/// Objects whose amount or currency is none.
fn bad_amounts() -> Vec<(&'static str, Value)> {
    let amounts = exchanged(
        r#""amount_minor":"$amount_minor""#,
        &[
            (
                "an amount with a fraction",
                r#""amount_minor":$amount_minor.0"#,
            ),
            (
                "an amount with a point",
                r#""amount_minor":"$amount_minor.00""#,
            ),
            ("an amount with an exponent", r#""amount_minor":"50e2""#),
            (
                "an amount with a sign",
                r#""amount_minor":"+$amount_minor""#,
            ),
            (
                "an amount with a blank",
                r#""amount_minor":" $amount_minor""#,
            ),
            ("an amount with a comma", r#""amount_minor":"5,000""#),
            ("a negative amount", r#""amount_minor":-5000"#),
            ("an amount of NaN", r#""amount_minor":NaN"#),
            ("an amount beyond everything", r#""amount_minor":1e999"#),
            (
                "an amount of many digits",
                r#""amount_minor":"99999999999999999999""#,
            ),
            ("a full-width amount", r#""amount_minor":"５０００""#),
            ("no amount", r#""amount":"$amount_minor""#),
            (
                "an amount twice",
                r#""amount_minor":"1","amount_minor":"$amount_minor""#,
            ),
            (
                "an amount in an object",
                r#""amount_minor":{"value":"$amount_minor"}"#,
            ),
        ],
    );
    let currencies = exchanged(
        r#""currency":"$currency""#,
        &[
            ("no currency", r#""ccy":"$currency""#),
            ("a currency in lower case", r#""currency":"cny""#),
            ("a currency by its number", r#""currency":156"#),
        ],
    );
    [amounts, currencies].concat()
}

/// Right bodies in a wrong envelope.
fn bad_envelopes() -> Vec<(&'static str, Value)> {
    let size = RIGHT.len();
    vec![
        (
            "no content type",
            raw("HTTP/1.1 200 OK\r\nconnection: close", RIGHT),
        ),
        ("HTML", http(200, "text/html", RIGHT)),
        ("plain text", http(200, "text/plain", RIGHT)),
        ("GBK", http(200, "application/json; charset=GBK", RIGHT)),
        (
            "UTF-16",
            http(200, "application/json; charset=utf-16", RIGHT),
        ),
        ("gzip that is none", with_header("content-encoding", "gzip")),
        ("201", http(201, "application/json", RIGHT)),
        ("202", http(202, "application/json", RIGHT)),
        ("302", http(302, "application/json", RIGHT)),
        ("404", http(404, "application/json", RIGHT)),
        ("429", http(429, "application/json", RIGHT)),
        ("500", http(500, "application/json", RIGHT)),
        (
            "502 in HTML",
            http(502, "text/html", "<html>502 Bad Gateway</html>"),
        ),
        (
            "a length too long",
            raw(&format!("{OK}\r\ncontent-length: 99999"), RIGHT),
        ),
        (
            "a length too short",
            raw(&format!("{OK}\r\ncontent-length: {}", size / 2), RIGHT),
        ),
        (
            "a length of -1",
            raw(&format!("{OK}\r\ncontent-length: -1"), RIGHT),
        ),
        (
            "chunks without size",
            raw(&format!("{OK}\r\ntransfer-encoding: chunked"), RIGHT),
        ),
        (
            "a chunk without end",
            raw(&format!("{OK}\r\ntransfer-encoding: chunked"), "ffff\r\n{"),
        ),
        ("no HTTP", json!({ "raw": RIGHT })),
        ("HTTP/0.9", json!({ "raw": format!("OK\r\n\r\n{RIGHT}") })),
        (
            "a head without end",
            json!({ "raw": format!("{OK}\r\nx: ") }),
        ),
        (
            "no UTF-8",
            json!({ "raw_base64":
            // A decent head, then {"status":1,"flow_no":"<two bytes that are no UTF-8>"}.
            "SFRUUC8xLjEgMjAwIE9LDQpjb25uZWN0aW9uOiBjbG9zZQ0KY29udGVudC10eXBlOiBhcHBsaWNhdGlvbi9qc29uDQ\
             pjb250ZW50LWxlbmd0aDogMjcNCg0KeyJzdGF0dXMiOjEsImZsb3dfbm8iOiL//iJ9" }),
        ),
    ]
}

fn all_answers() -> Vec<(&'static str, Value)> {
    [
        no_objects(),
        bad_statuses(),
        bad_numbers(),
        bad_amounts(),
        bad_envelopes(),
    ]
    .concat()
}

/// The answer with this status written in.
fn saying(answer: &Value, status: &str) -> Value {
    let mut answer = answer.clone();
    for field in ["body", "raw"] {
        if let Some(text) = answer[field].as_str() {
            answer[field] = json!(text.replace('%', status));
        }
    }
    answer
}

/// One order and the answer that lies about it.
struct Lie {
    name: String,
    order: Option<OrderView>,
    is_paid: bool,
}

#[test]
fn there_are_sixty_answers_and_more() {
    let names: BTreeSet<_> = all_answers().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), all_answers().len());
    assert!(names.len() > 60, "{}", names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_malformed_answer_concludes_anything() {
    let world = Setup::on(TestDatabase::sqlite())
        // Here it is asked and asked, and never undone.
        .set("adapters.bank.quick_polls", 100_000)
        // All are paid at once, and each has to leave and to be there before it is asked about, although
        // the bank or the center may stand still for some seconds.
        .set("adapters.bank.send_within_s", 10)
        .set("adapters.bank.total_timeout_ms", 8_000)
        .set("adapters.bank.certainty_window_s", 20)
        .set("orders.orphan_after_s", 60)
        .start()
        .await;
    let daemon = world.daemon().await;
    let merchant = daemon.merchant();
    let mut lies = pay_with_lies(&world, &merchant).await;
    for lie in &mut lies {
        let order_no = &lie.order.as_ref().expect("confirmed").order_no;
        wait_until_polled(&merchant, &lie.name, order_no).await;
        let order = merchant.stored(order_no).await.expect("the order");
        assert!(!order.is_at_rest(), "{}: concluded as {order:?}", lie.name);
        let debits = world.sim.events(order_no, "DEBIT").len();
        assert_eq!(debits, usize::from(lie.is_paid), "{}", lie.name);
    }
    world.sim.heal().await;
    for lie in &lies {
        let order_no = &lie.order.as_ref().expect("confirmed").order_no;
        let end = merchant.at_rest(order_no, PATIENCE).await;
        let wanted = if lie.is_paid { "SUCCEEDED" } else { "FAILED" };
        assert_eq!(end.state, wanted, "{}: {end:?}", lie.name);
    }
    world.check_settled();
}

/// Each answer twice: a success that is none, and a refusal of what was done.
async fn pay_with_lies(world: &World, merchant: &Client) -> Vec<Lie> {
    let mut lies = Vec::new();
    let mut confirming = JoinSet::new();
    for (name, answer) in all_answers() {
        for (effect, status) in [("NONE", "1"), ("NOW", "1001")] {
            let place = lies.len();
            let bill_no = format!("1380001{place:04}");
            let answer = saying(&answer, status);
            for fault in [
                json!({ "op": "PAY", "bill_no": bill_no, "effect": effect, "answer": answer }),
                json!({ "op": "QUERY", "bill_no": bill_no, "answer": answer }),
            ] {
                world.sim.fault(fault).await;
            }
            lies.push(Lie {
                name: format!("{name}, status {status}"),
                order: None,
                is_paid: effect == "NOW",
            });
            let merchant = merchant.clone();
            confirming.spawn(async move {
                let paid = merchant
                    .pay(&format!("lie-{place}"), (TOPUP, &bill_no), 5_000)
                    .await;
                (place, paid.expect("an answer"))
            });
        }
    }
    while let Some(confirmed) = confirming.join_next().await {
        let (place, order) = confirmed.expect("no panic");
        lies[place].order = Some(order);
    }
    lies
}

/// The payment and a query of the poller have been lied to, and nothing else was heard.
async fn wait_until_polled(merchant: &Client, name: &str, order_no: &str) {
    let what = format!("the poller to hear the lie {name:?}");
    wait_for(&what, PATIENCE, async || {
        let story = merchant.timeline(order_no).await.ok()?;
        let state = &story["order"]["state"];
        assert!(
            state == "PAYING" || state == "UNKNOWN",
            "{name}: concluded as {state}"
        );
        let attempts = story["attempts"].as_array()?;
        let heard: Vec<_> = attempts
            .iter()
            .filter_map(|a| a["outcome"].as_str())
            .collect();
        assert!(
            heard.iter().all(|outcome| *outcome == "UNKNOWN"),
            "{name}: {attempts:#?}"
        );
        // The confirmation's own call and its two tries come first.
        (heard.len() > 3).then_some(())
    })
    .await;
}
