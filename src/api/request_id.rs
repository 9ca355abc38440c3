//! The id of a request: the caller's own where it is well-formed, else one of ours. It is in the
//! answer's head, in every error, in the audit rows and in the log line of a fault.

use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// The header that carries it, in both directions.
pub(super) const HEADER: &str = "x-request-id";

/// An id of 8 to 64 letters, digits, `-`, `_` or `.`: it can go into a header, a log line and a
/// database row as it is. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's id if it is well-formed, else a new one.
    pub fn accept(given: Option<&str>) -> Self {
        match given.filter(|text| is_well_formed(text)) {
            Some(text) => Self(text.into()),
            None => Self(Uuid::now_v7().simple().to_string().into()),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_well_formed(text: &str) -> bool {
    (8..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_id_is_kept_and_any_other_is_replaced() {
        assert_eq!(
            RequestId::accept(Some("abc-123_4.5")).as_str(),
            "abc-123_4.5"
        );
        for bad in [
            None,
            Some("short"),
            Some("has space in"),
            Some("x\ny-12345"),
            Some("编号编号编号"),
        ] {
            let made = RequestId::accept(bad);
            assert_eq!(made.as_str().len(), 32, "{bad:?}");
        }
        let long = "a".repeat(65);
        assert_ne!(RequestId::accept(Some(&long)).as_str(), long);
    }
}
