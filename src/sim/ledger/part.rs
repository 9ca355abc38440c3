//! A part of the ledger, read beside its writer: the places are whole lines, and stay as they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use memchr::memmem;

use super::{Entry, LedgerError, line};

/// Enough of a line to see what kind of event it is: the number and the time come before it.
const HEAD_BYTES: usize = 128;

/// Some places of a ledger.
#[derive(Debug)]
pub(in crate::sim) struct Part {
    pub(super) path: PathBuf,
    pub(super) places: Vec<Range<u64>>,
}

impl Part {
    /// Tells `each` what happened there, in the order of the file. The calls are left out, and of
    /// each movement the second half.
    pub fn read(&self, mut each: impl FnMut(Entry)) -> Result<(), LedgerError> {
        let io_error = |source| LedgerError::Io {
            path: self.path.clone(),
            source,
        };
        if self.places.is_empty() {
            return Ok(());
        }
        let mut file = File::open(&self.path).map_err(io_error)?;
        let mut buffer = Vec::new();
        for place in &self.places {
            file.seek(SeekFrom::Start(place.start)).map_err(io_error)?;
            let bytes = place.end - place.start;
            let mut lines = BufReader::with_capacity(1 << 18, (&mut file).take(bytes));
            loop {
                buffer.clear();
                if lines.read_until(b'\n', &mut buffer).map_err(io_error)? == 0 {
                    break;
                }
                if !is_told(&buffer) {
                    continue;
                }
                let entry = line::parse(&buffer).map_err(|reason| {
                    io_error(io::Error::new(io::ErrorKind::InvalidData, reason))
                })?;
                each(entry);
            }
        }
        Ok(())
    }
}

/// Looked at before a line is decoded, because most lines are calls.
fn is_told(line: &[u8]) -> bool {
    const EVENT: &[u8] = b"\"event\":\"";
    let head = line.get(..HEAD_BYTES).unwrap_or(line);
    let Some(start) = memmem::find(head, EVENT) else {
        return true;
    };
    let name = head.get(start + EVENT.len()..).unwrap_or_default();
    !name.starts_with(b"CALL") && !name.starts_with(b"CREDIT")
}
