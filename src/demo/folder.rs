//! The demo's folder, and the settings file in it.
//!
//! The file holds this demo's tokens, so nobody else may read it. It is written anew at each start,
//! with new tokens and perhaps other addresses, and must not take away what somebody changed in it:
//! its first line is a fingerprint of the rest, and a file that does not fit its own is left alone.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The first line of a settings file of the demo, up to the fingerprint.
const MARK: &str =
    "# Written by `payhall demo`, which writes it anew while nobody has changed it: ";

/// For its owner to read and write, and for nobody else.
const PRIVATE: u32 = 0o600;

/// The demo's folder: the caller's, which stays, or a temporary one, which goes with the value.
pub(super) struct Folder {
    path: PathBuf,
    is_kept: bool,
}

const SETTINGS: &str = "payhall.toml";

impl Folder {
    /// The caller's folder, or a new temporary one.
    pub fn new(dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let is_kept = dir.is_some();
        let name = format!("payhall-demo-{}-{}", std::process::id(), super::token());
        let path = dir.unwrap_or_else(|| std::env::temp_dir().join(name));
        let made = if is_kept {
            std::fs::create_dir_all(&path)
        } else {
            DirBuilder::new().mode(0o700).create(&path)
        };
        made.with_context(|| format!("cannot make the folder {}", path.display()))?;
        let path = path.canonicalize()?;
        Ok(Self { path, is_kept })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its database, as `storage.url` takes it.
    pub fn database_url(&self) -> String {
        format!("sqlite:{}", self.path.join("payhall.db").display())
    }

    /// Whether a demo has been in it.
    pub fn has_database(&self) -> bool {
        self.path.join("payhall.db").exists()
    }

    /// Its folder of published files.
    pub fn output(&self) -> PathBuf {
        self.path.join("output")
    }

    /// Makes the folder of published files, where it is not there.
    pub fn make_output(&self) -> anyhow::Result<()> {
        let output = self.output();
        let made = std::fs::create_dir_all(&output);
        made.with_context(|| format!("cannot make the folder {}", output.display()))
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.path.join(SETTINGS)
    }

    /// Whether the settings may be written.
    ///
    /// # Errors
    /// There is a settings file that is not as the demo wrote it.
    pub fn check_settings(&self) -> anyhow::Result<()> {
        let file = self.settings();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        if is_as_written(&text) {
            return Ok(());
        }
        let file = file.display();
        bail!(
            "{file} was changed since a demo wrote it, and this one would write over it. Run with \
             it as it is: `payhall --config {file} serve`, beside `payhall sim`. Or move it away."
        )
    }

    /// Writes the settings, for nobody else to read.
    pub fn write_settings(&self, settings: &str) -> anyhow::Result<()> {
        self.write_private(SETTINGS, &marked(settings))
    }

    /// Writes a file, for nobody else to read.
    pub fn write_private(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.path.join(name);
        let write = || {
            let mut open = OpenOptions::new();
            let open = open.write(true).create(true).truncate(true).mode(PRIVATE);
            let mut written = open.open(&file)?;
            written.set_permissions(Permissions::from_mode(PRIVATE))?;
            written.write_all(text.as_bytes())
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }

    /// Says where things stay, if they do.
    pub fn leave(&self) {
        if self.is_kept {
            println!(
                "Database, ledger and settings stay in {}",
                self.path.display()
            );
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

fn marked(settings: &str) -> String {
    format!("{MARK}{}\n{settings}", fingerprint(settings))
}

fn is_as_written(text: &str) -> bool {
    let rest = text.strip_prefix(MARK);
    let parts = rest.and_then(|rest| rest.split_once('\n'));
    parts.is_some_and(|(print, settings)| print == fingerprint(settings))
}

fn fingerprint(text: &str) -> String {
    let mut print = format!("{:x}", Sha256::digest(text.as_bytes()));
    print.truncate(16);
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_private_and_written_anew_until_somebody_changes_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(dir.path().join("kept"))).unwrap();
        for settings in ["a = 1\n", "a = 2\n"] {
            folder.check_settings().unwrap();
            folder.write_settings(settings).unwrap();
            let text = std::fs::read_to_string(folder.settings()).unwrap();
            assert!(text.ends_with(settings), "{text}");
        }
        let mode = std::fs::metadata(folder.settings()).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, PRIVATE);
        for theirs in [marked("a = 2\n") + "b = 1\n", "a = 3\n".to_owned()] {
            std::fs::write(folder.settings(), &theirs).unwrap();
            let said = folder.check_settings().unwrap_err().to_string();
            assert!(said.contains("payhall.toml was changed"), "{said}");
        }
    }

    #[test]
    fn a_temporary_folder_goes_and_a_named_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let named = Folder::new(Some(dir.path().join("named"))).unwrap();
        let temporary = Folder::new(None).unwrap();
        let paths = [named.path().to_owned(), temporary.path().to_owned()];
        temporary.write_settings("a = 1\n").unwrap();
        drop((named, temporary));
        assert_eq!(paths.map(|path| path.exists()), [true, false]);
    }
}
