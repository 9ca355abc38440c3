//! Who a private key is handed to: for its ticket, and by a right to it where the caller is known.

use super::support::*;
use crate::domain::ids::KeyId;
use crate::storage::keys::{self, KeySecret};
use crate::storage::{StoreError, Tx};
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

/// Exchanges what is kept of the private parts of two keys; each keeps its ticket.
async fn exchange(world: &World, inputs: [&Value; 2]) {
    let ids = inputs.map(|input| input["i"]["keyId"].as_str().unwrap().to_owned());
    let ids = ids.map(|id| KeyId::try_new(id).unwrap());
    let step = move |tx: &mut Tx<'_>| -> Result<(), StoreError> {
        let mut kept = Vec::new();
        for id in &ids {
            kept.push(keys::secret(tx.c, id)?.unwrap());
            assert!(tx.forget_key_secret(id)?);
        }
        for (own, other) in [(&kept[0], &kept[1]), (&kept[1], &kept[0])] {
            tx.keep_key_secret(&KeySecret {
                key_id: own.key_id.clone(),
                ticket_hash: own.ticket_hash.clone(),
                ..other.clone()
            })?;
        }
        Ok(())
    };
    world.store.solo(step).await.unwrap();
}

/// Whoever writes to the database cannot have another's private key handed out: the caller learns that
/// something is wrong on our side, and nothing else, and the ticket is not used up.
#[tokio::test]
async fn a_private_part_that_was_moved_is_a_fault_that_says_nothing() {
    let world = World::new().await;
    let inputs = [made(&world).await, made(&world).await];
    exchange(&world, inputs.each_ref()).await;
    for input in &inputs {
        for token in [None, Some(ALPHA)] {
            let answer = world.ask(token, TAKE, input.clone()).await;
            assert_eq!(answer.code(), "INTERNAL");
            let words = "something went wrong on our side; tell us the request id";
            assert_eq!(answer.error()["message"], words);
            assert!(!answer.text.contains("PRIVATE KEY"), "{}", answer.text);
            assert!(!answer.text.contains("key_secrets"), "{}", answer.text);
        }
    }
    exchange(&world, inputs.each_ref()).await;
    for input in &inputs {
        assert_eq!(take(&world, None, input).await, "HANDED_OUT");
    }
}
