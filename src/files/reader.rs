//! Reads a partner's file by a profile, in two passes: the first looks at every byte and says whether
//! the file is whole and right, the second gives its lines. No line counts before the first has passed.

use super::profile::{DigestFile, Packing, Profile};
use super::row::{Row, Totals};
use super::stop::Stop;
use super::template::{Slot, Template};
use super::walk::Walk;
use crate::domain::audit::hex;
use crate::domain::money::Currency;
use crate::domain::progress::Progress;
use crate::domain::time::BusinessDate;
use chrono_tz::Tz;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom};

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The day that it is for; a head or trailer that names another refuses it.
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
            ratio_max: 100,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line, from 1; 0 where no line of the file is to blame, but its packing or its digest.
    pub line: u64,
    /// What is wrong there.
    pub reason: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

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

/// Every so many lines, progress is told.
const LINES_A_WORD: u64 = 8 * 1_024;

/// Looks at a whole file. Progress is told in rows.
///
/// # Errors
/// When the place from which it is read fails; what is wrong with the file itself is a verdict.
pub fn check<F: Read + Seek>(
    profile: &Profile,
    expect: &Expect<'_>,
    file: F,
    progress: &dyn Progress,
) -> Result<Verdict, io::Error> {
    match look(profile, expect, file, progress) {
        Ok(checked) => Ok(Verdict::Checked(checked)),
        Err(Stop::Refused(refusal)) => Ok(Verdict::Refused(refusal)),
        Err(Stop::Io(error)) => Err(error),
    }
}

fn look<F: Read + Seek>(
    profile: &Profile,
    expect: &Expect<'_>,
    mut file: F,
    progress: &dyn Progress,
) -> Result<Checked, Stop> {
    let bytes = file.seek(SeekFrom::End(0))?;
    // A packed file is hashed as it came, before anybody trusts a byte of it.
    let packed = match profile.packing {
        Packing::None => None,
        Packing::Gzip | Packing::Zip => Some(hash_of(&mut file)?),
    };
    let has_digest = |line: &Template| line.slots().any(|slot| slot == Slot::Sha256);
    let is_hashed = packed.is_none() || profile.trailer.iter().any(has_digest);
    let hash = is_hashed.then(Sha256::new);
    let mut walk = Walk::open(profile, expect, (file, bytes), hash)?;
    while walk.next()?.is_some() {
        let rows = walk.rows;
        if rows.is_multiple_of(LINES_A_WORD) {
            progress.at(rows, None);
        }
    }
    progress.at(walk.rows, Some(walk.rows));
    let hashed = walk.blocks.digest();
    let sha256 = packed
        .or(hashed)
        .ok_or_else(|| Stop::whole("the file was not hashed"))?;
    if profile.digest == DigestFile::Beside {
        hold_digest(expect.digest, &sha256)?;
    }
    let totals = walk.totals;
    Ok(Checked {
        totals,
        sha256,
        bytes,
    })
}

/// The SHA-256 of a file as it came.
fn hash_of(file: &mut (impl Read + Seek)) -> io::Result<[u8; 32]> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    io::copy(file, &mut hash)?;
    Ok(hash.finalize().into())
}

/// Compares a digest with the text of the file beside: 64 hexadecimal digits, and behind them, if
/// anything, white space and a name.
fn hold_digest(beside: Option<&str>, sha256: &[u8; 32]) -> Result<(), Stop> {
    let Some(beside) = beside else {
        let reason = "the digest has to come in a file beside it, and did not";
        return Err(Stop::whole(reason));
    };
    let said = beside.split_ascii_whitespace().next().unwrap_or("");
    let found = hex(sha256);
    if said.eq_ignore_ascii_case(&found) {
        return Ok(());
    }
    let said: String = said.chars().take(64).collect();
    let reason = format!("the file beside it says the digest {said:?}, and it is {found:?}");
    Err(Stop::whole(reason))
}

/// The lines of a file, one after the other, in constant memory.
#[derive(Debug)]
pub struct Lines<'p, F> {
    walk: Walk<'p, F>,
    checked: Checked,
}

impl<'p, F: Read + Seek> Lines<'p, F> {
    /// Begins to read the lines of a file that [`check`] found whole and right.
    ///
    /// # Errors
    /// When the place from which it is read fails, or the file is another one now.
    pub fn open(
        profile: &'p Profile,
        expect: &Expect<'p>,
        checked: &Checked,
        mut file: F,
    ) -> Result<Self, ReadError> {
        let bytes = file.seek(SeekFrom::End(0))?;
        if bytes != checked.bytes {
            return Err(ReadError::Changed);
        }
        let walk = Walk::open(profile, expect, (file, bytes), None)?;
        let checked = *checked;
        Ok(Self { walk, checked })
    }

    /// The next line; none at the end. A file may name a flow twice.
    ///
    /// # Errors
    /// When the place from which it is read fails, or the file is another one now: then no line that
    /// was read counts.
    // No iterator: a line borrows from the buffer, which the next one writes over.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        let (rows, totals) = (self.walk.rows, self.walk.totals);
        let line = self.walk.next()?;
        if line.is_none() && (rows, totals) != (self.checked.totals.rows(), self.checked.totals) {
            return Err(ReadError::Changed);
        }
        Ok(line)
    }
}

impl From<Stop> for ReadError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Io(error) => ReadError::Io(error),
            // It passed its check, so it is another file now.
            Stop::Refused(_) => ReadError::Changed,
        }
    }
}
