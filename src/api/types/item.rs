//! Items, billers, and what is payable where.

use super::money::Money;
use super::region::Region;
use crate::domain::item;
use crate::domain::money;
use crate::engine;
use async_graphql::{Description, Enum, Object};

/// What kind of bill an item is.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "item::Category")]
pub enum Category {
    /// Water (水费).
    Water,
    /// Electric power (电费).
    Power,
    /// Gas (燃气费).
    Gas,
    /// Heating (供暖费).
    Heating,
    /// Telephone and internet (通讯费).
    Telecom,
    /// Cable television (有线电视).
    Tv,
    /// School and tuition (学杂费).
    School,
    /// Property management (物业费).
    Property,
    /// Traffic (交通).
    Traffic,
    /// Anything else (其他).
    Other,
}

/// How an item is paid.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "item::ItemMode")]
pub enum ItemMode {
    /// The bill is looked up first, then paid.
    Lookup,
    /// Paid without a bill, such as a telephone's balance.
    Direct,
}

/// Which amounts an item accepts.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "item::AmountRuleKind")]
pub enum AmountRuleKind {
    /// The bill's amount and nothing else.
    Exact,
    /// The bill's amount (or `least`, where there is no bill) or more.
    AtLeast,
    /// From `least` to `most`.
    Range,
    /// Any amount above zero.
    Any,
}

/// Which amounts an item accepts.
#[derive(Description)]
pub struct AmountRule {
    rule: item::AmountRule,
    currency: money::Currency,
}

#[Object(use_type_description)]
impl AmountRule {
    /// The kind of the rule.
    async fn kind(&self) -> AmountRuleKind {
        self.rule.kind.into()
    }

    /// The least that is accepted, where the rule has a bound of its own.
    async fn least(&self) -> Option<Money> {
        self.money(self.rule.min_minor)
    }

    /// The most that is accepted, where the rule has a bound of its own.
    async fn most(&self) -> Option<Money> {
        self.money(self.rule.max_minor)
    }
}

impl AmountRule {
    fn money(&self, minor: Option<i64>) -> Option<Money> {
        minor.map(|minor| Money(money::Money::new(minor, self.currency)))
    }
}

/// Who is paid (缴费单位).
#[derive(Description)]
pub struct Biller(pub item::Biller);

#[Object(use_type_description)]
impl Biller {
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
}

/// One thing that can be paid to one biller (缴费项目).
#[derive(Description)]
pub struct Item {
    /// The item.
    pub item: item::Item,
    /// Who is paid.
    pub biller: Option<item::Biller>,
}

#[Object(use_type_description)]
impl Item {
    /// The code by which it is named everywhere.
    async fn code(&self) -> &str {
        self.item.code.as_str()
    }

    /// Who is paid; none while the catalogue lacks the biller.
    async fn biller(&self) -> Option<Biller> {
        self.biller.clone().map(Biller)
    }

    /// What kind of bill it is.
    async fn category(&self) -> Category {
        self.item.category.into()
    }

    /// Chinese name.
    async fn name_zh(&self) -> &str {
        &self.item.name_zh
    }

    /// English name.
    async fn name_en(&self) -> &str {
        &self.item.name_en
    }

    /// With a bill or without.
    async fn mode(&self) -> ItemMode {
        self.item.mode.into()
    }

    /// The currency it is paid in, an ISO 4217 code.
    async fn currency(&self) -> &'static str {
        self.item.currency.code()
    }

    /// Which amounts it accepts.
    async fn amount_rule(&self) -> AmountRule {
        AmountRule {
            rule: self.item.amount_rule,
            currency: self.item.currency,
        }
    }

    /// Which bill numbers it accepts: a regular expression over the whole number.
    async fn bill_no_pattern(&self) -> &str {
        self.item.bill_no_rule.source()
    }

    /// What to tell somebody whose bill number breaks the rule, in Chinese.
    async fn bill_no_hint_zh(&self) -> &str {
        &self.item.bill_no_rule.hint_zh
    }

    /// What to tell somebody whose bill number breaks the rule, in English.
    async fn bill_no_hint_en(&self) -> &str {
        &self.item.bill_no_rule.hint_en
    }

    /// Whether it can be paid now.
    async fn enabled(&self) -> bool {
        self.item.enabled
    }
}

/// The items of one category.
#[derive(Description)]
pub struct CategoryGroup(engine::CategoryGroup);

#[Object(use_type_description)]
impl CategoryGroup {
    /// The category.
    async fn category(&self) -> Category {
        self.0.category.into()
    }

    /// Its items, by code.
    async fn items(&self) -> Vec<Item> {
        let with_biller = |(item, biller): &(item::Item, Option<item::Biller>)| Item {
            item: item.clone(),
            biller: biller.clone(),
        };
        self.0.items.iter().map(with_biller).collect()
    }
}

/// What can be paid at a place.
#[derive(Description)]
pub struct PayableItems(pub engine::PayableItems);

#[Object(use_type_description)]
impl PayableItems {
    /// The region that answers: the one that was asked for, the nearest one of the catalogue above
    /// it, or the one nearest to the place.
    async fn region(&self) -> Region {
        Region(self.0.region.clone())
    }

    /// Its items by category: its own and those of the regions above it.
    async fn groups(&self) -> Vec<CategoryGroup> {
        self.0.groups.iter().cloned().map(CategoryGroup).collect()
    }
}
