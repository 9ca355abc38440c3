//! The open bill that a biller told us about.

use super::ids::BillNo;
use super::money::Money;
use serde::{Deserialize, Serialize};

/// What a lookup brought. Never trusted for the amount at payment: the payment carries `bill_ref`
/// (the far side checks the amount against it), or the bill is looked up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The number that was asked about.
    pub bill_no: BillNo,
    /// What is due.
    pub due: Money,
    /// The period it is for, as the biller writes it.
    pub period: Option<String>,
    /// The holder's name, masked by the biller.
    pub holder_masked: Option<String>,
    /// The biller's reference that binds number and amount together.
    pub bill_ref: Option<String>,
}

/// Why there is no bill to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The biller does not know the number.
    #[error("the biller has no bill under this number")]
    NotFound,
    /// Nothing is due.
    #[error("the bill is already paid")]
    AlreadyPaid,
    /// The biller refuses for a reason of its own.
    #[error("the biller refused: {reason}")]
    Refused {
        /// The named reason, from the result-code map.
        reason: String,
    },
    /// No usable answer; asking again later may help.
    #[error("the biller gave no usable answer: {cause}")]
    Unavailable {
        /// What happened, for the logs and the caller.
        cause: String,
    },
}
