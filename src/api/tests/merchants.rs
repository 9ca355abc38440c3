//! Merchants over the API: from nothing to orders with two people, who sees what, and each refusal by
//! its code.

use super::support::*;
use crate::api::playground::EXAMPLES;
use serde_json::{Value, json};

/// Does what an example does, with some of its variables changed.
async fn run(world: &World, token: &str, name: &str, change: Value) -> Value {
    let example = EXAMPLES.iter().find(|one| one.name == name).unwrap();
    let mut variables: Value = serde_json::from_str(example.variables).unwrap();
    for (key, value) in change.as_object().unwrap() {
        variables["input"][key] = value.clone();
    }
    world.field(token, example.document, variables).await
}

fn code(payload: &Value) -> &str {
    assert!(payload["merchant"].is_null(), "{payload}");
    payload["userErrors"][0]["code"].as_str().unwrap()
}

async fn read(world: &World, token: &str, merchant: &str) -> Value {
    let example = EXAMPLES.iter().find(|one| one.name == "merchant").unwrap();
    let variables = json!({ "code": merchant });
    world.field(token, example.document, variables).await
}

/// Registered and submitted by olga, ticked by rudi: the hash to approve.
async fn waiting(world: &World) -> String {
    run(world, OPERATOR, "merchant_register", json!({})).await;
    let submitted = run(world, OPERATOR, "merchant_submit", json!({})).await;
    assert_eq!(submitted["merchant"]["state"], "SUBMITTED", "{submitted}");
    let hash = submitted["merchant"]["proposed"]["contentHash"].as_str();
    let hash = hash.unwrap().to_owned();
    for item in [
        "LICENCE",
        "CREDIT_CODE",
        "CONTACT",
        "SETTLEMENT_ACCOUNT",
        "NOTIFY_URL",
        "TERMS",
    ] {
        let early = run(
            world,
            REVIEWER,
            "merchant_approve",
            json!({ "contentHash": hash }),
        )
        .await;
        assert_eq!(code(&early), "CHECKLIST_INCOMPLETE");
        let tick = json!({ "contentHash": hash, "item": item });
        let ticked = run(world, REVIEWER, "merchant_check", tick).await;
        assert_eq!(ticked["userErrors"], json!([]), "{ticked}");
    }
    hash
}

#[tokio::test]
async fn from_nothing_to_operation_with_two_people() {
    let world = World::new().await;
    let hash = waiting(&world).await;
    let approved = run(
        &world,
        REVIEWER,
        "merchant_approve",
        json!({ "contentHash": hash }),
    )
    .await;
    assert_eq!(approved["merchant"]["state"], "APPROVED", "{approved}");
    let revision = &approved["merchant"]["approved"];
    assert_eq!(revision["contentHash"], json!(hash));
    let people = (&revision["maker"], &revision["checker"]);
    assert_eq!(people, (&json!("operator:olga"), &json!("operator:rudi")));
    for (step, token, state) in [
        ("merchant_activate", REVIEWER, "ACTIVE"),
        ("merchant_suspend", OPERATOR, "SUSPENDED"),
        ("merchant_resume", REVIEWER, "ACTIVE"),
        ("merchant_suspend", REVIEWER, "SUSPENDED"),
        ("merchant_close", REVIEWER, "CLOSED"),
    ] {
        let done = run(&world, token, step, json!({})).await;
        assert_eq!(done["merchant"]["state"], state, "{step}: {done}");
    }
    let late = run(&world, REVIEWER, "merchant_resume", json!({})).await;
    assert_eq!(code(&late), "MERCHANT_STATE_CONFLICT");
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let world = World::new().await;
    let hash = waiting(&world).await;
    let named = json!({ "contentHash": hash });
    // Olga wrote it, and is a reviewer by now.
    for step in ["merchant_approve", "merchant_reject", "merchant_check"] {
        let own = run(&world, PROMOTED, step, named.clone()).await;
        assert_eq!(code(&own), "MAKER_IS_CHECKER", "{step}");
    }
    let again = run(&world, OPERATOR, "merchant_register", json!({})).await;
    assert_eq!(code(&again), "MERCHANT_EXISTS");
    let stale = run(&world, OPERATOR, "merchant_update", json!({ "version": 0 })).await;
    assert_eq!(code(&stale), "MERCHANT_CHANGED");
    let other = run(
        &world,
        REVIEWER,
        "merchant_approve",
        json!({ "contentHash": "x" }),
    )
    .await;
    assert_eq!(code(&other), "MERCHANT_CONTENT_CHANGED");
    let nobody = json!({ "code": "nobody", "contentHash": hash });
    let nobody = run(&world, REVIEWER, "merchant_approve", nobody).await;
    assert_eq!(code(&nobody), "MERCHANT_NOT_FOUND");
    // Two at once: one of them is told that it is decided.
    let (one, two) = tokio::join!(
        run(&world, REVIEWER, "merchant_approve", named.clone()),
        run(&world, ADMIN, "merchant_approve", named.clone()),
    );
    let lost = if one["merchant"].is_null() { one } else { two };
    assert_eq!(code(&lost), "MERCHANT_ALREADY_DECIDED");
    let alpha = json!({ "code": "alpha", "contentHash": hash });
    let nothing = run(&world, REVIEWER, "merchant_reject", alpha).await;
    assert_eq!(code(&nothing), "MERCHANT_NOT_SUBMITTED");
    let made = world.create(GONE, "R-1", "13800000001", "5000").await;
    assert_eq!(made["userErrors"][0]["code"], "MERCHANT_SUSPENDED");
}

#[tokio::test]
async fn a_broken_profile_names_its_field_and_does_not_repeat_it() {
    let world = World::new().await;
    let example = EXAMPLES
        .iter()
        .find(|one| one.name == "merchant_register")
        .unwrap();
    for (field, value) in [
        ("creditCode", json!("91310115000000002Z")),
        ("items", json!(["no such item!"])),
        ("regions", json!(["31"])),
        ("limitCurrency", json!("YUAN")),
        ("orderLimitMinor", json!("1.5")),
        ("notifyUrl", json!("http://cAnArY.example/")),
    ] {
        let mut variables: Value = serde_json::from_str(example.variables).unwrap();
        variables["input"]["profile"][field] = value.clone();
        let payload = world.field(OPERATOR, example.document, variables).await;
        assert_eq!(code(&payload), "INVALID_ARGUMENT");
        let error = &payload["userErrors"][0];
        assert_eq!(error["field"], field, "{error}");
        let sent = value.as_str().unwrap_or("no such item!");
        assert!(
            !error["message"].as_str().unwrap().contains(sent),
            "{error}"
        );
    }
}

#[tokio::test]
async fn persons_and_accounts_are_masked_for_those_without_the_right() {
    let world = World::new().await;
    let account = |merchant: &Value| merchant["approved"]["account"]["accountNo"].clone();
    let in_clear = json!("6222020000001234567");
    for token in [OPERATOR, REVIEWER, ADMIN] {
        assert_eq!(account(&read(&world, token, "alpha").await), in_clear);
    }
    for token in [VIEWER, ALPHA] {
        let merchant = read(&world, token, "alpha").await;
        assert_eq!(account(&merchant), json!("6****************67"));
        let contact = merchant["approved"]["contact"].to_string();
        assert!(
            !contact.contains("desk@") && !contact.contains("5555"),
            "{contact}"
        );
    }
}

#[tokio::test]
async fn a_merchant_sees_itself_and_not_who_at_the_center_did_what() {
    let world = World::new().await;
    assert!(read(&world, BETA, "alpha").await.is_null());
    let own = read(&world, ALPHA, "alpha").await;
    assert_eq!(own["code"], "alpha");
    let document =
        "{ merchant(code: \"alpha\") { approved { maker submitter checker ticks { note } } } }";
    let own = world.field(ALPHA, document, json!({})).await;
    let hidden = json!({ "maker": null, "submitter": null, "checker": null, "ticks": [] });
    assert_eq!(own["approved"], hidden);
    let seen = world.field(VIEWER, document, json!({})).await;
    assert_eq!(seen["approved"]["maker"], "operator:ann");
    assert_eq!(seen["approved"]["ticks"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn merchants_are_listed_page_by_page() {
    let world = World::new().await;
    let document =
        "query($s: [MerchantState!], $a: String) { merchants(states: $s, first: 2, after: $a) {
        edges { node { code state } } pageInfo { hasNextPage endCursor } } }";
    let codes = |page: &Value| -> Vec<String> {
        let edges = page["edges"].as_array().unwrap().iter();
        edges
            .map(|edge| edge["node"]["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = world.field(VIEWER, document, json!({})).await;
    assert_eq!(codes(&page), ["alpha", "app"]);
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let after = json!({ "a": page["pageInfo"]["endCursor"] });
    let page = world.field(VIEWER, document, after).await;
    assert_eq!(codes(&page), ["beta", "gone"]);
    assert_eq!(page["pageInfo"]["hasNextPage"], false);
    let suspended = json!({ "s": ["SUSPENDED"] });
    assert_eq!(
        codes(&world.field(VIEWER, document, suspended).await),
        ["gone"]
    );
}
