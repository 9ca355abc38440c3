//! 结算汇总: what is settled between a merchant and a biller for a closed day.

use super::contract::FeeTooLarge;
use super::flow::{FlowKind, FlowState};
use super::money::Currency;
use super::statement::DayFlow;
use super::time::{BusinessDate, Instant};
use std::collections::HashMap;

/// The summary of a merchant, a biller, a day and a currency. What moved no money is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementSummary {
    /// The day.
    pub date: BusinessDate,
    /// The merchant's code.
    pub merchant: String,
    /// The biller's code.
    pub biller: String,
    /// The currency of all amounts.
    pub currency: Currency,
    /// How many payments succeeded.
    pub payments: i64,
    /// What they sum up to, in minor units.
    pub gross_minor: i64,
    /// How many reversals succeeded.
    pub reversals: i64,
    /// What they sum up to, in minor units.
    pub reversed_minor: i64,
    /// What is kept of it by the contract: the fees of the payments without those of the reversals.
    pub fees_minor: i64,
    /// When it was made.
    pub made_at: Instant,
    /// Counts its changes.
    pub version: i32,
}

impl SettlementSummary {
    /// A summary of nothing.
    pub fn empty(date: BusinessDate, of: &DayFlow<'_>, now: Instant) -> Self {
        Self {
            date,
            merchant: of.merchant.to_owned(),
            biller: of.biller.to_owned(),
            currency: of.currency,
            payments: 0,
            gross_minor: 0,
            reversals: 0,
            reversed_minor: 0,
            fees_minor: 0,
            made_at: now,
            version: 1,
        }
    }

    /// Adds a flow with the fee of its payment, if it moved money.
    ///
    /// # Errors
    /// When a sum leaves 64 bits.
    pub fn add(&mut self, flow: &DayFlow<'_>, fee_minor: i64) -> Result<(), FeeTooLarge> {
        if flow.outcome() != FlowState::Succeeded {
            return Ok(());
        }
        let sum = |a: i64, b: i64| a.checked_add(b).ok_or(FeeTooLarge);
        match flow.kind {
            FlowKind::Payment => {
                self.payments += 1;
                self.gross_minor = sum(self.gross_minor, flow.amount_minor)?;
                self.fees_minor = sum(self.fees_minor, fee_minor)?;
            }
            FlowKind::Reversal => {
                self.reversals += 1;
                self.reversed_minor = sum(self.reversed_minor, flow.amount_minor)?;
                self.fees_minor = sum(self.fees_minor, -fee_minor)?;
            }
        }
        Ok(())
    }

    /// What is settled, in minor units: gross without what was reversed and without the fees.
    pub fn net_minor(&self) -> i64 {
        self.gross_minor - self.reversed_minor - self.fees_minor
    }

    /// Whether it says the same as another, whenever they were made.
    pub fn says_as(&self, other: &Self) -> bool {
        let same = Self {
            made_at: other.made_at,
            version: other.version,
            ..self.clone()
        };
        same == *other
    }
}

/// Gives the summaries of a day the versions that follow those before. One that says the same as before
/// stays what it was. Returns how many are new, changed or gone.
pub fn follow(before: &[SettlementSummary], summaries: &mut [SettlementSummary]) -> u64 {
    let key = |of: &SettlementSummary| (of.merchant.clone(), of.biller.clone(), of.currency);
    let mut gone: HashMap<_, _> = before.iter().map(|last| (key(last), last)).collect();
    let mut changed = 0;
    for summary in summaries {
        match gone.remove(&key(summary)) {
            Some(last) if summary.says_as(last) => *summary = last.clone(),
            last => {
                summary.version = last.map_or(1, |last| last.version + 1);
                changed += 1;
            }
        }
    }
    changed + gone.into_values().map(|_| 1).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(biller: &str, gross_minor: i64, made_at: i64) -> SettlementSummary {
        SettlementSummary {
            date: BusinessDate(chrono::NaiveDate::default()),
            merchant: "portal".to_owned(),
            biller: biller.to_owned(),
            currency: Currency::CNY,
            payments: 1,
            gross_minor,
            reversals: 0,
            reversed_minor: 0,
            fees_minor: 0,
            made_at: Instant::from_timestamp_micros(made_at).unwrap(),
            version: 1,
        }
    }

    #[test]
    fn what_says_the_same_stays_and_what_is_new_changed_or_gone_counts() {
        let before = [
            summary("same", 5, 1),
            summary("other", 5, 1),
            summary("gone", 5, 1),
        ];
        let mut after = [
            summary("new", 5, 2),
            summary("other", 6, 2),
            summary("same", 5, 2),
        ];
        assert_eq!(follow(&before, &mut after), 3);
        let versions = after.each_ref().map(|one| one.version);
        assert_eq!(versions, [1, 2, 1]);
        assert_eq!(after[2], before[0], "with the time at which it was made");
        assert_eq!(follow(&after.clone(), &mut after), 0);
    }
}
