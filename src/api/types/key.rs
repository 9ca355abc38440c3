//! Keys.

use crate::api::desk::Caller;
use crate::domain::key;
use crate::domain::time::Instant;
use crate::trust::PublicKey;
use async_graphql::{Context, Description, Enum, Object, Result};

/// How a signature is made: the names of RFC 9421 in capitals, and one of ours.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "key::Algorithm")]
pub enum Algorithm {
    /// `ed25519`.
    #[graphql(name = "ED25519")]
    Ed25519,
    /// `ecdsa-p256-sha256`.
    #[graphql(name = "ECDSA_P256_SHA256")]
    EcdsaP256Sha256,
    /// `rsa-pss-sha512`, with a key of 2048 to 4096 bits.
    #[graphql(name = "RSA_PSS_SHA512")]
    RsaPssSha512,
    /// `rsa-v1_5-sha256`, with a key of 2048 to 4096 bits.
    #[graphql(name = "RSA_V1_5_SHA256")]
    RsaV15Sha256,
    /// `sm2-sm3`: 国密, SM2 with SM3. Only in a center that is built with the feature `gm`; another one refuses
    /// such keys.
    #[graphql(name = "SM2_SM3")]
    Sm2Sm3,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "key::KeyState")]
pub enum KeyState {
    /// Waits for the second person.
    Pending,
    /// Counts.
    Active,
    /// Is being replaced, and counts until its overlap is over.
    Retiring,
    /// Was taken back, or was never approved; counts no more.
    Revoked,
    /// Its time is over.
    Expired,
}

/// Who made the pair.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "key::KeyOrigin")]
pub enum KeyOrigin {
    /// The merchant, who keeps the private part.
    Uploaded,
    /// The center, which hands the private part out once.
    Generated,
    /// The center, for itself.
    Center,
}

/// A key (密钥) of a merchant, by which its requests are checked, or of the center, by which its answers
/// are. Only the public part is ever shown.
#[derive(Description)]
pub struct Key(pub key::Key);

#[Object(use_type_description)]
impl Key {
    /// The `keyid` that signatures name.
    async fn key_id(&self) -> &str {
        self.0.key_id.as_str()
    }

    /// The merchant's code; none for the center's own.
    async fn merchant(&self) -> Option<&str> {
        self.0.owner.merchant().map(|code| code.as_str())
    }

    /// The one algorithm that it is for.
    async fn algorithm(&self) -> Algorithm {
        self.0.algorithm.into()
    }

    /// The public key: SubjectPublicKeyInfo as PEM.
    async fn public_key(&self) -> Option<String> {
        let read = PublicKey::from_der(self.0.algorithm, &self.0.public_key);
        read.ok().map(|key| key.to_pem())
    }

    /// SHA-256 of the public key in DER, in hexadecimal digits.
    async fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Who made the pair.
    async fn origin(&self) -> KeyOrigin {
        self.0.origin.into()
    }

    /// Where it stands.
    async fn state(&self) -> KeyState {
        self.0.state.into()
    }

    /// The key that it takes the place of when it is approved.
    async fn replaces(&self) -> Option<&str> {
        self.0.replaces.as_ref().map(|key_id| key_id.as_str())
    }

    /// Who issued it. Only operators are told the names of operators.
    async fn maker(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(Caller::of(ctx)?.reads(&self.0.maker))
    }

    /// Who approved it. Only operators are told the names of operators.
    async fn checker(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let caller = Caller::of(ctx)?;
        Ok(self.0.checker.as_deref().map(|actor| caller.reads(actor)))
    }

    /// When it was issued.
    async fn created_at(&self) -> Instant {
        self.0.created_at
    }

    /// When it was approved.
    async fn active_at(&self) -> Option<Instant> {
        self.0.active_at
    }

    /// When it stops to count by itself: its life, or its overlap, is over.
    async fn ends_at(&self) -> Instant {
        self.0.ends_at()
    }

    /// When it was revoked or found expired.
    async fn ended_at(&self) -> Option<Instant> {
        self.0.ended_at
    }

    /// When its private part was handed out.
    async fn handed_out_at(&self) -> Option<Instant> {
        self.0.handed_out_at
    }

    /// Why it was revoked.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Grows with every change; who approves names the one that was read.
    async fn version(&self) -> i32 {
        self.0.version
    }
}
