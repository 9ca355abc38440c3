//! Operators log in through an identity provider: a real center, a provider over HTTP that is written
//! for this test and can be told to misbehave, and a browser that keeps cookies as browsers do.
#![cfg(feature = "oidc")]

mod browser;
mod given;
mod limits;
mod provider;
#[path = "../support/mod.rs"]
mod support;

use browser::REFUSED;
use given::Bank;
use provider::Behaviour;
use serde_json::json;

const ADD: &str =
    "mutation($i: OperatorAddInput!) { operatorAdd(input: $i) { userErrors { code } } }";

const CAME_IN: &str = "LOGGED_IN operator:ann identity provider: LET_IN";

#[tokio::test]
async fn somebody_comes_in_through_the_provider() {
    let bank = Bank::start().await;
    for behaviour in [
        Behaviour::Right,
        Behaviour::SignsByRsa,
        Behaviour::SignsByEd25519,
    ] {
        bank.provider.behave(behaviour);
        let mut browser = bank.browser();
        let left = browser.depart("/login/oidc").await;
        let ticket = left.cookie("payhall_login");
        for attribute in ["HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"] {
            assert!(ticket.contains(attribute), "{ticket}");
        }
        let back = browser.at_the_provider(&left.location()).await;
        let asked = bank.provider.last_question();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["scope"], "openid profile");
        assert_eq!(asked["max_age"], "300");
        assert!(!asked.contains_key("prompt"));
        let answer = browser.come_back(&back).await;
        assert_eq!(
            (answer.status, answer.location().as_str()),
            (303, "/playground")
        );
        let session = answer.cookie("payhall_session");
        assert!(
            session.contains("HttpOnly") && session.contains("SameSite=Strict"),
            "{session}"
        );
        assert!(answer.cookie("payhall_login").contains("Max-Age=0"));
        let me = browser.me().await;
        assert_eq!((&me["name"], &me["role"]), (&json!("ann"), &json!("ADMIN")));
        assert!(browser.is_fresh().await);
    }
    let deeds = bank.deeds("ann");
    assert_eq!(
        deeds.iter().filter(|deed| *deed == CAME_IN).count(),
        3,
        "{deeds:?}"
    );
    assert!(
        !bank.log().contains("payhall_login="),
        "no ticket in the log"
    );
}

/// A second login ends the session that the browser held; a provider that has changed its keys is asked
/// for them once more.
#[tokio::test]
async fn a_login_replaces_the_session_and_keys_may_change() {
    let bank = Bank::start().await;
    let mut browser = bank.browser();
    browser.log_in().await;
    let before = browser.clone();
    let fetched = bank.provider.keys_fetched();
    bank.provider.change_keys();
    browser.log_in().await;
    assert_eq!(bank.provider.keys_fetched(), fetched + 1);
    assert!(browser.is_in().await && !before.is_in().await);
    browser.log_in().await;
    assert_eq!(
        bank.provider.keys_fetched(),
        fetched + 1,
        "the keys are kept"
    );
}

/// Whatever the provider does wrong: one answer to the browser, one line in the log, no session.
#[tokio::test]
async fn a_provider_that_misbehaves_lets_nobody_in() {
    let bank = Bank::start().await;
    for (behaviour, reason) in provider::WRONG {
        bank.tell_again();
        bank.provider.behave(*behaviour);
        let mut browser = bank.browser();
        let left = browser.depart("/login/oidc").await;
        let back = browser.at_the_provider(&left.location()).await;
        let answer = browser.come_back(&back).await;
        bank.is_refused(&answer, reason).await;
        assert!(!browser.is_in().await, "{behaviour:?}");
    }
    // Afterwards all is well again.
    bank.provider.behave(Behaviour::Right);
    bank.browser().log_in().await;
    let unknown = bank.deeds("unknown");
    for (_, reason) in provider::WRONG {
        let row = format!("LOGIN_REFUSED anonymous identity provider: {reason}");
        assert!(unknown.contains(&row), "{row}: {unknown:?}");
    }
}

/// A provider that never gives an answer is given up, and its browser gets the one answer as well.
#[tokio::test]
async fn a_provider_that_is_silent_lets_nobody_in() {
    for (behaviour, reason) in provider::NEVER {
        let bank = Bank::with(*behaviour).await;
        let (mut browser, url) = bank.on_its_way().await;
        let back = browser.at_the_provider(&url).await;
        let answer = browser.come_back(&back).await;
        bank.is_refused(&answer, reason).await;
        assert!(!browser.is_in().await, "{behaviour:?}");
        let row = format!("LOGIN_REFUSED anonymous identity provider: {reason}");
        let unknown = bank.deeds("unknown");
        assert!(unknown.contains(&row), "{row}: {unknown:?}");
    }
}

/// Anybody can fetch a ticket and knock with it in a loop.
#[tokio::test]
async fn who_knocks_for_ever_gets_twenty_rows_a_minute() {
    let bank = Bank::start().await;
    let mut browser = bank.browser();
    let left = browser.depart("/login/oidc").await;
    let back = browser.at_the_provider(&left.location()).await;
    let gone = browser::without_code(&back);
    for _ in 0..25 {
        let answer = browser.clone().come_back(&gone).await;
        bank.is_refused(&answer, "CODE_MISSING").await;
    }
    let told = "LOGIN_REFUSED anonymous identity provider: CODE_MISSING";
    assert_eq!(bank.deeds("unknown"), [told; 20]);
    // People whom the provider knows share them: nothing else bounds what an account is not let in for.
    bank.lock("bob");
    bank.provider.person("bob", 0);
    let left = browser.depart("/login/oidc").await;
    let back = browser.at_the_provider(&left.location()).await;
    bank.is_refused(&browser.clone().come_back(&back).await, "LOCKED")
        .await;
    assert!(!bank.deeds("bob").iter().any(|deed| deed.contains("LOCKED")));
    bank.provider.person("ann", 0);
    browser.log_in().await;
    assert_eq!(bank.deeds("ann").last().unwrap(), CAME_IN, "is always told");
}

#[tokio::test]
async fn an_answer_counts_for_the_browser_that_asked_and_once() {
    let bank = Bank::start().await;
    let mut ann = bank.browser();
    let left = ann.depart("/login/oidc").await;
    let back = ann.at_the_provider(&left.location()).await;

    let mut nobody = bank.browser();
    let answer = nobody.come_back(&back).await;
    bank.is_refused(&answer, "TICKET_MISSING").await;

    let mut other = bank.browser();
    let left = other.depart("/login/oidc").await;
    let others = other.at_the_provider(&left.location()).await;
    bank.is_refused(&other.clone().come_back(&back).await, "STATE_MISMATCH")
        .await;
    // The other's state with this one's code: the verifier is not the code's.
    let mixed = browser::with_code_of(&others, &back);
    bank.is_refused(&other.clone().come_back(&mixed).await, "PROVIDER_REFUSED")
        .await;
    let twice = format!("{others}&state=x");
    bank.is_refused(&other.come_back(&twice).await, "STATE_MISMATCH")
        .await;

    // The right browser, with the code that the mixture has used up; then with one of its own, twice.
    bank.is_refused(&ann.come_back(&back).await, "PROVIDER_REFUSED")
        .await;
    let left = ann.depart("/login/oidc").await;
    let back = ann.at_the_provider(&left.location()).await;
    let mut keeper = ann.clone();
    assert_eq!(ann.come_back(&back).await.status, 303);
    bank.is_refused(&ann.come_back(&back).await, "TICKET_MISSING")
        .await;
    bank.is_refused(&keeper.come_back(&back).await, "PROVIDER_REFUSED")
        .await;
    let left = ann.depart("/login/oidc").await;
    let gone = browser::without_code(&ann.at_the_provider(&left.location()).await);
    bank.is_refused(&ann.come_back(&gone).await, "CODE_MISSING")
        .await;
}

#[tokio::test]
async fn the_account_is_the_center_s_own() {
    let bank = Bank::start().await;
    bank.lock("bob");
    bank.disable("carl");
    for (user, reason, subject) in [
        ("nobody", "UNKNOWN_NAME", "unknown"),
        ("Ann", "UNKNOWN_NAME", "unknown"),
        ("bob", "LOCKED", "bob"),
        ("carl", "DISABLED", "carl"),
    ] {
        bank.provider.person(user, 0);
        let mut browser = bank.browser();
        let left = browser.depart("/login/oidc").await;
        let back = browser.at_the_provider(&left.location()).await;
        bank.is_refused(&browser.come_back(&back).await, reason)
            .await;
        let row = format!("LOGIN_REFUSED anonymous identity provider: {reason}");
        assert!(bank.deeds(subject).contains(&row), "{user}");
    }
    assert_eq!(
        bank.operators(),
        ["ann", "bob", "carl", "dora"],
        "no login makes an account"
    );
    bank.provider.person("dora", 0);
    let mut dora = bank.browser();
    dora.log_in().await;
    assert_eq!(dora.me().await["role"], "VIEWER");
}

#[tokio::test]
async fn what_gives_rights_wants_a_proof_of_now() {
    let bank = Bank::start().await;
    // The provider remembers the person; its proof was good for five minutes and a bit of skew.
    bank.provider.person("ann", 340);
    let mut ann = bank.browser();
    ann.log_in().await;
    assert!(!ann.is_fresh().await);
    let input = json!({ "i": { "name": "eve", "displayName": "Eve", "role": "VIEWER" } });
    let refused = ann.ask(ADD, input.clone()).await;
    let code = &refused["operatorAdd"]["userErrors"][0]["code"];
    assert_eq!(code, "REAUTHENTICATION_NEEDED", "{refused}");

    let left = ann.depart("/login/oidc?again").await;
    let back = ann.at_the_provider(&left.location()).await;
    let asked = bank.provider.last_question();
    assert_eq!(
        (&asked["prompt"][..], &asked["max_age"][..]),
        ("login", "0")
    );
    // The provider takes an old proof for a new one: that is seen.
    bank.is_refused(&ann.come_back(&back).await, "TOKEN_AUTH_TIME")
        .await;
    bank.provider.person("dora", 0);
    let left = ann.depart("/login/oidc?again").await;
    let back = ann.at_the_provider(&left.location()).await;
    bank.is_refused(&ann.come_back(&back).await, "OTHER_PERSON")
        .await;

    bank.provider.person("ann", 0);
    let before = ann.clone();
    let left = ann.depart("/login/oidc?again").await;
    let back = ann.at_the_provider(&left.location()).await;
    assert_eq!(ann.come_back(&back).await.status, 303);
    assert!(ann.is_fresh().await && !before.is_in().await);
    let added = ann.ask(ADD, input).await;
    assert_eq!(added["operatorAdd"]["userErrors"], json!([]), "{added}");
    let row = "REAUTHENTICATED operator:ann identity provider: LET_IN";
    assert!(bank.deeds("ann").iter().any(|deed| deed == row));
    let mut stranger = bank.browser();
    bank.is_refused(
        &stranger.depart("/login/oidc?again").await,
        "SESSION_MISSING",
    )
    .await;
}

#[tokio::test]
async fn a_provider_that_is_another_one_is_not_gone_to() {
    for (behaviour, reason) in provider::WRONG_AT_THE_START {
        let bank = Bank::with(*behaviour).await;
        let mut browser = bank.browser();
        let answer = browser.depart("/login/oidc").await;
        bank.is_refused(&answer, reason).await;
        assert_eq!(answer.text, REFUSED);
    }
}

#[tokio::test]
async fn only_get_is_served_there() {
    let bank = Bank::start().await;
    for path in ["/login/oidc", "/login/oidc/callback"] {
        let answer = bank.browser().post(path).await;
        assert_eq!(answer.status, 405, "{path}");
    }
}
