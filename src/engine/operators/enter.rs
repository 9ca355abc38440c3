//! Logging in, and proving again who one is. Both go the same way and differ only in what a right
//! proof brings: a session, the same session under a new secret, or a new password.

use super::codes::CodeSecret;
use super::passwords::random_secret;
use super::{Operators, Visit, entry, hash_of, who};
use crate::domain::audit::AuditEntry;
use crate::domain::ids::OperatorName;
use crate::domain::operator::{
    NotLetIn, Operator, OperatorState, PASSWORD_CHARS_MAX, PasswordHash, Proof, Sealed, Session,
    check_password,
};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::engine::{Actor, EngineError};
use crate::storage::{StoreError, Tx, operators};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

/// What somebody shows.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The password.
    pub password: SecretString,
    /// The one-time code, where the account has codes.
    pub code: Option<SecretString>,
}

/// Somebody who has proved who they are.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The account and the session.
    pub visit: Visit,
    /// The session's secret, for the browser and nobody else.
    pub secret: SecretString,
}

/// What a right proof is for.
#[derive(Clone)]
enum Occasion {
    /// A session, in place of the one that the browser may hold already.
    Login { replaced: Option<String> },
    /// The same session, fresh again.
    Again(Session),
    /// The same session, with a new password. There is none if the proof was wrong.
    NewPassword(Session, Option<PasswordHash>),
}

impl Occasion {
    /// The words of the audit rows: of success, and of refusal.
    fn actions(&self) -> (&'static str, &'static str) {
        match self {
            Occasion::Login { .. } => ("LOGGED_IN", "LOGIN_REFUSED"),
            Occasion::Again(_) => ("REAUTHENTICATED", "REAUTHENTICATION_REFUSED"),
            Occasion::NewPassword(..) => ("PASSWORD_CHANGED", "PASSWORD_CHANGE_REFUSED"),
        }
    }

    /// The session that a right proof brings. It is fresh, and begins where the old one began, so that
    /// nobody makes a session longer than its limit.
    fn session(&self, secret_hash: String, operator: &Operator, now: Instant) -> Session {
        let begun = Session::begin(secret_hash, operator.name.clone(), now);
        match self {
            Occasion::Login { .. } => begun,
            Occasion::Again(old) | Occasion::NewPassword(old, _) => Session {
                created_at: old.created_at,
                ..begun
            },
        }
    }
}

/// What a proof is computed from: the password's hash and the codes' secret.
type Secrets = (PasswordHash, Option<Sealed>);

fn secrets(operator: &Operator) -> Secrets {
    (operator.password_hash.clone(), operator.totp.clone())
}

/// A proof as it was computed, and what it was computed from.
#[derive(Clone)]
struct Computed {
    against: Option<Secrets>,
    proof: Proof,
    /// The same password's hash with today's cost, where the stored one is of another.
    renewed: Option<PasswordHash>,
}

/// One try, ready to be judged in a transaction.
#[derive(Clone)]
struct Try {
    name: Option<OperatorName>,
    computed: Computed,
    occasion: Occasion,
    actor: Actor,
    secret_hash: String,
    now: Instant,
}

impl Operators {
    /// Logs somebody in. The session that the browser held before (`held`) ends, so that nobody can
    /// have prepared it.
    ///
    /// # Errors
    /// One refusal for every reason; the audit row tells which it was.
    pub async fn login(
        &self,
        name: &str,
        credentials: &Credentials,
        held: Option<&Visit>,
        actor: &Actor,
    ) -> Result<LoggedIn, EngineError> {
        let name = OperatorName::try_new(name).ok();
        let computed = self.compute(name.as_ref(), credentials).await?;
        let replaced = held.map(|visit| visit.session.secret_hash.clone());
        let occasion = Occasion::Login { replaced };
        self.enter(name, computed, occasion, actor).await
    }

    /// Makes a session fresh again, under a new secret.
    ///
    /// # Errors
    /// As for a login; wrong tries count for the same lock.
    pub async fn reauthenticate(
        &self,
        visit: &Visit,
        credentials: &Credentials,
        actor: &Actor,
    ) -> Result<LoggedIn, EngineError> {
        let name = visit.operator.name.clone();
        let computed = self.compute(Some(&name), credentials).await?;
        let occasion = Occasion::Again(visit.session.clone());
        self.enter(Some(name), computed, occasion, actor).await
    }

    /// Changes the own password. Every other session of the account ends.
    ///
    /// # Errors
    /// As for a login; `PASSWORD_INVALID` for a new password that breaks a rule.
    pub async fn change_password(
        &self,
        visit: &Visit,
        credentials: &Credentials,
        new: &SecretString,
        actor: &Actor,
    ) -> Result<LoggedIn, EngineError> {
        let name = visit.operator.name.clone();
        let invalid =
            |words: String| Refusal::new(RefusalCode::PasswordInvalid, words).on("newPassword");
        check_password(&name, new.expose_secret()).map_err(|bad| invalid(bad.to_string()))?;
        if new.expose_secret() == credentials.password.expose_secret() {
            let words = "the new password has to be another one than the old";
            return Err(invalid(words.to_owned()).into());
        }
        let computed = self.compute(Some(&name), credentials).await?;
        let hash = match computed.proof.is_password_right {
            true => Some(self.0.passwords.hash(new).await?),
            false => None,
        };
        let occasion = Occasion::NewPassword(visit.session.clone(), hash);
        self.enter(Some(name), computed, occasion, actor).await
    }

    /// Ends a session.
    pub async fn logout(&self, visit: &Visit, actor: &Actor) -> Result<(), EngineError> {
        let now = self.now();
        let audit = entry(now, actor, "LOGGED_OUT", visit.operator.name.as_str());
        let hash = visit.session.secret_hash.clone();
        let logged_out = move |tx: &mut Tx<'_>| {
            if tx.end_session(&hash, now)? {
                tx.audit(audit.clone())?;
            }
            Ok(())
        };
        Ok(self.0.store.solo(logged_out).await?)
    }

    /// Computes the proof; the same work whether anybody has the name or not.
    async fn compute(
        &self,
        name: Option<&OperatorName>,
        credentials: &Credentials,
    ) -> Result<Computed, EngineError> {
        let known = match name.cloned() {
            Some(name) => {
                self.0
                    .store
                    .read(move |c| operators::find(c, &name))
                    .await?
            }
            None => None,
        };
        let hash = known.as_ref().map(|known| known.password_hash.clone());
        let passwords = &self.0.passwords;
        let password = bounded(&credentials.password);
        let checked = passwords.check(hash, &password).await?;
        let code_step = match (&known, &credentials.code) {
            (Some(known), Some(code)) if checked.is_right => self.code_step(known, code)?,
            _ => None,
        };
        let renewed = match checked.is_right && checked.is_old {
            true => Some(passwords.hash(&password).await?),
            false => None,
        };
        Ok(Computed {
            against: known.as_ref().map(secrets),
            proof: Proof {
                is_password_right: checked.is_right,
                code_step,
            },
            renewed,
        })
    }

    fn code_step(
        &self,
        operator: &Operator,
        code: &SecretString,
    ) -> Result<Option<i64>, StoreError> {
        let Some(sealed) = &operator.totp else {
            return Ok(None);
        };
        let opened = match self.0.seal.as_deref() {
            Some(seal) => CodeSecret::open(seal, &operator.name, sealed),
            None => Err("there is no master key".to_owned()),
        };
        let secret = opened.map_err(|why| {
            let name = &operator.name;
            StoreError::Settings(format!("the secret of {name}'s codes does not open: {why}"))
        })?;
        Ok(secret.step_of(code.expose_secret(), self.now()))
    }

    async fn enter(
        &self,
        name: Option<OperatorName>,
        computed: Computed,
        occasion: Occasion,
        actor: &Actor,
    ) -> Result<LoggedIn, EngineError> {
        let secret = random_secret()?;
        let attempt = Try {
            name,
            computed,
            occasion,
            actor: actor.clone(),
            secret_hash: hash_of(&secret),
            now: self.now(),
        };
        let judged = self.0.store.solo(move |tx| attempt.judge(tx)).await?;
        let outcome = judged
            .as_ref()
            .map_or_else(|why| why.as_str(), |_| "LET_IN");
        metrics::counter!("payhall_logins_total", "outcome" => outcome).increment(1);
        match judged {
            Ok(visit) => Ok(LoggedIn { visit, secret }),
            Err(_) => Err(refused().into()),
        }
    }
}

impl Try {
    /// Judges the try on the account as it stands, and writes what comes of it.
    fn judge(&self, tx: &mut Tx<'_>) -> Result<Result<Visit, NotLetIn>, StoreError> {
        let operator = match &self.name {
            Some(name) => tx.operator(name)?,
            None => None,
        };
        let Some(operator) = operator else {
            // What was typed as a name may be a password.
            let audit = self.refusal("unknown", NotLetIn::UnknownName);
            tell_or_count(tx, self.now, audit)?;
            return Ok(Err(NotLetIn::UnknownName));
        };
        if self.computed.against != Some(secrets(&operator)) {
            return self.refuse(tx, &operator, &operator, NotLetIn::Overtaken);
        }
        match operator.judge(self.computed.proof, self.now) {
            (after, Ok(())) => self.let_in(tx, &operator, after),
            (after, Err(why)) => self.refuse(tx, &operator, &after, why),
        }
    }

    fn let_in(
        &self,
        tx: &mut Tx<'_>,
        before: &Operator,
        mut after: Operator,
    ) -> Result<Result<Visit, NotLetIn>, StoreError> {
        if let Some(hash) = &self.computed.renewed {
            after.password_hash = hash.clone();
        }
        match &self.occasion {
            Occasion::Login { replaced } => {
                after.last_login_at = Some(self.now);
                if let Some(hash) = replaced {
                    tx.end_session(hash, self.now)?;
                }
            }
            Occasion::Again(old) | Occasion::NewPassword(old, _) => {
                // Of two requests that hold the same secret, one is too late.
                if !tx.end_session(&old.secret_hash, self.now)? {
                    return self.refuse(tx, before, before, NotLetIn::Overtaken);
                }
            }
        }
        if let Occasion::NewPassword(_, Some(hash)) = &self.occasion {
            after.password_hash = hash.clone();
            after.password_is_temporary = false;
            tx.end_sessions(&after.name, self.now)?;
        }
        tx.replace_operator(&after)?;
        let occasion = &self.occasion;
        let session = occasion.session(self.secret_hash.clone(), &after, self.now);
        tx.begin_session(&session)?;
        let actor = Actor {
            who: who(&after.name),
            ..self.actor.clone()
        };
        let (action, _) = self.occasion.actions();
        let mut audit = entry(self.now, &actor, action, after.name.as_str());
        audit.before = Some(before.state(self.now).to_string());
        audit.after = Some(after.state(self.now).to_string());
        tx.audit(audit)?;
        Ok(Ok(Visit {
            operator: after,
            session,
        }))
    }

    fn refuse(
        &self,
        tx: &mut Tx<'_>,
        before: &Operator,
        after: &Operator,
        why: NotLetIn,
    ) -> Result<Result<Visit, NotLetIn>, StoreError> {
        let changes = before != after;
        if changes {
            tx.replace_operator(after)?;
        }
        let (was, is) = (before.state(self.now), after.state(self.now));
        if is == OperatorState::Locked && was != is {
            tracing::warn!(operator = %after.name, failures = after.failures, "an account is locked");
        }
        let mut audit = self.refusal(after.name.as_str(), why);
        audit.before = Some(was.to_string());
        audit.after = Some(is.to_string());
        // A try that changes the account is bounded by the lock that it brings nearer.
        match changes {
            true => tx.audit(audit)?,
            false => tell_or_count(tx, self.now, audit)?,
        }
        Ok(Err(why))
    }

    fn refusal(&self, subject: &str, why: NotLetIn) -> AuditEntry {
        let (_, action) = self.occasion.actions();
        let mut audit = entry(self.now, &self.actor, action, subject);
        audit.detail = Some(why.to_string());
        audit
    }
}

/// A refused try that changed nothing: the first ones of a minute have an audit row each, the others are
/// counted, and their number has one row when the minute is over.
pub(super) fn tell_or_count(
    tx: &mut Tx<'_>,
    now: Instant,
    audit: AuditEntry,
) -> Result<(), StoreError> {
    let counted = tx.count_refused_try(now, STRETCH, TOLD_MOST)?;
    if let Some(left_over) = only_counted(now, counted.left_over) {
        tx.audit(left_over)?;
    }
    if counted.is_told {
        tx.audit(audit)?;
    }
    Ok(())
}

/// How long refused tries that changed nothing are counted together.
pub(super) const STRETCH: TimeDelta = TimeDelta::minutes(1);
/// How many of them have an audit row of their own: at the worst some 12 MB a day.
pub(super) const TOLD_MOST: i32 = 20;

/// The audit row of tries that were only counted; none where there were none.
pub(super) fn only_counted(now: Instant, count: i64) -> Option<AuditEntry> {
    let mut audit = entry(now, &Actor::system(), "LOGIN_REFUSED", "several");
    let words = "further tries that changed nothing (of unknown names, at accounts that are locked or off, \
                 through the identity provider) have no rows of their own";
    audit.detail = Some(format!("{count} {words}"));
    (count > 0).then_some(audit)
}

/// No password is longer than the rule allows, and nobody makes us compute more: what is longer is
/// cut to something that is no password either.
fn bounded(password: &SecretString) -> SecretString {
    let text = password.expose_secret();
    if text.chars().count() <= PASSWORD_CHARS_MAX {
        return password.clone();
    }
    SecretString::from(
        text.chars()
            .take(PASSWORD_CHARS_MAX + 1)
            .collect::<String>(),
    )
}

/// The one answer to whoever is not let in.
fn refused() -> Refusal {
    Refusal::new(
        RefusalCode::LoginRefused,
        "the name, the password or the one-time code is not right, or the account is locked or \
         switched off; five wrong tries in a row lock it for 15 minutes, and longer each time: wait, \
         or ask an administrator",
    )
}
