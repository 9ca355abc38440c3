//! A plain file, handed out in pieces of whole lines to whoever is free.

use super::profile::{Layout, Profile};
use super::reader::LINE_BYTES_MAX;
use std::io::Read;

/// A file, handed out in pieces of whole lines.
pub(super) struct Source<F> {
    file: F,
    /// The line of names, with its end.
    names: Vec<u8>,
    /// What was read of the line that a piece ended in.
    rest: Vec<u8>,
    /// The next line.
    line: u64,
    /// How much was read.
    pub(super) bytes: u64,
}

/// What a file hands out next.
pub(super) enum Next {
    /// So many bytes of lines, of which the first is this one.
    Lines { bytes: usize, line: u64 },
    /// Nothing more.
    End,
    /// Something that is not plain: other names, a line that is too long, a last one without its end.
    Odd,
}

impl<F: Read> Source<F> {
    pub(super) fn new(file: F, profile: &Profile) -> Self {
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

    pub(super) fn next(&mut self, piece: &mut [u8]) -> std::io::Result<Next> {
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
