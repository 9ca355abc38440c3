//! What the far side's ledger says about one order: the money at the bank and at the biller, and
//! the numbers by which the bank was told to move it. There may be a million of these at once, so
//! they are kept small.

use super::number::Number;
use super::words::{Answers, BillerWord, Billers};
use crate::domain::order::Order;
use crate::sim::ledger::BankName;

/// The money of an order at one side, line by line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    /// What was moved and not moved back.
    pub balance_minor: i64,
    /// The highest that it ever was.
    pub peak_minor: i64,
    /// The line that made it so.
    pub peak_seq: u64,
    /// Movements less movements back.
    pub effects: i32,
    /// Whether more was moved back than had been moved.
    pub was_negative: bool,
}

impl Side {
    /// Money moves, or moves back. Sums beyond 64 bits stay at the end of the range, which is no
    /// order's amount.
    pub fn moved(&mut self, amount_minor: i64, effect: i32, seq: u64) {
        self.balance_minor = self.balance_minor.saturating_add(amount_minor);
        self.effects = self.effects.saturating_add(effect);
        self.was_negative |= self.balance_minor < 0 || self.effects < 0;
        if self.balance_minor > self.peak_minor {
            (self.peak_minor, self.peak_seq) = (self.balance_minor, seq);
        }
    }
}

/// What a movement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub amount_minor: i64,
    pub bill_no: Box<str>,
    /// None where the bank does not know whom the payment was for.
    pub biller: Option<BillerWord>,
    pub currency: [u8; 3],
}

impl Content {
    /// Whether two lines are about the same thing, as far as both say.
    pub fn agrees(&self, other: &Content) -> bool {
        let billers = self.biller.zip(other.biller);
        (self.amount_minor, &self.bill_no, self.currency)
            == (other.amount_minor, &other.bill_no, other.currency)
            && billers.is_none_or(|(one, two)| one == two)
    }

    /// Where it differs from an order; none where it does not.
    pub fn difference(&self, order: &Order, billers: &Billers) -> Option<String> {
        let currency = String::from_utf8_lossy(&self.currency);
        let biller = self.biller.map(|biller| billers.name(biller));
        let (ours, theirs) = if self.amount_minor != order.amount.amount_minor {
            let ours = order.amount.amount_minor.to_string();
            (format!("amount {ours}"), self.amount_minor.to_string())
        } else if currency != order.amount.currency.code() {
            (
                format!("currency {}", order.amount.currency),
                currency.into_owned(),
            )
        } else if *self.bill_no != *order.bill_no.as_str() {
            (format!("bill {}", order.bill_no), self.bill_no.to_string())
        } else if let Some(biller) = biller.filter(|biller| *biller != order.biller.as_str()) {
            (format!("biller {}", order.biller), biller.to_owned())
        } else {
            return None;
        };
        Some(format!("our order has {ours}, the ledger has {theirs}"))
    }
}

/// One number by which the bank was told or asked something.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub number: Number,
    pub bank: Option<BankName>,
    /// The first time that it told the bank to move money, in microseconds; none if it never did.
    pub first_at: Option<i64>,
    /// The line of that.
    pub first_seq: u64,
    /// Whether it told the bank to pay.
    pub pays: bool,
    /// The payment that it told the bank to undo; the last, if it named several.
    pub undoes: Option<Number>,
    /// Whether it named several.
    pub undoes_several: bool,
    /// How often money moved by this number.
    pub effects: u16,
    /// How often the payment of this number was undone.
    pub undone: u16,
    /// What its debits add up to.
    pub debited_minor: i64,
    pub pay_calls: u16,
    pub query_calls: u16,
    pub reverse_calls: u16,
    /// The answers to its calls, as [`Answers`] keeps them.
    pub answers: u64,
    /// Whether the bank was asked about it after it was last told to pay it.
    pub asked: bool,
    /// The line at which a reversal went out although the payment had not been asked about; 0 if
    /// there is none.
    pub unasked_seq: u64,
}

impl Instruction {
    fn new(number: Number) -> Self {
        Self {
            number,
            bank: None,
            first_at: None,
            first_seq: 0,
            pays: false,
            undoes: None,
            undoes_several: false,
            effects: 0,
            undone: 0,
            debited_minor: 0,
            pay_calls: 0,
            query_calls: 0,
            reverse_calls: 0,
            answers: Answers::NONE,
            asked: false,
            unasked_seq: 0,
        }
    }

    /// Told to move money in this line.
    pub fn told(&mut self, at: i64, seq: u64, bank: Option<BankName>) {
        if self.first_at.is_none() {
            (self.first_at, self.first_seq, self.bank) = (Some(at), seq, bank);
        }
    }

    /// Told to undo a payment.
    pub fn told_to_undo(&mut self, payment: Number) {
        self.undoes_several |= self.undoes.is_some_and(|known| known != payment);
        self.undoes = Some(payment);
    }
}

/// What the ledger says about one order.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub order_no: Number,
    pub bank: Side,
    pub biller: Side,
    /// What the first line is about that moves or could move money, and its number.
    pub content: Option<(u64, Content)>,
    /// The first line that is about something else than that.
    pub other_content: Option<Box<(u64, Content)>>,
    pub instructions: Vec<Instruction>,
    /// Whether lines were added while the check was beginning: our database may not know of them.
    pub is_moving: bool,
    /// Whether our database has the order.
    pub is_ours: bool,
}

impl Account {
    pub fn new(order_no: Number) -> Self {
        Self {
            order_no,
            bank: Side::default(),
            biller: Side::default(),
            content: None,
            other_content: None,
            instructions: Vec::with_capacity(1),
            is_moving: false,
            is_ours: false,
        }
    }

    /// The record of a number, made where there is none.
    pub fn instruction(&mut self, number: Number) -> &mut Instruction {
        let known = self
            .instructions
            .iter()
            .position(|one| one.number == number);
        let place = known.unwrap_or_else(|| {
            self.instructions.push(Instruction::new(number));
            self.instructions.len() - 1
        });
        &mut self.instructions[place]
    }

    /// The record of a number, where there is one.
    pub fn find(&self, number: Number) -> Option<&Instruction> {
        self.instructions.iter().find(|one| one.number == number)
    }

    /// A line is about this.
    pub fn is_about(&mut self, seq: u64, content: Content) {
        match &self.content {
            None => self.content = Some((seq, content)),
            Some((_, first)) if first.agrees(&content) => {}
            Some(_) if self.other_content.is_some() => {}
            Some(_) => self.other_content = Some(Box::new((seq, content))),
        }
    }

    /// Payments sent for it.
    pub fn pay_calls(&self) -> u64 {
        self.instructions
            .iter()
            .map(|one| u64::from(one.pay_calls))
            .sum()
    }

    /// Calls about it of any kind.
    pub fn calls(&self) -> u64 {
        let calls = |one: &Instruction| {
            u64::from(one.pay_calls) + u64::from(one.query_calls) + u64::from(one.reverse_calls)
        };
        self.instructions.iter().map(calls).sum()
    }

    /// Whether money moved, in either direction.
    pub fn has_effects(&self) -> bool {
        self.instructions.iter().any(|one| one.effects > 0)
    }
}
