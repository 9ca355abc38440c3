//! The real thing: the engine, over HTTP, with the simulated banks and every one of their bad days;
//! then the checker, which has to agree with all of it.

use crate::support::database::TestDatabase;
use futures_util::StreamExt;
use payhall::cache::{Cache, CacheSettings};
use payhall::check::{CheckOptions, Invariant, Report};
use payhall::domain::case::Decision;
use payhall::domain::catalogue::CatalogueParts;
use payhall::domain::exception::AlarmAges;
use payhall::domain::ids::{AdapterName, BillNo, BillerCode, ItemCode, MerchantCode, RequestNo};
use payhall::domain::item::{
    AmountRule, AmountRuleKind, BillNoRule, Biller, Category, Item, ItemMode,
};
use payhall::domain::merchant::MerchantKind;
use payhall::domain::money::{Currency, Money};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::region::RegionCode;
use payhall::domain::time::BusinessDay;
use payhall::engine::samples;
use payhall::engine::{
    Actor, Alarms, Clock, ConfirmInput, CreateInput, Engine, EngineOptions, EngineParts, Hub,
    KeepTimes, ManualClock, NotifyOptions, Onboarding, Scope, SystemClock,
};
use payhall::sim::{Sim, SimOptions};
use payhall::storage::{Store, cases, flows, orders};
use payhall::upstream::{AdapterSettings, PayCall, Upstreams};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// A center with its simulated world.
struct World {
    database: TestDatabase,
    store: Store,
    engine: Engine,
    upstreams: Upstreams,
    clock: ManualClock,
    sim: Sim,
    folder: TempDir,
}

/// How long a call to a bank may take: a moment where calls hang, and for ever where none does.
const MOMENT_MS: u64 = 400;
const FOR_EVER_MS: u64 = 60_000;

impl World {
    async fn start(database: TestDatabase, timeout_ms: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let sim = payhall::sim::start(SimOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("ledger.jsonl"),
            late_success_ms: 3_600_000,
            ignore_valid_until: true,
            ..SimOptions::default()
        });
        let sim = sim.await.unwrap();
        let options = database.options("center");
        Store::migrate(&options).unwrap();
        let store = Store::open(&options, Arc::new(|_| ())).unwrap();
        let parts = catalogue();
        store
            .solo(move |tx| tx.import_catalogue(&parts))
            .await
            .unwrap();
        let desk = Onboarding::new(store.clone(), Arc::new(SystemClock), false);
        let (code, kind) = (
            MerchantCode::try_new("portal").unwrap(),
            MerchantKind::Channel,
        );
        let profile = samples::profile("门户", "Portal", kind);
        samples::bring_in(&desk, &code, kind, profile)
            .await
            .unwrap();
        let upstreams = upstreams(&sim.url(), timeout_ms);
        // A day back, so that the center's time can be moved and is still before the bank's.
        let clock = ManualClock::new(SystemClock.now() - chrono::Duration::days(1));
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            cache: Cache::open(&CacheSettings::default(), clock.now()).unwrap(),
            upstreams: upstreams.clone(),
            notifier: crate::support::replica::notifier(),
            clock: Arc::new(clock.clone()),
            hub: Hub::default(),
            alarms: Alarms::new(None, Default::default()),
            tasks: Default::default(),
            stop: Default::default(),
            masters: Default::default(),
            options: options_of_the_house(),
            random: 7,
        });
        Self {
            engine: engine.await.unwrap(),
            database,
            store,
            upstreams,
            clock,
            sim,
            folder,
        }
    }

    async fn create(&self, item: &str, bill_no: &str) -> Order {
        let item = ItemCode::try_new(item).unwrap();
        let bill_no = BillNo::try_new(bill_no).unwrap();
        let amount = match self.engine.lookup(&item, &bill_no).await {
            Ok(found) => found.bill.due,
            Err(_) => Money::new(5_000, Currency::CNY),
        };
        let input = CreateInput {
            merchant: MerchantCode::try_new("portal").unwrap(),
            request_no: RequestNo::try_new(format!("{item}-{bill_no}")).unwrap(),
            item,
            bill_no,
            amount,
            pass: None,
        };
        self.engine.create(input, &merchant()).await.unwrap()
    }

    async fn pay(&self, order: Order) {
        let input = ConfirmInput {
            order_no: order.order_no,
            credential: None,
            pass: None,
        };
        self.engine
            .confirm(input, &Scope::All, &merchant())
            .await
            .unwrap();
    }

    /// Polls until nothing is in doubt that is not with people.
    async fn settle(&self) {
        let poller = Actor::job("poll");
        for _ in 0..100 {
            self.clock.advance(Duration::from_secs(120));
            self.engine.poll(None, &poller).await.unwrap();
            self.engine.expire_orders(&poller).await.unwrap();
            let open = self.store.read(orders::count_by_state).await.unwrap();
            if open
                .iter()
                .all(|(state, _)| state == OrderState::Manual.as_str())
            {
                break;
            }
        }
        // The watches after "not found" end here, and the order that nobody confirmed.
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(3_600));
            self.engine.poll(None, &poller).await.unwrap();
            self.engine.expire_orders(&poller).await.unwrap();
        }
    }

    /// Two people decide that an order that no bank ever paid was not paid.
    async fn decide(&self, order: &Order) {
        let number = order.order_no.clone();
        let found = self
            .store
            .read(move |c| cases::of_order(c, &number))
            .await
            .unwrap();
        let [case] = found.as_slice() else {
            panic!("one case is open about {}: {found:?}", order.order_no);
        };
        let person = |name: &str| Actor {
            who: format!("operator:{name}"),
            request_id: None,
        };
        let (ann, bob) = (person("ann"), person("bob"));
        let propose = self
            .engine
            .case_propose(&case.case_no, Decision::Failed, "a letter", &ann);
        let version = propose.await.unwrap().version;
        let approve = self.engine.case_approve(&case.case_no, version, &bob);
        approve.await.unwrap();
    }

    fn options(&self) -> CheckOptions {
        let ledger = self.folder.path().join("ledger.jsonl");
        CheckOptions::new(&self.database.url, ledger, self.clock.now())
    }

    fn check(&self) -> Report {
        let mut options = self.options();
        options.settled = true;
        payhall::check::run(&options).unwrap()
    }
}

fn merchant() -> Actor {
    Actor {
        who: "merchant:portal".to_owned(),
        request_id: None,
    }
}

fn options_of_the_house() -> EngineOptions {
    EngineOptions {
        day: BusinessDay::SHANGHAI,
        closing: Default::default(),
        calendar: Default::default(),
        statements: None,
        order_expiry: Duration::from_secs(7_200),
        answer_within: Duration::from_secs(60),
        orphan_after: Duration::from_secs(60),
        alarm_ages: AlarmAges {
            warn: Duration::from_secs(600),
            critical: Duration::from_secs(3_600),
        },
        case_due: Duration::from_secs(3_600),
        lease: Duration::from_secs(60),
        poll_batch: 100,
        poll_parallel: 16,
        output: None,
        profiles: Default::default(),
        objects: None,
        sandbox: false,
        notify: NotifyOptions::default(),
        keep: KeepTimes::default(),
        instance: "center".to_owned(),
    }
}

fn upstreams(url: &str, timeout_ms: u64) -> Upstreams {
    let text = include_str!("adapters.toml").replace("SIM", url);
    let text = text
        .replace("CONNECT_MS", &(timeout_ms / 2).to_string())
        .replace("CALL_MS", &timeout_ms.to_string());
    let mut sections: BTreeMap<String, toml::Value> = toml::from_str(&text).unwrap();
    let codes = sections.remove("codes").unwrap();
    let settings: BTreeMap<AdapterName, AdapterSettings> = sections
        .into_iter()
        .map(|(name, mut section)| {
            section
                .as_table_mut()
                .unwrap()
                .insert("codes".to_owned(), codes.clone());
            let settings: AdapterSettings = section.try_into().unwrap();
            assert_eq!(settings.check(&name), []);
            (AdapterName::try_new(name).unwrap(), settings)
        })
        .collect();
    Upstreams::from_settings(&settings).unwrap()
}

fn catalogue() -> CatalogueParts {
    let item = |code: &str, biller: &str, mode, rule, pattern, adapter: &str| Item {
        code: ItemCode::try_new(code).unwrap(),
        biller: BillerCode::try_new(biller).unwrap(),
        category: Category::Other,
        name_zh: code.to_owned(),
        name_en: code.to_owned(),
        mode,
        currency: Currency::CNY,
        amount_rule: AmountRule {
            kind: rule,
            min_minor: None,
            max_minor: None,
        },
        bill_no_rule: BillNoRule::try_new(pattern, "", "").unwrap(),
        adapter: AdapterName::try_new(adapter).unwrap(),
        coverage: vec![RegionCode::try_new("310000").unwrap()],
        enabled: true,
    };
    let (any, exact) = (AmountRuleKind::Any, AmountRuleKind::Exact);
    let (direct, lookup) = (ItemMode::Direct, ItemMode::Lookup);
    let items = vec![
        item("power", "bj-power", lookup, exact, "[0-9]{10}", "bank"),
        item(
            "telecom",
            "sh-telecom",
            direct,
            any,
            "1[3-9][0-9]{9}",
            "bank",
        ),
        item("school", "sh-school", direct, any, "S[0-9]{8}", "legacy"),
    ];
    let biller = |item: &Item| Biller {
        code: item.biller.clone(),
        name_zh: item.biller.to_string(),
        name_en: item.biller.to_string(),
    };
    CatalogueParts {
        billers: items.iter().map(biller).collect(),
        items,
        ..CatalogueParts::default()
    }
}

#[tokio::test]
async fn every_bad_day_of_both_banks_ends_without_a_finding() {
    for database in TestDatabase::all() {
        let world = World::start(database, MOMENT_MS).await;
        let mut payments = Vec::new();
        for ending in 9000..=9016 {
            payments.push(world.create("telecom", &format!("1390000{ending}")).await);
            payments.push(world.create("school", &format!("S0000{ending}")).await);
        }
        payments.push(world.create("power", "1234567890").await);
        let never_paid = payments[6].clone();
        assert!(never_paid.bill_no.as_str().ends_with("9003"));
        let cancelled = world.create("telecom", "13811111111").await;
        world
            .engine
            .cancel(&cancelled.order_no, &Scope::All, &merchant())
            .await
            .unwrap();
        world.create("telecom", "13822222222").await;
        futures_util::future::join_all(payments.into_iter().map(|order| world.pay(order))).await;
        world.settle().await;
        world.decide(&never_paid).await;
        let report = world.check();
        let kind = world.database.kind;
        assert!(report.is_clean(), "{kind}: {report}");
        let row = |state: OrderState| {
            let rows = &report.figures.by_state;
            let row = rows.iter().find(|row| row.state == state.as_str());
            row.unwrap_or_else(|| panic!("{kind}: no order is {state}:\n{report}"))
                .clone()
        };
        let paid = row(OrderState::Succeeded);
        assert_eq!(
            (paid.ours_minor, paid.ours_minor),
            (paid.bank_minor, paid.biller_minor)
        );
        for state in [OrderState::Failed, OrderState::Reversed, OrderState::Closed] {
            assert_eq!(
                (row(state).bank_minor, row(state).biller_minor),
                (0, 0),
                "{report}"
            );
        }
        assert!(row(OrderState::Manual).orders > 0 && report.figures.calls.reverse > 0);
        world.sim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_in_the_middle_of_the_work_finds_nothing() {
    for database in TestDatabase::all() {
        let world = World::start(database, FOR_EVER_MS).await;
        let mut payments = Vec::new();
        for number in 0..300 {
            payments.push(world.create("telecom", &format!("139{number:08}")).await);
        }
        let options = world.options();
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let looks = tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::SeqCst) {
                let report = payhall::check::run(&options).unwrap();
                assert!(report.is_clean(), "{report}");
            }
        });
        let paying = payments.into_iter().map(|order| world.pay(order));
        let paying = futures_util::stream::iter(paying).buffer_unordered(8);
        paying.collect::<Vec<()>>().await;
        is_over.store(true, Ordering::SeqCst);
        looks.await.unwrap();
        let report = world.check();
        assert!(report.is_clean(), "{}: {report}", world.database.kind);
        assert_eq!(report.figures.by_state[0].orders, 300, "{report}");
        world.sim.stop().await;
    }
}

#[tokio::test]
async fn a_payment_that_goes_out_twice_is_found_in_a_living_world() {
    let world = World::start(TestDatabase::sqlite(), FOR_EVER_MS).await;
    let order = world.create("school", "S00000001").await;
    world.pay(order.clone()).await;
    assert!(world.check().is_clean());
    let number = order.order_no.clone();
    let found = world
        .store
        .read(move |c| flows::of_orders(c, &[number]))
        .await
        .unwrap();
    let legacy = world.upstreams.get(&found[0].adapter).unwrap();
    let call = PayCall {
        order_no: &order.order_no,
        flow_no: &found[0].flow_no,
        item: &order.item,
        biller: &order.biller,
        bill_no: &order.bill_no,
        bill_ref: None,
        amount: order.amount,
        credential: None,
        valid_until: SystemClock.now(),
    };
    legacy.payments.pay(&call).await;
    let report = world.check();
    let number = order.order_no.to_string();
    assert!(
        report
            .findings
            .iter()
            .all(|one| one.order_no.as_deref() == Some(&number))
    );
    for rule in [
        Invariant::Money,
        Invariant::OneEffect,
        Invariant::Match,
        Invariant::Budget,
    ] {
        assert!(
            report.findings_by_invariant.contains_key(&rule),
            "{rule}: {report}"
        );
    }
    world.sim.stop().await;
}
