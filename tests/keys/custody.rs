//! What the center keeps of a private key: sealed, handed out once, and then forgotten.

use super::*;
use payhall::domain::audit::hex;
use payhall::storage::StoreError;

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

/// Exchanges the private parts of two keys as they are sealed; the tickets stay where they are.
fn exchange(database: &TestDatabase, keys: [&KeyId; 2]) {
    let mut view = View::open(&database.url).unwrap();
    let [one, other] = keys.map(|key_id| keys::secret(view.connection(), key_id).unwrap().unwrap());
    let bytes = |bytes: &[u8]| match database.kind {
        "sqlite" => format!("X'{}'", hex(bytes)),
        _ => format!("'\\x{}'", hex(bytes)),
    };
    for (to, from) in [(&one, &other), (&other, &one)] {
        let (wrapped_key, secret) = (bytes(&from.wrapped_key), bytes(&from.secret));
        let written = format!(
            "UPDATE key_secrets SET wrapped_key = {wrapped_key}, secret = {secret} \
             WHERE key_id = '{}'",
            to.key_id
        );
        database.execute(&written).unwrap();
    }
}

/// Who writes to the database brings nobody another's private key: what was moved does not open, and
/// whoever asks for it is told of a fault and keeps the ticket.
#[tokio::test]
async fn private_parts_that_changed_places_open_for_nobody() {
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    for database in TestDatabase::all() {
        let replica = center(&database).await;
        let engine = &replica.engine;
        let citylife = KeyOwner::Merchant(MerchantCode::try_new("citylife").unwrap());
        let mut made = Vec::new();
        for owner in [portal(), citylife] {
            let issued = engine.key_issue(issue(owner, None), ann()).await.unwrap();
            let key = engine.key_approve(&issued.key.key_id, 0, bob()).await;
            made.push((key.unwrap(), issued.ticket.unwrap()));
        }
        let ids = [&made[0].0.key_id, &made[1].0.key_id];
        exchange(&database, ids);
        for (key, ticket) in &made {
            let taken = engine.key_hand_out(&key.key_id, ticket.expose_secret(), bob());
            let error = match taken.await {
                Err(EngineError::Store(error @ StoreError::Corrupt { .. })) => error.to_string(),
                other => panic!("{}: {:?}", database.kind, other.map(|(key, _)| key)),
            };
            assert!(error.contains("moved from where it belongs"), "{error}");
            let stored = engine.key(&key.key_id).await.unwrap().unwrap();
            assert_eq!(&stored, key, "{}: nothing was handed out", database.kind);
        }
        // No new master key makes them right.
        let masters = Masters::read([NEW, MASTER]).unwrap();
        let rewrapped = rewrap_keys(engine.store(), &masters, (ann(), now())).await;
        let Err(EngineError::Store(error)) = rewrapped else {
            panic!("{}: {rewrapped:?}", database.kind);
        };
        let error = error.to_string();
        assert!(ids.iter().any(|id| error.contains(id.as_str())), "{error}");

        exchange(&database, ids);
        for (key, ticket) in &made {
            let taken = engine.key_hand_out(&key.key_id, ticket.expose_secret(), bob());
            let (_, pem) = taken.await.unwrap();
            let private = PrivateKey::from_pem(Algorithm::Ed25519, &pem).unwrap();
            assert_eq!(private.public_key().thumbprint(), key.thumbprint);
        }
    }
}
