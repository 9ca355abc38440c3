//! Signatures that lie beside what they sign: over the bytes of a document as they are, with nothing
//! put around them, so that anybody can check one with the tools at hand.
//!
//! The keys that sign HTTP messages may sign documents too, because neither can be taken for the
//! other: what is signed of a message begins with a quotation mark (RFC 9421, 2.5), a document of ours
//! with a brace. Whoever signs a document of another kind has to keep that so.

use super::fault::SignatureFault;
use super::private_key::PrivateKey;
use super::public_key::PublicKey;

/// Signs a document, which has to be a JSON object.
///
/// # Errors
/// The document does not begin with a brace, or the key cannot be used.
pub fn sign_document(key: &PrivateKey, document: &[u8]) -> Result<Vec<u8>, SignatureFault> {
    if !document.starts_with(b"{") {
        return Err(SignatureFault::NotSigned {
            what: "a document has to begin with a brace",
        });
    }
    key.sign(document)
}

/// Whether a signature over a document was made with the private half of a key.
pub fn document_is_signed_by(key: &PublicKey, document: &[u8], signature: &[u8]) -> bool {
    document.starts_with(b"{") && key.accepts(document, signature)
}
