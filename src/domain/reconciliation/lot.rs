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

/// So many rows are kept in one piece. Pieces are never copied to grow, as one long list would be.
const PIECE_ROWS: usize = 1_024;

/// The rows of one part, piece by piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    full: Vec<Vec<Packed>>,
    last: Vec<Packed>,
}

impl Pieces {
    fn push(&mut self, row: Packed) {
        if self.last.len() == PIECE_ROWS {
            let next = Vec::with_capacity(PIECE_ROWS);
            self.full.push(std::mem::replace(&mut self.last, next));
        }
        self.last.push(row);
    }

    /// The pieces.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = Vec<Packed>> {
        let all = self.full.into_iter().chain([self.last]);
        all.filter(|piece| !piece.is_empty())
    }
}

/// Rows of one side.
#[derive(Clone, Debug)]
pub struct Lot {
    side: Side,
    pub(super) parts: Vec<Pieces>,
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
            parts: vec![Pieces::default(); PARTS],
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
        self.parts[number.part()].push(Packed::new(number, value, row.line));
        Ok(())
    }
}
