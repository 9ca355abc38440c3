//! The files of results of reconciling over HTTP: by link, by token, by signature; whole, in stretches, not
//! at all.

use super::signed::Hand;
use super::support::*;
use crate::engine::{LinkError, LinkedTo};
use poem::Request;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const RESULT: &str = "query($date: Date!) { reconciliation(date: $date) {
    version link filePath fileSha256 } }";
const FIRST: &str = "/reconciliations/2026-11-22/1/file";
const LATEST: &str = "/reconciliations/2026-11-22/latest/file";

/// A world with a result; nothing was paid on that day.
async fn reconciled() -> World {
    let world = World::new().await;
    world.reconcile_the_day().await;
    world
}

async fn result(world: &World, date: &str) -> Value {
    world.field(VIEWER, RESULT, json!({ "date": date })).await
}

async fn call(world: &World, method: Method, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri_str(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.finish()).await
}

async fn get(world: &World, uri: &str, headers: &[(&str, &str)]) -> Answer {
    call(world, Method::GET, uri, headers).await
}

async fn status(world: &World, uri: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let answer = get(world, uri, &[("authorization", &bearer)]).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_result_is_downloaded_whole_and_in_stretches() {
    let world = reconciled().await;
    let result = result(&world, "2026-11-22").await;
    let bearer = format!("Bearer {VIEWER}");
    let who = ("authorization", bearer.as_str());
    let whole = get(&world, FIRST, &[who]).await;
    assert_eq!(whole.status, StatusCode::OK, "{}", whole.text);
    let total = whole.text.len();
    assert!(total > 10, "{}", whole.text);
    let tag = format!("\"{}\"", result["fileSha256"].as_str().unwrap());
    assert_eq!(whole.headers["etag"], tag);
    assert_eq!(whole.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(
        whole.headers["content-disposition"],
        "attachment; filename=\"reconciliation-2026-11-22-v1.csv\""
    );
    let latest = get(&world, LATEST, &[who]).await;
    assert_eq!((latest.status, &latest.text), (StatusCode::OK, &whole.text));

    let part = get(&world, FIRST, &[who, ("range", "bytes=5-9")]).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text, whole.text[5..10]);
    assert_eq!(part.headers["content-range"], format!("bytes 5-9/{total}"));
    let outside = get(&world, FIRST, &[who, ("range", "bytes=99999-")]).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let known = get(&world, FIRST, &[who, ("if-none-match", &tag)]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let head = call(&world, Method::HEAD, FIRST, &[who]).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.headers["content-length"], total.to_string());
    let post = call(&world, Method::POST, FIRST, &[who]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_link_opens_its_own_result_and_for_five_minutes() {
    let world = reconciled().await;
    world.reconcile_the_day().await;
    let first = result(&world, "2026-11-22").await;
    let second = result(&world, "2026-11-23").await;
    let link = first["link"].as_str().unwrap();
    let (address, query) = link.split_once('?').unwrap();
    assert_eq!(address, FIRST);
    assert_eq!(get(&world, link, &[]).await.status, StatusCode::OK);
    let (other, others) = second["link"].as_str().unwrap().split_once('?').unwrap();
    let longer = query.replacen("until=1", "until=2", 1);
    for wrong in [
        format!("{other}?{query}"),
        format!("{address}?{others}"),
        format!("{LATEST}?{query}"),
        format!("{address}?{longer}"),
        format!("{address}?{query}&until=1"),
        format!("{address}?mark="),
    ] {
        let answer = get(&world, &wrong, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(get(&world, link, &[]).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(2));
    let over = get(&world, link, &[]).await;
    assert_eq!(over.status, StatusCode::FORBIDDEN);
    assert!(over.text.contains("time is over"), "{}", over.text);
}

#[tokio::test]
async fn a_link_to_a_statement_opens_no_result_and_the_other_way_round() {
    let world = reconciled().await;
    let asked = "{ statement(key: { partyKind: MERCHANT, party: \"alpha\",
        businessDate: \"2026-11-22\" }) { file { link } } }";
    let statement = world.field(VIEWER, asked, json!({})).await;
    let statement = statement["file"]["link"].as_str().unwrap();
    let result = result(&world, "2026-11-22").await;
    let (to_statement, of_statement) = statement.split_once('?').unwrap();
    let (to_result, of_result) = result["link"].as_str().unwrap().split_once('?').unwrap();
    for wrong in [
        format!("{to_result}?{of_statement}"),
        format!("{to_statement}?{of_result}"),
    ] {
        let answer = get(&world, &wrong, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    // Even over the same address and time a mark of the one kind is none of the other.
    let engine = &world.engine;
    let check = |to| engine.check_link(to, to_result, of_result);
    assert_eq!(check(LinkedTo::Reconciliation), Ok(()));
    assert_eq!(check(LinkedTo::Statement), Err(LinkError::Wrong));
}

#[tokio::test]
async fn results_are_for_operators() {
    let world = reconciled().await;
    let nobody = get(&world, FIRST, &[]).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    for token in [VIEWER, OPERATOR, REVIEWER, AUDITOR, ADMIN] {
        assert_eq!(status(&world, FIRST, token).await, 200, "{token}");
    }
    // A merchant is refused whether there is one or not.
    for path in [FIRST, LATEST, "/reconciliations/2026-11-21/1/file"] {
        assert_eq!(status(&world, path, ALPHA).await, 403, "{path}");
    }
    let hand = Hand::of(&world, "alpha").await;
    let signed = hand.get(&world, "n-1", FIRST).await;
    assert_eq!(signed.status, StatusCode::FORBIDDEN, "{}", signed.text);
    for missing in [
        "/reconciliations/2026-11-22/2/file",
        "/reconciliations/2026-11-21/latest/file",
        "/reconciliations/2026-11-22/1/workbook",
        "/reconciliations/2026-11-22",
    ] {
        assert_eq!(status(&world, missing, VIEWER).await, 404, "{missing}");
    }
}

#[tokio::test]
async fn what_a_dry_run_comes_to_has_no_link() {
    let world = World::new().await;
    world.end_the_day().await;
    let run = "mutation($i: ReconciliationRunInput!) { reconciliationRun(input: $i) {
        reconciliation { version link } userErrors { code } } }";
    let input = |mode| json!({ "i": { "date": "2026-11-22", "mode": mode } });
    let shown = world.field(OPERATOR, run, input("DRY_RUN")).await;
    let wanted = json!({ "reconciliation": { "version": 1, "link": null }, "userErrors": [] });
    assert_eq!(shown, wanted);
    assert_eq!(status(&world, FIRST, VIEWER).await, 404);
    let done = world.field(OPERATOR, run, input("PUBLISH")).await;
    let link = done["reconciliation"]["link"].as_str().unwrap();
    assert_eq!(get(&world, link, &[]).await.status, StatusCode::OK);
}
