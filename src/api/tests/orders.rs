//! Orders: what is done, and how each way of doing it wrong is refused.

use super::support::*;
use crate::domain::outcome::{Cause, Reply};
use serde_json::{Value, json};
use std::time::Duration;

fn codes(payload: &Value) -> Vec<&str> {
    let errors = payload["userErrors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_is_made_confirmed_and_paid() {
    let world = World::new().await;
    let made = world.create(ALPHA, "R-1", "13800000001", "5000").await;
    assert_eq!(made["order"]["state"], "CREATED");
    assert_eq!(
        made["order"]["amount"],
        json!({ "minor": "5000", "currency": "CNY", "display": "50.00" })
    );
    let order_no = made["order"]["orderNo"].as_str().unwrap();
    let paid = world.confirm(ALPHA, order_no).await;
    assert_eq!(paid["order"]["state"], "SUCCEEDED");
    assert_eq!(paid["order"]["flows"][0]["kind"], "PAYMENT");
    assert_eq!(paid["order"]["flows"][0]["state"], "SUCCEEDED");
    assert!(paid["askAgainAfterSeconds"].is_null());
    assert_eq!(world.bank.credentials(), ["123456"]);
    // Again: the same answer, and the bank is not called again.
    assert_eq!(
        world.confirm(ALPHA, order_no).await["order"]["state"],
        "SUCCEEDED"
    );
    assert_eq!(world.bank.credentials().len(), 1);
}

#[tokio::test]
async fn a_repeated_request_gets_its_first_answer_and_another_content_a_refusal() {
    let world = World::new().await;
    let first = world.create(ALPHA, "R-1", "13800000001", "5000").await;
    let again = world.create(ALPHA, "R-1", "13800000001", "5000").await;
    assert_eq!(again, first);
    let other = world.create(ALPHA, "R-1", "13800000001", "6000").await;
    assert_eq!(codes(&other), ["REQUEST_CONFLICT"]);
    assert_eq!(other["userErrors"][0]["field"], "requestNo");
    assert_eq!(other["userErrors"][0]["retry"], "ASK_ORDER");
    assert_eq!(other["userErrors"][0]["orderNo"], first["order"]["orderNo"]);
    assert!(other["order"].is_null());
    // Another merchant's number is another number.
    assert_eq!(
        codes(&world.create(BETA, "R-1", "13800000001", "6000").await),
        [""; 0]
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_new_order_is_named() {
    let world = World::new().await;
    let good = json!({
        "requestNo": "R-1", "item": "phone", "billNo": "13800000001",
        "amount": { "minor": "5000", "currency": "CNY" },
    });
    let table = [
        ("/requestNo", json!(""), "INVALID_ARGUMENT", "requestNo"),
        (
            "/requestNo",
            json!("has space"),
            "INVALID_ARGUMENT",
            "requestNo",
        ),
        ("/item", json!("nothing"), "ITEM_NOT_FOUND", "item"),
        ("/item", json!("a b"), "INVALID_ARGUMENT", "item"),
        ("/item", json!("off"), "ITEM_OFF", "item"),
        ("/billNo", json!("12"), "BILL_NO_INVALID", "billNo"),
        ("/billNo", json!("账单"), "INVALID_ARGUMENT", "billNo"),
        (
            "/amount/minor",
            json!("50.00"),
            "INVALID_ARGUMENT",
            "amount",
        ),
        (
            "/amount/minor",
            json!("-5000"),
            "INVALID_ARGUMENT",
            "amount",
        ),
        ("/amount/minor", json!("1e9"), "INVALID_ARGUMENT", "amount"),
        ("/amount/minor", json!("999"), "AMOUNT_INVALID", "amount"),
        ("/amount/minor", json!("50001"), "AMOUNT_INVALID", "amount"),
        (
            "/amount/currency",
            json!("XYZ"),
            "INVALID_ARGUMENT",
            "amount",
        ),
        ("/amount/currency", json!("USD"), "AMOUNT_INVALID", "amount"),
    ];
    for (place, value, code, field) in table {
        let mut input = good.clone();
        *input.pointer_mut(place).unwrap() = value.clone();
        let payload = world.field(ALPHA, CREATE, json!({ "input": input })).await;
        assert_eq!(codes(&payload), [code], "{place} = {value}");
        assert_eq!(
            payload["userErrors"][0]["field"], field,
            "{place} = {value}"
        );
        assert!(payload["order"].is_null());
    }
    assert_eq!(
        codes(&world.create(GONE, "R-1", "13800000001", "5000").await),
        ["MERCHANT_SUSPENDED"]
    );
    // A number is not a string: that is the schema's to refuse, before anything is executed.
    let mut input = good;
    input["amount"]["minor"] = json!(5000);
    let answer = world
        .ask(Some(ALPHA), CREATE, json!({ "input": input }))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "BAD_REQUEST")
    );
}

#[tokio::test]
async fn a_bill_that_cannot_be_paid_makes_no_order() {
    let world = World::new().await;
    for (bill_no, minor, code) in [
        ("10000000", "8650", "BILL_ALREADY_PAID"),
        ("10000009", "8650", "BILL_NOT_FOUND"),
        ("10000001", "8651", "AMOUNT_INVALID"),
    ] {
        let input = json!({
            "requestNo": "R-1", "item": "water", "billNo": bill_no,
            "amount": { "minor": minor, "currency": "CNY" },
        });
        let payload = world.field(ALPHA, CREATE, json!({ "input": input })).await;
        assert_eq!(codes(&payload), [code]);
    }
}

#[tokio::test]
async fn a_confirmation_that_cannot_be_done_is_refused_by_name() {
    let world = World::new().await;
    let confirm = async |order_no: &str| world.confirm(ALPHA, order_no).await;
    let malformed = confirm("12").await;
    assert_eq!(codes(&malformed), ["INVALID_ARGUMENT"]);
    assert_eq!(
        malformed["userErrors"][0]["message"],
        "orderNo has to be 24 digits"
    );
    assert_eq!(
        codes(&confirm("202001010000000000000000").await),
        ["ORDER_NOT_FOUND"]
    );

    // One open payment per bill: the second order of the same number is told about the first.
    let first = world.order(ALPHA, "R-1", "13800000001").await;
    let second = world.order(ALPHA, "R-2", "13800000001").await;
    world.bank.will_pay(Reply::Unknown(Cause::TimedOut));
    let doubtful = confirm(&first).await;
    assert_eq!(doubtful["order"]["state"], "UNKNOWN");
    assert_eq!(doubtful["askAgainAfterSeconds"], 5);
    let refused_second = confirm(&second).await;
    assert_eq!(codes(&refused_second), ["PAYMENT_IN_PROGRESS"]);
    assert_eq!(refused_second["userErrors"][0]["orderNo"], json!(first));
    assert!(refused_second["askAgainAfterSeconds"].is_null());

    // A known refusal of the bank is an answer, not a refusal of the request.
    let third = world.order(ALPHA, "R-3", "13800000003").await;
    world.bank.will_pay(refused("INSUFFICIENT_FUNDS"));
    let failed = confirm(&third).await;
    assert_eq!(failed["order"]["state"], "FAILED");
    assert_eq!(failed["order"]["reason"], "INSUFFICIENT_FUNDS");
    assert_eq!(codes(&failed), [""; 0]);

    let late = world.order(ALPHA, "R-4", "13800000004").await;
    world.clock.advance(Duration::from_secs(7_200));
    assert_eq!(codes(&confirm(&late).await), ["ORDER_EXPIRED"]);
    assert_eq!(codes(&confirm(&late).await), ["ORDER_CLOSED"]);
}

#[tokio::test]
async fn an_order_is_cancelled_before_it_is_paid_and_not_after() {
    let world = World::new().await;
    let cancel = async |token, order_no: &str| {
        let input = json!({ "input": { "orderNo": order_no } });
        world.field(token, CANCEL, input).await
    };
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let closed = cancel(ALPHA, &order_no).await;
    assert_eq!(closed["order"]["state"], "CLOSED");
    assert_eq!(closed["order"]["reason"], "CANCELLED");
    assert_eq!(cancel(ALPHA, &order_no).await, closed);
    let paid = world.order(ALPHA, "R-2", "13800000002").await;
    world.confirm(ALPHA, &paid).await;
    let refused = cancel(ALPHA, &paid).await;
    assert_eq!(codes(&refused), ["ORDER_STATE_CONFLICT"]);
    assert_eq!(refused["userErrors"][0]["orderNo"], json!(paid));
    assert_eq!(codes(&cancel(ALPHA, "x").await), ["INVALID_ARGUMENT"]);
    assert_eq!(
        codes(&cancel(ALPHA, "202001010000000000000000").await),
        ["ORDER_NOT_FOUND"]
    );
    // An operator may, for anybody.
    let other = world.order(BETA, "R-3", "13800000003").await;
    assert_eq!(cancel(OPERATOR, &other).await["order"]["state"], "CLOSED");
}

#[tokio::test]
async fn the_request_s_id_is_in_the_audit_row() {
    use crate::storage::audit;
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let rows = world
        .store
        .read(move |c| audit::about(c, &order_no))
        .await
        .unwrap();
    assert_eq!(rows[0].entry.actor, "merchant:alpha");
    assert_eq!(rows[0].entry.request_id.as_ref().unwrap().len(), 32);
}
