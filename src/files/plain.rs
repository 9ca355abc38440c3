//! The fast way through plain files: delimited UTF-8 of visible ASCII, with nothing packed, quoted, guarded
//! or wrapped in head and trailer. It reads once, in pieces, on several threads.
//!
//! It knows no reasons: whatever it meets that is not plain, be it wrong or only unusual, makes it give the
//! whole file up, and the general reader, which is the judge of what a file says, begins at the top. So there is one
//! set of rules for what is wrong, and one set of sentences about it; a test reads the same files both
//! ways. Rows that were handed out before it gave up do not count.
//!
//! How one could break this: by accepting something that the general reader would refuse or read in
//! another way. When in doubt, give up.

use super::moment::TimeForm;
use super::plain_source::{Next, Source};
use super::plain_times::Times;
use super::profile::{
    Bom, Charset, DigestFile, Holds, Layout, LineEnd, Names, Packing, Profile, Reversals,
    TimeFormat, Unit, Words,
};
use super::reader::{Expect, LINE_BYTES_MAX, Line};
use super::row::{Field, LineStatus, Row};
use crate::domain::flow::FlowKind;
use crate::domain::ids::NUMBER_DIGITS;
use crate::domain::progress::Progress;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// So many bytes are read and parsed at a time.
const PIECE_BYTES: usize = 1 << 20;
/// The longest number, code or reference of a plain file.
const TEXT_BYTES_MAX: usize = 64;

/// What became of a plain reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// The file is plain and right; so many rows were handed out.
    Read(u64),
    /// It is not, or it is wrong: what was handed out does not count, and the general reader has to
    /// look.
    GaveUp,
}

/// Why a plain reading ends before the file does.
enum End<E> {
    GiveUp,
    Io(std::io::Error),
    Refused(E),
}

/// Why a plain reading has no result at all.
#[derive(Debug, thiserror::Error)]
pub enum PlainError<E> {
    /// The place from which it is read failed.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// Whoever takes the rows does not take one.
    #[error(transparent)]
    Taker(E),
}

/// Reads a plain file, on as many threads as there are takers. Each taker is shown the rows of some
/// pieces of the file, in the sequence in which they stand there; together they are shown every row once.
/// Progress is told in bytes.
///
/// # Errors
/// The file cannot be read, or a taker does not take a row.
pub fn read_plain<T: Send, E: Send>(
    profile: &Profile,
    expect: &Expect<'_>,
    file: impl Read + Send,
    takers: &mut [T],
    take: impl Fn(&mut T, Line<'_>) -> Result<(), E> + Sync,
    progress: &dyn Progress,
) -> Result<Plain, PlainError<E>> {
    let Some(form) = Form::of(profile, expect) else {
        return Ok(Plain::GaveUp);
    };
    let source = Mutex::new(Source::new(file, profile));
    form.read_all(&source, takers, take, progress)
}

/// What a column of a plain file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    FlowNo,
    Amount,
    Kind,
    Status,
    StartedAt,
    ConcludedAt,
    OrderNo,
    PaymentFlowNo,
    UpstreamRef,
    RequestNo,
    Merchant,
    Biller,
    Item,
    BillNo,
    Currency,
    Ignored,
}

/// How a plain file is read.
struct Form<'p> {
    delimiter: u8,
    cells: Vec<Cell>,
    kinds: &'p Words<FlowKind>,
    states: &'p Words<LineStatus>,
    reversals: Reversals,
    times: TimeForm,
    piece_bytes: usize,
    blank: Row<'static>,
}

impl<'p> Form<'p> {
    fn of(profile: &'p Profile, expect: &Expect<'_>) -> Option<Self> {
        let Layout::Delimited { delimiter, .. } = profile.layout else {
            return None;
        };
        let is_plain = profile.charset == Charset::Utf8
            && profile.bom != Bom::Always
            && profile.line_end == LineEnd::Lf
            && profile.guard.is_none()
            && profile.names == Names::Line
            && profile.unit == Unit::Minor
            && profile.times == TimeFormat::Rfc3339
            && profile.head.is_empty()
            && profile.trailer.is_empty()
            && profile.packing == Packing::None
            && profile.digest == DigestFile::None
            && delimiter.is_ascii_graphic();
        let cells: Option<Vec<Cell>> = profile.columns.iter().map(cell_of).collect();
        Some(Self {
            delimiter,
            cells: cells.filter(|_| is_plain)?,
            kinds: &profile.kinds,
            states: &profile.states,
            reversals: profile.reversals,
            times: TimeForm::new(
                profile.times,
                profile.zone.unwrap_or(expect.zone),
                expect.business_date,
            ),
            piece_bytes: PIECE_BYTES,
            blank: Row::payment("", 0, expect.currency),
        })
    }

    /// Reads everything, a thread for each taker.
    fn read_all<T: Send, E: Send>(
        &self,
        source: &Mutex<Source<impl Read + Send>>,
        takers: &mut [T],
        take: impl Fn(&mut T, Line<'_>) -> Result<(), E> + Sync,
        progress: &dyn Progress,
    ) -> Result<Plain, PlainError<E>> {
        let has_ended = AtomicBool::new(false);
        let work = |taker: &mut T| {
            let read = self.read_pieces(source, &has_ended, progress, |line| take(taker, line));
            if read.is_err() {
                has_ended.store(true, Ordering::Relaxed);
            }
            read
        };
        let (work, mut sums) = (&work, Vec::new());
        std::thread::scope(|scope| {
            let workers: Vec<_> = takers
                .iter_mut()
                .map(|taker| scope.spawn(move || work(taker)))
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(read) => sums.push(read),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let (mut rows, mut minor, mut gave_up) = (0, 0, false);
        for sum in sums {
            match sum {
                Ok((more, minor_more)) => (rows, minor) = (rows + more, minor + minor_more),
                Err(End::GiveUp) => gave_up = true,
                Err(End::Io(error)) => return Err(error.into()),
                Err(End::Refused(error)) => return Err(PlainError::Taker(error)),
            }
        }
        // A sum that leaves 64 bits is wrong, and the general reader knows in which line.
        gave_up |= i64::try_from(minor).is_err();
        Ok(if gave_up {
            Plain::GaveUp
        } else {
            Plain::Read(rows)
        })
    }

    /// Reads pieces until there are none. Gives the rows and the sum of their amounts.
    fn read_pieces<E>(
        &self,
        source: &Mutex<Source<impl Read>>,
        has_ended: &AtomicBool,
        progress: &dyn Progress,
        mut take: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(u64, i128), End<E>> {
        let mut piece = vec![0; self.piece_bytes];
        let mut times = Times::new(self.times.clone());
        let (mut rows, mut minor) = (0, 0);
        while !has_ended.load(Ordering::Relaxed) {
            let next = {
                let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
                let next = source.next(&mut piece).map_err(End::Io)?;
                progress.at(source.bytes, None);
                next
            };
            let (bytes, mut line) = match next {
                Next::Lines { bytes, line } => (&piece[..bytes], line),
                Next::End => break,
                Next::Odd => return Err(End::GiveUp),
            };
            let text = plain_text(bytes).ok_or(End::GiveUp)?;
            let mut begins = 0;
            while begins < text.len() {
                let row = self.row(text, &mut begins, &mut times);
                let row = row.ok_or(End::GiveUp)?;
                rows += 1;
                minor += i128::from(row.amount_minor);
                take(Line { line, row }).map_err(End::Refused)?;
                line += 1;
            }
        }
        Ok((rows, minor))
    }

    /// The value of the next cell, which has to end with this separator. Most cells show their end while
    /// they are looked at: searching for it costs more than anything else.
    #[inline(always)]
    fn value<'t>(
        &self,
        rest: &'t str,
        cell: Cell,
        separator: u8,
        times: &Times,
    ) -> Option<&'t str> {
        let bytes = rest.as_bytes();
        let end = match cell {
            Cell::FlowNo => bytes
                .get(..NUMBER_DIGITS)
                .filter(|number| are_digits(number))
                .map(|number| number.len()),
            Cell::Amount => bytes.iter().position(|byte| !byte.is_ascii_digit()),
            Cell::Status => end_of_word(bytes, self.states.all(), separator),
            Cell::Kind => end_of_word(bytes, self.kinds.all(), separator),
            Cell::StartedAt | Cell::ConcludedAt => bytes
                .get(..times.latest.len())
                .filter(|time| *time == times.latest)
                .map(|time| time.len()),
            _ => None,
        };
        if let Some(end) = end.filter(|end| ends_at(bytes, *end, separator)) {
            return rest.get(..end);
        }
        let end = memchr::memchr2(self.delimiter, b'\n', bytes)?;
        rest.get(..end).filter(|_| ends_at(bytes, end, separator))
    }

    /// One row; none where something is not plain. `begins` is where it begins, and then where the next
    /// one does.
    #[inline(always)]
    fn row<'t>(&self, text: &'t str, begins: &mut usize, times: &mut Times) -> Option<Row<'t>> {
        let (mut row, line_begins) = (self.blank, *begins);
        let mut kind = None;
        for (place, cell) in self.cells.iter().enumerate() {
            let is_last = place + 1 == self.cells.len();
            let separator = if is_last { b'\n' } else { self.delimiter };
            let value = self.value(text.get(*begins..)?, *cell, separator, times)?;
            *begins += value.len() + 1;
            match cell {
                Cell::FlowNo => row.flow_no = identifier(value).filter(|text| !text.is_empty())?,
                Cell::Amount => row.amount_minor = amount(value)?,
                Cell::Status => row.status = self.states.meaning(value)?,
                Cell::Kind => kind = Some(self.kinds.meaning(value)?),
                Cell::StartedAt => row.started_at = times.read(value)?,
                Cell::ConcludedAt => row.concluded_at = times.read(value)?,
                Cell::UpstreamRef => row.upstream_ref = identifier(value)?,
                Cell::OrderNo => row.order_no = identifier(value)?,
                Cell::PaymentFlowNo => row.payment_flow_no = identifier(value)?,
                Cell::RequestNo => row.request_no = identifier(value)?,
                Cell::Merchant => row.merchant = identifier(value)?,
                Cell::Biller => row.biller = identifier(value)?,
                Cell::Item => row.item = identifier(value)?,
                Cell::BillNo => row.bill_no = identifier(value)?,
                Cell::Currency if value != row.currency.code() => return None,
                Cell::Currency | Cell::Ignored => {}
            }
        }
        if *begins - line_begins > LINE_BYTES_MAX {
            return None;
        }
        let (is_negative, minor) = (row.amount_minor < 0, row.amount_minor.checked_abs()?);
        let by_sign = match (self.reversals, is_negative) {
            (Reversals::Negative, true) => Some(FlowKind::Reversal),
            (Reversals::Negative, false) => Some(FlowKind::Payment),
            (Reversals::Word, false) => None,
            (Reversals::Word, true) => return None,
        };
        row.amount_minor = minor;
        row.kind = match (by_sign, kind) {
            (Some(by_sign), Some(by_word)) if by_sign != by_word => return None,
            (by_sign, by_word) => by_word.or(by_sign)?,
        };
        Some(row)
    }
}

/// Whether a text begins with so many bytes and then a separator.
fn ends_at(text: &[u8], end: usize, separator: u8) -> bool {
    text.get(end) == Some(&separator)
}

/// Where the cell ends, if it is one of the words.
fn end_of_word<T>(bytes: &[u8], words: &[(String, T)], separator: u8) -> Option<usize> {
    let is_there = |word: &&(String, T)| {
        bytes.starts_with(word.0.as_bytes()) && ends_at(bytes, word.0.len(), separator)
    };
    words.iter().find(is_there).map(|word| word.0.len())
}

/// Whether these are 24 digits.
fn are_digits(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    // Without a branch inside, so that they are looked at together.
    text.len() == NUMBER_DIGITS && text.iter().fold(true, |all, byte| all & is_digit(byte))
}

fn cell_of(column: &super::profile::Column) -> Option<Cell> {
    if column.payment != column.reversal {
        return None;
    }
    let Holds::Field(field) = &column.payment else {
        return Some(Cell::Ignored);
    };
    Some(match field {
        Field::FlowNo => Cell::FlowNo,
        Field::Amount => Cell::Amount,
        Field::Kind => Cell::Kind,
        Field::Status => Cell::Status,
        Field::StartedAt => Cell::StartedAt,
        Field::ConcludedAt => Cell::ConcludedAt,
        Field::OrderNo => Cell::OrderNo,
        Field::PaymentFlowNo => Cell::PaymentFlowNo,
        Field::UpstreamRef => Cell::UpstreamRef,
        Field::RequestNo => Cell::RequestNo,
        Field::Merchant => Cell::Merchant,
        Field::Biller => Cell::Biller,
        Field::Item => Cell::Item,
        Field::BillNo => Cell::BillNo,
        Field::Currency => Cell::Currency,
        Field::Note | Field::Fee | Field::Net | Field::BusinessDate => return None,
    })
}

/// The bytes as a text, if they are visible ASCII and line ends, without quotation marks and
/// apostrophes, which cells may have a use for.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    // Without a branch inside, so that sixteen bytes and more are looked at together.
    let odd = bytes.iter().fold(0_u8, |odd, byte| {
        let is_visible = (0x21..=0x7E).contains(byte) & (*byte != b'"') & (*byte != b'\'');
        odd | u8::from(!(is_visible | (*byte == b'\n')))
    });
    match odd {
        0 => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// A number, code or reference that cannot be taken for a formula.
fn identifier(value: &str) -> Option<&str> {
    let is_formula = matches!(value.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@'));
    (value.len() <= TEXT_BYTES_MAX && !is_formula).then_some(value)
}

/// An amount in minor units.
fn amount(value: &str) -> Option<i64> {
    let (is_negative, digits) = match value.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let mut minor = 0_i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        minor = minor * 10 + i64::from(digit);
    }
    // What a negative nothing is, the general reader has to say.
    match (is_negative, minor) {
        (true, 0) => None,
        (true, minor) => Some(-minor),
        (false, minor) => Some(minor),
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
