//! The life of a key: replaced with an overlap, noticed before its end, and the center's own.

use super::*;

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
