//! The ledger's file: opened once, re-read at the start, then only appended to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::hours::Hours;
use super::part::Part;
use super::{BankName, Called, Entry, Event, Fact, LedgerError, line};

/// Far more than this program writes in one line; it keeps a wrong file from filling the memory.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The open end of the ledger.
pub(in crate::sim) struct Ledger {
    path: PathBuf,
    file: File,
    next_seq: u64,
    buffer: Vec<u8>,
    hours: Hours,
}

impl Ledger {
    /// Opens or creates the ledger and tells `each` every fact that is already in it.
    ///
    /// A torn end is cut away with a warning: its answer was never sent, so nobody was told.
    pub fn open(path: &Path, mut each: impl FnMut(BankName, Fact)) -> Result<Self, LedgerError> {
        let io_error = |source| LedgerError::Io {
            path: path.into(),
            source,
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let mut reader = Reader::open(path)?;
        let mut pairs = Pairs::default();
        let mut whole_bytes = 0;
        let mut whole_seq = 0;
        let mut hours = Hours::default();
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => {
                    let (seq, at, bank) = (entry.seq, entry.at, entry.bank);
                    let fact = pairs
                        .take(entry)
                        .map_err(|reason| reader.bad_line(reason))?;
                    if let (Some(fact), Some(bank)) = (fact, bank) {
                        each(bank, fact);
                    }
                    if pairs.whole() {
                        hours.add(at, reader.offset - whole_bytes);
                        (whole_bytes, whole_seq) = (reader.offset, seq);
                    }
                }
                Ok(None) | Err(LedgerError::Torn { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let length = file.metadata().map_err(io_error)?.len();
        if length > whole_bytes {
            let torn = length - whole_bytes;
            eprintln!("ledger {}: torn end, {torn} bytes cut away", path.display());
            file.set_len(whole_bytes).map_err(io_error)?;
        }
        Ok(Self {
            path: path.into(),
            file,
            next_seq: whole_seq + 1,
            buffer: Vec::new(),
            hours,
        })
    }

    /// Writes the lines of one request with one system call.
    ///
    /// One call, so that a kill between two lines cannot happen; not synced, see the module's head.
    pub fn append(
        &mut self,
        at: DateTime<Utc>,
        bank: Option<BankName>,
        fact: Option<&Fact>,
        call: Option<&Called<'_>>,
    ) -> Result<(), LedgerError> {
        if fact.is_none() && call.is_none() {
            return Ok(());
        }
        self.buffer.clear();
        let written = line::write_lines(&mut self.buffer, self.next_seq, at, bank, (fact, call))
            .map_err(io::Error::from)
            .and_then(|count| self.file.write_all(&self.buffer).map(|()| count));
        match written {
            Ok(count) => {
                self.next_seq += count;
                self.hours.add(at, self.buffer.len() as u64);
                Ok(())
            }
            Err(source) => Err(LedgerError::Io {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

impl Ledger {
    /// Where the lines of these times are; some lines of other times are there as well.
    pub fn part(&self, times: &Range<DateTime<Utc>>) -> Part {
        Part {
            path: self.path.clone(),
            places: self.hours.touching(times),
        }
    }
}

/// Joins the two lines of one movement to the one fact that they are.
#[derive(Default)]
struct Pairs {
    first: Option<Entry>,
}

impl Pairs {
    fn whole(&self) -> bool {
        self.first.is_none()
    }

    fn take(&mut self, entry: Entry) -> Result<Option<Fact>, String> {
        let first = self.first.take();
        let same_bank = first.as_ref().is_none_or(|first| first.bank == entry.bank);
        Ok(match (first.map(|first| first.event), entry.event) {
            (None, event @ (Event::Debit(_) | Event::Reversal(_))) => {
                self.first = Some(Entry { event, ..entry });
                None
            }
            (Some(Event::Debit(debit)), Event::Credit(credit)) if same_bank && debit == credit => {
                Some(Fact::Paid(debit))
            }
            (Some(Event::Reversal(one)), Event::CreditBack(two)) if same_bank && one == two => {
                Some(Fact::Undone(one))
            }
            (None, Event::Tombstone(undo)) => Some(Fact::Tombstoned(undo)),
            (None, Event::Refusal { movement, code }) => Some(Fact::Refused(movement, code)),
            (
                None,
                Event::Held {
                    movement,
                    effect_at,
                },
            ) => Some(Fact::Held(movement, effect_at)),
            (None, Event::Call(_)) => None,
            _ => {
                return Err("a DEBIT goes with its CREDIT, a REVERSAL with its CREDIT_BACK".into());
            }
        })
    }
}

/// Reads a ledger line by line, strictly.
pub(in crate::sim) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    buffer: Vec<u8>,
    line_no: u64,
    /// Bytes up to the end of the last whole line.
    offset: u64,
}

impl Reader {
    /// From the first line on.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = File::open(path).map_err(|source| LedgerError::Io {
            path: path.into(),
            source,
        })?;
        let input = BufReader::with_capacity(1 << 20, file);
        Ok(Self {
            path: path.into(),
            input,
            buffer: Vec::new(),
            line_no: 0,
            offset: 0,
        })
    }

    /// The next line; `None` at the end of the last whole one.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LedgerError> {
        self.buffer.clear();
        let length = (&mut self.input)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| LedgerError::Io {
                path: self.path.clone(),
                source,
            })?;
        if length == 0 {
            return Ok(None);
        }
        self.line_no += 1;
        if self.buffer.pop() != Some(b'\n') {
            if length as u64 == LINE_BYTES_MAX {
                return Err(self.bad_line(format!("longer than {LINE_BYTES_MAX} bytes")));
            }
            return Err(LedgerError::Torn {
                path: self.path.clone(),
                line: self.line_no,
            });
        }
        let entry = line::parse(&self.buffer).map_err(|reason| self.bad_line(reason))?;
        if entry.seq != self.line_no {
            let reason = format!("seq is {}, but {} comes next", entry.seq, self.line_no);
            return Err(self.bad_line(reason));
        }
        self.offset += length as u64;
        Ok(Some(entry))
    }

    /// How many bytes the whole lines that were read take up.
    pub fn bytes_read(&self) -> u64 {
        self.offset
    }

    fn bad_line(&self, reason: String) -> LedgerError {
        LedgerError::Line {
            path: self.path.clone(),
            line: self.line_no,
            reason,
        }
    }
}
