//! The folder into which the center publishes files: they appear whole or not at all, and nothing that
//! was published is ever written over.
//!
//! A file is written under another name, brought to the disk, and then given its own name by a link that
//! fails where the name is taken; at last the folder itself is brought to the disk. A crash at any step
//! leaves at most a file whose name ends in `.part`, which nobody reads, and which goes when the file of
//! its name is published.
//!
//! Mounts of buckets and shares that keep what was written once often have no links. There the file is
//! written under its own name at once, where that is free. A crash in the middle then leaves a torn file
//! under that name; it stays, and whoever reads it has to see that it is not whole, as a signature over
//! the whole does. What cannot be removed there, parts among it, stays too, and is said in the log.
//!
//! How one could break it: by giving a file its name before its bytes are on the disk, where there are
//! links; by `rename`, which takes the place of what is there; by failing for what could not be tidied
//! up.

mod objects;

pub use objects::{Objects, ObjectsError, PART_BYTES, Placed, Upload};

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// No published file is longer than this; what is longer is not ours and not read.
const BYTES_MAX: u64 = 256 * 1_024 * 1_024;

/// Counts the parts of this run of the program: where nothing can be written over, a second try needs a
/// name of its own.
static PARTS: AtomicU64 = AtomicU64::new(1);

/// The folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFolder(PathBuf);

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there now, and will be after a crash.
    New,
    /// It was there already, byte by byte.
    Same,
    /// Another file has its name; nothing was written.
    Taken,
}

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}")]
pub struct OutputError {
    what: &'static str,
    path: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// Turns an error of the system into ours.
fn at(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OutputError {
    let path = path.to_owned();
    move |cause| OutputError { what, path, cause }
}

impl OutputFolder {
    /// A folder, which has to be there when something is published.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names of the files in it that somebody wants, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, OutputError> {
        let failed = || at("cannot read the folder", &self.0);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            names.extend(
                name.to_str()
                    .filter(|name| is_wanted(name))
                    .map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    }

    /// The bytes of a file in it.
    ///
    /// # Errors
    /// It cannot be read, or is far longer than anything that is published.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, OutputError> {
        let path = self.0.join(name);
        let failed = || at("cannot read", &path);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(failed())?;
        let mut bounded = file.take(BYTES_MAX + 1);
        bounded.read_to_end(&mut bytes).map_err(failed())?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            let error = std::io::Error::new(ErrorKind::FileTooLarge, "it is longer than 256 MiB");
            return Err(failed()(error));
        }
        Ok(bytes)
    }

    /// Publishes a file: when this returns [`Published::New`] it is on the disk under its name. `writer`
    /// tells who writes it, so that two never write the same part.
    ///
    /// # Errors
    /// The folder is missing or may not be written, or the disk is full; then no file of this name was
    /// added. Or the folder cannot be brought to the disk; then it may be there or not after a crash.
    pub fn publish(
        &self,
        name: &str,
        bytes: &[u8],
        writer: &str,
    ) -> Result<Published, OutputError> {
        self.publish_by(|from, to| std::fs::hard_link(from, to), name, bytes, writer)
    }

    fn publish_by(
        &self,
        link: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
        name: &str,
        bytes: &[u8],
        writer: &str,
    ) -> Result<Published, OutputError> {
        let path = self.0.join(name);
        let number = PARTS.fetch_add(1, Ordering::Relaxed);
        let part = self.0.join(format!(".{name}.{writer}.{number}.part"));
        let placed = match write_new(&part, bytes) {
            Ok(()) => match link(&part, &path) {
                Err(error) if has_no_links(&error) => write_new(&path, bytes),
                linked => linked,
            }
            .map_err(at("cannot write", &path)),
            Err(error) => Err(at("cannot write", &part)(error)),
        };
        let published = match placed {
            Ok(()) => Published::New,
            // Where the name is taken, whoever took it may have swept our part away.
            Err(_) if path.exists() => match self.read(name)? == bytes {
                true => Published::Same,
                false => Published::Taken,
            },
            Err(error) => {
                let _ = std::fs::remove_file(&part);
                return Err(error);
            }
        };
        if published != Published::Taken {
            self.sync()?;
        }
        self.sweep(name);
        Ok(published)
    }

    /// Brings the folder itself to the disk.
    fn sync(&self) -> Result<(), OutputError> {
        match File::open(&self.0).and_then(|folder| folder.sync_all()) {
            // A mount that has no such step, as those of buckets: the file's own was all there is.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::InvalidInput
                ) =>
            {
                Ok(())
            }
            synced => synced.map_err(at("cannot bring to the disk", &self.0)),
        }
    }

    /// Takes the parts of a file away that is there: ours, and those of writers that died. What stays is
    /// in nobody's way.
    fn sweep(&self, name: &str) {
        let start = format!(".{name}.");
        let is_part = |found: &str| found.starts_with(&start) && found.ends_with(".part");
        let parts = match self.names(is_part) {
            Ok(parts) => parts,
            Err(error) => {
                let cause = &error.cause;
                tracing::warn!(%cause, "{error}: parts of published files may be left in it");
                return;
            }
        };
        for part in parts {
            let part = self.0.join(part);
            match std::fs::remove_file(&part) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    let part = part.display();
                    tracing::warn!(%cause, "{part} cannot be removed; nobody reads it");
                }
                _ => {}
            }
        }
    }
}

/// Whether a link failed because there are none in that place, and not for what is wrong with this one.
fn has_no_links(error: &std::io::Error) -> bool {
    // EPERM and EACCES; ENOTSUP, EOPNOTSUPP and ENOSYS; EXDEV; EMLINK.
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::CrossesDevices
            | ErrorKind::TooManyLinks
    )
}

/// Writes a file that is not there yet, and brings it to the disk. What could not be written whole is
/// removed again, where that can be done.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        drop(file);
        let _ = std::fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        let publish = |text: &str| folder.publish("a.json", text.as_bytes(), "w1").unwrap();
        assert_eq!(publish("one"), Published::New);
        assert_eq!(publish("one"), Published::Same);
        assert_eq!(publish("two"), Published::Taken);
        assert_eq!(folder.read("a.json").unwrap(), b"one");
        let all = folder.names(|_| true).unwrap();
        assert_eq!(all, ["a.json"], "no part is left behind");
    }

    #[test]
    fn the_part_of_a_writer_that_died_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        for writer in ["w1", "w2"] {
            let part = dir.path().join(format!(".a.json.{writer}.part"));
            std::fs::write(part, "ha").unwrap();
        }
        assert_eq!(
            folder.publish("a.json", b"half", "w1").unwrap(),
            Published::New
        );
        assert_eq!(folder.read("a.json").unwrap(), b"half");
        assert_eq!(folder.names(|_| true).unwrap(), ["a.json"]);
    }

    #[test]
    fn what_cannot_be_swept_away_does_not_stop_a_publication() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        // No file, so that even root cannot remove it as one.
        std::fs::create_dir(dir.path().join(".a.json.w0.1.part")).unwrap();
        let publish = |text: &str| folder.publish("a.json", text.as_bytes(), "w1").unwrap();
        assert_eq!(publish("one"), Published::New);
        assert_eq!(publish("one"), Published::Same);
        assert_eq!(publish("two"), Published::Taken);
        let all = folder.names(|_| true).unwrap();
        assert_eq!(all, [".a.json.w0.1.part", "a.json"]);
    }

    #[test]
    fn where_there_are_no_links_a_file_is_written_under_its_own_name_and_never_over() {
        for kind in [
            ErrorKind::PermissionDenied,
            ErrorKind::Unsupported,
            ErrorKind::CrossesDevices,
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = OutputFolder::new(dir.path());
            let publish = |text: &str| {
                let no_links = |_: &Path, _: &Path| Err(kind.into());
                let published = folder.publish_by(no_links, "a.json", text.as_bytes(), "w1");
                published.unwrap()
            };
            assert_eq!(publish("one"), Published::New);
            assert_eq!(publish("one"), Published::Same);
            assert_eq!(publish("two"), Published::Taken);
            assert_eq!(folder.read("a.json").unwrap(), b"one");
            assert_eq!(folder.names(|_| true).unwrap(), ["a.json"]);
        }
    }

    #[test]
    fn a_link_that_failed_for_another_reason_adds_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        let full = |_: &Path, _: &Path| Err(ErrorKind::StorageFull.into());
        folder.publish_by(full, "a.json", b"one", "w1").unwrap_err();
        assert_eq!(folder.names(|_| true).unwrap(), [""; 0]);
    }

    /// As a crash leaves it where there are no links.
    #[test]
    fn a_torn_file_is_not_taken_for_the_one_that_was_to_be_published() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        std::fs::write(dir.path().join("a.json"), "wh").unwrap();
        let published = folder.publish("a.json", b"whole", "w1").unwrap();
        assert_eq!(published, Published::Taken);
        assert_eq!(folder.read("a.json").unwrap(), b"wh");
    }

    #[test]
    fn two_at_once_publish_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(dir.path());
        let publish = |number: usize| {
            let bytes = format!("by {number}");
            folder.publish("a.json", bytes.as_bytes(), &number.to_string())
        };
        let done: Vec<Published> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || publish(n))).collect();
            let ended = threads.into_iter().map(|one| one.join().unwrap().unwrap());
            ended.collect()
        });
        let new = done.iter().filter(|one| **one == Published::New).count();
        assert_eq!(new, 1, "{done:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = OutputFolder::new("/nowhere/out");
        let error = folder.publish("a", b"b", "w").unwrap_err();
        assert!(error.to_string().contains("/nowhere/out"), "{error}");
        let error = folder.names(|_| true).unwrap_err();
        assert!(error.to_string().contains("/nowhere/out"), "{error}");
    }
}
