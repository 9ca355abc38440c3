//! 缴费项目: what can be paid, to whom, where, and by which rules.

use super::ids::{AdapterName, BillNo, BillerCode, ItemCode};
use super::money::{Currency, Money};
use super::named_enum;
use super::region::RegionCode;
use regex::Regex;
use serde::{Deserialize, Serialize};

named_enum! {
    /// What kind of bill an item is.
    pub enum Category {
        /// 水费
        Water = "WATER",
        /// 电费
        Power = "POWER",
        /// 燃气费
        Gas = "GAS",
        /// 供暖费
        Heating = "HEATING",
        /// 通讯费
        Telecom = "TELECOM",
        /// 有线电视
        Tv = "TV",
        /// 学杂费
        School = "SCHOOL",
        /// 物业费
        Property = "PROPERTY",
        /// 交通
        Traffic = "TRAFFIC",
        /// 其他
        Other = "OTHER",
    }
}

named_enum! {
    /// How an item is paid.
    pub enum ItemMode {
        /// The bill is fetched from the biller, then paid.
        Lookup = "LOOKUP",
        /// Paid without a bill, such as a telephone's balance.
        Direct = "DIRECT",
    }
}

named_enum! {
    /// The kind of an amount rule.
    pub enum AmountRuleKind {
        /// The bill's amount, nothing else.
        Exact = "EXACT",
        /// The bill's amount (or the item's minimum) or more.
        AtLeast = "AT_LEAST",
        /// Within the item's bounds.
        Range = "RANGE",
        /// Any positive amount.
        Any = "ANY",
    }
}

/// Which amounts an item accepts. Bounds are minor units of the item's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountRule {
    /// The kind of the rule.
    pub kind: AmountRuleKind,
    /// The lower bound of `RANGE`, and of `AT_LEAST` where there is no bill.
    pub min_minor: Option<i64>,
    /// The upper bound of `RANGE`.
    pub max_minor: Option<i64>,
}

/// Why an amount is refused; the message names the bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Zero or less.
    #[error("the amount must be above zero")]
    NotPositive,
    /// Another currency than the item's.
    #[error("this item is paid in {0}")]
    Currency(Currency),
    /// `EXACT`, and it is another amount.
    #[error("the bill is {due}: exactly that is to be paid")]
    NotExact {
        /// What is due.
        due: Money,
    },
    /// Below the lower bound.
    #[error("at least {least} is to be paid")]
    TooLittle {
        /// The least that is accepted.
        least: Money,
    },
    /// Above the upper bound.
    #[error("at most {most} can be paid")]
    TooMuch {
        /// The most that is accepted.
        most: Money,
    },
    /// An `EXACT` item without a bill to compare with.
    #[error("the bill's amount is not known, so it cannot be compared")]
    NoBill,
}

impl AmountRule {
    /// Checks the shape of the rule itself: `RANGE` has both bounds, in order.
    pub fn check_shape(&self) -> Result<(), &'static str> {
        match (self.kind, self.min_minor, self.max_minor) {
            (AmountRuleKind::Range, Some(min), Some(max)) if 0 < min && min <= max => Ok(()),
            (AmountRuleKind::Range, ..) => {
                Err("RANGE needs amount_min and amount_max, 0 < min <= max")
            }
            (AmountRuleKind::AtLeast, min, None) if min.is_none_or(|m| m > 0) => Ok(()),
            (AmountRuleKind::AtLeast, ..) => Err("AT_LEAST takes amount_min only, above zero"),
            (_, None, None) => Ok(()),
            _ => Err("EXACT and ANY take neither amount_min nor amount_max"),
        }
    }

    /// Checks an amount against the rule and, where there is one, the bill.
    pub fn check(
        &self,
        currency: Currency,
        amount: Money,
        due: Option<Money>,
    ) -> Result<(), AmountError> {
        if amount.currency != currency {
            return Err(AmountError::Currency(currency));
        }
        if amount.amount_minor <= 0 {
            return Err(AmountError::NotPositive);
        }
        let money = |minor| Money::new(minor, currency);
        match self.kind {
            AmountRuleKind::Any => Ok(()),
            AmountRuleKind::Exact => match due {
                None => Err(AmountError::NoBill),
                Some(due) if due == amount => Ok(()),
                Some(due) => Err(AmountError::NotExact { due }),
            },
            AmountRuleKind::AtLeast => {
                let least = due.map_or(self.min_minor.unwrap_or(1), |due| due.amount_minor);
                if amount.amount_minor < least {
                    return Err(AmountError::TooLittle {
                        least: money(least),
                    });
                }
                Ok(())
            }
            AmountRuleKind::Range => {
                let (min, max) = (
                    self.min_minor.unwrap_or(1),
                    self.max_minor.unwrap_or(i64::MAX),
                );
                if amount.amount_minor < min {
                    return Err(AmountError::TooLittle { least: money(min) });
                }
                if amount.amount_minor > max {
                    return Err(AmountError::TooMuch { most: money(max) });
                }
                Ok(())
            }
        }
    }
}

/// The biller's own rule for bill numbers: a regular expression over the whole number, and a hint
/// for the person who typed it wrong. Compiled once, when the catalogue is read.
#[derive(Clone, Debug)]
pub struct BillNoRule {
    pattern: Regex,
    source: String,
    /// What to tell somebody whose number breaks the rule, in Chinese.
    pub hint_zh: String,
    /// The same in English.
    pub hint_en: String,
}

impl BillNoRule {
    /// Compiles the pattern; it is anchored at both ends whether it says so or not.
    pub fn try_new(source: &str, hint_zh: &str, hint_en: &str) -> Result<Self, regex::Error> {
        let pattern = regex::RegexBuilder::new(&format!("^(?:{source})$"))
            .size_limit(1 << 18)
            .unicode(true)
            .build()?;
        Ok(Self {
            pattern,
            source: source.to_owned(),
            hint_zh: hint_zh.to_owned(),
            hint_en: hint_en.to_owned(),
        })
    }

    /// Whether a bill number keeps the rule.
    pub fn accepts(&self, bill_no: &BillNo) -> bool {
        self.pattern.is_match(bill_no.as_str())
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for BillNoRule {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.hint_zh, &self.hint_en)
            == (&other.source, &other.hint_zh, &other.hint_en)
    }
}

/// 缴费单位: who is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Biller {
    /// The code by which it is named everywhere.
    pub code: BillerCode,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
}

/// 缴费项目: one thing that can be paid to one biller.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The code by which it is named everywhere.
    pub code: ItemCode,
    /// Who is paid.
    pub biller: BillerCode,
    /// What kind of bill it is.
    pub category: Category,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// With a bill or without.
    pub mode: ItemMode,
    /// The currency it is paid in.
    pub currency: Currency,
    /// Which amounts it accepts.
    pub amount_rule: AmountRule,
    /// Which bill numbers it accepts.
    pub bill_no_rule: BillNoRule,
    /// The upstream adapter that pays it and looks its bills up.
    pub adapter: AdapterName,
    /// Where it is offered; a code covers everything below it.
    pub coverage: Vec<RegionCode>,
    /// Whether it can be paid now.
    pub enabled: bool,
}

impl Item {
    /// Whether the item is offered in a region: its own code or an ancestor's is covered.
    pub fn covers(&self, region: RegionCode) -> bool {
        region
            .with_ancestors()
            .iter()
            .any(|code| self.coverage.contains(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cny(minor: i64) -> Money {
        Money::new(minor, Currency::CNY)
    }

    fn rule(kind: AmountRuleKind, min: Option<i64>, max: Option<i64>) -> AmountRule {
        AmountRule {
            kind,
            min_minor: min,
            max_minor: max,
        }
    }

    #[test]
    fn each_amount_rule_accepts_and_refuses() {
        use AmountRuleKind::*;
        let due = Some(cny(500));
        let table = [
            (rule(Exact, None, None), cny(500), due, true),
            (rule(Exact, None, None), cny(499), due, false),
            (rule(Exact, None, None), cny(500), None, false),
            (rule(AtLeast, None, None), cny(501), due, true),
            (rule(AtLeast, None, None), cny(499), due, false),
            (rule(AtLeast, Some(100), None), cny(100), None, true),
            (rule(AtLeast, Some(100), None), cny(99), None, false),
            (rule(Range, Some(100), Some(200)), cny(100), None, true),
            (rule(Range, Some(100), Some(200)), cny(200), None, true),
            (rule(Range, Some(100), Some(200)), cny(99), None, false),
            (rule(Range, Some(100), Some(200)), cny(201), None, false),
            (rule(Any, None, None), cny(1), None, true),
            (rule(Any, None, None), cny(0), None, false),
            (rule(Any, None, None), cny(-1), None, false),
        ];
        for (rule, amount, due, accepted) in table {
            let verdict = rule.check(Currency::CNY, amount, due);
            assert_eq!(
                verdict.is_ok(),
                accepted,
                "{rule:?} {amount} {due:?}: {verdict:?}"
            );
        }
        let usd = Money::new(500, Currency::try_new("USD").unwrap());
        let refused = rule(Any, None, None).check(Currency::CNY, usd, None);
        assert_eq!(refused, Err(AmountError::Currency(Currency::CNY)));
    }

    #[test]
    fn a_bill_number_rule_is_anchored() {
        let rule = BillNoRule::try_new("[0-9]{4}", "四位数字", "four digits").unwrap();
        assert!(rule.accepts(&BillNo::try_new("1234").unwrap()));
        assert!(!rule.accepts(&BillNo::try_new("12345").unwrap()));
        assert!(!rule.accepts(&BillNo::try_new("x1234").unwrap()));
        assert!(BillNoRule::try_new("[0-9", "", "").is_err());
    }
}
