//! The simulated world behind the wire: the books, the faults and the ledger.
//!
//! Every call goes the same way: find out what it is about, choose the plan (a scripted fault, a
//! well-known bill number, or the plain thing), let the bank decide, write the ledger, remember,
//! answer. All of it happens under one lock that is held for a few microseconds; waiting, hanging
//! and dripping are done outside.
//!
//! If the ledger cannot be written, the world stops answering: a bank that moves money and keeps
//! no record would prove nothing.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::bank::{Bank, State};
use super::books::Books;
use super::endings::{Ending, Scene};
use super::faults::{Answer, Effect, Faults, Plan};
use super::inbox::Inbox;
use super::late::{Late, LateEffect, Promises, after};
use super::ledger::file::Ledger;
use super::ledger::{BankName, Called, Fact, LedgerError, Movement, Op, Part};
use super::options::SimOptions;
use super::protocol::{Call, Pay, status};
use super::reply::{Reply, Subject};

/// Everything that the simulated world knows.
pub(super) struct World {
    pub books: Books,
    pub faults: Faults,
    pub calls: Calls,
    /// The last notices that were posted to the alarm sink.
    pub webhooks: VecDeque<Value>,
    /// What merchants were told.
    pub inbox: Inbox,
    pub healed: bool,
    ledger: Ledger,
    ledger_calls: bool,
    late_success_ms: u64,
    ignore_valid_until: bool,
    /// Why the world has stopped answering.
    broken: Option<String>,
}

/// How many calls there have been since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) struct Calls {
    pay: u64,
    query: u64,
    reverse: u64,
    lookup: u64,
    /// Those of them that a scripted fault hit.
    faulty: u64,
}

/// A call, answered.
#[derive(Debug)]
pub(super) struct Outcome {
    pub reply: Reply,
    pub late: Option<Late>,
}

/// What a plan comes to.
struct Decided {
    fact: Option<Fact>,
    status: i32,
    late: Option<LateEffect>,
}

impl From<(Option<Fact>, i32)> for Decided {
    fn from((fact, status): (Option<Fact>, i32)) -> Self {
        Self {
            fact,
            status,
            late: None,
        }
    }
}

impl World {
    /// Opens the ledger and brings back what it tells. The late effects that come with it were
    /// promised before the last stop and have not happened.
    pub fn open(options: &SimOptions) -> Result<(Self, Vec<Late>), LedgerError> {
        let mut books = Books::new();
        let mut promises = Promises::default();
        let ledger = Ledger::open(&options.ledger, |bank, fact| {
            promises.see(bank, &fact);
            books.apply(bank, fact);
        })?;
        let world = Self {
            books,
            faults: Faults::new(options.seed),
            calls: Calls::default(),
            webhooks: VecDeque::new(),
            inbox: Inbox::default(),
            healed: false,
            ledger,
            ledger_calls: options.ledger_calls,
            late_success_ms: options.late_success_ms,
            ignore_valid_until: options.ignore_valid_until,
            broken: None,
        };
        Ok((world, promises.open()))
    }

    /// Handles one call; `Err` says why the world has stopped answering.
    pub fn call(&mut self, call: &Call, now: DateTime<Utc>) -> Result<Outcome, String> {
        let subject = self.subject(call);
        self.count(subject.op);
        let plan = self.plan(&subject);
        let Decided { fact, status, late } = self.decide(call, &subject, plan.effect, now);
        let reply = Reply::new(&plan.answer, &subject, status);
        let called = subject.called(&reply.label);
        self.record(
            now,
            subject.bank,
            fact,
            self.ledger_calls.then_some(&called),
        )?;
        let due = match plan.effect {
            Effect::Later(ms) => after(now, ms),
            _ => now,
        };
        Ok(Outcome {
            reply,
            late: late.map(|effect| Late { due, effect }),
        })
    }

    /// Lets a late effect happen, unless its number has been buried or settled meanwhile.
    pub fn happen(&mut self, effect: &LateEffect, now: DateTime<Utc>) -> Result<(), String> {
        let (bank, (fact, _)) = match effect {
            LateEffect::Pay(bank, movement) => {
                let refusal = self.books.check(movement, None).err();
                (*bank, self.books.bank(*bank).decide_pay(movement, refusal))
            }
            LateEffect::Reverse(reverse) => (
                reverse.bank,
                self.books.bank(reverse.bank).decide_reverse(reverse),
            ),
        };
        self.record(now, Some(bank), fact, None)
    }

    /// The part of the ledger in which these times are.
    pub fn part(&self, times: &Range<DateTime<Utc>>) -> Part {
        self.ledger.part(times)
    }

    fn subject<'a>(&self, call: &'a Call) -> Subject<'a> {
        let mut subject = Subject::new(call.op(), call.bank());
        match call {
            Call::Pay(pay) => {
                let Movement {
                    flow_no,
                    order_no,
                    biller,
                    bill_no,
                    amount_minor,
                    currency,
                } = &pay.movement;
                subject.flow_no = Some(flow_no);
                subject.order_no = Some(Cow::Borrowed(order_no));
                subject.name_biller(biller);
                subject.bill_no = Some(Cow::Borrowed(bill_no));
                subject.amount_minor = Some(*amount_minor);
                subject.currency = Some(Cow::Borrowed(currency));
            }
            Call::Query { bank, flow_no } => {
                subject.flow_no = Some(flow_no);
                if let Some(payment) = self.books.bank(*bank).payment(flow_no) {
                    subject.order_no = Some(Cow::Owned(payment.order_no().to_owned()));
                    subject.biller = payment.biller;
                    subject.bill_no = Some(Cow::Owned(payment.bill_no().to_owned()));
                    subject.amount_minor = Some(payment.amount_minor);
                    subject.currency = Some(Cow::Owned(payment.currency().to_owned()));
                }
            }
            Call::Reverse(reverse) => {
                let payment = self
                    .books
                    .bank(reverse.bank)
                    .payment(&reverse.payment_flow_no);
                subject.flow_no = Some(&reverse.flow_no);
                subject.payment_flow_no = Some(&reverse.payment_flow_no);
                subject.order_no = Some(Cow::Borrowed(&reverse.order_no));
                subject.biller = payment.and_then(|payment| payment.biller);
                subject.bill_no = Some(Cow::Borrowed(&reverse.bill_no));
                subject.amount_minor = Some(reverse.amount_minor);
                subject.currency = Some(Cow::Borrowed(&reverse.currency));
            }
            Call::Lookup { biller, bill_no } => {
                subject.name_biller(biller);
                subject.bill_no = Some(Cow::Borrowed(bill_no));
            }
        }
        subject
    }

    fn plan(&mut self, subject: &Subject<'_>) -> Plan {
        if let Some(plan) = self.faults.pick(&subject.probe()) {
            self.calls.faulty += 1;
            return plan;
        }
        let absent = |message| Plan {
            effect: Effect::None,
            answer: Answer::not_found(message),
        };
        match (subject.op, subject.bank, subject.biller) {
            (Op::Reverse, Some(BankName::Legacy), _) => return absent("this bank cannot reverse"),
            (Op::Lookup, _, Some(biller)) if !biller.has_lookup => {
                return absent("this biller has no lookup");
            }
            _ => {}
        }
        let plain = Plan {
            effect: Effect::Now,
            answer: Answer::Truth,
        };
        let bill_no = subject.bill_no.as_deref();
        match bill_no.and_then(|bill_no| Ending::of(bill_no, self.healed)) {
            None => plain,
            Some(ending) => {
                let scene = self.scene(subject);
                ending.plan(subject.op, scene).unwrap_or(plain)
            }
        }
    }

    fn scene(&mut self, subject: &Subject<'_>) -> Scene {
        let late_success_ms = self.late_success_ms;
        let number = subject.payment_flow_no.or(subject.flow_no);
        let (Some(bank), Some(flow_no)) = (subject.bank, number) else {
            return Scene {
                asked: 0,
                paid: false,
                late_success_ms,
            };
        };
        let bank: &mut Bank = self.books.bank_mut(bank);
        let state = bank.payment(flow_no).map(|payment| payment.state);
        let paid = matches!(state, Some(State::Paid(_)));
        let asked = if subject.op == Op::Query {
            bank.count_asked(flow_no)
        } else {
            0
        };
        Scene {
            asked,
            paid,
            late_success_ms,
        }
    }

    fn decide(
        &self,
        call: &Call,
        subject: &Subject<'_>,
        effect: Effect,
        now: DateTime<Utc>,
    ) -> Decided {
        match (call, effect) {
            (Call::Pay(pay), Effect::Now | Effect::Refuse(_)) => {
                let refusal = self.refusal(pay, effect, now);
                self.books
                    .bank(pay.bank)
                    .decide_pay(&pay.movement, refusal)
                    .into()
            }
            (Call::Pay(pay), Effect::None) => self
                .books
                .bank(pay.bank)
                .decide_hold(&pay.movement, None)
                .into(),
            (Call::Pay(pay), Effect::Later(ms)) => {
                let due = Some(after(now, ms));
                let late = LateEffect::Pay(pay.bank, pay.movement.clone());
                let (fact, status) = self.books.bank(pay.bank).decide_hold(&pay.movement, due);
                Decided {
                    fact,
                    status,
                    late: Some(late),
                }
            }
            (Call::Reverse(reverse), Effect::Now) => {
                self.books.bank(reverse.bank).decide_reverse(reverse).into()
            }
            (Call::Reverse(reverse), Effect::Later(_)) => {
                let late = Some(LateEffect::Reverse(reverse.clone()));
                Decided {
                    fact: None,
                    status: status::UNKNOWN,
                    late,
                }
            }
            (Call::Reverse(_), Effect::None | Effect::Refuse(_)) => (None, status::UNKNOWN).into(),
            (Call::Query { bank, flow_no }, _) => {
                (None, self.books.bank(*bank).decide_query(flow_no)).into()
            }
            (Call::Lookup { bill_no, .. }, _) => {
                (None, self.books.decide_lookup(subject.biller, bill_no)).into()
            }
        }
    }

    /// Why a payment with a new number would be refused, if it would.
    fn refusal(&self, pay: &Pay, effect: Effect, now: DateTime<Utc>) -> Option<u16> {
        if pay.valid_until < now && !self.ignore_valid_until {
            return Some(status::EXPIRED);
        }
        match effect {
            Effect::Refuse(code) => Some(code),
            _ => self
                .books
                .check(&pay.movement, pay.bill_ref.as_deref())
                .err(),
        }
    }

    /// Writes the ledger first, and only then remembers.
    fn record(
        &mut self,
        now: DateTime<Utc>,
        bank: Option<BankName>,
        fact: Option<Fact>,
        call: Option<&Called<'_>>,
    ) -> Result<(), String> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        if let Err(error) = self.ledger.append(now, bank, fact.as_ref(), call) {
            let reason = format!(
                "the ledger cannot be written: {:#}",
                anyhow::Error::from(error)
            );
            eprintln!("simulated world: {reason}; no more answers until a restart");
            self.broken = Some(reason.clone());
            return Err(reason);
        }
        if let (Some(bank), Some(fact)) = (bank, fact) {
            self.books.apply(bank, fact);
        }
        Ok(())
    }

    fn count(&mut self, op: Op) {
        let counter = match op {
            Op::Pay => &mut self.calls.pay,
            Op::Query => &mut self.calls.query,
            Op::Reverse => &mut self.calls.reverse,
            Op::Lookup => &mut self.calls.lookup,
        };
        *counter += 1;
    }
}
