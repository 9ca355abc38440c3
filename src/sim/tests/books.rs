//! Idempotency, reversals, bills, and requests that are not understood.

use serde_json::{Value, json};

use super::super::ledger::{BankName, Event, Op};
use super::{TestWorld, pay_body, reverse_body};

const BILL: &str = "1234567890";

#[tokio::test]
async fn one_number_has_one_effect_at_the_bank_and_two_at_the_old_one() {
    let world = TestWorld::start().await;
    for (path, debits) in [("/bank/pay", 1), ("/legacy/pay", 2)] {
        let payment = world.number("F");
        for _ in 0..2 {
            let body = pay_body(&payment, "sh-school", "S12345678");
            assert_eq!(world.status(path, body).await, 1);
        }
        assert_eq!(world.effects(&payment), [debits, 0, 0, 0], "{path}");
    }
    assert_eq!(
        world.get("/admin/flows/F00001").await["known"][0]["times"],
        2
    );
    assert_eq!(
        world
            .status("/legacy/query", json!({"flow_no": "F00001"}))
            .await,
        1
    );
    assert_eq!(
        world
            .status("/bank/query", json!({"flow_no": "F00001"}))
            .await,
        4
    );
}

#[tokio::test]
async fn a_known_number_with_other_content_is_refused_without_effect() {
    let world = TestWorld::start().await;
    let body = pay_body("F1", "bj-power", BILL);
    assert_eq!(world.status("/bank/pay", body.clone()).await, 1);
    for (field, value) in [
        ("amount_minor", "5001"),
        ("bill_no", "1234567891"),
        ("currency", "USD"),
    ] {
        let mut other = body.clone();
        other[field] = Value::from(value);
        assert_eq!(world.status("/bank/pay", other).await, 2002, "{field}");
        let mut reverse = reverse_body("R1", "F1", BILL);
        reverse[field] = Value::from(value);
        assert_eq!(
            world.status("/bank/reverse", reverse).await,
            2002,
            "{field}"
        );
    }
    assert_eq!(world.status("/bank/pay", body).await, 1);
    assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_reversal_is_done_once_and_buries_the_number() {
    let world = TestWorld::start().await;
    let pay = pay_body("F1", "bj-power", BILL);
    assert_eq!(world.status("/bank/pay", pay.clone()).await, 1);
    for reversal in ["R1", "R1", "R2"] {
        let reverse = reverse_body(reversal, "F1", BILL);
        let (_, answer) = world.post("/bank/reverse", reverse).await;
        assert_eq!(
            (&answer["status"], &answer["flow_no"]),
            (&json!(1), &json!(reversal))
        );
    }
    assert_eq!(world.status("/bank/pay", pay).await, 3002);
    assert_eq!(world.effects("F1"), [1, 1, 0, 0]);

    // A number that is a reversal's is not a payment's, nor another reversal's.
    assert_eq!(
        world
            .status("/bank/pay", pay_body("R1", "bj-power", BILL))
            .await,
        2002
    );
    assert_eq!(
        world.status("/bank/query", json!({"flow_no": "R1"})).await,
        4
    );
    let other = reverse_body("R1", "F2", BILL);
    assert_eq!(world.status("/bank/reverse", other).await, 2002);
    let same = reverse_body("F3", "F3", BILL);
    assert_eq!(world.status("/bank/reverse", same).await, 2002);
}

#[tokio::test]
async fn a_reversal_before_the_payment_is_a_tombstone() {
    let world = TestWorld::start().await;
    let reverse = reverse_body("R1", "F1", BILL);
    assert_eq!(world.status("/bank/reverse", reverse).await, 1);
    assert_eq!(
        world
            .status("/bank/pay", pay_body("F1", "bj-power", BILL))
            .await,
        3002
    );
    let (_, answer) = world.post("/bank/query", json!({"flow_no": "F1"})).await;
    assert_eq!(
        (&answer["status"], &answer["bill_no"]),
        (&json!(5), &json!(BILL))
    );
    assert_eq!(world.effects("F1"), [0, 0, 1, 0]);

    let (code, _) = world
        .post("/legacy/reverse", reverse_body("R1", "F1", BILL))
        .await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_bill_is_open_until_it_is_paid_and_again_after_the_reversal() {
    let world = TestWorld::start().await;
    for (biller, bill_no, again) in [
        ("bj-power", BILL, 2001),
        ("sh-gas", "120000000012", 2001),
        ("bj-water", "123456789", 1),
    ] {
        let lookup = format!("/billers/{biller}/lookup");
        let ask = json!({"bill_no": bill_no});
        let (_, bill) = world.post(&lookup, ask.clone()).await;
        assert_eq!(
            (&bill["status"], &bill["currency"]),
            (&json!(1), &json!("CNY")),
            "{bill}"
        );
        assert_eq!(
            bill["bill_ref"],
            format!(
                "R{bill_no}-{}",
                bill["amount_minor"].as_str().expect("text")
            )
        );
        let payment = world.number("F");
        let pay = |number: &str| {
            let mut pay = pay_body(number, biller, bill_no);
            pay["amount_minor"] = bill["amount_minor"].clone();
            pay["bill_ref"] = bill["bill_ref"].clone();
            pay
        };
        let mut wrong = pay(&world.number("F"));
        wrong["amount_minor"] = json!("1");
        assert_eq!(world.status("/bank/pay", wrong).await, 2002);

        assert_eq!(world.status("/bank/pay", pay(&payment)).await, 1);
        assert_eq!(world.status(&lookup, ask.clone()).await, 2001);
        let second = world.number("F");
        assert_eq!(
            world.status("/bank/pay", pay(&second)).await,
            again,
            "{biller}"
        );
        for number in [payment, second] {
            let mut reverse = reverse_body(&format!("R{number}"), &number, bill_no);
            reverse["amount_minor"] = bill["amount_minor"].clone();
            assert_eq!(world.status("/bank/reverse", reverse).await, 1);
        }
        let (_, again) = world.post(&lookup, ask).await;
        assert_eq!(again, bill);
    }
}

#[tokio::test]
async fn billers_refuse_what_is_not_theirs() {
    let world = TestWorld::start().await;
    for (biller, bill_no, status) in [
        ("nobody", BILL, 2004),
        ("bj-power", "12", 2003),
        ("sh-telecom", "13912345678", 1),
        ("sh-telecom", "12912345678", 2003),
        ("sh-school", "S12345678", 1),
    ] {
        let payment = world.number("F");
        let body = pay_body(&payment, biller, bill_no);
        assert_eq!(
            world.status("/bank/pay", body).await,
            status,
            "{biller} {bill_no}"
        );
        assert_eq!(
            world
                .status("/bank/query", json!({"flow_no": payment}))
                .await,
            status
        );
    }
    for (biller, status) in [("nobody", 2004), ("bj-water", 2003)] {
        let path = format!("/billers/{biller}/lookup");
        assert_eq!(world.status(&path, json!({"bill_no": "12"})).await, status);
    }
    let (code, _) = world
        .post("/billers/sh-school/lookup", json!({"bill_no": "S12345678"}))
        .await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_request_that_comes_too_late_is_refused_for_good() {
    let world = TestWorld::start().await;
    let mut body = pay_body("F1", "bj-power", BILL);
    body["valid_until"] = json!("2020-01-01T00:00:00+08:00");
    assert_eq!(world.status("/bank/pay", body.clone()).await, 3001);
    body["valid_until"] = json!("2100-01-01T00:00:00+08:00");
    assert_eq!(world.status("/bank/pay", body).await, 3001);
    assert_eq!(world.effects("F1"), [0, 0, 0, 1]);

    let world = TestWorld::start_with(|options| options.ignore_valid_until = true).await;
    let mut body = pay_body("F1", "bj-power", BILL);
    body["valid_until"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(world.status("/bank/pay", body).await, 1);
}

#[tokio::test]
async fn what_is_not_understood_is_an_http_400_that_says_why() {
    let world = TestWorld::start().await;
    let good = pay_body("F1", "bj-power", BILL);
    for (field, value) in [
        ("flow_no", Value::Null),
        ("flow_no", json!("")),
        ("order_no", json!("a b")),
        ("bill_no", json!("x".repeat(65))),
        ("amount_minor", json!(5000)),
        ("amount_minor", json!("50.00")),
        ("amount_minor", json!("1234567890123456789")),
        ("currency", json!("cny")),
        ("valid_until", json!("tomorrow")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (code, answer) = world.post("/bank/pay", body).await;
        assert_eq!(code, 400, "{field}");
        assert!(answer["message"].is_string(), "{field}: {answer}");
    }
    assert_eq!(world.post("/bank/pay", json!([1])).await.0, 400);
    assert_eq!(
        world.send(reqwest::Method::POST, "/bank/pay", None).await.0,
        400
    );
    assert_eq!(
        world.send(reqwest::Method::GET, "/bank/pay", None).await.0,
        405
    );
    assert_eq!(world.post("/bank/nothing", json!({})).await.0, 404);
    assert_eq!(world.post("/", json!({})).await.0, 404);
    let long = json!({"flow_no": "x".repeat(2 << 20)});
    assert_eq!(world.post("/bank/query", long).await.0, 413);
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn every_call_is_on_record_unless_that_is_switched_off() {
    for ledger_calls in [true, false] {
        let world = TestWorld::start_with(|options| options.ledger_calls = ledger_calls).await;
        world
            .status("/billers/bj-power/lookup", json!({"bill_no": BILL}))
            .await;
        world
            .status("/bank/pay", pay_body("F1", "bj-power", BILL))
            .await;
        world.status("/bank/query", json!({"flow_no": "F1"})).await;
        world.status("/bank/query", json!({"flow_no": "F2"})).await;
        world
            .status("/bank/reverse", reverse_body("R1", "F1", BILL))
            .await;
        let calls: Vec<_> = world
            .ledger()
            .into_iter()
            .filter_map(|entry| match entry.event {
                Event::Call(call) => Some((entry.bank, call.op, call.order_no, call.answer)),
                _ => None,
            })
            .collect();
        if ledger_calls {
            let (bank, order_no) = (Some(BankName::Bank), Some("OF1".to_owned()));
            let expected = [
                (None, Op::Lookup, None, "1".to_owned()),
                (bank, Op::Pay, order_no.clone(), "1".to_owned()),
                (bank, Op::Query, order_no.clone(), "1".to_owned()),
                (bank, Op::Query, None, "4".to_owned()),
                (bank, Op::Reverse, order_no, "1".to_owned()),
            ];
            assert_eq!(calls, expected);
        } else {
            assert!(calls.is_empty());
        }
        assert_eq!(world.effects("F1"), [1, 1, 0, 0]);
    }
}
