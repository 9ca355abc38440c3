//! Keys and signed requests on both databases: two people, one handing-out, what counts at once on
//! every replica, and secrets that stay secret.

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
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
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
        // The database keeps the two apart by itself.
        let same = format!(
            "UPDATE keys SET checker = maker WHERE key_id = '{}'",
            key.key_id
        );
        assert!(database.execute(&same).is_err(), "{}", database.kind);
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

#[tokio::test]
async fn a_private_key_is_handed_out_once_for_its_ticket() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let issued = engine.key_issue(issue(portal(), None), ann()).await;
        let Issued { key, ticket } = issued.unwrap();
        let ticket = ticket.expect("a ticket").expose_secret().to_owned();
        let take = |ticket: &str| {
            let (key_id, ticket) = (key.key_id.clone(), ticket.to_owned());
            async move { engine.key_hand_out(&key_id, &ticket, bob()).await }
        };
        assert_eq!(code(take(&ticket).await), RefusalCode::KeyStateConflict);
        engine.key_approve(&key.key_id, 0, bob()).await.unwrap();
        for wrong in ["", "x", &ticket.to_uppercase(), &ticket[1..]] {
            assert_eq!(code(take(wrong).await), RefusalCode::KeyTicketInvalid);
        }
        let all = join_all((0..5).map(|_| take(&ticket))).await;
        let mut out = Vec::new();
        for taken in all {
            match taken {
                Ok((_, pem)) => out.push(pem),
                refused => assert_eq!(code(refused), RefusalCode::KeyTicketInvalid),
            }
        }
        assert_eq!(out.len(), 1, "{}", database.kind);
        let private = PrivateKey::from_pem(Algorithm::Ed25519, &out[0]).unwrap();
        assert_eq!(private.public_key().thumbprint(), key.thumbprint);
        let mut view = View::open(&database.url).unwrap();
        let kept = keys::secret(view.connection(), &key.key_id).unwrap();
        assert_eq!(
            kept, None,
            "{}: only the public part is left",
            database.kind
        );
        let headers = signed(&private, &key.key_id, "n-1", now());
        assert_eq!(admit(&replica, &headers).await, Ok("portal".to_owned()));
    }
}

#[tokio::test]
async fn a_request_is_let_in_once_whatever_replica_it_comes_to() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let other = Replica::start(&database, "b", now()).await;
        let (key, private) = active(&replica).await;
        for (seconds, allowed) in [(0, true), (299, true), (301, false)] {
            let nonce = format!("after {seconds}");
            let nonce = nonce.replace(' ', "-");
            let headers = signed(&private, &key.key_id, &nonce, now());
            replica.clock.set(now() + TimeDelta::seconds(seconds));
            other.clock.set(now() + TimeDelta::seconds(seconds));
            let first = admit(&replica, &headers).await;
            if !allowed {
                assert_eq!(first, Err("SIGNATURE_TOO_OLD"), "{seconds} s");
                continue;
            }
            assert_eq!(first, Ok("portal".to_owned()), "{seconds} s");
            for again in [&replica, &other] {
                assert_eq!(admit(again, &headers).await, Err("NONCE_REPLAYED"));
            }
        }
        replica.clock.set(now());
        let headers = signed(&private, &key.key_id, "many-at-once", now());
        let many = join_all((0..50).map(|n| {
            let replica = if n % 2 == 0 { &replica } else { &other };
            other.clock.set(now());
            admit(replica, &headers)
        }));
        let admitted = many.await.iter().filter(|one| one.is_ok()).count();
        assert_eq!(admitted, 1, "{}", database.kind);
    }
}

#[tokio::test]
async fn a_key_that_does_not_count_opens_nothing_at_once_and_everywhere() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let other = Replica::start(&database, "b", now()).await;
        let (key, private) = active(&replica).await;
        let mut count = 0;
        let mut nonce = || {
            count += 1;
            format!("n-{count}")
        };
        // The other replica holds the key in memory by now.
        let headers = signed(&private, &key.key_id, &nonce(), now());
        assert!(admit(&other, &headers).await.is_ok());
        let engine = &replica.engine;
        engine
            .key_revoke(&key.key_id, "stolen", ann())
            .await
            .unwrap();
        for replica in [&replica, &other] {
            let headers = signed(&private, &key.key_id, &nonce(), now());
            assert_eq!(admit(replica, &headers).await, Err("KEY_COUNTS_NOT"));
        }

        let unknown = KeyId::try_new("nobody").unwrap();
        let headers = signed(&private, &unknown, &nonce(), now());
        assert_eq!(admit(&other, &headers).await, Err("KEY_UNKNOWN"));
        let stranger = pair();
        let (key, private) = active(&replica).await;
        let headers = signed(&stranger, &key.key_id, &nonce(), now());
        assert_eq!(admit(&other, &headers).await, Err("SIGNATURE_MISMATCH"));
        let late = now() + TimeDelta::days(365);
        other.clock.set(late);
        let headers = signed(&private, &key.key_id, &nonce(), late);
        assert_eq!(
            admit(&other, &headers).await,
            Err("KEY_COUNTS_NOT"),
            "{}: its life is over, although no job has written it down",
            database.kind
        );
        let waiting = pair();
        let pem = waiting.public_key().to_pem();
        let issued = engine.key_issue(issue(portal(), Some(pem)), ann());
        let pending = issued.await.unwrap().key;
        let headers = signed(&waiting, &pending.key_id, &nonce(), now());
        assert_eq!(admit(&replica, &headers).await, Err("KEY_COUNTS_NOT"));
    }
}

#[tokio::test]
async fn a_replaced_key_counts_until_its_overlap_is_over() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let (old, old_private) = active(&replica).await;
        let private = pair();
        let rotate = KeyIssueInput {
            replaces: Some(old.key_id.clone()),
            overlap: Duration::from_secs(3_600),
            ..issue(portal(), Some(private.public_key().to_pem()))
        };
        let new = engine.key_issue(rotate, ann()).await.unwrap().key;
        let state = async || engine.key(&old.key_id).await.unwrap().unwrap().state;
        assert_eq!(state().await, KeyState::Active, "until it is approved");
        engine.key_approve(&new.key_id, 0, bob()).await.unwrap();
        assert_eq!(state().await, KeyState::Retiring);
        for (seconds, counts) in [(0, true), (3_599, true), (3_600, false)] {
            let at = now() + TimeDelta::seconds(seconds);
            replica.clock.set(at);
            let nonce = format!("at-{seconds}");
            let headers = signed(&old_private, &old.key_id, &nonce, at);
            assert_eq!(admit(&replica, &headers).await.is_ok(), counts, "{seconds}");
            let headers = signed(&private, &new.key_id, &nonce, at);
            assert!(admit(&replica, &headers).await.is_ok(), "{seconds}");
        }
        let report = engine.tend_keys(&Actor::job("expire_keys")).await.unwrap();
        assert_eq!((report.expired, report.notices), (1, 0));
        assert_eq!(state().await, KeyState::Expired);
    }
}

#[tokio::test]
async fn notices_are_given_once_each_and_old_nonces_are_forgotten() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let (key, private) = active(&replica).await;
        let headers = signed(&private, &key.key_id, "n-1", now());
        assert!(admit(&replica, &headers).await.is_ok());
        let count = || {
            let mut view = View::open(&database.url).unwrap();
            walk::nonces(view.connection()).unwrap()
        };
        assert_eq!(count(), 1);
        let job = Actor::job("expire_keys");
        let mut given = Vec::new();
        for day in [334, 335, 336, 358, 364, 365] {
            replica.clock.set(now() + TimeDelta::days(day));
            for _ in 0..2 {
                let report = engine.tend_keys(&job).await.unwrap();
                given.push((day, report.notices, report.expired));
            }
        }
        given.retain(|(_, notices, expired)| notices + expired > 0);
        let expected = [(335, 1, 0), (358, 1, 0), (364, 1, 0), (365, 0, 1)];
        assert_eq!(given, expected, "{}", database.kind);
        assert_eq!(count(), 0, "{}", database.kind);
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_make_one_key_of_the_center() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let mut all = vec![replica];
        for name in ["b", "c", "d"] {
            all.push(Replica::start(&database, name, now()).await);
        }
        let starts = all.iter().map(|one| one.engine.refresh_center_key());
        for started in join_all(starts).await {
            started.unwrap();
        }
        let held: Vec<_> = all
            .iter()
            .map(|one| one.engine.center_key().expect("a key").key_id.clone())
            .collect();
        assert!(held.iter().all(|key_id| *key_id == held[0]), "{held:?}");
        let engine = &all[0].engine;
        let published = engine.published_keys().await.unwrap();
        assert_eq!(published.len(), 1);
        let public = PublicKey::from_der(Algorithm::Ed25519, &published[0].public_key).unwrap();
        assert_eq!(public.thumbprint(), published[0].thumbprint);

        // It rotates by two people, like every other.
        let rotate = KeyIssueInput {
            replaces: Some(held[0].clone()),
            ..issue(KeyOwner::Center, None)
        };
        let issued = engine.key_issue(rotate, ann()).await.unwrap();
        assert!(issued.ticket.is_none(), "nobody is handed the center's key");
        let approve = engine.key_approve(&issued.key.key_id, 0, bob());
        approve.await.unwrap();
        all[3].engine.refresh_center_key().await.unwrap();
        let now_held = all[3].engine.center_key().unwrap().key_id.clone();
        assert_eq!(now_held, issued.key.key_id, "{}", database.kind);
        assert_eq!(engine.published_keys().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_new_master_key_takes_over_under_load() {
    const FORMER: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        engine.refresh_center_key().await.unwrap();
        let mut tickets = Vec::new();
        for _ in 0..5 {
            let issued = engine
                .key_issue(issue(portal(), None), ann())
                .await
                .unwrap();
            let approve = engine.key_approve(&issued.key.key_id, 0, bob());
            tickets.push((approve.await.unwrap().key_id, issued.ticket.unwrap()));
        }
        let store = engine.store();
        let both = Masters::read([FORMER, MASTER]).unwrap();
        let rewrap = || rewrap_keys(store, &both, (ann(), now()));
        let (first, second) = tokio::join!(rewrap(), rewrap());
        let rewrapped = first.unwrap().rewrapped + second.unwrap().rewrapped;
        assert_eq!(rewrapped, 6, "{}: each once", database.kind);
        assert_eq!(rewrap().await.unwrap().rewrapped, 0);

        let only_new = Masters::read([FORMER]).unwrap();
        let other = Replica::start_with(&database, "b", now(), only_new).await;
        other.engine.refresh_center_key().await.unwrap();
        for (key_id, ticket) in tickets {
            let taken = other
                .engine
                .key_hand_out(&key_id, ticket.expose_secret(), bob());
            taken.await.unwrap();
        }
        let stranger = Masters::read(["AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="]).unwrap();
        let stranger = Replica::start_with(&database, "c", now(), stranger).await;
        let error = stranger.engine.refresh_center_key().await.unwrap_err();
        let EngineError::Store(error) = error else {
            panic!("{error:?}");
        };
        assert!(error.to_string().contains("master key"), "{error}");
    }
}

#[tokio::test]
async fn without_a_master_key_the_center_keeps_no_private_keys() {
    let database = TestDatabase::sqlite();
    let replica = Replica::start_with(&database, "a", now(), Masters::default()).await;
    samples::bring_all_in(replica.engine.store()).await.unwrap();
    replica.engine.refresh_catalogue().await.unwrap();
    replica.engine.refresh_center_key().await.unwrap();
    assert!(replica.engine.center_key().is_none());
    let refused = replica.engine.key_issue(issue(portal(), None), ann()).await;
    assert_eq!(code(refused), RefusalCode::KeyInvalid);
    let (_, _) = active(&replica).await;
}

/// Private keys never stand in the database, in whatever spelling: neither while they are kept, nor
/// after they were handed out.
#[tokio::test]
async fn no_private_key_stands_in_the_database() {
    let database = TestDatabase::sqlite();
    let replica = center(&database).await;
    let engine = &replica.engine;
    let issued = engine
        .key_issue(issue(portal(), None), ann())
        .await
        .unwrap();
    let ticket = issued.ticket.unwrap().expose_secret().to_owned();
    engine
        .key_approve(&issued.key.key_id, 0, bob())
        .await
        .unwrap();
    let file = database.url.trim_start_matches("sqlite:").to_owned();
    let bytes = |file: &str| {
        let log = std::fs::read(format!("{file}-wal")).unwrap_or_default();
        [std::fs::read(file).unwrap(), log].concat()
    };
    let before = bytes(&file);
    let handed_out = engine
        .key_hand_out(&issued.key.key_id, &ticket, bob())
        .await;
    let pem = handed_out.unwrap().1;
    let private = PrivateKey::from_pem(Algorithm::Ed25519, &pem).unwrap();
    let pkcs8 = private.to_pkcs8().unwrap();
    // The 32 bytes of the seed stand at the end of the first 48 of PKCS#8.
    let seed = &pkcs8[16..48];
    for kept in [before, bytes(&file)] {
        assert!(kept.len() > 10_000, "the database was read");
        let has = |needle: &[u8]| kept.windows(needle.len()).any(|one| one == needle);
        assert!(
            has(issued.key.key_id.as_str().as_bytes()),
            "the search finds things"
        );
        assert!(!has(seed) && !has(&pkcs8[..]) && !has(ticket.as_bytes()));
        let line = pem.lines().nth(1).unwrap();
        assert!(!has(line.as_bytes()));
    }
}

/// Whatever the algorithm: handed in and made here, rotated with an overlap, handed out, signed with.
#[tokio::test]
async fn every_algorithm_goes_the_whole_way() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        // RSA pairs take a while to be made, and differ from the others in nothing here.
        for algorithm in built().filter(|algorithm| !algorithm.is_rsa()) {
            let input = |public_key, replaces| KeyIssueInput {
                algorithm,
                replaces,
                ..issue(portal(), public_key)
            };
            let first = PrivateKey::generate(algorithm).unwrap();
            let pem = first.public_key().to_pem();
            let issued = engine.key_issue(input(Some(pem), None), ann()).await;
            let old = issued.unwrap().key;
            engine.key_approve(&old.key_id, 0, bob()).await.unwrap();
            let headers = signed(&first, &old.key_id, "n-1", now());
            assert_eq!(admit(&replica, &headers).await, Ok("portal".to_owned()));
            assert_eq!(admit(&replica, &headers).await, Err("NONCE_REPLAYED"));

            let issued = engine.key_issue(input(None, Some(old.key_id.clone())), ann());
            let Issued { key, ticket } = issued.await.unwrap();
            engine.key_approve(&key.key_id, 0, bob()).await.unwrap();
            let ticket = ticket.unwrap().expose_secret().to_owned();
            let (_, pem) = engine
                .key_hand_out(&key.key_id, &ticket, bob())
                .await
                .unwrap();
            let second = PrivateKey::from_pem(algorithm, &pem).unwrap();
            for (private, key_id) in [(&first, &old.key_id), (&second, &key.key_id)] {
                let headers = signed(private, key_id, "n-2", now());
                assert_eq!(admit(&replica, &headers).await, Ok("portal".to_owned()));
            }
            let headers = signed(&first, &key.key_id, "n-3", now());
            assert_eq!(admit(&replica, &headers).await, Err("SIGNATURE_MISMATCH"));
        }
    }
}

/// A center that was built with a feature once and is not any more says what it lacks.
#[cfg(not(feature = "gm"))]
#[tokio::test]
async fn a_registered_key_of_an_absent_algorithm_is_refused_by_name() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let (key, private) = active(&replica).await;
        let changed = "UPDATE keys SET algorithm = 'sm2-sm3' WHERE merchant IS NOT NULL";
        database.execute(changed).unwrap();
        let headers = signed(&private, &key.key_id, "n-1", now());
        let refused = admit(&replica, &headers).await;
        assert_eq!(refused, Err("SIGNATURE_ALGORITHM_NOT_BUILT"));
    }
}
