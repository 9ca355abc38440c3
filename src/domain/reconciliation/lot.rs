//! Rows of one side on their way into a comparison.
//!
//! Whoever reads a side fills a lot; two who read one file in pieces fill one each, and need not talk to
//! each other. A lot deals its rows out into 256 parts by their numbers, so that later each part is
//! small enough for the processor's own memory.

use super::class::Side;
use super::packed::{Number, Packed, Value};
use super::row::Row;
use super::totals::{Overflow, Sum};
use crate::domain::money::Currency;
use std::collections::BTreeMap;

/// How many parts there are.
pub(super) const PARTS: usize = 256;

/// So many rows lie side by side, all of one part: a piece.
const PIECE_ROWS: usize = 256;
/// So many pieces are made room for at a time, and nothing of it is touched before a piece is begun. With a
/// list of its own for each part, a third of the memory was lost between the lists.
const SLAB_PIECES: usize = 400;

/// The rows of a lot, in pieces, each of which belongs to one part.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    slabs: Vec<Vec<Packed>>,
    /// Which part each piece belongs to.
    owners: Vec<u8>,
    /// Where the next row of each part goes.
    next: Vec<Place>,
}

/// The last piece of a part, and how many rows are in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    piece: usize,
    filled: usize,
}

impl Rows {
    fn new() -> Self {
        // As if a piece before the first were full.
        let nowhere = Place {
            piece: usize::MAX,
            filled: PIECE_ROWS,
        };
        Self {
            slabs: Vec::new(),
            owners: Vec::new(),
            next: vec![nowhere; PARTS],
        }
    }

    fn push(&mut self, part: u8, row: Packed) {
        let place = &mut self.next[usize::from(part)];
        if place.filled == PIECE_ROWS {
            let piece = self.owners.len();
            if piece.is_multiple_of(SLAB_PIECES) {
                let slab = Vec::with_capacity(SLAB_PIECES * PIECE_ROWS);
                self.slabs.push(slab);
            }
            if let Some(slab) = self.slabs.last_mut() {
                slab.resize(slab.len() + PIECE_ROWS, Packed::NOTHING);
            }
            self.owners.push(part);
            *place = Place { piece, filled: 0 };
        }
        let within = place.piece % SLAB_PIECES * PIECE_ROWS + place.filled;
        self.slabs[place.piece / SLAB_PIECES][within] = row;
        place.filled += 1;
    }

    /// How many rows of a piece are filled: all, but of the last one of its part.
    fn filled(&self, piece: usize, part: u8) -> usize {
        let last = self.next[usize::from(part)];
        if last.piece == piece {
            last.filled
        } else {
            PIECE_ROWS
        }
    }

    /// Every piece, with its part.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (usize, &[Packed])> {
        let pieces = self.slabs.iter().flat_map(|slab| slab.chunks(PIECE_ROWS));
        let owned = pieces.zip(&self.owners).enumerate();
        owned.map(|(piece, (rows, part))| (usize::from(*part), &rows[..self.filled(piece, *part)]))
    }

    /// The same, to be sorted.
    pub(super) fn pieces_mut(&mut self) -> impl Iterator<Item = (usize, &mut [Packed])> {
        let Self {
            slabs,
            owners,
            next,
        } = self;
        let pieces = slabs
            .iter_mut()
            .flat_map(|slab| slab.chunks_mut(PIECE_ROWS));
        pieces.zip(owners).enumerate().map(|(piece, (rows, part))| {
            let part = usize::from(*part);
            let last = next[part];
            let filled = if last.piece == piece {
                last.filled
            } else {
                PIECE_ROWS
            };
            (part, &mut rows[..filled])
        })
    }
}

/// Rows of one side.
#[derive(Clone, Debug)]
pub struct Lot {
    side: Side,
    pub(super) packed: Rows,
    /// Rows that do not fit into a packed one.
    pub(super) kept: Vec<Row>,
    /// Rows whose numbers are not 24 digits: a partner may write what it wants.
    pub(super) foreign: Vec<(Box<str>, Row)>,
    /// Which lot of the comparison it will be; packed rows name it.
    number: u16,
    read: Read,
}

/// What was read, counted before anything is compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    rows: u64,
    sums: BTreeMap<&'static str, Sum>,
    latest: Option<(Currency, Sum)>,
}

impl Read {
    fn count(&mut self, row: &Row) -> Result<(), Overflow> {
        let one = Sum {
            count: 1,
            minor: i128::from(row.amount.amount_minor),
        };
        self.rows += 1;
        match &mut self.latest {
            Some((currency, sum)) if *currency == row.amount.currency => *sum = sum.plus(one)?,
            _ => {
                self.put_away()?;
                self.latest = Some((row.amount.currency, one));
            }
        }
        Ok(())
    }

    fn put_away(&mut self) -> Result<(), Overflow> {
        if let Some((currency, latest)) = self.latest.take() {
            let sum = self.sums.entry(currency.code()).or_default();
            *sum = sum.plus(latest)?;
        }
        Ok(())
    }

    /// Rows and what they list, by currency.
    pub(super) fn sums(&mut self) -> Result<&BTreeMap<&'static str, Sum>, Overflow> {
        self.put_away()?;
        Ok(&self.sums)
    }
}

impl Lot {
    pub(super) fn new(side: Side, number: u16) -> Self {
        Self {
            side,
            packed: Rows::new(),
            kept: Vec::new(),
            foreign: Vec::new(),
            number,
            read: Read::default(),
        }
    }

    /// Whose rows they are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// How many there are.
    pub fn rows(&self) -> u64 {
        self.read.rows
    }

    /// Which lot of its comparison it is.
    pub(super) fn number(&self) -> usize {
        usize::from(self.number)
    }

    pub(super) fn read(&mut self) -> &mut Read {
        &mut self.read
    }

    /// Takes a row. The number may be any text; one of 24 digits costs the least.
    ///
    /// # Errors
    /// The sum of all rows cannot be held, or there are more than 2^32 that are out of the ordinary.
    pub fn push(&mut self, flow_no: &str, row: Row) -> Result<(), Overflow> {
        self.read.count(&row)?;
        let Some(number) = Number::parse(flow_no.as_bytes()) else {
            self.foreign.push((flow_no.into(), row));
            return Ok(());
        };
        let value = match Value::of(&row) {
            Some(value) => value,
            None => {
                let place = u32::try_from(self.kept.len()).map_err(|_| Overflow)?;
                self.kept.push(row);
                Value::kept(self.number, place)
            }
        };
        let packed = Packed::new(number, value, row.line);
        self.packed.push(number.part(), packed);
        Ok(())
    }
}
