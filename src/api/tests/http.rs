//! The rules of the wire.

use super::support::{ADMIN, ALPHA, Answer, World};
use poem::Request;
use poem::http::{Method, StatusCode};
use serde_json::json;

const INFO: &str = r#"{"query":"{serverInfo{version}}"}"#;

fn request(method: Method) -> poem::RequestBuilder {
    Request::builder()
        .method(method)
        .uri_str("/graphql")
        .header("content-type", "application/json")
        .header("host", "pay.example.com")
}

async fn post(world: &World, body: impl Into<poem::Body>) -> Answer {
    world.send(request(Method::POST).body(body)).await
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.code(), code);
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(answer.error()["extensions"]["requestId"], id);
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn only_post_is_served() {
    let world = World::new().await;
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ] {
        let answer = world.send(request(method.clone()).body(INFO)).await;
        refused(&answer, 405, "BAD_REQUEST");
        assert_eq!(answer.headers["allow"], "POST", "{method}");
    }
    let by_query = Request::builder().uri_str("/graphql?query={serverInfo{version}}");
    assert_eq!(world.send(by_query.finish()).await.status.as_u16(), 405);
}

#[tokio::test]
async fn only_json_is_taken() {
    let world = World::new().await;
    let with = |content_type: &'static str| {
        Request::builder()
            .method(Method::POST)
            .uri_str("/graphql")
            .header("content-type", content_type)
            .body(INFO)
    };
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json; charset=\"utf-8\"",
    ] {
        assert_eq!(
            world.send(with(good)).await.status,
            StatusCode::OK,
            "{good}"
        );
    }
    for bad in [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=gbk",
        "application/jsonp",
    ] {
        refused(&world.send(with(bad)).await, 415, "BAD_REQUEST");
    }
    let packed = request(Method::POST)
        .header("content-encoding", "gzip")
        .body(INFO);
    refused(&world.send(packed).await, 415, "BAD_REQUEST");
}

#[tokio::test]
async fn a_body_has_a_form_and_a_size() {
    let world = World::new().await;
    for (bad, said) in [
        ("", "the body is empty"),
        (" \n", "the body is empty"),
        ("{", "the body is not JSON: see line 1, column 1"),
        ("null", "has to be a JSON object"),
        ("7", "has to be a JSON object"),
        ("{}", "query is missing"),
        (r#"{"variables":{}}"#, "query is missing"),
        (r#"{"query":7}"#, "query has to be a string"),
        (r#"{"query":null}"#, "query has to be a string"),
        (
            r#"{"query":"{a}","query":"{b}"}"#,
            "not a GraphQL request in JSON: see line 1",
        ),
        (
            r#"{"query":"{a}","operationName":7}"#,
            "operationName has to be a string",
        ),
        (
            r#"{"query":"{a}","variables":[]}"#,
            "variables has to be an object",
        ),
        (
            r#"{"query":"{a}","variables":"s3cret"}"#,
            "variables has to be an object",
        ),
        ("[]", "batches are not served"),
        (
            r#" [{"query":"{serverInfo{version}}"}]"#,
            "batches are not served",
        ),
    ] {
        let answer = post(&world, bad).await;
        refused(&answer, 400, "BAD_REQUEST");
        assert!(answer.text.contains(said), "{bad}: {}", answer.text);
        assert!(!answer.text.contains("s3cret"), "{}", answer.text);
    }
    let batch = post(&world, format!("[{INFO}]")).await;
    assert!(batch.text.contains("batches are not served"));
    let full = format!("{INFO}{}", " ".repeat(64 * 1024 - INFO.len()));
    assert_eq!(post(&world, full.clone()).await.status, StatusCode::OK);
    refused(&post(&world, full + " ").await, 413, "BAD_REQUEST");
    let announced = request(Method::POST)
        .header("content-length", "65537")
        .body(INFO);
    refused(&world.send(announced).await, 413, "BAD_REQUEST");
    let nulls = r#"{"query":"{serverInfo{version}}","variables":null,"operationName":null,"extensions":{"a":1}}"#;
    assert_eq!(post(&world, nulls).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_sites_may_not_call() {
    let world =
        World::with(|options| options.origins = vec!["https://bank.example.com".into()]).await;
    let from = |origin: &'static str| request(Method::POST).header("origin", origin).body(INFO);
    for good in [
        "https://pay.example.com",
        "http://PAY.example.com",
        "https://bank.example.com",
    ] {
        assert_eq!(
            world.send(from(good)).await.status,
            StatusCode::OK,
            "{good}"
        );
    }
    for bad in [
        "https://evil.example.com",
        "null",
        "https://pay.example.com.evil.com",
        "https://pay.example.com:8443",
        "",
    ] {
        refused(&world.send(from(bad)).await, 403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn a_token_that_nobody_has_is_refused_at_the_door() {
    let world = World::new().await;
    for bad in ["Bearer nobody", "Basic YWRtaW46YWRtaW4=", "Bearer", ""] {
        let asked = request(Method::POST)
            .header("authorization", bad)
            .body(INFO);
        let answer = world.send(asked).await;
        refused(&answer, 401, "UNAUTHENTICATED");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // Before the body is read: however large it is.
    let large = request(Method::POST).header("authorization", "Bearer nobody");
    let answer = world.send(large.body("x".repeat(1 << 20))).await;
    refused(&answer, 401, "UNAUTHENTICATED");
    // No token at all: a caller that nobody knows may browse, and nothing else.
    assert_eq!(post(&world, INFO).await.status, StatusCode::OK);
    let order = "query($n: String!) { order(orderNo: $n) { state } }";
    let answer = world.ask(None, order, json!({ "n": "2".repeat(24) })).await;
    refused(&answer, 401, "UNAUTHENTICATED");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let world = World::new().await;
    let with = |id: &'static str| {
        let builder = request(Method::POST).header("x-request-id", id);
        builder.body(r#"{"query":"{nothing}"}"#)
    };
    let answer = world.send(with("caller-id-0001")).await;
    refused(&answer, 400, "BAD_REQUEST");
    assert_eq!(answer.headers["x-request-id"], "caller-id-0001");
    let answer = world.send(with("has a space in it")).await;
    refused(&answer, 400, "BAD_REQUEST");
    assert_ne!(answer.headers["x-request-id"], "has a space in it");
    let first = post(&world, INFO).await.headers["x-request-id"].clone();
    assert_ne!(first, post(&world, INFO).await.headers["x-request-id"]);
}

#[tokio::test]
async fn a_bad_document_is_told_where_it_is_bad_and_by_its_limit() {
    let world = World::new().await;
    let syntax = world.ask(None, "{\n  serverInfo {", json!({})).await;
    refused(&syntax, 400, "BAD_REQUEST");
    assert!(syntax.text.contains("see line 2"), "{}", syntax.text);
    let unknown = world.ask(None, "{ nothing }", json!({})).await;
    refused(&unknown, 400, "BAD_REQUEST");
    let bomb = world
        .ask(
            None,
            &"{serverInfo{version}}".replace("version", &"version ".repeat(2_001)),
            json!({}),
        )
        .await;
    refused(&bomb, 400, "DOCUMENT_REFUSED");
    let costly = (0..25).map(|n| format!("b{n}: bill(item:\"x\",billNo:\"1\"){{period}} "));
    let costly = format!("{{{}}}", costly.collect::<String>());
    let costly = world.ask(Some(ALPHA), &costly, json!({})).await;
    refused(&costly, 400, "BAD_REQUEST");
    assert!(costly.text.contains("too complex"), "{}", costly.text);
    assert_eq!(world.bank.lookups(), 0);
    let flood = (0..500).map(|n| format!("x{n} ")).collect::<String>();
    let flood = world.ask(None, &format!("{{{flood}}}"), json!({})).await;
    assert_eq!(flood.json()["errors"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn introspection_is_for_those_who_may() {
    use crate::api::Introspection::{Everyone, Off, SignedIn};
    let question = "{__schema{queryType{name}}}";
    for (mode, nobody, somebody) in [
        (Off, false, false),
        (SignedIn, false, true),
        (Everyone, true, true),
    ] {
        let world = World::with(|options| options.introspection = mode).await;
        for (token, allowed) in [
            (None, nobody),
            (Some(ALPHA), somebody),
            (Some(ADMIN), somebody),
        ] {
            let answer = world.ask(token, question, json!({})).await;
            if allowed {
                assert_eq!(answer.data()["__schema"]["queryType"]["name"], "Query");
            } else {
                refused(&answer, 403, "FORBIDDEN");
            }
        }
        let typo = world.ask(None, "{serverInf{version}}", json!({})).await;
        let hinted = typo.text.contains("Did you mean");
        assert_eq!(hinted, mode == Everyone, "{}", typo.text);
        // The name of a type that one has in hand is no secret.
        assert_eq!(
            world.ask(None, "{__typename}", json!({})).await.data()["__typename"],
            "Query"
        );
    }
    let world = World::open().await;
    let whole = include_str!("introspection.graphql");
    let answer = world.ask(None, whole, json!({})).await;
    assert!(answer.data()["__schema"]["types"].as_array().unwrap().len() > 50);
}

#[tokio::test]
async fn the_other_paths() {
    let world = World::new().await;
    let get = |path: &'static str| Request::builder().uri_str(path).finish();
    for (path, text) in [
        ("/livez", "alive\n"),
        ("/readyz", "ready\n"),
        ("/metrics", "payhall_up 1\n"),
    ] {
        let answer = world.send(get(path)).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, text));
        assert_eq!(answer.headers["cache-control"], "no-store");
        let posted = Request::builder().method(Method::POST).uri_str(path);
        refused(&world.send(posted.finish()).await, 405, "BAD_REQUEST");
    }
    let page = world.send(get("/playground")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    refused(&world.send(get("/nothing")).await, 404, "BAD_REQUEST");
    refused(&world.send(get("/")).await, 404, "BAD_REQUEST");
    let closed = World::with(|options| options.playground = false).await;
    refused(&closed.send(get("/playground")).await, 404, "BAD_REQUEST");
}
