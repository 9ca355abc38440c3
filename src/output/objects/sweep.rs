//! Takes away what writers that died have left. All of it is in one place, under names of its own.

use super::upload::PARTS;
use super::{Objects, ObjectsError, failed};
use futures_util::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

impl Objects {
    /// Removes what writers that died have left, where it is older than this; tells how much that was. Parts
    /// of an object that a bucket has not been told to put together are not seen from here: they go by a rule
    /// of the bucket.
    pub async fn sweep(&self, older_than: Duration) -> usize {
        let swept = match self.folder.as_ref().map(|folder| folder.join(PARTS)) {
            None => self.sweep_bucket(older_than).await,
            Some(folder) => {
                let swept = tokio::task::spawn_blocking(move || sweep(&folder, older_than));
                return swept.await.unwrap_or(0);
            }
        };
        swept.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what writers left in the bucket could not be swept");
            0
        })
    }

    /// The age of an object is measured by the clock that the bucket has it from.
    async fn sweep_bucket(&self, older_than: Duration) -> Result<usize, ObjectsError> {
        let parts = object_store::path::Path::from(PARTS);
        let found: Vec<ObjectMeta> = {
            let found = self.store.list(Some(&parts));
            found.try_collect().await.map_err(failed(PARTS))?
        };
        let mut swept = 0;
        for part in found {
            let since = SystemTime::from(part.last_modified);
            let age = SystemTime::now().duration_since(since).ok();
            let is_ours = part.location.filename().is_some_and(is_part);
            if is_ours && age.is_some_and(|age| age > older_than) {
                let path = part.location;
                let removed = self.store.delete(&path).await;
                removed.map_err(failed(path.as_ref()))?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// The age of a file is measured by the clock that the file system has it from.
fn sweep(folder: &Path, older_than: Duration) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let now = SystemTime::now();
    let is_old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|data| data.modified());
        let age = modified.ok().and_then(|at| now.duration_since(at).ok());
        age.is_some_and(|age| age > older_than)
    };
    let is_ours = |entry: &std::fs::DirEntry| entry.file_name().to_str().is_some_and(is_part);
    let old = entries.flatten().filter(is_ours).filter(is_old);
    old.filter(|entry| std::fs::remove_file(entry.path()).is_ok())
        .count()
}

/// Whether a name is that of a part, or of what the library writes on the way to it (`NAME#1`).
fn is_part(name: &str) -> bool {
    let (part, number) = name.split_once('#').unwrap_or((name, "1"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit()) && is_digits(number)
}
