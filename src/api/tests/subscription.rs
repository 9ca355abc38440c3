//! Watching an order.

use super::support::*;
use crate::api::desk::Caller;
use crate::api::limits::CallerAddress;
use crate::api::request_id::RequestId;
use crate::domain::ids::OrderNo;
use crate::domain::order::Order;
use crate::domain::outcome::{Cause, Reply};
use crate::engine::{Actor, Scope};
use async_graphql::{Request, Response};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;

const WATCH: &str = "subscription($n: String!) { orderChanged(orderNo: $n) { state version } }";

fn watch(world: &World, token: &str, order_no: &str) -> BoxStream<'static, Response> {
    let variables = serde_json::from_value(serde_json::json!({ "n": order_no })).unwrap();
    let principal = world
        .api
        .0
        .tokens
        .principal(Some(&format!("Bearer {token}")))
        .unwrap();
    let request = Request::new(WATCH).variables(variables).data(Caller {
        visit: None,
        principal,
        request_id: RequestId::accept(None),
        pass: None,
        address: CallerAddress::NOWHERE,
    });
    world.api.0.schema.execute_stream(request).boxed()
}

fn told(response: Option<Response>) -> (String, i64) {
    let response = serde_json::to_value(response.unwrap()).unwrap();
    let order = &response["data"]["orderChanged"];
    let state = order["state"].as_str();
    let state = state.unwrap_or_else(|| panic!("{response}")).to_owned();
    (state, order["version"].as_i64().unwrap())
}

async fn stored(world: &World, order_no: &str) -> Order {
    let number = OrderNo::try_new(order_no).unwrap();
    let found = world.engine.order_stored(&number, &Scope::All).await;
    found.unwrap().unwrap()
}

#[tokio::test]
async fn an_order_is_watched_until_it_is_at_rest() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut changes = watch(&world, ALPHA, &order_no);
    assert_eq!(told(changes.next().await), ("CREATED".into(), 0));
    // Another order moves meanwhile: not a word about it.
    let other = world.order(ALPHA, "R-2", "13800000002").await;
    world.confirm(ALPHA, &other).await;
    assert!(changes.next().now_or_never().is_none());
    world.confirm(ALPHA, &order_no).await;
    assert_eq!(told(changes.next().await).0, "PAYING");
    assert_eq!(told(changes.next().await).0, "SUCCEEDED");
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn an_order_at_rest_is_told_once() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    world.confirm(ALPHA, &order_no).await;
    let mut changes = watch(&world, VIEWER, &order_no);
    assert_eq!(told(changes.next().await).0, "SUCCEEDED");
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn an_older_version_is_never_told() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let before = stored(&world, &order_no).await;
    world.bank.will_pay(Reply::Unknown(Cause::TimedOut));
    let mut changes = watch(&world, ALPHA, &order_no);
    assert_eq!(told(changes.next().await).0, "CREATED");
    world.confirm(ALPHA, &order_no).await;
    assert_eq!(told(changes.next().await).0, "PAYING");
    // A late announcement of what was, between two that are news.
    world.engine.hub().announce(&[before]);
    assert_eq!(told(changes.next().await).0, "UNKNOWN");
    assert!(changes.next().now_or_never().is_none());
    world.bank.will_tell(succeeded());
    world.clock.advance(Duration::from_secs(10));
    world.engine.poll(None, &Actor::job("poll")).await.unwrap();
    assert_eq!(told(changes.next().await).0, "SUCCEEDED");
    assert!(changes.next().await.is_none());
}

/// Another replica's moves are not announced here: they are found by reading again.
#[tokio::test]
async fn a_move_that_nobody_announced_is_found() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut changes = watch(&world, ALPHA, &order_no);
    assert_eq!(told(changes.next().await).0, "CREATED");
    let mut silent = stored(&world, &order_no).await;
    silent.version -= 1;
    // The hub is flooded, so that the watcher lags behind and has to look for itself.
    world.confirm(ALPHA, &order_no).await;
    for _ in 0..5_000 {
        world.engine.hub().announce(std::slice::from_ref(&silent));
    }
    assert_eq!(told(changes.next().await).0, "SUCCEEDED");
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn the_order_is_read_again_every_two_seconds() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut changes = watch(&world, ALPHA, &order_no);
    assert_eq!(told(changes.next().await).0, "CREATED");
    world.silence();
    world.confirm(ALPHA, &order_no).await;
    assert!(changes.next().now_or_never().is_none(), "nobody announces");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(told(changes.next().await).0, "SUCCEEDED");
    assert!(changes.next().await.is_none());
}

#[tokio::test]
async fn what_is_not_there_or_not_one_s_own_is_not_watched() {
    let world = World::new().await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    for (token, number) in [
        (BETA, order_no.as_str()),
        (ALPHA, "202001010000000000000000"),
        (ALPHA, "x"),
    ] {
        let mut changes = watch(&world, token, number);
        let first = changes.next().await.unwrap();
        assert_eq!(first.errors.len(), 1);
        assert!(
            first.errors[0]
                .source::<crate::api::errors::Problem>()
                .is_some()
        );
        assert!(changes.next().await.is_none());
    }
}
