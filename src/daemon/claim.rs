//! What a center takes before it touches anything: its port, and on SQLite the database for itself.
//!
//! A start adopts the payments that an earlier run left in doubt, and on SQLite every payment under
//! way is taken for one of those. So a second center on the same file would adopt what the first one
//! is just doing. The lock is one on a file beside the database. The kernel frees it when the process
//! ends, however that ends, so nothing is left behind that somebody would have to remove. Rejected:
//! the process id in a file, which outlives a kill; a lock on the database file itself, which SQLite
//! locks in its own ways.
//!
//! Commands that work beside a running center (`catalog import`, `check`, `jobs`) do not take it.

use anyhow::{Context, bail};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

/// A port and, on SQLite, a database that no other center serves. Kept as long as the center runs.
#[derive(Debug)]
pub struct Claim {
    pub(super) listener: TcpListener,
    pub(super) database: Option<DatabaseLock>,
}

impl Claim {
    /// Claims the database of `storage.url` for whoever holds the port already.
    ///
    /// # Errors
    /// Another center serves the database, or its lock file cannot be made.
    pub fn try_new(listener: TcpListener, url: &str) -> anyhow::Result<Self> {
        let database = url
            .strip_prefix("sqlite:")
            .filter(|path| *path != ":memory:")
            .map(|path| DatabaseLock::take(Path::new(path)))
            .transpose()?;
        Ok(Self { listener, database })
    }

    /// Where it will listen: the real port, where any free one was asked for.
    ///
    /// # Errors
    /// The system does not know the listener's address.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("the listener has no address")
    }
}

/// The lock on an SQLite database; it ends with the value, or with the process.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    fn take(database: &Path) -> anyhow::Result<Self> {
        let path = lock_path(database);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("the lock file {} cannot be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another payhall serves the database {} and holds {}; stop that one first \
                 (several centers can share a PostgreSQL, not an SQLite file)",
                database.display(),
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error)
                .with_context(|| format!("the lock file {} cannot be locked", path.display())),
        }
    }
}

/// `payhall.db.lock` beside `payhall.db`, by whatever name or link the database is reached.
fn lock_path(database: &Path) -> PathBuf {
    let real = database.canonicalize();
    let mut path = OsString::from(real.as_deref().unwrap_or(database));
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn claim(url: &str) -> anyhow::Result<Claim> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Claim::try_new(listener, url)
    }

    #[tokio::test]
    async fn a_database_is_claimed_once_by_any_of_its_names_and_freed_with_the_claim() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("p.db"), folder.path().join("link.db"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let url = format!("sqlite:{}", file.display());
        let first = claim(&url).await.unwrap();
        for name in [&file, &link] {
            let refused = claim(&format!("sqlite:{}", name.display())).await;
            let said = refused.unwrap_err().to_string();
            assert!(
                said.contains("another payhall") && said.contains(&name.display().to_string()),
                "{said}"
            );
        }
        drop(first);
        claim(&url).await.unwrap();
    }

    #[tokio::test]
    async fn only_a_file_is_claimed() {
        for url in ["sqlite::memory:", "postgres://nobody@nowhere/payhall"] {
            assert!(claim(url).await.unwrap().database.is_none(), "{url}");
        }
    }
}
