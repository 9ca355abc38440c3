//! The books of the whole world: both banks, and which bills are paid at present.
//!
//! Pure, like [`super::bank`]: nothing here waits, writes or knows of faults.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bank::Bank;
use super::billers::{self, Biller};
use super::ledger::{BankName, Fact, Movement};
use super::protocol::{CURRENCY, status};

/// What has happened, and what follows from it.
#[derive(Debug)]
pub(super) struct Books {
    bank: Bank,
    legacy: Bank,
    /// How often a bill of a biller with lookup is paid, by [`Biller::bill_key`].
    credits: BTreeMap<u64, u32>,
    pub effects: Effects,
}

/// How many facts of each kind the ledger holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) struct Effects {
    debit: u64,
    reversal: u64,
    tombstone: u64,
    refusal: u64,
    held: u64,
}

impl Books {
    /// Empty ones.
    pub fn new() -> Self {
        Self {
            bank: Bank::new(BankName::Bank),
            legacy: Bank::new(BankName::Legacy),
            credits: BTreeMap::new(),
            effects: Effects::default(),
        }
    }

    /// One of the two banks.
    pub fn bank(&self, name: BankName) -> &Bank {
        match name {
            BankName::Bank => &self.bank,
            BankName::Legacy => &self.legacy,
        }
    }

    /// One of the two banks, for counting what a restart may forget; facts go through `apply`.
    pub fn bank_mut(&mut self, name: BankName) -> &mut Bank {
        match name {
            BankName::Bank => &mut self.bank,
            BankName::Legacy => &mut self.legacy,
        }
    }

    /// Takes a fact into the books.
    pub fn apply(&mut self, bank: BankName, fact: Fact) {
        let key = |biller: &str, bill_no: &str| billers::find(biller)?.bill_key(bill_no);
        match &fact {
            Fact::Paid(movement) => {
                self.effects.debit += 1;
                if let Some(key) = key(&movement.biller, &movement.bill_no) {
                    *self.credits.entry(key).or_default() += 1;
                }
            }
            Fact::Undone(undo) => {
                self.effects.reversal += 1;
                let key = undo
                    .biller
                    .as_deref()
                    .and_then(|biller| key(biller, &undo.bill_no));
                if let Some(count) = key.and_then(|key| self.credits.get_mut(&key)) {
                    *count = count.saturating_sub(1);
                }
            }
            Fact::Tombstoned(_) => self.effects.tombstone += 1,
            Fact::Refused(..) => self.effects.refusal += 1,
            Fact::Held(..) => self.effects.held += 1,
        }
        self.bank_mut(bank).apply(fact);
    }

    /// Whether the biller takes this money: `Err` is the status that refuses it.
    pub fn check(&self, movement: &Movement, bill_ref: Option<&str>) -> Result<(), u16> {
        let Movement {
            biller,
            bill_no,
            amount_minor,
            currency,
            ..
        } = movement;
        let biller = billers::find(biller).ok_or(status::BILLER_CLOSED)?;
        biller.check(bill_no, *amount_minor, bill_ref)?;
        if currency != CURRENCY {
            return Err(status::WRONG_AMOUNT);
        }
        if self.is_paid(biller, bill_no) && !biller.takes_more() {
            return Err(status::ALREADY_PAID);
        }
        Ok(())
    }

    /// What a biller says about a bill.
    pub fn decide_lookup(&self, biller: Option<&'static Biller>, bill_no: &str) -> i32 {
        match biller {
            None => status::BILLER_CLOSED.into(),
            Some(biller) if !biller.accepts(bill_no) => status::BILL_NOT_FOUND.into(),
            Some(biller) if self.is_paid(biller, bill_no) => status::ALREADY_PAID.into(),
            Some(_) => status::SUCCESS,
        }
    }

    fn is_paid(&self, biller: &Biller, bill_no: &str) -> bool {
        biller
            .bill_key(bill_no)
            .is_some_and(|key| self.credits.get(&key).is_some_and(|count| *count > 0))
    }
}
