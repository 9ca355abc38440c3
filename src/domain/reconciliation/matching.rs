//! Brings the rows of one flow number together, of three sides and in any order.
//!
//! Rows come in lots, dealt out into parts by their numbers. Each part is sorted by number, side by side,
//! and then walked along once, as one does with three sorted stacks of paper: so every number on any
//! side comes out exactly once, with all its rows, and nothing depends on how the rows arrived or how
//! many threads were at work. A part of a day of five million flows fits into a processor's own cache;
//! that, and rows of twenty bytes, is all there is to the speed.
//!
//! Rejected: one hash table over everything. It is as exact, but it waits for main memory at nearly
//! every row, its result has to be sorted afterwards all the same, and whoever chooses the numbers can
//! make it slow; sorting cannot be made slow.

use super::class::Side;
use super::compare::{Found, sort, walk};
use super::judge::{Verdict, classify};
use super::lot::{Lot, PARTS, Rows};
use super::merge::Merge;
use super::packed::Packed;
use super::row::{Row, Sides};
use super::rules::{Rules, Waited};
use super::totals::{Overflow, Sum, Totals};
use crate::domain::progress::Progress;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// Three sides that are about to be compared.
#[derive(Debug)]
pub struct Matching {
    pub(super) rules: Vec<Rules>,
    lots: u16,
    packed: Vec<(Side, Rows)>,
    /// The rows that a lot keeps whole, by the lot.
    kept: Vec<Vec<Row>>,
    foreign: BTreeMap<Box<str>, [Vec<Row>; 3]>,
    read: BTreeMap<(Side, &'static str), Sum>,
}

/// The rows of one part, by side; each side in pieces, sorted once they are compared.
pub(super) type Part<'a> = [Vec<&'a [Packed]>; 3];

/// The same, about to be sorted.
type PartToSort<'a> = [Vec<&'a mut [Packed]>; 3];

/// Why a comparison has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchingError {
    /// A sum cannot be held.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// More lots than rows can name.
    #[error("a comparison takes at most 32,768 lots of rows")]
    TooManyLots,
    /// Rows were lost or counted twice. This cannot happen; it is looked at all the same.
    #[error(
        "the classes of {side} do not add up to its rows in {code}; nothing of this result counts"
    )]
    DoesNotAddUp {
        /// Whose rows.
        side: Side,
        /// In which currency.
        code: &'static str,
    },
}

/// A flow number that is not MATCHED, with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number.
    pub flow_no: Box<str>,
    /// Our rows, in the sequence of their lines; so are the others.
    pub ours: Vec<Row>,
    /// The bank's rows.
    pub bank: Vec<Row>,
    /// The biller's rows.
    pub biller: Vec<Row>,
    /// What became of it.
    pub verdict: Verdict,
}

impl Difference {
    /// The rows side by side.
    pub fn sides(&self) -> Sides<'_> {
        Sides {
            ours: &self.ours,
            bank: &self.bank,
            biller: &self.biller,
        }
    }
}

/// What came out of a comparison.
#[derive(Debug)]
pub struct Compared {
    /// Counts and sums; they add up to what was read.
    pub totals: Totals,
    /// What is not MATCHED, and what matches because the bank's line proves something about a flow that
    /// we are undecided about: the first 100,000, sorted by number. `each` shows all.
    pub differences: Vec<Difference>,
    /// How many of those there are.
    pub differences_all: u64,
    matching: Matching,
}

impl Matching {
    /// An empty comparison under rules that rows point into.
    pub fn new(rules: Vec<Rules>) -> Self {
        Self {
            rules,
            lots: 0,
            packed: Vec::new(),
            kept: Vec::new(),
            foreign: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// An empty lot for rows of a side. It is filled by whoever reads, and handed back with `add`.
    ///
    /// # Errors
    /// There are too many lots.
    pub fn lot(&mut self, side: Side) -> Result<Lot, MatchingError> {
        let number = self.lots;
        if number >= 0x8000 {
            return Err(MatchingError::TooManyLots);
        }
        self.lots += 1;
        self.kept.push(Vec::new());
        Ok(Lot::new(side, number))
    }

    /// Takes a lot over.
    ///
    /// # Errors
    /// The sum of all rows cannot be held.
    pub fn add(&mut self, mut lot: Lot) -> Result<(), MatchingError> {
        let side = lot.side();
        for (code, more) in lot.read().sums()? {
            let sum = self.read.entry((side, code)).or_default();
            *sum = sum.plus(*more)?;
        }
        let (number, place) = (lot.number(), side as usize);
        self.kept[number] = lot.kept;
        self.packed.push((side, lot.packed));
        for (flow_no, row) in lot.foreign {
            self.foreign.entry(flow_no).or_default()[place].push(row);
        }
        Ok(())
    }

    /// Compares everything, on so many threads. Progress is told in rows.
    ///
    /// # Errors
    /// A sum cannot be held.
    pub fn compare(
        mut self,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<Compared, MatchingError> {
        let mut packed = std::mem::take(&mut self.packed);
        let mut parts: Vec<_> = (0..PARTS).map(|_| PartToSort::default()).collect();
        for (side, rows) in &mut packed {
            for (part, piece) in rows.pieces_mut() {
                parts[part][*side as usize].push(piece);
            }
        }
        let all: u64 = self.read.values().map(|sum| sum.count).sum();
        let rows = |part: &PartToSort<'_>, side: usize| -> usize {
            part[side].iter().map(|piece| piece.len()).sum()
        };
        let largest = [0, 1, 2].map(|side| parts.iter().map(|part| rows(part, side)).max());
        let (queue, done) = (Mutex::new(parts.iter_mut()), Mutex::new(0));
        let work = || {
            let mut found = Found::default();
            let mut stacks = largest.map(|rows| Vec::with_capacity(rows.unwrap_or(0)));
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(part) = next else { break };
                for (pieces, stack) in part.iter_mut().zip(&mut stacks) {
                    sort(pieces, stack);
                }
                walk(&stacks, &self, &mut found)?;
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                *done += stacks.iter().map(|stack| stack.len() as u64).sum::<u64>();
                progress.at(*done, Some(all));
            }
            found.put_purses_away()?;
            Ok(found)
        };
        let shares: Vec<Result<Found, Overflow>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| match worker.join() {
                Ok(share) => share,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        });
        let mut found = Found::default();
        for share in shares {
            found.add(share?)?;
        }
        drop(parts);
        self.packed = packed;
        for (flow_no, rows) in &mut self.foreign {
            for rows in &mut *rows {
                rows.sort_by_key(|row| row.line);
            }
            found.see(flow_no, sides_of(rows), &self.rules)?;
        }
        found.keep_first_differences();
        self.hold_against(&found.totals)?;
        Ok(Compared {
            totals: found.totals,
            differences: found.differences,
            differences_all: found.differences_all,
            matching: self,
        })
    }

    /// A row as it was before it was packed.
    pub(super) fn row(&self, packed: &Packed) -> Row {
        match packed.value().place() {
            Some((lot, place)) => self.kept[lot][place],
            None => packed.value().row(packed.line()),
        }
    }

    /// The classes of each side add up to what was read of it.
    fn hold_against(&self, totals: &Totals) -> Result<(), MatchingError> {
        let mut codes = totals.currencies();
        codes.extend(self.read.keys().map(|(_, code)| *code));
        for side in Side::ALL {
            for code in &codes {
                let read = self.read.get(&(*side, code)).copied().unwrap_or_default();
                if totals.of_side(*side, code)?.listed()? != read {
                    return Err(MatchingError::DoesNotAddUp { side: *side, code });
                }
            }
        }
        Ok(())
    }
}

impl Compared {
    /// Shows every flow number once, with its rows and its class, in the sequence of the numbers as
    /// texts.
    ///
    /// # Errors
    /// What `see` says; it ends the walk.
    pub fn each<E>(
        &self,
        mut see: impl FnMut(&str, Sides<'_>, &Verdict) -> Result<(), E>,
    ) -> Result<(), E> {
        let Matching {
            rules,
            packed,
            foreign,
            ..
        } = &self.matching;
        let mut parts: Vec<_> = (0..PARTS).map(|_| Part::default()).collect();
        for (side, rows) in packed {
            for (part, piece) in rows.pieces() {
                parts[part][*side as usize].push(piece);
            }
        }
        let mut show = |flow_no: &str, sides: Sides<'_>| {
            see(flow_no, sides, &classify(sides, rules, Waited(0)))
        };
        let mut foreign = foreign.iter().peekable();
        let mut merge = Merge::new(&parts);
        let mut rows = [Vec::new(), Vec::new(), Vec::new()];
        while let Some(number) = merge.next(&self.matching, &mut rows) {
            let digits = number.digits();
            let flow_no = std::str::from_utf8(&digits).unwrap_or_default();
            while let Some((text, rows)) = foreign.next_if(|(text, _)| &***text < flow_no) {
                show(text, sides_of(rows))?;
            }
            show(flow_no, sides_of(&rows))?;
        }
        for (text, rows) in foreign {
            show(text, sides_of(rows))?;
        }
        Ok(())
    }
}

/// Three lists of rows as sides.
pub(super) fn sides_of([ours, bank, biller]: &[Vec<Row>; 3]) -> Sides<'_> {
    Sides { ours, bank, biller }
}
