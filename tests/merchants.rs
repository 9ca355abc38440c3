//! Merchants on both databases: two people, what holds at once on every replica, and limits that hold
//! whatever runs in parallel.

mod support;

use futures_util::future::join_all;
use payhall::domain::ids::{ItemCode, MerchantCode};
use payhall::domain::merchant::{
    CheckItem, Dossier, Limits, MerchantKind, MerchantState, MerchantVerb, Profile, Stage,
};
use payhall::domain::money::Currency;
use payhall::domain::order::{Order, OrderState};
use payhall::domain::refusal::{Refusal, RefusalCode};
use payhall::domain::region::RegionCode;
use payhall::engine::{Actor, EngineError, Onboarding, samples};
use payhall::storage::{Store, audit, merchants};
use std::sync::Arc;
use std::time::Duration;
use support::bank::{TestBank, code, operator, refused};
use support::database::TestDatabase;
use support::given;

fn portal() -> MerchantCode {
    MerchantCode::try_new("portal").unwrap()
}

fn profile() -> Profile {
    samples::profile("portal", "portal", MerchantKind::Channel)
}

fn dossier(bank: &TestBank, merchant: &MerchantCode) -> Dossier {
    let merchant = merchant.clone();
    bank.read(move |c| merchants::find(c, &merchant))
        .expect("the merchant is there")
}

fn hash(dossier: &Dossier) -> String {
    dossier.hash_of(dossier.proposed.as_ref().expect("it has a proposal"))
}

fn tried<T>(
    bank: &TestBank,
    step: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, Refusal> {
    refused(bank.wait(step))
}

/// Two people change the portal's profile.
fn amend(bank: &TestBank, change: impl FnOnce(&mut Profile)) {
    let desk = bank.engine().onboarding();
    let mut other = profile();
    change(&mut other);
    let version = dossier(bank, &portal()).version;
    let maker = operator("ann");
    let edited = bank.wait(desk.edit(&portal(), version, other, &maker));
    let approved = bank.wait(samples::approve(&desk, edited.unwrap()));
    assert_eq!(approved.unwrap().state, MerchantState::Active);
}

/// A merchant that waits for its checker, every item ticked.
fn waiting(bank: &TestBank, merchant: &MerchantCode) -> Dossier {
    let desk = bank.engine().onboarding();
    let (ann, bob) = (operator("ann"), operator("bob"));
    // Each step a second later, so that they can be told in their sequence.
    let next = || bank.advance(Duration::from_secs(1));
    let register = desk.register(merchant, MerchantKind::Channel, profile(), &ann);
    let new = tried(bank, register).unwrap();
    next();
    let mut waits = tried(bank, desk.submit(merchant, new.version, &ann)).unwrap();
    for item in CheckItem::ALL {
        next();
        let read = hash(&waits);
        waits = tried(bank, desk.check(merchant, &read, (*item, "seen"), &bob)).unwrap();
    }
    next();
    waits
}

#[test]
fn every_step_is_stored_as_it_was_and_leaves_one_audit_row() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let newcomer = MerchantCode::try_new("newcomer").unwrap();
        let waits = waiting(&bank, &newcomer);
        assert_eq!(dossier(&bank, &newcomer), waits);
        let desk = bank.engine().onboarding();
        let bob = operator("bob");
        let approved = tried(&bank, desk.approve(&newcomer, &hash(&waits), &bob)).unwrap();
        assert_eq!(dossier(&bank, &newcomer), approved);
        for (verb, state) in [
            (MerchantVerb::Activate, MerchantState::Active),
            (MerchantVerb::Suspend, MerchantState::Suspended),
            (MerchantVerb::Resume, MerchantState::Active),
            (MerchantVerb::Suspend, MerchantState::Suspended),
            (MerchantVerb::Close, MerchantState::Closed),
        ] {
            bank.advance(Duration::from_secs(1));
            let after = tried(&bank, desk.switch(&newcomer, verb, "as agreed", &bob)).unwrap();
            assert_eq!((after.state, &dossier(&bank, &newcomer)), (state, &after));
        }
        let rows = bank.read(|c| audit::about(c, "newcomer"));
        let steps: Vec<&str> = rows.iter().map(|row| row.entry.action.as_str()).collect();
        let mut expected = vec!["MERCHANT_REGISTER", "MERCHANT_SUBMIT"];
        expected.extend([["MERCHANT_CHECK"; 6]].concat());
        expected.extend(["MERCHANT_APPROVE", "MERCHANT_ACTIVATE", "MERCHANT_SUSPEND"]);
        expected.extend(["MERCHANT_RESUME", "MERCHANT_SUSPEND", "MERCHANT_CLOSE"]);
        assert_eq!(steps, expected, "{}", bank.database.kind);
        for pair in rows.windows(2) {
            assert_eq!(pair[1].entry.before, pair[0].entry.after);
        }
        let approval = &rows[8].entry;
        assert_eq!(approval.actor, "operator:bob");
        assert!(approval.detail.as_ref().unwrap().contains(&hash(&waits)));
        let told = format!("{rows:?}");
        let account = profile().account.unwrap();
        for private in [&account.account_no, &profile().contact.email] {
            assert!(!told.contains(private.as_str()), "{told}");
        }
    }
}

#[test]
fn a_code_is_registered_once() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let before = dossier(&bank, &portal());
        let desk = bank.engine().onboarding();
        let (merchant, ann) = (portal(), operator("ann"));
        let again = desk.register(&merchant, MerchantKind::Own, profile(), &ann);
        assert_eq!(code(tried(&bank, again)), RefusalCode::MerchantExists);
        assert_eq!(dossier(&bank, &portal()), before);
    }
}

#[test]
fn two_reviewers_at_once_and_one_wins() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        for round in 0..10 {
            let merchant = MerchantCode::try_new(format!("m{round}")).unwrap();
            let read = hash(&waiting(&bank, &merchant));
            let click = |place: usize, who: &str| {
                let desk = bank.house(place).engine.onboarding();
                let (merchant, read, who) = (merchant.clone(), read.clone(), operator(who));
                bank.start(async move { desk.approve(&merchant, &read, &who).await })
            };
            let clicks = [click(0, "bob"), click(other, "carl")];
            let ended = bank.wait(join_all(clicks)).into_iter();
            let ended: Vec<_> = ended.map(|end| refused(end.unwrap())).collect();
            let losers = ended.into_iter().filter_map(Result::err);
            let losers: Vec<RefusalCode> = losers.map(|refusal| refusal.code).collect();
            assert_eq!(losers, [RefusalCode::MerchantAlreadyDecided]);
            let approvals = bank.read(move |c| audit::about(c, merchant.as_str()));
            let is_approval = |action: &str| action == "MERCHANT_APPROVE";
            let count = approvals
                .iter()
                .filter(|row| is_approval(&row.entry.action));
            assert_eq!(count.count(), 1, "{}", bank.database.kind);
        }
    }
}

/// They are told apart by name. What role the name has by now is not asked.
#[test]
fn the_maker_is_never_the_checker() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let newcomer = MerchantCode::try_new("newcomer").unwrap();
        let waits = waiting(&bank, &newcomer);
        let desk = bank.engine().onboarding();
        let (ann, read) = (operator("ann"), hash(&waits));
        let approve = desk.approve(&newcomer, &read, &ann);
        assert_eq!(code(tried(&bank, approve)), RefusalCode::MakerIsChecker);
        let reject = desk.reject(&newcomer, &read, "no", &ann);
        assert_eq!(code(tried(&bank, reject)), RefusalCode::MakerIsChecker);
        let tick = (CheckItem::Licence, "seen");
        let tick = desk.check(&newcomer, &read, tick, &ann);
        assert_eq!(code(tried(&bank, tick)), RefusalCode::MakerIsChecker);
        assert_eq!(dossier(&bank, &newcomer), waits);
        // And past the program the database refuses it.
        for forged in [
            "SET stage = 'APPROVED', checker = 'operator:ann'",
            "SET stage = 'APPROVED', checker = 'operator:carl', submitter = 'operator:carl'",
            "SET stage = 'APPROVED', checker = 'operator:carl', submitter = NULL",
            "SET stage = 'APPROVED'",
        ] {
            let forged = format!("UPDATE merchant_revisions {forged} WHERE merchant = 'newcomer'");
            assert!(bank.database.execute(&forged).is_err(), "{forged}");
        }
        assert_eq!(dossier(&bank, &newcomer), waits);
    }
}

#[test]
fn what_was_edited_meanwhile_is_not_approved() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let newcomer = MerchantCode::try_new("newcomer").unwrap();
        let waits = waiting(&bank, &newcomer);
        let (desk, ann, bob) = (bank.engine().onboarding(), operator("ann"), operator("bob"));
        let (read, mut other) = (hash(&waits), profile());
        other.account.as_mut().unwrap().account_no = "6222020000009999999".into();
        let edited = tried(&bank, desk.edit(&newcomer, waits.version, other, &ann)).unwrap();
        let late = desk.approve(&newcomer, &read, &bob);
        assert_eq!(
            code(tried(&bank, late)),
            RefusalCode::MerchantContentChanged
        );
        let stale = desk.submit(&newcomer, waits.version, &ann);
        assert_eq!(code(tried(&bank, stale)), RefusalCode::MerchantChanged);
        let again = tried(&bank, desk.submit(&newcomer, edited.version, &ann)).unwrap();
        let late = desk.approve(&newcomer, &read, &bob);
        assert_eq!(
            code(tried(&bank, late)),
            RefusalCode::MerchantContentChanged
        );
        let read = hash(&again);
        let unticked = desk.approve(&newcomer, &read, &bob);
        let unticked = tried(&bank, unticked).unwrap_err();
        assert_eq!(unticked.code, RefusalCode::ChecklistIncomplete);
        assert!(unticked.message.contains("LICENCE"), "{}", unticked.message);
    }
}

#[test]
fn a_profile_names_what_the_catalogue_has() {
    let bank = TestBank::on_sqlite();
    let desk = bank.engine().onboarding();
    let ann = operator("ann");
    let newcomer = MerchantCode::try_new("newcomer").unwrap();
    let with = |change: fn(&mut Profile)| {
        let mut profile = profile();
        change(&mut profile);
        let tried = bank.wait(desk.register(&newcomer, MerchantKind::Channel, profile, &ann));
        refused(tried).unwrap_err()
    };
    let item = |profile: &mut Profile| {
        profile.items.insert(ItemCode::try_new("nothing").unwrap());
    };
    let region = |profile: &mut Profile| {
        profile
            .regions
            .insert(RegionCode::try_new("990000").unwrap());
    };
    let url = |profile: &mut Profile| profile.notify_url = Some("http://example.com/".into());
    for (refusal, field) in [
        (with(item), "items"),
        (with(region), "regions"),
        (with(url), "notifyUrl"),
    ] {
        assert_eq!(refusal.code, RefusalCode::InvalidArgument);
        assert_eq!(refusal.field, Some(field), "{}", refusal.message);
    }
}

/// No refresh, no waiting: the other program only meets it at the next order.
#[test]
fn a_suspension_holds_at_once_on_every_replica() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let made = bank.create("topup", "13800000001", 1_000);
        bank.set_merchant("portal", MerchantState::Suspended);
        let engine = bank.house(other).engine.clone();
        let known = engine.catalogue();
        assert_eq!(
            known.merchant(&portal()).unwrap().state,
            MerchantState::Active,
            "the other program has not heard of it"
        );
        let input = bank.input("topup", "13800000002", 1_000);
        let create = async |input| engine.create(input, &Actor::system()).await;
        let refusal = tried(&bank, create(input.clone()));
        assert_eq!(code(refusal), RefusalCode::MerchantSuspended);
        // A third one hears of it first when it confirms.
        let third = bank.start_replica();
        bank.set_merchant("portal", MerchantState::Active);
        let knows = &bank.house(third).engine;
        bank.wait(knows.refresh_catalogue()).unwrap();
        bank.set_merchant("portal", MerchantState::Suspended);
        let confirmed = bank.confirm_at(third, &made.order_no);
        assert_eq!(code(confirmed), RefusalCode::MerchantSuspended);
        assert_eq!(bank.state(&made.order_no), OrderState::Created);
        assert_eq!(bank.flows(&made.order_no), []);
        // And so does the end of it.
        bank.set_merchant("portal", MerchantState::Active);
        assert!(tried(&bank, create(input)).is_ok());
        let confirmed = bank.confirm_at(third, &made.order_no).unwrap();
        assert_eq!(confirmed.order.state, OrderState::Succeeded);
    }
}

/// Orders that are made while the merchant is suspended under them: whatever was refused is refused by
/// name, and nothing is made after the suspension was answered.
#[test]
fn nothing_is_made_after_a_suspension_was_answered() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        let other = bank.start_replica();
        let callers = (0..200_u32).map(|n| {
            let engine = bank
                .house(if n % 2 == 0 { 0 } else { other })
                .engine
                .clone();
            let input = bank.input("topup", &format!("138{n:08}"), 1_000);
            bank.start(async move { engine.create(input, &Actor::system()).await })
        });
        let callers: Vec<_> = callers.collect();
        bank.set_merchant("portal", MerchantState::Suspended);
        let ended = bank.wait(join_all(callers)).into_iter();
        for end in ended {
            match refused(end.unwrap()) {
                Ok(order) => assert_eq!(order.state, OrderState::Created),
                Err(refusal) => assert_eq!(refusal.code, RefusalCode::MerchantSuspended),
            }
        }
        let (engine, who) = (&bank.house(other).engine, Actor::system());
        for n in 0..20_u32 {
            let input = bank.input("topup", &format!("139{n:08}"), 1_000);
            let late = tried(&bank, engine.create(input, &who));
            assert_eq!(code(late), RefusalCode::MerchantSuspended);
        }
    }
}

#[test]
fn what_is_approved_holds_until_the_other_profile_is_approved() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        let desk = bank.engine().onboarding();
        let (ann, bob) = (operator("ann"), operator("bob"));
        let mut narrow = profile();
        narrow.items.insert(ItemCode::try_new("topup").unwrap());
        narrow.limits = Limits {
            currency: Currency::CNY,
            order_minor: Some(5_000),
            day_minor: None,
        };
        let version = dossier(&bank, &portal()).version;
        let edited = tried(&bank, desk.edit(&portal(), version, narrow, &ann)).unwrap();
        let wide = bank.create("topup", "13800000001", 5_001);
        let approved = bank.wait(samples::approve(&desk, edited)).unwrap();
        assert_eq!(approved.approved.as_ref().unwrap().number, 2);
        let over = bank.try_create(bank.input("topup", "13800000002", 5_001));
        assert_eq!(code(over), RefusalCode::OrderLimitExceeded);
        assert!(
            bank.try_create(bank.input("topup", "13800000003", 5_000))
                .is_ok()
        );
        // Everything is checked again at the confirm.
        let late = bank.confirm(&wide.order_no);
        assert_eq!(code(late), RefusalCode::OrderLimitExceeded);
        let stages = dossier(&bank, &portal());
        assert_eq!(stages.approved.unwrap().stage, Stage::Approved);
        // A rejected proposal changes nothing.
        let version = dossier(&bank, &portal()).version;
        let edited = tried(&bank, desk.edit(&portal(), version, profile(), &ann)).unwrap();
        let waits = tried(&bank, desk.submit(&portal(), edited.version, &ann)).unwrap();
        let (merchant, read) = (portal(), hash(&waits));
        let rejected = desk.reject(&merchant, &read, "not agreed", &bob);
        let rejected = tried(&bank, rejected).unwrap();
        assert_eq!(rejected.state, MerchantState::Active);
        let over = bank.try_create(bank.input("topup", "13800000004", 5_001));
        assert_eq!(code(over), RefusalCode::OrderLimitExceeded);
    }
}

#[test]
fn items_and_regions_are_held_to() {
    let bank = TestBank::on_sqlite();
    amend(&bank, |profile| {
        profile.items.insert(ItemCode::try_new("parking").unwrap());
    });
    let other_item = bank.try_create(bank.input("topup", "13800000001", 1_000));
    assert_eq!(code(other_item), RefusalCode::ItemNotAllowed);
    amend(&bank, |profile| {
        profile
            .regions
            .insert(RegionCode::try_new("310000").unwrap());
    });
    assert!(
        bank.try_create(bank.input("topup", "13800000001", 1_000))
            .is_ok()
    );
}

#[test]
fn the_limit_of_a_day_holds_under_a_hundred_orders_at_once() {
    for database in TestDatabase::all() {
        let mut bank = TestBank::new(database);
        amend(&bank, |profile| {
            profile.limits.day_minor = Some(40_999);
        });
        let other = bank.start_replica();
        let orders: Vec<Order> = bank.topups(100);
        let callers: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(n, order)| {
                bank.start_confirm(if n % 2 == 0 { 0 } else { other }, &order.order_no)
            })
            .collect();
        let ended = bank.wait(join_all(callers)).into_iter();
        let ended: Vec<_> = ended.map(|end| refused(end.unwrap())).collect();
        bank.settle_down();
        let paid = orders.iter().filter(|order| {
            let state = bank.state(&order.order_no);
            assert!(
                matches!(state, OrderState::Succeeded | OrderState::Created),
                "{state}"
            );
            state == OrderState::Succeeded
        });
        assert_eq!(paid.count(), 40, "{}", bank.database.kind);
        let refusals = ended.into_iter().filter_map(Result::err);
        let refusals: Vec<Refusal> = refusals.collect();
        assert_eq!(refusals.len(), 60);
        for refusal in refusals {
            assert_eq!(refusal.code, RefusalCode::DayLimitExceeded, "{refusal}");
        }
        let confirmed = |c: &mut _| merchants::confirmed_on(c, &portal(), given::date(), "CNY");
        assert_eq!(bank.read(confirmed), 40_000);
        // A confirm that is repeated does not count again, and another merchant has its own days.
        let mut again = orders.iter();
        let again = again.find(|order| bank.state(&order.order_no) == OrderState::Succeeded);
        assert!(bank.confirm(&again.unwrap().order_no).is_ok());
        assert_eq!(bank.read(confirmed), 40_000);
        let mut input = bank.input("topup", "13900000001", 50_000);
        input.merchant = MerchantCode::try_new("app").unwrap();
        let order = bank.try_create(input).unwrap();
        assert!(bank.confirm(&order.order_no).is_ok());
        // The next business date begins anew.
        bank.advance(Duration::from_secs(86_400));
        let next = bank.create("topup", "13900000002", 1_000);
        assert!(bank.confirm(&next.order_no).is_ok());
    }
}

#[test]
fn listings_are_narrowed_and_paged() {
    for database in TestDatabase::all() {
        let bank = TestBank::new(database);
        for name in ["a1", "a2", "z1"] {
            let merchant = MerchantCode::try_new(name).unwrap();
            waiting(&bank, &merchant);
        }
        let listed = |states: &[MerchantState], kind, after: Option<&str>, limit| -> Vec<String> {
            let filter = merchants::Filter {
                states: states.to_vec(),
                kind,
            };
            let after = after.map(|code| MerchantCode::try_new(code).unwrap());
            let page = bank.read(move |c| merchants::list(c, &filter, after.as_ref(), limit));
            page.iter().map(|one| one.code.to_string()).collect()
        };
        assert_eq!(
            listed(&[], None, None, 9),
            ["a1", "a2", "app", "portal", "z1"]
        );
        assert_eq!(listed(&[], None, Some("a2"), 2), ["app", "portal"]);
        assert_eq!(
            listed(&[MerchantState::Active], None, None, 9),
            ["app", "portal"]
        );
        assert_eq!(listed(&[], Some(MerchantKind::Own), None, 9), ["app"]);
        let both = [MerchantState::Active, MerchantState::Submitted];
        let channel = Some(MerchantKind::Channel);
        assert_eq!(
            listed(&both, channel, Some("a1"), 9),
            ["a2", "portal", "z1"]
        );
        let page = bank.read(|c| merchants::list(c, &Default::default(), None, 1));
        assert_eq!(
            page[0].proposed.as_ref().unwrap().ticks.len(),
            CheckItem::ALL.len()
        );
    }
}

/// A database of the first schema, with merchants that came with the catalogue.
#[test]
fn merchants_that_were_there_stay() {
    let first = [
        include_str!("../migrations/sqlite/2026-11-22-000000_payment/up.sql"),
        include_str!("../migrations/postgres/2026-11-22-000000_payment/up.sql"),
    ];
    for database in TestDatabase::all() {
        let is_sqlite = database.kind == "sqlite";
        database.execute(first[usize::from(!is_sqlite)]).unwrap();
        let seed = "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
                    run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
                    INSERT INTO __diesel_schema_migrations (version) VALUES ('20261122000000'); \
                    INSERT INTO merchants VALUES ('portal', '门户', 'Portal', 'CHANNEL', 'ACTIVE'), \
                    ('gone', '旧', 'Gone', 'OWN', 'SUSPENDED')";
        database.execute(seed).unwrap();
        let options = database.options("later");
        Store::migrate(&options).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Store::open(&options, Arc::new(|_| ())).unwrap();
            let all = store.read(|c| merchants::list(c, &Default::default(), None, 9));
            let all = all.await.unwrap();
            let told: Vec<_> = all
                .iter()
                .map(|one| {
                    let approved = one.approved.as_ref().unwrap();
                    let name = approved.profile.name_zh.as_str();
                    (one.code.as_str(), name, one.kind, one.state)
                })
                .collect();
            let expected = [
                ("gone", "旧", MerchantKind::Own, MerchantState::Suspended),
                (
                    "portal",
                    "门户",
                    MerchantKind::Channel,
                    MerchantState::Active,
                ),
            ];
            assert_eq!(told, expected, "{}", database.kind);
            // From here on they are changed by two people like any other.
            let clock = Arc::new(payhall::engine::SystemClock);
            let desk = Onboarding::new(store.clone(), clock, false);
            let version = all[1].version;
            let (merchant, ann) = (portal(), operator("ann"));
            let edited = desk
                .edit(&merchant, version, profile(), &ann)
                .await
                .unwrap();
            let approved = samples::approve(&desk, edited).await.unwrap();
            assert_eq!(approved.state, MerchantState::Active);
            store.close().await;
        });
    }
}
