//! The little town that every test bank serves: three windows of the bank, five things to pay, two
//! merchants. Each item is there for one way in which a payment can go.

use super::far_side::{Desk, FarSide, Window};
use payhall::domain::catalogue::CatalogueParts;
use payhall::domain::exception::DoubtRules;
use payhall::domain::ids::{AdapterName, BillerCode, ItemCode};
use payhall::domain::item::{AmountRule, AmountRuleKind, BillNoRule, Biller, Category};
use payhall::domain::item::{Item, ItemMode};
use payhall::domain::merchant::MerchantKind;
use payhall::domain::money::Currency;
use payhall::domain::region::{Region, RegionCode, RegionLevel};
use payhall::domain::retry::Ladder;
use payhall::upstream::{Adapter, Upstreams};
use std::sync::Arc;
use std::time::Duration;

/// The merchants by code.
pub const MERCHANTS: [(&str, MerchantKind); 2] = [
    ("portal", MerchantKind::Channel),
    ("app", MerchantKind::Own),
];

/// The windows by adapter name.
const WINDOWS: [(&str, Window); 3] = [
    // Everything that a good bank has.
    (
        "bank",
        Window {
            can_reverse: true,
            idempotent: true,
            tombstones: true,
            binds: true,
        },
    ),
    // Forgets a reversal of what never arrived, and does not bind amounts.
    (
        "rural",
        Window {
            can_reverse: true,
            idempotent: true,
            tombstones: false,
            binds: false,
        },
    ),
    // Cannot reverse, and pays twice when told twice.
    (
        "postal",
        Window {
            can_reverse: false,
            idempotent: false,
            tombstones: false,
            binds: false,
        },
    ),
];

/// The adapters, all of them windows of one far side.
pub fn upstreams(side: &Arc<FarSide>) -> Upstreams {
    Upstreams::new(WINDOWS.map(|(name, window)| {
        let desk = Arc::new(Desk {
            side: side.clone(),
            window,
        });
        Adapter {
            name: AdapterName::try_new(name).unwrap(),
            payments: desk.clone(),
            billers: desk,
            rules: rules(window),
            idempotent: window.idempotent,
            tries: [1, 2, 4].map(Duration::from_secs).to_vec(),
            send_within: Duration::from_secs(5),
            lookup_binds: window.binds,
        }
    }))
}

/// The defaults of the mission.
fn rules(window: Window) -> DoubtRules {
    DoubtRules {
        ladder: Ladder::standard(),
        quick_polls: 18,
        reversal_at: [0, 10, 30, 60, 300, 900].map(Duration::from_secs).to_vec(),
        certainty_window: Duration::from_secs(600),
        not_found_asks: 2,
        case_after: Duration::from_secs(3600),
        can_query: true,
        can_reverse: window.can_reverse,
        tombstones: window.tombstones,
    }
}

/// What can be paid, and who sells it.
pub fn parts() -> CatalogueParts {
    let any = |kind| AmountRule {
        kind,
        min_minor: None,
        max_minor: None,
    };
    let exact = any(AmountRuleKind::Exact);
    let topup = AmountRule {
        kind: AmountRuleKind::Range,
        min_minor: Some(100),
        max_minor: Some(50_000),
    };
    let free = any(AmountRuleKind::Any);
    CatalogueParts {
        contracts: Vec::new(),
        regions: vec![Region {
            code: region(),
            level: RegionLevel::Province,
            name_zh: "上海市".to_owned(),
            name_en: "Shanghai".to_owned(),
            place: None,
        }],
        billers: ["water", "heating", "telecom", "village", "parking"]
            .map(biller)
            .to_vec(),
        items: vec![
            item(
                "water-bill",
                "water",
                ItemMode::Lookup,
                exact,
                "bank",
                "[0-9]{6}",
            ),
            item(
                "heating-bill",
                "heating",
                ItemMode::Lookup,
                exact,
                "rural",
                "H[0-9]{5}",
            ),
            item(
                "topup",
                "telecom",
                ItemMode::Direct,
                topup,
                "bank",
                "1[3-9][0-9]{9}",
            ),
            item(
                "village-topup",
                "village",
                ItemMode::Direct,
                free,
                "rural",
                "V[0-9]{4}",
            ),
            item(
                "parking",
                "parking",
                ItemMode::Direct,
                free,
                "postal",
                "P[0-9]{4}",
            ),
        ],
    }
}

fn region() -> RegionCode {
    RegionCode::try_new("310000").unwrap()
}

fn biller(code: &str) -> Biller {
    Biller {
        code: BillerCode::try_new(code).unwrap(),
        name_zh: code.to_owned(),
        name_en: code.to_owned(),
    }
}

fn item(
    code: &str,
    biller: &str,
    mode: ItemMode,
    rule: AmountRule,
    adapter: &str,
    bill: &str,
) -> Item {
    Item {
        code: ItemCode::try_new(code).unwrap(),
        biller: BillerCode::try_new(biller).unwrap(),
        category: Category::Other,
        name_zh: code.to_owned(),
        name_en: code.to_owned(),
        mode,
        currency: Currency::CNY,
        amount_rule: rule,
        bill_no_rule: BillNoRule::try_new(bill, "单据号", "the number on the bill").unwrap(),
        adapter: AdapterName::try_new(adapter).unwrap(),
        coverage: vec![region()],
        enabled: true,
    }
}
