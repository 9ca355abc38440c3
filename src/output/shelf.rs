//! The folder in which what partners sent, and the results of reconciling, are kept for years: files under
//! paths of ours, each written once.
//!
//! A file appears whole or not at all: it is written under another name in its own folder, brought to the
//! disk, and then linked to its name. What is there is never written over; the same bytes once more are no
//! fault.

use super::{OutputError, at, has_no_links};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the parts of this run of the program.
static PARTS: AtomicU64 = AtomicU64::new(1);

/// How much is compared at once.
const PIECE_BYTES: usize = 256 * 1_024;

/// The folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// A folder, which is made where it is missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Keeps a file under a path of ours, such as `partner/bank/2026-11-22/v1.flows.csv`.
    ///
    /// # Errors
    /// The folder may not be written, the disk is full, or another file has the path.
    pub fn keep(&self, path: &str, from: &Path) -> Result<(), OutputError> {
        let to = self.place_of(path)?;
        let folder = to.parent().unwrap_or(&self.0).to_owned();
        std::fs::create_dir_all(&folder).map_err(at("cannot make the folder", &folder))?;
        let number = PARTS.fetch_add(1, Ordering::Relaxed);
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let part = folder.join(format!(".{name}.{}-{number}.part", std::process::id()));
        let placed = copy(from, &part)
            .and_then(|()| match std::fs::hard_link(&part, &to) {
                Err(error) if has_no_links(&error) => copy(from, &to),
                linked => linked,
            })
            .map_err(at("cannot write", &to));
        let _ = std::fs::remove_file(&part);
        if placed.is_ok() || to.exists() {
            sweep(&folder, &name);
        }
        match placed {
            Ok(()) => {}
            Err(_) if to.exists() && same(from, &to).map_err(at("cannot read", &to))? => {}
            Err(error) => return Err(error),
        }
        for folder in [Some(folder.as_path()), folder.parent()]
            .into_iter()
            .flatten()
        {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            if let Err(error) = synced
                && !matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::InvalidInput
                )
            {
                return Err(at("cannot bring to the disk", folder)(error));
            }
        }
        Ok(())
    }

    /// Opens a file that was kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(&self, path: &str) -> Result<File, OutputError> {
        let place = self.place_of(path)?;
        File::open(&place).map_err(at("cannot read", &place))
    }

    /// A path of ours has plain words in it and leads nowhere else.
    fn place_of(&self, path: &str) -> Result<PathBuf, OutputError> {
        let is_plain = |word: &str| {
            !word.is_empty()
                && !word.starts_with('.')
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if path.split('/').all(is_plain) {
            return Ok(self.0.join(path));
        }
        let error = std::io::Error::new(ErrorKind::InvalidInput, "it is no path of the center");
        Err(at("cannot keep", Path::new(path))(error))
    }
}
/// Takes the parts of a file away that is there: those of writers that died. Who still writes one finds the
/// file in its place. What stays is in nobody's way.
fn sweep(folder: &Path, name: &str) {
    let start = format!(".{name}.");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&start) && found.ends_with(".part") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = File::open(from)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied = std::io::copy(&mut source, &mut file).and_then(|_| file.sync_all());
    if copied.is_err() {
        drop(file);
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let read = one.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_once_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().join("shelf"));
        let from = dir.path().join("from");
        std::fs::write(&from, "one").unwrap();
        shelf.keep("partner/bank/v1.csv", &from).unwrap();
        shelf.keep("partner/bank/v1.csv", &from).unwrap();
        std::fs::write(&from, "two").unwrap();
        shelf.keep("partner/bank/v1.csv", &from).unwrap_err();
        let mut text = String::new();
        let mut kept = shelf.open("partner/bank/v1.csv").unwrap();
        kept.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
        let folder = dir.path().join("shelf/partner/bank");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn a_path_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path());
        for bad in ["../a", "a/../b", "/etc/a", "a//b", "a/.b", "a b", "水", ""] {
            assert!(shelf.open(bad).is_err(), "{bad:?}");
            let error = shelf.keep(bad, dir.path()).unwrap_err();
            assert!(error.to_string().contains("cannot keep"), "{error}");
        }
    }
}
