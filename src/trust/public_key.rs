//! Public keys: read from what merchants paste, held to their algorithm, asked about signatures.

use super::fault::KeyFault;
use super::{built, gm, pem};
use crate::domain::key::Algorithm;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RsaKeyPair,
    RsaParameters, RsaPssSaltLength, RsaSubjectPublicKey, VerificationAlgorithm,
};
use std::fmt;

/// The shortest RSA key, in bits.
pub(super) const RSA_BITS_MIN: u32 = 2048;
/// The longest RSA key, in bits: twice as long takes four times as long to check.
pub(super) const RSA_BITS_MAX: u32 = 4096;

/// RFC 9421 (3.3.1) sets the salt of rsa-pss-sha512 to 64 bytes. Programs that leave it to OpenSSL,
/// such as Node's `crypto` unless told otherwise, take the longest that fits. Both are equally safe.
const RSA_PSS_LONGEST_SALT: RsaParameters =
    RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);

/// The y coordinates of the points of small order on edwards25519, in every way to write them; the
/// sign of x, the last bit, is taken out. Under such a key a signature can be made without a private
/// key.
pub(super) const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    first(1),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    near_the_prime(0xec),
    near_the_prime(0xed),
    near_the_prime(0xee),
];

const fn first(byte: u8) -> [u8; 32] {
    let mut y = [0; 32];
    y[0] = byte;
    y
}

/// The prime is 2^255 - 19, in little-endian bytes `ed ff .. ff 7f`.
const fn near_the_prime(byte: u8) -> [u8; 32] {
    let mut y = [0xff; 32];
    y[0] = byte;
    y[31] = 0x7f;
    y
}

/// A public key with the one algorithm that it counts for. Reading an RSA key takes longer than one
/// verification with it, so whoever verifies often keeps what was read; it is cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: Parsed,
    der: Vec<u8>,
}

/// A key as the library of its algorithm holds it.
#[derive(Clone)]
enum Parsed {
    AwsLc(ParsedPublicKey),
    Sm2(gm::Public),
}

impl PublicKey {
    /// Reads a key as people hand it over: PEM, the same DER in Base64, or the 32 bytes of an ed25519
    /// key in Base64.
    ///
    /// # Errors
    /// `KeyFault`; a private key that is pasted by mistake is refused by that name.
    pub fn from_text(algorithm: Algorithm, text: &str) -> Result<Self, KeyFault> {
        // A JSON Web Key with its private half, or any PEM that calls itself private.
        if text.contains("PRIVATE KEY") || text.contains("\"d\"") {
            return Err(KeyFault::Private);
        }
        let bytes = match pem::label(text) {
            Some("CERTIFICATE") => return Err(KeyFault::Certificate),
            Some("PUBLIC KEY" | "RSA PUBLIC KEY") => pem::decode(text),
            Some(_) => None,
            None => pem::decode_base64(text),
        };
        Self::from_der(algorithm, &bytes.ok_or(KeyFault::PublicUnreadable)?)
    }

    /// Reads a SubjectPublicKeyInfo in DER, as `der` gives it.
    ///
    /// # Errors
    /// `KeyFault`, also for a key whose kind does not fit the algorithm.
    pub fn from_der(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyFault> {
        let Some(verifier) = verifier(algorithm) else {
            return Self::sm2(algorithm, bytes);
        };
        let rsa = if algorithm.is_rsa() {
            Some(rsa_in_one_spelling(bytes).ok_or_else(|| what_else(algorithm, bytes))?)
        } else {
            None
        };
        let bytes = rsa.as_deref().unwrap_or(bytes);
        let key = ParsedPublicKey::new(verifier, bytes).map_err(|_| what_else(algorithm, bytes))?;
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| KeyFault::PublicUnreadable)?;
        let der = der.as_ref().to_vec();
        if algorithm.is_rsa() {
            check_length(&der)?;
        }
        if algorithm == Algorithm::Ed25519 && is_of_small_order(&der) {
            return Err(KeyFault::Weak);
        }
        Ok(Self {
            algorithm,
            key: Parsed::AwsLc(key),
            der,
        })
    }

    fn sm2(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyFault> {
        gm::is_built()?;
        let key = gm::Public::read(bytes).ok_or_else(|| what_else(algorithm, bytes))?;
        Ok(Self {
            algorithm,
            der: key.der()?,
            key: Parsed::Sm2(key),
        })
    }

    /// What it counts for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// SubjectPublicKeyInfo in DER, always in the same spelling.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SubjectPublicKeyInfo as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.der).to_string()
    }

    /// The SHA-256 of the DER, in hexadecimal: one key, one thumbprint, however it was handed over.
    pub fn thumbprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.der);
        hash.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether a signature was made over this message with the private half.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        let holds = |key: &ParsedPublicKey| key.verify_sig(message, signature).is_ok();
        // The same key for another length of salt; it is seldom needed, and made when it is.
        let with_longest_salt = || ParsedPublicKey::new(&RSA_PSS_LONGEST_SALT, &self.der);
        let key = match &self.key {
            Parsed::AwsLc(key) => key,
            Parsed::Sm2(key) => return key.accepts(message, signature),
        };
        holds(key)
            || self.algorithm == Algorithm::RsaPssSha512
                && with_longest_salt().is_ok_and(|key| holds(&key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, thumbprint) = (self.algorithm, self.thumbprint());
        write!(f, "PublicKey({algorithm} {thumbprint})")
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (self.algorithm, &self.der) == (other.algorithm, &other.der)
    }
}

impl Eq for PublicKey {}

/// How aws-lc verifies; none for what it does not know.
fn verifier(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::Ed25519 => &ED25519,
        Algorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::RsaV15Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Sm2Sm3 => return None,
    })
}

/// What bytes are that are no public key of an algorithm.
fn what_else(algorithm: Algorithm, bytes: &[u8]) -> KeyFault {
    if Ed25519KeyPair::from_pkcs8(bytes).is_ok()
        || EcdsaKeyPair::from_private_key_der(&super::private_key::ECDSA, bytes).is_ok()
        || RsaKeyPair::from_pkcs8(bytes).is_ok()
        || RsaKeyPair::from_der(bytes).is_ok()
        || gm::Pair::read(bytes).is_some()
    {
        return KeyFault::Private;
    }
    let reads = |verifier| ParsedPublicKey::new(verifier, bytes).is_ok();
    // The only other curve that is often met, and one that not every build reads.
    let is_other_curve = reads(&ECDSA_P384_SHA384_FIXED) || gm::is_on_curve(bytes);
    if is_other_curve || built().filter_map(verifier).any(reads) {
        return KeyFault::OtherKind { algorithm };
    }
    KeyFault::PublicUnreadable
}

/// RSA keys come as RSAPublicKey, and as SubjectPublicKeyInfo of two names (rsaEncryption and
/// id-RSASSA-PSS). Here they all have the first of the two, whatever padding they are registered for.
fn rsa_in_one_spelling(bytes: &[u8]) -> Option<Vec<u8>> {
    let key = RsaSubjectPublicKey::from_der(bytes).ok()?;
    let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
    Some(der.as_ref().to_vec())
}

fn check_length(der: &[u8]) -> Result<(), KeyFault> {
    let bits = RsaSubjectPublicKey::from_der(der)
        .ok()
        .and_then(|key| RsaParameters::public_modulus_len(key.as_ref()).ok())
        .ok_or(KeyFault::PublicUnreadable)?;
    if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Ok(());
    }
    let (min, max) = (RSA_BITS_MIN, RSA_BITS_MAX);
    Err(KeyFault::RsaLength { bits, min, max })
}

/// The point is what an ed25519 SubjectPublicKeyInfo ends with.
fn is_of_small_order(der: &[u8]) -> bool {
    let Some(mut y) = der.last_chunk::<32>().copied() else {
        return true;
    };
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}
