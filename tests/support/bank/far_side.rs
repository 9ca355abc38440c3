//! The far side in the process: a bank with three windows and the billers behind it, scripted call
//! by call, with books of its own.
//!
//! It answers as an adapter does: what it says goes through the domain's own classification, so a
//! wrong amount is a wrong amount here too. At every payment and reversal it looks into the
//! center's database whether the flow was committed before (law 2), and writes a breach down if not.

use super::books::Books;
use super::clock::TestClock;
use super::script::{Deed, Script};
use super::work::{Request, World};
use async_trait::async_trait;
use payhall::domain::bill::{Bill, LookupError};
use payhall::domain::flow::{AttemptOutcome, FlowKind, FlowState, Operation};
use payhall::domain::ids::{BillNo, BillerCode, FlowNo};
use payhall::domain::money::{Currency, Money};
use payhall::domain::outcome::{Cause, Delivery, Expected, Reply, classify};
use payhall::domain::time::Instant;
use payhall::engine::Clock;
use payhall::storage::{Store, flows};
use payhall::upstream::{BillerLink, PayCall, PaymentSystem, QueryCall, ReverseCall};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// A call as it came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// When.
    pub at: Instant,
    /// What was asked.
    pub operation: Operation,
    /// The number in the request.
    pub number: String,
    /// The payment that it is about.
    pub payment: String,
    /// The bill.
    pub bill_no: String,
    /// What the answer was worth; none while it is under way.
    pub outcome: Option<AttemptOutcome>,
}

/// What a window of the bank can do.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Whether it reverses at all.
    pub can_reverse: bool,
    /// Whether a repeated number has one effect.
    pub idempotent: bool,
    /// Whether a reversal bars a payment that has not arrived yet.
    pub tombstones: bool,
    /// Whether a bill's reference binds its amount.
    pub binds: bool,
}

/// What a biller does when it is asked about a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupDeed {
    /// Tells what is due.
    Honest,
    /// Gives no usable answer.
    Unavailable,
    /// Says nothing until it is let go.
    Hang,
}

/// The far side. Shared by every engine of a test.
pub struct FarSide {
    world: Mutex<World>,
    clock: TestClock,
    hanging: watch::Sender<Hanging>,
    witness: Mutex<Option<Store>>,
}

impl FarSide {
    /// A far side on its first day.
    pub fn new(clock: TestClock) -> Self {
        Self {
            world: Mutex::default(),
            clock,
            hanging: watch::Sender::new(Hanging::default()),
            witness: Mutex::new(None),
        }
    }

    /// Shows it the database in which every flow has to be before it comes here.
    pub fn watch_intents_in(&self, store: Store) {
        *self.witness.lock().unwrap() = Some(store);
    }

    /// What happened here, with everything done that is due by now.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.catch_up(self.clock.now());
        world
    }

    /// A copy of the books.
    pub fn books(&self) -> Books {
        self.world().books.clone()
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How many calls of an operation came in about a payment.
    pub fn count(&self, operation: Operation, payment: &FlowNo) -> usize {
        let about = |call: &&Call| call.operation == operation && call.payment == payment.as_str();
        self.world().calls.iter().filter(about).count()
    }

    /// Tells it what to do with the next calls about a bill.
    pub fn tell(&self, operation: Operation, bill_no: &str, deeds: impl IntoIterator<Item = Deed>) {
        self.script(|script| script.tell(operation, bill_no, deeds));
    }

    /// Tells it what to do with all later calls about a bill.
    pub fn tell_for_ever(&self, operation: Operation, bill_no: &str, deed: Deed) {
        self.script(|script| script.tell_for_ever(operation, bill_no, deed));
    }

    /// Ends all faults: it is honest from now on, and whatever it was working on is carried out.
    pub fn heal(&self) {
        let mut world = self.world();
        world.script.heal();
        world.lookups.clear();
        world.carry_out_all(self.clock.now());
        drop(world);
        self.release();
    }

    /// Carries out everything that it is working on.
    pub fn carry_out_all(&self) {
        let now = self.clock.now();
        self.world().carry_out_all(now);
    }

    /// Lets every hanging call go on.
    pub fn release(&self) {
        self.hanging.send_modify(|hanging| {
            hanging.round += 1;
            hanging.calls = 0;
        });
    }

    /// How many calls hang.
    pub fn hanging(&self) -> usize {
        self.hanging.borrow().calls
    }

    /// Changes whenever a call begins or ends to hang.
    pub fn changes(&self) -> watch::Receiver<Hanging> {
        self.hanging.subscribe()
    }

    fn script<T>(&self, tell: impl FnOnce(&mut Script) -> T) -> T {
        tell(&mut self.world().script)
    }

    async fn hang(&self) {
        let mut hanging = self.hanging.subscribe();
        let place = HangingPlace::take(&self.hanging);
        // The sender lives as long as this does.
        let _ = hanging.wait_for(|now| now.round > place.round).await;
    }

    /// Law 2: the flow with its number is committed before the first byte goes out.
    async fn look_for_intent(&self, number: &FlowNo, kind: FlowKind, amount: Money) {
        let Some(store) = self.witness.lock().unwrap().clone() else {
            return;
        };
        let wanted = number.clone();
        let found = store.read(move |c| flows::find(c, &wanted)).await;
        let breach = match found {
            Ok(Some(flow)) if flow.kind != kind || flow.amount != amount => {
                format!("{number} was sent as a {kind} of {amount}, committed is {flow:?}")
            }
            Ok(Some(flow)) if flow.state != FlowState::Started && kind == FlowKind::Reversal => {
                format!("reversal {number} was sent after it had been concluded")
            }
            Ok(Some(_)) => return,
            Ok(None) => format!("{kind} {number} was sent before it was committed"),
            Err(error) => format!("the database did not say whether {number} is there: {error}"),
        };
        self.world().breaches.push(breach);
    }

    async fn answer(&self, window: Window, request: &Request) -> Reply {
        let (place, deed) = self.world().receive(request, self.clock.now());
        let work = |deed| self.world().work(window, deed, request, self.clock.now());
        let delivery = match deed {
            Deed::Hang => {
                self.hang().await;
                work(Deed::Honest)
            }
            Deed::WorkThenHang => {
                let delivery = work(Deed::Honest);
                self.hang().await;
                delivery
            }
            Deed::UnknownThenHang => {
                let delivery = work(Deed::Unknown);
                self.hang().await;
                delivery
            }
            deed => work(deed),
        };
        let expected = Expected {
            operation: request.operation,
            flow_no: &request.number,
            bill_no: &request.bill_no,
            amount: request.amount,
        };
        let reply = classify(&super::work::codes(), &expected, delivery);
        self.world().calls[place].outcome = Some(reply.outcome());
        reply
    }

    async fn tell_bill(
        &self,
        window: Window,
        biller: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError> {
        let deed = self.world().lookups.get(bill_no.as_str()).copied();
        match deed.unwrap_or(LookupDeed::Honest) {
            LookupDeed::Honest => {}
            LookupDeed::Unavailable => {
                let cause = "the biller is closed for the night".to_owned();
                return Err(LookupError::Unavailable { cause });
            }
            LookupDeed::Hang => self.hang().await,
        }
        let world = self.world();
        let due = world.due(biller.as_str(), bill_no.as_str())?;
        Ok(Bill {
            bill_no: bill_no.clone(),
            due: Money::new(due, currency),
            period: None,
            holder_masked: Some("张*".to_owned()),
            bill_ref: window.binds.then(|| format!("ref-{bill_no}-{due}")),
        })
    }
}

/// The calls that hang. Whoever is let go does not count any more from that moment on, even if it
/// has not gone on yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hanging {
    round: u64,
    /// How many.
    pub calls: usize,
}

/// A call that hangs, counted.
struct HangingPlace {
    hanging: watch::Sender<Hanging>,
    round: u64,
}

impl HangingPlace {
    fn take(hanging: &watch::Sender<Hanging>) -> Self {
        let mut round = 0;
        hanging.send_modify(|now| {
            now.calls += 1;
            round = now.round;
        });
        Self {
            hanging: hanging.clone(),
            round,
        }
    }
}

impl Drop for HangingPlace {
    fn drop(&mut self) {
        self.hanging.send_modify(|now| {
            if now.round == self.round {
                now.calls -= 1;
            }
        });
    }
}

/// One window of the far side, as an adapter.
pub struct Desk {
    /// Whose window it is.
    pub side: Arc<FarSide>,
    /// What it can do.
    pub window: Window,
}

#[async_trait]
impl PaymentSystem for Desk {
    async fn pay(&self, call: &PayCall<'_>) -> Reply {
        let kind = FlowKind::Payment;
        self.side
            .look_for_intent(call.flow_no, kind, call.amount)
            .await;
        let request = Request {
            operation: Operation::Pay,
            number: call.flow_no.clone(),
            payment: call.flow_no.clone(),
            biller: Some(call.biller.clone()),
            bill_no: call.bill_no.clone(),
            bill_ref: call.bill_ref.map(str::to_owned),
            amount: call.amount,
            valid_until: Some(call.valid_until),
        };
        self.side.answer(self.window, &request).await
    }

    async fn query(&self, call: &QueryCall<'_>) -> Reply {
        let request = Request {
            operation: Operation::Query,
            number: call.flow_no.clone(),
            payment: call.flow_no.clone(),
            biller: None,
            bill_no: call.bill_no.clone(),
            bill_ref: None,
            amount: call.amount,
            valid_until: None,
        };
        self.side.answer(self.window, &request).await
    }

    async fn reverse(&self, call: &ReverseCall<'_>) -> Reply {
        let kind = FlowKind::Reversal;
        self.side
            .look_for_intent(call.flow_no, kind, call.amount)
            .await;
        if !self.window.can_reverse {
            let breach = format!("{} was sent to a bank that cannot reverse", call.flow_no);
            self.side.world().breaches.push(breach);
            return Reply::Unknown(Cause::HttpStatus(404));
        }
        let request = Request {
            operation: Operation::Reverse,
            number: call.flow_no.clone(),
            payment: call.payment_flow_no.clone(),
            biller: None,
            bill_no: call.bill_no.clone(),
            bill_ref: None,
            amount: call.amount,
            valid_until: None,
        };
        self.side.answer(self.window, &request).await
    }
}

#[async_trait]
impl BillerLink for Desk {
    async fn lookup(
        &self,
        biller: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError> {
        self.side
            .tell_bill(self.window, biller, bill_no, currency)
            .await
    }
}

/// A delivery that never left.
pub fn not_sent() -> Delivery {
    Delivery::NotSent("connection refused".to_owned())
}
