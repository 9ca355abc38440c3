//! A credential comes in and goes out to the bank. It is found nowhere else: in no answer, however
//! wrongly it was sent, and in no log line. Faults are masked and carry the request's id.

use super::support::*;
use crate::api::errors::{Ending, Problem, finish};
use crate::api::playground::EXAMPLES;
use crate::api::request_id::RequestId;
use crate::storage::StoreError;
use async_graphql::{PathSegment, Response, ServerError};
use poem::http::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::MakeWriter;

/// What stands in for a password; it is a word of its own in no message.
const CANARY: &str = "cAnArY7741";
/// The same as a number.
const NUMBER: &str = "77417741";

/// Somebody else who listens, though to nothing. Of one listener alone it is assumed that it is the listener
/// of whoever comes to a line first: a thread on which nobody listens would speak for all, and for good.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Everything that this thread logs until the guard is dropped.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        LazyLock::force(&SECOND);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

#[tokio::test]
async fn a_credential_is_in_no_answer_and_no_log_line() {
    let log = Log::default();
    let _listening = log.listen();
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let literal = |value: &str| {
        format!("mutation {{ orderConfirm(input: {value}) {{ order {{ state }} }} }}")
    };
    let mut bodies = Vec::new();
    for document in [
        literal(&format!("{{orderNo: \"x\", credential: \"{CANARY}\"}}")),
        literal(&format!("{{orderNo: \"x\", credential: {NUMBER}}}")),
        literal(&format!("{{orderNo: \"x\", credential: {CANARY}}}")),
        literal(&format!("{{orderNo: \"x\", credential: [\"{CANARY}\"]}}")),
        literal(&format!(
            "{{orderNo: \"x\", credential: {{a: \"{CANARY}\"}}}}"
        )),
        literal(&format!("{{orderNo: \"x\", password: \"{CANARY}\"}}")),
        literal(&format!("\"{CANARY}\"")),
        literal(&format!("[\"{CANARY}\"]")),
        literal(&format!("{{orderNo: \"x\", credential: \"{CANARY}\"")),
        format!("mutation {{ orderConfirm(input: {{orderNo: \"x\", credential: \"{CANARY}\"}}) "),
        format!(
            "mutation($c: Credential = \"{CANARY}\") {{ orderConfirm(input: {{orderNo: 7, credential: $c}}) {{ order {{ state }} }} }}"
        ),
        format!(
            "mutation($c: Decision = \"{CANARY}\") {{ caseDecide(input: {{caseNo: \"x\", decision: $c, evidence: \"x\"}}) {{ case {{ state }} }} }}"
        ),
        format!(
            "mutation {{ orderConfirm(input: {{orderNo: \"x\"}}, credential: \"{CANARY}\") {{ order {{ state }} }} }}"
        ),
    ] {
        bodies.push(json!({ "query": document }).to_string());
    }
    for input in [
        json!({ "orderNo": "x", "credential": CANARY }),
        json!({ "orderNo": order_no, "credential": CANARY }),
        json!({ "orderNo": "x", "credential": 77_417_741 }),
        json!({ "orderNo": "x", "credential": [CANARY] }),
        json!({ "orderNo": "x", "credential": { "a": CANARY } }),
        json!({ "orderNo": 7, "credential": CANARY }),
        json!({ "credential": CANARY }),
        json!({ "orderNo": "x", "credential": CANARY, "more": 1 }),
        json!({ "orderNo": "x", "credential": CANARY.repeat(500) }),
        json!(CANARY),
        json!([CANARY]),
    ] {
        bodies.push(json!({ "query": CONFIRM, "variables": { "input": input } }).to_string());
    }
    bodies.push(format!(
        "{{\"query\": \"{{a}}\", \"variables\": \"{CANARY}\"}}"
    ));
    bodies.push(format!("{{\"query\": \"{CANARY}"));
    bodies.push(format!("{{\"query\": [\"{CANARY}\"]}}"));
    for body in bodies {
        let request = poem::Request::builder()
            .method(Method::POST)
            .uri_str("/graphql")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {ALPHA}"));
        let answer = world.send(request.body(body.clone())).await;
        for secret in [CANARY, NUMBER] {
            assert!(!answer.text.contains(secret), "{body}\n{}", answer.text);
        }
    }
    // It did arrive where it belongs, once: the other requests were refused before the bank.
    assert_eq!(world.bank.credentials(), [CANARY]);
    let log = log.text();
    assert!(!log.contains(CANARY) && !log.contains(NUMBER), "{log}");
    for token in [ALPHA, ADMIN] {
        assert!(!log.contains(token), "{log}");
    }
}

fn response(problem: Problem) -> Response {
    let mut error = ServerError::new(problem.to_string(), None);
    error.source = Some(Arc::new(problem));
    error.path = vec![PathSegment::Field("order".into())];
    Response::from_errors(vec![error.clone(), error])
}

/// Every fault that storage has: masked, with its code and the hint, and one line in the log.
#[test]
fn a_fault_is_masked_and_logged_once() {
    let inner = "constraint s3cret_index of table s3cret";
    for (fault, code, retry_after) in [
        (StoreError::Busy, "BUSY", Some(1)),
        (
            StoreError::Unavailable(inner.into()),
            "UNAVAILABLE",
            Some(5),
        ),
        (StoreError::GaveWay(inner.into()), "UNAVAILABLE", Some(5)),
        (StoreError::Closed, "UNAVAILABLE", Some(5)),
        (StoreError::Refused(inner.into()), "INTERNAL", None),
        (StoreError::Settings(inner.into()), "INTERNAL", None),
    ] {
        let log = Log::default();
        let listening = log.listen();
        let id = RequestId::accept(Some("request-0001"));
        let words = fault.to_string();
        let mut response = response(Problem::Fault(Arc::new(fault)));
        assert_eq!(finish(&mut response, &id), Ending::Fault);
        drop(listening);
        let told = serde_json::to_value(&response).unwrap();
        let extensions = &told["errors"][0]["extensions"];
        assert_eq!(extensions["code"], code);
        assert_eq!(extensions["requestId"], "request-0001");
        assert_eq!(extensions["retryAfterSeconds"].as_i64(), retry_after);
        assert_eq!(extensions["retry"].as_str(), retry_after.map(|_| "LATER"));
        assert!(!told.to_string().contains("s3cret"), "{told}");
        let log = log.text();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            log.contains("request-0001") && log.contains(&words),
            "{log}"
        );
    }
}

/// A failure that slips through as text is masked too, since nobody knows what it says.
#[test]
fn an_unknown_failure_is_masked() {
    let log = Log::default();
    let listening = log.listen();
    let mut error = ServerError::new("password s3cret of the database", None);
    error.source = Some(Arc::new(std::io::Error::other("s3cret")));
    let mut response = Response::from_errors(vec![error]);
    let id = RequestId::accept(None);
    assert_eq!(finish(&mut response, &id), Ending::Fault);
    drop(listening);
    let told = serde_json::to_value(&response).unwrap();
    assert_eq!(told["errors"][0]["extensions"]["code"], "INTERNAL");
    assert!(!told.to_string().contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_masked_fault_of_the_request() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    world.store.close().await;
    let input = json!({ "input": { "orderNo": order_no } });
    let answer = world.ask(Some(ALPHA), CANCEL, input).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.code(), "UNAVAILABLE");
    assert!(answer.json()["data"].is_null());
    assert!(!answer.text.contains("storage"), "{}", answer.text);
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(answer.error()["extensions"]["requestId"], id);
}

#[tokio::test]
async fn a_panic_is_one_request_s_fault() {
    let mut world = World::new().await;
    let parts = crate::api::ApiParts {
        engine: world.engine.clone(),
        jobs: Arc::new(Book),
        operators: world.operators.clone(),
        #[cfg(feature = "oidc")]
        provider: None,
        tokens: crate::api::Tokens::default(),
        options: crate::api::ApiOptions::default(),
        ready: Arc::new(|| Box::pin(std::future::ready(Err("no database\n".to_owned())))),
        metrics: Arc::new(|| panic!("s3cret")),
        stop: world.stop.clone(),
    };
    world.api = crate::api::Api::new(parts);
    let get = |path: &'static str| poem::Request::builder().uri_str(path).finish();
    let answer = world.send(get("/metrics")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "INTERNAL")
    );
    assert!(!answer.text.contains("s3cret"));
    let ready = world.send(get("/readyz")).await;
    assert_eq!(
        (ready.status.as_u16(), ready.text.as_str()),
        (503, "no database\n")
    );
}

/// Persons and accounts of a merchant are for those who review it, and for no log.
#[tokio::test]
async fn a_merchant_s_people_and_account_are_in_no_log_line() {
    let log = Log::default();
    let _listening = log.listen();
    let world = World::new().await;
    let example = |name: &str| EXAMPLES.iter().find(|one| one.name == name).unwrap();
    let register = example("merchant_register");
    let mut variables: Value = serde_json::from_str(register.variables).unwrap();
    let profile = &mut variables["input"]["profile"];
    profile["contact"] =
        json!({ "name": CANARY, "phone": NUMBER, "email": "cAnArY7741@x.example" });
    profile["account"]["accountNo"] = json!(NUMBER);
    profile["account"]["holder"] = json!(CANARY);
    let mut broken = variables.clone();
    broken["input"]["profile"]["account"]["bankCode"] = json!("1");
    let refused = world.field(OPERATOR, register.document, broken).await;
    assert_eq!(refused["userErrors"][0]["field"], "bankCode");
    let made = world
        .field(OPERATOR, register.document, variables.clone())
        .await;
    assert_eq!(made["merchant"]["state"], "DRAFT", "{made}");
    variables["input"]["profile"]["contact"]["name"] = json!({ "x": CANARY });
    let malformed = world
        .ask(Some(OPERATOR), register.document, variables)
        .await;
    let answers = [refused.to_string(), made.to_string(), malformed.text];
    let read = "{ merchant(code: \"happylife\") { proposed { contact { name } } } }";
    let read = world.field(REVIEWER, read, json!({})).await;
    assert_eq!(read["proposed"]["contact"]["name"], CANARY);
    tracing::info!("the log is listened to");
    assert!(log.text().contains("the log is listened to"));
    for text in answers.into_iter().chain([log.text()]) {
        assert!(!text.contains(CANARY) && !text.contains(NUMBER), "{text}");
    }
}
