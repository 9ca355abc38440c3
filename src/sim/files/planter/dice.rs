//! Dice with a seed: the same seed, the same throws.

use crate::sim::files::row::Row;
use crate::sim::stir;

pub(super) struct Dice(u64);

/// The line with the bill of somebody else: another last digit.
pub(super) fn other_bill(row: &Row) -> Row {
    let mut bill_no = row.bill_no.clone();
    match bill_no.pop().map(|last| (last, last.to_digit(10))) {
        Some((_, Some(digit))) => bill_no.push_str(&((digit + 1) % 10).to_string()),
        Some((last, None)) => bill_no.extend([last, '1']),
        None => bill_no.push('1'),
    }
    Row {
        bill_no,
        ..row.clone()
    }
}

impl Dice {
    /// Those of this seed.
    pub fn new(seed: u64) -> Self {
        Self(stir(seed))
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        stir(self.0)
    }

    /// A place in a list of that length.
    pub fn below(&mut self, length: usize) -> Option<usize> {
        let place = self.roll().checked_rem(length as u64)?;
        usize::try_from(place).ok()
    }

    /// The line with another amount, never nothing.
    pub fn other_amount(&mut self, row: &Row) -> Row {
        let by = 1 + (self.roll() % 999) as i64;
        let less = self.roll().is_multiple_of(2) && row.amount_minor > by;
        let amount_minor = if less {
            row.amount_minor - by
        } else {
            row.amount_minor.saturating_add(by)
        };
        Row {
            amount_minor,
            ..row.clone()
        }
    }
}
