//! A file of ours for a while: bytes on their way from a partner to where they are kept.

use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A file that goes away with its owner. Nobody else knows its name.
#[derive(Debug)]
pub struct ScratchFile(PathBuf);

impl ScratchFile {
    /// An empty file in the machine's folder for such things.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn try_new() -> std::io::Result<(Self, File)> {
        let name = format!("payhall-{}.scratch", Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok((Self(path), file))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Fills a scratch file: counts, hashes, and stops where it becomes too long.
pub(super) struct Filling {
    file: File,
    scratch: ScratchFile,
    hash: Sha256,
    bytes: u64,
    bytes_max: u64,
}

/// What was filled.
pub(super) struct Filled {
    pub file: ScratchFile,
    pub sha256: String,
    pub bytes: u64,
}

impl Filling {
    pub fn begin(bytes_max: u64) -> Result<Self, super::FetchError> {
        let (scratch, file) = ScratchFile::try_new().map_err(super::FetchError::Disk)?;
        Ok(Self {
            file,
            scratch,
            hash: Sha256::new(),
            bytes: 0,
            bytes_max,
        })
    }

    pub fn add(&mut self, piece: &[u8]) -> Result<(), super::FetchError> {
        self.bytes = self.bytes.saturating_add(length(piece));
        if self.bytes > self.bytes_max {
            return Err(super::FetchError::TooLong(self.bytes_max));
        }
        self.hash.update(piece);
        self.file.write_all(piece).map_err(super::FetchError::Disk)
    }

    pub fn end(mut self) -> Result<Filled, super::FetchError> {
        self.file.flush().map_err(super::FetchError::Disk)?;
        Ok(Filled {
            file: self.scratch,
            sha256: crate::domain::audit::hex(&self.hash.finalize()),
            bytes: self.bytes,
        })
    }
}

fn length(piece: &[u8]) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}
