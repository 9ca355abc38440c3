//! Somebody is called about a merchant who has waited long.

use super::support::bank::alarms;
use super::town::Mood;
use super::*;

/// A merchant that no other test of this process has.
const LATECOMER: &str = "latecomer";

fn cries() -> usize {
    let heard = alarms::of_kind("NOTIFICATION_LATE").into_iter();
    let about = heard.filter(|alarm| alarm.message.contains("merchant latecomer "));
    about.count()
}

#[tokio::test]
async fn a_merchant_who_has_waited_an_hour_is_cried_about_once_an_hour() {
    alarms::listen();
    for database in TestDatabase::all() {
        let town = Town::new();
        let center = center(&database, &town).await;
        let desk = center.engine.onboarding();
        let profile = profile(LATECOMER, Some(url(LATECOMER)));
        let (own, kind) = (code(LATECOMER), MerchantKind::Channel);
        let arrived = samples::bring_in(&desk, &own, kind, profile);
        arrived.await.unwrap();
        center.engine.refresh_catalogue().await.unwrap();
        town.set(LATECOMER, Mood::Answers(503));
        let order = closed(&center, LATECOMER, 1).await;
        let before = cries();
        let after_minutes = async |minutes: u64| {
            center.clock.advance(Duration::from_secs(60 * minutes));
            center.engine.send_notifications().await.unwrap();
            cries() - before
        };
        assert_eq!(after_minutes(0).await, 0, "{}", database.kind);
        assert_eq!(after_minutes(60).await, 0, "{}", database.kind);
        assert_eq!(after_minutes(1).await, 1, "{}", database.kind);
        assert_eq!(after_minutes(59).await, 1, "{}", database.kind);
        assert_eq!(after_minutes(1).await, 2, "{}", database.kind);
        town.set(LATECOMER, Mood::Answers(200));
        go_to(&center, only(&center, &order.order_no).await.next_at);
        assert_eq!(after_minutes(0).await, 2, "it is delivered");
        assert_eq!(after_minutes(120).await, 2, "{}", database.kind);
        // What somebody ordered sent again is old by itself.
        town.set(LATECOMER, Mood::Answers(503));
        let id = only(&center, &order.order_no).await.notification_id;
        let who = samples::person(samples::MAKER);
        let again = center.engine.notification_resend(id, &Scope::All, &who);
        again.await.unwrap();
        assert_eq!(after_minutes(120).await, 2, "{}", database.kind);
    }
}
