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

mod sweep;
mod upload;

#[cfg(test)]
mod tests;

pub use upload::{PART_BYTES, Placed, Upload};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::fs::File;
use std::io::{ErrorKind, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// What is read from a bucket at once. Whoever reads slowly keeps no request waiting, which would be cut
/// off after a while.
const READ_BYTES: u64 = 4 * 1_024 * 1_024;

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
    move |cause| match cause.kind() {
        ErrorKind::NotFound => ObjectsError::Missing(name.to_owned()),
        _ => ObjectsError::Disk {
            name: name.to_owned(),
            cause,
        },
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
        let store = object_store::aws::AmazonS3Builder::from_env()
            .with_url(url)
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

    /// The bytes of an object that is known to be small.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub async fn read(&self, name: &str) -> Result<Vec<u8>, ObjectsError> {
        let path = path_of(name)?;
        let got = self.store.get(&path).await.map_err(failed(name))?;
        Ok(got.bytes().await.map_err(failed(name))?.to_vec())
    }

    /// How long an object is.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub async fn length(&self, name: &str) -> Result<u64, ObjectsError> {
        let path = path_of(name)?;
        Ok(self.store.head(&path).await.map_err(failed(name))?.size)
    }

    /// The bytes of a stretch of an object, piece by piece.
    ///
    /// # Errors
    /// It is not there, or the store failed; later ones come with the pieces.
    pub async fn stream(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Vec<u8>>>, ObjectsError> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let path = path_of(name)?;
        if self.folder.is_none() {
            return self.stream_of_pieces(name, (path, range)).await;
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&path, options).await;
        let pieces = got.map_err(failed(name))?.into_stream();
        let pieces = pieces.map_ok(|piece| piece.to_vec());
        Ok(pieces.map_err(std::io::Error::other).boxed())
    }

    /// A stretch in requests of their own. The first is made at once: what is not there is said before
    /// anything else is.
    async fn stream_of_pieces(
        &self,
        name: &str,
        (path, range): (ObjectPath, Range<u64>),
    ) -> Result<BoxStream<'static, std::io::Result<Vec<u8>>>, ObjectsError> {
        let store = self.store.clone();
        let end = range.end.min(range.start.saturating_add(READ_BYTES));
        let first = store.get_range(&path, range.start..end).await;
        let first = first.map_err(failed(name))?.to_vec();
        if length(&first) != end - range.start {
            let cut = futures_util::stream::iter([Ok(first), Err(cut_off())]);
            return Ok(cut.boxed());
        }
        let rest = futures_util::stream::try_unfold(end..range.end, move |range| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                if range.is_empty() {
                    return Ok(None);
                }
                let end = range.end.min(range.start.saturating_add(READ_BYTES));
                let got = store.get_range(&path, range.start..end).await;
                let piece = got.map_err(std::io::Error::other)?.to_vec();
                if length(&piece) != end - range.start {
                    return Err(cut_off());
                }
                Ok(Some((piece, end..range.end)))
            }
        });
        let first = futures_util::stream::iter([Ok(first)]);
        Ok(first.chain(rest).boxed())
    }

    /// An object as a file, to be read on a thread that may block. What lies in a bucket is brought first,
    /// into a file without a name, which goes with its last reader; where it is longer than `bytes`, what
    /// its row says, only so much of it as tells that.
    ///
    /// # Errors
    /// It is not there, or the store or the disk failed.
    pub async fn file(&self, name: &str, bytes: u64) -> Result<File, ObjectsError> {
        path_of(name)?;
        if let Some(folder) = &self.folder {
            let path = folder.join(name);
            let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
            return opened
                .map_err(std::io::Error::from)
                .flatten()
                .map_err(disk(name));
        }
        let there = self.length(name).await?;
        let mut pieces = self
            .stream(name, 0..there.min(bytes.saturating_add(1)))
            .await?;
        let mut file = nameless().map_err(disk(name))?;
        while let Some(piece) = pieces.try_next().await.map_err(disk(name))? {
            let written = tokio::task::spawn_blocking(move || {
                file.write_all(&piece)?;
                Ok(file)
            });
            file = written
                .await
                .map_err(std::io::Error::from)
                .flatten()
                .map_err(disk(name))?;
        }
        file.rewind().map_err(disk(name))?;
        Ok(file)
    }

    /// The same for whoever blocks anyway.
    ///
    /// # Errors
    /// It is not there, or the store or the disk failed.
    pub fn file_now(&self, name: &str, bytes: u64) -> Result<File, ObjectsError> {
        path_of(name)?;
        if let Some(folder) = &self.folder {
            return File::open(folder.join(name)).map_err(disk(name));
        }
        // On a thread of its own, because the caller's may belong to a runtime.
        std::thread::scope(|scope| {
            let bring = || {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                let runtime = builder.enable_all().build().map_err(disk(name))?;
                runtime.block_on(self.file(name, bytes))
            };
            let brought = scope.spawn(bring).join();
            let lost = |_| Err(disk(name)(std::io::Error::other("the reader panicked")));
            brought.unwrap_or_else(lost)
        })
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

/// A new file in the machine's folder for such things, which nobody else can open, and which is gone with
/// its last reader, however that one ends.
fn nameless() -> std::io::Result<File> {
    let name = format!("payhall-{}.scratch", Uuid::now_v7().simple());
    let path = std::env::temp_dir().join(name);
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn cut_off() -> std::io::Error {
    std::io::Error::new(ErrorKind::UnexpectedEof, "the object is cut off")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
