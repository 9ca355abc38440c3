//! A drop folder: a partner, or a program that serves it, puts its files there, by SFTP or otherwise.
//!
//! What is still being written is left alone: a name that ends in `.part`, `.tmp` or `.filepart`, or a file
//! whose size or time differs between two looks. A writer that stands still for longer than that is caught by
//! the count, the sum and the end of the file; then the file is refused, and the whole one becomes its next
//! version. Only plain files are taken, no links: a link could lead to a file that is nobody's business.

use super::scratch::Filling;
use super::{Beside, Brought, FetchError, Fetched, PartnerSettings, PartnerSource, dated};
use crate::domain::time::BusinessDate;
use async_trait::async_trait;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How much is read at once.
const PIECE_BYTES: usize = 256 * 1_024;

/// A folder with files of one partner.
pub(super) struct DropFolder {
    folder: PathBuf,
    file_name: String,
    digest_suffix: Option<String>,
    quiet: Duration,
    bytes_max: u64,
}

/// What a look shows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    mark: String,
}

impl DropFolder {
    pub fn new(folder: &Path, settings: &PartnerSettings) -> Self {
        Self {
            folder: folder.to_owned(),
            file_name: settings.file_name.clone().unwrap_or_default(),
            digest_suffix: settings.digest_suffix.clone(),
            quiet: Duration::from_millis(settings.quiet_ms),
            bytes_max: settings.bytes_max,
        }
    }

    /// The file of a date, where there is one that nobody seems to write.
    fn look(&self, date: BusinessDate) -> Result<Option<Look>, FetchError> {
        let path = self.folder.join(dated(&self.file_name, date));
        match std::fs::symlink_metadata(&path) {
            Ok(data) if data.is_file() => {
                let mut mark = mark_of(&data);
                // Who corrects only the digest has sent something else all the same.
                let beside = self.digest_path(&path).map(std::fs::metadata);
                if let Some(Ok(beside)) = beside {
                    mark = format!("{mark} {}", mark_of(&beside));
                }
                Ok(Some(Look { path, mark }))
            }
            Ok(_) => {
                let what = format!("{} is no plain file", path.display());
                Err(FetchError::Source(what))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let what = format!("{} cannot be looked at: {error}", path.display());
                Err(FetchError::Source(what))
            }
        }
    }

    fn copy(&self, look: &Look, date: BusinessDate) -> Result<Fetched, FetchError> {
        let gone = |error: std::io::Error| {
            FetchError::Source(format!("{} cannot be read: {error}", look.path.display()))
        };
        let beside = match self.digest_beside(&look.path)? {
            Digest::None => None,
            Digest::Is(beside) => Some(beside),
            Digest::NotYet => return Ok(Fetched::NotYet),
        };
        let mut from = File::open(&look.path).map_err(gone)?;
        let mut filling = Filling::begin(self.bytes_max)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = from.read(&mut piece).map_err(gone)?;
            if read == 0 {
                break;
            }
            filling.add(&piece[..read])?;
        }
        let filled = filling.end()?;
        // Who wrote meanwhile is not done: what was copied is a part.
        if self.look(date)?.as_ref() != Some(look) {
            return Ok(Fetched::NotYet);
        }
        Ok(Fetched::File(Brought {
            name: dated(&self.file_name, date),
            file: filled.file,
            sha256: filled.sha256,
            bytes: filled.bytes,
            mark: Some(look.mark.clone()),
            beside,
        }))
    }

    /// Where the digest of a file lies, if there has to be one.
    fn digest_path(&self, path: &Path) -> Option<PathBuf> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(self.digest_suffix.as_ref()?);
        Some(beside.into())
    }

    fn digest_beside(&self, path: &Path) -> Result<Digest, FetchError> {
        let Some(beside) = self.digest_path(path) else {
            return Ok(Digest::None);
        };
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let mut bytes = Vec::new();
        let read = File::open(&beside).and_then(|file| file.take(4_096).read_to_end(&mut bytes));
        match read {
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(Digest::Is(Beside::read(name, &text)))
            }
            // The digest is written after the file.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Digest::NotYet),
            Err(error) => Err(FetchError::Source(format!(
                "the digest beside it cannot be read: {error}"
            ))),
        }
    }
}

enum Digest {
    None,
    Is(Beside),
    NotYet,
}

/// Size and time of the last write, in one word.
fn mark_of(data: &Metadata) -> String {
    let written = data.modified().ok();
    let since = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let micros = since.map_or(0, |since| since.as_micros());
    format!("{}-{micros}", data.len())
}

#[async_trait]
impl PartnerSource for DropFolder {
    async fn fetch(&self, date: BusinessDate, known: &[&str]) -> Result<Fetched, FetchError> {
        let Some(first) = self.look(date)? else {
            return Ok(Fetched::NotYet);
        };
        if known.contains(&first.mark.as_str()) {
            return Ok(Fetched::Unchanged(Some(first.mark)));
        }
        tokio::time::sleep(self.quiet).await;
        if self.look(date)?.as_ref() != Some(&first) {
            return Ok(Fetched::NotYet);
        }
        tokio::task::block_in_place(|| self.copy(&first, date))
    }
}
