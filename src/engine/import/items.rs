//! Rows of items: the ones with rules in them.

use super::cells::{Cells, Named, Reference, Spot};
use crate::domain::ids::{AdapterName, BillerCode, ItemCode};
use crate::domain::item::{AmountRule, AmountRuleKind, BillNoRule, Category, Item, ItemMode};
use crate::domain::money::Currency;
use crate::domain::region::RegionCode;
use std::collections::HashMap;

/// Reads an item, and notes the biller and the regions that it names.
pub(super) fn read_item(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<ItemCode, Spot>,
    adapters: &[AdapterName],
    references: &mut Vec<Reference>,
) -> Option<Item> {
    let code: Option<ItemCode> = cells.code("code", "an item's code");
    let biller: Option<BillerCode> = cells.code("biller", "a biller's code");
    let category = cells.one_of("category", Category::ALL, Category::as_str);
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let mode = cells.one_of("mode", ItemMode::ALL, ItemMode::as_str);
    let currency = cells.read("currency", Currency::try_new);
    let amount_rule = read_amount_rule(cells, mode);
    let bill_no_rule = read_bill_no_rule(cells);
    let adapter = read_adapter(cells, adapters);
    let coverage = read_coverage(cells, references);
    let enabled = cells.read("enabled", |word| match word {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    });
    if let Some(biller) = &biller {
        references.push(Reference {
            spot: cells.spot(),
            column: "biller",
            named: Named::Biller(biller.clone()),
        });
    }
    let code = code?;
    cells.once(code.clone(), seen);
    Some(Item {
        code,
        biller: biller?,
        category: category?,
        name_zh: name_zh?,
        name_en: name_en?,
        mode: mode?,
        currency: currency?,
        amount_rule: amount_rule?,
        bill_no_rule: bill_no_rule?,
        adapter: adapter?,
        coverage: coverage?,
        enabled: enabled?,
    })
}

fn read_amount_rule(cells: &mut Cells<'_>, mode: Option<ItemMode>) -> Option<AmountRule> {
    let kinds = AmountRuleKind::ALL;
    let kind = cells.one_of("amount_rule", kinds, AmountRuleKind::as_str);
    let (min_minor, max_minor) = (cells.minor("amount_min"), cells.minor("amount_max"));
    let rule = AmountRule {
        kind: kind?,
        min_minor: min_minor?,
        max_minor: max_minor?,
    };
    if let Err(reason) = rule.check_shape() {
        cells.found("amount_rule", reason);
        return None;
    }
    if rule.kind == AmountRuleKind::Exact && mode == Some(ItemMode::Direct) {
        let reason = "EXACT compares with the bill, and a DIRECT item has none";
        cells.found("amount_rule", reason);
        return None;
    }
    Some(rule)
}

fn read_bill_no_rule(cells: &mut Cells<'_>) -> Option<BillNoRule> {
    let (hint_zh, hint_en) = (cells.text("hint_zh"), cells.text("hint_en"));
    let pattern = cells.needed("bill_no_pattern")?;
    // Alone first: the rule sets it in brackets, which could close one that the pattern opens.
    let hints = hint_zh.zip(hint_en);
    let (zh, en) = hints.clone().unwrap_or_default();
    let rule = regex::Regex::new(pattern).and_then(|_| BillNoRule::try_new(pattern, &zh, &en));
    match rule {
        Ok(rule) => hints.map(|_| rule),
        Err(error) => {
            let told = error.to_string();
            let told = told.lines().last().unwrap_or_default();
            let why = told.strip_prefix("error: ").unwrap_or(told);
            let reason = format!("{pattern:?} is not a regular expression: {why}");
            cells.found("bill_no_pattern", reason);
            None
        }
    }
}

fn read_adapter(cells: &mut Cells<'_>, adapters: &[AdapterName]) -> Option<AdapterName> {
    let adapter: AdapterName = cells.code("adapter", "an adapter's name")?;
    if adapters.contains(&adapter) {
        return Some(adapter);
    }
    let known: Vec<&str> = adapters.iter().map(AdapterName::as_str).collect();
    let reason = if known.is_empty() {
        format!(
            "the settings have no adapter {adapter}, nor any other; name the settings with --config"
        )
    } else {
        let known = known.join(", ");
        format!("the settings have no adapter {adapter}; they have: {known}")
    };
    cells.found("adapter", reason);
    None
}

fn read_coverage(
    cells: &mut Cells<'_>,
    references: &mut Vec<Reference>,
) -> Option<Vec<RegionCode>> {
    let mut coverage = Vec::new();
    let mut is_good = true;
    for code in cells.needed("coverage")?.split(';') {
        match RegionCode::try_new(code) {
            Ok(code) if coverage.contains(&code) => {
                cells.found("coverage", format!("{code} stands twice"));
                is_good = false;
            }
            Ok(code) => {
                coverage.push(code);
                references.push(Reference {
                    spot: cells.spot(),
                    column: "coverage",
                    named: Named::Region(code),
                });
            }
            Err(error) => {
                cells.found("coverage", error);
                is_good = false;
            }
        }
    }
    is_good.then_some(coverage)
}
