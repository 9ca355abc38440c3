//! Proof of who sent a message: HTTP Message Signatures (RFC 9421) over messages whose bodies are
//! bound by `Content-Digest` (RFC 9530), with the keys that make and check them; and secrets sealed for
//! keeping (`seal`).
//!
//! Everything here is a plain function of its arguments: no I/O, no clock, no randomness but that of
//! key pairs and seals. A request is checked in two steps, so that the caller can fetch the key in between:
//! [`Claim::read`] says which key is claimed, [`Claim::verify`] holds the claim against it. What a
//! claim says is *not* true before the second step has passed.
//!
//! The mechanics of the RFC (`message`, `component`, `base`) are apart from what we demand of a
//! request (`claim`), so that the first can be held against the RFC's own examples.
//!
//! How someone could break it: whoever verifies without looking at what is covered accepts a request
//! whose body was exchanged; whoever takes the algorithm from the message instead of from the key lets
//! the caller choose the weakest one. The base is made from the parsed list, written again by the rules
//! of structured fields, never from the text that came in: two spellings of one list are one list.
//!
//! Not used: a signature crate. Those there are do not tell the caller which part was wrong, or bring a
//! second implementation of the algorithms with them.

mod base;
mod claim;
mod component;
mod content_digest;
mod detached;
mod fault;
#[cfg(feature = "gm")]
mod gm;
#[cfg(not(feature = "gm"))]
#[path = "gm_absent.rs"]
mod gm;
mod gm_curve;
#[cfg(feature = "oidc")]
mod id_token;
mod message;
mod pem;
mod private_key;
mod public_key;
mod seal;
mod sign;
#[cfg(test)]
mod tests;

use crate::domain::key::Algorithm;

pub use claim::{Claim, NONCE_LENGTH_MAX, WINDOW_S};
pub use detached::{document_is_signed_by, sign_document};
pub use fault::{KeyFault, SignatureFault};
#[cfg(feature = "oidc")]
pub use id_token::{IdTokenFault, ProviderKeys, open_id_token};
pub use message::{Header, Request, Response};
pub use private_key::PrivateKey;
pub use public_key::PublicKey;
pub use seal::{Masters, SealError, Sealed};
pub use sign::{SignedHeaders, Signer, sign_request, sign_response};

/// The algorithms that this build of the program has.
pub fn built() -> impl Iterator<Item = Algorithm> {
    let is_built = |algorithm: &Algorithm| algorithm.feature().is_none() || cfg!(feature = "gm");
    Algorithm::ALL.iter().copied().filter(is_built)
}
