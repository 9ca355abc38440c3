//! Who a private key is handed to: for its ticket, and by a right to it where the caller is known.

use super::support::*;
use serde_json::{Value, json};

const TAKE: &str = "mutation($i: KeyHandOutInput!) { keyHandOut(input: $i) \
                    { privateKey userErrors { code message } } }";

/// A pair that the center made for alpha, issued by olga and approved by rudi: its ticket as input.
async fn made(world: &World) -> Value {
    let issue = "mutation($i: KeyIssueInput!) { keyIssue(input: $i) { key { keyId } ticket } }";
    let input = json!({ "i": { "merchant": "alpha", "algorithm": "ED25519" } });
    let issued = world.field(OPERATOR, issue, input).await;
    let approve =
        "mutation($i: KeyApproveInput!) { keyApprove(input: $i) { userErrors { code } } }";
    let input = json!({ "i": { "keyId": issued["key"]["keyId"], "version": 0 } });
    world.field(REVIEWER, approve, input).await;
    json!({ "i": { "keyId": issued["key"]["keyId"], "ticket": issued["ticket"] } })
}

/// The code of a refusal; `HANDED_OUT` where there was none.
async fn take(world: &World, token: Option<&str>, input: &Value) -> String {
    let answer = world.ask(token, TAKE, input.clone()).await;
    let payload = answer.data()["keyHandOut"].clone();
    match payload["userErrors"][0]["code"].as_str() {
        Some(code) => {
            assert_eq!(payload["privateKey"], Value::Null);
            code.to_owned()
        }
        None => {
            let pem = payload["privateKey"].as_str().unwrap();
            assert!(pem.contains("PRIVATE KEY"));
            "HANDED_OUT".to_owned()
        }
    }
}

#[tokio::test]
async fn a_ticket_alone_gives_no_operator_a_key() {
    let world = World::new().await;
    let input = made(&world).await;
    for token in [VIEWER, AUDITOR, REVIEWER] {
        assert_eq!(take(&world, Some(token), &input).await, "NOT_ALLOWED");
    }
    // Another merchant is not told that there is such a key.
    assert_eq!(take(&world, Some(BETA), &input).await, "KEY_NOT_FOUND");
    // Nobody has used the ticket up.
    assert_eq!(take(&world, None, &input).await, "HANDED_OUT");
}

/// Each of these may: who may issue keys, whose it is, and whoever has nothing but the ticket.
#[tokio::test]
async fn a_right_to_the_key_and_its_ticket_are_enough() {
    let world = World::new().await;
    for token in [Some(OPERATOR), Some(ADMIN), Some(ALPHA), None] {
        let input = made(&world).await;
        assert_eq!(take(&world, token, &input).await, "HANDED_OUT", "{token:?}");
        let mut wrong = input.clone();
        wrong["i"]["ticket"] = "guess".into();
        assert_eq!(take(&world, token, &wrong).await, "KEY_TICKET_INVALID");
        assert_eq!(take(&world, token, &input).await, "KEY_TICKET_INVALID");
    }
}
