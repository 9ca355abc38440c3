//! Notifications of merchants on both databases: made with the move and never without it, signed, in the
//! order's own sequence, at least once, whatever the merchants' servers and the center itself do.

mod bounds;
mod delivery;
mod failure;
mod late;
mod outbox;
mod resend;
mod secrets;
mod sequence;
#[path = "../support/mod.rs"]
mod support;
mod town;

use payhall::domain::ids::{BillNo, ItemCode, MerchantCode, OrderNo, RequestNo};
use payhall::domain::merchant::{MerchantKind, Profile};
use payhall::domain::money::{Currency, Money};
use payhall::domain::notification::{Notification, NotificationTry};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::time::Instant;
use payhall::engine::{Actor, CreateInput, Scope, samples};
use payhall::storage::notifications::Tries;
use payhall::storage::{Move, Moved, notifications};
use payhall::trust::Masters;
use payhall::upstream::Notifier;
use std::sync::Arc;
use std::time::Duration;
use support::bank::catalogue;
use support::database::TestDatabase;
use support::given;
use support::replica::{MASTER, Replica};
use town::Town;

/// The merchants of these tests; each server is a host of its own in the town.
const MERCHANTS: [&str; 2] = ["portal", "citylife"];

fn code(merchant: &str) -> MerchantCode {
    MerchantCode::try_new(merchant).unwrap()
}

fn url(merchant: &str) -> String {
    format!("https://{merchant}.example.com/notify")
}

fn profile(merchant: &str, notify_url: Option<String>) -> Profile {
    Profile {
        notify_url,
        ..samples::profile(merchant, merchant, MerchantKind::Channel)
    }
}

/// A center in a town: its catalogue, its merchants, a key to sign with.
async fn center(database: &TestDatabase, town: &Arc<Town>) -> Replica {
    let center = replica(database, "a", town.clone()).await;
    let import = |tx: &mut payhall::storage::Tx<'_>| tx.import_catalogue(&catalogue::parts());
    center.engine.store().solo(import).await.unwrap();
    for merchant in MERCHANTS {
        let profile = profile(merchant, Some(url(merchant)));
        let desk = center.engine.onboarding();
        let (code, kind) = (code(merchant), MerchantKind::Channel);
        samples::bring_in(&desk, &code, kind, profile)
            .await
            .unwrap();
    }
    center.engine.refresh_catalogue().await.unwrap();
    center.engine.refresh_center_key().await.unwrap();
    center
}

/// One more program on the same database.
async fn replica(database: &TestDatabase, name: &str, notifier: Arc<dyn Notifier>) -> Replica {
    let masters = Masters::read([MASTER]).unwrap();
    let replica = Replica::start_on(database, name, given::at(0), (masters, notifier)).await;
    replica.engine.refresh_catalogue().await.unwrap();
    replica.engine.refresh_center_key().await.unwrap();
    replica
}

fn actor(merchant: &str) -> Actor {
    Actor {
        who: format!("merchant:{merchant}"),
        request_id: None,
    }
}

/// An order of a merchant that comes to rest: made and cancelled.
async fn closed(center: &Replica, merchant: &str, digits: u64) -> Order {
    let input = CreateInput {
        merchant: code(merchant),
        request_no: RequestNo::try_new(format!("R-{digits}")).unwrap(),
        item: ItemCode::try_new("topup").unwrap(),
        bill_no: BillNo::try_new(format!("{:011}", 13_900_000_000 + digits)).unwrap(),
        amount: Money::new(5_000, Currency::CNY),
        pass: None,
    };
    let actor = actor(merchant);
    let order = center.engine.create(input, &actor).await.unwrap();
    let cancelled = center.engine.cancel(&order.order_no, &Scope::All, &actor);
    cancelled.await.unwrap()
}

/// A move of an order, with its notification.
fn to(order: &Order, state: OrderState) -> Move {
    let step = given::step(order, state, 0);
    Move {
        notify: Some(Notification::of(&step.after, uuid::Uuid::now_v7())),
        ..step
    }
}

/// Moves an order as a decided case would, with its notification.
async fn moved_again(center: &Replica, order: &Order, state: OrderState) -> Order {
    let step = to(order, state);
    let after = step.after.clone();
    let moved = center.engine.store().move_order(step).await.unwrap();
    assert_eq!(moved, Moved::Done);
    after
}

/// The notifications of an order, in its sequence.
async fn told(center: &Replica, order: &OrderNo) -> Vec<Notification> {
    let number = order.clone();
    let read = move |c: &mut _| notifications::of_order(c, &number);
    center.engine.store().read(read).await.unwrap()
}

/// The only notification of an order.
async fn only(center: &Replica, order: &OrderNo) -> Notification {
    let mut found = told(center, order).await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

async fn tries(center: &Replica, of: &Notification) -> Vec<NotificationTry> {
    last_tries(center, of).await.last
}

/// The last tries of a notification, and how many there are.
async fn last_tries(center: &Replica, of: &Notification) -> Tries {
    let id = of.notification_id;
    let mut found = center.engine.notification_tries(vec![id]).await.unwrap();
    found.remove(&id).unwrap_or_default()
}

/// Moves the clock to an instant.
fn go_to(center: &Replica, at: Instant) {
    let now = payhall::engine::Clock::now(&center.clock);
    center
        .clock
        .advance((at - now).to_std().unwrap_or_default());
}

const LEASE: Duration = Duration::from_secs(60);
