//! The second witness: the simulated world's ledger, folded by order in one pass.
//!
//! Only what the judgement needs is kept, so that a ledger of many million lines fits. Nothing of
//! ours is asked here; what the lines mean is said a second time, on purpose.

use super::account::{Account, Content};
use super::number::Number;
use super::words::{Answers, Billers};
use crate::sim::ledger::{
    self, BankName, CallRecord, Entry, Event, LedgerError, Movement, Op, Undo,
};
use std::collections::HashMap;
use std::path::Path;

/// How far the ledger reached when our database was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Its length before: what these bytes say is known to our database.
    pub before_bytes: u64,
    /// Its length after: what comes later is not looked at.
    pub after_bytes: u64,
}

/// Questions about a number that the bank could not place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stray {
    pub queries: u16,
    pub first_seq: u64,
    pub is_moving: bool,
    pub answers: u64,
}

/// Counts of the whole ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub lines: u64,
    pub pay: u64,
    pub query: u64,
    pub reverse: u64,
    pub lookup: u64,
    pub is_torn: bool,
}

impl Counts {
    /// Whether the ledger keeps calls. Without them only the movements can be judged.
    pub fn has_calls(&self) -> bool {
        self.pay + self.query + self.reverse > 0
    }
}

/// What the ledger says.
#[derive(Debug, Default)]
pub(super) struct Witness {
    places: HashMap<Number, u32>,
    accounts: Vec<Account>,
    strays: HashMap<Number, Stray>,
    /// Lines with numbers that are none of ours can be: the first few, and how many.
    pub foreign: Vec<u64>,
    pub foreign_total: u64,
    pub billers: Billers,
    pub answers: Answers,
    pub counts: Counts,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct At {
    seq: u64,
    micros: i64,
    bank: Option<BankName>,
    is_moving: bool,
}

const FOREIGN_KEPT: usize = 20;

impl Witness {
    /// Folds a ledger.
    pub fn read(path: &Path, reach: Reach) -> Result<Self, LedgerError> {
        let mut witness = Self::default();
        let mut lines = ledger::lines(path)?;
        while lines.bytes_read() < reach.after_bytes {
            match lines.next() {
                Some(Ok(entry)) => witness.take(entry, lines.bytes_read() > reach.before_bytes),
                Some(Err(LedgerError::Torn { .. })) => witness.counts.is_torn = true,
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok(witness)
    }

    /// Tells that an order is ours.
    pub fn claim(&mut self, order_no: &str) {
        let place = self.place(order_no);
        if let Some(account) = place.and_then(|place| self.accounts.get_mut(place)) {
            account.is_ours = true;
        }
    }

    /// The account of an order.
    pub fn find(&self, order_no: &str) -> Option<&Account> {
        self.accounts.get(self.place(order_no)?)
    }

    fn place(&self, order_no: &str) -> Option<usize> {
        let place = *self.places.get(&Number::parse(order_no)?)?;
        usize::try_from(place).ok()
    }

    /// The questions about a number that the bank could not place; they are ours from now on.
    pub fn claim_stray(&mut self, number: Number) -> Option<Stray> {
        if self.strays.is_empty() {
            return None;
        }
        self.strays.remove(&number)
    }

    /// Accounts that nobody claimed.
    pub fn unclaimed(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|account| !account.is_ours)
    }

    /// Questions that nobody claimed.
    pub fn unclaimed_strays(&self) -> impl Iterator<Item = (&Number, &Stray)> {
        self.strays.iter()
    }

    fn take(&mut self, entry: Entry, is_moving: bool) {
        self.counts.lines += 1;
        let at = At {
            seq: entry.seq,
            micros: entry.at.timestamp_micros(),
            bank: entry.bank,
            is_moving,
        };
        let taken = match &entry.event {
            Event::Debit(movement) => self.debit(movement, at),
            Event::Credit(movement) => self.movement(movement, at).map(|(account, _)| {
                account.biller.moved(movement.amount_minor, 1, at.seq);
            }),
            Event::Reversal(undo) => self.reversal(undo, at),
            Event::CreditBack(undo) => self.undo(undo, at).map(|(account, _)| {
                let back_minor = undo.amount_minor.saturating_neg();
                account.biller.moved(back_minor, -1, at.seq);
            }),
            Event::Tombstone(undo) => self.undo(undo, at).map(|_| ()),
            Event::Refusal { movement, .. } | Event::Held { movement, .. } => {
                self.movement(movement, at).map(|_| ())
            }
            Event::Call(call) => self.call(call, at),
        };
        if taken.is_none() {
            self.foreign_total += 1;
            if self.foreign.len() < FOREIGN_KEPT {
                self.foreign.push(at.seq);
            }
        }
    }

    fn debit(&mut self, movement: &Movement, at: At) -> Option<()> {
        let (account, number) = self.movement(movement, at)?;
        account.bank.moved(movement.amount_minor, 1, at.seq);
        let instruction = account.instruction(number);
        instruction.effects = instruction.effects.saturating_add(1);
        instruction.debited_minor = instruction
            .debited_minor
            .saturating_add(movement.amount_minor);
        Some(())
    }

    fn reversal(&mut self, undo: &Undo, at: At) -> Option<()> {
        let payment = Number::parse(&undo.payment_flow_no)?;
        let (account, number) = self.undo(undo, at)?;
        account
            .bank
            .moved(undo.amount_minor.saturating_neg(), -1, at.seq);
        let instruction = account.instruction(number);
        instruction.effects = instruction.effects.saturating_add(1);
        let paid = account.instruction(payment);
        paid.undone = paid.undone.saturating_add(1);
        Some(())
    }

    /// A line about a payment that moved money, or could have.
    fn movement(&mut self, movement: &Movement, at: At) -> Option<(&mut Account, Number)> {
        let content = Content {
            amount_minor: movement.amount_minor,
            bill_no: movement.bill_no.as_str().into(),
            biller: Some(self.billers.word(&movement.biller)),
            currency: letters(&movement.currency),
        };
        let number = Number::parse(&movement.flow_no)?;
        let account = self.account(&movement.order_no, at)?;
        account.is_about(at.seq, content);
        let instruction = account.instruction(number);
        instruction.told(at.micros, at.seq, at.bank);
        instruction.pays = true;
        Some((account, number))
    }

    /// A line about a reversal that moved money, or could have.
    fn undo(&mut self, undo: &Undo, at: At) -> Option<(&mut Account, Number)> {
        let content = Content {
            amount_minor: undo.amount_minor,
            bill_no: undo.bill_no.as_str().into(),
            biller: undo.biller.as_ref().map(|name| self.billers.word(name)),
            currency: letters(&undo.currency),
        };
        let number = Number::parse(&undo.flow_no)?;
        let payment = Number::parse(&undo.payment_flow_no)?;
        let account = self.account(&undo.order_no, at)?;
        account.is_about(at.seq, content);
        let instruction = account.instruction(number);
        instruction.told(at.micros, at.seq, at.bank);
        instruction.told_to_undo(payment);
        Some((account, number))
    }

    fn call(&mut self, call: &CallRecord, at: At) -> Option<()> {
        if call.op == Op::Lookup {
            self.counts.lookup += 1;
            return Some(());
        }
        let number = Number::parse(call.flow_no.as_deref()?)?;
        let answer = self.answers.set_of(&call.answer);
        match call.op {
            Op::Pay => self.pay_call(call, number, answer, at),
            Op::Query => self.query_call(call, number, answer, at),
            Op::Reverse => self.reverse_call(call, number, answer, at),
            Op::Lookup => Some(()),
        }
    }

    fn pay_call(&mut self, call: &CallRecord, number: Number, answer: u64, at: At) -> Option<()> {
        self.counts.pay += 1;
        let stray = self.claim_stray(number);
        let account = self.account(call.order_no.as_deref()?, at)?;
        let instruction = account.instruction(number);
        instruction.told(at.micros, at.seq, at.bank);
        instruction.pays = true;
        instruction.add_stray(stray);
        instruction.asked = false;
        instruction.pay_calls = instruction.pay_calls.saturating_add(1);
        instruction.answers |= answer;
        Some(())
    }

    fn query_call(&mut self, call: &CallRecord, number: Number, answer: u64, at: At) -> Option<()> {
        self.counts.query += 1;
        let Some(order_no) = call.order_no.as_deref() else {
            let stray = self.strays.entry(number).or_insert(Stray {
                first_seq: at.seq,
                is_moving: at.is_moving,
                ..Stray::default()
            });
            stray.queries = stray.queries.saturating_add(1);
            stray.answers |= answer;
            return Some(());
        };
        let stray = self.claim_stray(number);
        // A question moves nothing, so it does not tell that the order is on the move.
        let asking = At {
            is_moving: false,
            ..at
        };
        let instruction = self.account(order_no, asking)?.instruction(number);
        instruction.add_stray(stray);
        instruction.asked = true;
        instruction.query_calls = instruction.query_calls.saturating_add(1);
        instruction.answers |= answer;
        Some(())
    }

    fn reverse_call(
        &mut self,
        call: &CallRecord,
        number: Number,
        answer: u64,
        at: At,
    ) -> Option<()> {
        self.counts.reverse += 1;
        let payment = Number::parse(call.payment_flow_no.as_deref()?)?;
        let stray = self.claim_stray(payment);
        let account = self.account(call.order_no.as_deref()?, at)?;
        let paid = account.instruction(payment);
        paid.add_stray(stray);
        let asked = paid.asked;
        let instruction = account.instruction(number);
        instruction.told(at.micros, at.seq, at.bank);
        instruction.told_to_undo(payment);
        if instruction.reverse_calls == 0 && !asked {
            instruction.unasked_seq = at.seq;
        }
        instruction.reverse_calls = instruction.reverse_calls.saturating_add(1);
        instruction.answers |= answer;
        Some(())
    }

    fn account(&mut self, order_no: &str, at: At) -> Option<&mut Account> {
        let number = Number::parse(order_no)?;
        let next = u32::try_from(self.accounts.len()).ok()?;
        let place = *self.places.entry(number).or_insert(next);
        if place == next {
            self.accounts.push(Account::new(number));
        }
        let account = self.accounts.get_mut(usize::try_from(place).ok()?)?;
        account.is_moving |= at.is_moving;
        Some(account)
    }
}

impl super::account::Instruction {
    /// Questions that were put before the bank could place the number.
    fn add_stray(&mut self, stray: Option<Stray>) {
        if let Some(stray) = stray {
            self.query_calls = self.query_calls.saturating_add(stray.queries);
            self.answers |= stray.answers;
            self.asked = true;
        }
    }
}

fn letters(currency: &str) -> [u8; 3] {
    currency.as_bytes().try_into().unwrap_or(*b"???")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "202611220000000000000001";

    fn line(seq: u64, op: &str) -> String {
        format!(
            "{{\"seq\":{seq},\"at\":\"2026-11-22T04:00:00.000000Z\",\"event\":\"CALL\",\
             \"bank\":\"bank\",\"op\":\"{op}\",\"flow_no\":\"202611220000000000001001\",\
             \"order_no\":\"{ORDER}\",\"answer\":\"-1\"}}\n"
        )
    }

    fn read(text: &str, before: usize, after: usize) -> Witness {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        std::fs::write(&path, text).unwrap();
        let reach = Reach {
            before_bytes: before as u64,
            after_bytes: after as u64,
        };
        Witness::read(&path, reach).unwrap()
    }

    #[test]
    fn what_was_added_meanwhile_puts_its_order_on_the_move() {
        let (one, two) = (line(1, "PAY"), line(2, "PAY"));
        let text = format!("{one}{two}");
        let moving = |before: usize, after: usize| {
            let witness = read(&text, before, after);
            let account = witness.find(ORDER).unwrap();
            (account.is_moving, account.pay_calls(), witness.counts.lines)
        };
        assert_eq!(moving(text.len(), text.len()), (false, 2, 2));
        assert_eq!(moving(one.len(), text.len()), (true, 2, 2));
        assert_eq!(
            moving(one.len(), one.len()),
            (false, 1, 1),
            "later lines are not looked at"
        );
        let asked = format!("{one}{}", line(2, "QUERY"));
        let witness = read(&asked, one.len(), asked.len());
        assert!(
            !witness.find(ORDER).unwrap().is_moving,
            "a question moves nothing"
        );
    }

    #[test]
    fn a_torn_end_was_never_written() {
        let text = format!("{}{}", line(1, "PAY"), &line(2, "PAY")[..40]);
        let witness = read(&text, text.len(), text.len());
        assert_eq!((witness.counts.lines, witness.counts.is_torn), (1, true));
    }
}
