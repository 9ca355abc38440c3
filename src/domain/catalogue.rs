//! The catalogue: regions, billers, items and merchants, held together and looked up by place.

use super::contract::Contract;
use super::ids::{BillerCode, ItemCode, MerchantCode};
use super::item::{Biller, Category, Item};
use super::merchant::Merchant;
use super::region::{Place, Region, RegionCode, nearest};
use std::collections::BTreeMap;

/// Everything that can be paid, where, and through whom. Read-only once built.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Grows with each import and each change of a merchant; replicas reload when it moves.
    pub version: i64,
    regions: BTreeMap<RegionCode, Region>,
    billers: BTreeMap<BillerCode, Biller>,
    items: BTreeMap<ItemCode, Item>,
    merchants: BTreeMap<MerchantCode, Merchant>,
    places: Vec<Region>,
}

/// The lists that a catalogue is made of, as they are imported. Merchants come in by two people.
#[derive(Clone, Debug, Default)]
pub struct CatalogueParts {
    /// Regions.
    pub regions: Vec<Region>,
    /// Billers.
    pub billers: Vec<Biller>,
    /// Items.
    pub items: Vec<Item>,
    /// What payments cost. They are no part of the look-ups.
    pub contracts: Vec<Contract>,
}

impl CatalogueParts {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
            && self.billers.is_empty()
            && self.items.is_empty()
            && self.contracts.is_empty()
    }
}

impl Catalogue {
    /// Builds the look-ups. A later entry with the same code replaces an earlier one.
    pub fn new(version: i64, parts: CatalogueParts, merchants: Vec<Merchant>) -> Self {
        let places = parts
            .regions
            .iter()
            .filter(|region| region.place.is_some())
            .cloned()
            .collect();
        Self {
            version,
            regions: parts.regions.into_iter().map(|r| (r.code, r)).collect(),
            billers: parts
                .billers
                .into_iter()
                .map(|b| (b.code.clone(), b))
                .collect(),
            items: parts
                .items
                .into_iter()
                .map(|i| (i.code.clone(), i))
                .collect(),
            merchants: merchants.into_iter().map(|m| (m.code.clone(), m)).collect(),
            places,
        }
    }

    /// A region by code.
    pub fn region(&self, code: RegionCode) -> Option<&Region> {
        self.regions.get(&code)
    }

    /// The nearest prefecture or municipality.
    pub fn nearest(&self, place: Place) -> Option<&Region> {
        nearest(&self.places, place)
    }

    /// A biller by code.
    pub fn biller(&self, code: &BillerCode) -> Option<&Biller> {
        self.billers.get(code)
    }

    /// An item by code, on or off.
    pub fn item(&self, code: &ItemCode) -> Option<&Item> {
        self.items.get(code)
    }

    /// A merchant by code.
    pub fn merchant(&self, code: &MerchantCode) -> Option<&Merchant> {
        self.merchants.get(code)
    }

    /// All regions, by code.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// All billers, by code.
    pub fn billers(&self) -> impl Iterator<Item = &Biller> {
        self.billers.values()
    }

    /// All items, on or off, by code.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// What can be paid in a region, grouped by category: items that are on and cover the region or
    /// one of its ancestors.
    pub fn payable(&self, region: RegionCode) -> BTreeMap<Category, Vec<&Item>> {
        let mut groups: BTreeMap<Category, Vec<&Item>> = BTreeMap::new();
        for item in self
            .items
            .values()
            .filter(|item| item.enabled && item.covers(region))
        {
            groups.entry(item.category).or_default().push(item);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AdapterName;
    use crate::domain::item::{AmountRule, AmountRuleKind, BillNoRule, ItemMode};
    use crate::domain::money::Currency;

    fn item(code: &str, category: Category, coverage: &[&str], enabled: bool) -> Item {
        Item {
            code: ItemCode::try_new(code).unwrap(),
            biller: BillerCode::try_new("b").unwrap(),
            category,
            name_zh: code.to_owned(),
            name_en: code.to_owned(),
            mode: ItemMode::Direct,
            currency: Currency::CNY,
            amount_rule: AmountRule {
                kind: AmountRuleKind::Any,
                min_minor: None,
                max_minor: None,
            },
            bill_no_rule: BillNoRule::try_new("[0-9]+", "", "").unwrap(),
            adapter: AdapterName::try_new("bank").unwrap(),
            coverage: coverage
                .iter()
                .map(|c| RegionCode::try_new(c).unwrap())
                .collect(),
            enabled,
        }
    }

    #[test]
    fn a_region_sees_its_own_and_its_ancestors_items_that_are_on() {
        let items = vec![
            item("province", Category::Power, &["440000"], true),
            item("city", Category::Water, &["440300"], true),
            item("elsewhere", Category::Water, &["310000"], true),
            item("off", Category::Gas, &["440000"], false),
            item("both", Category::Power, &["310000", "440000"], true),
        ];
        let catalogue = Catalogue::new(
            1,
            CatalogueParts {
                items,
                ..Default::default()
            },
            Vec::new(),
        );
        let codes = |region: &str| {
            let groups = catalogue.payable(RegionCode::try_new(region).unwrap());
            groups
                .into_iter()
                .map(|(category, items)| {
                    (
                        category,
                        items.iter().map(|i| i.code.to_string()).collect::<Vec<_>>(),
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            codes("440305"),
            [
                (Category::Water, vec!["city".to_owned()]),
                (
                    Category::Power,
                    vec!["both".to_owned(), "province".to_owned()]
                ),
            ]
        );
        assert_eq!(
            codes("440000"),
            [(Category::Power, vec!["both".into(), "province".into()])]
        );
        assert!(codes("110000").is_empty());
    }
}
