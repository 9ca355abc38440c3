//! Signed requests that are let in together with the change that they ask for: both happen or
//! neither, whoever comes with the same nonce at the same moment.

use super::{new, open, start};
use crate::support::database::TestDatabase;
use crate::support::given;
use futures_util::future::join_all;
use payhall::domain::ids::KeyId;
use payhall::domain::order::OrderState;
use payhall::storage::{
    Admission, Admitted, Created, Denied, Move, Moved, NewOrder, Store, View, orders, walk,
};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A key's id that counts, in a database that it was not brought into by people.
fn key(database: &TestDatabase, key_id: &str, state: &str) -> KeyId {
    let at = given::at(0).timestamp_micros();
    let end = at + 1_000_000 * 86_400;
    let blob = if database.url.starts_with("postgres") {
        "'\\x00'"
    } else {
        "x'00'"
    };
    let row = format!(
        "INSERT INTO keys (key_id, merchant, algorithm, public_key, thumbprint, origin, state, \
         overlap_s, maker, created_at, active_at, expires_at, version) VALUES ('{key_id}', \
         'portal', 'ed25519', {blob}, '{key_id}', 'UPLOADED', '{state}', 0, 'ann', {at}, {at}, \
         {end}, 1)"
    );
    database.execute(&row).expect("the key is written");
    KeyId::try_new(key_id).unwrap()
}

/// Each request has a tag of its own.
static TAG: AtomicI64 = AtomicI64::new(1);

fn asks(key_id: &KeyId, nonce: &str) -> Option<Admission> {
    Some(Admission {
        key_id: key_id.clone(),
        nonce: nonce.to_owned(),
        forget_at: given::at(660),
        now: given::at(0),
        tag: TAG.fetch_add(1, Ordering::Relaxed),
    })
}

fn asked(digits: u64, key_id: &KeyId, nonce: &str) -> NewOrder {
    NewOrder {
        admission: asks(key_id, nonce),
        ..new(&given::order(digits))
    }
}

async fn is_there(store: &Store, digits: u64) -> bool {
    let number = given::order_no(digits);
    let found = store.read(move |c| orders::find(c, &number)).await;
    found.unwrap().is_some()
}

#[tokio::test]
async fn one_of_many_changes_with_one_nonce_is_made() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let key_id = key(&database, "k1", "ACTIVE");
        // Others come with nonces of their own, in the same batches: nothing happens to them.
        let made = join_all((0..300_u64).map(|digits| {
            let nonce = match digits % 3 {
                0 => "the-same".to_owned(),
                _ => format!("own-{digits}"),
            };
            store.create(asked(digits, &key_id, &nonce))
        }));
        let made: Vec<Created> = made.await.into_iter().map(Result::unwrap).collect();
        let (same, own): (Vec<_>, Vec<_>) = made
            .iter()
            .enumerate()
            .partition(|(place, _)| place % 3 == 0);
        assert!(own.iter().all(|(_, made)| **made == Created::New));
        let done = same.iter().filter(|(_, made)| **made == Created::New);
        assert_eq!(done.count(), 1, "{}", database.kind);
        for (place, made) in same {
            let is_made = *made == Created::New;
            assert!(
                is_made || *made == Created::Denied(Denied::Replayed),
                "{made:?}"
            );
            let digits = u64::try_from(place).unwrap();
            assert_eq!(is_there(&store, digits).await, is_made, "{}", database.kind);
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_nonce_is_used_up_by_whatever_came_with_it_first() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let key_id = key(&database, "k1", "ACTIVE");
        let by_itself = asks(&key_id, "n-1").unwrap();
        assert_eq!(store.admit(by_itself).await.unwrap(), Admitted::Done);
        let late = store.create(asked(1, &key_id, "n-1")).await.unwrap();
        assert_eq!(late, Created::Denied(Denied::Replayed), "{}", database.kind);
        assert!(!is_there(&store, 1).await);

        // A change that is lost uses it up as well: the request was let in, and had its answer.
        assert_eq!(
            store.create(asked(2, &key_id, "n-2")).await.unwrap(),
            Created::New
        );
        let paying = |nonce: &str| Move {
            admission: asks(&key_id, nonce),
            ..start(&given::order(2), 5_002).0
        };
        assert_eq!(
            store.move_order(paying("n-2")).await.unwrap(),
            Moved::Denied(Denied::Replayed)
        );
        let order = store
            .find_order(&given::order_no(2))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(order.state, OrderState::Created, "{}", database.kind);
        assert_eq!(store.move_order(paying("n-3")).await.unwrap(), Moved::Done);
        for answer in [Moved::Lost, Moved::Denied(Denied::Replayed)] {
            let again = store.move_order(paying("n-4")).await.unwrap();
            assert_eq!(again, answer, "{}", database.kind);
        }
        store.close().await;
    }
}

/// As after a commit whose answer was lost: whatever is run again meets its own nonce, not a replay.
#[tokio::test]
async fn a_request_that_meets_its_own_nonce_is_let_in() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let key_id = key(&database, "k1", "ACTIVE");
        let create = asked(1, &key_id, "n-1");
        assert_eq!(store.create(create.clone()).await.unwrap(), Created::New);
        let again = store.create(create.clone()).await.unwrap();
        assert!(
            matches!(again, Created::Same(_)),
            "{}: {again:?}",
            database.kind
        );
        let by_itself = create.admission.unwrap();
        assert_eq!(store.admit(by_itself).await.unwrap(), Admitted::Done);
        let paying = Move {
            admission: asks(&key_id, "n-2"),
            ..start(&given::order(1), 5_001).0
        };
        assert_eq!(store.move_order(paying.clone()).await.unwrap(), Moved::Done);
        assert_eq!(store.move_order(paying).await.unwrap(), Moved::Lost);
        store.close().await;
    }
}

#[tokio::test]
async fn a_key_that_counts_no_more_lets_no_change_through() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let revoked = key(&database, "k1", "REVOKED");
        let unknown = KeyId::try_new("nobody").unwrap();
        for (digits, key_id) in [(1, &revoked), (2, &unknown)] {
            let denied = Denied::KeyCountsNoMore(key_id.clone());
            let made = store.create(asked(digits, key_id, "n-1")).await.unwrap();
            assert_eq!(made, Created::Denied(denied), "{}", database.kind);
            assert!(!is_there(&store, digits).await);
        }
        let over = key(&database, "k2", "ACTIVE");
        let mut late = asked(3, &over, "n-1");
        late.admission.as_mut().unwrap().now = given::at(0) + Duration::from_secs(86_400);
        let made = store.create(late).await.unwrap();
        assert_eq!(made, Created::Denied(Denied::KeyCountsNoMore(over)));
        store.close().await;
        let mut view = View::open(&database.url).unwrap();
        let nonces = walk::nonces(view.connection()).unwrap();
        assert_eq!(
            nonces, 0,
            "{}: no nonce of a key that does not count",
            database.kind
        );
    }
}
