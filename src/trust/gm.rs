//! 国密: SM2 signatures with SM3 (GB/T 32918.2), on the curve that GB/T 32918.5 recommends, by RustCrypto.
//!
//! What is signed is the hash of `ZA || message`, where `ZA` binds the signer's user id and public key.
//! The user id is the one of GM/T 0009, `1234567812345678`, as OpenSSL takes it by `distid`; a signature
//! under another id does not match. On the wire a signature is `r || s`, 32 bytes each, like that of
//! ECDSA in RFC 9421; OpenSSL writes DER, which has to be converted (docs/SIGNING.md).
//!
//! A signature's random number is made from the key and the message (RFC 6979, with SM3), so a bad source
//! of randomness gives no key away. A public key is a point of the curve and not the neutral element,
//! or it is not read; the order of the curve is prime, so no point has a small order.

use super::fault::KeyFault;
pub(super) use super::gm_curve::is_on_curve;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use sm2::SecretKey;
use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use zeroize::Zeroizing;

/// The user id that stands for everybody: GM/T 0009, 10.
const USER_ID: &str = "1234567812345678";

/// How often a random number is drawn until it is a private key: one draw in 2^32 is none.
const DRAWS_MAX: usize = 8;

/// Whether this build of the program has SM2.
///
/// # Errors
/// Never here; its twin in a build without the feature says what is missing.
pub(super) fn is_built() -> Result<(), KeyFault> {
    Ok(())
}

/// A public key.
#[derive(Clone)]
pub(super) struct Public(VerifyingKey);

impl Public {
    /// Reads a SubjectPublicKeyInfo whose algorithm is id-ecPublicKey on the named curve.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let point = sm2::PublicKey::from_public_key_der(der).ok()?;
        VerifyingKey::new(USER_ID, point).ok().map(Self)
    }

    /// The same in one spelling, the point uncompressed.
    pub(super) fn der(&self) -> Result<Vec<u8>, KeyFault> {
        let der = self.0.to_public_key_der();
        Ok(der.map_err(|_| KeyFault::PublicUnreadable)?.into_vec())
    }

    /// Whether a signature was made over this message with the private half.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// A private key. It is kept in the form that wipes itself, and brought into the one that signs each time.
pub(super) struct Pair(SecretKey);

impl Pair {
    /// Makes a key.
    pub(super) fn generate() -> Result<Self, KeyFault> {
        for _ in 0..DRAWS_MAX {
            let mut bytes = Zeroizing::new([0; 32]);
            let drawn = SystemRandom::new().fill(bytes.as_mut());
            drawn.map_err(|_| KeyFault::NotMade)?;
            if let Some(pair) = SecretKey::from_slice(bytes.as_ref())
                .ok()
                .and_then(Self::of)
            {
                return Ok(pair);
            }
        }
        Err(KeyFault::NotMade)
    }

    /// Reads PKCS#8 on the named curve.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        SecretKey::from_pkcs8_der(der).ok().and_then(Self::of)
    }

    /// Of all numbers below the order one, n - 1, is no private key: nothing can be signed with it.
    fn of(secret: SecretKey) -> Option<Self> {
        let pair = Self(secret);
        pair.sign(b"").is_ok().then_some(pair)
    }

    /// The public half, as a SubjectPublicKeyInfo.
    pub(super) fn public_der(&self) -> Result<Vec<u8>, KeyFault> {
        let der = self.0.public_key().to_public_key_der();
        Ok(der.map_err(|_| KeyFault::NotMade)?.into_vec())
    }

    /// PKCS#8 in DER.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let der = self.0.to_pkcs8_der().map_err(|_| KeyFault::NotMade)?;
        Ok(der.as_bytes().to_vec().into())
    }

    /// The signature over a message, `r || s`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let key = SigningKey::new(USER_ID, &self.0).map_err(|_| Unspecified)?;
        let signature: Signature = key.try_sign(message).map_err(|_| Unspecified)?;
        Ok(signature.to_vec())
    }
}
