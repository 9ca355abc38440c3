//! Notifications over the API: whose they are, who may order them sent again, and what is said of it.

use super::support::*;
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::{MerchantKind, Profile};
use crate::engine::samples;
use serde_json::{Value, json};

const LIST: &str = "query($f: NotificationFilter, $n: Int, $a: String) {
    notifications(filter: $f, first: $n, after: $a) {
        edges { cursor node { id orderNo orderVersion orderState orderReason merchant state reason
            series triesMade triesTotal nextAt concludedAt order { orderNo state }
            tries { series number outcome httpStatus host cause durationMs } } }
        pageInfo { hasNextPage endCursor } } }";
const RESEND: &str = "mutation($i: NotificationResendInput!) { notificationResend(input: $i) {
    notification { id state series } userErrors { code field message retry } } }";
const RESEND_MANY: &str =
    "mutation($i: NotificationsResendInput!) { notificationsResend(input: $i) {
    count hasMore userErrors { code field message retry } } }";

/// A world where alpha has a notify URL.
async fn world() -> World {
    let world = World::new().await;
    notify_nowhere(&world, "alpha").await;
    world
}

/// Gives a merchant a notify URL that nobody is called by: its address is refused.
pub async fn notify_nowhere(world: &World, code: &str) {
    let desk = world.engine.onboarding();
    let code = MerchantCode::try_new(code).unwrap();
    let scope = crate::engine::Scope::All;
    let dossier = world.engine.merchant(&code, &scope).await.unwrap().unwrap();
    let profile = Profile {
        notify_url: Some("https://192.0.2.1/notify".to_owned()),
        ..samples::profile(code.as_str(), code.as_str(), MerchantKind::Channel)
    };
    let maker = samples::person(samples::MAKER);
    let edited = desk.edit(&code, dossier.version, profile, &maker).await;
    samples::approve(&desk, edited.unwrap()).await.unwrap();
    world.engine.refresh_catalogue().await.unwrap();
    // Without a key to sign with nothing is tried.
    world.engine.refresh_center_key().await.unwrap();
}

/// A cancelled order of alpha.
async fn closed(world: &World, request: &str, bill: &str) -> String {
    let order_no = world.order(ALPHA, request, bill).await;
    let input = json!({ "input": { "orderNo": order_no } });
    world.field(ALPHA, CANCEL, input).await;
    order_no
}

async fn list(world: &World, token: &str, filter: Value) -> Vec<Value> {
    let page = world
        .field(token, LIST, json!({ "f": filter, "n": 10 }))
        .await;
    let edges = page["edges"].as_array().unwrap().iter();
    edges.map(|edge| edge["node"].clone()).collect()
}

#[tokio::test]
async fn a_merchant_reads_its_own_with_every_try() {
    let world = world().await;
    let order_no = closed(&world, "R-1", "13800000001").await;
    world.engine.send_notifications().await.unwrap();
    for token in [ALPHA, VIEWER, AUDITOR] {
        let all = list(&world, token, json!({})).await;
        assert_eq!(all.len(), 1);
        let one = &all[0];
        assert_eq!(one["orderNo"], order_no.as_str());
        assert_eq!(
            (&one["orderState"], &one["orderReason"]),
            (&json!("CLOSED"), &json!("CANCELLED"))
        );
        assert_eq!(
            (&one["order"]["orderNo"], &one["merchant"]),
            (&json!(order_no), &json!("alpha"))
        );
        assert_eq!(
            (&one["state"], &one["triesMade"]),
            (&json!("PENDING"), &json!(1))
        );
        assert!(one["nextAt"].is_string() && one["concludedAt"].is_null());
        assert_eq!(one["tries"][0]["outcome"], "ADDRESS_REFUSED");
        assert_eq!(one["tries"][0]["number"], 1);
        assert_eq!(one["triesTotal"], 1);
        let again = json!({ "id": one["id"] });
        let by_id = "query($id: ID!) { notification(id: $id) { orderNo } }";
        assert_eq!(
            world.field(token, by_id, again).await["orderNo"],
            order_no.as_str()
        );
    }
}

#[tokio::test]
async fn another_merchant_s_is_not_there() {
    let world = world().await;
    let order_no = closed(&world, "R-1", "13800000001").await;
    let id = list(&world, ALPHA, json!({})).await[0]["id"].clone();
    for filter in [
        json!({}),
        json!({ "orderNo": order_no }),
        json!({ "merchant": "alpha" }),
    ] {
        assert!(list(&world, BETA, filter).await.is_empty());
    }
    let by_id = "query($id: ID!) { notification(id: $id) { orderNo } }";
    assert!(
        world
            .field(BETA, by_id, json!({ "id": id }))
            .await
            .is_null()
    );
    let payload = world
        .field(BETA, RESEND, json!({ "i": { "id": id } }))
        .await;
    assert_eq!(payload["userErrors"][0]["code"], "NOTIFICATION_NOT_FOUND");
    assert_eq!(payload["userErrors"][0]["field"], "id");
    assert!(payload["notification"].is_null());
    world.engine.send_notifications().await.unwrap();
    let many = json!({ "i": { "filter": { "states": ["PENDING"], "merchant": "alpha" } } });
    let payload = world.field(BETA, RESEND_MANY, many).await;
    assert_eq!(
        (&payload["count"], &payload["hasMore"]),
        (&json!(0), &json!(false))
    );
}

#[tokio::test]
async fn who_may_sends_again_and_is_told_how_many() {
    let world = world().await;
    let order_no = closed(&world, "R-1", "13800000001").await;
    closed(&world, "R-2", "13800000002").await;
    world.engine.send_notifications().await.unwrap();
    let of_order = list(&world, ALPHA, json!({ "orderNo": order_no })).await;
    let id = of_order[0]["id"].clone();
    for token in [VIEWER, REVIEWER, AUDITOR] {
        let payload = world
            .field(token, RESEND, json!({ "i": { "id": id } }))
            .await;
        assert_eq!(payload["userErrors"][0]["code"], "NOT_ALLOWED");
    }
    let payload = world
        .field(ALPHA, RESEND, json!({ "i": { "id": id } }))
        .await;
    assert_eq!(payload["notification"]["state"], "PENDING");
    let many = |most: Value| json!({ "i": { "filter": { "states": ["PENDING"] }, "most": most } });
    let payload = world.field(OPERATOR, RESEND_MANY, many(json!(100))).await;
    assert_eq!(
        (&payload["count"], &payload["hasMore"]),
        (&json!(1), &json!(false))
    );

    let timeline =
        "query($n: String!) { orderTimeline(orderNo: $n) { entries { kind text actor } } }";
    let timeline = world.field(ALPHA, timeline, json!({ "n": order_no })).await;
    let entries = timeline["entries"].as_array().unwrap();
    let about: Vec<&Value> = entries
        .iter()
        .filter(|one| one["kind"] == "NOTIFICATION")
        .collect();
    let text = json!(about).to_string();
    assert_eq!(about.len(), 3, "made, tried, sent again: {text}");
    assert!(
        text.contains("merchant:alpha") && text.contains("ADDRESS_REFUSED"),
        "{text}"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let world = world().await;
    let refusal = async |document: &str, input: Value| {
        let payload = world.field(OPERATOR, document, json!({ "i": input })).await;
        let error = payload["userErrors"][0].clone();
        (error["code"].clone(), error["field"].clone())
    };
    let invalid = |field: &str| (json!("INVALID_ARGUMENT"), json!(field));
    assert_eq!(refusal(RESEND, json!({ "id": "1" })).await, invalid("id"));
    let empty = json!({ "filter": {} });
    assert_eq!(refusal(RESEND_MANY, empty).await, invalid("filter"));
    for most in [0, -1, 1_001] {
        let input = json!({ "filter": { "states": ["GIVEN_UP"] }, "most": most });
        assert_eq!(refusal(RESEND_MANY, input).await, invalid("most"));
    }
    for (filter, field) in [
        (json!({ "orderNo": "1" }), "orderNo"),
        (json!({ "merchant": "" }), "merchant"),
        (
            json!({ "from": "2026-11-23T00:00:00Z", "to": "2026-11-22T00:00:00Z" }),
            "from",
        ),
    ] {
        let answer = world.ask(Some(VIEWER), LIST, json!({ "f": filter })).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT");
        assert_eq!(answer.error()["extensions"]["field"], field);
    }
    let foreign = world.ask(Some(VIEWER), LIST, json!({ "a": "bzE" })).await;
    assert_eq!(
        foreign.code(),
        "INVALID_ARGUMENT",
        "a cursor of another list"
    );
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let world = world().await;
    for n in 1..=5 {
        closed(&world, &format!("R-{n}"), &format!("1380000000{n}")).await;
    }
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = world
            .field(ALPHA, LIST, json!({ "f": {}, "n": 2, "a": after }))
            .await;
        let edges = page["edges"].as_array().unwrap();
        seen.extend(edges.iter().map(|edge| edge["node"]["id"].to_string()));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), seen), (5, sorted));
}
