//! Why reading stops: the place failed, or the file is wrong. The two are never mixed up, though the
//! libraries of packings report both by one kind of error.

use super::reader::Refusal;
use std::io::{self, Read, Seek, SeekFrom};

/// Why reading stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// The place from which the file is read failed.
    Io(io::Error),
    /// The file is refused.
    Refused(Refusal),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl Stop {
    /// A refusal with its line.
    pub fn at(line: u64, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Stop::Refused(Refusal { line, reason })
    }

    /// A refusal for which no line is to blame.
    pub fn whole(reason: impl Into<String>) -> Self {
        Self::at(0, reason)
    }
}

/// The place from which a file is read. It keeps its own failures, so that they are not taken for the
/// file's.
#[derive(Debug)]
pub(super) struct Place<F> {
    file: F,
    failure: Option<io::Error>,
}

impl<F> Place<F> {
    pub fn new(file: F) -> Self {
        let failure = None;
        Self { file, failure }
    }

    /// Turns the error of a packing's library into what it is.
    pub fn stop(&mut self, what: &str, error: &dyn std::fmt::Display) -> Stop {
        match self.failure.take() {
            Some(failure) => Stop::Io(failure),
            None => Stop::whole(format!("{what}: {error}")),
        }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

impl<F: Read> Read for Place<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes);
        self.note(read)
    }
}

impl<F: Seek> Seek for Place<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let sought = self.file.seek(to);
        self.note(sought)
    }
}
