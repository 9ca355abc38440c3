//! Counts and sums of a reconciliation, by class, side and currency.
//!
//! Each row that is compared is counted once on its side, in the class of its flow number; so the classes
//! of a side add up to what the side listed, in rows and in money. Sums have 128 bits and are checked.

use super::class::{Class, Side};
use super::judge::Verdict;
use super::row::{Row, RowState, Sides};
use crate::domain::flow::FlowKind;
use crate::domain::money::Currency;
use std::collections::BTreeMap;

/// A sum that leaves 128 bits, or a count that leaves 64: no file is that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sum of a reconciliation is larger than can be counted")]
pub struct Overflow;

/// So many rows with so much money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Rows.
    pub count: u64,
    /// Minor units, all amounts added as they are listed, without a sign.
    pub minor: i128,
}

impl Sum {
    /// Adds.
    ///
    /// # Errors
    /// The sum cannot be held.
    pub fn plus(self, other: Sum) -> Result<Sum, Overflow> {
        Ok(Sum {
            count: self.count.checked_add(other.count).ok_or(Overflow)?,
            minor: self.minor.checked_add(other.minor).ok_or(Overflow)?,
        })
    }
}

/// The rows of one side, class and currency, by what they say of the money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Payments that succeeded, and what succeeded without telling its kind.
    pub paid: Sum,
    /// Reversals that succeeded.
    pub returned: Sum,
    /// What failed or is pending.
    pub unmoved: Sum,
}

impl Tally {
    /// Adds.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn plus(self, other: Tally) -> Result<Tally, Overflow> {
        Ok(Tally {
            paid: self.paid.plus(other.paid)?,
            returned: self.returned.plus(other.returned)?,
            unmoved: self.unmoved.plus(other.unmoved)?,
        })
    }

    /// All rows with all that they list.
    ///
    /// # Errors
    /// The sum cannot be held.
    pub fn listed(self) -> Result<Sum, Overflow> {
        self.paid.plus(self.returned)?.plus(self.unmoved)
    }

    /// What moved: payments less reversals, in minor units.
    ///
    /// # Errors
    /// The difference cannot be held.
    pub fn net_minor(self) -> Result<i128, Overflow> {
        let (paid, returned) = (self.paid.minor, self.returned.minor);
        paid.checked_sub(returned).ok_or(Overflow)
    }

    /// Counts rows that say the same, as far as their kind and state go.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn count(
        &mut self,
        kind: Option<FlowKind>,
        state: RowState,
        rows: Sum,
    ) -> Result<(), Overflow> {
        let place = match (state, kind) {
            (RowState::Failed | RowState::Pending, _) => &mut self.unmoved,
            (RowState::Succeeded, Some(FlowKind::Reversal)) => &mut self.returned,
            (RowState::Succeeded, Some(FlowKind::Payment) | None) => &mut self.paid,
        };
        *place = place.plus(rows)?;
        Ok(())
    }
}

/// The counts and sums of a whole reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    flows: BTreeMap<Class, u64>,
    at_risk: BTreeMap<(Class, &'static str), i128>,
    tallies: BTreeMap<(Side, Class, &'static str), Tally>,
}

impl Totals {
    /// Counts the rows of one flow number in the class that it was given. Our row counts as what the
    /// bank's line proves of it, so that the totals are the same before and after it was settled.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn count(&mut self, sides: Sides<'_>, verdict: &Verdict) -> Result<(), Overflow> {
        let settled = sides.ours.iter().map(|row| Row {
            state: verdict.proves.unwrap_or(row.state),
            ..*row
        });
        for row in settled {
            self.count_row(Side::Ours, verdict.class, &row)?;
        }
        for (side, rows) in [(Side::Bank, sides.bank), (Side::Biller, sides.biller)] {
            for row in rows {
                self.count_row(side, verdict.class, row)?;
            }
        }
        let at_risk = verdict.at_risk;
        self.count_flows(verdict.class, 1)?;
        self.count_risk(
            verdict.class,
            at_risk.currency.code(),
            i128::from(at_risk.amount_minor),
        )
    }

    fn count_row(&mut self, side: Side, class: Class, row: &Row) -> Result<(), Overflow> {
        let one = Sum {
            count: 1,
            minor: i128::from(row.amount.amount_minor),
        };
        let key = (side, class, row.amount.currency.code());
        let tally = self.tallies.entry(key).or_default();
        tally.count(row.kind, row.state, one)
    }

    fn count_flows(&mut self, class: Class, flows: u64) -> Result<(), Overflow> {
        let counted = self.flows.entry(class).or_default();
        *counted = counted.checked_add(flows).ok_or(Overflow)?;
        Ok(())
    }

    fn count_risk(
        &mut self,
        class: Class,
        code: &'static str,
        minor: i128,
    ) -> Result<(), Overflow> {
        if minor != 0 {
            let counted = self.at_risk.entry((class, code)).or_default();
            *counted = counted.checked_add(minor).ok_or(Overflow)?;
        }
        Ok(())
    }

    /// Counts flow numbers whose rows were tallied apart: all of one class and currency.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn count_tallied(
        &mut self,
        class: Class,
        currency: Currency,
        flows: u64,
        tallies: [(Side, Tally); 3],
    ) -> Result<(), Overflow> {
        self.count_flows(class, flows)?;
        for (side, tally) in tallies {
            if tally != Tally::default() {
                let counted = self
                    .tallies
                    .entry((side, class, currency.code()))
                    .or_default();
                *counted = counted.plus(tally)?;
            }
        }
        Ok(())
    }

    /// Adds the totals of other flow numbers.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn add(&mut self, other: &Totals) -> Result<(), Overflow> {
        for (class, flows) in &other.flows {
            self.count_flows(*class, *flows)?;
        }
        for ((class, code), minor) in &other.at_risk {
            self.count_risk(*class, code, *minor)?;
        }
        for (key, tally) in &other.tallies {
            let counted = self.tallies.entry(*key).or_default();
            *counted = counted.plus(*tally)?;
        }
        Ok(())
    }

    /// How many flow numbers have a class.
    pub fn flows(&self, class: Class) -> u64 {
        self.flows.get(&class).copied().unwrap_or(0)
    }

    /// How many flow numbers there are.
    pub fn all_flows(&self) -> u64 {
        self.flows.values().sum()
    }

    /// Whether everything matched.
    pub fn all_matched(&self) -> bool {
        self.all_flows() == self.flows(Class::Matched)
    }

    /// The currencies that occur, by their codes, in the sequence of the alphabet.
    pub fn currencies(&self) -> Vec<&'static str> {
        let mut codes: Vec<_> = self.tallies.keys().map(|(_, _, code)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// The rows of a side in a class and currency.
    pub fn of(&self, side: Side, class: Class, code: &str) -> Tally {
        let found = self
            .tallies
            .iter()
            .find(|((s, c, known), _)| (*s, *c, *known) == (side, class, code));
        found.map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// All rows of a side in a currency: its classes added up.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn of_side(&self, side: Side, code: &str) -> Result<Tally, Overflow> {
        let classes = Class::ALL.iter().map(|class| self.of(side, *class, code));
        classes.into_iter().try_fold(Tally::default(), Tally::plus)
    }

    /// What is at risk in a class and currency, in minor units.
    pub fn at_risk(&self, class: Class, code: &str) -> i128 {
        let found = self
            .at_risk
            .iter()
            .find(|((c, known), _)| (*c, *known) == (class, code));
        found.map_or(0, |(_, minor)| *minor)
    }

    /// Every tally that is not empty, in the sequence of sides, classes and currencies.
    pub fn tallies(&self) -> impl Iterator<Item = (Side, Class, &'static str, Tally)> {
        let all = self.tallies.iter();
        all.map(|((side, class, code), tally)| (*side, *class, *code, *tally))
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::classify;
    use super::super::rules::Waited;
    use super::*;
    use crate::domain::money::Money;

    fn row(kind: FlowKind, state: RowState, minor: i64) -> Row {
        Row::new(kind, state, Money::new(minor, Currency::CNY))
    }

    #[test]
    fn the_classes_of_a_side_add_up_to_its_rows() {
        let paid = [row(FlowKind::Payment, RowState::Succeeded, 100)];
        let other = [row(FlowKind::Payment, RowState::Succeeded, 70)];
        let back = [row(FlowKind::Reversal, RowState::Succeeded, 30)];
        let open = [row(FlowKind::Payment, RowState::Pending, 100)];
        let mut totals = Totals::default();
        for (ours, bank) in [
            (&paid[..], &paid[..]),
            (&paid, &other),
            (&paid, &[]),
            (&[], &other),
            (&back, &back),
            (&open, &paid),
        ] {
            let sides = Sides {
                ours,
                bank,
                biller: &[],
            };
            let mut asked = [row(FlowKind::Payment, RowState::Failed, 0)];
            asked[..ours.len()].copy_from_slice(ours);
            asked[0].asked = Asked::Bank;
            let sides = Sides {
                ours: &asked[..ours.len()],
                ..sides
            };
            let verdict = classify(sides, &[], Waited(0));
            totals.count(sides, &verdict).unwrap();
        }
        assert_eq!(totals.all_flows(), 6);
        assert_eq!(totals.flows(Class::Matched), 3);
        let ours = totals.of_side(Side::Ours, "CNY").unwrap();
        assert_eq!((ours.paid.count, ours.paid.minor), (4, 400));
        assert_eq!((ours.returned.count, ours.returned.minor), (1, 30));
        assert_eq!(ours.net_minor(), Ok(370));
        let bank = totals.of_side(Side::Bank, "CNY").unwrap();
        assert_eq!(
            bank.listed(),
            Ok(Sum {
                count: 5,
                minor: 370
            })
        );
        assert_eq!(totals.at_risk(Class::Amount, "CNY"), 30);
        assert_eq!(totals.at_risk(Class::Short, "CNY"), 100);
        assert_eq!(totals.at_risk(Class::Long, "CNY"), 70);
        assert_eq!(totals.currencies(), ["CNY"]);
        let mut twice = totals.clone();
        twice.add(&totals).unwrap();
        assert_eq!(twice.all_flows(), 12);
        assert_eq!(twice.of_side(Side::Bank, "CNY").unwrap().paid.minor, 680);
    }

    #[test]
    fn a_sum_that_cannot_be_held_is_an_error() {
        let most = Sum {
            count: 1,
            minor: i128::MAX,
        };
        assert_eq!(most.plus(Sum { count: 1, minor: 1 }), Err(Overflow));
        let many = Sum {
            count: u64::MAX,
            minor: 0,
        };
        assert_eq!(many.plus(Sum { count: 1, minor: 0 }), Err(Overflow));
    }

    use super::super::row::Asked;
}
