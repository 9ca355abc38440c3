//! A center in which two merchants have one of everything, made by the mutations of the API
//! themselves, each asked for everything that its answer can hold.

use super::super::notifications::notify_nowhere;
use super::super::operators::add;
use super::super::support::*;
use super::callers::{CALLERS, Who};
use super::rules::{Object, Rule, Rules, Way};
use super::shape::Shape;
use crate::api::Introspection;
use crate::domain::ids::OrderNo;
use crate::domain::job::{JobRun, JobRunState, RunProgress};
use crate::domain::key::Algorithm;
use crate::domain::operator::Role;
use crate::domain::outcome::{Cause, Reply};
use crate::engine::{Actor, Clock};
use crate::trust::PrivateKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// What belongs to a merchant, by the words of the table.
pub type Things = BTreeMap<&'static str, String>;

/// The center, its schema and its rules.
pub struct Center {
    pub world: World,
    pub shape: Shape,
    pub rules: Rules,
    /// The things of a, of b, and of nobody.
    pub things: BTreeMap<char, Things>,
    reached: Mutex<BTreeSet<String>>,
}

/// Numbers and names that nobody has.
pub const NOBODY: char = '-';

impl Center {
    pub async fn new() -> Self {
        let world = World::with(|options| {
            options.introspection = Introspection::Everyone;
            options.complexity_max = 100_000;
            options.expansion_max = 100_000;
            options.depth_max = 60;
        })
        .await;
        world.engine.refresh_center_key().await.unwrap();
        let shape = Shape::read(&world).await;
        let mut center = Self {
            world,
            shape,
            rules: Rules::read(),
            things: BTreeMap::new(),
            reached: Mutex::default(),
        };
        add(&center.world, "ann", Role::Viewer).await;
        let run = center.run_a_job().await;
        for (letter, code) in [('a', "alpha"), ('b', "beta")] {
            let mut things = center.furnish(letter, code).await;
            things.insert("run", run.clone());
            center.things.insert(letter, things);
        }
        center.world.end_the_day().await;
        super::night::furnish(&mut center).await;
        let number = "202001010000000000000000".to_owned();
        let mut nobody: Things = ["order", "flow", "case"]
            .map(|name| (name, number.clone()))
            .into();
        nobody.insert("batch", uuid::Uuid::now_v7().to_string());
        nobody.insert("request", "R-NOBODY".to_owned());
        nobody.insert("merchant", "nobody-there".to_owned());
        nobody.insert("run", run);
        nobody.insert("notification", uuid::Uuid::now_v7().to_string());
        nobody.insert("key", "01a00000000070008000000000000000".to_owned());
        nobody.insert("center", center.things[&'a']["center"].clone());
        center.things.insert(NOBODY, nobody);
        center
    }

    /// Runs a mutation, which has to be done, and gives its payload.
    pub async fn run(&self, token: Option<&str>, field: &str, input: Value) -> Value {
        let (document, _) = self.mutation(field);
        let answer = self
            .world
            .ask(token, &document, json!({ "input": input }))
            .await;
        let data = answer.data();
        let refused = &data[field]["userErrors"];
        assert_eq!(*refused, json!([]), "{field}: {input}: {refused}");
        self.reach("Mutation", &data);
        let who = CALLERS.iter().find(|who| who.token == token).unwrap();
        assert!(
            who.is_staff() || !answer.text.contains("operator:"),
            "{field}: {}",
            answer.text
        );
        data[field].clone()
    }

    /// A document for a mutation that asks for everything, and whether it takes an input.
    pub fn mutation(&self, field: &str) -> (String, bool) {
        let (payload, _) = self.shape.behind("Mutation", field);
        let selection = self.shape.everything(payload, &|_| false);
        match self.shape.input(field) {
            None => (format!("mutation {{ {field}{selection} }}"), false),
            Some(input) => (
                format!("mutation($input: {input}!) {{ {field}(input: $input){selection} }}"),
                true,
            ),
        }
    }

    /// A document for a way to read, about the things of somebody, and what of it was filled in.
    pub fn question(&self, way: &Way, selection: &str, things: &Things) -> String {
        let kind = way.kind.to_lowercase();
        let arguments = match way.arguments.as_str() {
            "" => String::new(),
            arguments => format!("({})", fill(arguments, things)),
        };
        format!("{kind} {{ {}{arguments}{selection} }}", way.field)
    }

    /// What a caller may select behind a way: everything but what it would be refused.
    pub fn selection(&self, way: &Way, who: Who) -> String {
        let (of, _) = self.shape.behind(&way.kind, &way.field);
        self.shape
            .everything(of, &|field| match self.rules.of(field) {
                Rule::Right(right) => !self.rules.may(who.letter, right),
                _ => false,
            })
    }

    /// Notes which fields stand in an answer.
    pub fn reach(&self, of: &str, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.reach(of, one)),
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(name, _)| *name != "__typename") {
                    let mut reached = self.reached.lock().unwrap();
                    reached.insert(format!("{of}.{name}"));
                    drop(reached);
                    self.reach(self.shape.behind(of, name).0, value);
                }
            }
            _ => {}
        }
    }

    pub fn reached(&self) -> BTreeSet<String> {
        self.reached.lock().unwrap().clone()
    }

    /// Texts by which a merchant's things would be known in somebody else's answer.
    pub fn marks(&self, letter: char) -> Vec<&str> {
        let things = self.things[&letter].iter();
        let own = things.filter(|(name, _)| !["merchant", "center", "run"].contains(*name));
        own.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a caller is told about somebody's things.
    pub fn sees(&self, way: &Way, who: Who, holder: char) -> bool {
        way.object != Object::Own || who.is_staff() || who.letter == holder
    }

    async fn furnish(&mut self, letter: char, code: &str) -> Things {
        let token = CALLERS
            .iter()
            .find(|who| who.letter == letter)
            .unwrap()
            .token;
        notify_nowhere(&self.world, code).await;
        let mut things = self.order(token, code).await;
        things.insert("merchant", code.to_owned());
        self.notification(code, &mut things).await;
        self.key(token, code, &mut things).await;
        self.profile(code, &mut things).await;
        things
    }

    /// An order in doubt that became a case, another one that was paid, one that was cancelled.
    async fn order(&self, token: Option<&'static str>, code: &str) -> Things {
        let world = &self.world;
        let request = format!("R-{code}-doubt");
        let create = |request: String, bill: String| {
            let amount = json!({ "minor": "5000", "currency": "CNY" });
            let input =
                json!({ "requestNo": request, "item": "phone", "billNo": bill, "amount": amount });
            self.run(token, "orderCreate", input)
        };
        let number = |payload: &Value| payload["order"]["orderNo"].as_str().unwrap().to_owned();
        let tail = if code == "alpha" { "1" } else { "2" };
        let bill = format!("1380077441{tail}");
        let order = number(&create(request.clone(), bill.clone()).await);
        world.bank.will_pay(Reply::Unknown(Cause::TimedOut));
        let confirmed = self
            .run(token, "orderConfirm", json!({ "orderNo": order }))
            .await;
        assert_eq!(confirmed["order"]["state"], "UNKNOWN");
        let flow = confirmed["order"]["flows"][0]["flowNo"]
            .as_str()
            .unwrap()
            .to_owned();
        world.clock.advance(Duration::from_secs(7_200));
        world.engine.poll(None, &Actor::job("poll")).await.unwrap();
        let number_of = OrderNo::try_new(order.clone()).unwrap();
        let cases = world.engine.cases_of(&number_of).await.unwrap();
        let case = cases[0].case_no.to_string();
        let evidence = json!({ "caseNo": case, "decision": "FAILED", "evidence": "their desk" });
        self.run(Some(OPERATOR), "caseDecide", evidence.clone())
            .await;
        let reason = json!({ "caseNo": case, "version": 1, "reason": "no line of a statement" });
        self.run(Some(REVIEWER), "caseReject", reason).await;
        self.run(Some(OPERATOR), "caseDecide", evidence).await;
        if code == "beta" {
            let approve = json!({ "caseNo": case, "version": 3 });
            self.run(Some(REVIEWER), "caseApprove", approve).await;
        }
        let paid = number(&create(format!("R-{code}-paid"), format!("1380077551{tail}")).await);
        self.run(token, "orderConfirm", json!({ "orderNo": paid }))
            .await;
        let left = number(&create(format!("R-{code}-left"), format!("1380077661{tail}")).await);
        self.run(token, "orderCancel", json!({ "orderNo": left }))
            .await;
        [
            ("order", order),
            ("flow", flow),
            ("case", case),
            ("request", request),
            ("bill", bill),
            ("paid", paid),
        ]
        .into()
    }

    /// What its orders came to was sent to it, and sent again by hand.
    async fn notification(&self, code: &str, things: &mut Things) {
        self.world.engine.send_notifications().await.unwrap();
        let first = format!(
            "{{ notifications(filter: {{merchant: \"{code}\"}}) {{ edges {{ node {{ id }} }} }} }}"
        );
        let all = self.world.field(ADMIN, &first, json!({})).await;
        let id = all["edges"][0]["node"]["id"].as_str().unwrap().to_owned();
        self.run(Some(OPERATOR), "notificationResend", json!({ "id": id }))
            .await;
        things.insert("notification", id);
    }

    /// A key that the center made and handed out, a rejected one in its place, one of the merchant's own.
    async fn key(&self, token: Option<&str>, code: &str, things: &mut Things) {
        let id = |payload: &Value| payload["key"]["keyId"].as_str().unwrap().to_owned();
        let input = json!({ "merchant": code, "algorithm": "ED25519" });
        let issued = self.run(Some(OPERATOR), "keyIssue", input).await;
        let key = id(&issued);
        let approve = json!({ "keyId": key, "version": 0 });
        self.run(Some(REVIEWER), "keyApprove", approve).await;
        let take = json!({ "keyId": key, "ticket": issued["ticket"] });
        self.run(None, "keyHandOut", take).await;
        let next = self
            .run(Some(OPERATOR), "keyRotate", json!({ "keyId": key }))
            .await;
        let no = json!({ "keyId": id(&next), "version": 0, "reason": "not now" });
        self.run(Some(REVIEWER), "keyReject", no).await;
        let public = |private: PrivateKey| private.public_key().to_pem();
        let pair = || PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let own = json!({ "algorithm": "ED25519", "publicKey": public(pair()) });
        let own = id(&self.run(token, "keyIssue", own).await);
        let approve = json!({ "keyId": own, "version": 0 });
        self.run(Some(REVIEWER), "keyApprove", approve).await;
        let rotate = json!({ "keyId": own, "publicKey": public(pair()) });
        self.run(token, "keyRotate", rotate).await;
        let revoke = json!({ "keyId": own, "reason": "a laptop was lost" });
        self.run(token, "keyRevoke", revoke).await;
        let center = "{ keys(centerOnly: true) { edges { node { keyId } } } }";
        let center = self.world.field(ADMIN, center, json!({})).await;
        let center = center["edges"][0]["node"]["keyId"].as_str().unwrap();
        things.insert("center", center.to_owned());
        things.insert(
            "thumbprint",
            issued["key"]["thumbprint"].as_str().unwrap().to_owned(),
        );
        things.insert("key", key);
    }

    /// A profile that waits for the second person, with an item of the checklist ticked.
    async fn profile(&self, code: &str, things: &mut Things) {
        let phone = if code == "alpha" {
            "+86 21 7741 0001"
        } else {
            "+86 21 7741 0002"
        };
        let account_no = if code == "alpha" {
            "6222774100000001"
        } else {
            "6222774100000002"
        };
        let name = format!("the desk of {code}");
        let version = format!("{{ merchant(code: \"{code}\") {{ version }} }}");
        let version = self.world.field(ADMIN, &version, json!({})).await["version"].clone();
        let profile = json!({
            "nameZh": code, "nameEn": code, "creditCode": "91310115000000001U",
            "contact": { "name": name, "phone": phone, "email": format!("desk@{code}.example") },
            "account": { "bankCode": "102290000012", "accountNo": account_no, "holder": name },
            "orderLimitMinor": "500000", "dayLimitMinor": "10000000",
        });
        let edit = json!({ "code": code, "version": version, "profile": profile });
        let edited = self.run(Some(OPERATOR), "merchantUpdate", edit).await;
        let version = edited["merchant"]["version"].clone();
        let submit = json!({ "code": code, "version": version });
        let submitted = self.run(Some(OPERATOR), "merchantSubmit", submit).await;
        let hash = submitted["merchant"]["proposed"]["contentHash"].clone();
        let tick = json!({ "code": code, "contentHash": hash, "item": "LICENCE", "note": "seen" });
        self.run(Some(REVIEWER), "merchantCheck", tick).await;
        things.insert("account", account_no.to_owned());
        things.insert("phone", phone.to_owned());
    }

    async fn run_a_job(&self) -> String {
        let now = self.world.clock.now();
        let run = JobRun {
            run_id: uuid::Uuid::now_v7(),
            job: "poll_exceptions".to_owned(),
            scheduled_at: now,
            business_date: self.world.engine.business_day().last_ended(now),
            asked_by: Some("operator:ann".to_owned()),
            state: JobRunState::Failed,
            owner: "test".to_owned(),
            fence: 1,
            lease_until: now,
            started_at: now,
            finished_at: Some(now),
            progress: Some(RunProgress {
                done: 500,
                total: Some(1_000),
                since: now - chrono::TimeDelta::seconds(10),
                at: now,
            }),
            report: Some("{}".to_owned()),
            error: Some("it took too long".to_owned()),
        };
        let run_id = run.run_id.to_string();
        let claimed = self.world.store.solo(move |tx| tx.claim_run(&run)).await;
        assert!(claimed.unwrap().is_some());
        run_id
    }
}

/// Puts somebody's things into the arguments of the table.
pub fn fill(text: &str, things: &Things) -> String {
    let mut text = text.to_owned();
    for (name, value) in things {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

/// The inputs of a mutation that name the object, filled in.
pub fn inputs(way: &Way, things: &Things) -> Vec<(String, String)> {
    let one = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{way:?}"));
        (name.to_owned(), fill(value, things))
    };
    way.arguments.split_whitespace().map(one).collect()
}
