//! The day before the demo, or in the small hours the one before that, so that there is a night to look at:
//! some payments went well, one ended in a doubt that only the bank's file settles, one was paid after it counted as failed, and the bank's file is wrong about
//! two. It is lived through with the clocks of the engine and of the simulated world standing at yesterday. Then
//! the center starts as after any night that was missed, and makes up for it.

use crate::config::Config;
use crate::daemon::{Bare, instance_name};
use crate::domain::ids::{BillNo, ItemCode, MerchantCode, RequestNo};
use crate::domain::money::{Currency, Money};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Actor, Clock, ConfirmInput, CreateInput, Engine, ManualClock, Scope};
use crate::upstream::Webhook;
use anyhow::Context;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// What was paid: an item, a bill number, how much, and how many minutes after ten.
const PAYMENTS: [(&str, &str, i64, i64); 12] = [
    ("sh-telecom-topup", "13712340001", 5_000, 0),
    ("sh-telecom-topup", "13712340002", 10_000, 3),
    ("sh-telecom-topup", "13712340003", 2_000, 8),
    ("sh-telecom-topup", "13712340004", 3_000, 20),
    ("sh-telecom-topup", "13712340005", 20_000, 31),
    ("sh-telecom-topup", "13712340006", 5_000, 45),
    ("sh-telecom-topup", "13712340007", 1_000, 50),
    ("sh-school-fee", "S20250001", 120_000, 51),
    ("sh-school-fee", "S20250002", 95_000, 55),
    // Refused for want of money; one that nobody at the bank knows of until its file lists it; and at last one
    // that succeeds half a minute later, when it counts as failed.
    ("sh-telecom-topup", "13712349001", 4_000, 60),
    ("sh-school-fee", "S20259010", 88_000, 61),
    ("sh-telecom-topup", "13712349006", 6_000, 62),
];

/// How often the bank is asked about what is in doubt after the last payment, and for how long. The second time
/// falls between the moment at which "not found" counts and the one at which that payment succeeds after all.
const EVERY: TimeDelta = TimeDelta::seconds(12);
const POLLED: TimeDelta = TimeDelta::minutes(6);

/// So long after a day has ended the files of the banks and billers about it have come, and the center has asked
/// for them (`expected_from` of its partners): before, there would be no night to look at.
const FILES_CAME: TimeDelta = TimeDelta::hours(3);

/// The two clocks of that day.
struct Clocks {
    ours: ManualClock,
    world: Webhook,
}

impl Clocks {
    async fn stand_at(&self, at: Instant) {
        let clock = json!({ "now": at, "pace": "STANDS" });
        self.world.post(&clock).await;
        self.ours.set(at);
    }
}

/// Lives through the last business date before `now` whose files have come.
pub(super) async fn live_through(
    config: Config,
    sim: SocketAddr,
    now: Instant,
) -> anyhow::Result<()> {
    let day = config.business_day();
    let date = day.last_ended(now - FILES_CAME);
    let ten = day.begin_of(date) + TimeDelta::hours(10);
    let at = |path: &str| {
        let post = Webhook::try_new(&format!("http://{sim}/admin/{path}"));
        post.context("the simulated world cannot be reached")
    };
    let clocks = Clocks {
        ours: ManualClock::new(ten),
        world: at("clock")?,
    };
    let config = with_quick_tries(config);
    let clock = Arc::new(clocks.ours.clone());
    let bare = Bare::start(&config, &instance_name(), clock).await?;
    for (place, payment) in PAYMENTS.into_iter().enumerate() {
        clocks.stand_at(ten + TimeDelta::minutes(payment.3)).await;
        pay(&bare.engine, place, payment).await?;
    }
    let poller = Actor::job("poll_exceptions");
    let end = clocks.ours.now() + POLLED;
    while clocks.ours.now() < end {
        clocks.stand_at(clocks.ours.now() + EVERY).await;
        bare.engine.poll(None, &poller).await?;
    }
    bare.stop().await;
    let real = json!({ "now": now, "pace": "RUNS" });
    clocks.world.post(&real).await;
    // What is wrong in a file can be said when its day is over.
    at("plants")?.post(&wrong_lines(date)).await;
    Ok(())
}

/// Nobody moves the clock while a payment is tried: the tries of a confirm follow each other at once.
fn with_quick_tries(mut config: Config) -> Config {
    for adapter in config.adapters.values_mut() {
        adapter.tries_s = vec![0; adapter.tries_s.len()];
    }
    config
}

/// The bank's file has another amount for one payment, and lacks one.
fn wrong_lines(date: BusinessDate) -> Value {
    let plants = json!([{ "class": "AMOUNT" }, { "class": "SHORT" }]);
    json!({ "partner": "bank", "date": date, "seed": 7, "plants": plants })
}

async fn pay(
    engine: &Engine,
    place: usize,
    (item, bill_no, minor, _): (&str, &str, i64, i64),
) -> anyhow::Result<()> {
    let merchant = MerchantCode::try_new("portal")?;
    let actor = Actor {
        who: format!("merchant:{merchant}"),
        request_id: None,
    };
    let input = CreateInput {
        merchant,
        request_no: RequestNo::try_new(format!("yesterday-{place}"))?,
        item: ItemCode::try_new(item)?,
        bill_no: BillNo::try_new(bill_no)?,
        amount: Money::new(minor, Currency::CNY),
        pass: None,
    };
    let order = engine.create(input, &actor).await?;
    let confirm = ConfirmInput {
        order_no: order.order_no,
        credential: None,
        pass: None,
    };
    engine.confirm(confirm, &Scope::All, &actor).await?;
    Ok(())
}
