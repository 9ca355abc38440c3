//! An identity provider over HTTP, which recognises everybody at once and does what it is told, also
//! what no provider should.

use crate::given::{CLIENT_ID, CLIENT_SECRET, PUBLIC_URL};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Right,
    SignsByRsa,
    SignsByEd25519,
    WrongNonce,
    WrongIssuer,
    WrongAudience,
    TwoAudiences,
    OtherParty,
    Expired,
    NotSigned,
    PublicKeyAsSecret,
    UnknownKey,
    KeyInTheToken,
    OtherKey,
    WrongAccessToken,
    NoProofTime,
    OldProof,
    NoName,
    NoIdToken,
    Garbage,
    SaysNo,
    NamesAnother,
    HugeKeys,
    SlowKeys,
    NoKeys,
    SlowTokens,
    Redirects,
    Html,
    OtherDiscovery,
    HugeDiscovery,
    SlowDiscovery,
    RedirectedDiscovery,
}

impl Behaviour {
    /// Whether some answer never comes.
    pub fn is_slow(self) -> bool {
        matches!(
            self,
            Self::SlowKeys | Self::SlowTokens | Self::SlowDiscovery
        )
    }
}

/// What is wrong while somebody logs in, and the word by which it is refused.
pub const WRONG: &[(Behaviour, &str)] = &[
    (Behaviour::WrongNonce, "TOKEN_NONCE"),
    (Behaviour::WrongIssuer, "TOKEN_ISSUER"),
    (Behaviour::WrongAudience, "TOKEN_AUDIENCE"),
    (Behaviour::TwoAudiences, "TOKEN_AUTHORIZED_PARTY"),
    (Behaviour::OtherParty, "TOKEN_AUTHORIZED_PARTY"),
    (Behaviour::Expired, "TOKEN_EXPIRED"),
    (Behaviour::NotSigned, "TOKEN_ALGORITHM"),
    (Behaviour::PublicKeyAsSecret, "TOKEN_ALGORITHM"),
    (Behaviour::UnknownKey, "TOKEN_KEY_UNKNOWN"),
    (Behaviour::KeyInTheToken, "TOKEN_KEY_UNKNOWN"),
    (Behaviour::OtherKey, "TOKEN_SIGNATURE"),
    (Behaviour::WrongAccessToken, "TOKEN_AT_HASH"),
    (Behaviour::NoProofTime, "TOKEN_AUTH_TIME_MISSING"),
    (Behaviour::OldProof, "TOKEN_AUTH_TIME"),
    (Behaviour::NoName, "TOKEN_NAME"),
    (Behaviour::NoIdToken, "PROVIDER_MALFORMED"),
    (Behaviour::Garbage, "TOKEN_MALFORMED"),
    (Behaviour::SaysNo, "PROVIDER_SAID_NO"),
    (Behaviour::NamesAnother, "ISSUER_MISMATCH"),
    (Behaviour::HugeKeys, "PROVIDER_MALFORMED"),
    (Behaviour::NoKeys, "PROVIDER_KEYS"),
    (Behaviour::Redirects, "PROVIDER_MALFORMED"),
    (Behaviour::Html, "PROVIDER_MALFORMED"),
];

/// What never comes while somebody logs in, and the word by which it is refused.
pub const NEVER: &[(Behaviour, &str)] = &[
    (Behaviour::SlowKeys, "PROVIDER_UNREACHABLE"),
    (Behaviour::SlowTokens, "PROVIDER_UNREACHABLE"),
];

/// What is wrong before anybody is sent to the provider.
pub const WRONG_AT_THE_START: &[(Behaviour, &str)] = &[
    (Behaviour::OtherDiscovery, "PROVIDER_MALFORMED"),
    (Behaviour::HugeDiscovery, "PROVIDER_MALFORMED"),
    (Behaviour::SlowDiscovery, "PROVIDER_UNREACHABLE"),
    (Behaviour::RedirectedDiscovery, "PROVIDER_MALFORMED"),
];

/// Now, by the system's clock, as the center under test has it.
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.expect("a clock").as_secs()).expect("seconds")
}

type Query = HashMap<String, String>;
type Answer = Response<Full<Bytes>>;

struct State {
    behaviour: Behaviour,
    /// Who is at the browser, and how many seconds ago that was proved.
    person: (String, i64),
    keys: Keys,
    questions: Vec<Query>,
    /// By code, what it was given for; a code counts once.
    codes: HashMap<String, Query>,
    keys_fetched: usize,
}

/// The provider's private keys.
struct Keys {
    generation: usize,
    ecdsa: EcdsaKeyPair,
    rsa: RsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    fn make(generation: usize) -> Self {
        Self {
            generation,
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ed25519: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    fn kid(&self, kind: &str) -> String {
        format!("{kind}-{}", self.generation)
    }

    fn ecdsa_jwk(&self) -> Value {
        let (x, y) = self.ecdsa.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid("ec"), "alg": "ES256",
                "x": base64url(x), "y": base64url(y) })
    }

    fn published(&self) -> Value {
        let rsa = self.rsa.public_key();
        let n = rsa.modulus().big_endian_without_leading_zero().to_vec();
        let e = rsa.exponent().big_endian_without_leading_zero().to_vec();
        let rsa =
            json!({ "kty": "RSA", "kid": self.kid("rsa"), "n": base64url(&n), "e": base64url(&e) });
        let x = base64url(self.ed25519.public_key().as_ref());
        let ed25519 = json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid("ed"), "x": x });
        let unknown = json!({ "kty": "AKP", "kid": "pq", "pub": "AA" });
        let encryption = json!({ "kty": "EC", "crv": "P-256", "use": "enc", "kid": "enc", "x": "AA", "y": "AA" });
        json!({ "keys": [unknown, encryption, rsa, ed25519, self.ecdsa_jwk()] })
    }
}

pub struct TestProvider {
    pub issuer: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TestProvider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!(
            "http://{}/realms/staff",
            listener.local_addr().expect("an address")
        );
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Right,
            person: ("ann".to_owned(), 0),
            keys: Keys::make(1),
            questions: Vec::new(),
            codes: HashMap::new(),
            keys_fetched: 0,
        }));
        let server = tokio::spawn(serve(listener, issuer.clone(), state.clone()));
        Self {
            issuer,
            state,
            server,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// Who is at the browser, and how many seconds ago that was proved.
    pub fn person(&self, name: &str, proved_ago_s: i64) {
        self.state.lock().unwrap().person = (name.to_owned(), proved_ago_s);
    }

    pub fn change_keys(&self) {
        let mut state = self.state.lock().unwrap();
        state.keys = Keys::make(state.keys.generation + 1);
    }

    pub fn keys_fetched(&self) -> usize {
        self.state.lock().unwrap().keys_fetched
    }

    pub fn last_question(&self) -> Query {
        let state = self.state.lock().unwrap();
        state.questions.last().expect("somebody came").clone()
    }
}

async fn serve(listener: TcpListener, issuer: String, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (issuer, state) = (issuer.clone(), state.clone());
        let service = service_fn(move |request| {
            let (issuer, state) = (issuer.clone(), state.clone());
            async move { Ok::<_, Infallible>(answer(request, &issuer, &state).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn answer(request: Request<Incoming>, issuer: &str, state: &Mutex<State>) -> Answer {
    let behaviour = state.lock().unwrap().behaviour;
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let slow = matches!(
        (behaviour, head.uri.path()),
        (
            Behaviour::SlowDiscovery,
            "/realms/staff/.well-known/openid-configuration"
        ) | (Behaviour::SlowKeys, "/keys")
            | (Behaviour::SlowTokens, "/token")
    );
    if slow {
        std::future::pending::<()>().await;
    }
    let query = |text: &str| -> Query {
        let url = Url::parse(&format!("http://x/?{text}")).expect("a query");
        url.query_pairs().into_owned().collect()
    };
    match head.uri.path() {
        "/realms/staff/.well-known/openid-configuration" => discovery(issuer, behaviour),
        "/authorize" => {
            let asked = query(head.uri.query().unwrap_or_default());
            authorize(asked, issuer, &mut state.lock().unwrap())
        }
        "/token" => {
            let given = query(std::str::from_utf8(&body).expect("text"));
            let shown = head
                .headers
                .get(AUTHORIZATION)
                .map(|value| value.to_str().expect("text"));
            token(&given, shown, issuer, &mut state.lock().unwrap())
        }
        "/keys" => keys(&mut state.lock().unwrap()),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn discovery(issuer: &str, behaviour: Behaviour) -> Answer {
    let (base, _) = issuer.split_once("/realms").expect("a realm");
    let named = match behaviour {
        Behaviour::OtherDiscovery => "http://evil.example/realms/staff",
        _ => issuer,
    };
    let document = json!({
        "issuer": named,
        "authorization_endpoint": format!("{base}/authorize?tenant=1"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "padding": "x".repeat(if behaviour == Behaviour::HugeDiscovery { 400_000 } else { 0 }),
        "authorization_response_iss_parameter_supported": true,
    });
    match behaviour {
        Behaviour::RedirectedDiscovery => redirect(StatusCode::FOUND, &format!("{base}/elsewhere")),
        _ => json_answer(StatusCode::OK, &document),
    }
}

fn authorize(asked: Query, issuer: &str, state: &mut State) -> Answer {
    assert_eq!(asked["client_id"], CLIENT_ID);
    assert_eq!(
        asked["tenant"], "1",
        "what stands in the address already stays"
    );
    assert_eq!(
        asked["redirect_uri"],
        format!("{PUBLIC_URL}/login/oidc/callback")
    );
    let mut back = Url::parse(&asked["redirect_uri"]).expect("a URL");
    let named = match state.behaviour {
        Behaviour::NamesAnother => "http://evil.example",
        _ => issuer,
    };
    let mut pairs = back.query_pairs_mut();
    pairs
        .append_pair("state", &asked["state"])
        .append_pair("iss", named);
    if state.behaviour == Behaviour::SaysNo {
        pairs
            .append_pair("error", "access_denied")
            .append_pair("error_description", "<b>no</b>");
    } else {
        let code = format!("code-{:032x}", rand::random::<u128>());
        pairs.append_pair("code", &code);
        state.codes.insert(code, asked.clone());
    }
    drop(pairs);
    state.questions.push(asked);
    redirect(StatusCode::FOUND, back.as_str())
}

fn token(given: &Query, shown: Option<&str>, issuer: &str, state: &mut State) -> Answer {
    match state.behaviour {
        Behaviour::Redirects => return redirect(StatusCode::TEMPORARY_REDIRECT, issuer),
        Behaviour::Html => return plain("text/html", "<html>hello</html>"),
        _ => {}
    }
    let refused = |error: &str| {
        let told = json!({ "error": error, "error_description": "secret words" });
        json_answer(StatusCode::BAD_REQUEST, &told)
    };
    if !is_client(shown) {
        return refused("invalid_client");
    }
    let Some(asked) = state.codes.remove(&given["code"]) else {
        return refused("invalid_grant");
    };
    let challenge = base64url(digest(&SHA256, given["code_verifier"].as_bytes()).as_ref());
    let fits = challenge == asked["code_challenge"]
        && given["redirect_uri"] == asked["redirect_uri"]
        && given["grant_type"] == "authorization_code";
    if !fits {
        return refused("invalid_grant");
    }
    let mut answer =
        json!({ "access_token": "access-1", "token_type": "Bearer", "expires_in": 60 });
    if state.behaviour != Behaviour::NoIdToken {
        answer["id_token"] = id_token(&asked["nonce"], issuer, state).into();
    }
    json_answer(StatusCode::OK, &answer)
}

/// RFC 6749, 2.3.1: name and secret are written as in a form before they become Basic.
fn is_client(shown: Option<&str>) -> bool {
    let written = shown.and_then(|shown| shown.strip_prefix("Basic "));
    let bytes = written.and_then(|written| STANDARD.decode(written).ok());
    let text = bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    let (name, secret) = text.split_once(':').unwrap_or_default();
    let read = |text: &str| {
        let url = Url::parse(&format!("http://x/?v={text}")).expect("a query");
        url.query_pairs()
            .next()
            .map(|(_, value)| value.into_owned())
    };
    read(name).as_deref() == Some(CLIENT_ID) && read(secret).as_deref() == Some(CLIENT_SECRET)
}

fn id_token(nonce: &str, issuer: &str, state: &State) -> String {
    let (now_s, (person, proved_ago_s)) = (now_s(), &state.person);
    let mut claims = json!({
        "iss": issuer, "sub": "4711", "aud": CLIENT_ID, "exp": now_s + 300, "iat": now_s,
        "nonce": nonce, "auth_time": now_s - proved_ago_s, "preferred_username": person,
    });
    let access_hash = match state.behaviour {
        Behaviour::SignsByEd25519 => digest(&SHA512, b"access-1").as_ref()[..32].to_vec(),
        Behaviour::WrongAccessToken => digest(&SHA256, b"access-2").as_ref()[..16].to_vec(),
        _ => digest(&SHA256, b"access-1").as_ref()[..16].to_vec(),
    };
    claims["at_hash"] = base64url(&access_hash).into();
    match state.behaviour {
        Behaviour::WrongNonce => claims["nonce"] = "another".into(),
        Behaviour::WrongIssuer => claims["iss"] = "http://evil.example".into(),
        Behaviour::WrongAudience => claims["aud"] = "another".into(),
        Behaviour::TwoAudiences => claims["aud"] = json!([CLIENT_ID, "another"]),
        Behaviour::OtherParty => claims["azp"] = "another".into(),
        Behaviour::Expired => claims["exp"] = (now_s - 61).into(),
        Behaviour::OldProof => claims["auth_time"] = (now_s - 3_600).into(),
        Behaviour::NoProofTime => claims["auth_time"] = Value::Null,
        Behaviour::NoName => claims["preferred_username"] = Value::Null,
        _ => {}
    }
    signed(&claims, state)
}

fn signed(claims: &Value, state: &State) -> String {
    let (keys, random) = (&state.keys, SystemRandom::new());
    let by_ecdsa = |pair: &EcdsaKeyPair, text: &[u8]| {
        pair.sign(&random, text).expect("signed").as_ref().to_vec()
    };
    let kid = keys.kid("ec");
    match state.behaviour {
        Behaviour::Garbage => "eyJhbGciOiJFUzI1NiJ9.no.token".to_owned(),
        Behaviour::NotSigned => token_of(&json!({ "alg": "none" }), claims, |_| Vec::new()),
        Behaviour::PublicKeyAsSecret => {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, keys.ecdsa.public_key().as_ref());
            token_of(&json!({ "alg": "HS256", "kid": kid }), claims, |text| {
                hmac::sign(&secret, text).as_ref().to_vec()
            })
        }
        Behaviour::SignsByRsa => token_of(
            &json!({ "alg": "RS256", "kid": keys.kid("rsa") }),
            claims,
            |text| {
                let mut signature = vec![0; keys.rsa.public_modulus_len()];
                keys.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                    .expect("signed");
                signature
            },
        ),
        Behaviour::SignsByEd25519 => token_of(
            &json!({ "alg": "EdDSA", "kid": keys.kid("ed") }),
            claims,
            |text| keys.ed25519.sign(text).as_ref().to_vec(),
        ),
        Behaviour::OtherKey => {
            let other = Keys::make(keys.generation);
            token_of(&json!({ "alg": "ES256", "kid": kid }), claims, |text| {
                by_ecdsa(&other.ecdsa, text)
            })
        }
        Behaviour::KeyInTheToken => {
            let other = Keys::make(99);
            let header =
                json!({ "alg": "ES256", "kid": other.kid("ec"), "jwk": other.ecdsa_jwk() });
            token_of(&header, claims, |text| by_ecdsa(&other.ecdsa, text))
        }
        Behaviour::UnknownKey | Behaviour::HugeKeys | Behaviour::SlowKeys | Behaviour::NoKeys => {
            token_of(&json!({ "alg": "ES256", "kid": "new" }), claims, |text| {
                by_ecdsa(&keys.ecdsa, text)
            })
        }
        _ => token_of(
            &json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }),
            claims,
            |text| by_ecdsa(&keys.ecdsa, text),
        ),
    }
}

fn token_of(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", base64url(&signature))
}

fn keys(state: &mut State) -> Answer {
    state.keys_fetched += 1;
    match state.behaviour {
        Behaviour::HugeKeys => {
            let keys = vec![state.keys.ecdsa_jwk(); 4_000];
            json_answer(StatusCode::OK, &json!({ "keys": keys }))
        }
        Behaviour::NoKeys => json_answer(StatusCode::OK, &json!({ "keys": "none" })),
        _ => json_answer(StatusCode::OK, &state.keys.published()),
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

fn redirect(code: StatusCode, to: &str) -> Answer {
    let mut answer = status(code);
    answer
        .headers_mut()
        .insert(LOCATION, to.parse().expect("a header"));
    answer
}

fn plain(kind: &'static str, text: &str) -> Answer {
    let mut answer = Answer::new(Full::from(text.to_owned()));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, kind.parse().expect("a header"));
    answer
}

fn json_answer(code: StatusCode, value: &Value) -> Answer {
    let mut answer = plain("application/json", &value.to_string());
    *answer.status_mut() = code;
    answer
}
