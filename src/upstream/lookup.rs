//! What a biller's answer is worth: a bill, a known refusal, or nothing usable.
//!
//! The same result-code map serves payments and lookups. Nothing here moves money, so "unknown"
//! is simply [`LookupError::Unavailable`]; but a bill that is about another number, another
//! currency or nothing at all must never be shown, because people pay what they are shown.

use super::answer::LookupAnswer;
use crate::domain::bill::{Bill, LookupError};
use crate::domain::ids::BillNo;
use crate::domain::money::{Currency, Money};
use crate::domain::outcome::{CodeMap, CodeMeaning};

/// The reason, in the code map, of a bill on which nothing is due.
pub(super) const BILL_ALREADY_PAID: &str = "BILL_ALREADY_PAID";
/// The reason, in the code map, of a number without a bill.
pub(super) const BILL_NOT_FOUND: &str = "BILL_NOT_FOUND";

/// Weighs a well-formed answer.
pub(super) fn conclude(
    codes: &CodeMap,
    bill_no: &BillNo,
    currency: Currency,
    answer: LookupAnswer,
) -> Result<Bill, LookupError> {
    let Some(status) = answer.status else {
        return Err(unavailable("the answer holds no result code"));
    };
    let Some(entry) = codes.0.get(&status.to_string()) else {
        return Err(unavailable(format!("result code {status} is in no map")));
    };
    match entry.meaning {
        CodeMeaning::Succeeded => bill(bill_no, currency, answer),
        CodeMeaning::Refused => {
            if answer
                .bill_no
                .is_some_and(|found| found != bill_no.as_str())
            {
                return Err(unavailable("the answer is about another bill"));
            }
            Err(match entry.reason.as_deref() {
                Some(BILL_ALREADY_PAID) => LookupError::AlreadyPaid,
                Some(BILL_NOT_FOUND) => LookupError::NotFound,
                Some(reason) => LookupError::Refused {
                    reason: reason.to_owned(),
                },
                None => LookupError::Refused {
                    reason: "REFUSED".to_owned(),
                },
            })
        }
        CodeMeaning::Pending
        | CodeMeaning::NotFound
        | CodeMeaning::Reversed
        | CodeMeaning::PaymentStands
        | CodeMeaning::Unknown => Err(unavailable(format!(
            "the biller answered {status}: {}",
            entry.meaning
        ))),
    }
}

/// The bill, if the answer is about ours.
fn bill(bill_no: &BillNo, currency: Currency, answer: LookupAnswer) -> Result<Bill, LookupError> {
    if answer.bill_no.as_deref() != Some(bill_no.as_str()) {
        return Err(unavailable("the answer is about another bill"));
    }
    if answer.currency.as_deref() != Some(currency.code()) {
        return Err(unavailable("the answer is in another currency"));
    }
    match answer.amount_minor {
        Some(minor) if minor > 0 => Ok(Bill {
            bill_no: bill_no.clone(),
            due: Money::new(minor, currency),
            period: answer.period,
            holder_masked: answer.holder,
            bill_ref: answer.bill_ref,
        }),
        Some(_) => Err(unavailable("amount_minor is zero")),
        None => Err(unavailable("amount_minor is missing")),
    }
}

/// No usable answer, with the defect in words.
pub(super) fn unavailable(cause: impl Into<String>) -> LookupError {
    LookupError::Unavailable {
        cause: cause.into(),
    }
}
