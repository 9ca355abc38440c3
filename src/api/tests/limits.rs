//! How often somebody may call: what is counted, in which order, and what is said to who has to wait.

use super::operators::{LOGIN, PASSWORD, add, credentials};
use super::signed::Hand;
use super::support::*;
use crate::api::{ApiOptions, LimitOptions, Rate, Stopwatch};
use crate::domain::operator::Role;
use crate::trust::PrivateKey;
use poem::http::Method;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Request};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const INFO: &str = "{ serverInfo { version } }";
const ME: &str = "{ serverInfo { caller } }";
const GATEWAY: &str = "10.0.0.1";

/// A time that stands still until a test lets it pass.
#[derive(Clone, Default)]
struct Hours(Arc<Mutex<Duration>>);

impl Hours {
    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }

    /// Limits that are all off, by this time.
    fn limits(&self) -> LimitOptions {
        let at = self.0.clone();
        LimitOptions {
            stopwatch: Stopwatch(Arc::new(move || *at.lock().unwrap())),
            ..LimitOptions::off()
        }
    }
}

fn two() -> Rate {
    Rate { per_s: 1, burst: 2 }
}

/// A world with one limit in force.
async fn world(change: impl FnOnce(&mut LimitOptions)) -> (World, Hours) {
    let hours = Hours::default();
    let mut limits = hours.limits();
    change(&mut limits);
    let world = World::with(|options: &mut ApiOptions| {
        options.limits = limits;
        options.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    });
    (world.await, hours)
}

/// A request from an address, with further headers.
fn from(peer: &str, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut request = poem::http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let peer = Addr::SocketAddr(format!("{peer}:4711").parse().unwrap());
    let parts = (parts, LocalAddr::default(), RemoteAddr(peer), Scheme::HTTP);
    Request::from_parts(parts.into(), body.to_owned().into())
}

async fn ask_from(world: &World, peer: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "query": INFO }).to_string();
    let request = from(peer, Method::POST, "/graphql", headers, &body);
    world.send(request).await
}

/// Checks that an answer says to come again, by which limit, and when.
fn assert_limited(answer: &Answer, words: &str, seconds: u64) {
    assert_eq!(answer.status.as_u16(), 429, "{}", answer.text);
    assert_eq!(answer.code(), "RATE_LIMITED");
    assert_eq!(answer.headers["retry-after"], seconds.to_string().as_str());
    let error = answer.error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    assert!(
        message.ends_with(&format!("come again in {seconds} s")),
        "{message}"
    );
    assert_eq!(error["extensions"]["retry"], "LATER");
    assert_eq!(error["extensions"]["retryAfterSeconds"], seconds);
    assert!(error["extensions"]["requestId"].is_string());
    let json = answer.json();
    assert!(json.get("errors").is_some(), "an answer of GraphQL");
}

#[tokio::test]
async fn an_address_is_counted_before_anything_is_looked_at() {
    let (world, hours) = world(|limits| limits.address = two()).await;
    for _ in 0..2 {
        assert_eq!(
            ask_from(&world, "192.0.2.1", &[]).await.status.as_u16(),
            200
        );
    }
    let words = "too many requests from this address";
    assert_limited(&ask_from(&world, "192.0.2.1", &[]).await, words, 1);
    // Neither a good token nor a body that is none, nor another path, changes that.
    let good = format!("Bearer {ALPHA}");
    let authorized = [("authorization", good.as_str())];
    assert_limited(&ask_from(&world, "192.0.2.1", &authorized).await, words, 1);
    for (method, path) in [
        (Method::POST, "/graphql"),
        (Method::GET, "/playground"),
        (Method::GET, "/.well-known/payhall-keys"),
        (Method::GET, "/nowhere"),
    ] {
        let request = from("192.0.2.1", method, path, &[], "[");
        assert_limited(&world.send(request).await, words, 1);
    }
    // What the platform asks is not counted, and another address is another one.
    for path in ["/livez", "/readyz", "/metrics"] {
        let request = from("192.0.2.1", Method::GET, path, &[], "");
        assert_eq!(world.send(request).await.status.as_u16(), 200, "{path}");
    }
    assert_eq!(
        ask_from(&world, "192.0.2.2", &[]).await.status.as_u16(),
        200
    );
    hours.pass(1);
    assert_eq!(
        ask_from(&world, "192.0.2.1", &[]).await.status.as_u16(),
        200
    );
}

#[tokio::test]
async fn a_proxy_of_ours_says_who_calls_and_nobody_else_does() {
    let (world, _) = world(|limits| limits.address = two()).await;
    let status = async |peer: &str, list: &str| {
        let answer = ask_from(&world, peer, &[("x-forwarded-for", list)]).await;
        answer.status.as_u16()
    };
    for _ in 0..2 {
        assert_eq!(status(GATEWAY, "192.0.2.1").await, 200);
    }
    assert_eq!(status(GATEWAY, "192.0.2.1").await, 429);
    // What the caller wrote before it helps nobody.
    assert_eq!(status(GATEWAY, "198.51.100.77, 192.0.2.1").await, 429);
    assert_eq!(status(GATEWAY, "192.0.2.2").await, 200);
    // Who is no proxy of ours counts as itself, whatever it writes.
    for n in 0..2 {
        assert_eq!(status("203.0.113.9", &format!("192.0.2.{n}")).await, 200);
    }
    assert_eq!(status("203.0.113.9", "192.0.2.99").await, 429);
}

#[tokio::test]
async fn a_merchant_and_an_operator_are_counted_once_they_are_known() {
    let (world, hours) = world(|limits| {
        limits.merchant = two();
        limits.operator = two();
    })
    .await;
    for (token, words) in [
        (ALPHA, "too many requests of this merchant"),
        (VIEWER, "too many requests of this operator"),
    ] {
        for _ in 0..2 {
            world.ask(Some(token), INFO, json!({})).await.data();
        }
        assert_limited(&world.ask(Some(token), INFO, json!({})).await, words, 1);
    }
    // Another merchant is another one, and who is not known is not counted here.
    world.ask(Some(BETA), INFO, json!({})).await.data();
    for _ in 0..5 {
        world.ask(None, INFO, json!({})).await.data();
    }
    hours.pass(1);
    world.ask(Some(ALPHA), INFO, json!({})).await.data();
}

/// A key and a token of one merchant share its limit; nothing is executed past it.
#[tokio::test]
async fn who_signs_is_counted_as_its_merchant() {
    let (world, _) = world(|limits| limits.merchant = two()).await;
    let hand = Hand::of(&world, "alpha").await;
    hand.ask(&world, "n-1", ME, json!({})).await.data();
    world.order(ALPHA, "R-1", "13800000001").await;
    let input = json!({ "input": { "requestNo": "R-2", "item": "phone", "billNo": "13800000002",
        "amount": { "minor": "5000", "currency": "CNY" } } });
    let limited = hand.ask(&world, "n-2", CREATE, input).await;
    assert_limited(&limited, "too many requests of this merchant", 1);
    let none = world.field(
        VIEWER,
        "{ orders(first: 9) { edges { node { requestNo } } } }",
        json!({}),
    );
    let found = none.await;
    assert_eq!(found["edges"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_is_right_does_not() {
    let (world, hours) = world(|limits| limits.refused_per_min = 2).await;
    let hand = Hand::of(&world, "alpha").await;
    let forger = Hand {
        key_id: hand.key_id.clone(),
        private: PrivateKey::generate(crate::domain::key::Algorithm::Ed25519).unwrap(),
    };
    for _ in 0..20 {
        world.ask(Some(ALPHA), INFO, json!({})).await.data();
    }
    let guessed = world.ask(Some("a-token-of-nobody"), INFO, json!({})).await;
    assert_eq!(guessed.status.as_u16(), 401);
    let forged = forger.ask(&world, "n-1", ME, json!({})).await;
    assert_eq!(forged.status.as_u16(), 401);
    world.ask(Some(ALPHA), INFO, json!({})).await.data();
    // The third one is still told so; from then on nothing of the address is looked at.
    let third = world.ask(Some("a-token-of-nobody"), INFO, json!({})).await;
    assert_eq!(third.status.as_u16(), 401);
    let words = "too many refused tokens, signatures or tickets from this address";
    assert_limited(&world.ask(Some(ALPHA), INFO, json!({})).await, words, 30);
    let forged = forger.ask(&world, "n-2", ME, json!({})).await;
    assert_limited(&forged, words, 30);
    let elsewhere = [("authorization", "Bearer a-token-of-nobody")];
    let answer = ask_from(&world, "192.0.2.7", &elsewhere).await;
    assert_eq!(
        answer.status.as_u16(),
        401,
        "another address is another one"
    );
    hours.pass(30);
    world.ask(Some(ALPHA), INFO, json!({})).await.data();
}

/// A request that somebody caught and sends again, whether or not its verb lets it in by itself.
#[tokio::test]
async fn a_replayed_request_is_a_refused_proof() {
    let create = json!({ "input": { "requestNo": "R-1", "item": "phone", "billNo": "13800000002",
        "amount": { "minor": "5000", "currency": "CNY" } } });
    for (document, variables) in [(ME, json!({})), (CREATE, create)] {
        let (world, hours) = world(|limits| limits.refused_per_min = 2).await;
        let hand = Hand::of(&world, "alpha").await;
        let send = || hand.ask(&world, "n-1", document, variables.clone());
        send().await.data();
        for _ in 0..3 {
            let again = send().await;
            assert_eq!(again.status.as_u16(), 401, "{}", again.text);
            assert_eq!(again.error()["extensions"]["reason"], "NONCE_REPLAYED");
        }
        let words = "too many refused tokens, signatures or tickets from this address";
        assert_limited(&send().await, words, 30);
        hours.pass(30);
        let new = hand.ask(&world, "n-2", ME, json!({})).await;
        assert_eq!(new.status.as_u16(), 200, "{}", new.text);
    }
}

#[tokio::test]
async fn a_ticket_is_not_guessed_either() {
    let (world, _) = world(|limits| limits.refused_per_min = 1).await;
    let take = "mutation($i: KeyHandOutInput!) { keyHandOut(input: $i) { userErrors { code } } }";
    let input = json!({ "i": { "keyId": "k-1", "ticket": "guess" } });
    for _ in 0..2 {
        let taken = world.ask(None, take, input.clone()).await.data();
        let code = &taken["keyHandOut"]["userErrors"][0]["code"];
        assert_eq!(code, "KEY_TICKET_INVALID", "{taken}");
    }
    assert_limited(&world.ask(None, take, input).await, "tickets", 60);
}

async fn log_in(world: &World, peer: &str, name: &str, password: &str) -> Answer {
    let body = json!({ "query": LOGIN, "variables": credentials(name, password) });
    let request = from(peer, Method::POST, "/graphql", &[], &body.to_string());
    world.send(request).await
}

/// The same to a name that somebody has, to one that nobody has, and to a right password.
#[tokio::test]
async fn logins_under_one_name_are_bounded_whether_or_not_anybody_has_it() {
    let (world, hours) = world(|limits| limits.logins_per_name_per_min = 2).await;
    add(&world, "ann", Role::Viewer).await;
    let mut told = Vec::new();
    for name in ["ann", "nobody", "not a name at all \u{1F511}"] {
        for n in 0..2 {
            let answer = log_in(&world, &format!("192.0.2.{n}"), name, "wrong").await;
            assert_eq!(answer.status.as_u16(), 200);
        }
        let answer = log_in(
            &world,
            "192.0.2.9",
            &format!(" {}", name.to_uppercase()),
            PASSWORD,
        )
        .await;
        let words = "too many tries to log in under this name";
        assert_limited(&answer, words, 30);
        told.push(answer.error()["message"].clone());
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    hours.pass(30);
    let answer = log_in(&world, "192.0.2.9", "ann", PASSWORD).await;
    assert_eq!(answer.data()["operatorLogin"]["me"]["name"], "ann");
}

#[tokio::test]
async fn logins_from_one_address_are_bounded_whatever_the_names() {
    let (world, _) = world(|limits| limits.logins_per_address_per_min = 3).await;
    add(&world, "ann", Role::Viewer).await;
    for name in ["a", "b", "c"] {
        let answer = log_in(&world, "192.0.2.1", name, "wrong").await;
        assert_eq!(answer.status.as_u16(), 200);
    }
    let answer = log_in(&world, "192.0.2.1", "ann", PASSWORD).await;
    assert_limited(&answer, "too many tries to log in from this address", 20);
    let other = log_in(&world, "192.0.2.2", "ann", PASSWORD).await;
    assert_eq!(other.data()["operatorLogin"]["me"]["name"], "ann");
}

/// A proof by somebody who is logged in counts as well; the session of another browser cannot be used
/// to try passwords.
#[tokio::test]
async fn a_new_proof_counts_as_a_login() {
    let (world, _) = world(|limits| limits.logins_per_name_per_min = 2).await;
    add(&world, "ann", Role::Viewer).await;
    let cookie = world.log_in("ann").await;
    let again = "mutation($i: OperatorReauthenticateInput!) { operatorReauthenticate(input: $i) \
                 { userErrors { code } } }";
    let wrong = json!({ "i": { "password": "wrong" } });
    let answer = world.browse(Some(&cookie), again, wrong.clone()).await;
    let code: Value = answer.data()["operatorReauthenticate"]["userErrors"][0]["code"].clone();
    assert_eq!(code, "LOGIN_REFUSED");
    let answer = world.browse(Some(&cookie), again, wrong).await;
    assert_limited(&answer, "under this name", 30);
}
