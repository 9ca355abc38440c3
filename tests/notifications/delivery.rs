//! What goes well: delivered at the first try, over real HTTP, with a signature that the published key
//! verifies; woken by the commit; and what stands in the timeline afterwards.

use super::support::replica::notifier;
use super::*;
use payhall::domain::notification::{NotificationState, TryOutcome};
use payhall::engine::TimelineKind;
use payhall::sim::{self, SimOptions};
use payhall::trust::{Claim, PublicKey, Request};
use serde_json::{Value, json};

/// Another URL for a merchant, by two people.
async fn move_url(center: &Replica, merchant: &str, url: Option<String>) {
    let desk = center.engine.onboarding();
    let found = center.engine.merchant(&code(merchant), &Scope::All).await;
    let dossier = found.unwrap().unwrap();
    let profile = profile(merchant, url);
    let maker = samples::person(samples::MAKER);
    let edited = desk
        .edit(&dossier.code, dossier.version, profile, &maker)
        .await;
    samples::approve(&desk, edited.unwrap()).await.unwrap();
    center.engine.refresh_catalogue().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_arrives_at_the_first_try_and_its_signature_is_the_center_s() {
    for database in TestDatabase::all() {
        let folder = tempfile::tempdir().unwrap();
        let world = sim::start(SimOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("ledger.jsonl"),
            ..SimOptions::default()
        });
        let world = world.await.unwrap();
        let center = center(&database, &Town::new()).await;
        // Plain http is for a sandbox, so this URL comes in by the back door.
        let url = format!("{}/inbox/portal?for=us", world.url());
        let change =
            format!("UPDATE merchant_revisions SET notify_url = '{url}' WHERE merchant = 'portal'");
        database.execute(&change).unwrap();
        let order = closed(&center, "portal", 1).await;
        let sender = replica(&database, "b", notifier()).await;
        let report = sender.engine.send_notifications().await.unwrap();
        assert_eq!(
            (report.tried, report.delivered),
            (1, 1),
            "{}",
            database.kind
        );

        let letters = inbox(&world.url()).await;
        assert_eq!(letters.len(), 1);
        let letter = &letters[0];
        verify(&center, letter).await;
        let told = only(&center, &order.order_no).await;
        let body: Value = serde_json::from_str(letter["body"].as_str().unwrap()).unwrap();
        let expected = json!({
            "notificationId": told.notification_id.to_string(),
            "orderNo": order.order_no.as_str(),
            "orderVersion": order.version,
            "merchant": "portal",
            "requestNo": "R-1",
            "item": "topup",
            "billNo": "13900000001",
            "amount": { "minor": "5000", "currency": "CNY" },
            "state": "CLOSED",
            "reason": "CANCELLED",
            "businessDate": "2026-11-22",
            "at": "2026-11-22T04:00:00.000000Z",
        });
        assert_eq!(body, expected);
        let headers = &letter["headers"];
        assert_eq!(headers["payhall-notification-id"], body["notificationId"]);
        assert_eq!(headers["payhall-order-version"], order.version.to_string());
        assert_eq!((told.state, told.tries), (NotificationState::Delivered, 1));
        let row = tries(&center, &told).await.remove(0);
        assert_eq!(
            (row.outcome, row.http_status),
            (TryOutcome::Delivered, Some(200))
        );
        assert_eq!(row.host, Some(world.addr().to_string()));
        assert!(row.ended_at.is_some() && row.cause.is_none());
        let again = sender.engine.send_notifications().await.unwrap();
        assert_eq!(again, Default::default(), "nothing is due any more");
        world.stop().await;
    }
}

/// What the merchants' servers keep; asked for over a bare socket.
async fn inbox(url: &str) -> Vec<Value> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /admin/inbox HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["letters"].as_array().unwrap().clone()
}

/// Holds a letter against the key that the center publishes; and a changed one, which must not pass.
async fn verify(center: &Replica, letter: &Value) {
    let headers = letter["headers"].as_object().unwrap();
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap().as_bytes()))
        .collect();
    let target = letter["target"].as_str().unwrap();
    let (path, query) = target.split_once('?').unwrap();
    let body = letter["body"].as_str().unwrap();
    let request = Request {
        method: letter["method"].as_str().unwrap(),
        scheme: "http",
        authority: letter["headers"]["host"].as_str().unwrap(),
        path,
        query: Some(query),
        headers: &headers,
        body: body.as_bytes(),
    };
    let claim = Claim::read(&request).unwrap();
    let keys = center.engine.published_keys().await.unwrap();
    let key = keys
        .iter()
        .find(|key| key.key_id.as_str() == claim.key_id());
    let key = key.expect("the key is published");
    let public = PublicKey::from_der(key.algorithm, &key.public_key).unwrap();
    claim.verify(&public, given::at(0)).unwrap();
    let changed = body.replace("CLOSED", "SUCCEEDED");
    let forged = Request {
        body: changed.as_bytes(),
        ..request
    };
    assert!(Claim::read(&forged).is_err(), "the body is bound");
    let elsewhere = Request {
        path: "/inbox/citylife",
        ..request
    };
    let claim = Claim::read(&elsewhere).unwrap();
    assert!(
        claim.verify(&public, given::at(0)).is_err(),
        "and the target"
    );
}

#[tokio::test]
async fn a_commit_wakes_the_sender() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let sender = tokio::spawn(center.engine.clone().keep_notifying());
        closed(&center, "portal", 1).await;
        // Its short pauses are on the clock that a test moves.
        let clock = center.clock.clone();
        let ticking = tokio::spawn(async move {
            loop {
                clock.advance(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        });
        town.wait_for("portal", 1).await;
        ticking.abort();
        center.stop.cancel();
        center.clock.advance(Duration::from_secs(1));
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn the_url_in_force_counts_and_a_suspended_merchant_is_told() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        move_url(
            &center,
            "portal",
            Some("https://citylife.example.com/other".to_owned()),
        )
        .await;
        let desk = center.engine.onboarding();
        let verb = payhall::domain::merchant::MerchantVerb::Suspend;
        let checker = samples::person(samples::CHECKER);
        let portal = code("portal");
        let suspended = desk.switch(&portal, verb, "it has not paid", &checker);
        suspended.await.unwrap();
        center.engine.send_notifications().await.unwrap();
        let arrived = town.arrived();
        assert_eq!(arrived.len(), 1, "{}", database.kind);
        assert_eq!(arrived[0].host, "citylife.example.com");
        assert_eq!(arrived[0].body["orderNo"], order.order_no.as_str());
    }
}

#[tokio::test]
async fn a_merchant_without_a_url_is_given_up_and_nobody_is_called() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        move_url(&center, "portal", None).await;
        let report = center.engine.send_notifications().await.unwrap();
        assert_eq!((report.tried, report.given_up), (1, 1));
        let told = only(&center, &order.order_no).await;
        let reason = payhall::domain::notification::GiveUpReason::NoUrl;
        assert_eq!(
            (told.state, told.reason),
            (NotificationState::GivenUp, Some(reason))
        );
        assert_eq!((town.arrived().len(), told.tries), (0, 0));
        let row = tries(&center, &told).await.remove(0);
        assert_eq!(row.outcome, TryOutcome::NotSent);
        // An order that comes to rest from now on brings none.
        let later = closed(&center, "portal", 2).await;
        assert!(super::told(&center, &later.order_no).await.is_empty());
    }
}

#[tokio::test]
async fn the_timeline_tells_of_it() {
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let order = closed(&center, "portal", 1).await;
        town.set("portal", town::Mood::Answers(500));
        center.engine.send_notifications().await.unwrap();
        town.set("portal", town::Mood::Answers(200));
        let told = only(&center, &order.order_no).await;
        go_to(&center, told.next_at);
        center.engine.send_notifications().await.unwrap();
        let (own, who) = (Scope::Merchant(code("portal")), actor("portal"));
        let id = told.notification_id;
        let again = center.engine.notification_resend(id, &own, &who);
        again.await.unwrap();
        let timeline = center.engine.timeline(&order.order_no, &own).await.unwrap();
        let entries = timeline.entries.iter();
        let about = entries.filter(|entry| entry.kind == TimelineKind::Notification);
        let mut words: Vec<_> = about.map(|entry| entry.text.as_str()).collect();
        // Sent again, it is not concluded any more; the audit row says what it was.
        words.sort_unstable();
        let expected = [
            format!(
                "notification {id} RESENT: DELIVERED -> PENDING (order {} version 1, series 2)",
                order.order_no
            ),
            format!("notification {id} of CLOSED at version 1 was made"),
            format!("try 1 of notification {id} brought REJECTED, status 500"),
            format!("try 2 of notification {id} brought DELIVERED, status 200"),
        ];
        assert_eq!(words, expected);
    }
}
