//! The accounts of others: what administrators do, by the API and from the command line.
//!
//! A change takes the administrators' rows before the account's own, always in this sequence: two who
//! switch each other off at once are one after the other, and the second finds that nobody would be
//! left.

use super::passwords::random_secret;
use super::{Operators, entry, who};
use crate::domain::ids::OperatorName;
use crate::domain::operator::{
    DISPLAY_NAME_CHARS_MAX, Operator, PasswordHash, Role, check_password, is_display_name,
};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::engine::{Actor, EngineError};
use crate::storage::{StoreError, Tx};
use secrecy::{ExposeSecret, SecretString};

/// Who is added.
#[derive(Clone, Debug)]
pub struct NewOperator {
    /// The name to log in with.
    pub name: OperatorName,
    /// The person's own name.
    pub display_name: String,
    /// What the person is for.
    pub role: Role,
}

/// An account with a password that somebody else knows too: it has to be changed before anything else.
#[derive(Clone, Debug)]
pub struct Temporary {
    /// The account.
    pub operator: Operator,
    /// The password, to be handed over once.
    pub password: SecretString,
}

/// What a change does besides the account's new values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sessions {
    Keep,
    End,
}

/// A change of somebody else's account, made once for every run of the transaction.
struct Change<F> {
    name: OperatorName,
    action: &'static str,
    actor: Actor,
    sessions: Sessions,
    /// The account afterwards; none if it is so already.
    after: F,
}

impl Operators {
    /// Adds an operator with a temporary password.
    ///
    /// # Errors
    /// `OPERATOR_EXISTS`, or a display name that is none.
    pub async fn add(&self, new: NewOperator, actor: &Actor) -> Result<Temporary, EngineError> {
        let password = random_secret()?;
        let hash = self.0.passwords.hash(&password).await?;
        let operator = self.add_hashed(new, (hash, true), actor).await?;
        Ok(Temporary { operator, password })
    }

    /// Adds an operator with a password of their own, from the command line.
    ///
    /// # Errors
    /// As [`Operators::add`], and `PASSWORD_INVALID`.
    pub async fn add_with_password(
        &self,
        new: NewOperator,
        password: &SecretString,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        let hash = self.checked_hash(&new.name, password).await?;
        self.add_hashed(new, (hash, false), actor).await
    }

    async fn add_hashed(
        &self,
        new: NewOperator,
        (password_hash, password_is_temporary): (PasswordHash, bool),
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        if !is_display_name(&new.display_name) {
            let words = format!(
                "displayName has to be 1 to {DISPLAY_NAME_CHARS_MAX} characters, without control \
                 characters and without spaces at its ends"
            );
            let refusal = Refusal::new(RefusalCode::InvalidArgument, words);
            return Err(refusal.on("displayName").into());
        }
        let now = self.now();
        let operator = Operator {
            name: new.name,
            display_name: new.display_name,
            role: new.role,
            disabled_at: None,
            password_hash,
            password_is_temporary,
            totp: None,
            totp_pending: None,
            totp_step: None,
            failures: 0,
            locked_until: None,
            created_at: now,
            last_login_at: None,
            version: 0,
        };
        let mut audit = entry(now, actor, "ADDED", operator.name.as_str());
        audit.after = Some(operator.state(now).to_string());
        audit.detail = Some(operator.role.to_string());
        let row = operator.clone();
        let added = move |tx: &mut Tx<'_>| {
            let added = tx.add_operator(&row)?;
            if added {
                tx.audit(audit.clone())?;
            }
            Ok(added)
        };
        if self.0.store.solo(added).await? {
            return Ok(operator);
        }
        let words = format!("there is an operator {} already", operator.name);
        Err(Refusal::new(RefusalCode::OperatorExists, words)
            .on("name")
            .into())
    }

    /// Gives somebody else another role. It counts from their next request on.
    ///
    /// # Errors
    /// `OPERATOR_NOT_FOUND`, `OWN_ACCOUNT`, `LAST_ADMINISTRATOR`.
    pub async fn set_role(
        &self,
        name: &OperatorName,
        role: Role,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        self.change(Change {
            name: name.clone(),
            action: "ROLE_CHANGED",
            actor: actor.clone(),
            sessions: Sessions::Keep,
            after: move |operator: &Operator, _| {
                (operator.role != role).then(|| Operator {
                    role,
                    ..operator.clone()
                })
            },
        })
        .await
    }

    /// Switches somebody else's account off and ends its sessions.
    ///
    /// # Errors
    /// `OPERATOR_NOT_FOUND`, `OWN_ACCOUNT`, `LAST_ADMINISTRATOR`.
    pub async fn disable(
        &self,
        name: &OperatorName,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        self.change(Change {
            name: name.clone(),
            action: "DISABLED",
            actor: actor.clone(),
            sessions: Sessions::End,
            after: |operator: &Operator, now| {
                operator.disabled_at.is_none().then(|| Operator {
                    disabled_at: Some(now),
                    ..operator.clone()
                })
            },
        })
        .await
    }

    /// Switches somebody else's account on again, and ends its lock.
    ///
    /// # Errors
    /// `OPERATOR_NOT_FOUND`, `OWN_ACCOUNT`.
    pub async fn enable(
        &self,
        name: &OperatorName,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        self.change(Change {
            name: name.clone(),
            action: "ENABLED",
            actor: actor.clone(),
            sessions: Sessions::Keep,
            after: |operator: &Operator, _| {
                let is_off = operator.disabled_at.is_some() || operator.locked_until.is_some();
                is_off.then(|| Operator {
                    disabled_at: None,
                    failures: 0,
                    locked_until: None,
                    ..operator.clone()
                })
            },
        })
        .await
    }

    /// Gives somebody else a temporary password: the one-time codes, the lock and the sessions of the
    /// account end with the old one.
    ///
    /// # Errors
    /// `OPERATOR_NOT_FOUND`, `OWN_ACCOUNT`.
    pub async fn reset_password(
        &self,
        name: &OperatorName,
        actor: &Actor,
    ) -> Result<Temporary, EngineError> {
        let password = random_secret()?;
        let hash = self.0.passwords.hash(&password).await?;
        let operator = self.reset_hashed(name, hash, true, actor).await?;
        Ok(Temporary { operator, password })
    }

    /// The same with a password of the person's own, from the command line.
    ///
    /// # Errors
    /// `OPERATOR_NOT_FOUND`, `PASSWORD_INVALID`.
    pub async fn reset_with_password(
        &self,
        name: &OperatorName,
        password: &SecretString,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        let hash = self.checked_hash(name, password).await?;
        self.reset_hashed(name, hash, false, actor).await
    }

    async fn reset_hashed(
        &self,
        name: &OperatorName,
        password_hash: PasswordHash,
        password_is_temporary: bool,
        actor: &Actor,
    ) -> Result<Operator, EngineError> {
        self.change(Change {
            name: name.clone(),
            action: "PASSWORD_RESET",
            actor: actor.clone(),
            sessions: Sessions::End,
            after: move |operator: &Operator, _| {
                Some(Operator {
                    password_hash: password_hash.clone(),
                    password_is_temporary,
                    totp: None,
                    totp_pending: None,
                    totp_step: None,
                    failures: 0,
                    locked_until: None,
                    ..operator.clone()
                })
            },
        })
        .await
    }

    async fn checked_hash(
        &self,
        name: &OperatorName,
        password: &SecretString,
    ) -> Result<PasswordHash, EngineError> {
        check_password(name, password.expose_secret()).map_err(|bad| {
            Refusal::new(RefusalCode::PasswordInvalid, bad.to_string()).on("password")
        })?;
        Ok(self.0.passwords.hash(password).await?)
    }

    async fn change<F>(&self, change: Change<F>) -> Result<Operator, EngineError>
    where
        F: Fn(&Operator, Instant) -> Option<Operator> + Send + 'static,
    {
        let now = self.now();
        let done = self.0.store.solo(move |tx| change.make(tx, now)).await?;
        Ok(done?)
    }
}

impl<F> Change<F>
where
    F: Fn(&Operator, Instant) -> Option<Operator>,
{
    fn make(&self, tx: &mut Tx<'_>, now: Instant) -> Result<Result<Operator, Refusal>, StoreError> {
        if self.actor.who == who(&self.name) {
            return Ok(Err(own_account()));
        }
        let administrators = tx.administrators()?;
        let Some(before) = tx.operator(&self.name)? else {
            return Ok(Err(not_found(&self.name)));
        };
        let Some(after) = (self.after)(&before, now) else {
            return Ok(Ok(before));
        };
        let is_admin = |one: &Operator| one.role == Role::Admin && one.disabled_at.is_none();
        if is_admin(&before) && !is_admin(&after) && administrators.len() <= 1 {
            return Ok(Err(last_administrator()));
        }
        let after = Operator {
            version: before.version + 1,
            ..after
        };
        tx.replace_operator(&after)?;
        if self.sessions == Sessions::End {
            tx.end_sessions(&self.name, now)?;
        }
        let mut audit = entry(now, &self.actor, self.action, self.name.as_str());
        audit.before = Some(stands(&before, now));
        audit.after = Some(stands(&after, now));
        tx.audit(audit)?;
        Ok(Ok(after))
    }
}

/// State and role, in the words of an audit row.
fn stands(operator: &Operator, now: Instant) -> String {
    format!("{} {}", operator.state(now), operator.role)
}

/// There is no such operator.
pub(super) fn not_found(name: &OperatorName) -> Refusal {
    let words = format!("there is no operator {name}");
    Refusal::new(RefusalCode::OperatorNotFound, words).on("name")
}

fn own_account() -> Refusal {
    let words = "nobody does this to the own account; ask another administrator (your password you \
                 change yourself)";
    Refusal::new(RefusalCode::OwnAccount, words).on("name")
}

fn last_administrator() -> Refusal {
    let words = "this is the last administrator; make somebody else one first";
    Refusal::new(RefusalCode::LastAdministrator, words).on("name")
}
