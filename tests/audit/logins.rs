//! Refused tries to log in: every one is in the trail, and nobody fills the disk by knocking.

use crate::support::database::TestDatabase;
use payhall::check::{VerifyOptions, verify};
use payhall::domain::audit::AuditEntry;
use payhall::domain::ids::OperatorName;
use payhall::domain::operator::Role;
use payhall::engine::{
    Actor, Credentials, ManualClock, NewOperator, Operators, OperatorsParts, PasswordCost,
    Passwords,
};
use payhall::storage::{Store, audit};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "correct horse battery";

struct Desk {
    operators: Operators,
    store: Store,
    clock: ManualClock,
    database: TestDatabase,
}

impl Desk {
    async fn on(database: TestDatabase) -> Self {
        let options = database.options("desk");
        Store::migrate(&options).unwrap();
        let store = Store::open(&options, Arc::new(|_| ())).unwrap();
        let clock = ManualClock::new("2026-11-22T04:00:00Z".parse().unwrap());
        let operators = Operators::new(OperatorsParts {
            store: store.clone(),
            clock: Arc::new(clock.clone()),
            passwords: Passwords::try_new(PasswordCost::LEAST).unwrap(),
            seal: None,
        });
        let ann = NewOperator {
            name: OperatorName::try_new("ann").unwrap(),
            display_name: "Ann".to_owned(),
            role: Role::Operator,
        };
        let password = SecretString::from(PASSWORD);
        operators
            .add_with_password(ann, &password, &Actor::system())
            .await
            .unwrap();
        Self {
            operators,
            store,
            clock,
            database,
        }
    }

    async fn knock(&self, name: &str, password: &str, many: usize) -> usize {
        let shown = Credentials {
            password: SecretString::from(password),
            code: None,
        };
        let actor = Actor {
            who: "anonymous".to_owned(),
            request_id: Some("r-1".to_owned()),
        };
        let mut in_vain = 0;
        for _ in 0..many {
            let tried = self.operators.login(name, &shown, None, &actor).await;
            in_vain += usize::from(tried.is_err());
        }
        in_vain
    }

    async fn rows(&self, subject: &str) -> Vec<AuditEntry> {
        let subject = subject.to_owned();
        let read = move |c: &mut _| audit::about(c, &subject);
        let rows = self.store.read(read).await.unwrap();
        rows.into_iter().map(|row| row.entry).collect()
    }

    fn assert_clean(&self) {
        let report = verify(&VerifyOptions::new(&self.database.url), |_, _| ()).unwrap();
        assert!(report.is_clean(), "{}: {report}", self.database.kind);
    }
}

#[tokio::test]
async fn who_knocks_for_ever_gets_twenty_rows_a_minute_and_one_that_counts_the_rest() {
    for database in TestDatabase::all() {
        let desk = Desk::on(database).await;
        assert_eq!(desk.knock("nobody", PASSWORD, 50).await, 50);
        assert_eq!(desk.rows("unknown").await.len(), 20);
        assert_eq!(
            desk.rows("nobody").await.len(),
            0,
            "what was typed is not kept"
        );
        assert_eq!(desk.rows("several").await.len(), 0, "the minute goes on");
        desk.clock.advance(Duration::from_secs(60));
        desk.knock("nobody", PASSWORD, 1).await;
        let told = desk.rows("several").await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].action, "LOGIN_REFUSED");
        let words = told[0].detail.clone().unwrap();
        assert!(words.starts_with("30 further tries"), "{words}");
        assert_eq!(desk.rows("unknown").await.len(), 21);
        desk.assert_clean();
    }
}

#[tokio::test]
async fn a_locked_account_is_knocked_at_like_one_that_is_not_there() {
    for database in TestDatabase::all() {
        let desk = Desk::on(database).await;
        // Five wrong tries lock it: each changes the account, and each has its row.
        desk.knock("ann", "wrong password", 5).await;
        let rows = desk.rows("ann").await;
        let refused = |rows: &[AuditEntry]| {
            let refused = rows.iter().filter(|row| row.action == "LOGIN_REFUSED");
            refused.count()
        };
        assert_eq!(refused(&rows), 5);
        let locking = rows
            .iter()
            .filter(|row| row.after.as_deref() == Some("LOCKED"));
        assert_eq!(locking.count(), 1, "the row of the lock-out");
        desk.knock("ann", PASSWORD, 15).await;
        desk.knock("nobody", PASSWORD, 15).await;
        assert_eq!(refused(&desk.rows("ann").await), 20);
        assert_eq!(desk.rows("unknown").await.len(), 5, "they share the twenty");
        desk.assert_clean();
    }
}

#[tokio::test]
async fn whoever_knows_the_password_is_told_of_however_many_knock() {
    for database in TestDatabase::all() {
        let desk = Desk::on(database).await;
        desk.knock("nobody", PASSWORD, 40).await;
        assert_eq!(desk.knock("ann", PASSWORD, 1).await, 0);
        assert_eq!(desk.knock("ann", "wrong password", 1).await, 1);
        let rows = desk.rows("ann").await;
        let deeds: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
        for deed in ["ADDED", "LOGGED_IN", "LOGIN_REFUSED"] {
            assert!(deeds.contains(&deed), "{deeds:?}");
        }
        desk.assert_clean();
    }
}
