//! Secrets at rest: AES-256-GCM under a data key of the row's own, which a master key wraps.
//!
//! The master key stands in a file or the environment, never in the database: who has the one has not
//! the other. It can be changed without touching a secret, because only the small data keys are
//! wrapped again. What a secret belongs to is bound into both layers, so that a ciphertext that was
//! altered, or moved to another row, opens no more.
//!
//! How one could break it: by a master key in the database's backup; by logging what `open` gives.

use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// How many bytes a master key and a data key have.
const KEY_LENGTH: usize = 32;

/// How many bytes a mark has.
pub const MARK_LENGTH: usize = 32;

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key wraps the data key.
    pub master: String,
    /// The data key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// The secret under the data key.
    pub secret: Vec<u8>,
}

/// Why a secret cannot be sealed or opened. No message holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A text that is no master key.
    #[error("a master key is 32 random bytes in Base64, such as `openssl rand -base64 32` makes")]
    NoKey,
    /// There is no master key at all.
    #[error("there is no master key (keys.master); private keys cannot be kept without one")]
    NoMaster,
    /// The master key that wrapped it is not among those that we have.
    #[error(
        "the secret is wrapped by master key {0}, which is not among ours (keys.master, keys.former_master)"
    )]
    UnknownMaster(String),
    /// It was altered, or belongs to something else.
    #[error("the secret was altered, or moved from where it belongs")]
    Altered,
    /// The machine gave no randomness.
    #[error("there is no randomness to be had")]
    NoRandomness,
}

/// A master key.
struct Master {
    /// The beginning of its hash, which tells nothing of the key.
    name: String,
    key: RandomizedNonceKey,
    /// Derived from it, for marks.
    marks: hmac::Key,
}

/// The master keys: the first wraps what is sealed from now on, all of them open. The default is none.
#[derive(Default)]
pub struct Masters(Vec<Master>);

impl std::fmt::Debug for Masters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|one| &one.name))
            .finish()
    }
}

impl Masters {
    /// Reads master keys, each 32 bytes in Base64; spaces and line ends around them do not matter.
    ///
    /// # Errors
    /// `SealError::NoKey` for a text that is none.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, SealError> {
        let read = texts.into_iter().map(Master::read);
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// The name of the key that wraps what is sealed from now on; none where there is no key.
    pub fn current(&self) -> Option<&str> {
        self.0.first().map(|master| master.name.as_str())
    }

    /// Seals a secret for what it belongs to.
    ///
    /// # Errors
    /// There is no master key, or no randomness.
    pub fn seal(&self, belongs_to: &[u8], secret: &[u8]) -> Result<Sealed, SealError> {
        let master = self.0.first().ok_or(SealError::NoMaster)?;
        let mut data_key = Zeroizing::new([0; KEY_LENGTH]);
        aws_lc_rs::rand::fill(data_key.as_mut()).map_err(|_| SealError::NoRandomness)?;
        Ok(Sealed {
            secret: encrypt(&cipher(&data_key)?, belongs_to, secret)?,
            wrapped_key: encrypt(&master.key, belongs_to, data_key.as_ref())?,
            master: master.name.clone(),
        })
    }

    /// Opens a secret for what it belongs to.
    ///
    /// # Errors
    /// The master key is not ours, or the secret was altered or belongs to something else.
    pub fn open(
        &self,
        belongs_to: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let data_key = self.data_key(belongs_to, sealed)?;
        decrypt(&cipher(&data_key)?, belongs_to, &sealed.secret)
    }

    /// The same secret under the current master key; none where it is under it already.
    ///
    /// # Errors
    /// As `open` and `seal`.
    pub fn rewrap(&self, belongs_to: &[u8], sealed: &Sealed) -> Result<Option<Sealed>, SealError> {
        let master = self.0.first().ok_or(SealError::NoMaster)?;
        if sealed.master == master.name {
            return Ok(None);
        }
        let data_key = self.data_key(belongs_to, sealed)?;
        Ok(Some(Sealed {
            master: master.name.clone(),
            wrapped_key: encrypt(&master.key, belongs_to, data_key.as_ref())?,
            secret: sealed.secret.clone(),
        }))
    }

    /// A mark of a text for what it belongs to, by each master key, the current one first: its name and
    /// the mark. Equal texts have equal marks, and without the master key a mark tells nothing of its
    /// text, not even to whoever tries every text that comes to mind.
    pub fn marks(&self, belongs_to: &str, text: &[u8]) -> Vec<(&str, [u8; MARK_LENGTH])> {
        let mark = |master: &Master| {
            let mut context = hmac::Context::with_key(&master.marks);
            context.update(&u64::try_from(belongs_to.len()).unwrap_or(0).to_be_bytes());
            context.update(belongs_to.as_bytes());
            context.update(text);
            let mut mark = [0; MARK_LENGTH];
            mark.copy_from_slice(&context.sign().as_ref()[..MARK_LENGTH]);
            mark
        };
        let masters = self.0.iter();
        masters.map(|one| (one.name.as_str(), mark(one))).collect()
    }

    fn data_key(
        &self,
        belongs_to: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<[u8; KEY_LENGTH]>, SealError> {
        let mut masters = self.0.iter();
        let master = masters
            .find(|master| master.name == sealed.master)
            .ok_or_else(|| SealError::UnknownMaster(sealed.master.clone()))?;
        let bytes = decrypt(&master.key, belongs_to, &sealed.wrapped_key)?;
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        if bytes.len() != KEY_LENGTH {
            return Err(SealError::Altered);
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }
}

impl Master {
    fn read(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| SealError::NoKey)?;
        let bytes = Zeroizing::new(bytes);
        let key = <&[u8; KEY_LENGTH]>::try_from(bytes.as_slice()).map_err(|_| SealError::NoKey)?;
        let mut hash = Sha256::new();
        hash.update(b"payhall master key");
        hash.update(key);
        let name = crate::domain::audit::hex(&hash.finalize()[..6]);
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"payhall marks");
        Ok(Self {
            name,
            key: cipher(key)?,
            marks: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        })
    }
}

fn cipher(key: &[u8; KEY_LENGTH]) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::NoKey)
}

/// The nonce, the ciphertext and the tag in one.
fn encrypt(
    key: &RandomizedNonceKey,
    belongs_to: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    // Big enough from the start, so that no half of the plain text is left behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + MAX_TAG_LEN));
    text.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(belongs_to), &mut *text)
        .map_err(|_| SealError::NoRandomness)?;
    let mut out = Vec::with_capacity(NONCE_LEN + text.len());
    out.extend_from_slice(nonce.as_ref());
    out.extend_from_slice(&text);
    Ok(out)
}

fn decrypt(
    key: &RandomizedNonceKey,
    belongs_to: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, text) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(SealError::Altered)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Altered)?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(belongs_to), &mut text)
        .map_err(|_| SealError::Altered)?
        .len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A master key of which every byte is this one.
    fn text(byte: u8) -> String {
        STANDARD.encode([byte; KEY_LENGTH])
    }

    fn masters(bytes: &[u8]) -> Masters {
        let texts: Vec<String> = bytes.iter().map(|byte| text(*byte)).collect();
        Masters::read(texts.iter().map(String::as_str)).unwrap()
    }

    const SECRET: &[u8] = b"canary: a private key";

    #[test]
    fn a_mark_tells_texts_apart_and_holds_nothing_of_them() {
        let (ours, both, theirs) = (masters(&[1]), masters(&[2, 1]), masters(&[3]));
        let mark = ours.marks("cache.url", b"a")[0];
        assert_eq!(mark, ours.marks("cache.url", b"a")[0]);
        assert_ne!(mark.1, ours.marks("cache.url", b"b")[0].1);
        assert_ne!(mark.1, ours.marks("cache.ur", b"la")[0].1);
        assert_ne!(mark.1, theirs.marks("cache.url", b"a")[0].1);
        assert_eq!(mark, both.marks("cache.url", b"a")[1], "the one before");
        assert!(Masters::default().marks("cache.url", b"a").is_empty());
    }

    #[test]
    fn what_is_sealed_opens_for_what_it_belongs_to() {
        let ours = masters(&[1]);
        let sealed = ours.seal(b"key 1", SECRET).unwrap();
        assert_eq!(ours.open(b"key 1", &sealed).unwrap().as_slice(), SECRET);
        assert_eq!(ours.open(b"key 2", &sealed), Err(SealError::Altered));
        let again = ours.seal(b"key 1", SECRET).unwrap();
        assert_ne!(
            again.secret, sealed.secret,
            "each under a data key of its own"
        );
        assert_ne!(again.wrapped_key, sealed.wrapped_key);
    }

    #[test]
    fn whatever_bit_is_turned_it_does_not_open() {
        let ours = masters(&[1]);
        let sealed = ours.seal(b"key 1", SECRET).unwrap();
        for place in 0..sealed.secret.len() * 8 {
            let mut altered = sealed.clone();
            altered.secret[place / 8] ^= 1 << (place % 8);
            assert_eq!(ours.open(b"key 1", &altered), Err(SealError::Altered));
        }
        for place in 0..sealed.wrapped_key.len() * 8 {
            let mut altered = sealed.clone();
            altered.wrapped_key[place / 8] ^= 1 << (place % 8);
            assert_eq!(ours.open(b"key 1", &altered), Err(SealError::Altered));
        }
        for length in 0..sealed.secret.len() {
            let mut shorter = sealed.clone();
            shorter.secret.truncate(length);
            assert_eq!(ours.open(b"key 1", &shorter), Err(SealError::Altered));
        }
        let mut mixed = ours.seal(b"key 1", b"another").unwrap();
        mixed.secret.clone_from(&sealed.secret);
        assert_eq!(ours.open(b"key 1", &mixed), Err(SealError::Altered));
    }

    #[test]
    fn a_new_master_key_takes_over_and_the_old_one_can_go() {
        let old = masters(&[1]);
        let sealed = old.seal(b"key 1", SECRET).unwrap();
        let both = masters(&[2, 1]);
        let moved = both.rewrap(b"key 1", &sealed).unwrap().unwrap();
        assert_eq!(
            moved.secret, sealed.secret,
            "only the data key is wrapped again"
        );
        assert_eq!(both.rewrap(b"key 1", &moved), Ok(None));
        let new = masters(&[2]);
        assert_eq!(new.open(b"key 1", &moved).unwrap().as_slice(), SECRET);
        let name = sealed.master.clone();
        assert_eq!(
            new.open(b"key 1", &sealed),
            Err(SealError::UnknownMaster(name))
        );
        assert_eq!(both.rewrap(b"key 2", &sealed), Err(SealError::Altered));
    }

    #[test]
    fn what_is_no_master_key_is_refused_and_not_repeated() {
        for bad in ["", "canary", "Y2FuYXJ5", &STANDARD.encode([0; 33])] {
            let error = Masters::read([bad]).unwrap_err();
            assert_eq!(error, SealError::NoKey);
            assert!(!error.to_string().contains("canary"));
        }
        let padded = format!(" {}\n", text(3));
        let ours = Masters::read([padded.as_str()]).unwrap();
        assert_eq!(ours.current(), masters(&[3]).current());
        assert_eq!(masters(&[]).seal(b"", b""), Err(SealError::NoMaster));
    }

    #[test]
    fn nothing_that_is_printed_tells_of_a_secret() {
        let ours = masters(&[1]);
        let sealed = ours.seal(b"key 1", SECRET).unwrap();
        let printed = format!("{ours:?} {sealed:?} {}", ours.current().unwrap());
        assert!(
            !printed.contains(&text(1)) && !printed.contains("canary"),
            "{printed}"
        );
    }
}
