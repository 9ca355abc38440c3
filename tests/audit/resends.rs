//! Notifications that are sent again leave a row each, with the request that ordered it; whoever is
//! refused, and whatever stays as it is, leaves none.

use crate::support::bank::catalogue;
use crate::support::database::TestDatabase;
use crate::support::given;
use crate::support::replica::{MASTER, Replica};
use crate::verbs::{assert_clean, assert_told, by, code, told};
use async_trait::async_trait;
use payhall::domain::ids::{BillNo, ItemCode, RequestNo};
use payhall::domain::merchant::{MerchantKind, Profile};
use payhall::domain::money::{Currency, Money};
use payhall::domain::notification::{Heard, NotificationState};
use payhall::engine::{Actor, CreateInput, Scope, samples};
use payhall::storage::Tx;
use payhall::storage::notifications::Filter;
use payhall::trust::Masters;
use payhall::upstream::{Notifier, Post, Reach, Target};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Servers of merchants that take everything.
struct Content;

#[async_trait]
impl Notifier for Content {
    fn target(&self, url: &str) -> Result<Target, Heard> {
        Target::try_new(url, Reach::Public)
    }

    async fn post(&self, _: &Post<'_>) -> Heard {
        Heard::answered(200)
    }
}

/// A center with two merchants that want to be told.
async fn center(database: &TestDatabase) -> Replica {
    let manner = (
        Masters::read([MASTER]).unwrap(),
        Arc::new(Content) as Arc<_>,
    );
    let center = Replica::start_on(database, "a", given::at(0), manner).await;
    let import = |tx: &mut Tx<'_>| tx.import_catalogue(&catalogue::parts());
    center.engine.store().solo(import).await.unwrap();
    for merchant in ["portal", "citylife"] {
        let profile = Profile {
            notify_url: Some(format!("https://{merchant}.example.com/notify")),
            ..samples::profile(merchant, merchant, MerchantKind::Channel)
        };
        let (desk, merchant) = (center.engine.onboarding(), code(merchant));
        let brought = samples::bring_in(&desk, &merchant, MerchantKind::Channel, profile);
        brought.await.unwrap();
    }
    center.engine.refresh_catalogue().await.unwrap();
    center.engine.refresh_center_key().await.unwrap();
    center
}

/// An order of a merchant that comes to rest, by requests that have no id.
async fn closed(center: &Replica, merchant: &str, digits: u64) {
    let actor = Actor {
        who: format!("merchant:{merchant}"),
        request_id: None,
    };
    let input = CreateInput {
        merchant: code(merchant),
        request_no: RequestNo::try_new(format!("R-{digits}")).unwrap(),
        item: ItemCode::try_new("topup").unwrap(),
        bill_no: BillNo::try_new(format!("{:011}", 13_900_000_000 + digits)).unwrap(),
        amount: Money::new(5_000, Currency::CNY),
        pass: None,
    };
    let order = center.engine.create(input, &actor).await.unwrap();
    let cancelled = center.engine.cancel(&order.order_no, &Scope::All, &actor);
    cancelled.await.unwrap();
}

/// The notifications of a merchant.
fn of(merchant: &str) -> Filter {
    Filter {
        merchant: Some(code(merchant)),
        ..Filter::default()
    }
}

#[tokio::test]
async fn notifications() {
    for database in TestDatabase::all() {
        let center = center(&database).await;
        let engine = &center.engine;
        for (merchant, digits) in [("portal", 1), ("portal", 2), ("portal", 3), ("citylife", 4)] {
            closed(&center, merchant, digits).await;
        }
        let sent = engine.send_notifications().await.unwrap();
        assert_eq!(sent.delivered, 4, "{}", database.kind);
        center.clock.advance(Duration::from_secs(1));
        let all = engine.notifications(of("portal"), None, 10, &Scope::All);
        let id = all.await.unwrap().rows[0].notification_id;
        let (portal, citylife) = (
            Scope::Merchant(code("portal")),
            Scope::Merchant(code("citylife")),
        );

        let one = |id: Uuid, scope: &Scope, who: &str, request: &str| {
            let (scope, actor) = (scope.clone(), by(who, request));
            async move { engine.notification_resend(id, &scope, &actor).await }
        };
        let (ours, theirs) = ("merchant:portal", "merchant:citylife");
        one(id, &portal, ours, "one").await.unwrap();
        one(id, &portal, ours, "one that is due").await.unwrap();
        assert!(one(id, &citylife, theirs, "one of another").await.is_err());
        let unknown = one(
            Uuid::now_v7(),
            &Scope::All,
            "operator:ann",
            "one that is none",
        );
        assert!(unknown.await.is_err());

        let many = |filter: Filter, most, scope: &Scope, (who, request): (&str, &str)| {
            let (scope, actor) = (scope.clone(), by(who, request));
            async move {
                let done = engine.notifications_resend(filter, most, &scope, &actor);
                done.await.unwrap().count
            }
        };
        let given_up = Filter {
            states: vec![NotificationState::GivenUp],
            ..of("portal")
        };
        let delivered = |merchant| Filter {
            states: vec![NotificationState::Delivered],
            ..of(merchant)
        };
        let counts = [
            many(
                delivered("portal"),
                10,
                &citylife,
                (theirs, "many of another"),
            )
            .await,
            many(given_up, 10, &portal, (ours, "many that are none")).await,
            many(delivered("portal"), 1, &portal, (ours, "the first of many")).await,
            many(delivered("portal"), 10, &portal, (ours, "the rest")).await,
            many(
                Filter::default(),
                10,
                &Scope::All,
                ("operator:ann", "everybody's"),
            )
            .await,
            many(
                Filter::default(),
                10,
                &Scope::All,
                ("operator:ann", "nothing is left"),
            )
            .await,
        ];
        assert_eq!(counts, [0, 0, 1, 1, 1, 0], "{}", database.kind);

        const RESENT: &str = "NOTIFICATION RESENT";
        let table: &[(&str, &[&str])] = &[
            ("one", &[RESENT]),
            ("one that is due", &[]),
            ("one of another", &[]),
            ("one that is none", &[]),
            ("many of another", &[]),
            ("many that are none", &[]),
            ("the first of many", &[RESENT]),
            ("the rest", &[RESENT]),
            ("everybody's", &[RESENT]),
            ("nothing is left", &[]),
        ];
        assert_told(database.kind, &told(engine.store()).await, table);
        assert_clean(&database);
    }
}
