//! The one table of classes. What a person reads in a result is explained here.
//!
//! In their order of precedence; the first that fits decides:
//!
//! | what the sides say of one flow number | class | rule |
//! |---|---|---|
//! | a side lists it more than once | DUPLICATE | LISTED_TWICE |
//! | whoever lists it says that no money moved | MATCHED | NOBODY_PAID |
//! | we do not list it | LONG¹ | NOT_OURS, BILLER_ALONE |
//! | payment here, reversal there | STATUS | KIND_DIFFERS |
//! | we are undecided, and the bank's line decides | *(we take its word, and go on)* | |
//! | a partner's line says something else than we do | STATUS | BANK_…, BILLER_… |
//! | a partner's line names another bill than our flow | STATUS | OTHER_BILL |
//! | the currencies differ | AMOUNT | CURRENCY_DIFFERS |
//! | the amounts differ by more than is tolerated | AMOUNT | AMOUNT_DIFFERS |
//! | we are undecided still | EXPECTED, then STATUS | UNDECIDED |
//! | the bank has to list it and does not | SHORT¹ | BANK_MISSING |
//! | the biller has to list it and does not | SHORT¹ | BILLER_MISSING |
//! | the amounts differ by what is tolerated | MATCHED | WITHIN_TOLERANCE |
//! | else | MATCHED | ALL_AGREE |
//!
//! Where there are several banks, a line of a bank that our flow did not go to is STATUS by OTHER_BANK, before
//! everything else: whoever knows which bank carried what (`engine/reconcile/weigh.rs`) says so.
//!
//! ¹ EXPECTED by NEAR_CUT_OFF while the pool lasts, if a row of it lies near to the day's edge.
//!
//! Differences that no later file can heal come before those that one can, so that nothing certain waits
//! in the pool. A line takes the word of nobody: with another amount, currency, kind or bill the bank's line
//! settles nothing. A reversal is a flow of its own and is compared like a payment. A biller's line never
//! settles a flow: only the bank moves the payer's money.
//!
//! The amount at risk is how far apart the sides are: the most that any side may have moved less the least,
//! where FAILED and a missing row have moved nothing, PENDING may have moved it or not, a reversal moves
//! back, and several rows add up. Of what matches it is 0. Where the currencies differ nothing can be
//! taken from anything, and it is the largest of the amounts in our currency (the bank's, where we have none);
//! so it is where a line names another bill: all of it went to somebody else.

use super::class::{Class, Rule};
use super::row::{Asked, Bill, Edge, Row, RowState, Sides};
use super::rules::{Rules, Waited};
use crate::domain::flow::FlowKind;
use crate::domain::money::{Currency, Money};

/// What became of one flow number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its class.
    pub class: Class,
    /// The rule that decided.
    pub rule: Rule,
    /// How much money is at stake; 0 of what matches.
    pub at_risk: Money,
    /// What the bank's line proves about a flow that we are undecided about: to be settled at once, with
    /// the line as evidence, whatever the class. Results write it as our state, so that they are the same
    /// before and after it was settled.
    pub proves: Option<RowState>,
}

/// Gives the rows of one flow number their class. `rules` is the list that the rows point into; a row
/// that points past its end falls under the first, and an empty list is the default. `waited` is 0 but
/// for what is looked at again out of the pool.
pub fn classify(sides: Sides<'_>, rules: &[Rules], waited: Waited) -> Verdict {
    let fallback = Rules::default();
    let first = rules.first().unwrap_or(&fallback);
    let judge = Judge {
        sides,
        rules: &|row: &Row| rules.get(usize::from(row.rules)).unwrap_or(first),
        waited,
    };
    let proves = judge.proof();
    let (class, rule) = judge.decide(proves);
    let at_risk = match class {
        Class::Matched => Money::new(0, judge.currency()),
        _ => judge.at_risk(rule, proves),
    };
    Verdict {
        class,
        rule,
        at_risk,
        proves,
    }
}

/// One flow number before the judge.
struct Judge<'a> {
    sides: Sides<'a>,
    rules: &'a dyn Fn(&Row) -> &'a Rules,
    waited: Waited,
}

/// How two amounts stand to each other.
enum Distance {
    Equal,
    Tolerated,
    TooFar,
    Incomparable,
}

impl Judge<'_> {
    /// The table.
    fn decide(&self, proves: Option<RowState>) -> (Class, Rule) {
        let Sides { ours, bank, biller } = self.sides;
        if ours.len() > 1 || bank.len() > 1 || biller.len() > 1 {
            return (Class::Duplicate, Rule::ListedTwice);
        }
        if self.sides.rows().all(|row| row.state == RowState::Failed) {
            return (Class::Matched, Rule::NobodyPaid);
        }
        let (bank, biller) = (bank.first(), biller.first());
        let Some(ours) = ours.first() else {
            return match bank.map(|row| row.state) {
                Some(RowState::Succeeded | RowState::Pending) => {
                    self.unless_near(Class::Long, Rule::NotOurs)
                }
                Some(RowState::Failed) | None => self.unless_near(Class::Long, Rule::BillerAlone),
            };
        };
        let partners = [bank, biller];
        if partners.iter().flatten().any(|row| !same_kind(ours, row)) {
            return (Class::Status, Rule::KindDiffers);
        }
        let state = proves.unwrap_or(ours.state);
        if let Some(rule) = status_rule(state, bank, biller) {
            return (Class::Status, rule);
        }
        if state == RowState::Failed {
            return (Class::Matched, Rule::NobodyPaid);
        }
        if names_other_bill(partners) {
            return (Class::Status, Rule::OtherBill);
        }
        let distance = self.distance(ours, partners);
        match distance {
            Distance::Incomparable => return (Class::Amount, Rule::CurrencyDiffers),
            Distance::TooFar => return (Class::Amount, Rule::AmountDiffers),
            Distance::Equal | Distance::Tolerated => {}
        }
        if state == RowState::Pending {
            return match self.may_wait(ours) {
                true => (Class::Expected, Rule::Undecided),
                false => (Class::Status, Rule::Undecided),
            };
        }
        match (missing(ours.asked, bank, biller), distance) {
            (Some(rule), _) => self.unless_near(Class::Short, rule),
            (None, Distance::Tolerated) => (Class::Matched, Rule::WithinTolerance),
            (None, _) => (Class::Matched, Rule::AllAgree),
        }
    }

    /// A flow that a side lacks is not due yet as long as the neighbour day's file may have it.
    fn unless_near(&self, class: Class, rule: Rule) -> (Class, Rule) {
        let may_be_elsewhere = self
            .sides
            .rows()
            .any(|row| row.edge == Edge::Near && self.may_wait(row));
        match may_be_elsewhere {
            true => (Class::Expected, Rule::NearCutOff),
            false => (class, rule),
        }
    }

    fn may_wait(&self, row: &Row) -> bool {
        (self.rules)(row).may_wait(self.waited)
    }

    /// What the bank's only line proves about our only row, if we are undecided.
    fn proof(&self) -> Option<RowState> {
        let ([ours], [bank]) = (self.sides.ours, self.sides.bank) else {
            return None;
        };
        let is_its = same_kind(ours, bank) && bank.bill == Bill::Agrees;
        let is_about_it = is_its && ours.amount == bank.amount;
        let decides = ours.state == RowState::Pending && bank.state != RowState::Pending;
        (decides && is_about_it).then_some(bank.state)
    }

    /// How far the partners' rows are from ours, at the worst.
    fn distance(&self, ours: &Row, partners: [Option<&Row>; 2]) -> Distance {
        let mut worst = Distance::Equal;
        for row in partners.into_iter().flatten() {
            if row.amount.currency != ours.amount.currency {
                return Distance::Incomparable;
            }
            let apart = row.amount.amount_minor.abs_diff(ours.amount.amount_minor);
            let tolerance = (self.rules)(row).tolerance(ours.amount.currency);
            worst = match (apart, worst) {
                (0, worst) => worst,
                (apart, Distance::Equal | Distance::Tolerated)
                    if apart <= u64::try_from(tolerance).unwrap_or(0) =>
                {
                    Distance::Tolerated
                }
                _ => Distance::TooFar,
            };
        }
        worst
    }

    /// The currency that the amount at risk is in: ours, or the first that there is.
    fn currency(&self) -> Currency {
        let first = self.sides.rows().next();
        first.map_or(Currency::CNY, |row| row.amount.currency)
    }

    /// How far the sides are apart.
    fn at_risk(&self, rule: Rule, proves: Option<RowState>) -> Money {
        let currency = self.currency();
        let comparable = |row: &&Row| row.amount.currency == currency;
        if rule == Rule::OtherBill || !self.sides.rows().all(|row| comparable(&row)) {
            let amounts = self.sides.rows().filter(comparable);
            let largest = amounts.map(|row| row.amount.amount_minor).max();
            return Money::new(largest.unwrap_or(0), currency);
        }
        let Sides { ours, bank, biller } = self.sides;
        let asked = ours.first().map_or(Asked::Nobody, |row| row.asked);
        let settled = |row: &Row| Row {
            state: proves.unwrap_or(row.state),
            ..*row
        };
        let ours = Some(moved(ours.iter().map(settled)));
        let bank = (asked.bank() || !bank.is_empty()).then(|| moved(bank.iter().copied()));
        let biller = (asked.biller() || !biller.is_empty()).then(|| moved(biller.iter().copied()));
        let sides = || [ours, bank, biller].into_iter().flatten();
        let least = sides().map(|(least, _)| least).min().unwrap_or(0);
        let most = sides().map(|(_, most)| most).max().unwrap_or(0);
        // More than an amount can be is at risk only where somebody lists a number many times.
        let apart = i64::try_from(most - least).unwrap_or(i64::MAX);
        Money::new(apart, currency)
    }
}

/// The least and the most that a side's rows may have moved together.
fn moved(rows: impl Iterator<Item = Row>) -> (i128, i128) {
    rows.map(|row| row.moved())
        .fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
}

/// Whether two rows may be about the same thing: who does not tell its kind agrees with both.
fn same_kind(one: &Row, other: &Row) -> bool {
    let kinds: [Option<FlowKind>; 2] = [one.kind, other.kind];
    !matches!(kinds, [Some(one), Some(other)] if one != other)
}

/// Whether a partner's line is about another bill than our flow.
fn names_other_bill(partners: [Option<&Row>; 2]) -> bool {
    let mut lines = partners.into_iter().flatten();
    lines.any(|row| row.bill == Bill::Other)
}

/// Who says something else about the outcome than we do. Where we do not know it there is nothing to
/// contradict.
fn status_rule(ours: RowState, bank: Option<&Row>, biller: Option<&Row>) -> Option<Rule> {
    use RowState::{Failed, Pending, Succeeded};
    let (bank, biller) = (bank.map(|row| row.state), biller.map(|row| row.state));
    let by_bank = match (ours, bank) {
        (Succeeded, Some(Failed)) => Some(Rule::BankSaysNo),
        (Failed, Some(Succeeded)) => Some(Rule::BankSaysYes),
        (Succeeded | Failed, Some(Pending)) => Some(Rule::BankUndecided),
        (Succeeded, Some(Succeeded) | None) | (Failed, Some(Failed) | None) | (Pending, _) => None,
    };
    let by_biller = match (ours, biller) {
        (Succeeded, Some(Failed)) => Some(Rule::BillerSaysNo),
        (Failed, Some(Succeeded)) => Some(Rule::BillerSaysYes),
        (Succeeded | Failed, Some(Pending)) => Some(Rule::BillerUndecided),
        (Succeeded, Some(Succeeded) | None) | (Failed, Some(Failed) | None) | (Pending, _) => None,
    };
    by_bank.or(by_biller)
}

/// Who has to list what succeeded, and does not; the bank first.
fn missing(asked: Asked, bank: Option<&Row>, biller: Option<&Row>) -> Option<Rule> {
    match (bank, biller) {
        (None, _) if asked.bank() => Some(Rule::BankMissing),
        (_, None) if asked.biller() => Some(Rule::BillerMissing),
        _ => None,
    }
}
