//! The world that the tests call.

use crate::api::{Api, ApiOptions, ApiParts, Introspection, LimitOptions, Principal, Tokens};
use crate::cache::{Cache, CacheSettings, Snapshot};
use crate::domain::bill::{Bill, LookupError};
use crate::domain::catalogue::CatalogueParts;
use crate::domain::exception::{AlarmAges, DoubtRules};
use crate::domain::ids::{AdapterName, BillNo, BillerCode, ItemCode, MerchantCode, OrderNo};
use crate::domain::item::{
    AmountRule, AmountRuleKind, BillNoRule, Biller, Category, Item, ItemMode,
};
use crate::domain::job::{CatchUp, JobInfo};
use crate::domain::merchant::{MerchantKind, MerchantVerb};
use crate::domain::money::{Currency, Money};
use crate::domain::operator::Role;
use crate::domain::outcome::{Cause, Receipt, Reply};
use crate::domain::region::{Place, Region, RegionCode, RegionLevel};
use crate::domain::retry::{Ladder, Rung};
use crate::domain::time::{BusinessDate, BusinessDay, Instant};
use crate::engine::{
    Actor, Alarms, Clock, Engine, EngineOptions, EngineParts, Hub, JobBook, KeepTimes, ManualClock,
    Onboarding, Operators, OperatorsParts, PasswordCost, Passwords, Standing, samples,
};
use crate::output::Objects;
use crate::storage::{Committed, StorageOptions, Store, StoreError};
use crate::trust::Masters;
use crate::upstream::{
    Adapter, BillerLink, HttpNotifier, PayCall, PaymentSystem, QueryCall, Reach, ReverseCall,
    SystemNames, Upstreams,
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::{Endpoint, Request};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tokens of the callers that every test knows.
pub const ALPHA: &str = "token-of-merchant-alpha";
pub const BETA: &str = "token-of-merchant-beta";
pub const APP: &str = "token-of-the-own-app";
pub const GONE: &str = "token-of-a-suspended-one";
pub const VIEWER: &str = "token-of-vera-viewer";
pub const OPERATOR: &str = "token-of-olga-operator";
pub const REVIEWER: &str = "token-of-rudi-reviewer";
pub const ADMIN: &str = "token-of-anna-admin";
pub const AUDITOR: &str = "token-of-ada-auditor";
/// Olga, after she was made a reviewer.
pub const PROMOTED: &str = "token-of-olga-promoted";

/// A bank that answers what it is told to; untold, it pays, and knows nothing when it is asked.
#[derive(Default)]
pub struct Bank {
    pays: Mutex<VecDeque<Reply>>,
    queries: Mutex<VecDeque<Reply>>,
    credentials: Mutex<Vec<String>>,
    lookups: Mutex<u32>,
}

impl Bank {
    pub fn will_pay(&self, reply: Reply) {
        self.pays.lock().unwrap().push_back(reply);
    }

    pub fn will_tell(&self, reply: Reply) {
        self.queries.lock().unwrap().push_back(reply);
    }

    pub fn credentials(&self) -> Vec<String> {
        self.credentials.lock().unwrap().clone()
    }

    pub fn lookups(&self) -> u32 {
        *self.lookups.lock().unwrap()
    }
}

pub fn succeeded() -> Reply {
    Reply::Succeeded(Receipt {
        code: "1".into(),
        upstream_ref: Some("BANK-1".into()),
        message: Some("paid".into()),
    })
}

pub fn refused(reason: &str) -> Reply {
    Reply::Refused {
        reason: reason.into(),
        receipt: Receipt::default(),
    }
}

#[async_trait]
impl PaymentSystem for Bank {
    async fn pay(&self, call: &PayCall<'_>) -> Reply {
        if let Some(credential) = call.credential {
            let text = credential.expose_secret().to_owned();
            self.credentials.lock().unwrap().push(text);
        }
        self.pays
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(succeeded)
    }

    async fn query(&self, _: &QueryCall<'_>) -> Reply {
        let told = self.queries.lock().unwrap().pop_front();
        told.unwrap_or(Reply::Unknown(Cause::TimedOut))
    }

    async fn reverse(&self, _: &ReverseCall<'_>) -> Reply {
        Reply::Unknown(Cause::TimedOut)
    }
}

/// Bills of 86.50; a number that ends in 0 is paid already, one that ends in 9 is not known.
#[async_trait]
impl BillerLink for Bank {
    async fn lookup(
        &self,
        _: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError> {
        *self.lookups.lock().unwrap() += 1;
        match bill_no.as_str().chars().last() {
            Some('0') => Err(LookupError::AlreadyPaid),
            Some('9') => Err(LookupError::NotFound),
            _ => Ok(Bill {
                bill_no: bill_no.clone(),
                due: Money::new(8_650, currency),
                period: Some("2026-10".into()),
                holder_masked: Some("王*".into()),
                bill_ref: Some("REF".into()),
            }),
        }
    }
}

/// Two jobs, five minutes after midnight in Shanghai, one after the other.
pub struct Book;

impl JobBook for Book {
    fn jobs(&self, now: Instant) -> Vec<JobInfo> {
        let job = |name, after: &[&str]| JobInfo {
            name,
            schedule: "0 5 0 * * *".to_owned(),
            zone: chrono_tz::Tz::Asia__Shanghai,
            catch_up: CatchUp::RunAll,
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            alarm_at: chrono::NaiveTime::from_hms_opt(9, 0, 0),
            lease: Duration::from_secs(60),
            timeout: Duration::from_secs(600),
            why: "a test".to_owned(),
            next_due: self.next_due(name, now),
        };
        vec![
            job("poll_exceptions", &[]),
            job("watch_runs", &["poll_exceptions"]),
        ]
    }

    fn standing(
        &self,
        _: &Engine,
        _: &str,
        _: BusinessDate,
    ) -> BoxFuture<'static, Result<Standing, StoreError>> {
        Box::pin(std::future::ready(Ok(Standing::AsRunsSay)))
    }

    fn next_due(&self, _: &str, after: Instant) -> Option<Instant> {
        let day = BusinessDay::SHANGHAI;
        let due = |date| day.begin_of(date) + chrono::TimeDelta::minutes(5);
        let today = day.date_of(after);
        [due(today), due(today.next())]
            .into_iter()
            .find(|due| *due > after)
    }
}

/// What a call brought.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The data; an error is a failure of the test.
    pub fn data(&self) -> Value {
        let json = self.json();
        assert!(json["errors"].is_null(), "{}", self.text);
        json["data"].clone()
    }

    /// The first error.
    pub fn error(&self) -> Value {
        let json = self.json();
        assert!(json["errors"][0].is_object(), "{}", self.text);
        json["errors"][0].clone()
    }

    /// The code of the first error.
    pub fn code(&self) -> String {
        let code = &self.error()["extensions"]["code"];
        code.as_str().unwrap_or_default().to_owned()
    }
}

/// A center with an API.
pub struct World {
    pub api: Api,
    pub engine: Engine,
    pub operators: Operators,
    pub store: Store,
    pub clock: ManualClock,
    pub bank: Arc<Bank>,
    pub stop: CancellationToken,
    announces: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ApiOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new("2026-11-22T04:00:00Z".parse().unwrap());
        let cache = Cache::open(&CacheSettings::default(), clock.now()).unwrap();
        let hub = Hub::default();
        let options = storage_options(dir.path().join("payhall.db").to_str().unwrap());
        Store::migrate(&options).unwrap();
        let announces = Arc::new(AtomicBool::new(true));
        let listener = mirror(cache.clone(), hub.clone(), announces.clone());
        let store = Store::open(&options, listener).unwrap();
        let parts = catalogue();
        store
            .solo(move |tx| tx.import_catalogue(&parts))
            .await
            .unwrap();
        bring_merchants_in(&store).await;
        let bank = Arc::new(Bank::default());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            cache,
            upstreams: Upstreams::new([adapter(bank.clone())]),
            notifier: notifier(),
            clock: Arc::new(clock.clone()),
            hub,
            alarms: Alarms::new(None, tasks.clone()),
            tasks,
            stop: stop.clone(),
            masters: Masters::read(["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap(),
            options: engine_options(dir.path()),
            random: 7,
        })
        .await
        .unwrap();
        let operators = Operators::new(OperatorsParts {
            store: store.clone(),
            clock: Arc::new(clock.clone()),
            passwords: Passwords::try_new(PasswordCost::LEAST).unwrap(),
            seal: None,
        });
        let mut api_options = ApiOptions {
            playground: true,
            // As behind a gateway; limits are what their own tests are about.
            https: true,
            limits: LimitOptions::off(),
            ..ApiOptions::default()
        };
        change(&mut api_options);
        let api = Api::new(ApiParts {
            engine: engine.clone(),
            jobs: Arc::new(Book),
            operators: operators.clone(),
            #[cfg(feature = "oidc")]
            provider: None,
            tokens: tokens(),
            options: api_options,
            ready: Arc::new(|| Box::pin(std::future::ready(Ok("ready\n".to_owned())))),
            metrics: Arc::new(|| "payhall_up 1\n".to_owned()),
            stop: stop.clone(),
        });
        Self {
            api,
            engine,
            operators,
            store,
            clock,
            bank,
            stop,
            announces,
            _dir: dir,
        }
    }

    /// A world whose schema everybody may ask for.
    pub async fn open() -> Self {
        Self::with(|options| options.introspection = Introspection::Everyone).await
    }

    /// From now on moves are announced to nobody, as if another replica made them.
    pub fn silence(&self) {
        self.announces.store(false, Ordering::SeqCst);
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request) -> Answer {
        let mut response = self.api.routes().get_response(request).await;
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.take_body().into_string().await.unwrap(),
        }
    }

    /// Asks as somebody, or as nobody.
    pub async fn ask(&self, token: Option<&str>, document: &str, variables: Value) -> Answer {
        let body = json!({ "query": document, "variables": variables });
        let mut request = Request::builder()
            .method(Method::POST)
            .uri_str("/graphql")
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(body.to_string())).await
    }

    /// Asks, and takes the data out of the one field of the answer.
    pub async fn field(&self, token: &str, document: &str, variables: Value) -> Value {
        let data = self.ask(Some(token), document, variables).await.data();
        let fields = data.as_object().unwrap();
        assert_eq!(fields.len(), 1, "{data}");
        fields.values().next().unwrap().clone()
    }

    /// Makes an order of 50.00 for a telephone and gives its number.
    pub async fn order(&self, token: &str, request_no: &str, bill_no: &str) -> String {
        let made = self.create(token, request_no, bill_no, "5000").await;
        assert_eq!(made["userErrors"], json!([]));
        made["order"]["orderNo"].as_str().unwrap().to_owned()
    }

    pub async fn create(&self, token: &str, request_no: &str, bill_no: &str, minor: &str) -> Value {
        let input = json!({
            "requestNo": request_no,
            "item": "phone",
            "billNo": bill_no,
            "amount": { "minor": minor, "currency": "CNY" },
        });
        self.field(token, CREATE, json!({ "input": input })).await
    }

    pub async fn confirm(&self, token: &str, order_no: &str) -> Value {
        let input = json!({ "orderNo": order_no, "credential": "123456" });
        self.field(token, CONFIRM, json!({ "input": input })).await
    }

    /// An order of alpha in doubt, which has become a case: the numbers of both.
    pub async fn case(&self) -> (String, String) {
        let order_no = self.order(ALPHA, "R-CASE", "13800000001").await;
        self.bank.will_pay(Reply::Unknown(Cause::TimedOut));
        let confirmed = self.confirm(ALPHA, &order_no).await;
        assert_eq!(confirmed["order"]["state"], "UNKNOWN");
        self.clock.advance(Duration::from_secs(7_200));
        self.engine.poll(None, &Actor::job("poll")).await.unwrap();
        let number = OrderNo::try_new(order_no.clone()).unwrap();
        let cases = self.engine.cases_of(&number).await.unwrap();
        (cases[0].case_no.to_string(), order_no)
    }
}

pub const CREATE: &str = "mutation($input: OrderCreateInput!) { orderCreate(input: $input) {
    order { orderNo state amount { minor currency display } version }
    userErrors { code field message retry orderNo } } }";

pub const CONFIRM: &str = "mutation($input: OrderConfirmInput!) { orderConfirm(input: $input) {
    order { orderNo state reason flows { flowNo kind state } }
    askAgainAfterSeconds userErrors { code field message retry orderNo } } }";

pub const CANCEL: &str = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) {
    order { orderNo state reason } userErrors { code field message retry orderNo } } }";

fn mirror(
    cache: Cache,
    hub: Hub,
    announces: Arc<AtomicBool>,
) -> Arc<dyn Fn(Committed) + Send + Sync> {
    Arc::new(move |committed| {
        let orders = committed.orders.iter().cloned().map(Snapshot::Order);
        let flows = committed.flows.iter().cloned().map(Snapshot::Flow);
        cache.mirror(orders.chain(flows).collect());
        if announces.load(Ordering::SeqCst) {
            hub.announce(&committed.orders);
        }
    })
}

fn storage_options(path: &str) -> StorageOptions {
    StorageOptions {
        url: format!("sqlite:{path}"),
        readers: 4,
        writers: 1,
        batch_max: 64,
        queue_max: 256,
        pool_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
        lock_timeout: Duration::from_secs(10),
        instance: "test".into(),
    }
}

fn engine_options(dir: &Path) -> EngineOptions {
    EngineOptions {
        day: BusinessDay::SHANGHAI,
        closing: Default::default(),
        calendar: Default::default(),
        statements: Some(Arc::new(super::night::statement_rules(dir))),
        order_expiry: Duration::from_secs(7_200),
        answer_within: Duration::from_secs(8),
        orphan_after: Duration::from_secs(60),
        alarm_ages: AlarmAges {
            warn: Duration::from_secs(600),
            critical: Duration::from_secs(3_600),
        },
        case_due: Duration::from_secs(3_600),
        lease: Duration::from_secs(60),
        poll_batch: 10,
        poll_parallel: 2,
        output: None,
        profiles: Default::default(),
        objects: Some(Objects::folder(&dir.join("files")).unwrap()),
        sandbox: false,
        notify: Default::default(),
        keep: KeepTimes::default(),
        instance: "test".into(),
    }
}

fn notifier() -> Arc<HttpNotifier> {
    let timeout = Duration::from_secs(5);
    Arc::new(HttpNotifier::try_new(Reach::Public, timeout, Arc::new(SystemNames)).unwrap())
}

fn adapter(bank: Arc<Bank>) -> Adapter {
    Adapter {
        name: AdapterName::try_new("bank").unwrap(),
        payments: bank.clone(),
        billers: bank,
        rules: DoubtRules {
            ladder: Ladder {
                rungs: vec![Rung {
                    wait_s: 10,
                    times: 3,
                }],
                then_s: 3_600,
            },
            quick_polls: 3,
            reversal_at: vec![],
            certainty_window: Duration::from_secs(600),
            not_found_asks: 2,
            case_after: Duration::from_secs(3_600),
            can_query: true,
            can_reverse: false,
            tombstones: false,
        },
        idempotent: true,
        tries: vec![],
        send_within: Duration::from_secs(60),
        lookup_binds: true,
    }
}

fn tokens() -> Tokens {
    let merchant = |code: &str, kind| Principal::Merchant {
        code: MerchantCode::try_new(code).unwrap(),
        kind,
    };
    let operator = |name: &str, role| Principal::Operator {
        name: name.into(),
        role,
    };
    let entries = [
        (ALPHA, merchant("alpha", MerchantKind::Channel)),
        (BETA, merchant("beta", MerchantKind::Channel)),
        (APP, merchant("app", MerchantKind::Own)),
        (GONE, merchant("gone", MerchantKind::Channel)),
        (VIEWER, operator("vera", Role::Viewer)),
        (OPERATOR, operator("olga", Role::Operator)),
        (REVIEWER, operator("rudi", Role::Reviewer)),
        (ADMIN, operator("anna", Role::Admin)),
        (AUDITOR, operator("ada", Role::Auditor)),
        (PROMOTED, operator("olga", Role::Reviewer)),
    ];
    let entries = entries.map(|(token, who)| (SecretString::from(token), who));
    Tokens::try_new(entries).unwrap()
}

fn catalogue() -> CatalogueParts {
    let region = |code: &str, level, name: &str, place: Option<(&str, &str)>| Region {
        code: RegionCode::try_new(code).unwrap(),
        level,
        name_zh: name.into(),
        name_en: name.into(),
        place: place.map(|(latitude, longitude)| Place::parse(latitude, longitude).unwrap()),
    };
    let shenzhen = Some(("22.5431", "114.0579"));
    let shanghai = Some(("31.2304", "121.4737"));
    CatalogueParts {
        contracts: Vec::new(),
        regions: vec![
            region("440000", RegionLevel::Province, "Guangdong", None),
            region("440300", RegionLevel::Prefecture, "Shenzhen", shenzhen),
            region("310000", RegionLevel::Province, "Shanghai", shanghai),
        ],
        billers: vec![Biller {
            code: BillerCode::try_new("utility").unwrap(),
            name_zh: "公用事业".into(),
            name_en: "Utility".into(),
        }],
        items: vec![
            item("water", Category::Water, ItemMode::Lookup, true),
            item("phone", Category::Telecom, ItemMode::Direct, true),
            item("off", Category::Gas, ItemMode::Direct, false),
        ],
    }
}

/// The merchants of the tokens, by two people who have no token. One of them is suspended.
async fn bring_merchants_in(store: &Store) {
    let clock = ManualClock::new("2026-11-22T03:00:00Z".parse().unwrap());
    let desk = Onboarding::new(store.clone(), Arc::new(clock), false);
    for (code, kind) in [
        ("alpha", MerchantKind::Channel),
        ("beta", MerchantKind::Channel),
        ("app", MerchantKind::Own),
        ("gone", MerchantKind::Channel),
    ] {
        let profile = samples::profile(code, code, kind);
        let code = MerchantCode::try_new(code).unwrap();
        samples::bring_in(&desk, &code, kind, profile)
            .await
            .unwrap();
    }
    let (gone, who) = (
        MerchantCode::try_new("gone").unwrap(),
        samples::person("operator:ann"),
    );
    let suspended = desk.switch(&gone, MerchantVerb::Suspend, "it has not paid", &who);
    suspended.await.unwrap();
}

fn item(code: &str, category: Category, mode: ItemMode, enabled: bool) -> Item {
    let (kind, min_minor, max_minor) = match mode {
        ItemMode::Lookup => (AmountRuleKind::Exact, None, None),
        ItemMode::Direct => (AmountRuleKind::Range, Some(1_000), Some(50_000)),
    };
    Item {
        code: ItemCode::try_new(code).unwrap(),
        biller: BillerCode::try_new("utility").unwrap(),
        category,
        name_zh: code.into(),
        name_en: code.into(),
        mode,
        currency: Currency::CNY,
        amount_rule: AmountRule {
            kind,
            min_minor,
            max_minor,
        },
        bill_no_rule: BillNoRule::try_new("[0-9]{8,11}", "8 到 11 位数字", "8 to 11 digits")
            .unwrap(),
        adapter: AdapterName::try_new("bank").unwrap(),
        coverage: vec![RegionCode::try_new("440300").unwrap()],
        enabled,
    }
}
