//! ID tokens of an identity provider (OpenID Connect): the signature, and what the token says. Whether
//! that is to be believed is for `domain::id_token`.
//!
//! By `jsonwebtoken` over aws-lc. Its own checks of claims are switched off, because they read the
//! machine's clock. The algorithm has to be on our list, fit the key, and be the one that the key
//! itself names where it names one; so neither `none` nor a shared secret (`HS*`, with the public key
//! as its secret) gets that far. Keys come from the provider's set alone, never from the token.

use crate::domain::id_token::IdToken;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

/// The algorithms that a token may be signed by.
const ALLOWED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The longest token that is looked at.
const BYTES_MAX: usize = 16 * 1024;
/// The most keys of a set.
const KEYS_MAX: usize = 64;

/// Why a token, or a set of keys, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenFault {
    /// The provider's keys are no set of keys.
    #[error("the provider's keys are not a JSON Web Key Set")]
    Keys,
    /// It is no token, or says something in another form than the standard has.
    #[error("the ID token is not well-formed")]
    Malformed,
    /// Its algorithm is none that we take.
    #[error("the ID token is signed by an algorithm that is not taken, or not signed at all")]
    Algorithm,
    /// No key of the provider's set is the one that it names.
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The arithmetic says no.
    #[error("the ID token's signature does not match")]
    Signature,
    /// The access token beside it belongs to another one.
    #[error("the ID token belongs to another access token (at_hash)")]
    AccessToken,
}

impl IdTokenFault {
    /// A stable word for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Keys => "PROVIDER_KEYS",
            Self::Malformed => "TOKEN_MALFORMED",
            Self::Algorithm => "TOKEN_ALGORITHM",
            Self::UnknownKey => "TOKEN_KEY_UNKNOWN",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::AccessToken => "TOKEN_AT_HASH",
        }
    }
}

/// A provider's keys.
#[derive(Clone, Debug)]
pub struct ProviderKeys(Vec<Jwk>);

impl ProviderKeys {
    /// Reads a JSON Web Key Set; keys of kinds that are not known here are left out.
    ///
    /// # Errors
    /// `IdTokenFault::Keys`.
    pub fn read(text: &[u8]) -> Result<Self, IdTokenFault> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|_| IdTokenFault::Keys)?;
        if set.keys.len() > KEYS_MAX {
            return Err(IdTokenFault::Keys);
        }
        let keys = set.keys.into_iter();
        let keys = keys.filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.collect()))
    }

    /// The key that a token names, or the only one that fits if it names none.
    fn find(&self, header: &Header) -> Result<&Jwk, IdTokenFault> {
        let mut fitting = self.0.iter().filter(|key| fits(key, header.alg));
        let found = match &header.kid {
            Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.ok_or(IdTokenFault::UnknownKey)
    }
}

/// Whether a key may sign by an algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signing = matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let named = key.common.key_algorithm;
    let is_named = named.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
    let is_of_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
            key.curve == EllipticCurve::P384
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        (AlgorithmParameters::RSA(_), algorithm) => jsonwebtoken::AlgorithmFamily::Rsa
            .algorithms()
            .contains(&algorithm),
        _ => false,
    };
    is_for_signing && is_named && is_of_kind
}

/// What a token says that the provider signed.
///
/// # Errors
/// `IdTokenFault`. After `UnknownKey` it is worth asking the provider for its keys once more.
pub fn open_id_token(
    token: &str,
    access_token: &str,
    keys: &ProviderKeys,
    name_claim: &str,
) -> Result<IdToken, IdTokenFault> {
    if token.len() > BYTES_MAX {
        return Err(IdTokenFault::Malformed);
    }
    let header = header(token)?;
    let key = DecodingKey::from_jwk(keys.find(&header)?).map_err(|_| IdTokenFault::Keys)?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let opened = decode::<Value>(token, &key, &validation);
    let claims = opened.map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => IdTokenFault::Signature,
        _ => IdTokenFault::Malformed,
    })?;
    let claims = claims.claims;
    check_access_token(&claims, header.alg, access_token)?;
    read(claims, name_claim)
}

/// The header of a token that names an algorithm we take and nothing that we do not understand.
fn header(token: &str) -> Result<Header, IdTokenFault> {
    #[derive(Deserialize)]
    struct Named {
        alg: String,
    }
    let first = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(first);
    let bytes = bytes.map_err(|_| IdTokenFault::Malformed)?;
    let named: Named = serde_json::from_slice(&bytes).map_err(|_| IdTokenFault::Malformed)?;
    let algorithm = named.alg.parse().map_err(|_| IdTokenFault::Algorithm)?;
    if !ALLOWED.contains(&algorithm) {
        return Err(IdTokenFault::Algorithm);
    }
    let header = decode_header(token).map_err(|_| IdTokenFault::Malformed)?;
    if header.alg != algorithm || header.crit.is_some() {
        return Err(IdTokenFault::Malformed);
    }
    Ok(header)
}

/// Where a token has `at_hash`, it is the left half of the access token's hash (OpenID Connect Core,
/// 3.1.3.6).
fn check_access_token(
    claims: &Value,
    algorithm: Algorithm,
    access_token: &str,
) -> Result<(), IdTokenFault> {
    let Some(found) = claims.get("at_hash") else {
        return Ok(());
    };
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
        _ => &SHA256,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    if found.as_str() == Some(&URL_SAFE_NO_PAD.encode(left)) {
        Ok(())
    } else {
        Err(IdTokenFault::AccessToken)
    }
}

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: OneOrMany,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    auth_time: Option<i64>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    #[serde(default)]
    email_verified: Option<bool>,
}

fn read(claims: Value, name_claim: &str) -> Result<IdToken, IdTokenFault> {
    let name = claims.get(name_claim).and_then(Value::as_str);
    let name = name.map(str::to_owned);
    let claims: Claims = serde_json::from_value(claims).map_err(|_| IdTokenFault::Malformed)?;
    Ok(IdToken {
        issuer: claims.iss,
        audience: match claims.aud {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        },
        authorized_party: claims.azp,
        expires_s: claims.exp,
        issued_s: claims.iat,
        nonce: claims.nonce,
        proved_s: claims.auth_time,
        class: claims.acr,
        methods: claims.amr,
        name,
        email_is_verified: claims.email_verified.unwrap_or(false),
    })
}
