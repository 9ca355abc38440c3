//! Amounts.

use super::invalid;
use crate::domain::money::{self, Currency, MoneyError};
use crate::domain::refusal::Refusal;
use async_graphql::{Description, InputObject, Object};

/// An amount of money. Whole minor units, never a floating point number.
#[derive(Description)]
pub struct Money(pub money::Money);

#[Object(use_type_description)]
impl Money {
    /// Minor units as digits, e.g. `12345` for 123.45 CNY. A string, because JSON numbers lose digits.
    async fn minor(&self) -> String {
        self.0.amount_minor.to_string()
    }

    /// ISO 4217 code, e.g. `CNY`.
    async fn currency(&self) -> &'static str {
        self.0.currency.code()
    }

    /// The amount as people write it, e.g. `123.45`; without the currency.
    async fn display(&self) -> String {
        self.0.display()
    }
}

/// An amount that a caller states.
#[derive(InputObject)]
pub struct MoneyInput {
    /// Minor units as digits only: no sign, no point, no exponent. `12345` is 123.45 CNY.
    minor: String,
    /// ISO 4217 code, upper case, e.g. `CNY`.
    currency: String,
}

impl MoneyInput {
    /// The amount.
    pub fn parse(&self) -> Result<money::Money, Refusal> {
        let minor = money::Money::parse_minor(&self.minor).map_err(refuse)?;
        let currency = Currency::try_new(&self.currency).map_err(refuse)?;
        Ok(money::Money::new(minor, currency))
    }
}

fn refuse(error: MoneyError) -> Refusal {
    let rule = match error {
        MoneyError::BadCurrency(_) => "amount.currency has to be an ISO 4217 code such as CNY",
        MoneyError::BadAmount(_) | MoneyError::CurrencyMismatch(..) | MoneyError::Overflow => {
            "amount.minor has to be a whole number of minor units: 1 to 18 digits and nothing else"
        }
    };
    invalid("amount", rule)
}
