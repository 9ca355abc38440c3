//! Keys as text: PEM (RFC 7468), or bare Base64.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use zeroize::{Zeroize, Zeroizing};

const LINE_LENGTH: usize = 64;

/// The label of the first block that a text begins, whether or not it can be read.
pub(super) fn label(text: &str) -> Option<&str> {
    let after = text.split_once("-----BEGIN ")?.1;
    Some(after.split_once("-----")?.0)
}

/// What is in the only block of a text; `None` if there is none, more than one, or if it is no Base64.
/// The bytes are wiped when they are dropped, because they may be a private key.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let label = label(text)?;
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (inside, after) = rest.split_once(&end)?;
    let is_alone = before.trim().is_empty() && after.trim().is_empty();
    let bytes = decode_base64(inside)?;
    is_alone.then_some(bytes)
}

/// Base64 of either alphabet, with or without padding, over any number of lines.
pub(super) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut joined = Zeroizing::new(String::with_capacity(text.len()));
    joined.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    let is_url_safe = joined.contains(['-', '_']);
    let alphabet = if is_url_safe { &URL_SAFE } else { &STANDARD };
    let mut bytes = Zeroizing::new(Vec::with_capacity(joined.len()));
    GeneralPurpose::new(alphabet, config)
        .decode_vec(joined.as_bytes(), &mut bytes)
        .ok()?;
    Some(bytes)
}

/// One block of PEM; nothing of it is left behind in memory but what is returned.
pub(super) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut base64 = general_purpose::STANDARD.encode(bytes);
    let lines = base64.len() / LINE_LENGTH + 1;
    let mut pem = Zeroizing::new(String::with_capacity(
        base64.len() + lines + 2 * label.len() + 40,
    ));
    for part in ["-----BEGIN ", label, "-----\n"] {
        pem.push_str(part);
    }
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE_LENGTH.min(rest.len()));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    for part in ["-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    base64.zeroize();
    pem
}
