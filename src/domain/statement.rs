//! 对账单: what a merchant or a biller is told of a closed business day.
//!
//! A statement lists the flows that started on the day and have concluded. What moved money counts in its
//! sums; what concluded without money is listed and counts for nothing. Undecided flows are not listed:
//! when they conclude, there is another version. A version is never changed.

use super::flow::{FlowKind, FlowState};
use super::money::Currency;
use super::named_enum;
use super::time::{BusinessDate, Instant};
use serde::Serialize;
use std::fmt;

named_enum! {
    /// For whom a statement is.
    pub enum PartyKind {
        /// The merchant whose orders the flows paid.
        Merchant = "MERCHANT",
        /// The biller whose bills they paid.
        Biller = "BILLER",
    }
}

/// For whom a statement is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Party {
    /// Merchant or biller.
    pub kind: PartyKind,
    /// The merchant's or biller's code.
    pub code: String,
}

impl Party {
    /// A merchant.
    pub fn merchant(code: impl fmt::Display) -> Self {
        Self {
            kind: PartyKind::Merchant,
            code: code.to_string(),
        }
    }

    /// A biller.
    pub fn biller(code: impl fmt::Display) -> Self {
        Self {
            kind: PartyKind::Biller,
            code: code.to_string(),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.kind.as_str().to_ascii_lowercase(),
            self.code
        )
    }
}

/// Which statement, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementKey {
    /// For whom.
    pub party: Party,
    /// Of which day.
    pub date: BusinessDate,
    /// In which currency; a party of several has a statement in each.
    pub currency: Currency,
}

/// A file as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it lies in the store of files.
    pub object: String,
    /// How long it is.
    pub bytes: i64,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// The flows of one kind and outcome on a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementSum {
    /// Pay or reverse.
    pub kind: FlowKind,
    /// SUCCEEDED, or FAILED for what moved no money.
    pub state: FlowState,
    /// How many.
    pub flows: i64,
    /// What they sum up to, in minor units.
    pub amount_minor: i64,
    /// What is kept of it by the contracts; what reversals give back is negative.
    pub fee_minor: i64,
}

/// A version of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which one.
    pub key: StatementKey,
    /// Counts from 1.
    pub version: i32,
    /// The profile that it was written by.
    pub profile: String,
    /// The digest of what it tells: where the flows or the contracts come to another one, it is made again.
    pub content: String,
    /// How many flows it lists.
    pub flows: i64,
    /// The file for programs.
    pub file: KeptFile,
    /// The name that whoever downloads it gets.
    pub media_type: String,
    /// The workbook for people; none where it is switched off.
    pub xlsx: Option<KeptFile>,
    /// Where the signed sidecar lies.
    pub sidecar_object: String,
    /// Its SHA-256.
    pub sidecar_sha256: String,
    /// When it was made.
    pub made_at: Instant,
    /// The run of the program that made it, or the operator who ordered it.
    pub made_by: String,
    /// What its flows come to.
    pub sums: Vec<StatementSum>,
}

/// A flow of a closed day as a statement tells it. Texts that nobody asked for are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayFlow<'a> {
    /// Its number.
    pub flow_no: &'a str,
    /// Its order's number.
    pub order_no: &'a str,
    /// The merchant's code.
    pub merchant: &'a str,
    /// The biller's code.
    pub biller: &'a str,
    /// The bill's number.
    pub bill_no: &'a str,
    /// Pay or reverse.
    pub kind: FlowKind,
    /// What is known of it.
    pub state: FlowState,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// In which currency.
    pub currency: Currency,
    /// The far side's own number; empty where it gave none.
    pub upstream_ref: &'a str,
    /// When it started, in microseconds.
    pub started_at: i64,
    /// When its outcome was committed, in microseconds.
    pub concluded_at: Option<i64>,
    /// Counts its changes.
    pub version: i64,
    /// Of a reversal: the payment that it undoes.
    pub payment_flow_no: &'a str,
    /// The merchant's own number of the order.
    pub request_no: &'a str,
    /// The item's code.
    pub item: &'a str,
}

impl DayFlow<'_> {
    /// What a statement says of it: a payment that was undone afterwards has succeeded on its own day; what
    /// undid it is a flow of its own.
    pub fn outcome(&self) -> FlowState {
        match self.state {
            FlowState::Reversed => FlowState::Succeeded,
            state => state,
        }
    }

    /// The day whose contract its fee goes by: of a reversal, the payment's.
    pub fn paid_on(&self, date: BusinessDate) -> BusinessDate {
        match self.kind {
            FlowKind::Payment => date,
            FlowKind::Reversal => date_of_number(self.payment_flow_no).unwrap_or(date),
        }
    }
}

/// The business date that a number begins with.
pub fn date_of_number(number: &str) -> Option<BusinessDate> {
    let digits = number.get(..8)?;
    let date = chrono::NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?;
    Some(BusinessDate(date))
}
