//! People of the center: how they log in, prove again who they are, look after their own account,
//! and how administrators look after the accounts of others.
//!
//! Every verb writes its audit row (`OPERATOR`) in the transaction of its change, a try that was
//! refused as well. A password's hash is computed before the transaction; inside it the account is
//! read again and judged as it then stands, so that many tries at once are counted one by one.
//!
//! A refused try that changes nothing, because nobody has the name or the account is locked or off, has
//! its row as well, but only so many in a minute: the others are counted (`enter.rs`). Whoever is let
//! knock for ever fills no disk, and learns nothing from the clock: each try writes.
//!
//! How one could break this: by telling somebody who is not in yet *why*; by judging an account that
//! was read before the transaction; by writing a name that nobody has into an audit row, because a
//! person in a hurry types the password there.

mod accounts;
mod codes;
mod enter;
mod own;
mod passwords;
#[cfg(feature = "oidc")]
mod provider;
mod sealing;

pub use accounts::{NewOperator, Temporary};
pub use codes::Seal;
pub use enter::{Credentials, LoggedIn};
pub use own::CodesBegun;
pub use passwords::{PasswordCost, Passwords};
#[cfg(feature = "oidc")]
pub use provider::{
    Departure, ProviderLogin, ProviderParts, ProviderRefusal, Returned, TICKET_LASTS_S,
};

use super::{Actor, Clock, EngineError};
use crate::domain::audit::{AuditEntry, hex};
use crate::domain::ids::OperatorName;
use crate::domain::operator::{Operator, Session};
use crate::domain::time::Instant;
use crate::storage::{Store, StoreError, Tx, operators};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What the people's desk is made of.
pub struct OperatorsParts {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Computes passwords' hashes.
    pub passwords: Passwords,
    /// Seals the secrets of one-time codes; without it nobody can set codes up.
    pub seal: Option<Arc<dyn Seal>>,
}

/// Operators and their sessions. Cheap to clone.
#[derive(Clone)]
pub struct Operators(Arc<OperatorsParts>);

/// Somebody who is logged in: the account and the session, as they stood when the request came.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The account.
    pub operator: Operator,
    /// The session.
    pub session: Session,
}

impl Visit {
    /// The person as audit rows name them.
    pub fn actor(&self, request_id: &str) -> Actor {
        Actor {
            who: who(&self.operator.name),
            request_id: Some(request_id.to_owned()),
        }
    }
}

impl Operators {
    /// Puts the parts together.
    pub fn new(parts: OperatorsParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Now, by the center's clock.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    /// How passwords are computed.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Whose session a secret is, where it still holds. That it was used is written down, at most once
    /// a minute.
    pub async fn resume(&self, secret: &SecretString) -> Result<Option<Visit>, StoreError> {
        let Some(visit) = self.look_in(&hash_of(secret)).await? else {
            return Ok(None);
        };
        let now = self.now();
        if visit.session.is_to_be_seen(now) {
            let hash = visit.session.secret_hash.clone();
            let store = &self.0.store;
            store.solo(move |tx| tx.see_session(&hash, now)).await?;
        }
        Ok(Some(visit))
    }

    /// A session that still holds and whose operator is not switched off, without counting as its use.
    pub async fn look_in(&self, secret_hash: &str) -> Result<Option<Visit>, StoreError> {
        let hash = secret_hash.to_owned();
        let read = move |c: &mut _| operators::session(c, &hash);
        let found = self.0.store.read(read).await?;
        let now = self.now();
        Ok(found
            .filter(|(session, operator)| session.is_alive(now) && operator.disabled_at.is_none())
            .map(|(session, operator)| Visit { operator, session }))
    }

    /// Every operator, by name.
    pub async fn list(&self) -> Result<Vec<Operator>, EngineError> {
        Ok(self.0.store.browse(operators::list).await?)
    }
}

/// Ends the counting of refused tries whose minute is over: their number is written down.
pub(super) async fn end_counting(store: &Store, now: Instant) -> Result<(), StoreError> {
    let ended = move |tx: &mut Tx<'_>| {
        let left_over = tx.end_refused_tries(now, enter::STRETCH)?;
        match enter::only_counted(now, left_over) {
            Some(audit) => tx.audit(audit),
            None => Ok(()),
        }
    };
    store.solo(ended).await
}

/// The name that a session's secret has in the database.
fn hash_of(secret: &SecretString) -> String {
    hex(&Sha256::digest(secret.expose_secret().as_bytes()))
}

/// An operator as audit rows name who did something.
fn who(name: &OperatorName) -> String {
    format!("operator:{name}")
}

/// An audit row about an operator.
fn entry(at: Instant, actor: &Actor, action: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        at,
        actor: actor.who.clone(),
        action: action.to_owned(),
        subject_kind: "OPERATOR",
        subject: subject.to_owned(),
        before: None,
        after: None,
        detail: None,
        request_id: actor.request_id.clone(),
    }
}
