//! Each kind of scripted answer, seen from the other end of the cable.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{TestWorld, pay_body, reverse_body};

const BILL: &str = "1234567890";

/// Puts one fault in force and makes one payment over a connection of its own.
async fn faulty_pay(
    world: &TestWorld,
    payment: &str,
    answer: Value,
) -> (Vec<u8>, std::io::Result<()>) {
    world
        .fault(json!({"op": "PAY", "flow_no": payment, "effect": "NOW", "answer": answer}))
        .await;
    let body = pay_body(payment, "sh-school", "S12345678");
    world.raw_call("/bank/pay", &body).await
}

fn body_of(response: &[u8]) -> &str {
    let text = str::from_utf8(response).expect("text");
    text.split_once("\r\n\r\n").expect("a head and a body").1
}

#[tokio::test]
async fn a_cut_lets_so_many_bytes_through() {
    let world = TestWorld::start().await;
    for bytes in [0, 1, 17, 150] {
        let payment = world.number("F");
        let (got, end) = faulty_pay(&world, &payment, json!({"cut_after": bytes})).await;
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(got.len(), bytes);
        assert!(b"HTTP/1.1 200 OK\r\n".starts_with(&got[..bytes.min(17)]));
        assert_eq!(world.effects(&payment), [1, 0, 0, 0]);
    }
    let (got, end) = faulty_pay(&world, "long", json!({"cut_after": 1_000_000})).await;
    assert!(end.is_ok() && body_of(&got).ends_with('}'));
    let (got, end) = faulty_pay(&world, "close", json!({"close": true})).await;
    assert!(end.is_ok() && got.is_empty());
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let world = TestWorld::start().await;
    let (got, end) = faulty_pay(&world, "F1", json!({"reset": true})).await;
    assert!(got.is_empty());
    assert_eq!(
        end.expect_err("an error").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_hang_ends_when_the_caller_goes_away() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "ANY", "effect": "NOW", "answer": {"hang": true}}))
        .await;
    world
        .call_hangs("/bank/pay", &pay_body("F1", "bj-power", BILL))
        .await;
    world
        .call_hangs("/bank/query", &json!({"flow_no": "F1"}))
        .await;
    world
        .call_hangs("/billers/bj-power/lookup", &json!({"bill_no": BILL}))
        .await;
    assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_hang_ends_when_the_world_stops() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "answer": {"hang": true}}))
        .await;
    let mut stream = world
        .raw_send("/bank/query", &json!({"flow_no": "F1"}))
        .await;
    world
        .stats_until(|stats| stats["calls"]["QUERY"] == 1)
        .await;
    world.sim.stop().await;
    let mut bytes = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[tokio::test]
async fn a_drip_comes_byte_by_byte() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "answer": {"drip_ms": 1}}))
        .await;
    let mut stream = world
        .raw_send("/bank/query", &json!({"flow_no": "F1"}))
        .await;
    let mut bytes = Vec::new();
    let mut reads = 0_usize;
    while tokio::io::AsyncReadExt::read_buf(&mut stream, &mut bytes)
        .await
        .expect("bytes")
        > 0
    {
        reads += 1;
    }
    assert!(body_of(&bytes).contains("\"status\":4"));
    // A slow reader may find a few bytes at once, but never the answer as a whole.
    assert!(
        reads > bytes.len() / 4,
        "{reads} reads for {} bytes",
        bytes.len()
    );
}

#[tokio::test]
async fn raw_bytes_come_as_they_are() {
    let world = TestWorld::start().await;
    let (got, end) = faulty_pay(&world, "F1", json!({"raw": "\u{feff}for $flow_no\n"})).await;
    assert!(end.is_ok());
    assert_eq!(got, "\u{feff}for F1\n".as_bytes());
    let bytes = [0, 255, b'$', 13, 10];
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    let (got, _) = faulty_pay(&world, "F2", json!({"raw_base64": base64})).await;
    assert_eq!(got, bytes);
}

#[tokio::test]
async fn http_answers_are_free_and_have_placeholders() {
    let world = TestWorld::start().await;
    let body = r#"{"status":1,"status":-1,"flow_no":"$flow_no","amount_minor":$amount_minor.0}"#;
    let headers = json!({"location": "/bank/other", "x-test": "1"});
    let answer = json!({"http": 302, "content_type": "text/x", "headers": headers, "body": body});
    let (got, _) = {
        world
            .fault(json!({"op": "QUERY", "answer": answer, "times": 1}))
            .await;
        world
            .status("/bank/pay", pay_body("F1", "bj-power", BILL))
            .await;
        let mut stream = world
            .raw_send("/bank/query", &json!({"flow_no": "F1"}))
            .await;
        let mut got = Vec::new();
        while !got.ends_with(b"}") {
            let read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut got).await;
            assert!(read.expect("bytes") > 0);
        }
        (got, stream)
    };
    let text = str::from_utf8(&got).expect("text");
    assert!(text.starts_with("HTTP/1.1 302 "), "{text}");
    for header in [
        "content-type: text/x\r\n",
        "location: /bank/other\r\n",
        "x-test: 1\r\n",
    ] {
        assert!(text.contains(header), "{text}");
    }
    let filled = r#"{"status":1,"status":-1,"flow_no":"F1","amount_minor":5000.0}"#;
    assert_eq!(body_of(&got), filled);
}

#[tokio::test]
async fn a_status_may_come_with_wrong_echoes() {
    let world = TestWorld::start().await;
    let fields = json!({"flow_no": "other", "amount_minor": 1.5, "extra": null});
    let answer = json!({"status": 1, "override": fields});
    world
        .fault(json!({"op": "PAY", "effect": "NONE", "answer": answer}))
        .await;
    let (_, got) = world
        .post("/bank/pay", pay_body("F1", "bj-power", BILL))
        .await;
    let (flow_no, amount) = (&got["flow_no"], &got["amount_minor"]);
    assert_eq!((flow_no, amount), (&json!("other"), &json!(1.5)));
    assert_eq!(got["bill_no"], BILL);
    assert!(got.as_object().expect("an object").contains_key("extra"));
    assert_eq!(world.effects("F1"), [0; 4]);
}

#[tokio::test]
async fn a_refusal_without_effect_is_remembered() {
    let world = TestWorld::start().await;
    let spec = json!({"op": "PAY", "effect": "NONE", "answer": {"status": 1004}, "times": 1});
    world.fault(spec).await;
    assert_eq!(
        world
            .status("/bank/pay", pay_body("F1", "bj-power", BILL))
            .await,
        1004
    );
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        1004
    );
    assert_eq!(world.effects("F1"), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_scripted_effect_may_come_later() {
    let world = TestWorld::start().await;
    for op in ["PAY", "REVERSE"] {
        let spec = json!({"op": op, "effect": "LATER_MS", "later_ms": 200, "times": 1});
        world.fault(spec).await;
    }
    assert_eq!(
        world
            .status("/bank/pay", pay_body("F1", "bj-power", BILL))
            .await,
        -1
    );
    world.stats_until(|stats| stats["late_pending"] == 0).await;
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        1
    );
    let reverse = reverse_body("R1", "F1", BILL);
    assert_eq!(world.status("/bank/reverse", reverse).await, -1);
    world.stats_until(|stats| stats["late_pending"] == 0).await;
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "F1"})).await,
        5
    );
    assert_eq!(world.effects("F1"), [1, 1, 0, 0]);
}

#[tokio::test]
async fn a_huge_answer_is_one_big_object() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "answer": {"huge_mb": 3}}))
        .await;
    let (_, got) = world.post("/bank/query", json!({"flow_no": "F1"})).await;
    assert_eq!(got["status"], 4);
    assert_eq!(got["padding"].as_str().expect("text").len(), 3 << 20);
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire() {
    let world = TestWorld::start().await;
    world
        .fault(json!({"op": "QUERY", "answer": {"gzip_bomb": true}}))
        .await;
    let request = world.client.post(format!("{}/bank/query", world.sim.url()));
    let request = request.header("content-type", "application/json");
    let response = request
        .body(r#"{"flow_no":"F1"}"#)
        .send()
        .await
        .expect("a response");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.expect("a body");
    assert!(
        (6_000_000..8_000_000).contains(&packed.len()),
        "{}",
        packed.len()
    );
    assert!(packed.starts_with(b"\x1f\x8b\x08"));
    // From the first repeat on, the stream has a period of 13 bytes.
    assert!(
        packed[100..]
            .iter()
            .zip(&packed[113..])
            .all(|(one, next)| one == next)
    );
}

#[tokio::test]
async fn latency_comes_after_the_effect() {
    let world = TestWorld::start().await;
    let (_, body) = world.post("/admin/latency", json!({"ms": 100_000})).await;
    assert_eq!(body["ms"], 100_000);
    world
        .call_hangs("/bank/pay", &pay_body("F1", "bj-power", BILL))
        .await;
    assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
}
