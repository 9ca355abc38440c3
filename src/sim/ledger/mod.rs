//! The simulated bank's own ledger: what really happened to the money, one JSON object a line.
//!
//! It is the second witness. Payhall's database says what the center believes; this file says what
//! the bank did, and an independent checker compares the two through [`read`]. That is why the
//! file shares nothing with the center's types, why it is only ever appended to, and why a
//! movement of money is written before the answer that reports it is sent.
//!
//! Nothing here is synced to the disk. The witness has to survive a kill of the simulated world,
//! which the page cache does; a power cut would take the center under test with it.
//!
//! To break it: write a line outside of [`file::Ledger::append`], or answer before appending.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(super) mod file;
mod hours;
mod line;
mod part;
pub(super) use line::Called;
pub(super) use part::Part;

/// What a caller asks the simulated world to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Op {
    /// Debit the payer and credit the biller.
    Pay,
    /// Tell what became of a payment.
    Query,
    /// Undo a payment, or make sure that it never happens.
    Reverse,
    /// Fetch an open bill from a biller.
    Lookup,
}

/// Which of the two simulated banks took the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BankName {
    /// The modern bank: idempotent on the flow number, can be asked, reverses and tombstones.
    Bank,
    /// The old bank: can be asked, cannot reverse, and debits again on every `pay`.
    Legacy,
}

/// One payment as the bank booked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The payment's own number, given by the caller.
    pub flow_no: String,
    /// The caller's order.
    pub order_no: String,
    /// The biller's name, as asked for; it may be one that nobody knows.
    pub biller: String,
    /// The bill at that biller.
    pub bill_no: String,
    /// In minor units of the currency.
    pub amount_minor: i64,
    /// Three capital letters, ISO 4217.
    pub currency: String,
}

/// One reversal as the bank booked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The reversal's own number.
    pub flow_no: String,
    /// The number of the payment that it undoes.
    pub payment_flow_no: String,
    /// The caller's order.
    pub order_no: String,
    /// `None` only on a tombstone for a payment that the bank has never seen.
    pub biller: Option<String>,
    /// The bill at that biller.
    pub bill_no: String,
    /// In minor units of the currency.
    pub amount_minor: i64,
    /// Three capital letters, ISO 4217.
    pub currency: String,
}

/// One call that reached the simulated world, whatever came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// What was asked.
    pub op: Op,
    /// The number in the request; `None` for a lookup.
    pub flow_no: Option<String>,
    /// The payment's number; only for a reversal.
    pub payment_flow_no: Option<String>,
    /// The order, where the request or the bank's memory names it.
    pub order_no: Option<String>,
    /// The biller, where the request or the bank's memory names it.
    pub biller: Option<String>,
    /// The bill, where the request or the bank's memory names it.
    pub bill_no: Option<String>,
    /// The status sent (`"1"`, `"-1"`), or what was done instead (`"HANG"`, `"HTTP 502"`).
    pub answer: String,
}

/// Something that happened at a bank and is true from then on: what the ledger's lines say in one or two [`Event`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// Debit and credit.
    Paid(Movement),
    /// Both moved back.
    Undone(Undo),
    /// Nothing had moved, and never will.
    Tombstoned(Undo),
    Refused(Movement, u16),
    /// Seen, without effect so far; the time is when the effect is due, if it is.
    Held(Movement, Option<DateTime<Utc>>),
}

/// What one line of the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The payer's account was debited. Its `Credit` is the next line.
    Debit(Movement),
    /// The biller was credited.
    Credit(Movement),
    /// The payer got the money back. Its `CreditBack` is the next line.
    Reversal(Undo),
    /// The biller gave the money back.
    CreditBack(Undo),
    /// A payment that had no effect can have none any more: its number is dead.
    Tombstone(Undo),
    /// A payment was refused, and its number stays refused.
    Refusal {
        /// What was asked for.
        movement: Movement,
        /// The status that says why.
        code: u16,
    },
    /// The bank has the request, but no money has moved (yet).
    Held {
        /// What was asked for.
        movement: Movement,
        /// When the effect is to happen, if it is.
        effect_at: Option<DateTime<Utc>>,
    },
    /// A call came in and was answered.
    Call(CallRecord),
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// When, by the simulated world's clock, to the microsecond.
    pub at: DateTime<Utc>,
    /// Which bank; `None` for a lookup at a biller.
    pub bank: Option<BankName>,
    /// What happened.
    pub event: Event,
}

/// Why a ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system said no.
    #[error("ledger {path}")]
    Io {
        /// The ledger.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A line is not what this program writes.
    #[error("ledger {path}, line {line}: {reason}")]
    Line {
        /// The ledger.
        path: PathBuf,
        /// Counts from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The last line has no end: the writer was stopped in the middle of it.
    #[error("ledger {path}, line {line}: torn, the file ends in the middle of it")]
    Torn {
        /// The ledger.
        path: PathBuf,
        /// Counts from 1.
        line: u64,
    },
    /// Another simulated world writes to this file.
    #[error("ledger {path} is in use by another simulated world")]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
}

/// Reads a whole ledger, strictly: a torn end, a gap in the numbers, an unknown field or a missing
/// one is an error that names the line.
///
/// # Errors
/// The file cannot be read, or a line is not what this program writes.
pub fn read(path: &Path) -> Result<Vec<Entry>, LedgerError> {
    lines(path)?.collect()
}

/// Reads a ledger line by line, as strictly as [`read`], for ledgers that do not fit into memory.
///
/// # Errors
/// The file cannot be opened; what is wrong with a line is told when it is that line's turn.
pub fn lines(path: &Path) -> Result<Lines, LedgerError> {
    Ok(Lines {
        reader: file::Reader::open(path)?,
        is_over: false,
    })
}

/// The lines of a ledger in order. It ends after the last whole line, or after the first error.
pub struct Lines {
    reader: file::Reader,
    is_over: bool,
}

impl Lines {
    /// How many bytes of the file the lines that were handed out take up.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read()
    }
}

impl Iterator for Lines {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.reader.next_entry().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
