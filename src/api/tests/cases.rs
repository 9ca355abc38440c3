//! Cases: two people, and every way of being refused.

use super::support::*;
use serde_json::{Value, json};

const DECIDE: &str = "mutation($input: CaseDecideInput!) { caseDecide(input: $input) {
    case { state proposal { decision evidence maker } } userErrors { code field } } }";
const APPROVE: &str = "mutation($input: CaseApproveInput!) { caseApprove(input: $input) {
    case { state checker resolution } order { state reason } userErrors { code field } } }";
const REJECT: &str = "mutation($input: CaseRejectInput!) { caseReject(input: $input) {
    case { state proposal { maker } } userErrors { code field } } }";

struct Desk {
    world: World,
    case_no: String,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        let (case_no, _) = world.case().await;
        Self { world, case_no }
    }

    async fn decide(&self, token: &str, decision: &str, evidence: &str) -> Value {
        let input = json!({ "caseNo": self.case_no, "decision": decision, "evidence": evidence });
        self.world
            .field(token, DECIDE, json!({ "input": input }))
            .await
    }

    /// The version that somebody reads now; any where there is no such case.
    async fn version(&self) -> i64 {
        let one = "query($n: String!) { case(caseNo: $n) { version } }";
        let n = json!({ "n": self.case_no });
        let answer = self.world.ask(Some(VIEWER), one, n).await;
        answer.json()["data"]["case"]["version"]
            .as_i64()
            .unwrap_or_default()
    }

    async fn approve(&self, token: &str) -> Value {
        self.approve_as_read(token, self.version().await).await
    }

    async fn approve_as_read(&self, token: &str, version: i64) -> Value {
        let input = json!({ "caseNo": self.case_no, "version": version });
        self.world
            .field(token, APPROVE, json!({ "input": input }))
            .await
    }

    async fn reject(&self, token: &str, reason: &str) -> Value {
        self.reject_as_read(token, self.version().await, reason)
            .await
    }

    async fn reject_as_read(&self, token: &str, version: i64, reason: &str) -> Value {
        let input = json!({ "caseNo": self.case_no, "version": version, "reason": reason });
        self.world
            .field(token, REJECT, json!({ "input": input }))
            .await
    }
}

fn refusal(payload: &Value) -> (&str, &str) {
    assert!(payload["case"].is_null(), "{payload}");
    let error = &payload["userErrors"][0];
    (
        error["code"].as_str().unwrap(),
        error["field"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn one_person_proposes_and_another_approves() {
    let desk = Desk::new().await;
    let proposed = desk
        .decide(OPERATOR, "SUCCEEDED", "line 7 of the statement")
        .await;
    assert_eq!(proposed["case"]["state"], "PROPOSED");
    assert_eq!(proposed["case"]["proposal"]["maker"], "operator:olga");
    assert_eq!(proposed["case"]["proposal"]["decision"], "SUCCEEDED");
    let approved = desk.approve(REVIEWER).await;
    assert_eq!(approved["case"]["state"], "CLOSED");
    assert_eq!(approved["case"]["checker"], "operator:rudi");
    assert_eq!(approved["order"]["state"], "SUCCEEDED");
    assert_eq!(
        refusal(&desk.approve(ADMIN).await),
        ("CASE_CLOSED", "caseNo")
    );
    let late = desk.decide(ADMIN, "FAILED", "x").await;
    assert_eq!(
        refusal(&late).1,
        if refusal(&late).0 == "CASE_CLOSED" {
            "caseNo"
        } else {
            "decision"
        }
    );
    assert_eq!(
        refusal(&desk.reject(ADMIN, "no").await),
        ("CASE_CLOSED", "caseNo")
    );
}

#[tokio::test]
async fn maker_and_checker_are_two_people_even_for_an_admin() {
    let desk = Desk::new().await;
    desk.decide(ADMIN, "FAILED", "the desk says so").await;
    assert_eq!(
        refusal(&desk.approve(ADMIN).await),
        ("MAKER_IS_CHECKER", "caseNo")
    );
    assert_eq!(
        refusal(&desk.reject(ADMIN, "no").await),
        ("MAKER_IS_CHECKER", "caseNo")
    );
    assert_eq!(desk.approve(REVIEWER).await["order"]["state"], "FAILED");
}

#[tokio::test]
async fn a_proposal_has_evidence_fits_and_stands_alone() {
    let desk = Desk::new().await;
    assert_eq!(
        refusal(&desk.decide(OPERATOR, "FAILED", " ").await),
        ("EVIDENCE_INVALID", "evidence")
    );
    let long = "x".repeat(4_001);
    assert_eq!(
        refusal(&desk.decide(OPERATOR, "FAILED", &long).await),
        ("EVIDENCE_INVALID", "evidence")
    );
    assert_eq!(
        refusal(&desk.approve(REVIEWER).await),
        ("CASE_NOT_PROPOSED", "caseNo")
    );
    assert_eq!(
        refusal(&desk.reject(REVIEWER, "no").await),
        ("CASE_NOT_PROPOSED", "caseNo")
    );
    desk.decide(OPERATOR, "FAILED", "the desk says so").await;
    assert_eq!(
        refusal(&desk.decide(ADMIN, "SUCCEEDED", "y").await),
        ("CASE_ALREADY_PROPOSED", "caseNo")
    );
}

#[tokio::test]
async fn a_rejected_proposal_leaves_the_case_open_and_says_why() {
    let desk = Desk::new().await;
    desk.decide(OPERATOR, "FAILED", "the desk says so").await;
    assert_eq!(
        refusal(&desk.reject(REVIEWER, "  ").await),
        ("INVALID_ARGUMENT", "reason")
    );
    let long = "x".repeat(1_001);
    assert_eq!(
        refusal(&desk.reject(REVIEWER, &long).await),
        ("INVALID_ARGUMENT", "reason")
    );
    let rejected = desk.reject(REVIEWER, "which desk?").await;
    assert_eq!(rejected["case"]["state"], "OPEN");
    assert!(rejected["case"]["proposal"].is_null());
    let case_no = desk.case_no.clone();
    let rows = desk
        .world
        .store
        .read(move |c| crate::storage::audit::about(c, &case_no))
        .await
        .unwrap();
    let last = rows.last().unwrap();
    assert_eq!(last.entry.detail.as_deref(), Some("which desk?"));
    assert_eq!(last.entry.actor, "operator:rudi");
}

/// The proposal that a checker read was rejected meanwhile, and another one stands there.
#[tokio::test]
async fn nobody_decides_about_a_proposal_that_they_have_not_seen() {
    let desk = Desk::new().await;
    desk.decide(OPERATOR, "FAILED", "the desk says so").await;
    let read = desk.version().await;
    desk.reject(REVIEWER, "which desk?").await;
    let changed = ("CASE_CHANGED", "version");
    let rejected_already = desk.approve_as_read(ADMIN, read).await;
    assert_eq!(refusal(&rejected_already), changed);
    desk.decide(OPERATOR, "SUCCEEDED", "line 7 of the statement")
        .await;
    assert_eq!(refusal(&desk.approve_as_read(ADMIN, read).await), changed);
    assert_eq!(
        refusal(&desk.reject_as_read(ADMIN, read, "no").await),
        changed
    );
    let approved = desk.approve(ADMIN).await;
    assert_eq!(approved["order"]["state"], "SUCCEEDED");
    assert_eq!(refusal(&desk.approve_as_read(ADMIN, read).await), changed);
}

#[tokio::test]
async fn words_with_control_characters_are_refused() {
    let desk = Desk::new().await;
    for odd in ["\u{0}x", "a\u{1b}[2Jb", "a\u{7f}"] {
        assert_eq!(
            refusal(&desk.decide(OPERATOR, "FAILED", odd).await),
            ("EVIDENCE_INVALID", "evidence")
        );
    }
    let lines = desk.decide(OPERATOR, "FAILED", "line 7:\n\tpaid").await;
    assert_eq!(lines["case"]["state"], "PROPOSED");
    assert_eq!(
        refusal(&desk.reject(REVIEWER, "a\u{0}b").await),
        ("INVALID_ARGUMENT", "reason")
    );
}

#[tokio::test]
async fn a_number_that_is_none_or_nobody_s_is_refused() {
    let desk = Desk::new().await;
    for (bad, code) in [
        ("12", "INVALID_ARGUMENT"),
        ("202001010000000000000000", "CASE_NOT_FOUND"),
    ] {
        let desk = Desk {
            world: World::new().await,
            case_no: bad.to_owned(),
        };
        assert_eq!(
            refusal(&desk.decide(OPERATOR, "KEEP", "x").await),
            (code, "caseNo")
        );
        assert_eq!(refusal(&desk.approve(REVIEWER).await), (code, "caseNo"));
        assert_eq!(refusal(&desk.reject(REVIEWER, "x").await), (code, "caseNo"));
    }
    // A merchant cannot decide about its own money, and cannot tell that the case exists.
    let payload = desk.decide(ALPHA, "SUCCEEDED", "we want it").await;
    assert_eq!(refusal(&payload).0, "NOT_ALLOWED");
}

#[tokio::test]
async fn cases_and_exceptions_are_listed_for_operators() {
    let desk = Desk::new().await;
    let world = &desk.world;
    let one = "query($n: String!) { case(caseNo: $n) { caseNo kind state cause } }";
    let found = world.field(VIEWER, one, json!({ "n": desk.case_no })).await;
    assert_eq!(
        (found["kind"].as_str(), found["state"].as_str()),
        (Some("DOUBT"), Some("OPEN"))
    );
    let listed = "query($s: [CaseState!]) { cases(states: $s) { edges { node { caseNo } } } }";
    let count = async |states: Value| {
        let page = world.field(VIEWER, listed, json!({ "s": states })).await;
        page["edges"].as_array().unwrap().len()
    };
    assert_eq!(count(json!(null)).await, 1);
    assert_eq!(count(json!(["OPEN", "OPEN", "PROPOSED"])).await, 1);
    assert_eq!(count(json!(["CLOSED"])).await, 0);
    let exceptions = "query($p: Phase) { exceptions(phase: $p) { edges { cursor node { phase escalated lastOutcome } } } }";
    let page = world
        .field(VIEWER, exceptions, json!({ "p": "QUERY" }))
        .await;
    assert_eq!(
        page["edges"][0]["node"],
        json!({ "phase": "QUERY", "escalated": true, "lastOutcome": "UNKNOWN" })
    );
    let page = world
        .field(VIEWER, exceptions, json!({ "p": "WATCH" }))
        .await;
    assert_eq!(page["edges"], json!([]));
}

#[tokio::test]
async fn cases_and_exceptions_are_narrowed_by_their_orders() {
    let desk = Desk::new().await;
    let world = &desk.world;
    let listings = [
        "query($o: OrderFilter) { exceptions(orders: $o) { edges { cursor } } }",
        "query($o: OrderFilter) { cases(orders: $o) { edges { cursor } } }",
    ];
    let today = "2026-11-22";
    for (filter, expected) in [
        (json!(null), 1),
        (json!({}), 1),
        (json!({ "states": ["MANUAL", "UNKNOWN"] }), 1),
        (json!({ "states": ["SUCCEEDED"] }), 0),
        (json!({ "merchant": "alpha" }), 1),
        (json!({ "merchant": "beta" }), 0),
        (json!({ "biller": "nobody" }), 0),
        (json!({ "billNo": "13800000001" }), 1),
        (json!({ "billNo": "13800000002" }), 0),
        (json!({ "from": today, "to": today }), 1),
        (json!({ "from": "2026-11-23" }), 0),
        (json!({ "to": "2026-11-21" }), 0),
    ] {
        for listing in listings {
            let page = world.field(VIEWER, listing, json!({ "o": filter })).await;
            let edges = page["edges"].as_array().unwrap();
            assert_eq!(edges.len(), expected, "{listing} {filter}");
        }
    }
}
