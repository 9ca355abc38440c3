//! A bank as a pure state machine: it decides what a call means, and remembers what happened.
//!
//! Deciding and remembering are two steps. `decide_*` looks at the memory and says which [`Fact`]
//! follows, `apply` takes a fact into the memory. Between the two the fact is written to the
//! ledger; and on start `apply` alone, fed with the ledger's facts, brings the same memory back.
//!
//! To break it: change the memory in a `decide_*`, or anywhere but in `apply`. (The count of scripted
//! answers is no part of it: a restart may forget that.)

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::billers::{self, Biller};
use super::ledger::{BankName, Fact, Movement, Undo};
use super::protocol::{Reverse, status};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Held,
    /// How often: more than once only at a bank that is not idempotent.
    Paid(u16),
    Refused(u16),
    Reversed,
    Tombstoned,
}

/// What a bank remembers of one payment. Small, because there may be millions.
#[derive(Debug)]
pub(super) struct Payment {
    /// The order's number, directly followed by the bill's.
    names: Box<str>,
    order_no_bytes: u8,
    currency: [u8; 3],
    pub amount_minor: i64,
    pub biller: Option<&'static Biller>,
    pub state: State,
    /// How many queries have been answered by a well-known bill number's script.
    pub asked: u8,
}

#[derive(Debug)]
enum Flow {
    Payment(Payment),
    Reversal { payment_flow_no: Box<str> },
}

/// One bank.
#[derive(Debug)]
pub(super) struct Bank {
    idempotent: bool,
    /// A tree, not a hash table: with a million flows a table stands still for half a second
    /// whenever it grows, and all callers with it.
    flows: BTreeMap<Box<str>, Flow>,
}

/// What a call leads to: perhaps a fact, and the status that the bank would answer.
pub(super) type Decision = (Option<Fact>, i32);

impl Bank {
    /// A bank on its first day.
    pub fn new(name: BankName) -> Self {
        Self {
            idempotent: name == BankName::Bank,
            flows: BTreeMap::new(),
        }
    }

    /// What is known of a payment's number.
    pub fn payment(&self, flow_no: &str) -> Option<&Payment> {
        match self.flows.get(flow_no) {
            Some(Flow::Payment(payment)) => Some(payment),
            Some(Flow::Reversal { .. }) | None => None,
        }
    }

    /// Counts one scripted answer to a query, and returns how many there were before it.
    pub fn count_asked(&mut self, flow_no: &str) -> u8 {
        match self.flows.get_mut(flow_no) {
            Some(Flow::Payment(payment)) => {
                let before = payment.asked;
                payment.asked = before.saturating_add(1);
                before
            }
            Some(Flow::Reversal { .. }) | None => 0,
        }
    }

    /// The payment that a reversal's number was used for.
    pub fn reversal_of(&self, flow_no: &str) -> Option<&str> {
        match self.flows.get(flow_no) {
            Some(Flow::Reversal { payment_flow_no }) => Some(payment_flow_no),
            Some(Flow::Payment(_)) | None => None,
        }
    }

    /// A payment that, if its number is new, the caller would refuse or let pass.
    pub fn decide_pay(&self, movement: &Movement, refusal: Option<u16>) -> Decision {
        match self.flows.get(movement.flow_no.as_str()) {
            Some(Flow::Reversal { .. }) => return (None, status::WRONG_AMOUNT.into()),
            Some(Flow::Payment(payment)) if self.idempotent => match payment.state {
                State::Reversed | State::Tombstoned => {
                    return (None, status::REVERSED_BEFORE.into());
                }
                _ if !payment.is(&movement.bill_no, movement.amount_minor, &movement.currency) => {
                    return (None, status::WRONG_AMOUNT.into());
                }
                State::Paid(_) => return (None, status::SUCCESS),
                State::Refused(code) => return (None, code.into()),
                State::Held => {}
            },
            Some(Flow::Payment(_)) | None => {}
        }
        match refusal {
            Some(code) => (Some(Fact::Refused(movement.clone(), code)), code.into()),
            None => (Some(Fact::Paid(movement.clone())), status::SUCCESS),
        }
    }

    /// A payment that the bank keeps in its drawer: no effect now, perhaps one at `due`.
    pub fn decide_hold(&self, movement: &Movement, due: Option<DateTime<Utc>>) -> Decision {
        let new = !self.flows.contains_key(movement.flow_no.as_str());
        let fact = (new || due.is_some()).then(|| Fact::Held(movement.clone(), due));
        (fact, status::UNKNOWN)
    }

    /// What has become of a payment.
    pub fn decide_query(&self, flow_no: &str) -> i32 {
        match self.payment(flow_no).map(|payment| payment.state) {
            None | Some(State::Held) => status::NOT_FOUND,
            Some(State::Paid(_)) => status::SUCCESS,
            Some(State::Refused(code)) => code.into(),
            Some(State::Reversed | State::Tombstoned) => status::REVERSED,
        }
    }

    /// A reversal: undoes what was done, or buries the number of what never was.
    pub fn decide_reverse(&self, reverse: &Reverse) -> Decision {
        const OTHER_CONTENT: Decision = (None, status::WRONG_AMOUNT as i32);
        if reverse.flow_no == reverse.payment_flow_no {
            return OTHER_CONTENT;
        }
        match self.flows.get(reverse.flow_no.as_str()) {
            Some(Flow::Payment(_)) => return OTHER_CONTENT,
            Some(Flow::Reversal { payment_flow_no })
                if **payment_flow_no != *reverse.payment_flow_no =>
            {
                return OTHER_CONTENT;
            }
            Some(Flow::Reversal { .. }) | None => {}
        }
        let payment = match self.flows.get(reverse.payment_flow_no.as_str()) {
            None => {
                return (
                    Some(Fact::Tombstoned(undo_of(reverse, None))),
                    status::SUCCESS,
                );
            }
            Some(Flow::Reversal { .. }) => return OTHER_CONTENT,
            Some(Flow::Payment(payment)) => payment,
        };
        if !payment.is(&reverse.bill_no, reverse.amount_minor, &reverse.currency) {
            return OTHER_CONTENT;
        }
        let undo = || undo_of(reverse, payment.biller);
        let fact = match payment.state {
            State::Held => Some(Fact::Tombstoned(undo())),
            State::Paid(_) => Some(Fact::Undone(undo())),
            State::Refused(_) | State::Reversed | State::Tombstoned => None,
        };
        (fact, status::SUCCESS)
    }

    /// Takes a fact into the memory.
    pub fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Paid(movement) => {
                let times = match self.payment(&movement.flow_no).map(|payment| payment.state) {
                    Some(State::Paid(times)) => times.saturating_add(1),
                    _ => 1,
                };
                self.keep(movement, State::Paid(times));
            }
            Fact::Refused(movement, code) => {
                let state = self.payment(&movement.flow_no).map(|payment| payment.state);
                if matches!(state, None | Some(State::Held | State::Refused(_))) {
                    self.keep(movement, State::Refused(code));
                }
            }
            Fact::Held(movement, _) => {
                if !self.flows.contains_key(movement.flow_no.as_str()) {
                    self.keep(movement, State::Held);
                }
            }
            Fact::Undone(undo) => self.bury(undo, State::Reversed),
            Fact::Tombstoned(undo) => self.bury(undo, State::Tombstoned),
        }
    }

    fn keep(&mut self, movement: Movement, state: State) {
        let asked = self
            .payment(&movement.flow_no)
            .map_or(0, |payment| payment.asked);
        let Movement {
            flow_no,
            order_no,
            biller,
            bill_no,
            amount_minor,
            currency,
        } = movement;
        let biller = billers::find(&biller);
        let names = (order_no.as_str(), bill_no.as_str());
        let payment = Payment {
            asked,
            ..Payment::new(names, biller, amount_minor, &currency, state)
        };
        self.flows.insert(flow_no.into(), Flow::Payment(payment));
    }

    fn bury(&mut self, undo: Undo, state: State) {
        let Undo {
            flow_no,
            payment_flow_no,
            order_no,
            biller,
            bill_no,
            amount_minor,
            currency,
        } = undo;
        let payment_flow_no: Box<str> = payment_flow_no.into();
        let reversal = Flow::Reversal {
            payment_flow_no: payment_flow_no.clone(),
        };
        self.flows.insert(flow_no.into(), reversal);
        if let Some(Flow::Payment(payment)) = self.flows.get_mut(&payment_flow_no) {
            payment.state = state;
        } else {
            let biller = biller.as_deref().and_then(billers::find);
            let names = (order_no.as_str(), bill_no.as_str());
            let payment = Payment::new(names, biller, amount_minor, &currency, state);
            self.flows.insert(payment_flow_no, Flow::Payment(payment));
        }
    }
}

impl Payment {
    fn new(
        (order_no, bill_no): (&str, &str),
        biller: Option<&'static Biller>,
        amount_minor: i64,
        currency: &str,
        state: State,
    ) -> Self {
        let mut letters = [b'?'; 3];
        for (letter, byte) in letters.iter_mut().zip(currency.bytes()) {
            *letter = byte;
        }
        Self {
            names: format!("{order_no}{bill_no}").into(),
            // The protocol takes numbers of at most 64 characters.
            order_no_bytes: u8::try_from(order_no.len()).unwrap_or(u8::MAX),
            currency: letters,
            amount_minor,
            biller,
            state,
            asked: 0,
        }
    }

    /// The caller's order.
    pub fn order_no(&self) -> &str {
        self.names
            .get(..self.order_no_bytes.into())
            .unwrap_or_default()
    }

    /// The bill.
    pub fn bill_no(&self) -> &str {
        self.names
            .get(self.order_no_bytes.into()..)
            .unwrap_or_default()
    }

    /// Three letters.
    pub fn currency(&self) -> &str {
        str::from_utf8(&self.currency).unwrap_or_default()
    }

    /// Whether a repeated number comes with the content that it came with first.
    fn is(&self, bill_no: &str, amount_minor: i64, currency: &str) -> bool {
        self.bill_no() == bill_no
            && self.amount_minor == amount_minor
            && self.currency() == currency
    }
}

fn undo_of(reverse: &Reverse, biller: Option<&'static Biller>) -> Undo {
    Undo {
        flow_no: reverse.flow_no.clone(),
        payment_flow_no: reverse.payment_flow_no.clone(),
        order_no: reverse.order_no.clone(),
        biller: biller.map(|biller| biller.name.to_owned()),
        bill_no: reverse.bill_no.clone(),
        amount_minor: reverse.amount_minor,
        currency: reverse.currency.clone(),
    }
}
