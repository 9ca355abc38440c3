//! The bytes of a file as lines, each where it lies in one buffer: nothing is copied but what a block
//! begins and the next one ends.
//!
//! In all encodings that there are, the byte of a line feed is never part of another character; so lines
//! may be told before they are decoded, and only they.

use super::profile::LineEnd;
use super::reader::LINE_BYTES_MAX;
use super::stop::Stop;
use super::unpack::Unpacked;
use memchr::memchr;
use sha2::{Digest, Sha256};
use std::io::{Read, Seek};
use std::ops::Range;

/// How much is read at once; a line and what follows it fit in.
const BUFFER_BYTES: usize = 4 * LINE_BYTES_MAX;

/// The lines of a file.
#[derive(Debug)]
pub(super) struct Blocks<F> {
    from: Unpacked<F>,
    buffer: Vec<u8>,
    /// What is not a line yet lies from here...
    start: usize,
    /// ...to here.
    end: usize,
    is_at_end: bool,
    /// How many lines were given out.
    lines: u64,
    /// Takes in what goes by, for whoever wants to know.
    hash: Option<Sha256>,
    /// What lies before this was taken in.
    hashed: usize,
}

/// Where a line lies in the buffer.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    /// Its bytes, without its end.
    pub bytes: Range<usize>,
    /// Whether it has its end.
    pub is_ended: bool,
}

impl<F: Read + Seek> Blocks<F> {
    /// The lines of what comes out of a packing, hashed on the way or not.
    pub fn new(from: Unpacked<F>, hash: Option<Sha256>) -> Self {
        Self {
            from,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            is_at_end: false,
            lines: 0,
            hash,
            hashed: 0,
        }
    }

    /// How many lines were given out: the number of the last.
    pub fn line(&self) -> u64 {
        self.lines
    }

    /// The buffer in which lines lie.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether the file begins with these bytes; they are then no part of its first line. Only before
    /// the first line.
    pub fn skip(&mut self, mark: &[u8]) -> Result<bool, Stop> {
        while self.end < mark.len() && !self.is_at_end {
            self.fill()?;
        }
        let is_there = self.buffer[..self.end].starts_with(mark);
        if is_there {
            self.start += mark.len();
        }
        Ok(is_there)
    }

    /// The next line; none at the end of the file.
    pub fn next(&mut self, line_end: LineEnd) -> Result<Option<Raw>, Stop> {
        let mut looked_at = 0;
        let length = loop {
            let rest = &self.buffer[self.start..self.end];
            if let Some(found) = memchr(b'\n', &rest[looked_at..]) {
                break looked_at + found;
            }
            looked_at = rest.len();
            if looked_at > LINE_BYTES_MAX {
                break looked_at;
            }
            if self.is_at_end {
                return self.last(line_end);
            }
            self.fill()?;
        };
        self.lines += 1;
        if length > LINE_BYTES_MAX {
            let reason = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(Stop::at(self.lines, reason));
        }
        let line = self.start..self.start + length;
        self.start += length + 1;
        let is_ended = true;
        let bytes = self.without_return(line, line_end)?;
        Ok(Some(Raw { bytes, is_ended }))
    }

    /// What stands behind the last line feed, if anything does.
    fn last(&mut self, line_end: LineEnd) -> Result<Option<Raw>, Stop> {
        let bytes = self.start..self.end;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.start = self.end;
        self.lines += 1;
        // Half of a line end is none.
        let is_half = line_end == LineEnd::CrLf && self.buffer[bytes.end - 1] == b'\r';
        let bytes = bytes.start..bytes.end - usize::from(is_half);
        let is_ended = false;
        Ok(Some(Raw { bytes, is_ended }))
    }

    fn without_return(&self, line: Range<usize>, line_end: LineEnd) -> Result<Range<usize>, Stop> {
        let ends_in_return = self.buffer[line.clone()].last() == Some(&b'\r');
        match (line_end, ends_in_return) {
            (LineEnd::Lf, false) => Ok(line),
            (LineEnd::CrLf, true) => Ok(line.start..line.end - 1),
            (LineEnd::Lf, true) => {
                let reason = "the line ends with CR LF, and the profile says LF";
                Err(Stop::at(self.lines, reason))
            }
            (LineEnd::CrLf, false) => {
                let reason = "the line ends with LF alone, and the profile says CR LF";
                Err(Stop::at(self.lines, reason))
            }
        }
    }

    /// Reads on behind what is there.
    fn fill(&mut self) -> Result<(), Stop> {
        self.take_in(self.start);
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.hashed -= self.start;
        self.start = 0;
        let read = self.from.read(&mut self.buffer[self.end..])?;
        self.end += read;
        self.is_at_end = read == 0;
        Ok(())
    }

    /// Takes everything into the hash that lies before a place.
    fn take_in(&mut self, before: usize) {
        if let Some(hash) = &mut self.hash {
            hash.update(&self.buffer[self.hashed..before]);
        }
        self.hashed = before;
    }

    /// The digest of everything before a line that was given out last; none where nobody wanted one.
    pub fn digest_before(&mut self, line: &Raw) -> Option<[u8; 32]> {
        self.take_in(line.bytes.start);
        self.hash.clone().map(|hash| hash.finalize().into())
    }

    /// The digest of the whole file, when it was read to its end.
    pub fn digest(&mut self) -> Option<[u8; 32]> {
        self.take_in(self.end);
        self.hash.clone().map(|hash| hash.finalize().into())
    }
}
