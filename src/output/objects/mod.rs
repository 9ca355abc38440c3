//! The store of files: a folder by default, a bucket by the feature `s3`. Statements lie in it, what partners
//! sent as it came, and the results of reconciling.
//!
//! An object appears whole or not at all and is never written over. In a folder it is written under a name
//! of its own first (`parts/`), which nobody reads, and gets its name by a link, which fails where the name
//! is taken, when all of it is durable: when the file and its folder are on the disk. What a writer that
//! died leaves is therefore in `parts/` and nowhere else, and is swept away there. In a bucket what is small
//! goes out at once, by a request that fails where the name is taken; what is large takes the way by
//! `parts/` as well.
//!
//! Statements have their digests in their names: whoever finds a name taken finds the same bytes
//! ([`Objects::put`], [`Upload::finish`]). For everything else there is [`Objects::keep`], which compares.
//!
//! How one could break it: by a row in the database before the object is finished; by a name that does not
//! depend on the bytes, given to an object that is not kept by `keep`; by reading an object into memory as
//! a whole that a partner has made.

mod read;
mod sweep;
mod upload;

#[cfg(test)]
mod tests;

pub use upload::{PART_BYTES, Placed, Upload};

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why an object cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The setting names no place that this program knows.
    #[error("{0}")]
    Settings(String),
    /// The folder cannot be used.
    #[error("the folder {path} of files cannot be used")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The store failed.
    #[error("the store of files failed at {name}")]
    Store {
        /// The object.
        name: String,
        /// Why.
        #[source]
        cause: Error,
    },
    /// A file on its way from the store or into it failed.
    #[error("a file on its way failed at {name}")]
    Disk {
        /// The object.
        name: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The object is not there.
    #[error("{0} is not in the store of files")]
    Missing(String),
    /// Another object has the name.
    #[error("another file is kept as {0}; what was kept once is never written over")]
    Taken(String),
    /// The name leads elsewhere.
    #[error("{0:?} is no name of a file of the center")]
    Name(String),
}

fn failed(name: &str) -> impl FnOnce(Error) -> ObjectsError + '_ {
    move |cause| match cause {
        Error::NotFound { .. } => ObjectsError::Missing(name.to_owned()),
        cause => ObjectsError::Store {
            name: name.to_owned(),
            cause,
        },
    }
}

fn disk(name: &str) -> impl FnOnce(std::io::Error) -> ObjectsError + '_ {
    move |cause| ObjectsError::Disk {
        name: name.to_owned(),
        cause,
    }
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Where it is, if it is a folder.
    folder: Option<PathBuf>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Objects({})", self.store)
    }
}

impl Objects {
    /// Opens the store that a setting names: a folder, as a path or `file:PATH`, which is made where it is
    /// not there; or `s3://BUCKET/PREFIX`, with the usual variables of AWS in the environment.
    ///
    /// # Errors
    /// The place is none that this program knows, or cannot be used.
    pub fn open(url: &str) -> Result<Self, ObjectsError> {
        match folder_of(url)? {
            Some(folder) => Self::folder(folder),
            None => Self::bucket(url),
        }
    }

    /// The store that a setting names, for somebody who only reads: nothing is made. A folder that is not
    /// there is a store without objects.
    ///
    /// # Errors
    /// The place is none that this program knows, or cannot be used.
    pub fn to_read(url: &str) -> Result<Self, ObjectsError> {
        match folder_of(url)? {
            Some(folder) if !folder.exists() => Ok(Self {
                store: Arc::new(InMemory::new()),
                folder: None,
            }),
            Some(folder) => Self::opened(folder),
            None => Self::bucket(url),
        }
    }

    /// A store in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn folder(path: &Path) -> Result<Self, ObjectsError> {
        std::fs::create_dir_all(path).map_err(unusable(path))?;
        Self::opened(path)
    }

    fn opened(path: &Path) -> Result<Self, ObjectsError> {
        let whole = path.canonicalize().map_err(unusable(path))?;
        if !whole.is_dir() {
            return Err(unusable(path)(ErrorKind::NotADirectory.into()));
        }
        let store = LocalFileSystem::new_with_prefix(&whole)
            .map_err(failed(&path.display().to_string()))?
            .with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            folder: Some(whole),
        })
    }

    #[cfg(feature = "s3")]
    fn bucket(url: &str) -> Result<Self, ObjectsError> {
        let place = url.trim_start_matches("s3://");
        let prefix = place.split_once('/').map_or("", |(_, prefix)| prefix);
        // Whoever asks for a file waits for this; and each job comes back by itself.
        let patience = object_store::RetryConfig {
            max_retries: 5,
            retry_timeout: std::time::Duration::from_secs(30),
            ..Default::default()
        };
        let store = object_store::aws::AmazonS3Builder::from_env()
            .with_url(url)
            .with_retry(patience)
            .build()
            .map_err(failed(url))?;
        let store: Arc<dyn ObjectStore> = match prefix.trim_matches('/') {
            "" => Arc::new(store),
            prefix => Arc::new(object_store::prefix::PrefixStore::new(store, prefix)),
        };
        Ok(Self {
            store,
            folder: None,
        })
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(url: &str) -> Result<Self, ObjectsError> {
        Err(ObjectsError::Settings(format!(
            "{url:?} is a bucket, and this program is built without the feature s3"
        )))
    }

    /// Removes an object; one that is not there is removed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, name: &str) -> Result<(), ObjectsError> {
        match self.store.delete(&path_of(name)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(failed(name)(cause)),
        }
    }
}

/// The folder that a setting names; none for a bucket.
fn folder_of(url: &str) -> Result<Option<&Path>, ObjectsError> {
    if url.starts_with("s3://") {
        return Ok(None);
    }
    let path = url.strip_prefix("file://").unwrap_or(url);
    let path = path.strip_prefix("file:").unwrap_or(path);
    if path.is_empty() || path.contains("://") {
        return Err(ObjectsError::Settings(format!(
            "{url:?} is no place for files: name a folder, such as /var/lib/payhall/files, or \
             s3://BUCKET/PREFIX"
        )));
    }
    Ok(Some(Path::new(path)))
}

fn unusable(path: &Path) -> impl Fn(std::io::Error) -> ObjectsError + '_ {
    move |cause| ObjectsError::Folder {
        path: path.to_owned(),
        cause,
    }
}

/// A name of ours has plain words in it and leads nowhere else.
fn path_of(name: &str) -> Result<ObjectPath, ObjectsError> {
    let is_plain = |word: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
        !word.is_empty() && !word.starts_with('.') && word.bytes().all(fits)
    };
    if !name.split('/').all(is_plain) {
        return Err(ObjectsError::Name(name.to_owned()));
    }
    ObjectPath::parse(name).map_err(|cause| failed(name)(cause.into()))
}
