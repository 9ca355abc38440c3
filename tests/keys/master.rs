//! A new master key takes over while two replicas work, one of which still seals under the former.

use super::*;
use payhall::storage::{Store, audit};
use payhall::trust::Response;
use secrecy::SecretString;
use std::cell::Cell;

const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// How many keys are issued, and how many requests are made, at each replica.
const KEYS: usize = 12;
const REQUESTS: usize = 60;

/// Keys that were approved and not handed out, with their tickets.
type Kept = Vec<(KeyId, SecretString)>;

/// A key that the center made, approved.
async fn made(replica: &Replica) -> (KeyId, SecretString) {
    let engine = &replica.engine;
    let issued = engine.key_issue(issue(portal(), None), ann()).await;
    let Issued { key, ticket } = issued.unwrap();
    let approved = engine.key_approve(&key.key_id, key.version, bob()).await;
    (approved.unwrap().key_id, ticket.unwrap())
}

/// Hands a key out; its owner makes a request with it.
async fn handed_out(replica: &Replica, (key_id, ticket): &(KeyId, SecretString)) {
    let taken = replica
        .engine
        .key_hand_out(key_id, ticket.expose_secret(), bob());
    let (key, pem) = taken.await.unwrap();
    let private = PrivateKey::from_pem(Algorithm::Ed25519, &pem).unwrap();
    assert_eq!(private.public_key().thumbprint(), key.thumbprint);
    answered(replica, (&private, key_id), "the-first").await;
}

/// A request that is recognised and let in, and whose answer the center signs.
async fn answered(replica: &Replica, (private, key_id): (&PrivateKey, &KeyId), nonce: &str) {
    let engine = &replica.engine;
    let headers = signed(private, key_id, nonce, now());
    let headers = borrowed(&headers);
    let request = request(&headers);
    let admittance = engine.recognise(&request).await.unwrap();
    engine.let_in(&admittance.pass).await.unwrap();
    let answer = Response {
        status: 200,
        headers: &[("content-type", b"application/json")],
        body: b"{}",
        request: Some(&request),
    };
    let signed = engine.sign_answer(&answer, &admittance).unwrap();
    let center = engine.center_key().unwrap();
    let by_center = |(_, value): &(_, String)| value.contains(center.key_id.as_str());
    assert!(signed.iter().any(by_center), "{signed:?}");
}

/// What a replica does meanwhile: requests are answered, keys are issued, approved and handed out.
async fn load(
    replica: &Replica,
    name: &str,
    (key, private): &(Key, PrivateKey),
    old: Kept,
) -> Kept {
    let requests = async {
        for n in 0..REQUESTS {
            answered(replica, (private, &key.key_id), &format!("{name}-{n}")).await;
        }
    };
    let hand_outs = async {
        for one in &old {
            handed_out(replica, one).await;
        }
    };
    let issues = async {
        let mut kept = Kept::new();
        for n in 0..KEYS {
            let one = made(replica).await;
            match n % 2 {
                0 => kept.push(one),
                _ => handed_out(replica, &one).await,
            }
        }
        kept
    };
    let ((), (), kept) = tokio::join!(requests, hand_outs, issues);
    kept
}

/// Rewraps for as long as there is a load, and once after that; how many private parts.
async fn rewraps(store: &Store, is_over: &Cell<bool>) -> usize {
    let masters = Masters::read([NEW, MASTER]).unwrap();
    let mut rewrapped = 0;
    loop {
        let is_last = is_over.get();
        let report = rewrap_keys(store, &masters, (ann(), now())).await;
        rewrapped += report.unwrap().rewrapped;
        if is_last {
            return rewrapped;
        }
    }
}

/// How often the private part of a key was rewrapped.
fn times(database: &TestDatabase, key_id: &KeyId) -> usize {
    let mut view = View::open(&database.url).unwrap();
    let rows = audit::about(view.connection(), key_id.as_str()).unwrap();
    let rewrapped = rows.iter().filter(|row| row.entry.action == "REWRAPPED");
    rewrapped.count()
}

#[tokio::test]
async fn a_new_master_key_takes_over_under_load() {
    for database in TestDatabase::all() {
        let kind = database.kind;
        let a = center(&database).await;
        a.engine.refresh_center_key().await.unwrap();
        let (mut old, mut left) = (Kept::new(), Kept::new());
        for _ in 0..6 {
            old.push(made(&a).await);
            left.push(made(&a).await);
        }
        let keys = [active(&a).await, active(&a).await];
        drop(a);
        // The first has both, and still seals under the former.
        let masters = [[MASTER, NEW], [NEW, MASTER]].map(|both| Masters::read(both).unwrap());
        let [former, current] = masters;
        let a = Replica::start_with(&database, "a", now(), former).await;
        let b = Replica::start_with(&database, "b", now(), current).await;
        for replica in [&a, &b] {
            replica.engine.refresh_catalogue().await.unwrap();
            replica.engine.refresh_center_key().await.unwrap();
        }
        let rest = old.split_off(3);
        let is_over = Cell::new(false);
        let work = async {
            let both = tokio::join!(load(&a, "a", &keys[0], old), load(&b, "b", &keys[1], rest));
            is_over.set(true);
            both
        };
        let (of_a, of_b, (kept_by_a, kept_by_b)) = tokio::join!(
            rewraps(a.engine.store(), &is_over),
            rewraps(b.engine.store(), &is_over),
            work
        );
        // The center's, what nobody took, and perhaps what was taken a moment later: each once.
        let at_least = 1 + left.len() + kept_by_a.len();
        let at_most = at_least + 6 + (KEYS - kept_by_a.len());
        let rewrapped = of_a + of_b;
        assert!(
            (at_least..=at_most).contains(&rewrapped),
            "{kind}: {rewrapped}"
        );
        for (key_id, _) in left.iter().chain(&kept_by_a) {
            assert_eq!(times(&database, key_id), 1, "{kind}");
        }
        for (key_id, _) in &kept_by_b {
            assert_eq!(times(&database, key_id), 0, "{kind}");
        }

        let only_new = Masters::read([NEW]).unwrap();
        let mut view = View::open(&database.url).unwrap();
        let others = only_new.current().unwrap();
        let others = keys::wrapped_by_others(view.connection(), others, 100).unwrap();
        assert!(others.is_empty(), "{kind}: {}", others.len());
        let c = Replica::start_with(&database, "c", now(), only_new).await;
        c.engine.refresh_catalogue().await.unwrap();
        c.engine.refresh_center_key().await.unwrap();
        for one in left.iter().chain(&kept_by_a).chain(&kept_by_b) {
            handed_out(&c, one).await;
        }
    }
}

#[tokio::test]
async fn a_master_key_that_is_none_of_ours_opens_nothing() {
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        replica.engine.refresh_center_key().await.unwrap();
        let stranger = Masters::read(["AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="]).unwrap();
        let stranger = Replica::start_with(&database, "b", now(), stranger).await;
        let error = stranger.engine.refresh_center_key().await.unwrap_err();
        let EngineError::Store(error) = error else {
            panic!("{error:?}");
        };
        assert!(error.to_string().contains("master key"), "{error}");
    }
}
