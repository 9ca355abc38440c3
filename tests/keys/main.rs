//! Keys and signed requests on both databases: two people, one handing-out, what counts at once on
//! every replica, and secrets that stay secret.

mod custody;
mod life;
mod master;
mod requests;
#[path = "../support/mod.rs"]
mod support;

use chrono::TimeDelta;
use futures_util::future::join_all;
use payhall::domain::ids::{KeyId, MerchantCode};
use payhall::domain::key::{Algorithm, Key, KeyOwner, KeyState, OVERLAP};
use payhall::domain::refusal::RefusalCode;
use payhall::domain::time::Instant;
use payhall::engine::{
    Actor, AdmitError, EngineError, Issued, KeyIssueInput, rewrap_keys, samples,
};
use payhall::storage::{View, keys, walk};
use payhall::trust::{Masters, PrivateKey, PublicKey, Request, Signer, built, sign_request};
use secrecy::ExposeSecret;
use std::sync::LazyLock;
use std::time::Duration;
use support::database::TestDatabase;
use support::given;
use support::replica::{MASTER, Replica};

const BODY: &[u8] = br#"{"query":"{ serverInfo { version } }"}"#;

fn now() -> Instant {
    given::at(0)
}

fn portal() -> KeyOwner {
    KeyOwner::Merchant(MerchantCode::try_new("portal").unwrap())
}

fn ann() -> &'static Actor {
    static ANN: LazyLock<Actor> = LazyLock::new(|| samples::person(samples::MAKER));
    &ANN
}

fn bob() -> &'static Actor {
    static BOB: LazyLock<Actor> = LazyLock::new(|| samples::person(samples::CHECKER));
    &BOB
}

/// A replica with the merchants of the simulated world.
async fn center(database: &TestDatabase) -> Replica {
    let replica = Replica::start(database, "a", now()).await;
    samples::bring_all_in(replica.engine.store()).await.unwrap();
    replica.engine.refresh_catalogue().await.unwrap();
    replica
}

fn issue(owner: KeyOwner, public_key: Option<String>) -> KeyIssueInput {
    KeyIssueInput {
        owner,
        algorithm: Algorithm::Ed25519,
        public_key,
        replaces: None,
        overlap: OVERLAP,
        expires_at: None,
    }
}

fn pair() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519).unwrap()
}

/// A key of the portal that counts, and its private part.
async fn active(replica: &Replica) -> (Key, PrivateKey) {
    let private = pair();
    let pem = private.public_key().to_pem();
    let engine = &replica.engine;
    let issued = engine.key_issue(issue(portal(), Some(pem)), ann());
    let key = issued.await.unwrap().key;
    let key = engine.key_approve(&key.key_id, key.version, bob()).await;
    (key.unwrap(), private)
}

fn code<T: std::fmt::Debug>(refused: Result<T, EngineError>) -> RefusalCode {
    match refused {
        Err(EngineError::Refused(refusal)) => refusal.code,
        other => panic!("it was not refused: {other:?}"),
    }
}

/// A signed request, as its headers.
fn signed(private: &PrivateKey, key_id: &KeyId, nonce: &str, at: Instant) -> Vec<(String, String)> {
    let headers = [("content-type", b"application/json".as_slice())];
    let signer = Signer {
        key: private,
        key_id: key_id.as_str(),
        nonce,
        created: at,
    };
    let added = sign_request(&request(&headers), &signer).unwrap();
    let added = added
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let first = ("content-type".to_owned(), "application/json".to_owned());
    std::iter::once(first).chain(added).collect()
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &[u8])> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

fn request<'a>(headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
    Request {
        method: "POST",
        scheme: "http",
        authority: "center.example",
        path: "/graphql",
        query: None,
        headers,
        body: BODY,
    }
}

/// Lets a request in, or tells the code of the refusal.
async fn admit(replica: &Replica, headers: &[(String, String)]) -> Result<String, &'static str> {
    let headers = borrowed(headers);
    let admitted = async {
        let admittance = replica.engine.recognise(&request(&headers)).await?;
        replica.engine.let_in(&admittance.pass).await?;
        Ok(admittance.merchant.to_string())
    };
    match admitted.await {
        Ok(merchant) => Ok(merchant),
        Err(AdmitError::Engine(error)) => panic!("{error:?}"),
        Err(error) => Err(error.code()),
    }
}

#[tokio::test]
async fn one_person_issues_and_another_approves() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let pem = pair().public_key().to_pem();
        let issued = engine.key_issue(issue(portal(), Some(pem)), ann()).await;
        let Issued { key, ticket } = issued.unwrap();
        assert!(ticket.is_none(), "the center has no private part");
        let approve = |version, who| {
            let key_id = key.key_id.clone();
            async move { engine.key_approve(&key_id, version, who).await }
        };
        assert_eq!(code(approve(0, ann()).await), RefusalCode::MakerIsChecker);
        assert_eq!(code(approve(7, bob()).await), RefusalCode::KeyChanged);
        let both = join_all([approve(0, bob()), approve(0, bob())]).await;
        let (done, refused): (Vec<_>, Vec<_>) = both.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 1), "{}", database.kind);
        for lost in refused {
            let code = code(lost);
            let expected = [RefusalCode::KeyChanged, RefusalCode::KeyStateConflict];
            assert!(expected.contains(&code), "{code}");
        }
        let stored = engine.key(&key.key_id).await.unwrap().unwrap();
        assert_eq!(stored.state, KeyState::Active);
        assert_eq!(stored.checker.as_deref(), Some(samples::CHECKER));
        // The database keeps the two apart by itself, for this key and for one that still waits.
        let waiting = engine.key_issue(issue(portal(), None), ann()).await;
        for key_id in [&key.key_id, &waiting.unwrap().key.key_id] {
            let same = format!("UPDATE keys SET checker = maker WHERE key_id = '{key_id}'");
            let refused = database.execute(&same).unwrap_err().to_lowercase();
            assert!(refused.contains("check"), "{}: {refused}", database.kind);
        }
    }
}

#[tokio::test]
async fn a_public_key_belongs_to_one_owner_for_ever() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let (key, private) = active(&replica).await;
        let pem = private.public_key().to_pem();
        let other = KeyOwner::Merchant(MerchantCode::try_new("citylife").unwrap());
        let again = engine.key_issue(issue(other, Some(pem.clone())), ann());
        assert_eq!(code(again.await), RefusalCode::KeyInUse);
        engine.key_revoke(&key.key_id, "lost", ann()).await.unwrap();
        let again = engine.key_issue(issue(portal(), Some(pem)), ann());
        assert_eq!(
            code(again.await),
            RefusalCode::KeyInUse,
            "not even after that"
        );

        let secret = private.to_pem().unwrap().to_string();
        let pasted = engine.key_issue(issue(portal(), Some(secret)), ann()).await;
        assert_eq!(code(pasted), RefusalCode::KeyInvalid);
        let nobody = KeyOwner::Merchant(MerchantCode::try_new("nobody").unwrap());
        let nobody = engine.key_issue(issue(nobody, None), ann()).await;
        assert_eq!(code(nobody), RefusalCode::MerchantNotFound);
        let late = KeyIssueInput {
            expires_at: Some(now() + TimeDelta::days(800)),
            ..issue(portal(), None)
        };
        assert_eq!(
            code(engine.key_issue(late, ann()).await),
            RefusalCode::InvalidArgument
        );
    }
}
