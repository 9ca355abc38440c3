//! A bank: a center with four operators, and the provider that knows them.

use crate::browser::{Answer, Browser, REFUSED};
use crate::provider::{Behaviour, TestProvider};
use crate::support::database::TestDatabase;
use crate::support::process::wait_for;
use crate::support::world::{Daemon, Setup, World};
use payhall::domain::ids::OperatorName;
use payhall::domain::operator::Role;
use payhall::engine::{
    Actor, NewOperator, Operators, OperatorsParts, PasswordCost, Passwords, SystemClock,
};
use payhall::storage::{Store, View, audit, operators};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// What the provider sends browsers back to; the test's browser knows where that is.
pub const PUBLIC_URL: &str = "http://pay.test";
pub const CLIENT_ID: &str = "payhall & co";
pub const CLIENT_SECRET: &str = "s3cret:/+ %of the center";

/// Long enough for any machine; only a test that hangs gets there.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Bank {
    pub provider: TestProvider,
    daemon: Daemon,
    world: World,
}

impl Bank {
    pub async fn start() -> Self {
        Self::with(Behaviour::Right).await
    }

    /// With a provider that behaves like this from the start.
    pub async fn with(behaviour: Behaviour) -> Self {
        Self::on(Setup::on(TestDatabase::sqlite()), behaviour).await
    }

    /// With another limit of a minute.
    pub async fn limited(setting: &str, per_min: u32) -> Self {
        let setup = Setup::on(TestDatabase::sqlite()).set(setting, i64::from(per_min));
        Self::on(setup, Behaviour::Right).await
    }

    async fn on(setup: Setup, behaviour: Behaviour) -> Self {
        let provider = TestProvider::start().await;
        provider.behave(behaviour);
        // Only what never comes is given up soon: a busy machine may be slow with everything else.
        let patience_ms = if behaviour.is_slow() { 1000 } else { 60_000 };
        let world = setup
            .set("server.sandbox", true)
            .set("api.public_url", PUBLIC_URL)
            .set("oidc.issuer", provider.issuer.as_str())
            .set("oidc.client_id", CLIENT_ID)
            .set("oidc.client_secret", CLIENT_SECRET)
            .set("oidc.timeout_ms", patience_ms)
            .start()
            .await;
        add_operators(&world).await;
        let daemon = world.daemon().await;
        Self {
            provider,
            daemon,
            world,
        }
    }

    pub fn browser(&self) -> Browser {
        Browser::before(&self.daemon.url)
    }

    /// A browser that is on its way to the provider, and where it was sent. What the provider says of
    /// itself may come too late for whoever gives it up soon.
    pub async fn on_its_way(&self) -> (Browser, String) {
        let mut browser = self.browser();
        let sent = wait_for("the way to the provider", PATIENCE, async || {
            let left = browser.depart("/login/oidc").await;
            (left.status == 303).then(|| left.location())
        });
        let url = sent.await;
        (browser, url)
    }

    pub fn log(&self) -> String {
        self.daemon.process.log()
    }

    /// The answer is the one that everybody gets, and the log has the reason in a line of its own.
    pub async fn is_refused(&self, answer: &Answer, reason: &str) {
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (403, REFUSED),
            "{reason}"
        );
        assert!(!answer.gives_a_session(), "{reason}");
        assert!(
            answer.cookie("payhall_login").contains("Max-Age=0"),
            "{reason}"
        );
        let id = &answer.request_id;
        let told = wait_for("a line in the log", PATIENCE, async || {
            let log = self.log();
            let whole = log
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let lines: String = whole.filter(|line| line.contains(id)).collect();
            (!lines.is_empty()).then_some(lines)
        });
        let told = told.await;
        assert!(told.contains(&format!("\"{reason}\"")), "{reason}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            !told.contains(CLIENT_SECRET) && !told.contains("eyJ"),
            "{told}"
        );
    }

    /// Action, actor and detail of the audit rows about somebody.
    pub fn deeds(&self, about: &str) -> Vec<String> {
        let mut view = View::open(&self.world.database.url).expect("the database");
        let rows = audit::about(view.connection(), about).expect("rows");
        let deed = |row: payhall::domain::audit::AuditRow| {
            let entry = row.entry;
            format!(
                "{} {} {}",
                entry.action,
                entry.actor,
                entry.detail.unwrap_or_default()
            )
        };
        rows.into_iter().map(deed).collect()
    }

    /// As if a minute had gone by: refused tries have audit rows again.
    pub fn tell_again(&self) {
        let told = "UPDATE refused_tries SET told = 0, only_count = 0";
        self.world.database.execute(told).expect("changed");
    }

    pub fn operators(&self) -> Vec<String> {
        let mut view = View::open(&self.world.database.url).expect("the database");
        let all = operators::list(view.connection()).expect("operators");
        all.into_iter().map(|one| one.name.to_string()).collect()
    }

    pub fn lock(&self, name: &str) {
        let until = "9000000000000000";
        self.change(&format!("failures = 5, locked_until = {until}"), name);
    }

    pub fn disable(&self, name: &str) {
        self.change("disabled_at = 1", name);
    }

    fn change(&self, what: &str, name: &str) {
        let changed = format!("UPDATE operators SET {what} WHERE name = '{name}'");
        self.world.database.execute(&changed).expect("changed");
    }
}

async fn add_operators(world: &World) {
    let store = Store::open(&world.database.options("people"), Arc::new(|_| ())).expect("a store");
    let desk = Operators::new(OperatorsParts {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        passwords: Passwords::try_new(PasswordCost::LEAST).expect("passwords"),
        seal: None,
    });
    let roles = [Role::Admin, Role::Operator, Role::Reviewer, Role::Viewer];
    for (name, role) in ["ann", "bob", "carl", "dora"].into_iter().zip(roles) {
        let new = NewOperator {
            name: OperatorName::try_new(name).expect("a name"),
            display_name: name.to_owned(),
            role,
        };
        let password = SecretString::from("correct horse battery");
        let added = desk
            .add_with_password(new, &password, &Actor::system())
            .await;
        added.expect("added");
    }
    store.close().await;
}
