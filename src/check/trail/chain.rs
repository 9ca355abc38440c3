//! The judge of chains, a row at a time.
//!
//! A row's hash covers its fields and the hash before it. So an edited row does not have its own
//! hash, a row that was written anew does not have the hash that the next one is linked to, a row
//! that was taken out leaves a gap in the numbers, and one that was moved is linked to a row that is
//! not the one before it. What was cut off at the end of a chain, or written anew up to its end, is held
//! against the heads that were published (`heads.rs`).

use super::heads::{Pin, Pins};
use super::report::{TrailFault, TrailFinding};
use crate::domain::audit::{AuditRow, ChainHead, hex, row_hash};
use crate::storage::walk;
use crate::storage::{StoreError, View, audit};
use std::collections::{BTreeMap, HashMap};

/// How many rows are held at once.
const PAGE: i64 = 5_000;

/// How far the judge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chains that were begun.
    pub streams: u64,
    /// Rows that were judged.
    pub rows: u64,
}

/// Whoever listens to the judge.
pub trait Listener {
    /// Something is wrong.
    fn found(&mut self, finding: TrailFinding);
    /// It goes on; told after each page.
    fn is_at(&mut self, progress: Progress);
}

/// Judges every chain. What was published is used up on the way: what is left of a chain that is there
/// was cut off from it, what is left altogether are chains that are gone.
pub fn judge_chains(
    view: &mut View,
    pins: &mut Pins,
    listener: &mut impl Listener,
) -> Result<(), StoreError> {
    let mut progress = Progress::default();
    let mut last: Option<String> = None;
    while let Some(stream) = audit::next_stream(view.connection(), last.as_deref())? {
        progress.streams += 1;
        let mut chain = Chain::of(&stream, pins.take(&stream));
        loop {
            let rows = walk::chain(view.connection(), &stream, chain.last_seq, PAGE)?;
            if rows.is_empty() {
                break;
            }
            chain.learn(&rows);
            for (seq, row) in rows {
                progress.rows += 1;
                chain.take(seq, row, listener);
            }
            listener.is_at(progress);
        }
        chain.end(listener);
        last = Some(stream);
    }
    for (stream, pins) in pins.left() {
        vanished(&stream, &pins, listener);
    }
    Ok(())
}

fn vanished(stream: &str, pins: &BTreeMap<i64, Pin>, listener: &mut impl Listener) {
    let Some((seq, pin)) = pins.last_key_value() else {
        return;
    };
    let evidence = format!(
        "chain {stream}: none of its rows 1 to {seq} is there, which {} tells of",
        pin.file
    );
    let problem = "a whole chain is missing";
    let at = (stream, 1);
    listener.found(TrailFinding::row(
        TrailFault::Vanished,
        at,
        problem,
        evidence,
    ));
}

/// One chain, as far as it was read.
struct Chain {
    stream: String,
    last_seq: i64,
    /// The hash that the next row is linked to; none after a row that could not be read.
    last_hash: Option<Vec<u8>>,
    /// Where the rows of this page and the one before it stand, by their hashes.
    places: HashMap<Vec<u8>, i64>,
    places_before: HashMap<Vec<u8>, i64>,
    /// What was published and not come to yet.
    pins: BTreeMap<i64, Pin>,
    /// The last row that was published and is there as it was.
    held_seq: i64,
}

impl Chain {
    fn of(stream: &str, pins: BTreeMap<i64, Pin>) -> Self {
        let start = ChainHead::start(stream);
        Self {
            places: HashMap::from([(start.hash.clone(), start.seq)]),
            places_before: HashMap::new(),
            stream: start.stream,
            last_seq: start.seq,
            last_hash: Some(start.hash),
            pins,
            held_seq: 0,
        }
    }

    /// Notes where the rows of a page stand, so that one in another's place can be told its own.
    fn learn(&mut self, rows: &[(i64, walk::Readable<AuditRow>)]) {
        let readable = rows
            .iter()
            .filter_map(|(seq, row)| Some((seq, row.as_ref().ok()?)));
        let places = readable
            .map(|(seq, row)| (row.hash.clone(), *seq))
            .collect();
        self.places_before = std::mem::replace(&mut self.places, places);
    }

    fn take(&mut self, seq: i64, row: Result<AuditRow, StoreError>, listener: &mut impl Listener) {
        let gap = seq - self.last_seq - 1;
        if gap > 0 {
            listener.found(self.gap(seq));
        }
        let before = self.last_hash.take();
        self.last_seq = seq;
        match row {
            Ok(row) => {
                if let Some(finding) = self.hash_fault(seq, &row) {
                    listener.found(finding);
                }
                if gap == 0 && before.is_some_and(|before| before != row.prev_hash) {
                    listener.found(self.unlinked(seq, &row));
                }
                if let Some(finding) = self.pin_fault(seq, &row) {
                    listener.found(finding);
                }
                self.last_hash = Some(row.hash);
            }
            Err(error) => {
                let evidence = format!("audit row {} {seq}: {error}", self.stream);
                let problem = "an audit row cannot be read";
                listener.found(self.finding(TrailFault::Unreadable, seq, problem, evidence));
            }
        }
    }

    fn gap(&self, seq: i64) -> TrailFinding {
        let first = self.last_seq + 1;
        let evidence = format!(
            "chain {}: rows {first} to {} are missing",
            self.stream,
            seq - 1
        );
        let problem = "audit rows were deleted";
        self.finding(TrailFault::Deleted, first, problem, evidence)
    }

    fn hash_fault(&self, seq: i64, row: &AuditRow) -> Option<TrailFinding> {
        let own = row_hash(&self.stream, seq, &row.prev_hash, &row.entry);
        if own == row.hash {
            return None;
        }
        let name = self.name(seq, row);
        if let Some(place) = self.place_of(row) {
            let evidence = format!("{name}: by its hash it is row {place} of this chain");
            let problem = "an audit row stands in another's place";
            let finding = self.finding(TrailFault::Reordered, seq, problem, evidence);
            return Some(finding.about(&row.entry.subject));
        }
        let evidence = format!(
            "{name}: its hash is {}, its fields give {}",
            short(&row.hash),
            short(&own)
        );
        let problem = "an audit row was changed";
        let finding = self.finding(TrailFault::Edited, seq, problem, evidence);
        Some(finding.about(&row.entry.subject))
    }

    /// The place where a row's hash would be right: behind the row that it is linked to.
    fn place_of(&self, row: &AuditRow) -> Option<i64> {
        let places = [&self.places, &self.places_before];
        let linked = places.iter().find_map(|known| known.get(&row.prev_hash));
        // Whoever stands in another's place may be linked to one that does so, too.
        let behind = linked.map(|seq| seq + 1);
        let around = row.seq - NEAR..=row.seq + NEAR;
        behind.into_iter().chain(around).find(|place| {
            *place != row.seq
                && row_hash(&self.stream, *place, &row.prev_hash, &row.entry) == row.hash
        })
    }

    fn unlinked(&self, seq: i64, row: &AuditRow) -> TrailFinding {
        let evidence = format!(
            "{}: it is linked to {}, which is not the hash of the row before",
            self.name(seq, row),
            short(&row.prev_hash)
        );
        let problem = "an audit row is not linked to the one before it";
        let finding = self.finding(TrailFault::Unlinked, seq, problem, evidence);
        finding.about(&row.entry.subject)
    }

    fn pin_fault(&mut self, seq: i64, row: &AuditRow) -> Option<TrailFinding> {
        let pin = self.pins.remove(&seq)?;
        let first = self.held_seq + 1;
        if pin.hash == hex(&row.hash) {
            self.held_seq = seq;
            return None;
        }
        let evidence = format!(
            "{}: {} tells of another row there; of rows {first} to {seq} one or more were written anew",
            self.name(seq, row),
            pin.file
        );
        let problem = "an audit row is not the one that was published";
        let finding = self.finding(TrailFault::Rewritten, seq, problem, evidence);
        Some(finding.about(&row.entry.subject))
    }

    /// What was published of rows that were not come to. Those inside the chain have been told of as a
    /// gap, or cannot be read.
    fn end(self, listener: &mut impl Listener) {
        let last = self.pins.last_key_value();
        let Some((seq, pin)) = last.filter(|(seq, _)| **seq > self.last_seq) else {
            return;
        };
        let first = self.last_seq + 1;
        let evidence = format!(
            "chain {}: rows {first} to {seq} are missing, which {} tells of",
            self.stream, pin.file
        );
        let problem = "the end of a chain was cut off";
        listener.found(self.finding(TrailFault::Truncated, first, problem, evidence));
    }

    fn name(&self, seq: i64, row: &AuditRow) -> String {
        format!(
            "audit row {} {seq} ({} {})",
            self.stream, row.entry.subject_kind, row.entry.subject
        )
    }

    fn finding(
        &self,
        fault: TrailFault,
        seq: i64,
        problem: &'static str,
        evidence: String,
    ) -> TrailFinding {
        TrailFinding::row(fault, (&self.stream, seq), problem, evidence)
    }
}

/// How far a row is looked for around its place where its link tells nothing.
const NEAR: i64 = 2;

fn short(hash: &[u8]) -> String {
    hex(hash.get(..6).unwrap_or(hash))
}
