//! The other half of I8: the chains of audit rows hold.
//!
//! A row's hash covers its fields and the hash before it. So an edited row does not have its own
//! hash, a row that was written anew does not have the hash that the next one is linked to, and a
//! row that was taken out leaves a gap in the numbers. What was cut off at the end of a chain is
//! missed elsewhere: by the orders and cases that moved more often than their rows tell.

use super::report::{Figures, Findings, Invariant};
use crate::domain::audit::{AuditRow, ChainHead, hex, row_hash};
use crate::storage::walk;
use crate::storage::{StoreError, View, audit};

/// How many rows are held at once.
const PAGE: i64 = 5_000;

/// Judges every chain.
pub(super) fn judge_chains(
    view: &mut View,
    figures: &mut Figures,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    for stream in audit::streams(view.connection())? {
        figures.audit_streams += 1;
        let mut chain = Chain::of(&stream);
        loop {
            let rows = walk::chain(view.connection(), &stream, chain.last_seq, PAGE)?;
            if rows.is_empty() {
                break;
            }
            for (seq, row) in rows {
                figures.audit_rows += 1;
                chain.take(seq, row, findings);
            }
        }
    }
    Ok(())
}

/// One chain, as far as it was read.
struct Chain {
    stream: String,
    last_seq: i64,
    /// The hash that the next row is linked to; none after a row that could not be read.
    last_hash: Option<Vec<u8>>,
}

impl Chain {
    fn of(stream: &str) -> Self {
        let start = ChainHead::start(stream);
        Self {
            stream: start.stream,
            last_seq: start.seq,
            last_hash: Some(start.hash),
        }
    }

    fn take(&mut self, seq: i64, row: Result<AuditRow, StoreError>, findings: &mut Findings) {
        let name = format!("audit row {} {seq}", self.stream);
        let gap = seq - self.last_seq - 1;
        if gap > 0 {
            let evidence = format!(
                "chain {}: rows {} to {} are missing",
                self.stream,
                self.last_seq + 1,
                seq - 1
            );
            findings.general(Invariant::Audit, "audit rows were deleted", evidence);
        }
        let before = self.last_hash.take();
        self.last_seq = seq;
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let evidence = format!("{name}: {error}");
                findings.general(Invariant::Audit, "an audit row cannot be read", evidence);
                return;
            }
        };
        let own = row_hash(&self.stream, seq, &row.prev_hash, &row.entry);
        if own != row.hash {
            let evidence = format!(
                "{name} ({}): its hash is {}, its fields give {}",
                row.entry.subject,
                short(&row.hash),
                short(&own)
            );
            findings.general(Invariant::Audit, "an audit row was changed", evidence);
        }
        if gap == 0 && before.is_some_and(|before| before != row.prev_hash) {
            let evidence = format!(
                "{name} ({}): it is linked to {}, which is not the hash of the row before",
                row.entry.subject,
                short(&row.prev_hash)
            );
            let problem = "an audit row is not linked to the one before it";
            findings.general(Invariant::Audit, problem, evidence);
        }
        self.last_hash = Some(row.hash);
    }
}

fn short(hash: &[u8]) -> String {
    hex(hash.get(..6).unwrap_or(hash))
}
