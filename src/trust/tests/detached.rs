//! Signatures beside documents.

use super::super::{PrivateKey, document_is_signed_by, sign_document};
use crate::domain::key::Algorithm;

const DOCUMENT: &[u8] = b"{\"a\":1}\n";

#[test]
fn a_document_is_signed_by_its_key_and_by_no_other() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let other = PrivateKey::generate(algorithm).unwrap();
        let signature = sign_document(&key, DOCUMENT).unwrap();
        assert!(document_is_signed_by(
            key.public_key(),
            DOCUMENT,
            &signature
        ));
        assert!(!document_is_signed_by(
            other.public_key(),
            DOCUMENT,
            &signature
        ));
        let altered = b"{\"a\":2}\n";
        assert!(!document_is_signed_by(
            key.public_key(),
            altered,
            &signature
        ));
        for place in 0..signature.len() {
            let mut signature = signature.clone();
            signature[place] ^= 1;
            assert!(
                !document_is_signed_by(key.public_key(), DOCUMENT, &signature),
                "{algorithm} {place}"
            );
        }
    }
}

#[test]
fn nothing_that_could_be_a_message_is_signed_as_a_document() {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    for text in [b"\"@method\": POST".as_slice(), b"", b" {}"] {
        assert!(sign_document(&key, text).is_err());
    }
}
