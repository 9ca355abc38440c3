//! The bank's inside: what has become of every number, and what each deed does to it. No waiting
//! here; every method is one indivisible step.

use super::books::{Books, Effect, Line};
use super::far_side::{Call, LookupDeed, Window, not_sent};
use super::script::{Deed, Script};
use payhall::domain::bill::LookupError;
use payhall::domain::flow::Operation;
use payhall::domain::ids::{BillNo, BillerCode, FlowNo};
use payhall::domain::money::Money;
use payhall::domain::outcome::{Cause, CodeEntry, CodeMap, CodeMeaning, Delivery, WireAnswer};
use payhall::domain::time::Instant;
use std::collections::{BTreeMap, HashMap};

/// A request as the bank reads it.
#[derive(Clone, Debug)]
pub struct Request {
    pub operation: Operation,
    /// The request's own number.
    pub number: FlowNo,
    /// The payment that it is about.
    pub payment: FlowNo,
    pub biller: Option<BillerCode>,
    pub bill_no: BillNo,
    pub bill_ref: Option<String>,
    pub amount: Money,
    pub valid_until: Option<Instant>,
}

/// What has become of a payment's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Working,
    Paid,
    Stands,
    Refused(&'static str),
    Reversed,
    Tombstoned,
}

/// The far side's memory.
#[derive(Default)]
pub struct World {
    pub books: Books,
    pub calls: Vec<Call>,
    pub script: Script,
    /// Deeds of billers by bill.
    pub lookups: HashMap<String, LookupDeed>,
    /// What the center did that it must never do.
    pub breaches: Vec<String>,
    bills: HashMap<(String, String), i64>,
    standings: BTreeMap<String, Standing>,
    reversals: BTreeMap<String, String>,
    working: Vec<Request>,
    late: Vec<(Instant, Request)>,
}

impl World {
    /// A biller issues a bill, or changes what is due.
    pub fn issue(&mut self, biller: &str, bill_no: &str, due_minor: i64) {
        let key = (biller.to_owned(), bill_no.to_owned());
        self.bills.insert(key, due_minor);
    }

    /// What is due.
    pub fn due(&self, biller: &str, bill_no: &str) -> Result<i64, LookupError> {
        let key = (biller.to_owned(), bill_no.to_owned());
        let due = self.bills.get(&key).copied().ok_or(LookupError::NotFound)?;
        if self.books.is_credited(bill_no) {
            return Err(LookupError::AlreadyPaid);
        }
        Ok(due)
    }

    /// Writes a call down; gives its place and what to do with it.
    pub fn receive(&mut self, request: &Request, now: Instant) -> (usize, Deed) {
        self.calls.push(Call {
            at: now,
            operation: request.operation,
            number: request.number.to_string(),
            payment: request.payment.to_string(),
            bill_no: request.bill_no.to_string(),
            outcome: None,
        });
        let deed = self
            .script
            .next(request.operation, request.bill_no.as_str());
        (self.calls.len() - 1, deed)
    }

    /// Does everything that is due by now.
    pub fn catch_up(&mut self, now: Instant) {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = later;
        for (at, request) in due {
            if !self.standings.contains_key(request.payment.as_str()) {
                self.debit(&request, at);
            }
        }
    }

    /// Carries out everything that it is working on.
    pub fn carry_out_all(&mut self, now: Instant) {
        for request in std::mem::take(&mut self.working) {
            if self.standing(&request) == Some(Standing::Working) {
                self.debit(&request, now);
            }
        }
    }

    /// Drops everything that it is working on about a bill: refused.
    pub fn drop_work(&mut self, bill_no: &str, reason: &'static str) {
        let working = std::mem::take(&mut self.working);
        let (dropped, kept) = working
            .into_iter()
            .partition(|r: &Request| r.bill_no.as_str() == bill_no);
        self.working = kept;
        let dropped: Vec<Request> = dropped;
        for request in dropped {
            self.stand(&request, Standing::Refused(reason));
        }
    }

    /// Does a deed.
    pub fn work(
        &mut self,
        window: Window,
        deed: Deed,
        request: &Request,
        now: Instant,
    ) -> Delivery {
        match deed {
            Deed::Honest => self.honest(window, request, now),
            Deed::Refuse(reason) => self.refuse(request, reason),
            Deed::Unknown => answer(request, -1),
            Deed::Lost => {
                self.honest(window, request, now);
                Delivery::Broken(Cause::TimedOut)
            }
            Deed::Late(wait) => {
                let due = payhall::domain::exception::later(now, wait);
                self.late.push((due, request.clone()));
                Delivery::Broken(Cause::TimedOut)
            }
            Deed::Pending => self.pend(request),
            Deed::NotFound => answer(request, 4),
            Deed::NotSent => not_sent(),
            Deed::WrongAmount => self.crossed(window, request, now, |answer| {
                answer.amount_minor = answer.amount_minor.map(|minor| minor + 1);
            }),
            Deed::WrongBill => self.crossed(window, request, now, |answer| {
                answer.bill_no = Some("another".to_owned());
            }),
            Deed::Garbage => {
                self.honest(window, request, now);
                Delivery::Broken(Cause::Malformed("not JSON".to_owned()))
            }
            Deed::Stands => self.insist(window, request, now),
            Deed::Hang | Deed::WorkThenHang | Deed::UnknownThenHang => {
                unreachable!("whoever waits takes these apart before")
            }
        }
    }

    fn honest(&mut self, window: Window, request: &Request, now: Instant) -> Delivery {
        let code = match request.operation {
            Operation::Pay => self.pay(window, request, now),
            Operation::Query => match self.standing(request) {
                None => 4,
                Some(standing) => code_of(standing),
            },
            Operation::Reverse => self.reverse(window, request, now),
        };
        answer(request, code)
    }

    fn pay(&mut self, window: Window, request: &Request, now: Instant) -> i64 {
        match self.standing(request) {
            Some(Standing::Paid) if !window.idempotent => self.debit(request, now),
            Some(Standing::Reversed | Standing::Tombstoned) => return 3002,
            Some(standing) => return code_of(standing),
            None => match self.objection(request, now) {
                Some(reason) => self.stand(request, Standing::Refused(reason)),
                None => self.debit(request, now),
            },
        }
        self.standing(request).map_or(-1, code_of)
    }

    /// Why an honest bank refuses a payment.
    fn objection(&self, request: &Request, now: Instant) -> Option<&'static str> {
        if request.valid_until.is_some_and(|until| now >= until) {
            return Some("REQUEST_EXPIRED");
        }
        let biller = request.biller.as_ref().map_or("", |biller| biller.as_str());
        let key = (biller.to_owned(), request.bill_no.to_string());
        let due = *self.bills.get(&key)?;
        if self.books.is_credited(request.bill_no.as_str()) {
            return Some("BILL_ALREADY_PAID");
        }
        let is_bound = request.bill_ref.is_some();
        (is_bound && due != request.amount.amount_minor).then_some("WRONG_AMOUNT")
    }

    fn reverse(&mut self, window: Window, request: &Request, now: Instant) -> i64 {
        if self.reversals.contains_key(request.number.as_str()) {
            return 1;
        }
        let (number, payment) = (request.number.to_string(), request.payment.to_string());
        match self.standing(request) {
            Some(Standing::Stands) => return 4001,
            Some(Standing::Paid) => {
                self.write(request, now, Effect::Reversal);
                self.write(request, now, Effect::Recall);
                self.stand(request, Standing::Reversed);
            }
            Some(Standing::Working) => self.stand(request, Standing::Tombstoned),
            None if window.tombstones => self.stand(request, Standing::Tombstoned),
            // Without tombstones nothing is kept: the payment may still arrive.
            None => return 1,
            Some(Standing::Refused(_) | Standing::Reversed | Standing::Tombstoned) => {}
        }
        self.reversals.insert(number, payment);
        1
    }

    fn refuse(&mut self, request: &Request, reason: &'static str) -> Delivery {
        match request.operation {
            Operation::Reverse => answer(request, 4002),
            Operation::Pay | Operation::Query => {
                if self.standing(request).is_none() {
                    self.stand(request, Standing::Refused(reason));
                }
                answer(request, self.standing(request).map_or(-1, code_of))
            }
        }
    }

    fn pend(&mut self, request: &Request) -> Delivery {
        if request.operation == Operation::Pay && self.standing(request).is_none() {
            self.working.push(request.clone());
            self.stand(request, Standing::Working);
        }
        answer(request, 2)
    }

    fn insist(&mut self, window: Window, request: &Request, now: Instant) -> Delivery {
        if self.standing(request) == Some(Standing::Paid) {
            self.stand(request, Standing::Stands);
        }
        self.honest(window, request, now)
    }

    fn crossed(
        &mut self,
        window: Window,
        request: &Request,
        now: Instant,
        spoil: impl FnOnce(&mut WireAnswer),
    ) -> Delivery {
        match self.honest(window, request, now) {
            Delivery::Answered(mut answer) => {
                spoil(&mut answer);
                Delivery::Answered(answer)
            }
            other => other,
        }
    }

    fn debit(&mut self, request: &Request, now: Instant) {
        self.write(request, now, Effect::Debit);
        self.write(request, now, Effect::Credit);
        self.stand(request, Standing::Paid);
    }

    fn write(&mut self, request: &Request, at: Instant, effect: Effect) {
        self.books.add(Line {
            at,
            number: request.number.to_string(),
            payment: request.payment.to_string(),
            bill_no: request.bill_no.to_string(),
            amount_minor: request.amount.amount_minor,
            effect,
        });
    }

    fn standing(&self, request: &Request) -> Option<Standing> {
        self.standings.get(request.payment.as_str()).copied()
    }

    fn stand(&mut self, request: &Request, standing: Standing) {
        self.standings.insert(request.payment.to_string(), standing);
    }
}

fn answer(request: &Request, status: i64) -> Delivery {
    Delivery::Answered(WireAnswer {
        status: Some(status),
        flow_no: Some(request.number.to_string()),
        bill_no: Some(request.bill_no.to_string()),
        amount_minor: Some(request.amount.amount_minor),
        currency: Some(request.amount.currency.code().to_owned()),
        upstream_ref: Some(format!("U{}", request.number)),
        message: None,
    })
}

const REFUSALS: [(i64, &str); 7] = [
    (1001, "INSUFFICIENT_FUNDS"),
    (1002, "WRONG_CREDENTIAL"),
    (2001, "BILL_ALREADY_PAID"),
    (2002, "WRONG_AMOUNT"),
    (2004, "BILLER_CLOSED"),
    (3001, "REQUEST_EXPIRED"),
    (3002, "REVERSED_BEFORE"),
];

fn code_of(standing: Standing) -> i64 {
    match standing {
        Standing::Paid | Standing::Stands => 1,
        Standing::Working => 2,
        Standing::Reversed | Standing::Tombstoned => 5,
        Standing::Refused(reason) => {
            let known = REFUSALS.iter().find(|(_, name)| *name == reason);
            known.map_or(-1, |(code, _)| *code)
        }
    }
}

/// A reason that the far side can refuse for, by its name.
pub fn refusal_named(name: &str) -> Option<&'static str> {
    REFUSALS
        .iter()
        .map(|(_, known)| *known)
        .find(|known| *known == name)
}

/// The result codes of the far side.
pub fn codes() -> CodeMap {
    use CodeMeaning as M;
    let entry = |code: i64, meaning, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        (code.to_string(), CodeEntry { meaning, reason })
    };
    let told = [
        (1, M::Succeeded),
        (-1, M::Unknown),
        (2, M::Pending),
        (4, M::NotFound),
        (5, M::Reversed),
        (4001, M::PaymentStands),
        (4002, M::Unknown),
    ];
    let told = told.map(|(code, meaning)| entry(code, meaning, None));
    let refused = REFUSALS.map(|(code, reason)| entry(code, M::Refused, Some(reason)));
    CodeMap(told.into_iter().chain(refused).collect())
}
