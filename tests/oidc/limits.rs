//! How often somebody may come back from the provider, and what a refusal costs whom.

use crate::browser::{Answer, Browser};
use crate::given::Bank;
use crate::provider::Behaviour;
use serde_json::{Value, json};

const ARRIVE: &str = "/login/oidc/callback?code=guess&state=guess";
const LOGIN: &str = "mutation($i: OperatorLoginInput!) { operatorLogin(input: $i) \
                     { userErrors { code } } }";

/// The answer says to come again, and leaves the browser what it holds.
fn assert_limited(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let error: Value = serde_json::from_str(&answer.text).expect("JSON");
    let error = &error["errors"][0];
    assert_eq!(error["extensions"]["code"], "RATE_LIMITED");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(words), "{message}");
    assert!(answer.sets_no_cookie());
}

/// Knocks with a ticket that somebody made up.
async fn knock(browser: &mut Browser) -> Answer {
    browser.holds(Some("guess"));
    browser.depart(ARRIVE).await
}

/// What bob types.
fn password() -> Value {
    json!({ "i": { "name": "bob", "password": "correct horse battery" } })
}

#[tokio::test]
async fn who_comes_back_with_a_ticket_tries_to_log_in() {
    let bank = Bank::limited("limits.logins_per_address_per_min", 3).await;
    let mut stranger = bank.browser();
    // Without a ticket nothing is asked of anybody, and nobody's way in is used up.
    for _ in 0..10 {
        stranger.holds(None);
        let answer = stranger.depart(ARRIVE).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
    let mut ann = bank.browser();
    ann.log_in().await;
    for _ in 0..2 {
        assert_eq!(knock(&mut stranger).await.status, 403);
    }
    let words = "too many tries to log in from this address";
    assert_limited(&knock(&mut stranger).await, words);
    // The passwords of the same address share the limit, and whoever is in goes on.
    let mut bob = bank.browser();
    let left = bob.depart("/login/oidc").await;
    let back = bob.at_the_provider(&left.location()).await;
    assert_limited(&bob.come_back(&back).await, words);
    assert!(bob.ask(LOGIN, password()).await.is_null());
    assert!(ann.is_in().await && !bob.is_in().await);
}

#[tokio::test]
async fn a_refused_arrival_is_a_refused_proof_unless_somebody_else_failed() {
    let bank = Bank::limited("limits.refused_per_min", 2).await;
    let mut browser = bank.browser();
    for behaviour in [
        Behaviour::NoIdToken,
        Behaviour::NoKeys,
        Behaviour::Html,
        Behaviour::Redirects,
    ] {
        bank.provider.behave(behaviour);
        let left = browser.depart("/login/oidc").await;
        let back = browser.at_the_provider(&left.location()).await;
        let answer = browser.come_back(&back).await;
        assert_eq!(answer.status, 403, "{behaviour:?}: {}", answer.text);
    }
    for _ in 0..10 {
        browser.holds(None);
        assert_eq!(browser.depart(ARRIVE).await.status, 403);
    }
    bank.provider.behave(Behaviour::Right);
    browser.log_in().await;
    let entered = browser.ask(LOGIN, password()).await;
    assert_eq!(entered["operatorLogin"]["userErrors"], json!([]));
    let mut stranger = bank.browser();
    for _ in 0..3 {
        assert_eq!(knock(&mut stranger).await.status, 403);
    }
    let words = "too many refused tokens, signatures or tickets from this address";
    assert_limited(&knock(&mut stranger).await, words);
}
