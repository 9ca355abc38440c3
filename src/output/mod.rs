//! The folder into which the center publishes files: they appear whole or not at all, and nothing that
//! was published is ever written over.
//!
//! A file is written under another name, brought to the disk, and then given its own name by a link that
//! fails where the name is taken; at last the folder itself is brought to the disk. A crash at any step
//! leaves at most a file whose name ends in `.part`, which nobody reads, and which goes when the file of
//! its name is published.
//!
//! How one could break it: by giving a file its name before its bytes are on the disk; by `rename`, which
//! takes the place of what is there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// No published file is longer than this; what is longer is not ours and not read.
const BYTES_MAX: u64 = 256 * 1_024 * 1_024;

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
    /// added.
    pub fn publish(
        &self,
        name: &str,
        bytes: &[u8],
        writer: &str,
    ) -> Result<Published, OutputError> {
        let path = self.0.join(name);
        let part = self.0.join(format!(".{name}.{writer}.part"));
        let linked = write(&part, bytes).map_err(at("cannot write", &part));
        let linked = linked.map(|()| std::fs::hard_link(&part, &path));
        let is_there = path.exists();
        if is_there {
            self.sweep(name)?;
        }
        match linked? {
            Ok(()) => {}
            // Where the name is taken, whoever took it may have swept our part away.
            Err(_) if is_there => {
                return Ok(if self.read(name)? == bytes {
                    Published::Same
                } else {
                    Published::Taken
                });
            }
            Err(error) => {
                let _ = std::fs::remove_file(&part);
                return Err(at("cannot write", &path)(error));
            }
        }
        let folder = File::open(&self.0).and_then(|folder| folder.sync_all());
        folder.map_err(at("cannot bring to the disk", &self.0))?;
        Ok(Published::New)
    }

    /// Takes the parts of a file away that is there: ours, and those of writers that died.
    fn sweep(&self, name: &str) -> Result<(), OutputError> {
        let start = format!(".{name}.");
        let is_part = |found: &str| found.starts_with(&start) && found.ends_with(".part");
        for part in self.names(is_part)? {
            let part = self.0.join(part);
            match std::fs::remove_file(&part) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(at("cannot remove", &part)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn write(part: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).open(part)?;
    file.write_all(bytes)?;
    file.sync_all()
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
