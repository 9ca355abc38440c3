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
use super::profile::{
    Bom, Charset, DigestFile, Holds, Layout, LineEnd, Names, Packing, Profile, Reversals,
    TimeFormat, Unit, Words,
};
use super::reader::{Expect, LINE_BYTES_MAX, Line};
use super::row::{Field, LineStatus, Row};
use crate::domain::flow::FlowKind;
use crate::domain::progress::Progress;
use crate::domain::time::Instant;
use chrono::{NaiveDate, NaiveTime, TimeDelta, Timelike};
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
/// Progress is told in bytes, out of `bytes`.
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
            let mut ends = memchr::memchr2_iter(self.delimiter, b'\n', bytes);
            let mut begins = 0;
            while begins < text.len() {
                let row = self.row(text, &mut begins, &mut ends, &mut times);
                let row = row.ok_or(End::GiveUp)?;
                rows += 1;
                minor += i128::from(row.amount_minor);
                take(Line { line, row }).map_err(End::Refused)?;
                line += 1;
            }
        }
        Ok((rows, minor))
    }

    /// One row; none where something is not plain. `begins` is where it begins, and then where the next
    /// one does.
    #[inline(always)]
    fn row<'t>(
        &self,
        text: &'t str,
        begins: &mut usize,
        ends: &mut memchr::Memchr2<'_>,
        times: &mut Times,
    ) -> Option<Row<'t>> {
        let (mut row, line_begins) = (self.blank, *begins);
        let mut kind = None;
        for (place, cell) in self.cells.iter().enumerate() {
            let end = ends.next()?;
            let is_last = place + 1 == self.cells.len();
            if is_last != (text.as_bytes()[end] == b'\n') {
                return None;
            }
            let value = &text[*begins..end];
            *begins = end + 1;
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

/// Times of a file: nearly all are of one date and one offset, and many follow each other within one
/// second.
struct Times {
    form: TimeForm,
    latest: [u8; 25],
    latest_at: Instant,
    /// `2026-11-22T` and `+08:00` of the latest time.
    date: [u8; 11],
    offset: [u8; 6],
    /// When that date began: the date in UTC, the one after it, and the second of the former.
    dates: [NaiveDate; 2],
    second: u32,
}

const DAY_S: u32 = 86_400;

impl Times {
    fn new(form: TimeForm) -> Self {
        // No time looks like this, so that the first one is read in full.
        Self {
            form,
            latest: [0; 25],
            latest_at: Instant::UNIX_EPOCH,
            date: [0; 11],
            offset: [0; 6],
            dates: [NaiveDate::MIN; 2],
            second: 0,
        }
    }

    /// Reads a time; an empty cell is no time.
    #[inline]
    fn read(&mut self, value: &str) -> Option<Option<Instant>> {
        if value.is_empty() {
            return Some(None);
        }
        let at = match <&[u8; 25]>::try_from(value.as_bytes()) {
            Ok(bytes) if *bytes == self.latest => self.latest_at,
            Ok(bytes) => {
                let at = self.of_the_same_date(bytes);
                let at = at.or_else(|| self.in_full(value, bytes))?;
                (self.latest, self.latest_at) = (*bytes, at);
                at
            }
            Err(_) => self.form.read(value).ok()?,
        };
        Some(Some(at))
    }

    fn of_the_same_date(&self, value: &[u8; 25]) -> Option<Instant> {
        if value[..11] != self.date || value[19..] != self.offset {
            return None;
        }
        let second = self.second + second_of_day(&value[11..19])?;
        let (date, second) = match second.checked_sub(DAY_S) {
            None => (self.dates[0], second),
            Some(second) => (self.dates[1], second),
        };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?;
        Some(date.and_time(time).and_utc())
    }

    #[cold]
    fn in_full(&mut self, value: &str, bytes: &[u8; 25]) -> Option<Instant> {
        let at = self.form.read(value).ok()?;
        let second = second_of_day(&bytes[11..19])?;
        let begins_at = at - TimeDelta::seconds(i64::from(second));
        self.date.copy_from_slice(&bytes[..11]);
        self.offset.copy_from_slice(&bytes[19..]);
        self.dates = [begins_at.date_naive(), begins_at.date_naive().succ_opt()?];
        self.second = begins_at.num_seconds_from_midnight();
        Some(at)
    }
}

/// `10:00:00` as seconds; none for anything that is no time of a day.
fn second_of_day(value: &[u8]) -> Option<u32> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = value else {
        return None;
    };
    let two = |one: u8, other: u8| {
        let (one, other) = (one.wrapping_sub(b'0'), other.wrapping_sub(b'0'));
        (one <= 9 && other <= 9).then(|| u32::from(one) * 10 + u32::from(other))
    };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    (hour < 24 && minute < 60 && second < 60).then(|| hour * 3_600 + minute * 60 + second)
}

/// A file, handed out in pieces of whole lines.
struct Source<F> {
    file: F,
    /// The line of names, with its end.
    names: Vec<u8>,
    /// What was read of the line that a piece ended in.
    rest: Vec<u8>,
    /// The next line.
    line: u64,
    /// How much was read.
    bytes: u64,
}

/// What a file hands out next.
enum Next {
    /// So many bytes of lines, of which the first is this one.
    Lines { bytes: usize, line: u64 },
    /// Nothing more.
    End,
    /// Something that is not plain: other names, a line that is too long, a last one without its end.
    Odd,
}

impl<F: Read> Source<F> {
    fn new(file: F, profile: &Profile) -> Self {
        let delimiter = match profile.layout {
            Layout::Delimited { delimiter, .. } => delimiter,
            Layout::Fixed => b',',
        };
        let names: Vec<_> = profile.columns.iter().map(|c| c.name.as_bytes()).collect();
        let mut names = names.join(&delimiter);
        names.push(b'\n');
        Self {
            file,
            names,
            rest: Vec::new(),
            line: 1,
            bytes: 0,
        }
    }

    fn next(&mut self, piece: &mut [u8]) -> std::io::Result<Next> {
        if self.line == 1 && !self.takes_names()? {
            return Ok(Next::Odd);
        }
        let mut filled = self.rest.len();
        piece[..filled].copy_from_slice(&self.rest);
        self.rest.clear();
        while filled < piece.len() {
            match self.file.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes += filled as u64;
        let piece = &piece[..filled];
        if piece.is_empty() {
            return Ok(Next::End);
        }
        let Some(last) = memchr::memrchr(b'\n', piece) else {
            return Ok(Next::Odd);
        };
        let (lines, rest) = piece.split_at(last + 1);
        if rest.len() > LINE_BYTES_MAX {
            return Ok(Next::Odd);
        }
        self.rest.extend_from_slice(rest);
        self.bytes -= rest.len() as u64;
        let line = self.line;
        self.line += memchr::memchr_iter(b'\n', lines).count() as u64;
        let bytes = lines.len();
        Ok(Next::Lines { bytes, line })
    }

    /// Reads the line of names, which has to be the one that is expected.
    fn takes_names(&mut self) -> std::io::Result<bool> {
        let mut names = vec![0; self.names.len()];
        match self.file.read_exact(&mut names) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
        self.line = 2;
        self.bytes = names.len() as u64;
        Ok(names == self.names)
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
