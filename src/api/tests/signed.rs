//! Signed requests over the edge: who is let in, what is said to others, and the answer's signature.

use super::support::*;
use crate::domain::key::Algorithm;
use crate::trust::{self, PrivateKey, PublicKey, Signer, built, sign_request};
use poem::Request;
use poem::http::Method;
use serde_json::{Value, json};

const ME: &str = "{ serverInfo { caller } }";

/// A merchant's key that counts.
pub struct Hand {
    pub key_id: String,
    pub private: PrivateKey,
}

impl Hand {
    /// Issued by one operator and approved by another, over the API.
    pub async fn of(world: &World, merchant: &str) -> Self {
        let private = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let issue = "mutation($i: KeyIssueInput!) { keyIssue(input: $i) { key { keyId } userErrors { code } } }";
        let input = json!({
            "merchant": merchant, "algorithm": "ED25519",
            "publicKey": private.public_key().to_pem(),
        });
        let issued = world.field(OPERATOR, issue, json!({ "i": input })).await;
        let key_id = issued["key"]["keyId"].as_str().unwrap().to_owned();
        let approve = "mutation($i: KeyApproveInput!) { keyApprove(input: $i) { key { state } userErrors { code } } }";
        let input = json!({ "keyId": key_id, "version": 0 });
        let approved = world.field(REVIEWER, approve, json!({ "i": input })).await;
        assert_eq!(approved["key"]["state"], "ACTIVE", "{approved}");
        Self { key_id, private }
    }

    /// A signed request with a nonce of its own.
    fn sign(&self, world: &World, nonce: &str, body: &str) -> Vec<(&'static str, String)> {
        let headers = [
            ("content-type", b"application/json".as_slice()),
            ("host", b"center.example"),
        ];
        let request = trust::Request {
            method: "POST",
            scheme: "http",
            authority: "center.example",
            path: "/graphql",
            query: None,
            headers: &headers,
            body: body.as_bytes(),
        };
        let signer = Signer {
            key: &self.private,
            key_id: &self.key_id,
            nonce,
            created: crate::engine::Clock::now(&world.clock),
        };
        sign_request(&request, &signer).unwrap()
    }

    /// Gets a path with a signature.
    pub async fn get(&self, world: &World, nonce: &str, path: &str) -> Answer {
        let headers = [("host", b"center.example".as_slice())];
        let request = trust::Request {
            method: "GET",
            scheme: "http",
            authority: "center.example",
            path,
            query: None,
            headers: &headers,
            body: b"",
        };
        let signer = Signer {
            key: &self.private,
            key_id: &self.key_id,
            nonce,
            created: crate::engine::Clock::now(&world.clock),
        };
        let mut get = Request::builder()
            .method(Method::GET)
            .uri_str(path)
            .header("host", "center.example");
        for (name, value) in sign_request(&request, &signer).unwrap() {
            get = get.header(name, value);
        }
        world.send(get.finish()).await
    }

    pub async fn ask(
        &self,
        world: &World,
        nonce: &str,
        document: &str,
        variables: Value,
    ) -> Answer {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let headers = self.sign(world, nonce, &body);
        send(world, &headers, body).await
    }
}

async fn send(world: &World, headers: &[(&'static str, String)], body: String) -> Answer {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri_str("/graphql")
        .header("host", "center.example")
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    world.send(request.body(body)).await
}

#[tokio::test]
async fn who_signs_is_who_calls() {
    let world = World::new().await;
    let hand = Hand::of(&world, "alpha").await;
    let answer = hand.ask(&world, "n-1", ME, json!({})).await;
    assert_eq!(answer.data()["serverInfo"]["caller"], "merchant:alpha");
    // It makes an order, which another merchant does not see.
    let made = world.order(ALPHA, "R-1", "13800000001").await;
    let one = "query($n: String!) { order(orderNo: $n) { orderNo } }";
    let own = hand.ask(&world, "n-2", one, json!({ "n": made })).await;
    assert_eq!(own.data()["order"]["orderNo"], made);
    let stranger = Hand::of(&world, "beta").await;
    let hidden = stranger.ask(&world, "n-1", one, json!({ "n": made })).await;
    assert_eq!(hidden.data()["order"], Value::Null);
}

#[tokio::test]
async fn a_refused_signature_is_told_which_part_is_wrong() {
    let world = World::new().await;
    let hand = Hand::of(&world, "alpha").await;
    let body = json!({ "query": ME }).to_string();
    let reason = |answer: &Answer| {
        assert_eq!(answer.status.as_u16(), 401, "{}", answer.text);
        assert_eq!(answer.code(), "UNAUTHENTICATED");
        assert_eq!(answer.headers["www-authenticate"], "Signature");
        let extensions = answer.error()["extensions"].clone();
        assert!(extensions.get("signatureBase").is_none(), "no sandbox");
        extensions["reason"].as_str().unwrap().to_owned()
    };
    let good = hand.sign(&world, "n-1", &body);
    let other = json!({ "query": "{ __typename }" }).to_string();
    let answer = send(&world, &good, other).await;
    assert_eq!(reason(&answer), "CONTENT_DIGEST_MISMATCH");
    let half: Vec<_> = good
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("signature"))
        .cloned()
        .collect();
    let answer = send(&world, &half, body.clone()).await;
    assert!(reason(&answer).starts_with("SIGNATURE_"));
    assert_eq!(send(&world, &good, body.clone()).await.status.as_u16(), 200);
    let answer = send(&world, &good, body.clone()).await;
    assert_eq!(reason(&answer), "NONCE_REPLAYED");
    let forger = Hand {
        key_id: hand.key_id.clone(),
        private: PrivateKey::generate(Algorithm::Ed25519).unwrap(),
    };
    let answer = forger.ask(&world, "n-2", ME, json!({})).await;
    assert_eq!(reason(&answer), "SIGNATURE_MISMATCH");
    assert!(answer.error()["message"].as_str().unwrap().len() > 20);

    let mut both = hand.sign(&world, "n-3", &body);
    both.push(("authorization", format!("Bearer {ALPHA}")));
    let answer = send(&world, &both, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "BAD_REQUEST")
    );
}

#[tokio::test]
async fn a_replayed_verb_does_nothing_whatever_it_came_to_the_first_time() {
    let world = World::new().await;
    let hand = Hand::of(&world, "alpha").await;
    let create = "mutation($i: OrderCreateInput!) { orderCreate(input: $i) { order { orderNo } userErrors { code } } }";
    let confirm = "mutation($i: OrderConfirmInput!) { orderConfirm(input: $i) { order { state } userErrors { code } } }";
    let new = |bill_no: &str| {
        let amount = json!({ "minor": "5000", "currency": "CNY" });
        json!({ "i": { "requestNo": format!("R-{bill_no}"), "item": "phone",
                       "billNo": bill_no, "amount": amount } })
    };
    let once = async |nonce: &str, document: &str, variables: Value| {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let headers = hand.sign(&world, nonce, &body);
        let first = send(&world, &headers, body.clone()).await.data();
        let again = send(&world, &headers, body).await;
        assert_eq!(again.status.as_u16(), 401, "{}", again.text);
        assert_eq!(again.error()["extensions"]["reason"], "NONCE_REPLAYED");
        first
    };
    let made = once("n-1", create, new("13800000001")).await;
    let order_no = made["orderCreate"]["order"]["orderNo"].clone();
    assert!(order_no.is_string(), "{made}");
    // A nonce of a query is used up for a verb as well.
    let answer = hand.ask(&world, "n-2", ME, json!({})).await;
    assert_eq!(answer.status.as_u16(), 200);
    let stale = hand.ask(&world, "n-2", create, new("13800000002")).await;
    assert_eq!(stale.error()["extensions"]["reason"], "NONCE_REPLAYED");
    // Refused as data, the same order again, an order that stands: nothing was written but the nonce.
    let refused = once("n-3", create, new("138")).await;
    assert_eq!(
        refused["orderCreate"]["userErrors"][0]["code"],
        "BILL_NO_INVALID"
    );
    let same = once("n-4", create, new("13800000001")).await;
    assert_eq!(same["orderCreate"]["order"]["orderNo"], order_no);
    let input = json!({ "i": { "orderNo": order_no, "credential": "123456" } });
    for nonce in ["n-5", "n-6"] {
        let paid = once(nonce, confirm, input.clone()).await;
        assert_eq!(
            paid["orderConfirm"]["order"]["state"], "SUCCEEDED",
            "{paid}"
        );
    }
    assert_eq!(world.bank.credentials().len(), 1, "paid once");
    let orders = world.ask(
        Some(ALPHA),
        "{ orders { edges { node { orderNo } } } }",
        json!({}),
    );
    let orders = orders.await.data();
    assert_eq!(
        orders["orders"]["edges"].as_array().unwrap().len(),
        1,
        "{orders}"
    );
    // Written in another way, with two names for one field or a condition, it is let in all the same.
    let spread = "mutation($i: OrderCreateInput!) { ...M } fragment M on Mutation { orderCreate(input: $i) { order { orderNo } } }";
    once("n-7", spread, new("13800000003")).await;
    let skipped = "mutation($i: OrderCreateInput!, $no: Boolean = true) { orderCreate(input: $i) @skip(if: $no) { order { orderNo } } }";
    once("n-8", skipped, new("13800000004")).await;
}

#[tokio::test]
async fn a_sandbox_shows_the_signature_base() {
    let world = World::with(|options| options.sandbox = true).await;
    let hand = Hand::of(&world, "alpha").await;
    let forger = Hand {
        key_id: hand.key_id.clone(),
        private: PrivateKey::generate(Algorithm::Ed25519).unwrap(),
    };
    let answer = forger.ask(&world, "n-1", ME, json!({})).await;
    let base = answer.error()["extensions"]["signatureBase"].clone();
    let base = base.as_str().unwrap();
    assert!(base.contains("\"@method\": POST"), "{base}");
    assert!(base.contains("\"@authority\": center.example"), "{base}");
}

#[tokio::test]
async fn behind_a_proxy_the_url_is_the_one_that_callers_wrote() {
    let public = ("https".to_owned(), "pay.example.com".to_owned());
    let world = World::with(|options| options.public_url = Some(public)).await;
    let hand = Hand::of(&world, "alpha").await;
    let answer = hand.ask(&world, "n-1", ME, json!({})).await;
    assert_eq!(
        answer.error()["extensions"]["reason"],
        "SIGNATURE_MISMATCH",
        "it was signed for the inner name"
    );
}

#[tokio::test]
async fn the_answer_is_signed_to_the_request_and_checked_by_the_published_key() {
    let world = World::new().await;
    world.engine.refresh_center_key().await.unwrap();
    let hand = Hand::of(&world, "alpha").await;
    let answer = hand.ask(&world, "n-1", ME, json!({})).await;
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    let input = header("signature-input");
    assert!(
        input.contains("\"@status\"") && input.contains("\"content-digest\""),
        "{input}"
    );
    assert!(input.contains("\"signature\";req"), "{input}");
    assert!(header("content-digest").starts_with("sha-256=:"));

    let request = Request::builder()
        .method(Method::GET)
        .uri_str("/.well-known/payhall-keys")
        .finish();
    let published = world.send(request).await;
    assert_eq!(published.status.as_u16(), 200);
    let published: Value = serde_json::from_str(&published.text).unwrap();
    let key = &published["keys"][0];
    let key_id = key["keyId"].as_str().unwrap();
    assert!(input.contains(&format!("keyid=\"{key_id}\"")), "{input}");
    let pem = key["publicKey"].as_str().unwrap();
    let public = PublicKey::from_text(Algorithm::Ed25519, pem).unwrap();
    assert_eq!(public.thumbprint(), key["thumbprint"].as_str().unwrap());
    assert_eq!(key["state"], "ACTIVE");
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    // Who calls by a token gets no signature: there is no key to answer to.
    let plain = world.ask(Some(ALPHA), ME, json!({})).await;
    assert!(!plain.headers.contains_key("signature"));
}

#[tokio::test]
async fn a_merchant_minds_its_own_keys_and_no_others() {
    let world = World::new().await;
    let hand = Hand::of(&world, "alpha").await;
    let stranger = Hand::of(&world, "beta").await;
    let listed = "{ keys { edges { node { keyId merchant } } } }";
    let own = hand.ask(&world, "n-1", listed, json!({})).await.data();
    let edges = own["keys"]["edges"].as_array().unwrap().clone();
    assert_eq!(edges.len(), 1, "{own}");
    assert_eq!(edges[0]["node"]["keyId"], hand.key_id.as_str());
    let one = "query($k: String!) { key(keyId: $k) { keyId } }";
    let other = json!({ "k": stranger.key_id });
    let hidden = hand.ask(&world, "n-2", one, other).await;
    assert_eq!(hidden.data()["key"], Value::Null);
    let all = hand.ask(
        &world,
        "n-3",
        "{ keys(merchant: \"beta\") { pageInfo { hasNextPage } } }",
        json!({}),
    );
    assert_eq!(all.await.code(), "INVALID_ARGUMENT");

    let revoke = "mutation($i: KeyRevokeInput!) { keyRevoke(input: $i) { key { state } userErrors { code } } }";
    let input = |key_id: &str| json!({ "i": { "keyId": key_id, "reason": "lost" } });
    let refused = hand
        .ask(&world, "n-4", revoke, input(&stranger.key_id))
        .await;
    assert_eq!(
        refused.data()["keyRevoke"]["userErrors"][0]["code"],
        "KEY_NOT_FOUND"
    );
    let issue = "mutation($i: KeyIssueInput!) { keyIssue(input: $i) { key { state maker } userErrors { code field } } }";
    let public = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let public = public.public_key().to_pem();
    let for_other =
        json!({ "i": { "merchant": "beta", "algorithm": "ED25519", "publicKey": public } });
    let refused = hand.ask(&world, "n-5", issue, for_other).await;
    assert_eq!(
        refused.data()["keyIssue"]["userErrors"][0]["field"],
        "merchant"
    );
    let own = json!({ "i": { "algorithm": "ED25519", "publicKey": public } });
    let issued = hand.ask(&world, "n-6", issue, own).await.data();
    assert_eq!(issued["keyIssue"]["key"]["maker"], "merchant:alpha");
    assert_eq!(issued["keyIssue"]["key"]["state"], "PENDING");
    // It revokes its own key, by which it signed the very request: the next one is refused.
    let revoked = hand.ask(&world, "n-7", revoke, input(&hand.key_id)).await;
    assert_eq!(revoked.data()["keyRevoke"]["key"]["state"], "REVOKED");
    let refused = hand.ask(&world, "n-8", ME, json!({})).await;
    assert_eq!(refused.error()["extensions"]["reason"], "KEY_COUNTS_NOT");
}

#[tokio::test]
async fn a_private_key_goes_out_over_the_api_for_its_ticket() {
    let quick = built().filter(|algorithm| !algorithm.is_rsa());
    for algorithm in quick.filter(|algorithm| *algorithm != Algorithm::Ed25519) {
        hand_out(algorithm).await;
    }
}

async fn hand_out(algorithm: Algorithm) {
    let world = World::new().await;
    let issue = "mutation($i: KeyIssueInput!) { keyIssue(input: $i) { key { keyId } ticket userErrors { code } } }";
    let name = algorithm.as_str().to_uppercase().replace('-', "_");
    let input = json!({ "i": { "merchant": "alpha", "algorithm": name } });
    let issued = world.field(OPERATOR, issue, input).await;
    let (key_id, ticket) = (&issued["key"]["keyId"], &issued["ticket"]);
    let approve =
        "mutation($i: KeyApproveInput!) { keyApprove(input: $i) { userErrors { code } } }";
    let input = json!({ "i": { "keyId": key_id, "version": 0 } });
    world.field(REVIEWER, approve, input).await;
    let take = "mutation($i: KeyHandOutInput!) { keyHandOut(input: $i) { privateKey userErrors { code } } }";
    let input = json!({ "i": { "keyId": key_id, "ticket": ticket } });
    // The merchant has nothing to sign with yet: the ticket is all that it takes.
    let taken = world.ask(None, take, input.clone()).await.data();
    let pem = taken["keyHandOut"]["privateKey"].as_str().unwrap();
    let private = PrivateKey::from_pem(algorithm, pem).unwrap();
    let hand = Hand {
        key_id: key_id.as_str().unwrap().to_owned(),
        private,
    };
    let answer = hand.ask(&world, "n-1", ME, json!({})).await;
    assert_eq!(answer.data()["serverInfo"]["caller"], "merchant:alpha");
    let again = world.ask(None, take, input).await.data();
    assert_eq!(
        again["keyHandOut"]["userErrors"][0]["code"],
        "KEY_TICKET_INVALID"
    );
    assert_eq!(again["keyHandOut"]["privateKey"], Value::Null);
}

/// The schema has the algorithm in every build; one that cannot use it says what is missing.
#[cfg(not(feature = "gm"))]
#[tokio::test]
async fn an_algorithm_that_is_not_built_is_refused_by_the_name_of_its_feature() {
    let world = World::new().await;
    let issue = "mutation($i: KeyIssueInput!) { keyIssue(input: $i) { key { keyId } userErrors { code field message } } }";
    for public_key in [Value::Null, json!("whatever")] {
        let input = json!({ "i": { "merchant": "alpha", "algorithm": "SM2_SM3", "publicKey": public_key } });
        let refused = world.field(OPERATOR, issue, input).await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["code"], "KEY_INVALID");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the feature \"gm\""), "{message}");
    }
}
