//! The store of statements and of partners' files: a folder by default, a bucket by the feature `s3`.
//!
//! An object appears whole or not at all and is never written over: its name holds its digest, so whoever
//! finds the name taken finds the same bytes. What is small goes out at once. What is large is written under
//! a name of its own first (`parts/`), which nobody reads, and gets its name when all of it is durable. In a
//! folder, durable means that the file and its folder are on the disk.
//!
//! How one could break it: by a name that does not depend on the bytes; by a row in the database before the
//! object is finished.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// What goes out at once; a bucket takes no smaller parts of a large object than 5 MiB.
pub const PART_BYTES: usize = 8 * 1_024 * 1_024;
/// The folder of what is being written.
const PARTS: &str = "parts";

/// Why an object cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The setting names no place that this program knows.
    #[error("{0}")]
    Settings(String),
    /// The folder cannot be used.
    #[error("the folder {path} of statements cannot be used")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The store failed.
    #[error("the store of statements failed at {name}")]
    Store {
        /// The object.
        name: String,
        /// Why.
        #[source]
        cause: Error,
    },
    /// The object is not there.
    #[error("{0} is not in the store of statements")]
    Missing(String),
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
        if url.starts_with("s3://") {
            return Self::bucket(url);
        }
        let path = url.strip_prefix("file://").unwrap_or(url);
        let path = path.strip_prefix("file:").unwrap_or(path);
        if path.is_empty() || path.contains("://") {
            return Err(ObjectsError::Settings(format!(
                "{url:?} is no place for statements: name a folder, such as /var/lib/payhall/files, or \
                 s3://BUCKET/PREFIX"
            )));
        }
        Self::folder(Path::new(path))
    }

    /// A store in a folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn folder(path: &Path) -> Result<Self, ObjectsError> {
        let unusable = |cause| ObjectsError::Folder {
            path: path.to_owned(),
            cause,
        };
        std::fs::create_dir_all(path).map_err(unusable)?;
        let whole = path.canonicalize().map_err(unusable)?;
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
        let store: Arc<dyn ObjectStore> = match prefix {
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

    /// Puts a small object there; one of its name is the same and stays.
    ///
    /// # Errors
    /// The store failed; then the object may be there or not.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let path = path_of(name)?;
        match self.store.put_opts(&path, bytes.into(), options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(cause) => Err(failed(name)(cause)),
        }
    }

    /// Begins an object whose name is known at its end.
    pub fn begin(&self) -> Upload {
        Upload {
            objects: self.clone(),
            first: None,
            part: None,
        }
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
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let path = path_of(name)?;
        let got = self.store.get_opts(&path, options).await;
        let pieces = got.map_err(failed(name))?.into_stream();
        let pieces = pieces.map(|piece| match piece {
            Ok(piece) => Ok(piece.to_vec()),
            Err(error) => Err(std::io::Error::other(error)),
        });
        Ok(pieces.boxed())
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

    /// Removes what writers that died have left, where it is older than this; tells how much that was. A
    /// bucket does so by a rule of its own.
    pub async fn sweep(&self, older_than: Duration) -> usize {
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(PARTS)) else {
            return 0;
        };
        let swept = tokio::task::spawn_blocking(move || sweep(&folder, older_than));
        swept.await.unwrap_or(0)
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
    let old = entries.flatten().filter(is_old);
    old.filter(|entry| std::fs::remove_file(entry.path()).is_ok())
        .count()
}

fn path_of(name: &str) -> Result<ObjectPath, ObjectsError> {
    ObjectPath::parse(name).map_err(|cause| ObjectsError::Store {
        name: name.to_owned(),
        cause: cause.into(),
    })
}

/// An object that is being written: parts of [`PART_BYTES`] each, the last one shorter.
pub struct Upload {
    objects: Objects,
    /// The first part, as long as it is the only one.
    first: Option<Vec<u8>>,
    part: Option<(String, Box<dyn MultipartUpload>)>,
}

impl Upload {
    /// Takes the next part.
    ///
    /// # Errors
    /// The store failed.
    pub async fn put(&mut self, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        if self.part.is_none() && self.first.is_none() {
            self.first = Some(bytes);
            return Ok(());
        }
        if self.part.is_none() {
            let name = format!("{PARTS}/{}", Uuid::now_v7().simple());
            let begun = self.objects.store.put_multipart(&path_of(&name)?).await;
            self.part = Some((name.clone(), begun.map_err(failed(&name))?));
        }
        let first = self.first.take();
        let Some((name, upload)) = self.part.as_mut() else {
            return Ok(());
        };
        for bytes in first.into_iter().chain([bytes]) {
            let put = upload.put_part(PutPayload::from(bytes)).await;
            put.map_err(failed(name))?;
        }
        Ok(())
    }

    /// Ends the object under its name. When this returns it is durable.
    ///
    /// # Errors
    /// The store failed; then there is no object of that name, unless it was there before.
    pub async fn finish(mut self, name: &str) -> Result<(), ObjectsError> {
        let Some((part, mut upload)) = self.part.take() else {
            return self
                .objects
                .put(name, self.first.take().unwrap_or_default())
                .await;
        };
        upload.complete().await.map_err(failed(name))?;
        let (from, to) = (path_of(&part)?, path_of(name)?);
        let store = &self.objects.store;
        match store.copy_if_not_exists(&from, &to).await {
            Ok(()) | Err(Error::AlreadyExists { .. }) => {}
            // A bucket that cannot do it in one step: an object of this name would be the same.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                if store.head(&to).await.is_err() {
                    store.copy(&from, &to).await.map_err(failed(name))?;
                }
            }
            Err(cause) => return Err(failed(name)(cause)),
        }
        self.objects.remove(&part).await
    }

    /// Gives the object up.
    pub async fn abort(mut self) {
        if let Some((name, mut upload)) = self.part.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, name, "what was written of an object could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(objects: &Objects, name: &str, range: Range<u64>) -> Vec<u8> {
        let pieces = objects.stream(name, range).await.unwrap();
        let pieces: Vec<_> = pieces.map(Result::unwrap).collect().await;
        pieces.concat()
    }

    #[tokio::test]
    async fn an_object_appears_whole_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file:{}/files", folder.path().display());
        let objects = Objects::open(&url).unwrap();
        objects.put("a/b.csv", b"one".to_vec()).await.unwrap();
        objects.put("a/b.csv", b"two".to_vec()).await.unwrap();
        assert_eq!(objects.read("a/b.csv").await.unwrap(), b"one");
        assert_eq!(all(&objects, "a/b.csv", 1..3).await, b"ne");
        assert_eq!(all(&objects, "a/b.csv", 1..1).await, b"");
        let missing = objects.read("a/c.csv").await.unwrap_err();
        assert!(matches!(missing, ObjectsError::Missing(_)), "{missing}");
        objects.remove("a/b.csv").await.unwrap();
        objects.remove("a/b.csv").await.unwrap();
        assert!(objects.read("a/b.csv").await.is_err());
    }

    #[tokio::test]
    async fn a_large_object_gets_its_name_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::folder(folder.path()).unwrap();
        let parts = [vec![1; PART_BYTES], vec![2; PART_BYTES], vec![3; 10]];
        for _ in 0..2 {
            let mut upload = objects.begin();
            for part in &parts {
                upload.put(part.clone()).await.unwrap();
            }
            assert!(objects.read("big").await.is_ok() || !folder.path().join("big").exists());
            upload.finish("big").await.unwrap();
            assert_eq!(objects.read("big").await.unwrap(), parts.concat());
        }
        let mut given_up = objects.begin();
        for part in &parts {
            given_up.put(part.clone()).await.unwrap();
        }
        given_up.abort().await;
        let left = std::fs::read_dir(folder.path().join(PARTS)).unwrap();
        assert_eq!(left.count(), 0, "no part is left behind");
    }

    #[tokio::test]
    async fn what_a_dead_writer_left_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::folder(folder.path()).unwrap();
        assert_eq!(objects.sweep(Duration::ZERO).await, 0);
        std::fs::create_dir(folder.path().join(PARTS)).unwrap();
        std::fs::write(folder.path().join("parts/x#1"), "half").unwrap();
        assert_eq!(objects.sweep(Duration::from_secs(3_600)).await, 0);
        assert_eq!(objects.sweep(Duration::ZERO).await, 1);
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        for url in ["", "file:", "ftp://host/dir"] {
            let error = Objects::open(url).unwrap_err();
            assert!(error.to_string().contains("is no place"), "{error}");
        }
    }
}
