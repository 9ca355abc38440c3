//! The tables walked entirely, and what a profile is and allows. (Two people: `review_tests.rs`.)

use super::*;
use crate::domain::ids::{AdapterName, BillerCode, ItemCode};
use crate::domain::item::{AmountRule, AmountRuleKind, BillNoRule, Category, ItemMode};
use crate::domain::money::Currency;
use crate::domain::region::RegionCode;

pub(super) fn code() -> MerchantCode {
    MerchantCode::try_new("portal").unwrap()
}

pub(super) fn profile() -> Profile {
    Profile {
        name_zh: "大门户网".into(),
        name_en: "Big Portal".into(),
        credit_code: Some("91310115000000001U".parse().unwrap()),
        contact: Contact {
            name: "王小明".into(),
            phone: "+86 21 5555-0100".into(),
            email: "desk@example.com".into(),
        },
        account: Some(Account {
            bank_code: "102290000012".into(),
            account_no: "6222020000001234567".into(),
            holder: "大门户网络有限公司".into(),
        }),
        notify_url: Some("https://portal.example.com/notify".into()),
        items: [ItemCode::try_new("phone").unwrap()].into(),
        regions: [RegionCode::try_new("440000").unwrap()].into(),
        limits: Limits {
            currency: Currency::CNY,
            order_minor: Some(10_000),
            day_minor: Some(50_000),
        },
    }
}

/// The whole table: whatever is not named here is refused.
#[test]
fn every_state_takes_these_verbs_and_no_other() {
    use MerchantState as S;
    use MerchantVerb as V;
    let mut table = vec![
        (S::Draft, V::Edit, S::Draft),
        (S::Draft, V::Submit, S::Submitted),
        (S::Submitted, V::Edit, S::Draft),
        (S::Submitted, V::Check, S::Submitted),
        (S::Submitted, V::Approve, S::Approved),
        (S::Submitted, V::Reject, S::Rejected),
        (S::Approved, V::Edit, S::Draft),
        (S::Approved, V::Activate, S::Active),
        (S::Active, V::Suspend, S::Suspended),
        (S::Suspended, V::Resume, S::Active),
        (S::Suspended, V::Close, S::Closed),
        (S::Rejected, V::Edit, S::Draft),
    ];
    for state in [S::Active, S::Suspended] {
        for verb in [V::Edit, V::Submit, V::Check, V::Approve, V::Reject] {
            table.push((state, verb, state));
        }
    }
    let mut taken = 0;
    for state in S::ALL {
        for verb in V::ALL {
            let row = table
                .iter()
                .find(|(from, by, _)| from == state && by == verb);
            let expected = row.map(|(_, _, to)| *to).ok_or(NotInThisState);
            assert_eq!(next(*state, *verb), expected, "{state} {verb}");
            taken += usize::from(expected.is_ok());
        }
    }
    assert_eq!(taken, table.len());
}

#[test]
fn every_stage_takes_these_verbs_and_no_other() {
    use MerchantVerb as V;
    let table = [
        (Stage::Draft, V::Submit, Stage::Submitted),
        (Stage::Submitted, V::Check, Stage::Submitted),
        (Stage::Submitted, V::Approve, Stage::Approved),
        (Stage::Submitted, V::Reject, Stage::Rejected),
    ];
    for stage in Stage::ALL {
        for verb in V::ALL {
            let row = table
                .iter()
                .find(|(from, by, _)| from == stage && by == verb);
            let expected = row.map(|(_, _, to)| *to).ok_or(NotInThisState);
            assert_eq!(stage.after(*verb), expected, "{stage} {verb}");
        }
    }
}

/// One change of each field of a profile.
fn changes() -> Vec<(&'static str, Profile)> {
    let base = profile;
    let contact = |change: fn(&mut Contact)| {
        let mut profile = base();
        change(&mut profile.contact);
        profile
    };
    let account = |change: fn(&mut Account)| {
        let mut profile = base();
        change(profile.account.as_mut().unwrap());
        profile
    };
    let limits = |change: fn(&mut Limits)| {
        let mut profile = base();
        change(&mut profile.limits);
        profile
    };
    vec![
        (
            "name_zh",
            Profile {
                name_zh: "x".into(),
                ..base()
            },
        ),
        (
            "name_en",
            Profile {
                name_en: "x".into(),
                ..base()
            },
        ),
        (
            "credit_code",
            Profile {
                credit_code: None,
                ..base()
            },
        ),
        ("contact.name", contact(|c| c.name.push('x'))),
        ("contact.phone", contact(|c| c.phone.push('1'))),
        ("contact.email", contact(|c| c.email.push('x'))),
        (
            "account",
            Profile {
                account: None,
                ..base()
            },
        ),
        ("account.bank_code", account(|a| a.bank_code.push('1'))),
        ("account.account_no", account(|a| a.account_no.push('1'))),
        ("account.holder", account(|a| a.holder.push('x'))),
        (
            "notify_url",
            Profile {
                notify_url: None,
                ..base()
            },
        ),
        (
            "items",
            Profile {
                items: Default::default(),
                ..base()
            },
        ),
        (
            "regions",
            Profile {
                regions: Default::default(),
                ..base()
            },
        ),
        (
            "currency",
            limits(|l| l.currency = Currency::try_new("USD").unwrap()),
        ),
        ("order_minor", limits(|l| l.order_minor = None)),
        ("day_minor", limits(|l| l.day_minor = Some(50_001))),
    ]
}

#[test]
fn the_hash_covers_every_field_and_whose_they_are() {
    let hash = |profile: &Profile| profile.content_hash(&code(), MerchantKind::Channel);
    let mut seen = vec![hash(&profile())];
    for (field, changed) in changes() {
        assert!(!seen.contains(&hash(&changed)), "{field}");
        seen.push(hash(&changed));
    }
    let other = MerchantCode::try_new("other").unwrap();
    seen.push(profile().content_hash(&other, MerchantKind::Channel));
    seen.push(profile().content_hash(&code(), MerchantKind::Own));
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    // Where one text ends and the next begins is part of it.
    let moved = Profile {
        name_zh: "大门户网B".into(),
        name_en: "ig Portal".into(),
        ..profile()
    };
    assert!(!seen.contains(&hash(&moved)));
}

#[test]
fn each_broken_rule_names_its_field() {
    let account = |change: fn(&mut Account)| {
        let mut profile = profile();
        change(profile.account.as_mut().unwrap());
        profile
    };
    let contact = |change: fn(&mut Contact)| {
        let mut profile = profile();
        change(&mut profile.contact);
        profile
    };
    let url = |url: &str| Profile {
        notify_url: Some(url.into()),
        ..profile()
    };
    let limits = |order_minor, day_minor| Profile {
        limits: Limits {
            currency: Currency::CNY,
            order_minor,
            day_minor,
        },
        ..profile()
    };
    let table = [
        (
            "nameZh",
            Profile {
                name_zh: "".into(),
                ..profile()
            },
        ),
        (
            "nameEn",
            Profile {
                name_en: " x".into(),
                ..profile()
            },
        ),
        (
            "nameEn",
            Profile {
                name_en: "x".repeat(101),
                ..profile()
            },
        ),
        (
            "creditCode",
            Profile {
                credit_code: None,
                ..profile()
            },
        ),
        (
            "account",
            Profile {
                account: None,
                ..profile()
            },
        ),
        ("contactName", contact(|c| c.name = "a\nb".into())),
        ("contactPhone", contact(|c| c.phone = "12345x".into())),
        ("contactPhone", contact(|c| c.phone = "+ - - -".into())),
        ("contactEmail", contact(|c| c.email = "desk@example".into())),
        ("contactEmail", contact(|c| c.email = "a@b@c.d".into())),
        ("bankCode", account(|a| a.bank_code = "12345".into())),
        ("accountNo", account(|a| a.account_no = "12 345 678".into())),
        ("accountHolder", account(|a| a.holder = String::new())),
        ("notifyUrl", url("http://portal.example.com/")),
        ("notifyUrl", url("https://user:secret@portal.example.com/")),
        ("notifyUrl", url("https:///path")),
        ("notifyUrl", url("https://portal.example.com/#x")),
        ("notifyUrl", url("https://portal.example.com/a b")),
        ("notifyUrl", url("ftp://portal.example.com/")),
        ("orderLimitMinor", limits(Some(0), None)),
        ("dayLimitMinor", limits(None, Some(-1))),
        ("dayLimitMinor", limits(Some(2), Some(1))),
    ];
    assert_eq!(profile().check(MerchantKind::Channel, false), Ok(()));
    for (field, broken) in table {
        let error = broken.check(MerchantKind::Channel, false).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
    assert_eq!(
        url("http://127.0.0.1:8401/notify").check(MerchantKind::Channel, true),
        Ok(())
    );
    let own = Profile {
        credit_code: None,
        account: None,
        ..profile()
    };
    assert_eq!(own.check(MerchantKind::Own, false), Ok(()));
}

#[test]
fn persons_and_accounts_are_masked_and_not_printed() {
    let shown = profile().shown(Shown::Masked);
    assert_eq!(shown.contact.name, "王**");
    assert_eq!(shown.contact.email, "d*************om");
    let account = shown.account.as_ref().unwrap();
    assert_eq!(account.account_no, "6****************67");
    assert_eq!(account.holder, "大******公司");
    assert_eq!(profile().shown(Shown::InClear), profile());
    assert_eq!((mask(""), mask("x")), (String::new(), "*".to_owned()));
    let printed = format!("{:?}", profile());
    for hidden in ["王小明", "5555", "desk@", "6222", "有限公司"] {
        assert!(!printed.contains(hidden), "{printed}");
    }
}

fn item(code: &str, coverage: &[&str]) -> Item {
    Item {
        code: ItemCode::try_new(code).unwrap(),
        biller: BillerCode::try_new("b").unwrap(),
        category: Category::Telecom,
        name_zh: code.into(),
        name_en: code.into(),
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
            .map(|code| RegionCode::try_new(code).unwrap())
            .collect(),
        enabled: true,
    }
}

fn at_the_desk(state: MerchantState, profile: Option<Profile>) -> Merchant {
    Merchant {
        code: code(),
        kind: MerchantKind::Channel,
        state,
        profile,
        version: 3,
    }
}

fn refused(merchant: &Merchant, item: &Item, minor: i64, currency: &str) -> Option<RefusalCode> {
    let amount = Money::new(minor, Currency::try_new(currency).unwrap());
    merchant
        .check_order(item, amount)
        .err()
        .map(|refusal| refusal.code)
}

#[test]
fn only_a_merchant_in_operation_makes_orders() {
    let phone = item("phone", &["440300"]);
    for (state, expected) in [
        (MerchantState::Draft, Some(RefusalCode::MerchantNotActive)),
        (
            MerchantState::Submitted,
            Some(RefusalCode::MerchantNotActive),
        ),
        (
            MerchantState::Approved,
            Some(RefusalCode::MerchantNotActive),
        ),
        (MerchantState::Active, None),
        (
            MerchantState::Suspended,
            Some(RefusalCode::MerchantSuspended),
        ),
        (
            MerchantState::Rejected,
            Some(RefusalCode::MerchantNotActive),
        ),
        (MerchantState::Closed, Some(RefusalCode::MerchantClosed)),
    ] {
        let merchant = at_the_desk(state, Some(profile()));
        assert_eq!(refused(&merchant, &phone, 100, "CNY"), expected, "{state}");
        assert_eq!(
            merchant.check_state().err().map(|refusal| refusal.code),
            expected
        );
    }
    let nothing = at_the_desk(MerchantState::Active, None);
    assert_eq!(
        refused(&nothing, &phone, 100, "CNY"),
        Some(RefusalCode::MerchantNotActive)
    );
}

#[test]
fn items_regions_and_limits_hold() {
    let merchant = at_the_desk(MerchantState::Active, Some(profile()));
    let of = |coverage: &[&str]| item("phone", coverage);
    let (order, day) = (
        RefusalCode::OrderLimitExceeded,
        RefusalCode::DayLimitExceeded,
    );
    let region = Some(RefusalCode::RegionNotAllowed);
    for (item, minor, currency, expected) in [
        (of(&["440000"]), 10_000, "CNY", None),
        (of(&["440305"]), 10_000, "CNY", None),
        (of(&["310000", "440300"]), 1, "CNY", None),
        (of(&["310000"]), 1, "CNY", region),
        (
            item("gas", &["440300"]),
            1,
            "CNY",
            Some(RefusalCode::ItemNotAllowed),
        ),
        (of(&["440300"]), 10_001, "CNY", Some(order)),
        (of(&["440300"]), 1, "USD", Some(order)),
    ] {
        assert_eq!(refused(&merchant, &item, minor, currency), expected);
    }
    let mut a_city = profile();
    a_city.regions = [RegionCode::try_new("440300").unwrap()].into();
    let merchant = at_the_desk(MerchantState::Active, Some(a_city));
    assert_eq!(refused(&merchant, &of(&["440000"]), 1, "CNY"), region);
    let mut by_day = profile();
    by_day.limits.order_minor = None;
    let merchant = at_the_desk(MerchantState::Active, Some(by_day));
    assert_eq!(refused(&merchant, &of(&["440300"]), 50_000, "CNY"), None);
    assert_eq!(
        refused(&merchant, &of(&["440300"]), 50_001, "CNY"),
        Some(day)
    );
    let free = Profile {
        items: Default::default(),
        regions: Default::default(),
        limits: Limits::NONE,
        ..profile()
    };
    let merchant = at_the_desk(MerchantState::Active, Some(free));
    let anything = item("gas", &["310000"]);
    assert_eq!(refused(&merchant, &anything, i64::MAX, "USD"), None);
}
