//! 密钥: by which algorithm a merchant or the center signs.

use super::named_enum;

named_enum! {
    /// A signature algorithm, by its name in the HTTP signature algorithms registry (RFC 9421, 6.2).
    /// A key is registered for one of them and counts for no other.
    pub enum Algorithm {
        /// Ed25519 (RFC 8032): short, quick, without parameters to get wrong.
        Ed25519 = "ed25519",
        /// ECDSA on the curve P-256 with SHA-256; the signature is `r || s`, 64 bytes.
        EcdsaP256Sha256 = "ecdsa-p256-sha256",
        /// RSASSA-PSS with SHA-512.
        RsaPssSha512 = "rsa-pss-sha512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaV15Sha256 = "rsa-v1_5-sha256",
    }
}

impl Algorithm {
    /// Whether its keys are RSA keys, whose length has bounds.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256)
    }
}
