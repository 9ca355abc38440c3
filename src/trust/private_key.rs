//! Private keys: made, read, written, and used to sign. Their bytes are wiped when they are dropped,
//! and no error or debug text shows them.

use super::fault::{KeyFault, SignatureFault};
use super::pem;
use super::public_key::PublicKey;
use super::{built, gm};
use crate::domain::key::Algorithm;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use std::fmt;
use zeroize::Zeroizing;

/// How ECDSA signs here: `r || s`, as RFC 9421 (3.3.4) has it, not DER.
pub(super) static ECDSA: EcdsaSigningAlgorithm = ECDSA_P256_SHA256_FIXED_SIGNING;

/// How long RSA keys are that are made here: good beyond 2030 by NIST SP 800-57.
const RSA_SIZE: KeySize = KeySize::Rsa3072;

/// A private key with the one algorithm that it signs by.
pub struct PrivateKey {
    algorithm: Algorithm,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Sm2(gm::Pair),
}

impl PrivateKey {
    /// Makes a pair; RSA keys have 3072 bits.
    ///
    /// # Errors
    /// `KeyFault::NotMade` if the machine has no randomness to give.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyFault> {
        let pair = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::EcdsaP256Sha256 => EcdsaKeyPair::generate(&ECDSA).map(Pair::Ecdsa),
            Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256 => {
                RsaKeyPair::generate(RSA_SIZE).map(Pair::Rsa)
            }
            Algorithm::Sm2Sm3 => return Self::of(algorithm, Pair::Sm2(gm::Pair::generate()?)),
        };
        Self::of(algorithm, pair.map_err(|_| KeyFault::NotMade)?)
    }

    /// Reads PKCS#8 as PEM.
    ///
    /// # Errors
    /// `KeyFault`, also for a key whose kind does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyFault> {
        match pem::label(text) {
            Some("PRIVATE KEY") => {}
            Some("ENCRYPTED PRIVATE KEY") => return Err(KeyFault::Encrypted),
            _ => return Err(KeyFault::PrivateUnreadable),
        }
        let der = pem::decode(text).ok_or(KeyFault::PrivateUnreadable)?;
        Self::from_pkcs8(algorithm, &der)
    }

    /// Reads PKCS#8 in DER, as `to_pkcs8` gives it.
    ///
    /// # Errors
    /// As `from_pem`.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyFault> {
        if algorithm == Algorithm::Sm2Sm3 {
            gm::is_built()?;
        }
        if let Some(pair) = read(algorithm, der) {
            return Self::of(algorithm, pair);
        }
        let is_other = gm::is_on_curve(der) || built().any(|other| read(other, der).is_some());
        Err(if is_other {
            KeyFault::OtherKind { algorithm }
        } else {
            KeyFault::PrivateUnreadable
        })
    }

    /// Reads PKCS#8 as PEM, for the first algorithm that takes a key of its kind: rsa-pss-sha512 for
    /// RSA.
    ///
    /// # Errors
    /// As `from_pem`.
    pub fn from_pem_of_any_kind(text: &str) -> Result<Self, KeyFault> {
        let mut fault = KeyFault::PrivateUnreadable;
        for algorithm in Algorithm::ALL {
            match Self::from_pem(*algorithm, text) {
                // A key of SM2 is of another kind for all before it, and then this says why it is no key.
                Err(not_built @ KeyFault::NotBuilt { .. }) => {
                    let is_meant = pem::decode(text).is_some_and(|der| gm::is_on_curve(&der));
                    fault = if is_meant { not_built } else { fault };
                }
                Err(KeyFault::OtherKind { .. }) => {}
                Err(found) => fault = found,
                Ok(key) => return Ok(key),
            }
        }
        Err(fault)
    }

    fn of(algorithm: Algorithm, pair: Pair) -> Result<Self, KeyFault> {
        let der = match &pair {
            Pair::Ed25519(pair) => public_der(pair.public_key()),
            Pair::Ecdsa(pair) => public_der(pair.public_key()),
            Pair::Rsa(pair) => public_der(pair.public_key()),
            Pair::Sm2(pair) => pair.public_der(),
        };
        Ok(Self {
            algorithm,
            public: PublicKey::from_der(algorithm, &der?)?,
            pair,
        })
    }

    /// What it signs by.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 in DER, for keeping it (encrypted).
    ///
    /// # Errors
    /// `KeyFault::NotMade` if memory ran out.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let der = match &self.pair {
            Pair::Ed25519(pair) => pkcs8(pair),
            Pair::Rsa(pair) => pkcs8(pair),
            Pair::Sm2(pair) => return pair.to_pkcs8(),
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec().into()),
        };
        der.map_err(|_| KeyFault::NotMade)
    }

    /// PKCS#8 as PEM, for handing it out.
    ///
    /// # Errors
    /// `KeyFault::NotMade` if memory ran out.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyFault> {
        Ok(pem::encode("PRIVATE KEY", &self.to_pkcs8()?))
    }

    /// The signature over a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureFault> {
        let signature = match &self.pair {
            Pair::Sm2(pair) => pair.sign(message),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|s| s.as_ref().to_vec()),
            Pair::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|s| s.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    Algorithm::RsaV15Sha256 => &RSA_PKCS1_SHA256,
                    _ => &RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .map(|()| signature)
            }
        };
        signature.map_err(|_| SignatureFault::NotSigned {
            what: "the key cannot be used",
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} ***)", self.algorithm)
    }
}

fn read(algorithm: Algorithm, der: &[u8]) -> Option<Pair> {
    match algorithm {
        Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(der).ok().map(Pair::Ed25519),
        Algorithm::EcdsaP256Sha256 => EcdsaKeyPair::from_pkcs8(&ECDSA, der).ok().map(Pair::Ecdsa),
        Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256 => {
            let pair = RsaKeyPair::from_pkcs8(der).ok();
            pair.or_else(|| RsaKeyPair::from_der(named_pss(der)?).ok())
                .map(Pair::Rsa)
        }
        Algorithm::Sm2Sm3 => gm::Pair::read(der).map(Pair::Sm2),
    }
}

/// The RSAPrivateKey inside PKCS#8 that calls it id-RSASSA-PSS, as `openssl genpkey -algorithm RSA-PSS`
/// does: PrivateKeyInfo (RFC 5208) is a sequence of version, algorithm and the key as a string.
fn named_pss(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const OCTET_STRING: u8 = 0x04;
    const ID_RSASSA_PSS: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    let (info, _) = element(SEQUENCE, der)?;
    let (_version, rest) = element(INTEGER, info)?;
    let (algorithm, rest) = element(SEQUENCE, rest)?;
    let (key, _) = element(OCTET_STRING, rest)?;
    algorithm.starts_with(ID_RSASSA_PSS).then_some(key)
}

/// What is in the element of DER that a text begins with, and what comes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [found, ..] if *found != tag => return None,
        [_, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [_, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [_, length @ ..=0x7f, rest @ ..] => (usize::from(*length), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn public_der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Result<Vec<u8>, KeyFault> {
    let der = key.as_der().map_err(|_| KeyFault::PrivateUnreadable)?;
    Ok(der.as_ref().to_vec())
}

fn pkcs8(pair: &impl AsDer<Pkcs8V1Der<'static>>) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    Ok(pair.as_der()?.as_ref().to_vec().into())
}
