//! Each well-known bill number, step by step, and what the ledger says in the end.

use serde_json::{Value, json};

use super::{TestWorld, pay_body, reverse_body};

/// One step a word: what is asked, and the status that must come; `HANG`, `HTML` (an HTTP 502) and
/// `WRONG` (success with a wrong amount) are what they say. The numbers at the end count the
/// DEBIT, REVERSAL, TOMBSTONE and REFUSAL lines.
const SCENARIOS: [(&str, &str, [usize; 4]); 18] = [
    (
        "0000",
        "lookup=1 pay=1 query=1 lookup=2001 reverse=1 query=5 lookup=1",
        [1, 1, 0, 0],
    ),
    ("9001", "pay=1001 query=1001 pay=1001", [0, 0, 0, 1]),
    (
        "9002",
        "pay=-1 query=-1 query=-1 query=1 query=1 pay=-1 query=1",
        [1, 0, 0, 0],
    ),
    (
        "9002",
        "pay=-1 reverse=1 query=-1 query=-1 query=5",
        [1, 1, 0, 0],
    ),
    (
        "9003",
        "pay=-1 query=-1 reverse=-1 query=-1 reverse=-1 pay=-1",
        [0, 0, 0, 0],
    ),
    (
        "9004",
        "pay=HANG query=4 pay=HANG query=4 reverse=1 query=5",
        [0, 0, 1, 0],
    ),
    ("9005", "pay=HANG query=1 pay=HANG query=1", [1, 0, 0, 0]),
    ("9007", "pay=WRONG query=1 pay=WRONG", [1, 0, 0, 0]),
    ("9008", "pay=HTML query=1 pay=HTML", [1, 0, 0, 0]),
    (
        "9009",
        "pay=HANG query=HANG query=HANG reverse=1 reverse=1",
        [0, 0, 1, 0],
    ),
    (
        "9010",
        "pay=-1 query=-1 query=-1 query=-1 reverse=1 reverse=1",
        [1, 1, 0, 0],
    ),
    (
        "9011",
        "pay=2 query=2 query=2 reverse=4002 pay=2 query=2",
        [0, 0, 0, 0],
    ),
    ("9012", "lookup=2001 pay=2001 query=2001", [0, 0, 0, 1]),
    (
        "9013",
        "pay=-1 query=-1 query=-1 reverse=4001 query=-1 reverse=4001",
        [1, 0, 0, 0],
    ),
    ("9013", "reverse=1 reverse=1 query=-1", [0, 0, 1, 0]),
    ("9014", "lookup=2003 pay=2003 query=2003", [0, 0, 0, 1]),
    ("9015", "lookup=HANG pay=1 query=1", [1, 0, 0, 0]),
    (
        "9016",
        "pay=-1 query=-1 query=1001 query=1001 pay=-1",
        [0, 0, 0, 1],
    ),
];

async fn run_scenario(world: &TestWorld, ending: &str, steps: &str, effects: [usize; 4]) {
    // Another bill each time: one that is paid would be refused.
    let payment = world.number("F");
    let bill_no = format!("1{}{ending}", &payment[1..]);
    let reversal = format!("R{payment}");
    for step in steps.split(' ') {
        let name = format!("{ending}: {step} of {steps}");
        let (asked, expected) = step.split_once('=').expect("asked=expected");
        let (path, body) = match asked {
            "lookup" => ("/billers/bj-power/lookup", json!({ "bill_no": bill_no })),
            "pay" => ("/bank/pay", pay_body(&payment, "bj-power", &bill_no)),
            "query" => ("/bank/query", json!({ "flow_no": payment })),
            _ => ("/bank/reverse", reverse_body(&reversal, &payment, &bill_no)),
        };
        if expected == "HANG" {
            world.call_hangs(path, &body).await;
            continue;
        }
        let (code, answer) = world.post(path, body.clone()).await;
        if expected == "HTML" {
            assert_eq!((code, &answer), (502, &Value::Null), "{name}");
            continue;
        }
        let (status, amount) = if expected == "WRONG" {
            ("1", "5001")
        } else {
            (expected, "5000")
        };
        assert_eq!(code, 200, "{name}");
        assert_eq!(answer["status"].to_string(), status, "{name}");
        if asked == "lookup" {
            continue;
        }
        assert_eq!(answer["flow_no"], body["flow_no"], "{name}");
        if status != "4" {
            assert_eq!(answer["bill_no"], bill_no, "{name}");
            assert_eq!(answer["amount_minor"], amount, "{name}");
            assert_eq!(answer["currency"], "CNY", "{name}");
        }
    }
    assert_eq!(world.effects(&payment), effects, "{ending}: {steps}");
}

#[tokio::test]
async fn every_ending_behaves_as_it_is_documented() {
    let world = TestWorld::start().await;
    for (ending, steps, effects) in SCENARIOS {
        run_scenario(&world, ending, steps, effects).await;
    }
}

#[tokio::test]
async fn a_late_success_comes_late() {
    let world = TestWorld::start_with(|options| options.late_success_ms = 1_000).await;
    world.clock("2026-11-28T04:00:00Z").await;
    let body = pay_body("F1", "bj-power", "1000009006");
    assert_eq!(world.status("/bank/pay", body).await, -1);
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        4
    );
    world.clock("2026-11-28T04:00:01Z").await;
    world.stats_until(|stats| stats["late_pending"] == 0).await;
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        1
    );
    assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_late_success_does_not_come_after_a_reversal() {
    let world = TestWorld::start_with(|options| options.late_success_ms = 1_000).await;
    world.clock("2026-11-28T04:00:00Z").await;
    let body = pay_body("F1", "bj-power", "1000009006");
    assert_eq!(world.status("/bank/pay", body.clone()).await, -1);
    let reverse = reverse_body("R1", "F1", "1000009006");
    assert_eq!(world.status("/bank/reverse", reverse).await, 1);
    world.clock("2026-11-28T04:00:01Z").await;
    world.stats_until(|stats| stats["late_pending"] == 0).await;
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        5
    );
    assert_eq!(world.effects("F1"), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_healed_world_tells_the_truth() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "answer": {"status": -1}}))
        .await;
    for (payment, bill_no) in [
        ("F1", "1000009010"),
        ("F2", "1000009003"),
        ("F3", "1000009016"),
    ] {
        let body = pay_body(payment, "bj-power", bill_no);
        assert_eq!(world.status("/bank/pay", body).await, -1);
    }
    assert_eq!(
        world
            .send(reqwest::Method::POST, "/admin/heal", None)
            .await
            .0,
        200
    );
    for (payment, status) in [("F1", 1), ("F2", 4), ("F3", 1001)] {
        assert_eq!(
            world
                .status("/bank/query", json!({"flow_no": payment}))
                .await,
            status
        );
    }
    let reverse = reverse_body("R2", "F2", "1000009003");
    assert_eq!(world.status("/bank/reverse", reverse).await, 1);
    for (payment, bill_no, status) in [("F5", "1000009013", 1), ("F6", "1000009001", 1001)] {
        let body = pay_body(payment, "bj-power", bill_no);
        assert_eq!(world.status("/bank/pay", body).await, status);
    }
}
