//! Logging in, and proving again who one is, through the bank's identity provider: OpenID Connect, the
//! authorization code flow with PKCE. The browser is sent away with a question and comes back with a
//! code; the code is changed for a token, the token judged, and the person let in on the account as it
//! then stands. The provider says who somebody is, and nothing else: accounts, roles and locks are the
//! center's own, and no login makes an account.
//!
//! A session counts as fresh from the moment at which the person proved who they are at the provider,
//! not from the moment at which the browser came back: a provider that remembers people for a day makes
//! nobody fresh.
//!
//! How one could break this: by taking a code that another browser brought back (the state is made from
//! what this one holds); by asking the provider for less than is checked afterwards.

mod ticket;

pub use ticket::TICKET_LASTS_S;

use super::enter::tell_or_count;
use super::passwords::random_secret;
use super::{LoggedIn, Operators, Visit, entry, hash_of, who};
use crate::domain::id_token::{Awaited, IdToken, IdTokenRules, NotBelieved, Proven};
use crate::domain::operator::{NotLetIn, Operator, OperatorState, SESSION_FRESH, Session};
use crate::domain::time::Instant;
use crate::engine::Actor;
use crate::storage::{StoreError, Tx};
use crate::trust::{IdTokenFault, ProviderKeys, open_id_token};
use crate::upstream::{Provider, ProviderFault, Question, error_name};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use ticket::{Errand, Ticket};

/// What the way through the provider is made of.
pub struct ProviderParts {
    /// The people's desk.
    pub operators: Operators,
    /// The provider.
    pub provider: Provider,
    /// What its tokens have to say.
    pub rules: IdTokenRules,
}

/// The way in through the provider. Cheap to clone.
#[derive(Clone)]
pub struct ProviderLogin(Arc<ProviderParts>);

/// Where a browser is sent, and what it keeps meanwhile.
#[derive(Debug)]
pub struct Departure {
    /// The provider's page.
    pub url: String,
    /// For the browser and nobody else.
    pub ticket: SecretString,
}

/// What a browser brought back in its address.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// The code.
    pub code: Option<SecretString>,
    /// The state.
    pub state: Option<String>,
    /// The provider's name, where it says it (RFC 9207).
    pub issuer: Option<String>,
    /// The provider's refusal.
    pub error: Option<String>,
}

/// Why somebody was not let in. The browser is told none of it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderRefusal {
    /// Whoever wants to prove again who they are has no session.
    #[error("there is no session to be made fresh")]
    NoSession,
    /// The browser holds no ticket, or one that is too old.
    #[error("the browser was not sent to the provider by us, or too long ago")]
    NoTicket,
    /// The answer belongs to another browser, or to another question of this one.
    #[error("the answer is not the one to this browser's question (state)")]
    State,
    /// The answer names another provider.
    #[error("the answer is not from the provider that was asked (iss)")]
    Issuer,
    /// The provider refused.
    #[error("the provider refused: {0}")]
    Said(String),
    /// There is neither a code nor a refusal.
    #[error("the answer has no code")]
    NoCode,
    /// The provider is of no help.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The token is not the provider's.
    #[error(transparent)]
    Token(#[from] IdTokenFault),
    /// The token does not say what it has to.
    #[error("the ID token is not believed: {0}")]
    NotBelieved(NotBelieved),
    /// The person is known, and not let in, or nobody has the name.
    #[error("the account is not let in: {0}")]
    NotLetIn(NotLetIn),
    /// Storage failed: a fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProviderRefusal {
    /// A stable word for programs and audit rows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSession => "SESSION_MISSING",
            Self::NoTicket => "TICKET_MISSING",
            Self::State => "STATE_MISMATCH",
            Self::Issuer => "ISSUER_MISMATCH",
            Self::Said(_) => "PROVIDER_SAID_NO",
            Self::NoCode => "CODE_MISSING",
            Self::Provider(fault) => fault.code(),
            Self::Token(fault) => fault.code(),
            Self::NotBelieved(why) => why.as_str(),
            Self::NotLetIn(why) => why.as_str(),
            Self::Store(_) => "STORAGE",
        }
    }

    /// Whether what somebody showed does not count. Otherwise we failed, or the provider did, and nobody
    /// is to pay for that.
    pub fn is_refused_proof(&self) -> bool {
        match self {
            Self::Store(_) | Self::Token(IdTokenFault::Keys) => false,
            Self::Provider(fault) => matches!(fault, ProviderFault::Refused(_)),
            Self::NoSession
            | Self::NoTicket
            | Self::State
            | Self::Issuer
            | Self::Said(_)
            | Self::NoCode
            | Self::Token(_)
            | Self::NotBelieved(_)
            | Self::NotLetIn(_) => true,
        }
    }
}

/// A proof, ready to be judged in a transaction.
#[derive(Clone)]
struct Entry {
    proven: Proven,
    errand: Errand,
    /// The session that is to be fresh again.
    old: Option<Session>,
    actor: Actor,
    secret_hash: String,
    now: Instant,
}

impl ProviderLogin {
    /// Puts the parts together.
    pub fn new(parts: ProviderParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Sends somebody to the provider to log in. The session that the browser held before ends when the
    /// person is let in.
    ///
    /// # Errors
    /// The provider does not tell where to.
    pub async fn depart(&self, held: Option<&Visit>) -> Result<Departure, ProviderRefusal> {
        let replaced = held.map(|visit| visit.session.secret_hash.clone());
        self.send_away(Errand::Login { replaced }).await
    }

    /// Sends somebody to the provider to prove again who they are, whatever the provider remembers.
    ///
    /// # Errors
    /// There is no session; the provider does not tell where to.
    pub async fn depart_again(&self, held: Option<&Visit>) -> Result<Departure, ProviderRefusal> {
        let held = held.ok_or(ProviderRefusal::NoSession)?;
        let session = held.session.secret_hash.clone();
        self.send_away(Errand::Again { session }).await
    }

    async fn send_away(&self, errand: Errand) -> Result<Departure, ProviderRefusal> {
        let ticket = Ticket::issue(errand, self.0.operators.now())?;
        let proof_age_max = match ticket.errand {
            Errand::Login { .. } => SESSION_FRESH.num_seconds(),
            Errand::Again { .. } => 0,
        };
        let question = Question {
            state: &ticket.state(),
            nonce: &ticket.nonce(),
            verifier: &ticket.verifier(),
            proof_age_max_s: u32::try_from(proof_age_max).unwrap_or(0),
        };
        Ok(Departure {
            url: self.0.provider.question(&question).await?,
            ticket: ticket.text().clone(),
        })
    }

    /// Takes somebody back from the provider.
    ///
    /// # Errors
    /// Why not. What the provider or an account is the reason for is in the audit trail as well: in a row
    /// of its own, or counted with others.
    pub async fn arrive(
        &self,
        ticket: Option<&SecretString>,
        returned: &Returned,
        actor: &Actor,
    ) -> Result<LoggedIn, ProviderRefusal> {
        let arrived = self.try_arrive(ticket, returned, actor).await;
        let outcome = arrived
            .as_ref()
            .map_or_else(ProviderRefusal::code, |_| "LET_IN");
        metrics::counter!("payhall_logins_total", "outcome" => outcome).increment(1);
        arrived
    }

    async fn try_arrive(
        &self,
        ticket: Option<&SecretString>,
        returned: &Returned,
        actor: &Actor,
    ) -> Result<LoggedIn, ProviderRefusal> {
        let now = self.0.operators.now();
        let ticket = ticket.and_then(|text| Ticket::read(text, now));
        let ticket = ticket.ok_or(ProviderRefusal::NoTicket)?;
        if !returned
            .state
            .as_deref()
            .is_some_and(|state| ticket.is_state(state))
        {
            return Err(ProviderRefusal::State);
        }
        match self.ask(&ticket, returned).await {
            Ok(proven) => self.enter(&ticket, proven, actor).await,
            Err(refusal) => {
                // Told where somebody holds the ticket and the state that goes with it, which is little:
                // anybody can fetch the two and knock here in a loop. The rows are bounded for that.
                self.write_refusal(&ticket, refusal.code(), actor).await?;
                Err(refusal)
            }
        }
    }

    /// Asks the provider who came back, and judges what it says.
    async fn ask(&self, ticket: &Ticket, returned: &Returned) -> Result<Proven, ProviderRefusal> {
        let provider = &self.0.provider;
        if !provider.is_from_here(returned.issuer.as_deref()).await? {
            return Err(ProviderRefusal::Issuer);
        }
        if let Some(error) = &returned.error {
            return Err(ProviderRefusal::Said(error_name(error).to_owned()));
        }
        let code = returned.code.as_ref().ok_or(ProviderRefusal::NoCode)?;
        let tokens = provider.tokens(code, &ticket.verifier()).await?;
        let token = self.open(&tokens).await?;
        let now = self.0.operators.now();
        let issued = Instant::from_timestamp(ticket.issued_s, 0).unwrap_or(now);
        let awaited = Awaited {
            nonce: &ticket.nonce(),
            proved_after: match ticket.errand {
                Errand::Login { .. } => issued - SESSION_FRESH,
                Errand::Again { .. } => issued,
            },
            now,
        };
        let judged = self.0.rules.judge(&token, awaited);
        judged.map_err(ProviderRefusal::NotBelieved)
    }

    /// Reads the token by the provider's keys, which are asked for once more if its own is not among
    /// them: providers change their keys.
    async fn open(&self, tokens: &crate::upstream::Tokens) -> Result<IdToken, ProviderRefusal> {
        let provider = &self.0.provider;
        let open = |keys: &[u8]| {
            let keys = ProviderKeys::read(keys)?;
            let (token, access) = (&tokens.id_token, &tokens.access_token);
            open_id_token(
                token.expose_secret(),
                access.expose_secret(),
                &keys,
                &self.0.rules.claim,
            )
        };
        let keys = provider.keys().await?;
        match open(&keys) {
            Err(IdTokenFault::UnknownKey | IdTokenFault::Keys) => {
                let keys = provider.keys_after(&keys).await?;
                Ok(open(&keys)?)
            }
            opened => Ok(opened?),
        }
    }

    async fn enter(
        &self,
        ticket: &Ticket,
        proven: Proven,
        actor: &Actor,
    ) -> Result<LoggedIn, ProviderRefusal> {
        let operators = &self.0.operators;
        let old = match &ticket.errand {
            Errand::Login { .. } => None,
            Errand::Again { session } => operators.look_in(session).await?,
        };
        let secret = random_secret()?;
        let entry = Entry {
            proven,
            errand: ticket.errand.clone(),
            old: old.map(|visit| visit.session),
            actor: actor.clone(),
            secret_hash: hash_of(&secret),
            now: operators.now(),
        };
        let store = &operators.0.store;
        let judged = store.solo(move |tx| entry.judge(tx)).await?;
        let visit = judged.map_err(ProviderRefusal::NotLetIn)?;
        Ok(LoggedIn { visit, secret })
    }

    async fn write_refusal(
        &self,
        ticket: &Ticket,
        code: &'static str,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let (_, action) = actions(&ticket.errand);
        let now = self.0.operators.now();
        let mut audit = entry(now, actor, action, "unknown");
        audit.detail = Some(detail(code));
        let store = &self.0.operators.0.store;
        let told = move |tx: &mut Tx<'_>| tell_or_count(tx, now, audit.clone());
        store.solo(told).await
    }
}

impl Entry {
    /// Judges the proof on the account as it stands, and writes what comes of it.
    fn judge(&self, tx: &mut Tx<'_>) -> Result<Result<Visit, NotLetIn>, StoreError> {
        let operator = match &self.proven.name {
            Some(name) => tx.operator(name)?,
            None => None,
        };
        let Some(operator) = operator else {
            return self.refuse(tx, None, NotLetIn::UnknownName);
        };
        match operator.state(self.now) {
            OperatorState::Disabled => self.refuse(tx, Some(&operator), NotLetIn::Disabled),
            OperatorState::Locked => self.refuse(tx, Some(&operator), NotLetIn::Locked),
            OperatorState::Active => self.let_in(tx, operator),
        }
    }

    fn let_in(
        &self,
        tx: &mut Tx<'_>,
        before: Operator,
    ) -> Result<Result<Visit, NotLetIn>, StoreError> {
        let created_at = match (&self.errand, &self.old) {
            (Errand::Login { replaced }, _) => {
                if let Some(hash) = replaced {
                    tx.end_session(hash, self.now)?;
                }
                self.now
            }
            (Errand::Again { .. }, Some(old)) if old.operator != before.name => {
                return self.refuse(tx, Some(&before), NotLetIn::OtherPerson);
            }
            (Errand::Again { session }, Some(old)) => {
                // Of two that hold the same session, one is too late.
                if !tx.end_session(session, self.now)? {
                    return self.refuse(tx, Some(&before), NotLetIn::Overtaken);
                }
                old.created_at
            }
            (Errand::Again { .. }, None) => {
                return self.refuse(tx, Some(&before), NotLetIn::Overtaken);
            }
        };
        let is_login = matches!(self.errand, Errand::Login { .. });
        // Wrong passwords are not made up for by a proof elsewhere: their count stays.
        let after = Operator {
            last_login_at: is_login.then_some(self.now).or(before.last_login_at),
            version: before.version + 1,
            ..before
        };
        tx.replace_operator(&after)?;
        let begun = Session::begin(self.secret_hash.clone(), after.name.clone(), self.now);
        let session = Session {
            created_at,
            fresh_until: self.proven.at + SESSION_FRESH,
            ..begun
        };
        tx.begin_session(&session)?;
        let actor = Actor {
            who: who(&after.name),
            ..self.actor.clone()
        };
        let (action, _) = actions(&self.errand);
        let mut audit = entry(self.now, &actor, action, after.name.as_str());
        audit.before = Some(OperatorState::Active.to_string());
        audit.after = audit.before.clone();
        audit.detail = Some(detail("LET_IN"));
        tx.audit(audit)?;
        Ok(Ok(Visit {
            operator: after,
            session,
        }))
    }

    fn refuse(
        &self,
        tx: &mut Tx<'_>,
        operator: Option<&Operator>,
        why: NotLetIn,
    ) -> Result<Result<Visit, NotLetIn>, StoreError> {
        let (_, action) = actions(&self.errand);
        let subject = operator.map_or("unknown", |operator| operator.name.as_str());
        let mut audit = entry(self.now, &self.actor, action, subject);
        let state = operator.map(|operator| operator.state(self.now).to_string());
        audit.before = state.clone();
        audit.after = state;
        audit.detail = Some(detail(why.as_str()));
        // None of these changes the account: nothing else bounds them.
        tell_or_count(tx, self.now, audit)?;
        Ok(Err(why))
    }
}

/// The words of the audit rows: of success, and of refusal; the same as for passwords.
fn actions(errand: &Errand) -> (&'static str, &'static str) {
    match errand {
        Errand::Login { .. } => ("LOGGED_IN", "LOGIN_REFUSED"),
        Errand::Again { .. } => ("REAUTHENTICATED", "REAUTHENTICATION_REFUSED"),
    }
}

/// What tells these rows from those of passwords.
fn detail(code: &str) -> String {
    format!("identity provider: {code}")
}
