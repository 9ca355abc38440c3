//! Operators on both databases: who gets in and who does not, how long a session holds, what
//! administrators may do, and where no secret may ever be found.

mod accounts;
mod login;
mod secrets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use payhall::domain::audit::AuditEntry;
use payhall::domain::ids::OperatorName;
use payhall::domain::operator::Role;
use payhall::domain::refusal::{Refusal, RefusalCode};
use payhall::engine::{
    Actor, Credentials, EngineError, LoggedIn, ManualClock, NewOperator, Operators, OperatorsParts,
    PasswordCost, Passwords, Seal, Visit,
};
use payhall::storage::{Store, audit};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use support::database::TestDatabase;
use totp_rs::{Algorithm, TOTP};
use zeroize::Zeroizing;

const PASSWORD: &str = "correct horse battery";

/// A seal for tests: what it gives does not show what went in, and opens for its purpose only. The
/// number of the master key stands in front.
struct TestSeal(u8);

impl TestSeal {
    fn mask(aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let pad = Sha256::digest(aad);
        plain
            .iter()
            .zip(pad)
            .map(|(byte, pad)| byte ^ pad)
            .collect()
    }
}

impl Seal for TestSeal {
    fn wrap(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let tag = Sha256::digest([aad, plain].concat());
        Ok([&[self.0], TestSeal::mask(aad, plain).as_slice(), &tag].concat())
    }

    fn unwrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let (masked, tag) = sealed[1..].split_at(sealed.len() - 33);
        let plain = TestSeal::mask(aad, masked);
        if Sha256::digest([aad, plain.as_slice()].concat()).as_slice() != tag {
            return Err("it was sealed for something else".to_owned());
        }
        Ok(Zeroizing::new(plain))
    }

    fn rewrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if sealed[0] == self.0 {
            return Ok(None);
        }
        let plain = self.unwrap(aad, sealed)?;
        self.wrap(aad, &plain).map(Some)
    }
}

/// The people's desk over a database of its own, on a clock that stands still.
struct Center {
    operators: Operators,
    store: Store,
    clock: ManualClock,
    database: TestDatabase,
}

impl Center {
    fn on(database: TestDatabase) -> Self {
        let options = database.options("desk");
        Store::migrate(&options).unwrap();
        let store = Store::open(&options, Arc::new(|_| ())).unwrap();
        let clock = ManualClock::new("2026-11-22T04:00:00Z".parse().unwrap());
        let operators = desk(&store, &clock, PasswordCost::LEAST, 1);
        Self {
            operators,
            store,
            clock,
            database,
        }
    }

    /// One on every kind of database that is there.
    fn all() -> Vec<Self> {
        TestDatabase::all().into_iter().map(Self::on).collect()
    }

    fn kind(&self) -> &'static str {
        self.database.kind
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Adds somebody whose password is [`PASSWORD`].
    async fn add(&self, of: &str, role: Role) {
        let new = NewOperator {
            name: name(of),
            display_name: of.to_owned(),
            role,
        };
        let password = SecretString::from(PASSWORD);
        let added = self
            .operators
            .add_with_password(new, &password, &Actor::system())
            .await;
        added.unwrap();
    }

    async fn try_login(&self, of: &str, shown: Credentials) -> Result<LoggedIn, EngineError> {
        self.operators.login(of, &shown, None, &anonymous()).await
    }

    async fn login(&self, of: &str) -> LoggedIn {
        let logged_in = self.try_login(of, shown(PASSWORD)).await;
        logged_in.unwrap_or_else(|error| panic!("{}: {error:?}", self.kind()))
    }

    async fn resume(&self, logged_in: &LoggedIn) -> Option<Visit> {
        self.operators.resume(&logged_in.secret).await.unwrap()
    }

    /// The audit rows about somebody, oldest first.
    async fn audits(&self, about: &str) -> Vec<AuditEntry> {
        let about = about.to_owned();
        let rows = self.store.read(move |c| audit::about(c, &about)).await;
        rows.unwrap().into_iter().map(|row| row.entry).collect()
    }

    /// Action and detail of the audit rows about somebody, sorted: writers do not share a sequence.
    async fn deeds(&self, about: &str) -> Vec<String> {
        let deed = |entry: &AuditEntry| match &entry.detail {
            Some(detail) => format!("{} {detail}", entry.action),
            None => entry.action.clone(),
        };
        let mut deeds: Vec<String> = self.audits(about).await.iter().map(deed).collect();
        deeds.sort();
        deeds
    }

    /// Sets up one-time codes for somebody who is logged in; a code of now is used up by it.
    async fn set_up_codes(&self, logged_in: &LoggedIn) -> String {
        let visit = self.resume(logged_in).await.unwrap();
        let actor = visit.actor("r-codes");
        let begun = self.operators.begin_codes(&visit, &actor).await.unwrap();
        let base32 = begun.secret.expose_secret().to_owned();
        let code = SecretString::from(self.code(&base32, 0));
        let confirmed = self.operators.confirm_codes(&visit, &code, &actor).await;
        assert!(confirmed.unwrap().totp.is_some());
        base32
    }

    /// The code that an app shows so many seconds from now.
    fn code(&self, base32: &str, in_seconds: i64) -> String {
        let secret = totp_rs::Secret::Encoded(base32.to_owned()).to_bytes();
        let app = TOTP::new(Algorithm::SHA1, 6, 1, 30, secret.unwrap()).unwrap();
        let at = self.operators.now().timestamp() + in_seconds;
        app.generate(u64::try_from(at).unwrap())
    }
}

fn desk(store: &Store, clock: &ManualClock, cost: PasswordCost, master: u8) -> Operators {
    Operators::new(OperatorsParts {
        store: store.clone(),
        clock: Arc::new(clock.clone()),
        passwords: Passwords::try_new(cost).unwrap(),
        seal: Some(Arc::new(TestSeal(master))),
    })
}

fn name(text: &str) -> OperatorName {
    OperatorName::try_new(text).unwrap()
}

fn anonymous() -> Actor {
    Actor {
        who: "anonymous".to_owned(),
        request_id: Some("r-1".to_owned()),
    }
}

fn shown(password: &str) -> Credentials {
    Credentials {
        password: SecretString::from(password),
        code: None,
    }
}

fn with_code(code: &str) -> Credentials {
    Credentials {
        code: Some(SecretString::from(code)),
        ..shown(PASSWORD)
    }
}

/// The refusal of something that has to be refused.
fn refused<T: std::fmt::Debug>(done: Result<T, EngineError>) -> Refusal {
    match done {
        Err(EngineError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn code_of<T: std::fmt::Debug>(done: Result<T, EngineError>) -> RefusalCode {
    refused(done).code
}
