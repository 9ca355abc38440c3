//! Days that are over: bills are paid by an engine whose clock stands where the test puts it, at the
//! simulated world, whose clock stands there too. When the past is closed, only the database and the
//! bank's ledger are left of it, and a daemon may start that knows nothing of how they came about.

use crate::support::world::World;
use futures_util::StreamExt;
use payhall::daemon::{Bare, instance_name};
use payhall::domain::ids::{BillNo, ItemCode, MerchantCode, RequestNo};
use payhall::domain::money::{Currency, Money};
use payhall::domain::time::Instant;
use payhall::engine::{Actor, Clock, ConfirmInput, CreateInput, EngineError, ManualClock, Scope};
use std::sync::Arc;
use std::time::Duration;

/// How many payments are under way at once.
const AT_ONCE: usize = 64;

/// Makes a bill number.
type BillNumber = fn(u32) -> String;

/// The items that are paid, one of each biller, and how their bill numbers are made.
const ITEMS: [(&str, BillNumber); 5] = [
    ("sh-telecom-topup", |number| format!("139{number:08}")),
    ("sh-school-fee", |number| format!("S{number:08}")),
    ("bj-power-bill", |number| format!("{number:010}")),
    ("sh-gas-bill", |number| format!("{number:012}")),
    ("sh-telecom-topup", |number| format!("186{number:08}")),
];

/// Who pays.
const MERCHANTS: [&str; 2] = ["portal", "citylife"];

/// Bills in a row.
#[derive(Clone, Copy, Debug)]
pub struct Bills {
    /// The first one's number; no two batches of a world may share one.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Each so-manieth has one of the well-known endings, with which the bank or the biller has a bad day;
    /// 0 for none.
    pub bad_every: u32,
}

/// The center as it was.
pub struct Past<'a> {
    world: &'a World,
    bare: Bare,
    clock: ManualClock,
}

impl<'a> Past<'a> {
    /// A center whose clock stands at an instant, and the world's with it.
    pub async fn open(world: &'a World, at: Instant) -> Self {
        let clock = ManualClock::new(at);
        let config = world.config();
        let instance = instance_name();
        let bare = Bare::start(&config, &instance, Arc::new(clock.clone()));
        let bare = bare.await.expect("an engine");
        let past = Self { world, bare, clock };
        past.stand_at(at).await;
        past
    }

    /// Moves both clocks.
    pub async fn stand_at(&self, at: Instant) {
        self.world.sim.stand_at(at).await;
        self.clock.set(at);
    }

    /// Moves both clocks, the world's further than the center's.
    pub async fn stand_ahead(&self, at: Instant, ahead: chrono::Duration) {
        self.world.sim.stand_at(at + ahead).await;
        self.clock.set(at);
    }

    /// Pays bills, every merchant and every item in turn. What the bank does with them is its own affair.
    pub async fn pay(&self, bills: Bills) {
        let payments = (0..bills.count).map(|place| self.pay_one(bills, place));
        let payments = futures_util::stream::iter(payments).buffer_unordered(AT_ONCE);
        payments.collect::<Vec<()>>().await;
    }

    async fn pay_one(&self, bills: Bills, place: u32) {
        let number = bills.first + place;
        let (item, bill_no) = ITEMS[number as usize % ITEMS.len()];
        let merchant = MERCHANTS[(number / 7) as usize % MERCHANTS.len()];
        let bill_no = bill_no(bill_number(bills, place));
        let item = ItemCode::try_new(item).expect("a code");
        let bill_no = BillNo::try_new(bill_no).expect("a bill number");
        let engine = &self.bare.engine;
        // A biller that has a bad day may show no bill: then nobody can pay it.
        let amount = match engine.lookup(&item, &bill_no).await {
            Ok(found) => found.bill.due,
            Err(_) => Money::new(1_000 + i64::from(number % 4_000), Currency::CNY),
        };
        let input = CreateInput {
            merchant: MerchantCode::try_new(merchant).expect("a code"),
            request_no: RequestNo::try_new(format!("past-{number}")).expect("a number"),
            item,
            bill_no,
            amount,
            pass: None,
        };
        let actor = Actor {
            who: format!("merchant:{merchant}"),
            request_id: None,
        };
        let order = match engine.create(input, &actor).await {
            Ok(order) => order,
            Err(EngineError::Refused(_)) => return,
            Err(fault) => panic!("{fault:?}"),
        };
        let confirm = ConfirmInput {
            order_no: order.order_no,
            credential: None,
            pass: None,
        };
        match engine.confirm(confirm, &Scope::All, &actor).await {
            Ok(_) | Err(EngineError::Refused(_)) => {}
            Err(fault) => panic!("{fault:?}"),
        }
    }

    /// Polls every so often until an instant, as the job would have.
    pub async fn poll_until(&self, until: Instant, every: Duration) {
        let poller = Actor::job("poll_exceptions");
        let step = chrono::Duration::from_std(every).expect("a short time");
        loop {
            let now = self.clock.now();
            self.bare.engine.poll(None, &poller).await.expect("a poll");
            if now >= until {
                break;
            }
            self.stand_at((now + step).min(until)).await;
        }
    }

    /// Ends the center of that time; the world's clock shows the real time again.
    pub async fn close(self) {
        self.bare.stop().await;
        self.world.sim.clock_of_today().await;
    }
}

/// The number that the bill's is made of. Bad ones end in 9001 to 9016, and no other ends in 9000 or more.
fn bill_number(bills: Bills, place: u32) -> u32 {
    let number = bills.first + place;
    let is_bad = bills.bad_every > 0 && place % bills.bad_every == bills.bad_every / 2;
    match is_bad {
        true => bad_number(number / bills.bad_every),
        false => number / 9_000 * 10_000 + number % 9_000,
    }
}

/// The so-manieth bad bill number.
fn bad_number(place: u32) -> u32 {
    place / 16 * 10_000 + 9_001 + place % 16
}
