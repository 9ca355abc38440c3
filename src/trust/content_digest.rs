//! `Content-Digest` (RFC 9530): what binds a body into a signature that covers headers only.

use super::fault::SignatureFault;
use super::message::{Header, combined};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::{Dictionary, ListEntry, Parser};

pub(super) const CONTENT_DIGEST: &str = "Content-Digest";

/// The algorithms that count. Others may stand beside them and are not looked at: RFC 9530 (5) lists
/// those that are broken.
const ALGORITHMS: [(&str, &digest::Algorithm); 2] = [("sha-256", &SHA256), ("sha-512", &SHA512)];

/// The header's value for a body.
pub(super) fn of(body: &[u8]) -> String {
    format!(
        "sha-256=:{}:",
        STANDARD.encode(digest::digest(&SHA256, body))
    )
}

/// Holds a body against the header: one algorithm that counts has to be there, and every one has to
/// match. Without a body, the header may be missing.
pub(super) fn check(headers: &[Header<'_>], body: &[u8]) -> Result<(), SignatureFault> {
    let Some(value) = combined(headers, CONTENT_DIGEST) else {
        return match body {
            [] => Ok(()),
            _ => Err(SignatureFault::DigestMissing),
        };
    };
    let unreadable = |what| SignatureFault::Unreadable {
        header: CONTENT_DIGEST,
        what,
    };
    let parsed: Result<Dictionary, _> = Parser::new(&value).parse();
    let digests = parsed.map_err(|error| unreadable(error.to_string()))?;
    let mut matched = 0;
    for (algorithm, hash) in ALGORITHMS {
        let Some(entry) = digests.get(algorithm) else {
            continue;
        };
        let given = match entry {
            ListEntry::Item(item) => item.bare_item.as_byte_sequence(),
            ListEntry::InnerList(_) => None,
        };
        let given = given
            .ok_or_else(|| unreadable(format!("{algorithm} is no byte sequence (:Base64:)")))?;
        verify_slices_are_equal(digest::digest(hash, body).as_ref(), given)
            .map_err(|_| SignatureFault::DigestMismatch { algorithm })?;
        matched += 1;
    }
    if matched == 0 {
        return Err(SignatureFault::DigestUnknown);
    }
    Ok(())
}
