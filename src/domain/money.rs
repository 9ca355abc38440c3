//! Money: a whole number of minor units and an ISO 4217 currency. No floats, every sum checked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The renminbi, the currency of the default settings.
    pub const CNY: Currency = Currency(iso_currency::Currency::CNY);

    /// Reads a three-letter code, upper case.
    pub fn try_new(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code)
            .map(Currency)
            .ok_or_else(|| MoneyError::BadCurrency(code.to_owned()))
    }

    /// The three-letter code.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// How many digits follow the decimal point: 2 for CNY, 0 for JPY.
    pub fn exponent(&self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(0))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::try_new(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

/// An amount in minor units (for CNY: fen) with its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; never negative in an order or a flow.
    pub amount_minor: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// Why a text or a sum is not money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not an ISO 4217 code.
    #[error("{0:?} is not an ISO 4217 currency code")]
    BadCurrency(String),
    /// Not a whole number of minor units.
    #[error("{0:?} is not an amount: a whole number of minor units (digits only) is expected")]
    BadAmount(String),
    /// Two currencies cannot be added.
    #[error("{0} and {1} cannot be added: the currencies differ")]
    CurrencyMismatch(Currency, Currency),
    /// The sum leaves 64 bits.
    #[error("the sum is larger than an amount can be")]
    Overflow,
}

impl Money {
    /// An amount in minor units.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            currency,
        }
    }

    /// Reads minor units from digits only: no sign, no point, no exponent, no white space.
    pub fn parse_minor(text: &str) -> Result<i64, MoneyError> {
        let digits =
            !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
        match (digits, text.parse::<i64>()) {
            (true, Ok(minor)) => Ok(minor),
            _ => Err(MoneyError::BadAmount(text.to_owned())),
        }
    }

    /// Adds; refuses mixed currencies and sums that leave 64 bits.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        let sum = self
            .amount_minor
            .checked_add(other.amount_minor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Money::new(sum, self.currency))
    }

    /// The amount in major units as people write it: `123.45`; the currency is not in it.
    pub fn display(&self) -> String {
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return self.amount_minor.to_string();
        }
        let unit = 10_i64.pow(exponent).unsigned_abs();
        let minor = self.amount_minor.unsigned_abs();
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let width = exponent as usize;
        format!("{sign}{}.{:0width$}", minor / unit, minor % unit)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.display(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_are_digits_only() {
        assert_eq!(Money::parse_minor("12345"), Ok(12345));
        assert_eq!(Money::parse_minor("0"), Ok(0));
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "１２",
            "9999999999999999999",
            "0x10",
        ] {
            assert_eq!(
                Money::parse_minor(bad),
                Err(MoneyError::BadAmount(bad.to_owned()))
            );
        }
    }

    #[test]
    fn display_follows_the_currency() {
        let jpy = Currency::try_new("JPY").unwrap();
        assert_eq!(Money::new(12345, Currency::CNY).display(), "123.45");
        assert_eq!(Money::new(5, Currency::CNY).display(), "0.05");
        assert_eq!(Money::new(-150, Currency::CNY).display(), "-1.50");
        assert_eq!(Money::new(12345, jpy).display(), "12345");
    }

    #[test]
    fn sums_are_checked() {
        let one = Money::new(1, Currency::CNY);
        let top = Money::new(i64::MAX, Currency::CNY);
        assert_eq!(one.checked_add(one).unwrap().amount_minor, 2);
        assert_eq!(top.checked_add(one), Err(MoneyError::Overflow));
        let usd = Currency::try_new("USD").unwrap();
        assert!(matches!(
            one.checked_add(Money::new(1, usd)),
            Err(MoneyError::CurrencyMismatch(..))
        ));
    }
}
