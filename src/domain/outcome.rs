//! 应答: what an answer of the far side is worth.
//!
//! This is law 1 in code. From the first byte sent, only a well-formed answer that matches our
//! flow number, bill, amount and currency concludes anything; everything else is `Unknown`. Only
//! "never sent" is a known failure without an answer. The code maps are data, one per adapter; a
//! code that is not in the map is `Unknown`, however friendly it looks.

use super::flow::{AttemptOutcome, Operation};
use super::ids::{BillNo, FlowNo};
use super::money::Money;
use super::named_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

named_enum! {
    /// What a result code of the far side means.
    pub enum CodeMeaning {
        /// It was done.
        Succeeded = "SUCCEEDED",
        /// It was not done and will not be.
        Refused = "REFUSED",
        /// The far side works on it.
        Pending = "PENDING",
        /// The far side does not know the number.
        NotFound = "NOT_FOUND",
        /// The payment was undone at the far side: no money is moved.
        Reversed = "REVERSED",
        /// A reversal comes too late: the payment stands.
        PaymentStands = "PAYMENT_STANDS",
        /// The far side says itself that it does not know.
        Unknown = "UNKNOWN",
    }
}

/// One entry of a result-code map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeEntry {
    /// What the code means.
    pub meaning: CodeMeaning,
    /// The named reason, e.g. `INSUFFICIENT_FUNDS`; needed for `REFUSED`.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A result-code map: data per adapter, keyed by the code as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeMap(pub BTreeMap<String, CodeEntry>);

/// What we sent, and so what an answer must match.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// What was asked.
    pub operation: Operation,
    /// The number in the request.
    pub flow_no: &'a FlowNo,
    /// The bill.
    pub bill_no: &'a BillNo,
    /// Amount and currency.
    pub amount: Money,
}

/// An answer that could be decoded: the fields as they stood there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireAnswer {
    /// The result code.
    pub status: Option<i64>,
    /// The echoed flow number.
    pub flow_no: Option<String>,
    /// The echoed bill number.
    pub bill_no: Option<String>,
    /// The echoed amount.
    pub amount_minor: Option<i64>,
    /// The echoed currency.
    pub currency: Option<String>,
    /// The far side's own number.
    pub upstream_ref: Option<String>,
    /// A message for people.
    pub message: Option<String>,
}

/// How a call ended on the wire, before anybody looks at what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Not one byte of the request left: no address, refused, no TLS, breaker open, no free place.
    NotSent(String),
    /// Something may have left, and no usable answer came back.
    Broken(Cause),
    /// A well-formed answer came back.
    Answered(WireAnswer),
}

/// Why an outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    ConnectionLost(String),
    /// A status other than 200.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// Not the form that was agreed.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Well-formed, but about something else. Raises an alarm.
    #[error("the answer does not match: {0}")]
    Mismatch(String),
    /// The far side says that it does not know.
    #[error("the far side answered {0}: unknown")]
    SaidUnknown(i64),
    /// The code is in no map.
    #[error("result code {0} is in no map")]
    UnmappedCode(i64),
    /// There was no code.
    #[error("the answer holds no result code")]
    NoCode,
    /// A known code at a call where it makes no sense, such as "pending" for a reversal.
    #[error("result code {0} makes no sense for this call")]
    OutOfPlace(i64),
}

/// The far side's words that go with a conclusion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The code as text.
    pub code: String,
    /// The far side's own number.
    pub upstream_ref: Option<String>,
    /// A message for people.
    pub message: Option<String>,
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Succeeded(Receipt),
    /// Known not to be done.
    Refused {
        /// The named reason, from the map.
        reason: String,
        /// The far side's words.
        receipt: Receipt,
    },
    /// The far side works on it.
    Pending,
    /// The far side does not know the number.
    NotFound,
    /// A reversal is refused because the payment stands.
    PaymentStands(Receipt),
    /// Never sent.
    NotSent(String),
    /// Not known.
    Unknown(Cause),
}

impl Reply {
    /// The one word that attempts and logs keep.
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Reply::Succeeded(_) => AttemptOutcome::Succeeded,
            Reply::Refused { .. } => AttemptOutcome::Refused,
            Reply::Pending => AttemptOutcome::Pending,
            Reply::NotFound => AttemptOutcome::NotFound,
            Reply::PaymentStands(_) => AttemptOutcome::PaymentStands,
            Reply::NotSent(_) => AttemptOutcome::NotSent,
            Reply::Unknown(_) => AttemptOutcome::Unknown,
        }
    }

    /// The far side's code, where the reply rests on one.
    pub fn code(&self) -> Option<String> {
        match self {
            Reply::Succeeded(receipt)
            | Reply::Refused { receipt, .. }
            | Reply::PaymentStands(receipt) => Some(receipt.code.clone()),
            Reply::Unknown(Cause::SaidUnknown(code) | Cause::UnmappedCode(code)) => {
                Some(code.to_string())
            }
            Reply::Pending | Reply::NotFound | Reply::NotSent(_) | Reply::Unknown(_) => None,
        }
    }

    /// The cause in words, where there is one.
    pub fn cause(&self) -> Option<String> {
        match self {
            Reply::Unknown(cause) => Some(cause.to_string()),
            Reply::NotSent(cause) => Some(cause.clone()),
            Reply::Refused { reason, .. } => Some(reason.clone()),
            Reply::Succeeded(_) | Reply::Pending | Reply::NotFound | Reply::PaymentStands(_) => {
                None
            }
        }
    }

    /// Whether the far side answered about something else, which raises an alarm.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Reply::Unknown(Cause::Mismatch(_)))
    }
}

/// Classifies a call: the one place where an answer becomes knowledge.
pub fn classify(codes: &CodeMap, expected: &Expected<'_>, delivery: Delivery) -> Reply {
    let answer = match delivery {
        Delivery::NotSent(cause) => return Reply::NotSent(cause),
        Delivery::Broken(cause) => return Reply::Unknown(cause),
        Delivery::Answered(answer) => answer,
    };
    let Some(status) = answer.status else {
        return Reply::Unknown(Cause::NoCode);
    };
    let Some(entry) = codes.0.get(&status.to_string()) else {
        return Reply::Unknown(Cause::UnmappedCode(status));
    };
    if entry.meaning == CodeMeaning::Unknown {
        return Reply::Unknown(Cause::SaidUnknown(status));
    }
    let full_match = entry.meaning != CodeMeaning::NotFound;
    if let Err(what) = matches(expected, &answer, full_match) {
        return Reply::Unknown(Cause::Mismatch(what));
    }
    let receipt = Receipt {
        code: status.to_string(),
        upstream_ref: answer.upstream_ref,
        message: answer.message,
    };
    let refused = |fallback: &str, receipt| Reply::Refused {
        reason: entry.reason.clone().unwrap_or_else(|| fallback.to_owned()),
        receipt,
    };
    match (entry.meaning, expected.operation) {
        (CodeMeaning::Succeeded, _) => Reply::Succeeded(receipt),
        (CodeMeaning::Refused, Operation::Pay | Operation::Query) => refused("REFUSED", receipt),
        (CodeMeaning::Pending, Operation::Pay | Operation::Query) => Reply::Pending,
        (CodeMeaning::NotFound, Operation::Query) => Reply::NotFound,
        (CodeMeaning::Reversed, Operation::Pay | Operation::Query) => {
            refused("REVERSED_AT_THE_BANK", receipt)
        }
        (CodeMeaning::Reversed, Operation::Reverse) => Reply::Succeeded(receipt),
        (CodeMeaning::PaymentStands, Operation::Reverse) => Reply::PaymentStands(receipt),
        (
            CodeMeaning::Refused
            | CodeMeaning::Pending
            | CodeMeaning::NotFound
            | CodeMeaning::PaymentStands
            | CodeMeaning::Unknown,
            _,
        ) => Reply::Unknown(Cause::OutOfPlace(status)),
    }
}

/// An answer counts only if it is about our flow, and for a conclusion about our bill and amount.
fn matches(expected: &Expected<'_>, answer: &WireAnswer, full: bool) -> Result<(), String> {
    let compare = |what: &str, found: Option<&str>, wanted: &str| match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(format!("{what} is {found:?}, expected {wanted:?}")),
        None => Err(format!("{what} is missing")),
    };
    compare(
        "flow_no",
        answer.flow_no.as_deref(),
        expected.flow_no.as_str(),
    )?;
    if !full {
        return Ok(());
    }
    compare(
        "bill_no",
        answer.bill_no.as_deref(),
        expected.bill_no.as_str(),
    )?;
    compare(
        "currency",
        answer.currency.as_deref(),
        expected.amount.currency.code(),
    )?;
    match answer.amount_minor {
        Some(minor) if minor == expected.amount.amount_minor => Ok(()),
        Some(minor) => Err(format!(
            "amount_minor is {minor}, expected {}",
            expected.amount.amount_minor
        )),
        None => Err("amount_minor is missing".to_owned()),
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
