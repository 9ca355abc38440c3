//! What the lines of a file add up to, or what it says that they do.

use super::Sheet;
use crate::sim::files::row::{Kind, Status};

/// Counts and sums. Amounts are wide enough for every file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// All lines.
    pub rows: u64,
    /// All amounts as they stand in the file, where those of reversals are negative.
    pub signed_minor: i128,
    /// All amounts as they stand in the file, where none is negative.
    pub unsigned_minor: i128,
    pub payments: u64,
    pub payment_minor: i128,
    pub reversals: u64,
    pub reversal_minor: i128,
}

impl Sums {
    /// Those of a sheet; wrong by one where that is planted.
    pub fn of(sheet: &Sheet<'_>) -> Self {
        let mut sums = Self::default();
        for row in sheet.rows {
            let amount = i128::from(row.amount_minor);
            let moved = row.status == Status::Succeeded;
            sums.rows += 1;
            sums.unsigned_minor += amount;
            match row.kind {
                Kind::Payment => {
                    sums.signed_minor += amount;
                    sums.payments += u64::from(moved);
                    sums.payment_minor += if moved { amount } else { 0 };
                }
                Kind::Reversal => {
                    sums.signed_minor -= amount;
                    sums.reversals += u64::from(moved);
                    sums.reversal_minor += if moved { amount } else { 0 };
                }
            }
        }
        let more = u64::from(sheet.faults.wrong_count);
        sums.rows += more;
        sums.payments += more;
        let more = i128::from(sheet.faults.wrong_sum);
        sums.signed_minor += more;
        sums.unsigned_minor += more;
        sums.payment_minor += more;
        sums
    }
}
