//! Merchants.

use crate::domain::merchant;
use async_graphql::{Description, Enum, Object};

/// The kind of a merchant.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "merchant::MerchantKind")]
pub enum MerchantKind {
    /// A channel company that resells bill payment.
    Channel,
    /// The bank's own app.
    Own,
}

/// Where a merchant stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "merchant::MerchantState")]
pub enum MerchantState {
    /// May make orders.
    Active,
    /// New orders are refused; open ones are still settled.
    Suspended,
}

/// Who sells bill payment to people (渠道商户).
#[derive(Description)]
pub struct Merchant(pub merchant::Merchant);

#[Object(use_type_description)]
impl Merchant {
    /// The code by which it is named everywhere.
    async fn code(&self) -> &str {
        self.0.code.as_str()
    }

    /// Chinese name.
    async fn name_zh(&self) -> &str {
        &self.0.name_zh
    }

    /// English name.
    async fn name_en(&self) -> &str {
        &self.0.name_en
    }

    /// What kind it is.
    async fn kind(&self) -> MerchantKind {
        self.0.kind.into()
    }

    /// Whether it may make orders.
    async fn state(&self) -> MerchantState {
        self.0.state.into()
    }
}
