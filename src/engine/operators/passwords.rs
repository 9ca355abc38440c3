//! Passwords as argon2id hashes, computed on threads that may block and few at once: a hash takes
//! memory and time on purpose, and callers who are not logged in yet can have one computed.

use crate::domain::operator::PasswordHash;
use crate::storage::StoreError;
use argon2::password_hash::{
    Output, PasswordHash as Phc, PasswordHasher, PasswordVerifier, SaltString,
};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How much work a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl PasswordCost {
    /// What OWASP's password storage cheat sheet asks of argon2id: 19 MiB, two passes, one lane.
    pub const OWASP: PasswordCost = PasswordCost {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
    };
    /// The least that argon2 takes, for tests.
    pub const LEAST: PasswordCost = PasswordCost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
}

/// How many are computed at once.
const AT_ONCE: usize = 2;
/// How long a caller waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Computes and checks hashes. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    params: Params,
    places: Arc<Semaphore>,
    /// What is checked for a name that nobody has, so that it takes the same work.
    nobody: PasswordHash,
    computed: AtomicU64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The password is the hash's.
    pub is_right: bool,
    /// The hash was computed with another cost than today's.
    pub is_old: bool,
}

impl Passwords {
    /// Hashes of this cost.
    ///
    /// # Errors
    /// A cost that argon2 does not take, or a machine without randomness.
    pub fn try_new(cost: PasswordCost) -> Result<Self, StoreError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None);
        let params = params.map_err(fault)?;
        let nobody = nobody(&params)?;
        Ok(Self(Arc::new(Inner {
            params,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            nobody,
            computed: AtomicU64::new(0),
        })))
    }

    /// How many hashes were computed so far.
    pub fn computed(&self) -> u64 {
        self.0.computed.load(Ordering::SeqCst)
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: &SecretString) -> Result<PasswordHash, StoreError> {
        let password = password.clone();
        self.compute(move |inner| hash(&inner.params, &password))
            .await
    }

    /// Whether a password is the hash's. Where there is none, the same work is done for nothing.
    pub(super) async fn check(
        &self,
        known: Option<PasswordHash>,
        password: &SecretString,
    ) -> Result<Checked, StoreError> {
        let password = password.clone();
        self.compute(move |inner| {
            let hash = known.unwrap_or_else(|| inner.nobody.clone());
            let phc = Phc::new(&hash.0).map_err(fault)?;
            let is_right = argon2(&inner.params)
                .verify_password(password.expose_secret().as_bytes(), &phc)
                .is_ok();
            let cost = Params::try_from(&phc).map_err(fault)?;
            let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
            Ok(Checked {
                is_right,
                is_old: costs(&cost) != costs(&inner.params),
            })
        })
        .await
    }

    async fn compute<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    {
        let turn = self.0.places.clone().acquire_owned();
        let place = tokio::time::timeout(TURN_TIMEOUT, turn)
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            inner.computed.fetch_add(1, Ordering::SeqCst);
            work(&inner)
        })
        .await
        .map_err(fault)?
    }
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn hash(params: &Params, password: &SecretString) -> Result<PasswordHash, StoreError> {
    let salt = SaltString::encode_b64(&random::<SALT_BYTES>()?).map_err(fault)?;
    let password = password.expose_secret().as_bytes();
    let hash = argon2(params)
        .hash_password(password, &salt)
        .map_err(fault)?;
    Ok(PasswordHash(hash.to_string()))
}

/// A hash that no password has, because none was computed for it: checking one against it is the same
/// work as against any other.
fn nobody(params: &Params) -> Result<PasswordHash, StoreError> {
    let salt = SaltString::encode_b64(&random::<SALT_BYTES>()?).map_err(fault)?;
    let hash = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(fault)?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&random::<{ Params::DEFAULT_OUTPUT_LEN }>()?).map_err(fault)?),
    };
    Ok(PasswordHash(hash.to_string()))
}

/// Bytes that nobody can guess, from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

/// A secret of 256 bits, as 43 characters that need no escaping anywhere.
pub(super) fn random_secret() -> Result<SecretString, StoreError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut bytes = random::<32>()?;
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(bytes));
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(secret)
}

/// What should not happen: no message of it holds a secret.
fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a password could not be computed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_own_and_nobody_s_is_none() {
        let passwords = Passwords::try_new(PasswordCost::LEAST).unwrap();
        let right = SecretString::from("correct horse battery");
        let hash = passwords.hash(&right).await.unwrap();
        assert_ne!(hash, passwords.hash(&right).await.unwrap(), "salted");
        let check = async |known: Option<&PasswordHash>, password: &str| {
            let password = SecretString::from(password);
            let checked = passwords.check(known.cloned(), &password).await;
            let checked = checked.unwrap();
            assert!(!checked.is_old);
            checked.is_right
        };
        assert!(check(Some(&hash), "correct horse battery").await);
        assert!(!check(Some(&hash), "correct horse batterz").await);
        assert!(!check(Some(&hash), "").await);
        assert!(!check(None, "correct horse battery").await);
        assert_eq!(passwords.computed(), 6);
        // A row that somebody spoiled lets nobody in.
        for spoiled in [
            "",
            "nonsense",
            "$argon2id$nonsense",
            "$argon2id$v=19$m=8,t=1,p=1",
        ] {
            let spoiled = PasswordHash(spoiled.to_owned());
            let checked = passwords.check(Some(spoiled.clone()), &right).await;
            assert!(
                !checked.is_ok_and(|checked| checked.is_right),
                "{}",
                spoiled.0
            );
        }
    }

    /// What is checked for nobody looks like what is kept for somebody: the same work.
    #[test]
    fn nobody_s_hash_costs_the_same() {
        let passwords = Passwords::try_new(PasswordCost::OWASP).unwrap();
        let nobody = &passwords.0.nobody.0;
        assert!(
            nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{nobody}"
        );
        let phc = Phc::new(nobody).unwrap();
        assert_eq!(phc.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }
}
