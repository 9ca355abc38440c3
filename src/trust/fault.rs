//! What can be wrong, in words for whoever has to put it right. No word of it repeats a key or a body.

use super::built;
use crate::domain::key::Algorithm;

/// Why a signed message is not accepted. The order is that in which things are looked at: whoever is
/// told of a later one has got the earlier ones right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is no signature, or half of one.
    #[error(
        "there is no {header} header: sign the request by RFC 9421, which adds Signature-Input and Signature"
    )]
    Missing {
        /// The header that is not there.
        header: &'static str,
    },
    /// A header is not written as its structure demands (RFC 9651).
    #[error("{header} cannot be read: {what}")]
    Unreadable {
        /// The header.
        header: &'static str,
        /// What is wrong, and where.
        what: String,
    },
    /// A label of `Signature-Input` has no twin in `Signature`.
    #[error(
        "Signature-Input describes {label:?}, but Signature holds nothing of that name: send both"
    )]
    Unpaired {
        /// The label.
        label: String,
    },
    /// There is a body and nothing that binds it.
    #[error(
        "there is a body, but no Content-Digest header: add one (RFC 9530) with sha-256 or sha-512, and cover it"
    )]
    DigestMissing,
    /// No digest of an algorithm that is known here.
    #[error("Content-Digest holds neither sha-256 nor sha-512: add one of them")]
    DigestUnknown,
    /// The body is not the one that was signed.
    #[error(
        "the body does not match the {algorithm} of Content-Digest: it has to be made of the bytes that are sent"
    )]
    DigestMismatch {
        /// The digest that does not match.
        algorithm: &'static str,
    },
    /// A parameter of the signature is missing.
    #[error("the signature's parameter {name} is missing: add it to Signature-Input")]
    ParameterMissing {
        /// The parameter.
        name: &'static str,
    },
    /// A parameter of the signature is not what it has to be.
    #[error("the signature's parameter {name} is wrong: {what}")]
    ParameterWrong {
        /// The parameter.
        name: &'static str,
        /// What it has to be.
        what: &'static str,
    },
    /// A signature algorithm that nobody here knows.
    #[error("alg is {found:?}, which is not known here: use one of {}", names())]
    AlgorithmUnknown {
        /// What the signature names.
        found: String,
    },
    /// Something that has to be covered is not.
    #[error(
        "the signature does not cover {component}: it has to cover \"@method\", then \"@target-uri\" or both \
         \"@path\" and \"@query\", and \"content-digest\" where there is a body, each without parameters"
    )]
    NotCovered {
        /// What has to be covered.
        component: &'static str,
    },
    /// A covered component does not exist in the message, or stands there in a way that cannot be signed.
    #[error("the covered component {component} has no value: {what}")]
    ComponentMissing {
        /// The component as it is written in the list.
        component: String,
        /// Why not.
        what: &'static str,
    },
    /// A covered component that is not known here, or with a parameter that is not.
    #[error("the covered component {component} cannot be checked: {what}")]
    ComponentUnsupported {
        /// The component as it is written in the list.
        component: String,
        /// What is not known.
        what: String,
    },
    /// A component is covered twice.
    #[error("{component} is covered twice: name each component once")]
    ComponentTwice {
        /// The component as it is written in the list.
        component: String,
    },
    /// More than one signature could be meant.
    #[error("several signatures could be meant ({labels}): send the one of your key alone")]
    Ambiguous {
        /// Their labels.
        labels: String,
    },
    /// Signed too long ago.
    #[error(
        "the signature was created {seconds} s ago, and {max} s is the most: sign anew, and set your clock"
    )]
    TooOld {
        /// Its age.
        seconds: i64,
        /// The oldest that is accepted.
        max: i64,
    },
    /// Signed in the future.
    #[error(
        "the signature was created {seconds} s ahead of our clock, and {max} s is the most: set your clock"
    )]
    TooFarAhead {
        /// How far ahead.
        seconds: i64,
        /// The furthest that is accepted.
        max: i64,
    },
    /// Past the end that the signer set.
    #[error("the signature expired {seconds} s ago, by its own parameter expires: sign anew")]
    Expired {
        /// How long ago.
        seconds: i64,
    },
    /// The signature names another algorithm than the key is registered for.
    #[error(
        "alg is {named}, but the key is registered for {registered}: sign with the key's own algorithm"
    )]
    AlgorithmNotOfKey {
        /// What the signature names.
        named: Algorithm,
        /// What the key is registered for.
        registered: Algorithm,
    },
    /// The key is for an algorithm that this build of the program does not have.
    #[error(
        "{algorithm} is not part of this build of the center, which needs the feature {feature:?} for it; sign with \
         a key of another algorithm"
    )]
    AlgorithmNotBuilt {
        /// The algorithm.
        algorithm: Algorithm,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// The arithmetic says no.
    #[error(
        "the signature does not match: it was made with another key, or over another text than ours; compare \
         your signature base with the one of RFC 9421, 2.5"
    )]
    Mismatch,
    /// A message of our own could not be signed.
    #[error("the message cannot be signed: {what}")]
    NotSigned {
        /// Why not.
        what: &'static str,
    },
}

impl SignatureFault {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "SIGNATURE_MISSING",
            Self::Unreadable { .. } => "SIGNATURE_UNREADABLE",
            Self::Unpaired { .. } => "SIGNATURE_UNPAIRED",
            Self::DigestMissing => "CONTENT_DIGEST_MISSING",
            Self::DigestUnknown => "CONTENT_DIGEST_UNKNOWN",
            Self::DigestMismatch { .. } => "CONTENT_DIGEST_MISMATCH",
            Self::ParameterMissing { .. } => "SIGNATURE_PARAMETER_MISSING",
            Self::ParameterWrong { .. } => "SIGNATURE_PARAMETER_WRONG",
            Self::AlgorithmUnknown { .. } => "SIGNATURE_ALGORITHM_UNKNOWN",
            Self::NotCovered { .. } => "SIGNATURE_NOT_COVERED",
            Self::ComponentMissing { .. } => "SIGNATURE_COMPONENT_MISSING",
            Self::ComponentUnsupported { .. } => "SIGNATURE_COMPONENT_UNSUPPORTED",
            Self::ComponentTwice { .. } => "SIGNATURE_COMPONENT_TWICE",
            Self::Ambiguous { .. } => "SIGNATURE_AMBIGUOUS",
            Self::TooOld { .. } => "SIGNATURE_TOO_OLD",
            Self::TooFarAhead { .. } => "SIGNATURE_TOO_FAR_AHEAD",
            Self::Expired { .. } => "SIGNATURE_EXPIRED",
            Self::AlgorithmNotOfKey { .. } => "SIGNATURE_ALGORITHM_NOT_OF_KEY",
            Self::AlgorithmNotBuilt { .. } => "SIGNATURE_ALGORITHM_NOT_BUILT",
            Self::Mismatch => "SIGNATURE_MISMATCH",
            Self::NotSigned { .. } => "SIGNATURE_NOT_MADE",
        }
    }
}

/// Why a key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// A private key where a public one belongs.
    #[error(
        "this is a private key: keep it to yourself and give the public one (openssl pkey -in FILE -pubout). \
         What was pasted or sent somewhere is no longer private: make a new pair"
    )]
    Private,
    /// A certificate where a key belongs.
    #[error("this is a certificate: give its key (openssl x509 -in FILE -pubkey -noout)")]
    Certificate,
    /// No form of public key that is known here.
    #[error(
        "the public key cannot be read: give PEM that begins with -----BEGIN PUBLIC KEY-----, or the same DER in \
         Base64, or the 32 bytes of an ed25519 key in Base64"
    )]
    PublicUnreadable,
    /// No form of private key that is known here.
    #[error(
        "the private key cannot be read: give PKCS#8 as PEM that begins with -----BEGIN PRIVATE KEY----- (openssl \
         pkcs8 -topk8 -nocrypt -in FILE writes any private key so)"
    )]
    PrivateUnreadable,
    /// A private key behind a password.
    #[error(
        "the private key is encrypted: decrypt it first (openssl pkcs8 -in FILE -out PLAIN, which asks for the \
         password)"
    )]
    Encrypted,
    /// A key for something else.
    #[error("this is no key for {algorithm}, which takes {}", kind(*.algorithm))]
    OtherKind {
        /// The algorithm that it was given for.
        algorithm: Algorithm,
    },
    /// A key of an algorithm that this build of the program does not have.
    #[error(
        "{algorithm} is not part of this build of the program: it has to be built with the feature {feature:?} (cargo \
         build --features {feature})"
    )]
    NotBuilt {
        /// The algorithm.
        algorithm: Algorithm,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// An RSA key that is too short to be safe or too long to be quick.
    #[error("the RSA key has {bits} bits, and {min} to {max} are accepted: make another one")]
    RsaLength {
        /// Its length.
        bits: u32,
        /// The shortest.
        min: u32,
        /// The longest.
        max: u32,
    },
    /// A point under which anybody can sign.
    #[error(
        "this ed25519 key is one of the few under which anybody can sign: make a pair with a proper program"
    )]
    Weak,
    /// The machine's randomness or memory failed.
    #[error("no key pair could be made: try again")]
    NotMade,
}

impl KeyFault {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Private => "KEY_PRIVATE",
            Self::Certificate => "KEY_CERTIFICATE",
            Self::PublicUnreadable | Self::PrivateUnreadable => "KEY_UNREADABLE",
            Self::Encrypted => "KEY_ENCRYPTED",
            Self::OtherKind { .. } => "KEY_OTHER_KIND",
            Self::NotBuilt { .. } => "KEY_ALGORITHM_NOT_BUILT",
            Self::RsaLength { .. } => "KEY_RSA_LENGTH",
            Self::Weak => "KEY_WEAK",
            Self::NotMade => "KEY_NOT_MADE",
        }
    }
}

fn names() -> String {
    let names: Vec<_> = built().map(Algorithm::as_str).collect();
    names.join(", ")
}

const fn kind(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "ed25519 keys",
        Algorithm::EcdsaP256Sha256 => "keys on the curve P-256",
        Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256 => "RSA keys",
        Algorithm::Sm2Sm3 => "keys on the curve of SM2",
    }
}
