//! A request that was let in is not let in again: by no replica, at no time, and not by one that has
//! forgotten everything it can forget.

use crate::center::{Caller, Hand, MASTER, PUBLIC, bearer, body};
use crate::support::client::MERCHANT;
use crate::support::database::TestDatabase;
use crate::support::given;
use crate::support::process::wait_for;
use crate::support::redis::{Answer, PrivateRedis};
use crate::support::replica::Replica;
use crate::support::world::{Setup, TOPUP};
use chrono::TimeDelta;
use payhall::domain::ids::MerchantCode;
use payhall::domain::key::{Algorithm, KeyOwner, OVERLAP};
use payhall::engine::{AdmitError, KeyIssueInput, samples};
use payhall::trust::{PrivateKey, Request, Signer, sign_request};
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const WHO: &str = r#"{"query":"{ serverInfo { caller } }"}"#;

/// Sent once; sent again at once, in the last second of the window, and after it.
#[tokio::test]
async fn a_request_is_refused_at_0_299_and_301_seconds() {
    const BODY: &[u8] = b"{}";
    for database in TestDatabase::all() {
        let start = given::at(0);
        let first = Replica::start(&database, "a", start).await;
        samples::bring_all_in(first.engine.store()).await.unwrap();
        first.engine.refresh_catalogue().await.unwrap();
        let other = Replica::start(&database, "b", start).await;
        let private = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let issue = KeyIssueInput {
            owner: KeyOwner::Merchant(MerchantCode::try_new("portal").unwrap()),
            algorithm: Algorithm::Ed25519,
            public_key: Some(private.public_key().to_pem()),
            replaces: None,
            overlap: OVERLAP,
            expires_at: None,
        };
        let maker = samples::person(samples::MAKER);
        let issued = first.engine.key_issue(issue, &maker).await.unwrap();
        let key_id = issued.key.key_id;
        let checker = samples::person(samples::CHECKER);
        first
            .engine
            .key_approve(&key_id, 0, &checker)
            .await
            .unwrap();

        let plain = [("content-type", b"application/json".as_slice())];
        let request = |headers| Request {
            method: "POST",
            scheme: "http",
            authority: "center.example",
            path: "/graphql",
            query: None,
            headers,
            body: BODY,
        };
        let signer = Signer {
            key: &private,
            key_id: key_id.as_str(),
            nonce: "once",
            created: start,
        };
        let signed = sign_request(&request(&plain), &signer).unwrap();
        let signed = signed.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<_> = plain.into_iter().chain(signed).collect();
        assert!(admit(&first, &request(&headers)).await.is_ok());
        for (seconds, code) in [
            (0, "NONCE_REPLAYED"),
            (299, "NONCE_REPLAYED"),
            (301, "SIGNATURE_TOO_OLD"),
        ] {
            for replica in [&first, &other] {
                replica.clock.set(start + TimeDelta::seconds(seconds));
                match admit(replica, &request(&headers)).await {
                    Err(AdmitError::Engine(error)) => panic!("{error:?}"),
                    Err(refused) => assert_eq!(refused.code(), code, "{seconds} s"),
                    Ok(()) => panic!("{}: it was let in after {seconds} s", database.kind),
                }
            }
        }
    }
}

/// Recognises a request and lets it in, as the edge does.
async fn admit(replica: &Replica, request: &Request<'_>) -> Result<(), AdmitError> {
    let admittance = replica.engine.recognise(request).await?;
    replica.engine.let_in(&admittance.pass).await
}

/// Two real replicas share one Redis, which is emptied after the requests were let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_after_redis_was_emptied_is_refused_on_both_replicas() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let Some(redis) = PrivateRedis::start("replay after a flush") else {
        return;
    };
    let world = Setup::on(database)
        .redis(Some(&redis))
        .set("keys.master", MASTER)
        .set("api.public_url", format!("{}://{}", PUBLIC.0, PUBLIC.1))
        .start()
        .await;
    let daemons = [world.daemon().await, world.daemon().await];
    let callers = daemons.each_ref().map(|daemon| Caller::new(&daemon.url));
    let hand = Hand::of(&callers[0], Algorithm::Ed25519).await;
    // Something that Redis holds by rights, so that emptying it does something.
    let paid = daemons[0]
        .merchant()
        .pay("R-1", (TOPUP, "13800000001"), 5_000)
        .await;
    let order_no = paid.unwrap().order_no;
    daemons[1].merchant().at_rest(&order_no, PATIENCE).await;

    let input = json!({ "requestNo": "R-2", "item": TOPUP, "billNo": "13800000002",
        "amount": { "minor": "5000", "currency": "CNY" } });
    let create = body("orderCreate", "order { orderNo }", &input);
    let mut sent = Vec::new();
    for (number, seconds_ago) in [0, 0, 120, 270].into_iter().enumerate() {
        let text = if number == 1 { create.as_str() } else { WHO };
        let headers = hand.sign(&format!("n-{number}"), seconds_ago, text);
        let told = callers[number % 2].send(&headers, text.to_owned()).await;
        assert_eq!((told.status, told.code()), (200, ""), "{told:?}");
        sent.push((headers, text));
    }
    // Copies are put there behind the answers.
    wait_for("a copy in Redis", PATIENCE, async || {
        daemons[1].merchant().order(&order_no).await.unwrap();
        (redis.ask(&["DBSIZE"]) != Answer::Number(0)).then_some(())
    })
    .await;
    redis.ask(&["FLUSHALL"]);
    for (headers, text) in &sent {
        for caller in &callers {
            let told = caller.send(headers, (*text).to_owned()).await;
            assert_eq!(
                (told.status, told.code()),
                (401, "NONCE_REPLAYED"),
                "{told:?}"
            );
        }
    }
    let old = hand.sign("too-old", 301, WHO);
    let told = callers[1].send(&old, WHO.to_owned()).await;
    assert_eq!((told.status, told.code()), (401, "SIGNATURE_TOO_OLD"));
    // The order was made once.
    let listed = json!({ "query": "{ orders { edges { cursor } } }" }).to_string();
    let listed = callers[0].send(&bearer(MERCHANT), listed).await;
    assert_eq!(listed.payload()["edges"].as_array().unwrap().len(), 2);
    drop(daemons);
    world.check();
}
