//! The files of statements over HTTP: by link, by signature, by token; whole, in stretches, not at all.

use super::signed::Hand;
use super::support::*;
use poem::Request;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const STATEMENT: &str =
    "query($key: StatementKeyInput!, $v: Int) { statement(key: $key, version: $v) {
    version flows file { path link sha256 bytes fileName } workbook { link } sidecar { link sha256 }
    sums { kind state flows amount { minor } fee { minor } } } }";

fn key(kind: &str, party: &str) -> Value {
    json!({ "key": { "partyKind": kind, "party": party, "businessDate": "2026-11-22" } })
}

/// A world in which alpha paid one bill, and the day is stated.
async fn stated() -> World {
    let world = World::new().await;
    let order = world.order(ALPHA, "R-1", "13800000001").await;
    world.confirm(ALPHA, &order).await;
    world.end_the_day().await;
    world
}

async fn get(world: &World, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(Method::GET).uri_str(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.finish()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_link_opens_its_own_file_and_for_some_minutes() {
    let world = stated().await;
    let statement = world
        .field(ALPHA, STATEMENT, key("MERCHANT", "alpha"))
        .await;
    assert_eq!(statement["flows"], 1);
    assert_eq!(statement["sums"][0]["amount"]["minor"], "5000");
    let link = statement["file"]["link"].as_str().unwrap();
    let answer = get(&world, link, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.text.lines().count(), 3, "{}", answer.text);
    assert_eq!(
        answer.headers["etag"],
        format!("\"{}\"", statement["file"]["sha256"].as_str().unwrap())
    );
    let name = statement["file"]["fileName"].as_str().unwrap();
    let disposition = answer.headers["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"{name}\""));
    let bytes = answer.text.len().to_string();
    assert_eq!(statement["file"]["bytes"], bytes);
    for part in ["workbook", "sidecar"] {
        let link = statement[part]["link"].as_str().unwrap();
        let head = Request::builder().method(Method::HEAD).uri_str(link);
        let answer = world.send(head.finish()).await;
        assert_eq!(answer.status, StatusCode::OK, "{part}");
    }

    let (address, query) = link.split_once('?').unwrap();
    let other = address.replace("/file", "/sidecar");
    let longer = query.replacen("until=1", "until=2", 1);
    for wrong in [
        format!("{other}?{query}"),
        format!("{address}?{longer}"),
        format!("{address}?{}0", &query[..query.len() - 1]),
        format!("{address}?{query}&until=1"),
        format!("{address}?mark="),
        address.replace("alpha", "beta") + "?" + query,
    ] {
        let answer = get(&world, &wrong, &[]).await;
        let is_last = wrong.ends_with("0") && link.ends_with('0');
        assert!(answer.status == StatusCode::FORBIDDEN || is_last, "{wrong}");
    }
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(get(&world, link, &[]).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(2));
    let over = get(&world, link, &[]).await;
    assert_eq!(over.status, StatusCode::FORBIDDEN);
    assert!(over.text.contains("time is over"), "{}", over.text);
}

#[tokio::test]
async fn a_download_is_resumed_and_not_repeated() {
    let world = stated().await;
    let statement = world
        .field(ALPHA, STATEMENT, key("MERCHANT", "alpha"))
        .await;
    let link = statement["file"]["link"].as_str().unwrap();
    let whole = get(&world, link, &[]).await;
    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    let part = get(&world, link, &[("range", "bytes=5-9")]).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text, whole.text[5..10]);
    let total = whole.text.len();
    assert_eq!(part.headers["content-range"], format!("bytes 5-9/{total}"));
    assert_eq!(part.headers["content-length"], "5");
    let rest = get(&world, link, &[("range", "bytes=10-"), ("if-range", &tag)]).await;
    assert_eq!(rest.text, whole.text[10..]);
    let other = get(
        &world,
        link,
        &[("range", "bytes=10-"), ("if-range", "\"x\"")],
    )
    .await;
    assert_eq!((other.status, other.text.len()), (StatusCode::OK, total));
    let outside = get(&world, link, &[("range", "bytes=99999-")]).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.headers["content-range"], format!("bytes */{total}"));
    let known = get(&world, link, &[("if-none-match", &tag)]).await;
    assert_eq!(
        (known.status, known.text.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    let head = Request::builder()
        .method(Method::HEAD)
        .uri_str(link)
        .finish();
    let head = world.send(head).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.headers["content-length"], total.to_string());
    let post = Request::builder()
        .method(Method::POST)
        .uri_str(link)
        .finish();
    let post = world.send(post).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn who_proves_who_calls_gets_the_own_files_and_no_others() {
    let world = stated().await;
    let own = "/statements/merchant/alpha/2026-11-22/CNY/latest/file";
    let biller = "/statements/biller/utility/2026-11-22/CNY/1/file";
    let status = async |uri: &str, token: &str| {
        let answer = get(&world, uri, &[("authorization", &bearer(token))]).await;
        answer.status.as_u16()
    };
    assert_eq!(get(&world, own, &[]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(status(own, ALPHA).await, 200);
    assert_eq!(status(own, BETA).await, 404);
    assert_eq!(status(biller, ALPHA).await, 404);
    for token in [VIEWER, AUDITOR] {
        assert_eq!(
            (status(own, token).await, status(biller, token).await),
            (200, 200)
        );
    }
    let hand = Hand::of(&world, "alpha").await;
    let signed = hand.get(&world, "n-1", own).await;
    assert_eq!(signed.status, StatusCode::OK, "{}", signed.text);
    let again = hand.get(&world, "n-1", own).await;
    assert_eq!(
        again.status,
        StatusCode::UNAUTHORIZED,
        "its nonce is used up"
    );
    let others = own.replace("alpha", "beta");
    assert_eq!(
        hand.get(&world, "n-2", &others).await.status,
        StatusCode::NOT_FOUND
    );
    // What is not there is no different.
    for missing in ["alpha/2026-11-22/CNY/2/file", "alpha/2026-11-21/CNY/1/file"] {
        assert_eq!(
            status(&format!("/statements/merchant/{missing}"), ALPHA).await,
            404
        );
    }
    assert_eq!(status("/statements/merchant/alpha", ALPHA).await, 404);
}

#[tokio::test]
async fn what_is_not_ready_is_told_apart_from_what_there_is_not() {
    let world = stated().await;
    let ask = async |date: &str| {
        let uri = format!("/statements/merchant/alpha/{date}/CNY/latest/file");
        get(&world, &uri, &[("authorization", &bearer(ALPHA))]).await
    };
    let today = ask("2026-11-23").await;
    assert_eq!(today.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(today.code(), "NOT_READY");
    // It is 00:30; the day ends at midnight, and its statements are there at 02:00.
    assert_eq!(
        today.headers["retry-after"],
        (25 * 3_600 + 1_800).to_string()
    );
    assert_eq!(ask("2026-11-24").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask("2026-11-01").await.status, StatusCode::NOT_FOUND);
    // An empty day is a file.
    world.end_the_day().await;
    let empty = ask("2026-11-23").await;
    assert_eq!(empty.status, StatusCode::OK);
    assert_eq!(empty.text.lines().count(), 2, "{}", empty.text);
}

#[tokio::test]
async fn a_statement_is_issued_once_more_only_where_its_bytes_differ() {
    let world = stated().await;
    let reissue = "mutation($i: StatementReissueInput!) { statementReissue(input: $i) {
        statement { version } isNew userErrors { code } } }";
    let input = json!({ "i": key("MERCHANT", "alpha") });
    let done = world.field(OPERATOR, reissue, input.clone()).await;
    assert_eq!(
        done,
        json!({ "statement": { "version": 1 }, "isNew": false, "userErrors": [] })
    );
    let refused = world.field(ALPHA, reissue, input).await;
    assert_eq!(refused["userErrors"][0]["code"], "NOT_ALLOWED");
    let mut unknown = key("MERCHANT", "alpha");
    unknown["key"]["businessDate"] = json!("2026-11-23");
    let refused = world
        .field(OPERATOR, reissue, json!({ "i": unknown }))
        .await;
    assert_eq!(refused["userErrors"][0]["code"], "STATEMENT_NOT_FOUND");
}

#[tokio::test]
async fn listings_are_paged_and_a_merchant_s_own() {
    let world = stated().await;
    world.end_the_day().await;
    let list = "query($f: StatementFilter, $n: Int, $a: String) { statements(filter: $f, first: $n, after: $a) {
        edges { node { partyKind party businessDate } } pageInfo { hasNextPage endCursor } } }";
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = world
            .field(VIEWER, list, json!({ "n": 2, "a": after }))
            .await;
        for edge in page["edges"].as_array().unwrap() {
            seen.push(edge["node"].to_string());
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    // Four merchants and a biller, two days.
    assert_eq!(seen.len(), 10, "{seen:#?}");
    seen.dedup();
    assert_eq!(seen.len(), 10);
    let own = world.field(ALPHA, list, json!({})).await;
    assert_eq!(own["edges"].as_array().unwrap().len(), 2);
    let others = json!({ "f": { "partyKind": "MERCHANT", "party": "beta" } });
    let others = world.field(ALPHA, list, others).await;
    assert_eq!(others["edges"], json!([]));
    let settled =
        "{ settlements { edges { node { merchant biller gross { minor } net { minor } } } } }";
    let settled = world.field(ALPHA, settled, json!({})).await;
    let node = json!({ "merchant": "alpha", "biller": "utility", "gross": { "minor": "5000" },
        "net": { "minor": "5000" } });
    assert_eq!(settled["edges"], json!([{ "node": node }]));
}

/// What merchants ask in real time, without waiting for the night.
#[tokio::test]
async fn a_merchant_asks_for_its_flows_by_number_bill_and_date_with_its_signature() {
    let world = World::new().await;
    let order = world.order(ALPHA, "R-1", "13800000001").await;
    let paid = world.confirm(ALPHA, &order).await;
    let flow_no = paid["order"]["flows"][0]["flowNo"].clone();
    let other = world.order(BETA, "R-1", "13800000001").await;
    world.confirm(BETA, &other).await;
    let hand = Hand::of(&world, "alpha").await;
    let one = "query($n: String!) { flow(flowNo: $n) { flowNo state } }";
    let found = hand.ask(&world, "n-1", one, json!({ "n": flow_no })).await;
    assert_eq!(found.data()["flow"]["flowNo"], flow_no);
    let list = "query($f: FlowFilter) { flows(filter: $f) { edges { node { flowNo } } } }";
    let table = [
        (json!({ "billNo": "13800000001" }), 1),
        (json!({ "billNo": "13800000002" }), 0),
        (json!({ "from": "2026-11-22", "to": "2026-11-22" }), 1),
        (json!({ "from": "2026-11-23" }), 0),
        (json!({ "to": "2026-11-21" }), 0),
    ];
    for (nonce, (filter, wanted)) in (2..).zip(table) {
        let asked = json!({ "f": filter });
        let answer = hand.ask(&world, &format!("n-{nonce}"), list, asked).await;
        let data = answer.data();
        let edges = data["flows"]["edges"].as_array().unwrap();
        assert_eq!(edges.len(), wanted, "{filter}");
        assert!(edges.iter().all(|edge| edge["node"]["flowNo"] == flow_no));
    }
}
