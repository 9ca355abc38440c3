//! Reads a partner's file by a profile, in two passes: the first looks at every byte and says whether
//! the file is whole and right, the second gives its lines. No line counts before the first has passed.

use super::profile::Profile;
use super::row::{Row, Totals};
use crate::domain::money::Currency;
use crate::domain::progress::Progress;
use crate::domain::time::BusinessDate;
use chrono_tz::Tz;
use std::io::{Read, Seek};

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The day that it is for; a line or a head that names another refuses it.
    pub business_date: BusinessDate,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// The center's zone, for files whose profile names none.
    pub zone: Tz,
    /// The text of the file beside it, where the profile says that its digest stands there.
    pub digest: Option<&'a str>,
    /// How much is read of a file that never ends.
    pub limits: Limits,
}

/// How much is read before a file is refused. Memory does not depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most that may come out of a packed file, in bytes.
    pub unpacked_bytes_max: u64,
    /// The most that may come out, as a multiple of what is packed; the first MiB is free.
    pub ratio_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes_max: 8 << 30,
            ratio_max: 200,
        }
    }
}

/// The longest that a line may be, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1_024;

/// What a whole and right file adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The counts and sums of its rows.
    pub totals: Totals,
    /// The SHA-256 of the file as it came: two files with one digest are one file.
    pub sha256: [u8; 32],
    /// How long it is, as it came.
    pub bytes: u64,
}

/// Why a file is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Refusal {
    /// The line, from 1; 0 where no line of the file is to blame, but its packing or its digest.
    pub line: u64,
    /// What is wrong there.
    pub reason: String,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file is whole and right.
    Checked(Checked),
    /// It is not; none of its lines counts.
    Refused(Refusal),
}

/// A line of a file that has passed its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it stands, from 1.
    pub line: u64,
    /// What it says.
    pub row: Row<'a>,
}

/// Why lines cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The place from which it is read failed.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// It is not the file that was checked.
    #[error("the file has changed since it was checked")]
    Changed,
}

/// Looks at a whole file. Progress is told in lines.
///
/// # Errors
/// When the place from which it is read fails; what is wrong with the file itself is a verdict.
pub fn check<F: Read + Seek>(
    _profile: &Profile,
    _expect: &Expect<'_>,
    _file: F,
    _progress: &dyn Progress,
) -> Result<Verdict, std::io::Error> {
    Err(std::io::Error::other("files are not read yet"))
}

/// The lines of a file, one after the other, in constant memory.
#[derive(Debug)]
pub struct Lines<'p, F> {
    _profile: &'p Profile,
    _file: F,
}

impl<'p, F: Read + Seek> Lines<'p, F> {
    /// Begins to read the lines of a file that [`check`] found whole and right.
    ///
    /// # Errors
    /// When the place from which it is read fails, or the file is another one now.
    pub fn open(
        _profile: &'p Profile,
        _expect: &Expect<'_>,
        _checked: &Checked,
        _file: F,
    ) -> Result<Self, ReadError> {
        Err(ReadError::Io(std::io::Error::other("not read yet")))
    }

    /// The next line; none at the end. A file may name a flow twice.
    ///
    /// # Errors
    /// When the place from which it is read fails, or the file is another one now: then no line that
    /// was read counts.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        Err(ReadError::Io(std::io::Error::other("not read yet")))
    }
}
