//! The tables walked entirely, the rule of two people, and what a profile allows.

use super::*;
use crate::domain::ids::{AdapterName, BillerCode, ItemCode};
use crate::domain::item::{AmountRule, AmountRuleKind, BillNoRule, Category, ItemMode};
use crate::domain::money::Currency;
use crate::domain::region::RegionCode;
use crate::domain::time::Instant;

fn at(seconds: i64) -> Instant {
    Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn code() -> MerchantCode {
    MerchantCode::try_new("portal").unwrap()
}

fn profile() -> Profile {
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

fn draft() -> Dossier {
    Dossier::register(code(), MerchantKind::Channel, profile(), "ann", at(0))
}

fn submitted() -> Dossier {
    draft().submit(0, "ann", at(1)).unwrap()
}

fn hash(dossier: &Dossier) -> String {
    dossier.hash_of(dossier.proposed.as_ref().unwrap())
}

fn tick(item: CheckItem, by: &str) -> Tick {
    Tick {
        item,
        by: by.into(),
        note: "seen".into(),
        at: at(2),
    }
}

fn ticked(dossier: Dossier) -> Dossier {
    let hash = hash(&dossier);
    CheckItem::ALL.iter().fold(dossier, |dossier, item| {
        dossier.check(&hash, tick(*item, "bob")).unwrap()
    })
}

fn active() -> Dossier {
    let ticked = ticked(submitted());
    let approved = ticked.approve(&hash(&ticked), "bob", at(3)).unwrap();
    approved
        .switch(MerchantVerb::Activate, "contract", at(4))
        .unwrap()
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

#[test]
fn the_approval_holds_the_hash_of_what_was_approved() {
    let ticked = ticked(submitted());
    let approved = ticked.approve(&hash(&ticked), "bob", at(3)).unwrap();
    assert_eq!(approved.state, MerchantState::Approved);
    assert_eq!(approved.version, ticked.version + 1);
    assert_eq!(approved.proposed, None);
    let revision = approved.approved.as_ref().unwrap();
    assert_eq!(revision.stage, Stage::Approved);
    assert_eq!(revision.approved_hash, Some(approved.hash_of(revision)));
    assert_eq!(revision.checker.as_deref(), Some("bob"));
}

#[test]
fn who_wrote_or_submitted_it_neither_ticks_nor_approves_nor_rejects() {
    let edited = draft().edit(0, profile(), "carl", at(1)).unwrap();
    let waits = ticked(edited.submit(1, "ann", at(2)).unwrap());
    let hash = hash(&waits);
    for who in ["ann", "carl"] {
        let refused = Err(ReviewError::MakerIsChecker {
            code: code(),
            who: who.into(),
        });
        assert_eq!(waits.approve(&hash, who, at(3)), refused);
        assert_eq!(waits.reject(&hash, "no", who, at(3)), refused);
        assert_eq!(waits.check(&hash, tick(CheckItem::Licence, who)), refused);
    }
    assert!(waits.approve(&hash, "bob", at(3)).is_ok());
}

#[test]
fn an_edit_unticks_and_takes_the_submission_back() {
    let waits = ticked(submitted());
    let read = hash(&waits);
    let other = Profile {
        name_en: "Bigger Portal".into(),
        ..profile()
    };
    let edited = waits.edit(waits.version, other, "ann", at(5)).unwrap();
    assert_eq!(edited.state, MerchantState::Draft);
    assert_eq!(
        edited.approve(&read, "bob", at(6)),
        Err(ReviewError::ContentChanged(code()))
    );
    let again = edited.submit(edited.version, "ann", at(6)).unwrap();
    assert_eq!(
        again.approve(&read, "bob", at(7)),
        Err(ReviewError::ContentChanged(code()))
    );
    let missing = CheckItem::ALL.to_vec();
    assert_eq!(
        again.approve(&hash(&again), "bob", at(7)),
        Err(ReviewError::Unticked {
            code: code(),
            missing
        })
    );
}

#[test]
fn what_is_missing_is_named() {
    let waits = submitted();
    let hash = hash(&waits);
    let one_short = CheckItem::ALL[1..].iter().fold(waits, |dossier, item| {
        dossier.check(&hash, tick(*item, "bob")).unwrap()
    });
    let error = one_short.approve(&hash, "bob", at(3)).unwrap_err();
    assert!(error.to_string().contains(": LICENCE;"), "{error}");
    // The newer note of an item stands.
    let again = one_short.check(
        &hash,
        Tick {
            note: "seen again".into(),
            ..tick(CheckItem::Terms, "carl")
        },
    );
    let ticks = again.unwrap().proposed.unwrap().ticks;
    assert_eq!(ticks.len(), CheckItem::ALL.len() - 1);
    assert_eq!(ticks.last().unwrap().note, "seen again");
}

#[test]
fn the_second_checker_is_told_that_it_is_decided() {
    let waits = ticked(submitted());
    let hash = hash(&waits);
    for (decided, stage) in [
        (waits.approve(&hash, "bob", at(3)).unwrap(), Stage::Approved),
        (
            waits.reject(&hash, "no", "bob", at(3)).unwrap(),
            Stage::Rejected,
        ),
    ] {
        let code = code();
        let refused = Err(ReviewError::AlreadyDecided { code, stage });
        assert_eq!(decided.approve(&hash, "carl", at(4)), refused);
        assert_eq!(decided.reject(&hash, "no", "carl", at(4)), refused);
    }
    assert_eq!(
        draft().approve(&self::hash(&draft()), "bob", at(1)),
        Err(ReviewError::NotSubmitted(code()))
    );
}

#[test]
fn a_rejected_one_is_edited_back_into_a_draft() {
    let waits = submitted();
    let rejected = waits
        .reject(&hash(&waits), "no licence", "bob", at(3))
        .unwrap();
    assert_eq!(rejected.state, MerchantState::Rejected);
    assert_eq!(rejected.reason.as_deref(), Some("no licence"));
    assert!(rejected.submit(rejected.version, "ann", at(4)).is_err());
    let edited = rejected
        .edit(rejected.version, profile(), "ann", at(4))
        .unwrap();
    assert_eq!(
        (edited.state, edited.reason.clone()),
        (MerchantState::Draft, None)
    );
    assert_eq!(edited.proposed.unwrap().number, 2);
}

#[test]
fn what_is_approved_stays_in_force_until_the_other_is_approved() {
    let active = active();
    let wider = Profile {
        limits: Limits::NONE,
        ..profile()
    };
    let edited = active
        .edit(active.version, wider.clone(), "ann", at(5))
        .unwrap();
    assert_eq!(edited.state, MerchantState::Active);
    assert_eq!(edited.approved, active.approved);
    // The maker of the proposal may be the checker of what is in force.
    let waits = edited.submit(edited.version, "bob", at(6)).unwrap();
    let waits = CheckItem::ALL.iter().fold(waits, |dossier, item| {
        dossier.check(&hash(&dossier), tick(*item, "carl")).unwrap()
    });
    assert!(waits.approve(&hash(&waits), "bob", at(7)).is_err());
    let rejected = waits.reject(&hash(&waits), "no", "carl", at(7)).unwrap();
    assert_eq!(rejected.approved, active.approved);
    assert_eq!(
        (rejected.state, rejected.reason),
        (MerchantState::Active, None)
    );
    let approved = waits.approve(&hash(&waits), "carl", at(7)).unwrap();
    assert_eq!(approved.state, MerchantState::Active);
    assert_eq!(approved.approved.unwrap().profile, wider);
}

#[test]
fn an_edit_or_a_submission_says_what_was_read() {
    let draft = draft();
    let changed = Err(ReviewError::Changed(code()));
    assert_eq!(draft.edit(1, profile(), "ann", at(1)), changed);
    assert_eq!(draft.submit(1, "ann", at(1)), changed);
}

#[test]
fn reasons_and_notes_are_words() {
    let waits = submitted();
    let (long, hash) = ("x".repeat(1_001), hash(&waits));
    for words in ["", "  ", "a\u{0}b", long.as_str()] {
        let note = Tick {
            note: words.into(),
            ..tick(CheckItem::Licence, "bob")
        };
        assert_eq!(waits.check(&hash, note), Err(ReviewError::Words("note")));
        let refused = Err(ReviewError::Words("reason"));
        assert_eq!(waits.reject(&hash, words, "bob", at(3)), refused);
        assert_eq!(
            active().switch(MerchantVerb::Suspend, words, at(5)),
            refused
        );
    }
}

#[test]
fn suspending_resuming_and_closing() {
    let suspended = active()
        .switch(MerchantVerb::Suspend, "unpaid", at(5))
        .unwrap();
    assert_eq!(suspended.reason.as_deref(), Some("unpaid"));
    let resumed = suspended
        .switch(MerchantVerb::Resume, "paid", at(6))
        .unwrap();
    assert_eq!(
        (resumed.state, resumed.reason),
        (MerchantState::Active, None)
    );
    let closed = suspended
        .switch(MerchantVerb::Close, "left", at(6))
        .unwrap();
    assert_eq!(closed.state, MerchantState::Closed);
    assert_eq!(
        closed.edit(closed.version, profile(), "ann", at(7)),
        Err(ReviewError::State {
            code: code(),
            state: MerchantState::Closed,
            verb: MerchantVerb::Edit
        })
    );
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
    let printed = format!("{:?}", active());
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
