//! What a merchant sees of its own orders, and what of them stays the center's affair. Who may use which
//! field at all is held by the table in `matrix/rules.txt`.

use super::support::*;
use crate::domain::outcome::{Cause, Reply};
use serde_json::{Value, json};

/// What alpha has, beta cannot see, by whatever way it asks.
#[tokio::test]
async fn a_merchant_sees_its_own_and_nothing_else() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let confirmed = world.confirm(ALPHA, &order_no).await;
    let flow_no = confirmed["order"]["flows"][0]["flowNo"].as_str().unwrap();

    let order = "query($n: String!) { order(orderNo: $n) { orderNo } }";
    let flow = "query($n: String!) { flow(flowNo: $n) { flowNo } }";
    for (document, number) in [(order, order_no.as_str()), (flow, flow_no)] {
        let asked = json!({ "n": number });
        assert!(world.field(BETA, document, asked.clone()).await.is_null());
        for token in [ALPHA, VIEWER, ADMIN] {
            assert!(
                world
                    .field(token, document, asked.clone())
                    .await
                    .is_object()
            );
        }
    }

    let timeline = "query($n: String!) { orderTimeline(orderNo: $n) { order { orderNo } } }";
    let hidden = world
        .ask(Some(BETA), timeline, json!({ "n": order_no }))
        .await;
    assert_eq!(hidden.code(), "ORDER_NOT_FOUND");

    for listing in ["orders", "flows"] {
        let all = format!("{{ {listing} {{ edges {{ cursor }} }} }}");
        let of = |merchant: &str| {
            format!(
                "{{ {listing}(filter: {{merchant: \"{merchant}\"}}) {{ edges {{ cursor }} }} }}"
            )
        };
        let count = async |token, document: &str| {
            let page = world.field(token, document, json!({})).await;
            page["edges"].as_array().unwrap().len()
        };
        assert_eq!(count(ALPHA, &all).await, 1);
        assert_eq!(count(BETA, &all).await, 0);
        assert_eq!(count(BETA, &of("alpha")).await, 0);
        assert_eq!(count(VIEWER, &all).await, 1);
        assert_eq!(count(VIEWER, &of("alpha")).await, 1);
        assert_eq!(count(VIEWER, &of("beta")).await, 0);
    }

    let by_request =
        "query($m: String) { orderByRequest(requestNo: \"R-1\", merchant: $m) { orderNo } }";
    let found = async |token, merchant: Value| {
        world
            .field(token, by_request, json!({ "m": merchant }))
            .await
    };
    assert!(found(ALPHA, json!(null)).await.is_object());
    assert!(found(BETA, json!(null)).await.is_null());
    assert!(found(BETA, json!("alpha")).await.is_null());
    assert!(found(VIEWER, json!("alpha")).await.is_object());
    assert!(found(VIEWER, json!("beta")).await.is_null());
    let unsaid = world.ask(Some(VIEWER), by_request, json!({})).await;
    assert_eq!(
        (
            unsaid.code().as_str(),
            &unsaid.error()["extensions"]["field"]
        ),
        ("INVALID_ARGUMENT", &json!("merchant"))
    );

    for (document, input) in [
        (CONFIRM, json!({ "orderNo": order_no })),
        (CANCEL, json!({ "orderNo": order_no })),
    ] {
        let payload = world.field(BETA, document, json!({ "input": input })).await;
        assert_eq!(payload["userErrors"][0]["code"], "ORDER_NOT_FOUND");
        assert!(payload["order"].is_null());
    }
}

/// The timeline tells a merchant what happened to its order, not who at the center did what.
#[tokio::test]
async fn a_merchant_s_timeline_keeps_the_center_s_affairs_to_itself() {
    let world = World::new().await;
    let (case_no, order_no) = world.case().await;
    let decide = "mutation($i: CaseDecideInput!) { caseDecide(input: $i) { userErrors { code } } }";
    let input = json!({ "caseNo": case_no, "decision": "FAILED", "evidence": "the desk says so" });
    world.field(OPERATOR, decide, json!({ "i": input })).await;
    let approve =
        "mutation($i: CaseApproveInput!) { caseApprove(input: $i) { userErrors { code } } }";
    world
        .field(
            REVIEWER,
            approve,
            json!({ "i": { "caseNo": case_no, "version": 1 } }),
        )
        .await;

    let document =
        "query($n: String!) { orderTimeline(orderNo: $n) { entries { kind text actor } } }";
    let entries = async |token| {
        let timeline = world.field(token, document, json!({ "n": order_no })).await;
        timeline["entries"].as_array().unwrap().clone()
    };
    let own = entries(ALPHA).await;
    let text = json!(own).to_string();
    for hidden in ["olga", "rudi", "DECISION", "JOB_RUN", "the desk says so"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    assert!(
        own.iter().any(|entry| entry["actor"] == "operator"),
        "{text}"
    );
    assert!(
        own.iter().any(|entry| entry["actor"] == "merchant:alpha"),
        "{text}"
    );
    let whole = json!(entries(VIEWER).await).to_string();
    assert!(
        whole.contains("operator:olga") && whole.contains("DECISION"),
        "{whole}"
    );

    let inner = "query($n: String!) { orderTimeline(orderNo: $n) { attempts { outcome } exceptions { phase } cases { state } } }";
    let answer = world
        .ask(Some(ALPHA), inner, json!({ "n": order_no }))
        .await;
    let data = &answer.json()["data"]["orderTimeline"];
    assert_eq!(data["attempts"][0]["outcome"], "UNKNOWN");
    assert!(data["exceptions"].is_null() && data["cases"].is_null());
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
    assert_eq!(answer.code(), "FORBIDDEN");
    let seen = world.field(VIEWER, inner, json!({ "n": order_no })).await;
    assert_eq!(seen["cases"][0]["state"], "CLOSED");
    assert_eq!(seen["exceptions"][0]["phase"], "QUERY");
}

/// Another merchant's payment of the same bill is in the way, and is not named.
#[tokio::test]
async fn who_else_pays_a_bill_is_not_told() {
    let world = World::new().await;
    let first = world.order(ALPHA, "R-1", "13800000001").await;
    let second = world.order(BETA, "R-2", "13800000001").await;
    world.bank.will_pay(Reply::Unknown(Cause::TimedOut));
    world.confirm(ALPHA, &first).await;
    let refused = world.confirm(BETA, &second).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["code"], "PAYMENT_IN_PROGRESS");
    assert_eq!(error["retry"], "LATER");
    assert!(!refused.to_string().contains(&first), "{refused}");
    let own = world.order(ALPHA, "R-3", "13800000001").await;
    let refused = world.confirm(ALPHA, &own).await;
    assert_eq!(refused["userErrors"][0]["orderNo"], json!(first));
    assert_eq!(refused["userErrors"][0]["retry"], "ASK_ORDER");
}
