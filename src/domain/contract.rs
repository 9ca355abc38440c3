//! What a merchant's payments to a biller cost.
//!
//! A contract is in force from a date on, until the next one of the same merchant, biller and currency. The
//! fee of a payment is a share of its amount in basis points, rounded half up to the minor unit, plus a fixed
//! part; it is computed for each flow by itself and summed up afterwards, so that a statement adds up line
//! by line. A reversal gives the fee of its payment back, by the contract that was in force on the payment's
//! day. Where there is no contract, there is no fee.

use super::money::Currency;
use super::time::BusinessDate;
use serde::Serialize;

/// The most basis points that a fee may have: all of the amount.
pub const BASIS_POINTS_MAX: i32 = 10_000;

/// A contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// The merchant's code.
    pub merchant: String,
    /// The biller's code.
    pub biller: String,
    /// The currency of the payments.
    pub currency: Currency,
    /// The first business date on which it is in force.
    pub valid_from: BusinessDate,
    /// The share of the amount, in ten-thousandths.
    pub basis_points: i32,
    /// What comes on top for each payment, in minor units.
    pub fixed_minor: i64,
}

/// A fee that leaves 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fee is larger than an amount can be")]
pub struct FeeTooLarge;

impl Contract {
    /// The fee of one payment.
    ///
    /// # Errors
    /// When it leaves 64 bits.
    pub fn fee(&self, amount_minor: i64) -> Result<i64, FeeTooLarge> {
        let share = i128::from(amount_minor) * i128::from(self.basis_points);
        let rounded = (share + 5_000).div_euclid(10_000);
        let fee = rounded + i128::from(self.fixed_minor);
        i64::try_from(fee).map_err(|_| FeeTooLarge)
    }
}

/// All contracts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contracts(Vec<Contract>);

impl Contracts {
    /// Contracts in any order.
    pub fn new(mut contracts: Vec<Contract>) -> Self {
        contracts.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        Self(contracts)
    }

    /// The first date on which something else is in force than by others; none where they say the same.
    pub fn first_change(&self, others: &Self) -> Option<BusinessDate> {
        let lacks = |all: &Self, one: &Contract| !all.0.contains(one);
        let added = self.0.iter().filter(|one| lacks(others, one));
        let gone = others.0.iter().filter(|one| lacks(self, one));
        added.chain(gone).map(|one| one.valid_from).min()
    }

    /// The contract in force on a date; none where there is none.
    pub fn in_force(
        &self,
        (merchant, biller): (&str, &str),
        currency: Currency,
        date: BusinessDate,
    ) -> Option<&Contract> {
        let wanted = (merchant, biller, currency.code(), date);
        let end = self.0.partition_point(|one| order_of(one) <= wanted);
        let last = end.checked_sub(1).and_then(|place| self.0.get(place))?;
        let is_of = (last.merchant.as_str(), last.biller.as_str()) == (merchant, biller);
        (is_of && last.currency == currency).then_some(last)
    }

    /// The fee of a payment of a date; 0 without a contract.
    ///
    /// # Errors
    /// When it leaves 64 bits.
    pub fn fee(
        &self,
        between: (&str, &str),
        currency: Currency,
        date: BusinessDate,
        amount_minor: i64,
    ) -> Result<i64, FeeTooLarge> {
        match self.in_force(between, currency, date) {
            Some(contract) => contract.fee(amount_minor),
            None => Ok(0),
        }
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Contract> {
        self.0.iter()
    }
}

fn order_of(contract: &Contract) -> (&str, &str, &str, BusinessDate) {
    (
        contract.merchant.as_str(),
        contract.biller.as_str(),
        contract.currency.code(),
        contract.valid_from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDate {
        BusinessDate(text.parse().unwrap())
    }

    fn contract(valid_from: &str, basis_points: i32, fixed_minor: i64) -> Contract {
        Contract {
            merchant: "portal".to_owned(),
            biller: "power".to_owned(),
            currency: Currency::CNY,
            valid_from: day(valid_from),
            basis_points,
            fixed_minor,
        }
    }

    #[test]
    fn a_fee_is_rounded_half_up_for_each_payment() {
        let table = [
            (0, 0, 12_345, 0),
            (60, 0, 10_000, 60),
            (60, 0, 82, 0),
            (60, 0, 83, 0),
            (60, 0, 84, 1),
            (50, 0, 99, 0),
            (50, 0, 100, 1),
            (60, 10, 10_000, 70),
            (10_000, 0, i64::MAX, i64::MAX),
        ];
        for (basis_points, fixed, amount, wanted) in table {
            let contract = contract("2026-01-01", basis_points, fixed);
            assert_eq!(
                contract.fee(amount),
                Ok(wanted),
                "{basis_points} of {amount}"
            );
        }
        let beyond = contract("2026-01-01", 10_000, 1).fee(i64::MAX);
        assert_eq!(beyond, Err(FeeTooLarge));
    }

    #[test]
    fn the_last_contract_before_a_date_is_in_force() {
        let contracts = Contracts::new(vec![
            contract("2026-06-01", 20, 0),
            contract("2026-01-01", 10, 0),
        ]);
        let points = |between, date: &str| {
            let found = contracts.in_force(between, Currency::CNY, day(date));
            found.map(|contract| contract.basis_points)
        };
        let ours = ("portal", "power");
        assert_eq!(points(ours, "2025-12-31"), None);
        assert_eq!(points(ours, "2026-01-01"), Some(10));
        assert_eq!(points(ours, "2026-05-31"), Some(10));
        assert_eq!(points(ours, "2026-06-01"), Some(20));
        assert_eq!(points(("portal", "water"), "2026-06-01"), None);
        assert_eq!(points(("zebra", "power"), "2026-06-01"), None);
    }
}
