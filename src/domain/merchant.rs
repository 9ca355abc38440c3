//! 渠道商户: who sells bill payment to the people.

use super::ids::MerchantCode;
use super::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// The kind of a merchant.
    pub enum MerchantKind {
        /// A channel company.
        Channel = "CHANNEL",
        /// The bank's own app.
        Own = "OWN",
    }
}

named_enum! {
    /// Where a merchant stands.
    pub enum MerchantState {
        /// May make orders.
        Active = "ACTIVE",
        /// New orders are refused; open ones are still settled.
        Suspended = "SUSPENDED",
    }
}

/// A merchant as the order desk needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// The code by which it is named everywhere.
    pub code: MerchantCode,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// What kind of merchant it is.
    pub kind: MerchantKind,
    /// Whether it may make orders.
    pub state: MerchantState,
}
