//! A browser's way in: the cookie, the pages that may use it, and what a session may do when.

use super::support::*;
use crate::domain::ids::OperatorName;
use crate::domain::operator::Role;
use crate::engine::{Actor, NewOperator};
use poem::http::{HeaderMap, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const PASSWORD: &str = "correct horse battery";
/// A page of this server.
pub const OWN_PAGE: &str = "https://pay.example.com";
/// The server as a browser names it.
pub const HOST: &str = "pay.example.com";

pub const LOGIN: &str = "mutation($i: OperatorLoginInput!) { operatorLogin(input: $i) {
    me { name role rights operator { passwordIsTemporary } session { expiresAt freshUntil } }
    userErrors { code field message retry } } }";
const AGAIN: &str =
    "mutation($i: OperatorReauthenticateInput!) { operatorReauthenticate(input: $i) {
    me { name } userErrors { code } } }";
const LOGOUT: &str = "mutation { operatorLogout { loggedOut userErrors { code } } }";
const ME: &str = "{ me { name role session { freshUntil } } }";
const DECIDE: &str =
    "mutation($i: CaseDecideInput!) { caseDecide(input: $i) { userErrors { code } } }";

pub async fn add(world: &World, name: &str, role: Role) {
    let new = NewOperator {
        name: OperatorName::try_new(name).unwrap(),
        display_name: name.to_owned(),
        role,
    };
    let password = SecretString::from(PASSWORD);
    let system = Actor::system();
    let added = world.operators.add_with_password(new, &password, &system);
    added.await.unwrap();
}

impl World {
    /// Asks as a browser does: with a cookie, from a page of this server.
    pub async fn browse(&self, cookie: Option<&str>, document: &str, variables: Value) -> Answer {
        let mut headers = vec![("origin", OWN_PAGE), ("host", HOST)];
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        self.with_headers(&headers, document, variables).await
    }

    async fn with_headers(
        &self,
        headers: &[(&str, &str)],
        document: &str,
        variables: Value,
    ) -> Answer {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let mut request = poem::Request::builder()
            .method(Method::POST)
            .uri_str("/graphql")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body)).await
    }

    /// Logs somebody in and gives the cookie as a browser sends it back.
    pub async fn log_in(&self, name: &str) -> String {
        let answer = self.browse(None, LOGIN, credentials(name, PASSWORD)).await;
        let payload = &answer.data()["operatorLogin"];
        assert_eq!(payload["userErrors"], json!([]), "{}", answer.text);
        assert_eq!(payload["me"]["name"], name);
        cookie(&answer.headers)
    }
}

/// Asks with a cookie, from a page of this server.
pub async fn browse_as(world: &World, cookie: &str, document: &str, variables: Value) -> Answer {
    world.browse(Some(cookie), document, variables).await
}

pub fn credentials(name: &str, password: &str) -> Value {
    json!({ "i": { "name": name, "password": password } })
}

/// The cookie of an answer, without its attributes.
fn cookie(headers: &HeaderMap) -> String {
    let given = headers["set-cookie"].to_str().unwrap();
    given.split_once(';').unwrap().0.to_owned()
}

fn first_code(payload: &Value) -> &str {
    payload["userErrors"][0]["code"].as_str().unwrap_or("")
}

#[tokio::test]
async fn the_cookie_is_for_this_host_and_for_no_script() {
    for (https, name, attributes) in [
        (
            true,
            "__Host-payhall",
            "Path=/; HttpOnly; SameSite=Strict; Secure",
        ),
        (
            false,
            "payhall_session",
            "Path=/; HttpOnly; SameSite=Strict",
        ),
    ] {
        let world = World::with(|options| options.https = https).await;
        add(&world, "ann", Role::Viewer).await;
        let answer = world
            .browse(None, LOGIN, credentials("ann", PASSWORD))
            .await;
        let given = answer.headers["set-cookie"].to_str().unwrap();
        let (pair, rest) = given.split_once("; ").unwrap();
        let (found, secret) = pair.split_once('=').unwrap();
        assert_eq!((found, rest), (name, attributes));
        assert_eq!(secret.len(), 43);
        assert!(!answer.text.contains(secret), "the cookie alone carries it");

        let me = world.browse(Some(pair), ME, json!({})).await;
        assert_eq!(me.data()["me"]["name"], "ann");
        assert!(me.headers.get("set-cookie").is_none());
        let out = world.browse(Some(pair), LOGOUT, json!({})).await;
        assert_eq!(out.data()["operatorLogout"]["loggedOut"], true);
        let taken = out.headers["set-cookie"].to_str().unwrap();
        assert_eq!(taken, format!("{name}=; {attributes}; Max-Age=0"));
    }
}

/// A session that has ended makes a stranger, who may log in with the old cookie still in the browser.
#[tokio::test]
async fn who_holds_an_ended_session_may_log_in_again() {
    let world = World::new().await;
    add(&world, "ann", Role::Viewer).await;
    let old = world.log_in("ann").await;
    world.clock.advance(Duration::from_secs(15 * 60));
    let me = world.browse(Some(&old), ME, json!({})).await;
    assert_eq!(
        (me.status.as_u16(), me.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
    let taken = me.headers["set-cookie"].to_str().unwrap();
    assert!(taken.ends_with("Max-Age=0"), "{taken}");
    let again = world
        .browse(Some(&old), LOGIN, credentials("ann", PASSWORD))
        .await;
    let new = cookie(&again.headers);
    assert_ne!(new, old);
    assert_eq!(
        world.browse(Some(&new), ME, json!({})).await.data()["me"]["name"],
        "ann"
    );
}

/// A cookie that somebody planted before a login is worth nothing after it.
#[tokio::test]
async fn a_session_cannot_be_fixed_beforehand() {
    let world = World::new().await;
    add(&world, "ann", Role::Viewer).await;
    add(&world, "eve", Role::Viewer).await;
    let planted = world.log_in("eve").await;
    let answer = world
        .browse(Some(&planted), LOGIN, credentials("ann", PASSWORD))
        .await;
    let own = cookie(&answer.headers);
    assert_ne!(own, planted);
    assert_eq!(
        world.browse(Some(&planted), ME, json!({})).await.code(),
        "UNAUTHENTICATED"
    );
    let made_up = format!("__Host-payhall={}", "A".repeat(43));
    for planted in [made_up.as_str(), "__Host-payhall=", "__Host-payhall=x"] {
        let answer = world
            .browse(Some(planted), LOGIN, credentials("ann", PASSWORD))
            .await;
        assert_ne!(cookie(&answer.headers), planted);
    }
    // A new proof changes the secret as well.
    let proof = json!({ "i": { "password": PASSWORD } });
    let answer = world.browse(Some(&own), AGAIN, proof).await;
    assert_eq!(answer.data()["operatorReauthenticate"]["me"]["name"], "ann");
    let fresh = cookie(&answer.headers);
    assert_ne!(fresh, own);
    assert_eq!(
        world.browse(Some(&own), ME, json!({})).await.code(),
        "UNAUTHENTICATED"
    );
    assert_eq!(
        world.browse(Some(&fresh), ME, json!({})).await.data()["me"]["name"],
        "ann"
    );
}

/// Over a real connection: which pages may use a cookie.
#[tokio::test]
async fn a_cookie_counts_only_from_a_page_of_ours() {
    let world = World::with(|o| o.origins = vec!["https://desk.example.com".to_owned()]).await;
    add(&world, "ann", Role::Viewer).await;
    let cookie = world.log_in("ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = world.api.clone();
    tokio::spawn(async move { api.serve(listener).await });
    let body = json!({ "query": ME }).to_string();
    let bearer = format!("authorization: Bearer {VIEWER}\r\n");
    let own = "origin: https://pay.example.com\r\n";
    let two = format!("{own}cookie: {cookie}\r\n");
    for (more, status, words) in [
        (own.to_owned(), 200, "\"name\":\"ann\""),
        (
            "origin: HTTPS://PAY.example.com\r\n".to_owned(),
            200,
            "\"name\":\"ann\"",
        ),
        (
            "origin: https://desk.example.com\r\n".to_owned(),
            200,
            "\"name\":\"ann\"",
        ),
        (String::new(), 403, "only with the Origin header"),
        ("origin: null\r\n".to_owned(), 403, "pages of this origin"),
        (
            "origin: https://evil.example\r\n".to_owned(),
            403,
            "pages of this origin",
        ),
        (
            "origin: https://evil.pay.example.com\r\n".to_owned(),
            403,
            "pages of this origin",
        ),
        (
            "origin: http://pay.example.com\r\n".to_owned(),
            403,
            "by https",
        ),
        (format!("{own}{bearer}"), 400, "not both"),
        (two, 400, "two session cookies"),
    ] {
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncookie: theme=dark; {cookie}\r\ncontent-length: {}\r\n\
             {more}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let head = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&head) && answer.contains(words),
            "{more}: {answer}"
        );
    }
    world.stop.cancel();
}

/// What moves money wants a proof from the last five minutes; a bearer token has no session to be old.
#[tokio::test]
async fn money_wants_a_fresh_session() {
    let world = World::new().await;
    add(&world, "max", Role::Operator).await;
    add(&world, "ria", Role::Reviewer).await;
    let (case_no, order_no) = world.case().await;
    let cookie = world.log_in("max").await;
    world.clock.advance(Duration::from_secs(299));
    let input = json!({ "i": { "caseNo": case_no, "decision": "FAILED", "evidence": "the desk" } });
    // In time, with a case that is not there: the session is not what stands in the way.
    let none = json!({ "i": { "caseNo": order_no, "decision": "FAILED", "evidence": "the desk" } });
    let in_time = world.browse(Some(&cookie), DECIDE, none).await.data();
    assert_eq!(first_code(&in_time["caseDecide"]), "CASE_NOT_FOUND");
    world.clock.advance(Duration::from_secs(1));
    let late = world.browse(Some(&cookie), DECIDE, input.clone()).await;
    assert_eq!(
        first_code(&late.data()["caseDecide"]),
        "REAUTHENTICATION_NEEDED"
    );
    let read = world
        .browse(Some(&cookie), "{ cases { edges { cursor } } }", json!({}))
        .await;
    assert_eq!(read.data()["cases"]["edges"].as_array().unwrap().len(), 1);
    let proof = json!({ "i": { "password": PASSWORD } });
    let answer = world.browse(Some(&cookie), AGAIN, proof).await;
    let fresh = self::cookie(&answer.headers);
    let decided = world.browse(Some(&fresh), DECIDE, input).await.data();
    assert_eq!(decided["caseDecide"]["userErrors"], json!([]));

    let approve = "mutation($i: CaseApproveInput!) { caseApprove(input: $i) {
        case { state proposal { maker } checker } userErrors { code } } }";
    let input = json!({ "i": { "caseNo": case_no, "version": 1 } });
    let reviewer = world.log_in("ria").await;
    world.clock.advance(Duration::from_secs(300));
    let late = world.browse(Some(&reviewer), approve, input.clone()).await;
    assert_eq!(
        first_code(&late.data()["caseApprove"]),
        "REAUTHENTICATION_NEEDED"
    );
    let by_token = world.ask(Some(REVIEWER), approve, input).await.data();
    let case = &by_token["caseApprove"]["case"];
    assert_eq!(case["proposal"]["maker"], "operator:max");
    assert_eq!(case["checker"], "operator:rudi");
}

/// A temporary password opens nothing but its own change.
#[tokio::test]
async fn a_temporary_password_is_changed_before_anything_else() {
    let world = World::new().await;
    let add = "mutation($i: OperatorAddInput!) { operatorAdd(input: $i) {
        operator { name role state passwordIsTemporary } temporaryPassword userErrors { code } } }";
    let input = json!({ "i": { "name": "lee", "displayName": "Lee", "role": "VIEWER" } });
    let added = world.ask(Some(ADMIN), add, input.clone()).await.data()["operatorAdd"].clone();
    assert_eq!(added["operator"]["passwordIsTemporary"], true);
    let given = added["temporaryPassword"].as_str().unwrap();
    let twice = world.ask(Some(ADMIN), add, input).await.data();
    assert_eq!(first_code(&twice["operatorAdd"]), "OPERATOR_EXISTS");
    assert!(twice["operatorAdd"]["temporaryPassword"].is_null());

    let answer = world.browse(None, LOGIN, credentials("lee", given)).await;
    let lee = cookie(&answer.headers);
    let orders = world
        .browse(Some(&lee), "{ orders { edges { cursor } } }", json!({}))
        .await;
    assert_eq!(orders.code(), "PASSWORD_CHANGE_NEEDED");
    assert_eq!(
        world.browse(Some(&lee), ME, json!({})).await.data()["me"]["name"],
        "lee"
    );
    let change = "mutation($i: OperatorChangePasswordInput!) { operatorChangePassword(input: $i) {
        me { operator { passwordIsTemporary } } userErrors { code field } } }";
    let weak = json!({ "i": { "password": given, "newPassword": "short" } });
    let weak = world.browse(Some(&lee), change, weak).await.data();
    assert_eq!(
        weak["operatorChangePassword"]["userErrors"][0],
        json!({ "code": "PASSWORD_INVALID", "field": "newPassword" })
    );
    let own = json!({ "i": { "password": given, "newPassword": PASSWORD } });
    let changed = world.browse(Some(&lee), change, own).await;
    let me = &changed.data()["operatorChangePassword"]["me"];
    assert_eq!(me["operator"]["passwordIsTemporary"], false);
    let lee = cookie(&changed.headers);
    let orders = world
        .browse(Some(&lee), "{ orders { edges { cursor } } }", json!({}))
        .await;
    assert_eq!(orders.data()["orders"]["edges"], json!([]));
}

/// An administrator's session does what a role may; the role of the moment counts.
#[tokio::test]
async fn a_role_is_looked_up_at_every_request() {
    let world = World::new().await;
    add(&world, "ann", Role::Admin).await;
    add(&world, "bob", Role::Admin).await;
    let bob = world.log_in("bob").await;
    let list = "{ operators { name role state } }";
    let listed = world.browse(Some(&bob), list, json!({})).await.data();
    assert_eq!(
        listed["operators"][0],
        json!({ "name": "ann", "role": "ADMIN", "state": "ACTIVE" })
    );
    let set = "mutation($i: OperatorSetRoleInput!) { operatorSetRole(input: $i) {
        operator { role } userErrors { code field } } }";
    let own = json!({ "i": { "name": "bob", "role": "VIEWER" } });
    let own = world.browse(Some(&bob), set, own).await.data();
    assert_eq!(first_code(&own["operatorSetRole"]), "OWN_ACCOUNT");
    let ann = world.log_in("ann").await;
    let other = json!({ "i": { "name": "bob", "role": "VIEWER" } });
    let other = world.browse(Some(&ann), set, other).await.data();
    assert_eq!(other["operatorSetRole"]["operator"]["role"], "VIEWER");
    assert_eq!(
        world.browse(Some(&bob), list, json!({})).await.code(),
        "FORBIDDEN"
    );
    world.clock.advance(Duration::from_secs(300));
    let late = json!({ "i": { "name": "bob", "role": "ADMIN" } });
    let late = world.browse(Some(&ann), set, late).await.data();
    assert_eq!(
        first_code(&late["operatorSetRole"]),
        "REAUTHENTICATION_NEEDED"
    );
    let ann = world.log_in("ann").await;
    let off = "mutation($i: OperatorDisableInput!) { operatorDisable(input: $i) {
        operator { state } userErrors { code } } }";
    let off = world
        .browse(Some(&ann), off, json!({ "i": { "name": "bob" } }))
        .await
        .data();
    assert_eq!(off["operatorDisable"]["operator"]["state"], "DISABLED");
    assert_eq!(
        world.browse(Some(&bob), ME, json!({})).await.code(),
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn what_is_for_sessions_is_not_for_tokens() {
    let world = World::new().await;
    for document in [
        LOGOUT,
        "mutation { operatorTotpBegin { secret userErrors { code } } }",
        "mutation { operatorReauthenticate(input: {password: \"x\"}) { userErrors { code } } }",
    ] {
        let payload = world.field(ADMIN, document, json!({})).await;
        assert_eq!(first_code(&payload), "SESSION_NEEDED", "{document}");
    }
    let me = world.field(ADMIN, ME, json!({})).await;
    assert_eq!(
        me,
        json!({ "name": "anna", "role": "ADMIN", "session": null })
    );
    // Without a master key there is nothing to seal a secret with, so there is no secret.
    add(&world, "ann", Role::Viewer).await;
    let cookie = world.log_in("ann").await;
    let begin = "mutation { operatorTotpBegin { secret address userErrors { code } } }";
    let begun = world.browse(Some(&cookie), begin, json!({})).await.data();
    assert_eq!(
        first_code(&begun["operatorTotpBegin"]),
        "CODES_NOT_AVAILABLE"
    );
    assert!(begun["operatorTotpBegin"]["secret"].is_null());
}

/// Whoever is not let in gets one answer, byte for byte, and no cookie.
#[tokio::test]
async fn a_refused_login_says_one_thing() {
    let world = World::new().await;
    add(&world, "ann", Role::Viewer).await;
    let mut texts = Vec::new();
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("Ann!", "wrong")] {
        let answer = world.browse(None, LOGIN, credentials(name, password)).await;
        assert!(answer.headers.get("set-cookie").is_none());
        texts.push(answer.text);
    }
    assert!(texts[0].contains("LOGIN_REFUSED"), "{}", texts[0]);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let by_merchant = world
        .ask(Some(ALPHA), LOGIN, credentials("ann", PASSWORD))
        .await;
    assert_eq!(
        first_code(&by_merchant.data()["operatorLogin"]),
        "NOT_ALLOWED"
    );
}
