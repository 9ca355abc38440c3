//! WebSockets of merchants that have only keys, and the limits of sockets.

use super::signed::Hand;
use super::support::*;
use super::websocket::{Client, Heard, PROTOCOL, WATCH, listen, open, said};
use crate::api::{LimitOptions, Rate, Stopwatch};
use crate::trust::{self, Signer, sign_request};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The headers of an upgrade that a merchant's key signed: a GET without a body.
fn signed(
    world: &World,
    hand: &Hand,
    address: SocketAddr,
    nonce: &str,
) -> Vec<(&'static str, String)> {
    let authority = address.to_string();
    let headers = [("host", authority.as_bytes())];
    let request = trust::Request {
        method: "GET",
        scheme: "http",
        authority: &authority,
        path: "/graphql",
        query: None,
        headers: &headers,
        body: b"",
    };
    let signer = Signer {
        key: &hand.private,
        key_id: &hand.key_id,
        nonce,
        created: crate::engine::Clock::now(&world.clock),
    };
    sign_request(&request, &signer).unwrap()
}

async fn open_signed(
    address: SocketAddr,
    signed: &[(&'static str, String)],
    more: &[(&str, &str)],
) -> Result<Client, (u16, String)> {
    let mut headers = vec![PROTOCOL];
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    headers.extend(more);
    open(address, &headers).await
}

async fn introduced(world: &World, hand: &Hand, address: SocketAddr, nonce: &str) -> Client {
    let opened = open_signed(address, &signed(world, hand, address, nonce), &[]).await;
    let mut client = opened.unwrap_or_else(|error| panic!("{error:?}"));
    client.say(json!({ "type": "connection_init" })).await;
    let heard = client.hear().await;
    assert_eq!(heard, said(json!({ "type": "connection_ack" })));
    client
}

#[tokio::test]
async fn who_signs_the_upgrade_watches_its_own_orders() {
    let world = World::new().await;
    let address = listen(&world).await;
    let hand = Hand::of(&world, "alpha").await;
    let own = world.order(ALPHA, "R-1", "13800000001").await;
    let other = world.order(BETA, "R-1", "13800000002").await;
    let mut client = introduced(&world, &hand, address, "n-1").await;
    client.subscribe("1", WATCH, &own).await;
    assert_eq!(client.state().await, "CREATED");
    client.subscribe("2", WATCH, &other).await;
    assert_eq!(client.refusal().await, "ORDER_NOT_FOUND");
}

#[tokio::test]
async fn a_signed_upgrade_is_checked_like_a_signed_request() {
    let world = World::new().await;
    let address = listen(&world).await;
    let hand = Hand::of(&world, "alpha").await;
    let unauthenticated = (401, "UNAUTHENTICATED".to_owned());
    let headers = signed(&world, &hand, address, "n-1");
    let bearer = format!("Bearer {ALPHA}");
    let both = open_signed(address, &headers, &[("authorization", &bearer)]).await;
    assert_eq!(both.err().unwrap(), (400, "BAD_REQUEST".to_owned()));
    assert!(open_signed(address, &headers, &[]).await.is_ok());
    let replayed = open_signed(address, &headers, &[]).await;
    assert_eq!(replayed.err().unwrap(), unauthenticated);
    let half = &signed(&world, &hand, address, "n-2")[..2];
    assert_eq!(
        open_signed(address, half, &[]).await.err().unwrap(),
        unauthenticated
    );
    // Signed for another place, or long ago.
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    let headers = signed(&world, &hand, elsewhere, "n-3");
    assert_eq!(
        open_signed(address, &headers, &[]).await.err().unwrap(),
        unauthenticated
    );
    let headers = signed(&world, &hand, address, "n-4");
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(
        open_signed(address, &headers, &[]).await.err().unwrap(),
        unauthenticated
    );
    // A signature says who it is; nothing else is said beside it.
    let headers = signed(&world, &hand, address, "n-5");
    let mut client = open_signed(address, &headers, &[])
        .await
        .unwrap_or_else(|e| panic!("{e:?}"));
    let payload = json!({ "authorization": bearer });
    client
        .say(json!({ "type": "connection_init", "payload": payload }))
        .await;
    assert_eq!(client.hear().await, Heard::Closed(4403));
}

#[tokio::test]
async fn a_socket_ends_with_its_key() {
    let world = World::with(|o| o.websocket_ping = Duration::from_millis(20)).await;
    let address = listen(&world).await;
    let hand = Hand::of(&world, "alpha").await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut client = introduced(&world, &hand, address, "n-1").await;
    client.subscribe("1", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
    let revoke = "mutation($i: KeyRevokeInput!) { keyRevoke(input: $i) { key { state } userErrors { code } } }";
    let input = json!({ "i": { "keyId": hand.key_id, "reason": "stolen" } });
    // The client listens meanwhile: one that answers no ping is given up without a word.
    let (revoked, heard) = tokio::join!(world.field(OPERATOR, revoke, input), client.hear());
    assert_eq!(revoked["key"]["state"], "REVOKED", "{revoked}");
    assert_eq!(heard, Heard::Closed(4401));
    let again = open_signed(address, &signed(&world, &hand, address, "n-2"), &[]).await;
    assert_eq!(again.err().unwrap(), (401, "UNAUTHENTICATED".to_owned()));
}

/// Limits by a time that stands still.
fn limits(change: impl FnOnce(&mut LimitOptions)) -> LimitOptions {
    let mut limits = LimitOptions {
        stopwatch: Stopwatch(Arc::new(|| Duration::ZERO)),
        ..LimitOptions::off()
    };
    change(&mut limits);
    limits
}

#[tokio::test]
async fn messages_count_like_requests() {
    let rate = Rate { per_s: 1, burst: 4 };
    let world = World::with(|o| o.limits = limits(|l| l.address = rate)).await;
    let address = listen(&world).await;
    // The upgrade and the introduction are two of the four.
    let mut client = Client::introduced(address, ALPHA).await;
    for _ in 0..2 {
        client.say(json!({ "type": "ping" })).await;
        assert_eq!(client.hear().await, said(json!({ "type": "pong" })));
    }
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await, Heard::Closed(1013));
    let refused = open(address, &[PROTOCOL]).await.err().unwrap();
    assert_eq!(refused, (429, "RATE_LIMITED".to_owned()));
}

#[tokio::test]
async fn a_subscription_counts_for_its_merchant() {
    let rate = Rate { per_s: 1, burst: 2 };
    let world = World::with(|o| o.limits = limits(|l| l.merchant = rate)).await;
    let address = listen(&world).await;
    let order_no = world.order(ALPHA, "R-1", "13800000001").await;
    let mut client = Client::introduced(address, ALPHA).await;
    client.subscribe("1", WATCH, &order_no).await;
    assert_eq!(client.state().await, "CREATED");
    client.subscribe("2", WATCH, &order_no).await;
    assert_eq!(client.refusal().await, "RATE_LIMITED");
    let bearer = format!("Bearer {ALPHA}");
    let refused = open(address, &[PROTOCOL, ("authorization", &bearer)]).await;
    assert_eq!(refused.err().unwrap(), (429, "RATE_LIMITED".to_owned()));
}

#[tokio::test]
async fn one_address_cannot_take_all_the_sockets_and_guessing_is_slow() {
    let world = World::with(|o| {
        o.websockets_per_address = 1;
        o.limits = limits(|l| l.refused_per_min = 1);
    })
    .await;
    let address = listen(&world).await;
    let mut first = open(address, &[PROTOCOL])
        .await
        .unwrap_or_else(|e| panic!("{e:?}"));
    let second = open(address, &[PROTOCOL]).await.err().unwrap();
    assert_eq!(second, (429, "RATE_LIMITED".to_owned()));
    let guess = json!({ "authorization": "Bearer nobody" });
    first
        .say(json!({ "type": "connection_init", "payload": guess }))
        .await;
    assert_eq!(first.hear().await, Heard::Closed(4403));
    let stranger = [PROTOCOL, ("authorization", "Bearer nobody")];
    let refused = open(address, &stranger).await.err().unwrap();
    assert_eq!(refused, (401, "UNAUTHENTICATED".to_owned()));
    let shut = open(address, &[PROTOCOL]).await.err().unwrap();
    assert_eq!(shut, (429, "RATE_LIMITED".to_owned()));
}
