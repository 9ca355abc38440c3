//! Lets signed requests in: the signature is right, the key counts, and the request is new.

use super::{Engine, EngineError};
use crate::domain::exception::later;
use crate::domain::ids::{KeyId, MerchantCode};
use crate::domain::key::KeyOwner;
use crate::domain::merchant::{MerchantKind, MerchantState};
use crate::storage::{Admission, Admitted, Denied, StoreError};
use crate::trust::{
    Claim, KeyFault, PublicKey, Request, Response, SignatureFault, SignedHeaders, Signer,
    sign_response,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a nonce is remembered: longer than a request can be old or ahead of its time together.
const REMEMBERED: Duration = Duration::from_secs(660);

/// More public keys than this are not held at once; then they are read again.
const HELD_MAX: usize = 10_000;

/// Public keys by id. A key's public part and owner never change, so a copy is never out of date;
/// whether it still counts is asked of the database each time.
#[derive(Default)]
pub(super) struct HeldKeys(RwLock<HashMap<KeyId, Arc<HeldKey>>>);

struct HeldKey {
    merchant: MerchantCode,
    public: PublicKey,
}

/// Why a signed request is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The signature, or what it covers, is not what it has to be.
    #[error("{fault}")]
    Signature {
        /// What is wrong.
        fault: SignatureFault,
        /// The signature base that we made, where it came to that.
        base: Option<String>,
    },
    /// No merchant's key has this id.
    #[error("keyid: there is no key {0} of a merchant; ask the center for the id of yours")]
    UnknownKey(String),
    /// The key was revoked, waits for its approval, or its time is over.
    #[error(
        "keyid: key {0} does not count: it waits for approval, was revoked, or its time is over"
    )]
    KeyCountsNot(KeyId),
    /// The key is right, and its merchant is not let in.
    #[error("keyid: merchant {0} is closed, or was never approved")]
    MerchantCountsNot(MerchantCode),
    /// The nonce was used before.
    #[error("nonce: it was used before; every request, also a repeated one, needs a new one")]
    Replayed,
    /// The request could not be judged: a fault.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl AdmitError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            AdmitError::Signature { fault, .. } => fault.code(),
            AdmitError::UnknownKey(_) => "KEY_UNKNOWN",
            AdmitError::KeyCountsNot(_) => "KEY_COUNTS_NOT",
            AdmitError::MerchantCountsNot(_) => "MERCHANT_COUNTS_NOT",
            AdmitError::Replayed => "NONCE_REPLAYED",
            AdmitError::Engine(_) => "INTERNAL",
        }
    }
}

/// A request whose signature is right. It is let in when its nonce is used up.
#[derive(Debug)]
pub struct Admittance {
    /// Who signed it.
    pub merchant: MerchantCode,
    /// What kind of merchant that is.
    pub kind: MerchantKind,
    /// What its nonce is used up with.
    pub pass: Pass,
    claim: Claim,
}

/// Lets one signed request in: by [`Engine::let_in`], or by a verb that uses its nonce up in the one
/// transaction in which it does what the request asks for. That spares a change of its own, and the
/// request is let in and done, or neither. Whoever comes second with the same pass changes nothing; a
/// second request with the same nonce has a pass of its own, and is denied.
#[derive(Clone, Debug)]
pub struct Pass(Arc<PassInner>);

#[derive(Debug)]
struct PassInner {
    admission: Admission,
    is_used: AtomicBool,
}

impl Pass {
    fn new(admission: Admission) -> Self {
        let is_used = AtomicBool::new(false);
        Self(Arc::new(PassInner { admission, is_used }))
    }

    /// What storage has to let in with a change; none where it did already.
    pub(super) fn admission(&self) -> Option<Admission> {
        let is_used = self.0.is_used.load(Ordering::Acquire);
        (!is_used).then(|| self.0.admission.clone())
    }

    /// Notes that a change with the admission is in the database.
    pub(super) fn used(&self) {
        self.0.is_used.store(true, Ordering::Release);
    }
}

impl From<Denied> for AdmitError {
    fn from(why: Denied) -> Self {
        match why {
            Denied::Replayed => AdmitError::Replayed,
            Denied::KeyCountsNoMore(key_id) => AdmitError::KeyCountsNot(key_id),
        }
    }
}

impl Engine {
    /// Whether the key that somebody was let in by would let them in now, for what outlasts a request.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn still_admits(&self, admittance: &Admittance) -> Result<bool, EngineError> {
        let Ok(key_id) = KeyId::try_new(admittance.claim.key_id()) else {
            return Ok(false);
        };
        let key = self.key(&key_id).await?;
        let counts = key.is_some_and(|key| key.counts(self.now()));
        Ok(counts && self.kind_of(&admittance.merchant).is_ok())
    }

    /// Tells which merchant signed a request. It is not let in yet: a replayed one is told by
    /// [`Engine::let_in`], or by the verb that takes its pass.
    ///
    /// # Errors
    /// What is wrong with the request, part by part; a fault when storage fails.
    pub async fn recognise(&self, request: &Request<'_>) -> Result<Admittance, AdmitError> {
        let signature = |base: Option<&Claim>| {
            let base = base.map(|claim| claim.base().to_owned());
            move |fault| AdmitError::Signature { fault, base }
        };
        let claim = Claim::read(request).map_err(signature(None))?;
        let unknown = || AdmitError::UnknownKey(claim.key_id().to_owned());
        let key_id = KeyId::try_new(claim.key_id()).map_err(|_| unknown())?;
        let held = self.held_key(&key_id).await?.ok_or_else(unknown)?;
        let now = self.now();
        claim
            .verify(&held.public, now)
            .map_err(signature(Some(&claim)))?;
        Ok(Admittance {
            kind: self.kind_of(&held.merchant)?,
            merchant: held.merchant.clone(),
            pass: Pass::new(Admission {
                key_id,
                nonce: claim.nonce().to_owned(),
                forget_at: later(now, REMEMBERED),
                now,
                tag: rand::random(),
            }),
            claim,
        })
    }

    /// Lets a signed request in, unless a verb has done so already: its key counts now, and its nonce is
    /// new and used up from here on.
    ///
    /// # Errors
    /// The nonce was used before, or the key does not count any more; a fault when storage fails, or does
    /// not answer within the time that a confirm has.
    pub async fn let_in(&self, pass: &Pass) -> Result<(), AdmitError> {
        let Some(admission) = pass.admission() else {
            return Ok(());
        };
        let admitted = self.0.store.admit(admission);
        let within = self.0.options.answer_within;
        // Whether it was let in is not known then. It may come later; nobody is told anything by it.
        let admitted = tokio::time::timeout(within, admitted).await;
        let late = |_| {
            Err(StoreError::Unavailable(
                "it did not answer in time".to_owned(),
            ))
        };
        match admitted.unwrap_or_else(late) {
            Ok(Admitted::Done) => {
                pass.used();
                Ok(())
            }
            Ok(Admitted::Denied(why)) => Err(why.into()),
            Err(fault) => Err(EngineError::from(fault).into()),
        }
    }

    /// The kind of a merchant whose keys count: of one that was let in once and is not closed.
    fn kind_of(&self, code: &MerchantCode) -> Result<MerchantKind, AdmitError> {
        use MerchantState::{Active, Approved, Suspended};
        match self.catalogue().merchant(code) {
            Some(merchant) if matches!(merchant.state, Approved | Active | Suspended) => {
                Ok(merchant.kind)
            }
            _ => Err(AdmitError::MerchantCountsNot(code.clone())),
        }
    }

    /// The headers that sign an answer as the center's, to this request and no other; none where the
    /// center has no key.
    ///
    /// # Errors
    /// An answer that cannot be signed: a fault of ours.
    pub fn sign_answer(
        &self,
        answer: &Response<'_>,
        admittance: &Admittance,
    ) -> Result<SignedHeaders, SignatureFault> {
        let Some(key) = self.center_key() else {
            return Ok(Vec::new());
        };
        let nonce = uuid::Uuid::now_v7().simple().to_string();
        let signer = Signer {
            key: &key.private,
            key_id: key.key_id.as_str(),
            nonce: &nonce,
            created: self.now(),
        };
        sign_response(answer, Some(&admittance.claim), &signer)
    }

    async fn held_key(&self, key_id: &KeyId) -> Result<Option<Arc<HeldKey>>, AdmitError> {
        let held = self.0.held_keys.0.read();
        let held = held
            .unwrap_or_else(PoisonError::into_inner)
            .get(key_id)
            .cloned();
        if held.is_some() {
            return Ok(held);
        }
        let Some(key) = self.key(key_id).await? else {
            return Ok(None);
        };
        let KeyOwner::Merchant(merchant) = key.owner else {
            return Ok(None);
        };
        let public = PublicKey::from_der(key.algorithm, &key.public_key)
            .map_err(|fault| not_held(key_id, fault))?;
        let held = Arc::new(HeldKey { merchant, public });
        let mut all = self.0.held_keys.0.write();
        let all = all.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
        if all.len() >= HELD_MAX {
            all.clear();
        }
        all.insert(key_id.clone(), held.clone());
        Ok(Some(held))
    }
}

/// Why a key that is registered cannot be used: this build does not know its algorithm, or its row was
/// altered.
fn not_held(key_id: &KeyId, fault: KeyFault) -> AdmitError {
    if let KeyFault::NotBuilt { algorithm, feature } = fault {
        let fault = SignatureFault::AlgorithmNotBuilt { algorithm, feature };
        return AdmitError::Signature { fault, base: None };
    }
    EngineError::from(StoreError::Corrupt {
        table: "keys",
        key: key_id.to_string(),
        why: fault.to_string(),
    })
    .into()
}
