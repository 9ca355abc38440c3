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
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// How many payments are under way at once.
const AT_ONCE: usize = 64;

/// Makes a bill number.
pub type BillNumber = fn(u32) -> String;

/// The items that are paid, one of each biller at least, and how their bill numbers are made. The school's is paid
/// through the older bank, and all others through the bank that can reverse.
pub const ITEMS: [(&str, BillNumber); 5] = [
    ("sh-telecom-topup", |number| format!("139{number:08}")),
    ("sh-school-fee", |number| format!("S{number:08}")),
    ("bj-power-bill", |number| format!("{number:010}")),
    ("sh-gas-bill", |number| format!("{number:012}")),
    ("sh-telecom-topup", |number| format!("186{number:08}")),
];

/// Who pays.
pub const MERCHANTS: [&str; 2] = ["portal", "citylife"];

/// The first and the last of the well-known endings of a bill number.
pub const ENDINGS: RangeInclusive<u32> = 9_001..=9_016;

const ENDINGS_COUNT: u32 = 16;
/// So many bad bills are every ending at every item.
pub const EACH_ENDING: u32 = ENDINGS_COUNT * 5;

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

/// What is paid at a place of a batch, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bill {
    pub item: &'static str,
    pub bill_no: String,
    pub merchant: &'static str,
    /// The merchant's own number of the request.
    request_no: u32,
}

impl Bills {
    /// Every bill, in turn.
    pub fn each(self) -> impl Iterator<Item = Bill> {
        (0..self.count).map(move |place| self.bill(place))
    }

    /// Good ones go by the items in turn, and so by the billers and their banks. Of bad ones that follow each
    /// other, eighty are every ending at every item, once each, because 5 and 16 have no divisor in common; and
    /// the next eighty are the other merchant's.
    fn bill(self, place: u32) -> Bill {
        let number = self.first + place;
        let is_bad = self.bad_every > 0 && place % self.bad_every == self.bad_every / 2;
        let (turn, whose, in_bill) = match is_bad {
            true => {
                let turn = number / self.bad_every;
                (turn, turn / EACH_ENDING, bad_number(turn))
            }
            false => (number, number / 7, number / 9_000 * 10_000 + number % 9_000),
        };
        let (item, bill_no) = ITEMS[turn as usize % ITEMS.len()];
        Bill {
            item,
            bill_no: bill_no(in_bill),
            merchant: MERCHANTS[whose as usize % MERCHANTS.len()],
            request_no: number,
        }
    }
}

/// The number that the so-manieth bad bill's is made of. Bad ones end in one of [`ENDINGS`], and no other ends in 9000
/// or more.
fn bad_number(turn: u32) -> u32 {
    turn / ENDINGS_COUNT * 10_000 + ENDINGS.start() + turn % ENDINGS_COUNT
}

/// The well-known ending of a bill number, where it has one.
pub fn ending_of(bill_no: &str) -> Option<u32> {
    let digits = bill_no.get(bill_no.len().checked_sub(4)?..)?;
    let ending = digits.parse().ok()?;
    ENDINGS.contains(&ending).then_some(ending)
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
        let payments = bills.each().map(|bill| self.pay_one(bill));
        let payments = futures_util::stream::iter(payments).buffer_unordered(AT_ONCE);
        payments.collect::<Vec<()>>().await;
    }

    async fn pay_one(&self, bill: Bill) {
        let Bill {
            item,
            bill_no,
            merchant,
            request_no,
        } = bill;
        let item = ItemCode::try_new(item).expect("a code");
        let bill_no = BillNo::try_new(bill_no).expect("a bill number");
        let engine = &self.bare.engine;
        // A biller that has a bad day may show no bill: then nobody can pay it.
        let amount = match engine.lookup(&item, &bill_no).await {
            Ok(found) => found.bill.due,
            Err(_) => Money::new(1_000 + i64::from(request_no % 4_000), Currency::CNY),
        };
        let input = CreateInput {
            merchant: MerchantCode::try_new(merchant).expect("a code"),
            request_no: RequestNo::try_new(format!("past-{request_no}")).expect("a number"),
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

#[test]
fn of_bad_bills_in_a_row_each_ending_is_had_by_every_item_and_of_either_merchant() {
    let bad = Bills {
        first: 12_345,
        count: 2 * EACH_ENDING,
        bad_every: 1,
    };
    let had: BTreeSet<(&str, &str, u32)> = bad
        .each()
        .map(|bill| {
            let ending = ending_of(&bill.bill_no).expect("a bad one");
            (bill.item, bill.merchant, ending)
        })
        .collect();
    let items: BTreeSet<&str> = ITEMS.iter().map(|(item, _)| *item).collect();
    assert_eq!(had.len(), items.len() * MERCHANTS.len() * ENDINGS.count());
}
