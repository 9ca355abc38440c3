//! The partners' files: what is in them, when they are there, and what was planted in them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{TestWorld, pay_body, reverse_body};

const CSV: &str = "?format=payhall-csv";

/// The cells of the lines between the names and the last line.
async fn rows(world: &TestWorld, path: &str) -> Vec<Vec<String>> {
    let lines = world.lines(path).await;
    let [_, rows @ .., end] = lines.as_slice() else {
        panic!("{path}: {lines:?}")
    };
    assert!(end.starts_with(&format!("#END,{},", rows.len())), "{end}");
    let cells = |line: &String| line.split(',').map(str::to_owned).collect();
    rows.iter().map(cells).collect()
}

/// Number, kind, state and amount of each line.
async fn seen(world: &TestWorld, path: &str) -> Vec<String> {
    let rows = rows(world, path).await;
    let short = |row: &Vec<String>| {
        [&row[0], &row[9], &row[10], &row[11]]
            .map(String::as_str)
            .join(" ")
    };
    rows.iter().map(short).collect()
}

async fn pay(world: &TestWorld, flow_no: &str, bill_no: &str) -> i64 {
    world
        .status("/bank/pay", pay_body(flow_no, "bj-power", bill_no))
        .await
}

/// Payments every ten minutes of 2026-11-28 in Shanghai; every seventh is refused. Afterwards the
/// files are there.
async fn a_day() -> TestWorld {
    let world = TestWorld::start().await;
    let start: chrono::DateTime<chrono::Utc> = "2026-11-27T16:00:00Z".parse().expect("a time");
    for number in 0..144_u32 {
        let at = start + chrono::TimeDelta::minutes(10 * i64::from(number));
        world.clock(&at.to_rfc3339()).await;
        let bill_no = if number % 7 == 3 {
            format!("{number:06}9001")
        } else {
            format!("{number:010}")
        };
        pay(&world, &format!("F{number:03}"), &bill_no).await;
    }
    world.clock("2026-11-29T20:00:00Z").await;
    world
}

#[tokio::test]
async fn a_day_goes_by_the_partners_own_clock() {
    let world = TestWorld::start().await;
    for (at, flow_no, bill_no) in [
        ("2026-11-27T15:59:59.999999Z", "before", "1000000001"),
        ("2026-11-27T16:00:00Z", "first", "1000000002"),
        ("2026-11-28T02:00:00Z", "refused", "1000009001"),
        ("2026-11-28T03:00:00Z", "undone", "1000000003"),
        ("2026-11-28T15:59:59.999999Z", "last", "1000000004"),
        ("2026-11-28T16:00:00Z", "after", "1000000005"),
    ] {
        world.clock(at).await;
        pay(&world, flow_no, bill_no).await;
    }
    world
        .status("/bank/reverse", reverse_body("R1", "undone", "1000000003"))
        .await;
    world
        .status("/bank/reverse", reverse_body("R2", "buried", "1000000006"))
        .await;
    world.clock("2026-11-29T18:00:00Z").await;
    let bank = |date: &str| format!("/files/bank/{date}{CSV}");
    assert_eq!(
        seen(&world, &bank("2026-11-27")).await,
        ["before PAYMENT SUCCEEDED 5000"]
    );
    assert_eq!(
        seen(&world, &bank("2026-11-28")).await,
        [
            "first PAYMENT SUCCEEDED 5000",
            "refused PAYMENT FAILED 5000",
            "undone PAYMENT SUCCEEDED 5000",
            "last PAYMENT SUCCEEDED 5000",
        ]
    );
    assert_eq!(
        seen(&world, &bank("2026-11-29")).await,
        [
            "after PAYMENT SUCCEEDED 5000",
            "R1 REVERSAL SUCCEEDED -5000",
            "buried PAYMENT FAILED 5000",
        ]
    );
    let power = format!("/files/bj-power/2026-11-29{CSV}");
    assert_eq!(
        seen(&world, &power).await,
        [
            "after PAYMENT SUCCEEDED 5000",
            "R1 REVERSAL SUCCEEDED -5000"
        ]
    );
    assert_eq!(rows(&world, &power).await[1][2], "undone");
    assert!(
        seen(&world, &format!("/files/sh-gas/2026-11-29{CSV}"))
            .await
            .is_empty()
    );

    let terms = json!({"partner": "bank", "cutoff_s": -3_600, "unmoved": "OMITTED", "zone": "UTC"});
    assert_eq!(world.post("/admin/partners", terms).await.0, 200);
    assert_eq!(
        seen(&world, &bank("2026-11-28")).await,
        [
            "undone PAYMENT SUCCEEDED 5000",
            "last PAYMENT SUCCEEDED 5000",
            "after PAYMENT SUCCEEDED 5000",
            "R1 REVERSAL SUCCEEDED -5000",
        ]
    );
}

#[tokio::test]
async fn a_late_effect_counts_when_it_comes() {
    let world = TestWorld::start_with(|options| options.late_success_ms = 60_000).await;
    world.clock("2026-11-28T15:59:30Z").await;
    assert_eq!(pay(&world, "late", "1000009006").await, -1);
    world.clock("2026-11-28T16:00:29Z").await;
    assert_eq!(world.get("/admin/stats").await["late_pending"], 1);
    world.clock("2026-11-28T16:00:30Z").await;
    world.stats_until(|stats| stats["late_pending"] == 0).await;
    world.clock("2026-11-30T00:00:00Z").await;
    for (date, lines) in [("2026-11-28", 0), ("2026-11-29", 1)] {
        let path = format!("/files/bank/{date}{CSV}");
        assert_eq!(rows(&world, &path).await.len(), lines, "{date}");
    }
}

#[tokio::test]
async fn not_yet_is_another_answer_than_nothing() {
    let world = TestWorld::start().await;
    world.clock("2026-11-28T17:29:59Z").await;
    let path = "/files/bank/2026-11-28";
    let (code, body) = world.send(Method::GET, path, None).await;
    assert_eq!((code, &body["code"]), (404, &json!("NOT_READY")), "{body}");
    assert_eq!(body["ready_at"], "2026-11-28T17:30:00Z");
    assert_eq!(
        world
            .send(Method::GET, "/files/bank/2026-11-28.sha256", None)
            .await
            .0,
        404
    );
    world.clock("2026-11-28T17:30:00Z").await;
    assert_eq!(world.fetch(path).await.0, 200);
    for (path, code, name) in [
        ("/files/nobody/2026-11-28", 404, "sh-school"),
        ("/files/bank/28.11.2026", 400, "28.11.2026"),
        ("/files/bank/2026-11-28?format=xml", 400, "unionpay-zm"),
        ("/files/bank/2026-11-28?layout=pipe", 400, "?format="),
        ("/files/bank/262142-12-31", 400, "262142"),
        ("/files/bank", 404, "no such path"),
    ] {
        let (seen, body) = world.send(Method::GET, path, None).await;
        let message = body["message"].as_str().unwrap_or_default();
        assert!(
            seen == code && message.contains(name),
            "{path}: {seen} {body}"
        );
    }
}

#[tokio::test]
async fn the_same_day_is_the_same_bytes_and_the_digest_says_which() {
    let world = a_day().await;
    let mut before = Vec::new();
    for partner in ["bank", "bj-power"] {
        for format in ["payhall-csv", "pipe", "wechat", "alipay", "unionpay-zm"] {
            let path = format!("/files/{partner}/2026-11-28");
            let (code, bytes) = world.fetch(&format!("{path}?format={format}")).await;
            assert_eq!(code, 200, "{format}: {}", String::from_utf8_lossy(&bytes));
            let (_, sidecar) = world.fetch(&format!("{path}.sha256?format={format}")).await;
            let sidecar = String::from_utf8(sidecar).expect("text");
            assert!(sidecar.starts_with(&sha256(&bytes)), "{format}: {sidecar}");
            before.push((path, format, bytes));
        }
    }
    let ask = async |tag: Option<String>| {
        let url = format!("{}/files/bank/2026-11-28", world.sim.url());
        let request = world.client.get(url);
        let request = tag
            .iter()
            .fold(request, |request, tag| request.header("if-none-match", tag));
        let response = request.send().await.expect("a response");
        let tag = response.headers()["etag"]
            .to_str()
            .expect("a tag")
            .to_owned();
        (response.status().as_u16(), tag)
    };
    let (_, tag) = ask(None).await;
    assert_eq!(ask(Some(tag.clone())).await, (304, tag.clone()));
    let known = format!("\"another\", {tag}");
    assert_eq!(ask(Some(known)).await, (304, tag));
    assert_eq!(ask(Some("\"another\"".to_owned())).await.0, 200);
    let world = world.restart().await;
    for (path, format, bytes) in before {
        let again = world.fetch(&format!("{path}?format={format}")).await;
        assert!(again == (200, bytes), "{path} {format}");
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Plants, and returns what the answer lists.
async fn plant(world: &TestWorld, body: Value) -> Vec<Value> {
    let (code, answer) = world.post("/admin/plants", body).await;
    assert_eq!(code, 200, "{answer}");
    answer["plants"].as_array().expect("a list").clone()
}

/// What a plant says of a line, as [`seen`] shows it.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().expect("a text").to_owned();
    ["flow_no", "kind", "status", "amount_minor"]
        .map(text)
        .join(" ")
}

#[tokio::test]
async fn what_is_planted_is_exactly_what_is_different() {
    let world = a_day().await;
    let path = format!("/files/bank/2026-11-28{CSV}");
    let next = format!("/files/bank/2026-11-29{CSV}");
    let before = [seen(&world, &path).await, seen(&world, &next).await].concat();
    let wishes = json!({"partner": "bank", "date": "2026-11-28", "seed": 7, "plants": [
        {"class": "LONG", "count": 2},
        {"class": "LONG", "of": "UNPAID"},
        {"class": "SHORT", "count": 3},
        {"class": "AMOUNT", "count": 4},
        {"class": "BILL", "count": 2},
        {"class": "STATUS", "count": 2, "status": "PENDING"},
        {"class": "STATUS"},
        {"class": "STATUS", "status": "SUCCEEDED"},
        {"class": "DUPLICATE"},
        {"class": "DUPLICATE", "amount": "OTHER"},
        {"class": "EXPECTED", "count": 2},
    ]});
    let ledger = std::fs::read(world.ledger_path()).expect("a ledger");
    let plants = plant(&world, wishes.clone()).await;
    assert_eq!(plants.len(), 20);
    let numbers: BTreeSet<&str> = plants
        .iter()
        .filter_map(|plant| plant["flow_no"].as_str())
        .collect();
    assert_eq!(numbers.len(), 20, "never two in one flow");

    let other_bill = |plant: &&Value| {
        let is_listed = plant["truth"].is_object() && plant["listed"].is_object();
        is_listed && plant["truth"]["bill_no"] != plant["listed"]["bill_no"]
    };
    let bills: Vec<&Value> = plants.iter().filter(other_bill).collect();
    assert_eq!(bills.len(), 2);
    assert!(bills.iter().all(|plant| plant["class"] == "STATUS"));

    let mut expected = before.clone();
    for plant in &plants {
        if plant["class"] != "DUPLICATE" && plant["truth"].is_object() {
            let truth = line(&plant["truth"]);
            let at = expected
                .iter()
                .position(|line| *line == truth)
                .expect("a line of the truth");
            expected.remove(at);
        }
        if plant["listed"].is_object() {
            expected.push(line(&plant["listed"]));
        }
    }
    let mut after = [seen(&world, &path).await, seen(&world, &next).await].concat();
    assert_eq!(
        seen(&world, &next).await.len(),
        2,
        "the two that were moved"
    );
    expected.sort_unstable();
    after.sort_unstable();
    assert_eq!(after, expected);
    assert_eq!(
        std::fs::read(world.ledger_path()).expect("a ledger"),
        ledger
    );

    let listed = world.get("/admin/plants/bank/2026-11-28").await;
    assert_eq!(listed, json!({ "plants": plants }));
    let bytes = world.fetch(&path).await;
    let world = world.restart().await;
    world.clock("2026-11-30T00:00:00Z").await;
    assert_eq!(world.get("/admin/plants").await, listed);
    assert_eq!(world.fetch(&path).await, bytes);

    // The same dice on the same ledger choose the same lines.
    world.send(Method::DELETE, "/admin/plants", None).await;
    assert_eq!(
        [seen(&world, &path).await, seen(&world, &next).await].concat(),
        before
    );
    let again = plant(&world, wishes).await;
    let flows = |plants: &[Value]| -> Vec<Value> {
        plants
            .iter()
            .map(|plant| plant["flow_no"].clone())
            .collect()
    };
    assert_eq!(flows(&again), flows(&plants));
}

#[tokio::test]
async fn a_clear_answer_or_none() {
    let world = a_day().await;
    let ask = async |plants: Value| {
        let body = json!({"partner": "bank", "date": "2026-11-28", "plants": plants});
        let (code, answer) = world.post("/admin/plants", body).await;
        (
            code,
            answer["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (plants, word) in [
        (
            json!([{"class": "SHORT", "count": 144}]),
            "144 lines are wanted",
        ),
        (
            json!([{"class": "SHORT"}, {"class": "EXPECTED", "count": 9}]),
            "9 lines are wanted",
        ),
        (
            json!([{"class": "SHORT", "flow_no": "X"}]),
            "X has no Payment line",
        ),
        (
            json!([{"class": "BILL", "count": 144}]),
            "144 lines are wanted",
        ),
        (
            json!([{"class": "AMOUNT", "flow_no": "F001"}, {"class": "SHORT", "flow_no": "F001"}]),
            "F001 already",
        ),
        (
            json!([{"class": "SHORT", "kind": "REVERSAL"}]),
            "0 in the file",
        ),
        (json!([{"class": "TRUNCATED", "line": 0}]), "from 1"),
        (json!([{"class": "TRUNCATED"}]), "line"),
        (json!([{"class": "SHORTS"}]), "SHORTS"),
        (json!([{"class": "SHORT", "cout": 1}]), "cout"),
    ] {
        let (code, message) = ask(plants.clone()).await;
        assert!(
            code == 400 && message.contains(word),
            "{plants}: {code} {message}"
        );
    }
    assert_eq!(world.get("/admin/plants").await, json!({ "plants": [] }));
    assert_eq!(
        ask(json!([{"class": "SHORT", "flow_no": "F001"}])).await.0,
        200
    );
    let moved = json!({"partner": "bank", "cutoff_s": 60});
    assert_eq!(world.post("/admin/partners", moved).await.0, 409);
    let format = json!({"partner": "bank", "format": "pipe", "ready": "03:00:00"});
    assert_eq!(world.post("/admin/partners", format).await.0, 200);
    let far = json!({"partner": "bj-power", "cutoff_s": 90_000});
    assert_eq!(world.post("/admin/partners", far).await.0, 400);
}

#[tokio::test]
async fn a_file_can_be_wrong_as_a_whole_and_right_later() {
    let world = a_day().await;
    let path = format!("/files/bank/2026-11-28{CSV}");
    let good = world.lines(&path).await;
    let end = |lines: &[String]| -> Vec<String> {
        let last = lines.last().expect("a line");
        last.split(',').map(str::to_owned).collect()
    };
    for class in ["COUNT", "SUM", "DIGEST"] {
        let fault = json!({"class": class, "until": "2026-11-29T21:00:00Z"});
        let body = json!({"partner": "bank", "date": "2026-11-28", "plants": [fault]});
        plant(&world, body).await;
        let wrong = world.lines(&path).await;
        assert_eq!(wrong[..wrong.len() - 1], good[..good.len() - 1], "{class}");
        let (wrong, right) = (end(&wrong), end(&good));
        let other: Vec<usize> = (0..right.len())
            .filter(|at| wrong[*at] != right[*at])
            .collect();
        let place = match class {
            "COUNT" => 1,
            "SUM" => 2,
            _ => 3,
        };
        assert_eq!(other, [place], "{class}");
        let (_, bytes) = world.fetch(&path).await;
        let sidecar = world
            .lines(&format!("/files/bank/2026-11-28.sha256{CSV}"))
            .await;
        assert_eq!(sidecar[0].starts_with(&sha256(&bytes)), class != "DIGEST");
        world
            .send(Method::DELETE, "/admin/plants/bank/2026-11-28", None)
            .await;
    }
    assert!(
        world
            .lines("/files/bank/2026-11-28.sha256?format=payhall-csv")
            .await[0]
            .ends_with("_v4.csv")
    );

    let fault = json!({"class": "TRUNCATED", "line": 3, "until": "2026-11-29T21:00:00Z"});
    plant(
        &world,
        json!({"partner": "bank", "date": "2026-11-28", "plants": [fault]}),
    )
    .await;
    let (_, bytes) = world.fetch(&path).await;
    let text = String::from_utf8(bytes).expect("UTF-8");
    let whole = good[..2].join("\n");
    assert!(text.starts_with(&whole) && !text.ends_with('\n'), "{text}");
    assert_eq!(text.lines().count(), 3);
    world.clock("2026-11-29T21:00:00Z").await;
    assert_eq!(world.lines(&path).await, good);
    assert!(
        world
            .lines("/files/bank/2026-11-28.sha256?format=payhall-csv")
            .await[0]
            .ends_with("_v5.csv")
    );
}

#[tokio::test]
async fn files_are_dropped_whole_with_their_digests() {
    let world = a_day().await;
    let (code, answer) = world
        .post("/admin/files", json!({"date": "2026-11-28"}))
        .await;
    assert_eq!(code, 200, "{answer}");
    let paths: Vec<&str> = answer["files"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(paths.len(), 7);
    for path in paths {
        let bytes = std::fs::read(path).expect("a file");
        let sidecar = std::fs::read_to_string(format!("{path}.sha256")).expect("a digest");
        assert!(sidecar.starts_with(&sha256(&bytes)), "{path}");
        let folder = std::path::Path::new(path).parent().expect("a folder");
        assert_eq!(
            std::fs::read_dir(folder).expect("a folder").count(),
            2,
            "{path}"
        );
    }
    let (code, _) = world
        .post("/admin/files", json!({"date": "2026-12-24"}))
        .await;
    assert_eq!(code, 404);
    let (code, _) = world
        .post("/admin/files", json!({"date": "2026-11-28", "folder": "/"}))
        .await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn a_big_day_is_written_from_a_long_ledger() {
    let world = TestWorld::start().await;
    world.sim.stop().await;
    let mut text = String::new();
    let mut seq = 0;
    for number in 0..25_000_u64 {
        let at =
            chrono::DateTime::from_timestamp(1_795_795_200 + number as i64 * 4, 0).expect("a time");
        for event in ["DEBIT", "CREDIT"] {
            seq += 1;
            let at = at.format("%Y-%m-%dT%H:%M:%S.000000Z");
            text.push_str(&format!(
                "{{\"seq\":{seq},\"at\":\"{at}\",\"event\":\"{event}\",\"bank\":\"bank\",\"flow_no\":\"F{number}\",\
                 \"order_no\":\"O{number}\",\"biller\":\"bj-water\",\"bill_no\":\"{number:09}\",\
                 \"amount_minor\":\"{}\",\"currency\":\"CNY\"}}\n",
                1_000 + number
            ));
        }
    }
    std::fs::write(&world.options.ledger, text).expect("written");
    let sim = super::start(world.options.clone()).await.expect("a world");
    let world = TestWorld { sim, ..world };
    world.clock("2027-01-01T00:00:00Z").await;
    // 16:00 to 16:00 UTC: 21,600 of them, one every four seconds.
    for partner in ["bank", "bj-water"] {
        let rows = rows(&world, &format!("/files/{partner}/2026-11-28{CSV}")).await;
        assert_eq!(rows.len(), 21_600, "{partner}");
    }
}
