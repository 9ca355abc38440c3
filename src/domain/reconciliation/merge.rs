//! Every flow number of all parts in one sequence: the parts are sorted already, and the one whose next
//! number is the least goes first.

use super::compare::{least, take};
use super::matching::{Matching, Part};
use super::packed::{Number, Packed};
use super::row::Row;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// All parts, each as far as it was walked.
pub(super) struct Merge<'a> {
    parts: Vec<[Walk<'a>; 3]>,
    /// The next number of each part that is not at its end, with the part.
    next: BinaryHeap<Reverse<(Number, usize)>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(parts: &'a [Part<'a>]) -> Self {
        let parts: Vec<[Walk<'a>; 3]> = parts
            .iter()
            .map(|sides| [0, 1, 2].map(|side| Walk::new(&sides[side])))
            .collect();
        let numbers = parts.iter().enumerate();
        let next = numbers.filter_map(|(place, part)| Some(Reverse((first(part)?, place))));
        Self {
            next: next.collect(),
            parts,
        }
    }

    /// The next number; its rows replace what is in `rows`.
    pub(super) fn next(&mut self, matching: &Matching, rows: &mut [Vec<Row>; 3]) -> Option<Number> {
        let Reverse((number, place)) = self.next.pop()?;
        let part = &mut self.parts[place];
        for (walk, rows) in part.iter_mut().zip(rows) {
            rows.clear();
            walk.take(number, |packed| rows.push(matching.row(packed)));
        }
        if let Some(number) = first(part) {
            self.next.push(Reverse((number, place)));
        }
        Some(number)
    }
}

fn first(part: &[Walk<'_>; 3]) -> Option<Number> {
    least([part[0].piece, part[1].piece, part[2].piece])
}

/// One side of one part, piece by piece.
struct Walk<'a> {
    /// What is left of the piece; empty only at the end.
    piece: &'a [Packed],
    pieces: &'a [&'a [Packed]],
}

impl<'a> Walk<'a> {
    fn new(pieces: &'a [&'a [Packed]]) -> Self {
        let mut walk = Self { piece: &[], pieces };
        walk.turn();
        walk
    }

    /// Goes on to the next piece at the end of one.
    fn turn(&mut self) {
        while let ([], Some((next, rest))) = (self.piece, self.pieces.split_first()) {
            (self.piece, self.pieces) = (next, rest);
        }
    }

    fn take(&mut self, number: Number, mut each: impl FnMut(&Packed)) {
        loop {
            let taken = take(&mut self.piece, number);
            taken.iter().for_each(&mut each);
            let goes_on = self.piece.is_empty() && !taken.is_empty();
            self.turn();
            if !goes_on {
                return;
            }
        }
    }
}
