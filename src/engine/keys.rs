//! 密钥: a key is issued by one person and approved by another, replaced with an overlap, taken back
//! at once; what the center makes for a merchant is handed out once and then forgotten.

use super::{Actor, Engine, EngineError, Listing};
use crate::domain::audit::AuditEntry;
use crate::domain::exception::later;
use crate::domain::ids::KeyId;
use crate::domain::key::{
    Algorithm, Key, KeyError, KeyOrigin, KeyOwner, KeyState, OVERLAP, check_overlap,
};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::storage::keys::{self, Filter, KeySecret};
use crate::storage::{StoreError, Tx};
use crate::trust::{KeyFault, PrivateKey, PublicKey, SealError, Sealed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How long a key lives if nothing else is said.
pub const KEY_LIFE: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How long it may live at most.
pub const KEY_LIFE_MAX: Duration = Duration::from_secs(2 * 365 * 24 * 3_600);

/// What a key is issued from.
#[derive(Clone, Debug)]
pub struct KeyIssueInput {
    /// Whose it is to be.
    pub owner: KeyOwner,
    /// What it is for.
    pub algorithm: Algorithm,
    /// The public key as the merchant handed it in; without it the center makes the pair.
    pub public_key: Option<String>,
    /// The key that it takes the place of when it is approved.
    pub replaces: Option<KeyId>,
    /// How long the replaced key counts after that.
    pub overlap: Duration,
    /// When its life ends; a year from now if nothing is said.
    pub expires_at: Option<Instant>,
}

/// A key that was issued.
#[derive(Debug)]
pub struct Issued {
    /// The key, which waits for its second person.
    pub key: Key,
    /// For a pair that the center made for a merchant: the ticket that its private part is handed
    /// out for, once. It is shown here and nowhere else.
    pub ticket: Option<SecretString>,
}

impl Engine {
    /// Issues a key: it waits for another person's approval.
    ///
    /// # Errors
    /// A refusal when the merchant is not registered, the public key is none or belongs to somebody
    /// already, the key to be replaced is not the owner's active one, or a time is out of bounds.
    pub async fn key_issue(
        &self,
        input: KeyIssueInput,
        maker: &Actor,
    ) -> Result<Issued, EngineError> {
        let now = self.now();
        self.check_owner(&input.owner)?;
        if input.owner == KeyOwner::Center && input.public_key.is_some() {
            let message = "the center makes its own keys; hand no public key in for it";
            return Err(Refusal::new(RefusalCode::KeyInvalid, message)
                .on("publicKey")
                .into());
        }
        self.check_replaced(&input).await?;
        check_overlap(input.overlap).map_err(refusal)?;
        let expires_at = input.expires_at.unwrap_or_else(|| later(now, KEY_LIFE));
        if expires_at <= now || expires_at > later(now, KEY_LIFE_MAX) {
            let message = "a key's life ends after now and within two years";
            return Err(Refusal::new(RefusalCode::InvalidArgument, message)
                .on("expiresAt")
                .into());
        }
        let private = match &input.public_key {
            Some(_) => None,
            None => Some(make(input.algorithm).await?),
        };
        let public = match (&private, &input.public_key) {
            (Some(private), _) => private.public_key().clone(),
            (None, text) => {
                let text = text.as_deref().unwrap_or_default();
                PublicKey::from_text(input.algorithm, text).map_err(key_fault)?
            }
        };
        let key = Key {
            replaces: input.replaces,
            overlap: input.overlap,
            expires_at,
            ..new_key(input.owner, &public, private.is_some(), &maker.who, now)
        };
        let is_for_merchant = key.owner != KeyOwner::Center;
        let ticket = (private.is_some() && is_for_merchant).then(new_ticket);
        let secret = private
            .map(|private| self.seal_secret(&key, &private, ticket.as_ref()))
            .transpose()?;
        let audit = self.key_audit(maker, &key, "ISSUED", None);
        self.insert_key(&key, secret, audit).await?;
        Ok(Issued { key, ticket })
    }

    /// Writes a new key, with its private part where the center keeps it.
    ///
    /// # Errors
    /// A refusal when the public key was registered before.
    pub(super) async fn insert_key(
        &self,
        key: &Key,
        secret: Option<KeySecret>,
        audit: AuditEntry,
    ) -> Result<(), EngineError> {
        let new = key.clone();
        let issued = self.0.store.solo(move |tx| {
            if keys::find_thumbprint(tx.c, &new.thumbprint)?.is_some() {
                return Ok(false);
            }
            tx.insert_key(&new)?;
            if let Some(secret) = &secret {
                tx.keep_key_secret(secret)?;
            }
            tx.audit(audit.clone())?;
            Ok(true)
        });
        if issued.await? {
            Ok(())
        } else {
            Err(in_use().into())
        }
    }

    /// Approves the version of a key that the checker read: it counts from now on, and the key that
    /// it replaces retires.
    ///
    /// # Errors
    /// A refusal when the key has changed since, is not pending, the checker is its maker, or the key
    /// to be replaced is not active any more.
    pub async fn key_approve(
        &self,
        key_id: &KeyId,
        version: i32,
        checker: &Actor,
    ) -> Result<Key, EngineError> {
        let now = self.now();
        let key = self.stored_key(key_id).await?;
        check_version(&key, version)?;
        let approved = key.approve(&checker.who, now).map_err(refusal)?;
        let mut steps = Vec::new();
        if let Some(replaced) = &key.replaces {
            let old = self.stored_key(replaced).await?;
            let retiring = old.retire(now, key.overlap).map_err(refusal)?;
            steps.push((
                self.key_audit(checker, &retiring, "RETIRED", Some(old.state)),
                retiring,
            ));
        }
        steps.push((
            self.key_audit(checker, &approved, "APPROVED", Some(key.state)),
            approved.clone(),
        ));
        self.replace_keys(steps).await?;
        Ok(approved)
    }

    /// Refuses a key that waits for its approval.
    ///
    /// # Errors
    /// A refusal when the key has changed since, is not pending, was issued by the same person, or the
    /// reason is missing.
    pub async fn key_reject(
        &self,
        key_id: &KeyId,
        version: i32,
        reason: &str,
        checker: &Actor,
    ) -> Result<Key, EngineError> {
        let key = self.stored_key(key_id).await?;
        check_version(&key, version)?;
        key.check_by(&checker.who, "rejected").map_err(refusal)?;
        self.end(key, reason, "REJECTED", checker).await
    }

    /// Takes a key back, at once and everywhere.
    ///
    /// # Errors
    /// A refusal when the key is at its end already, or the reason is missing.
    pub async fn key_revoke(
        &self,
        key_id: &KeyId,
        reason: &str,
        actor: &Actor,
    ) -> Result<Key, EngineError> {
        let key = self.stored_key(key_id).await?;
        self.end(key, reason, "REVOKED", actor).await
    }

    /// Hands the private part of a key out, as PKCS#8 PEM, for its ticket: once. Afterwards the
    /// center has the public part only.
    ///
    /// # Errors
    /// A refusal when the ticket is not that of this key, or was used; when the key is not active.
    pub async fn key_hand_out(
        &self,
        key_id: &KeyId,
        ticket: &str,
        actor: &Actor,
    ) -> Result<(Key, Zeroizing<String>), EngineError> {
        let number = key_id.clone();
        let read = move |c: &mut _| Ok((keys::find(c, &number)?, keys::secret(c, &number)?));
        let (key, secret) = self.0.store.read(read).await?;
        // One answer for every reason, so that nobody learns which keys there are.
        let (key, secret) = key.zip(secret).ok_or_else(no_ticket)?;
        let is_right = secret.ticket_hash.as_ref().is_some_and(|hash| {
            let given = Sha256::digest(ticket.as_bytes());
            bool::from(hash.as_slice().ct_eq(given.as_slice()))
        });
        if !is_right {
            return Err(no_ticket().into());
        }
        let handed_out = key.hand_out(self.now()).map_err(refusal)?;
        let private = self.open_secret(&key, &secret).map_err(fault)?;
        let pem = private.to_pem().map_err(key_fault)?;
        let audit = self.key_audit(actor, &handed_out, "HANDED_OUT", Some(key.state));
        let (new, number) = (handed_out.clone(), key_id.clone());
        let done = self.0.store.solo(move |tx| {
            if !tx.forget_key_secret(&number)? || !tx.replace_key(&new)? {
                return Ok(false);
            }
            tx.audit(audit.clone())?;
            Ok(true)
        });
        if !done.await? {
            return Err(no_ticket().into());
        }
        Ok((handed_out, pem))
    }

    /// One key.
    pub async fn key(&self, key_id: &KeyId) -> Result<Option<Key>, EngineError> {
        let number = key_id.clone();
        Ok(self.0.store.read(move |c| keys::find(c, &number)).await?)
    }

    /// A page of keys, newest first.
    pub async fn keys(
        &self,
        filter: Filter,
        after: Option<KeyId>,
        limit: i64,
    ) -> Result<Listing<Key>, EngineError> {
        let read = move |c: &mut _| keys::list(c, &filter, after.as_ref(), limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    fn check_owner(&self, owner: &KeyOwner) -> Result<(), Refusal> {
        let Some(code) = owner.merchant() else {
            return Ok(());
        };
        match self.catalogue().merchant(code) {
            Some(_) => Ok(()),
            None => {
                let message = format!("merchant {code} is not registered");
                Err(Refusal::new(RefusalCode::MerchantNotFound, message).on("merchant"))
            }
        }
    }

    async fn check_replaced(&self, input: &KeyIssueInput) -> Result<(), EngineError> {
        let Some(replaced) = &input.replaces else {
            return Ok(());
        };
        let old = self.stored_key(replaced).await?;
        if old.owner != input.owner {
            return Err(key_not_found(replaced).into());
        }
        // Whether it can be replaced is asked again when the new one is approved.
        old.retire(self.now(), input.overlap).map_err(refusal)?;
        Ok(())
    }

    /// Seals the private part of a key, for the ticket that it is handed out for.
    pub(super) fn seal_secret(
        &self,
        key: &Key,
        private: &PrivateKey,
        ticket: Option<&SecretString>,
    ) -> Result<KeySecret, EngineError> {
        let pkcs8 = private.to_pkcs8().map_err(key_fault)?;
        let sealed = self
            .0
            .masters
            .seal(&belongs_to(key), &pkcs8)
            .map_err(fault)?;
        let hash =
            |ticket: &SecretString| Sha256::digest(ticket.expose_secret().as_bytes()).to_vec();
        Ok(to_row(&key.key_id, sealed, ticket.map(hash)))
    }

    /// The private part of a key, opened.
    pub(super) fn open_secret(
        &self,
        key: &Key,
        secret: &KeySecret,
    ) -> Result<PrivateKey, SealError> {
        let sealed = of_row(secret);
        let pkcs8 = self.0.masters.open(&belongs_to(key), &sealed)?;
        PrivateKey::from_pkcs8(key.algorithm, &pkcs8).map_err(|_| SealError::Altered)
    }

    async fn end(
        &self,
        key: Key,
        reason: &str,
        action: &str,
        actor: &Actor,
    ) -> Result<Key, EngineError> {
        let ended = key.revoke(reason, self.now()).map_err(refusal)?;
        let mut audit = self.key_audit(actor, &ended, action, Some(key.state));
        audit.detail = Some(reason.to_owned());
        self.replace_keys(vec![(audit, ended.clone())]).await?;
        Ok(ended)
    }

    pub(super) async fn stored_key(&self, key_id: &KeyId) -> Result<Key, EngineError> {
        let found = self.key(key_id).await?;
        Ok(found.ok_or_else(|| key_not_found(key_id))?)
    }

    /// Writes keys' new values, all of them or none.
    pub(super) async fn replace_keys(
        &self,
        steps: Vec<(AuditEntry, Key)>,
    ) -> Result<(), EngineError> {
        let last = steps.last().map(|(_, key)| key.key_id.clone());
        let written = self.0.store.solo(move |tx| write_steps(tx, &steps)).await;
        match written {
            Err(StoreError::Refused(why)) if why == CHANGED => {
                let key_id = last.map(|key_id| key_id.to_string()).unwrap_or_default();
                let message = format!("key {key_id} was changed by somebody else; read it again");
                Err(Refusal::new(RefusalCode::KeyChanged, message)
                    .on("keyId")
                    .into())
            }
            written => Ok(written?),
        }
    }

    pub(super) fn key_audit(
        &self,
        actor: &Actor,
        key: &Key,
        action: &str,
        before: Option<KeyState>,
    ) -> AuditEntry {
        let mut audit = self.audit(self.now(), actor, action);
        audit.subject_kind = "KEY";
        audit.subject = key.key_id.to_string();
        audit.before = before.map(|state| state.as_str().to_owned());
        audit.after = Some(key.state.as_str().to_owned());
        audit.detail = Some(format!("{} of {}", key.algorithm, key.owner));
        audit
    }
}

/// The error that rolls the steps of several keys back.
const CHANGED: &str = "a key was changed meanwhile";

fn write_steps(tx: &mut Tx<'_>, steps: &[(AuditEntry, Key)]) -> Result<(), StoreError> {
    for (audit, key) in steps {
        if !tx.replace_key(key)? {
            return Err(StoreError::Refused(CHANGED.to_owned()));
        }
        let is_over = matches!(key.state, KeyState::Revoked | KeyState::Expired);
        if is_over && key.owner != KeyOwner::Center {
            // Nobody will be handed the private part of a key that counts no more.
            tx.forget_key_secret(&key.key_id)?;
        }
        tx.audit(audit.clone())?;
    }
    Ok(())
}

/// Makes a pair, on a thread that may be busy: an RSA pair takes a second of a core.
pub(super) async fn make(algorithm: Algorithm) -> Result<PrivateKey, EngineError> {
    let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await;
    let made = made.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(made.map_err(key_fault)?)
}

/// A key that waits for its second person and lives for a year.
pub(super) fn new_key(
    owner: KeyOwner,
    public: &PublicKey,
    is_ours: bool,
    maker: &str,
    now: Instant,
) -> Key {
    let origin = match (is_ours, &owner) {
        (_, KeyOwner::Center) => KeyOrigin::Center,
        (true, KeyOwner::Merchant(_)) => KeyOrigin::Generated,
        (false, KeyOwner::Merchant(_)) => KeyOrigin::Uploaded,
    };
    Key {
        key_id: new_key_id(),
        owner,
        algorithm: public.algorithm(),
        public_key: public.der().to_vec(),
        thumbprint: public.thumbprint(),
        origin,
        state: KeyState::Pending,
        replaces: None,
        overlap: OVERLAP,
        maker: maker.to_owned(),
        checker: None,
        created_at: now,
        active_at: None,
        retires_at: None,
        expires_at: later(now, KEY_LIFE),
        ended_at: None,
        handed_out_at: None,
        reason: None,
        noticed_days: None,
        version: 0,
    }
}

/// Sorts by time, so that a listing is newest first.
fn new_key_id() -> KeyId {
    let id = uuid::Uuid::now_v7().simple().to_string();
    KeyId::try_new(id).expect("32 hexadecimal digits are an id")
}

/// 256 random bits.
fn new_ticket() -> SecretString {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// What a private part is bound to, so that it opens for nothing else.
pub(super) fn belongs_to(key: &Key) -> Vec<u8> {
    let (key_id, owner) = (&key.key_id, &key.owner);
    let (algorithm, thumbprint) = (key.algorithm, &key.thumbprint);
    format!("private key\n{key_id}\n{owner}\n{algorithm}\n{thumbprint}").into_bytes()
}

pub(super) fn to_row(key_id: &KeyId, sealed: Sealed, ticket_hash: Option<Vec<u8>>) -> KeySecret {
    KeySecret {
        key_id: key_id.to_string(),
        master: sealed.master,
        wrapped_key: sealed.wrapped_key,
        secret: sealed.secret,
        ticket_hash,
    }
}

pub(super) fn of_row(row: &KeySecret) -> Sealed {
    Sealed {
        master: row.master.clone(),
        wrapped_key: row.wrapped_key.clone(),
        secret: row.secret.clone(),
    }
}

/// No such key, or not the caller's: the same answer for both.
pub fn key_not_found(key_id: &KeyId) -> Refusal {
    let message = format!("there is no key {key_id}");
    Refusal::new(RefusalCode::KeyNotFound, message).on("keyId")
}

fn no_ticket() -> Refusal {
    let message = "the ticket is not one of this key, or its private key was handed out before; if \
                   nobody has it, revoke the key and issue another";
    Refusal::new(RefusalCode::KeyTicketInvalid, message).on("ticket")
}

fn in_use() -> Refusal {
    let message =
        "this public key was registered before, here or for somebody else; make a new pair";
    Refusal::new(RefusalCode::KeyInUse, message).on("publicKey")
}

fn check_version(key: &Key, version: i32) -> Result<(), Refusal> {
    if key.version == version {
        return Ok(());
    }
    let message = format!(
        "key {} is not at version {version} any more; read it again and decide about what stands \
         there now, with its version",
        key.key_id
    );
    Err(Refusal::new(RefusalCode::KeyChanged, message).on("version"))
}

fn refusal(error: KeyError) -> Refusal {
    let (code, field) = match &error {
        KeyError::State { .. } | KeyError::Expired => (RefusalCode::KeyStateConflict, "keyId"),
        KeyError::MakerIsChecker { .. } => (RefusalCode::MakerIsChecker, "keyId"),
        KeyError::Reason(_) => (RefusalCode::InvalidArgument, "reason"),
        KeyError::Overlap(_) => (RefusalCode::InvalidArgument, "overlapHours"),
    };
    Refusal::new(code, error.to_string()).on(field)
}

fn key_fault(error: KeyFault) -> Refusal {
    Refusal::new(RefusalCode::KeyInvalid, error.to_string()).on("publicKey")
}

/// Why private parts cannot be kept or opened, which a caller cannot help.
pub(super) fn fault(error: SealError) -> EngineError {
    match error {
        SealError::NoMaster => {
            let message = "this center keeps no private keys: it has no master key \
                           (keys.master); hand a public key in instead";
            Refusal::new(RefusalCode::KeyInvalid, message)
                .on("publicKey")
                .into()
        }
        error => StoreError::Corrupt {
            table: "key_secrets",
            key: "a private key".to_owned(),
            why: error.to_string(),
        }
        .into(),
    }
}
