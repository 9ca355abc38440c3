//! Signed requests are let in once, by keys that count.

use super::*;

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
