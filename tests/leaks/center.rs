//! A running center with people and keys, reached over HTTP.

use crate::support::client::{CHECKER, MAKER, http_client};
use payhall::domain::key::Algorithm;
use payhall::trust::{PrivateKey, Request, Signer, sign_request};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The master key of the tests.
pub const MASTER: &str = "Y0FuQXJZLW1hc3Rlci1rZXktb2YtMzItYnl0ZXMhISE=";

/// Where callers reach the center, as far as their signatures go: a proxy stands before all replicas.
pub const PUBLIC: (&str, &str) = ("https", "pay.example.com");

/// What came back.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub cookie: Option<String>,
    pub body: Value,
}

impl Told {
    /// The payload of the one field.
    pub fn payload(&self) -> &Value {
        let data = self.body["data"].as_object();
        let data = data.unwrap_or_else(|| panic!("{self:?}"));
        data.values().next().expect("a field")
    }

    /// The code of the refusal; empty where there is none.
    pub fn code(&self) -> &str {
        let error = &self.body["errors"][0]["extensions"];
        let code = error["reason"].as_str().or(error["code"].as_str());
        code.unwrap_or_default()
    }
}

/// A caller who keeps everything that it is told.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    url: String,
    heard: Arc<Mutex<String>>,
}

impl Caller {
    pub fn new(url: &str) -> Self {
        Self {
            http: http_client(),
            url: url.to_owned(),
            heard: Arc::default(),
        }
    }

    /// The origin of a page of this center, as callers write it.
    pub fn page(&self) -> (&'static str, String) {
        ("origin", format!("{}://{}", PUBLIC.0, PUBLIC.1))
    }

    /// Everything that was heard, with its headers, but for what was told in confidence.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    /// Sends a body.
    pub async fn send(&self, headers: &[(&str, String)], body: String) -> Told {
        let (told, text) = self.exchange(headers, body).await;
        self.heard.lock().unwrap().push_str(&text);
        told
    }

    /// Sends a body whose answer is told in confidence: a ticket, a key, a password.
    pub async fn send_in_confidence(&self, headers: &[(&str, String)], body: String) -> Told {
        self.exchange(headers, body).await.0
    }

    async fn exchange(&self, headers: &[(&str, String)], body: String) -> (Told, String) {
        let mut request = self.http.post(format!("{}/graphql", self.url)).body(body);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.send().await.expect("an answer");
        let cookie = answer.headers_mut().remove("set-cookie");
        let cookie = cookie.and_then(|cookie| {
            let (pair, _) = cookie.to_str().ok()?.split_once(';')?;
            Some(pair.to_owned())
        });
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let text = answer.text().await.expect("a text");
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        let told = Told {
            status,
            cookie,
            body,
        };
        (told, format!("{status} {headers}\n{text}\n"))
    }

    /// Looks at a page.
    pub async fn get(&self, path: &str) -> u16 {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let text = answer.text().await.expect("a text");
        let heard = format!("{status} {headers}\n{text}\n");
        self.heard.lock().unwrap().push_str(&heard);
        status
    }
}

/// A document with its input, as a body.
pub fn body(field: &str, shown: &str, input: &Value) -> String {
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let document = format!(
        "mutation($i: {kind}!) {{ {field}(input: $i) {{ {shown} userErrors {{ code message }} }} }}"
    );
    json!({ "query": document, "variables": { "i": input } }).to_string()
}

/// The header of a token.
pub fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {token}"))]
}

/// A merchant's key that counts.
pub struct Hand {
    pub key_id: String,
    pub private: PrivateKey,
}

impl Hand {
    /// Issued by one person for the portal and approved by another.
    pub async fn of(caller: &Caller, algorithm: Algorithm) -> Self {
        let private = PrivateKey::generate(algorithm).expect("a pair");
        let input = json!({
            "merchant": "portal",
            "algorithm": algorithm.as_str().to_uppercase().replace('-', "_"),
            "publicKey": private.public_key().to_pem(),
        });
        let issued = body("keyIssue", "key { keyId }", &input);
        let issued = caller.send(&bearer(MAKER), issued).await;
        let key_id = issued.payload()["key"]["keyId"].as_str();
        let key_id = key_id.unwrap_or_else(|| panic!("{issued:?}")).to_owned();
        let approve = json!({ "keyId": key_id, "version": 0 });
        let approve = body("keyApprove", "key { state }", &approve);
        let approved = caller.send(&bearer(CHECKER), approve).await;
        assert_eq!(approved.payload()["key"]["state"], "ACTIVE", "{approved:?}");
        Self { key_id, private }
    }

    /// The headers of a signed request that was made so many seconds ago.
    pub fn sign(&self, nonce: &str, seconds_ago: i64, body: &str) -> Vec<(&'static str, String)> {
        let headers = [("content-type", b"application/json".as_slice())];
        let request = Request {
            method: "POST",
            scheme: PUBLIC.0,
            authority: PUBLIC.1,
            path: "/graphql",
            query: None,
            headers: &headers,
            body: body.as_bytes(),
        };
        let signer = Signer {
            key: &self.private,
            key_id: &self.key_id,
            nonce,
            created: now() - chrono::TimeDelta::seconds(seconds_ago),
        };
        sign_request(&request, &signer).expect("signed")
    }
}

/// The time of the machine, by which a real center goes.
fn now() -> payhall::domain::time::Instant {
    use payhall::engine::Clock;
    payhall::engine::SystemClock.now()
}
