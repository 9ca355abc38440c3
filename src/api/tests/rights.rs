//! Every field at the root, asked by every kind of caller. A field that is in the schema and not in
//! this table fails the test: a new one cannot come without its rule.

use super::support::*;
use crate::api::playground::EXAMPLES;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A field, who may use it, and the example that asks for it. A letter for each caller.
const TABLE: &[(&str, &str, &str)] = &[
    ("regions", "0abwgvorAu", "regions"),
    ("region", "0abwgvorAu", "region"),
    ("payableItems", "0abwgvorAu", "payable_items"),
    ("item", "0abwgvorAu", "item"),
    ("billers", "0abwgvorAu", "billers"),
    ("serverInfo", "0abwgvorAu", "server_info"),
    ("bill", "abwgvorAu", "bill"),
    ("order", "abwgvorAu", "order"),
    ("orderByRequest", "abwgvorAu", "order_by_request"),
    ("orders", "abwgvorAu", "orders"),
    ("flow", "abwgvorAu", "flow"),
    ("flows", "abwgvorAu", "flows"),
    ("orderTimeline", "abwgvorAu", "order_timeline"),
    ("exceptions", "vorAu", "exceptions"),
    ("case", "vorAu", "case"),
    ("cases", "vorAu", "cases"),
    ("merchant", "abwgvorAu", "merchant"),
    ("merchants", "vorAu", "merchants"),
    ("jobRuns", "vorAu", "job_runs"),
    ("key", "abwgvorAu", "key"),
    ("keys", "abwgvorAu", "keys"),
    ("notification", "abwgvorAu", "notification"),
    ("notifications", "abwgvorAu", "notifications"),
    ("notificationResend", "abwgoA", "notification_resend"),
    ("notificationsResend", "abwgoA", "notifications_resend"),
    ("keyIssue", "abwgoA", "key_issue"),
    ("keyRotate", "abwgoA", "key_rotate"),
    ("keyApprove", "rA", "key_approve"),
    ("keyReject", "rA", "key_reject"),
    ("keyRevoke", "abwgorA", "key_revoke"),
    ("keyHandOut", "0abwgvorAu", "key_hand_out"),
    ("orderCreate", "abwg", "order_create"),
    ("orderConfirm", "abwg", "order_confirm"),
    ("orderCancel", "abwgoA", "order_cancel"),
    ("caseDecide", "oA", "case_decide"),
    ("caseApprove", "rA", "case_approve"),
    ("caseReject", "rA", "case_reject"),
    ("me", "vorAu", "me"),
    ("operators", "Au", "operators"),
    ("operatorLogin", "0vorAu", "operator_login"),
    ("operatorLogout", "vorAu", "operator_logout"),
    ("operatorReauthenticate", "vorAu", "operator_reauthenticate"),
    (
        "operatorChangePassword",
        "vorAu",
        "operator_change_password",
    ),
    ("operatorTotpBegin", "vorAu", "operator_totp_begin"),
    ("operatorTotpConfirm", "vorAu", "operator_totp_confirm"),
    ("operatorAdd", "A", "operator_add"),
    ("operatorSetRole", "A", "operator_set_role"),
    ("operatorResetPassword", "A", "operator_reset_password"),
    ("operatorDisable", "A", "operator_disable"),
    ("operatorEnable", "A", "operator_enable"),
    ("merchantRegister", "oA", "merchant_register"),
    ("merchantUpdate", "oA", "merchant_update"),
    ("merchantSubmit", "oA", "merchant_submit"),
    ("merchantCheck", "rA", "merchant_check"),
    ("merchantApprove", "rA", "merchant_approve"),
    ("merchantReject", "rA", "merchant_reject"),
    ("merchantActivate", "rA", "merchant_activate"),
    ("merchantSuspend", "orA", "merchant_suspend"),
    ("merchantResume", "rA", "merchant_resume"),
    ("merchantClose", "rA", "merchant_close"),
];

const CALLERS: [(char, Option<&str>); 10] = [
    ('0', None),
    ('a', Some(ALPHA)),
    ('b', Some(BETA)),
    ('w', Some(APP)),
    ('g', Some(GONE)),
    ('v', Some(VIEWER)),
    ('o', Some(OPERATOR)),
    ('r', Some(REVIEWER)),
    ('A', Some(ADMIN)),
    ('u', Some(AUDITOR)),
];

/// The variables of an example with numbers that nobody has.
fn variables(text: &str) -> Value {
    let number = "202001010000000000000000";
    let filled = text
        .replace("{{requestNo}}", "R-RIGHTS")
        .replace("{{orderNo}}", number)
        .replace("{{flowNo}}", number)
        .replace("{{caseNo}}", number)
        .replace("{{caseVersion}}", "0");
    serde_json::from_str(&filled).unwrap()
}

#[tokio::test]
async fn every_root_field_asks_for_its_right() {
    let world = World::new().await;
    for (field, allowed, example) in TABLE {
        let example = EXAMPLES.iter().find(|one| one.name == *example).unwrap();
        for (letter, token) in CALLERS {
            let answer = world
                .ask(token, example.document, variables(example.variables))
                .await;
            let was_allowed = !answer.text.contains("UNAUTHENTICATED")
                && !answer.text.contains("FORBIDDEN")
                && !answer.text.contains("NOT_ALLOWED");
            assert_eq!(
                was_allowed,
                allowed.contains(letter),
                "{field} by {letter}: {}",
                answer.text
            );
            if was_allowed {
                continue;
            }
            let is_mutation = example.document.starts_with("mutation");
            match (token, is_mutation) {
                (None, _) => {
                    assert_eq!(answer.status.as_u16(), 401);
                    assert_eq!(answer.code(), "UNAUTHENTICATED");
                }
                (Some(_), true) => {
                    let payload = &answer.data()[*field];
                    assert_eq!(payload["userErrors"][0]["code"], "NOT_ALLOWED");
                    assert_eq!(payload["userErrors"][0]["retry"], "NEVER");
                }
                (Some(_), false) => {
                    assert_eq!(answer.status.as_u16(), 200);
                    assert_eq!(answer.code(), "FORBIDDEN");
                    assert!(
                        answer.json()["data"].is_null() || answer.json()["data"][*field].is_null()
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn no_root_field_is_without_a_rule() {
    let world = World::open().await;
    let question = "{__schema{queryType{fields{name}} mutationType{fields{name}}}}";
    let schema = world.ask(None, question, json!({})).await.data()["__schema"].clone();
    let names = |kind: &str| -> BTreeSet<String> {
        let fields = schema[kind]["fields"].as_array().unwrap();
        let name = |field: &Value| field["name"].as_str().unwrap().to_owned();
        fields.iter().map(name).collect()
    };
    let mut found = names("queryType");
    found.extend(names("mutationType"));
    let known: BTreeSet<String> = TABLE
        .iter()
        .map(|(field, ..)| (*field).to_owned())
        .collect();
    assert_eq!(found, known);
}

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
