//! The audit row: who did what to which thing, chained by hashes so that an edit shows.
//!
//! Every writer keeps a chain of its own (a *stream*), so that group commit never waits for another
//! replica. A row's hash covers the hash before it and every field, each with its length in front.

use super::time::Instant;
use sha2::{Digest, Sha256};

/// What happened, before it has its place in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, by the center's clock.
    pub at: Instant,
    /// Who: `merchant:CODE`, `operator:NAME`, `job:NAME` or `system`.
    pub actor: String,
    /// What was done, e.g. `CONFIRMED`.
    pub action: String,
    /// What kind of thing it was done to, e.g. `ORDER`.
    pub subject_kind: &'static str,
    /// Which one, e.g. an order number.
    pub subject: String,
    /// The state before; none for a thing that was made.
    pub before: Option<String>,
    /// The state after.
    pub after: Option<String>,
    /// Further words: the reason, the evidence, the flow number.
    pub detail: Option<String>,
    /// The request that caused it.
    pub request_id: Option<String>,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// The chain it stands in: one per writer and start of the program.
    pub stream: String,
    /// Its place, from 1, without gaps.
    pub seq: i64,
    /// What happened.
    pub entry: AuditEntry,
    /// The hash of the row before; of the stream's name for the first.
    pub prev_hash: Vec<u8>,
    /// The hash of this row.
    pub hash: Vec<u8>,
}

/// The end of a chain, to which the next row is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The stream's name.
    pub stream: String,
    /// The place of the last row; 0 for an empty chain.
    pub seq: i64,
    /// The hash of the last row.
    pub hash: Vec<u8>,
}

impl ChainHead {
    /// An empty chain.
    pub fn start(stream: &str) -> Self {
        let hash = Sha256::digest(stream.as_bytes()).to_vec();
        Self {
            stream: stream.to_owned(),
            seq: 0,
            hash,
        }
    }

    /// Links an entry to the end of the chain and moves the end.
    pub fn link(&mut self, entry: AuditEntry) -> AuditRow {
        let seq = self.seq + 1;
        let hash = row_hash(&self.stream, seq, &self.hash, &entry);
        let row = AuditRow {
            stream: self.stream.clone(),
            seq,
            entry,
            prev_hash: std::mem::replace(&mut self.hash, hash.clone()),
            hash,
        };
        self.seq = seq;
        row
    }
}

/// What a row's hash must be.
pub fn row_hash(stream: &str, seq: i64, prev_hash: &[u8], entry: &AuditEntry) -> Vec<u8> {
    let mut hash = Sha256::new();
    let seq = seq.to_string();
    let at = entry.at.timestamp_micros().to_string();
    let mut field = |present: bool, bytes: &[u8]| {
        hash.update([u8::from(present)]);
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    field(true, prev_hash);
    for text in [
        stream,
        &seq,
        &at,
        &entry.actor,
        &entry.action,
        entry.subject_kind,
        &entry.subject,
    ] {
        field(true, text.as_bytes());
    }
    for text in [
        &entry.before,
        &entry.after,
        &entry.detail,
        &entry.request_id,
    ] {
        field(text.is_some(), text.as_deref().unwrap_or("").as_bytes());
    }
    hash.finalize().to_vec()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            at: Instant::from_timestamp(1_800_000_000, 0).unwrap(),
            actor: "system".into(),
            action: action.into(),
            subject_kind: "ORDER",
            subject: "1".into(),
            before: None,
            after: Some("CREATED".into()),
            detail: None,
            request_id: None,
        }
    }

    #[test]
    fn each_row_is_linked_to_the_one_before() {
        let mut head = ChainHead::start("w1");
        let first = head.link(entry("A"));
        let second = head.link(entry("B"));
        assert_eq!((first.seq, second.seq, head.seq), (1, 2, 2));
        assert_eq!(second.prev_hash, first.hash);
        assert_eq!(head.hash, second.hash);
        assert_eq!(
            first.hash,
            row_hash("w1", 1, &first.prev_hash, &first.entry)
        );
    }

    #[test]
    fn every_field_is_covered() {
        let base = entry("A");
        let hash = |entry: &AuditEntry| row_hash("w1", 1, b"p", entry);
        let changes: [AuditEntry; 6] = [
            AuditEntry {
                actor: "x".into(),
                ..base.clone()
            },
            AuditEntry {
                subject: "2".into(),
                ..base.clone()
            },
            AuditEntry {
                before: Some(String::new()),
                ..base.clone()
            },
            AuditEntry {
                after: None,
                ..base.clone()
            },
            AuditEntry {
                detail: Some("CREATED".into()),
                after: None,
                ..base.clone()
            },
            AuditEntry {
                request_id: Some("r".into()),
                ..base.clone()
            },
        ];
        for changed in &changes {
            assert_ne!(hash(changed), hash(&base), "{changed:?}");
        }
        assert_ne!(row_hash("w2", 1, b"p", &base), hash(&base));
        assert_ne!(row_hash("w1", 2, b"p", &base), hash(&base));
    }

    #[test]
    fn hex_is_lower_case() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
