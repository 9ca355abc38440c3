//! Reading from the store: bytes, stretches, files.

use super::{Objects, ObjectsError, disk, failed, path_of};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::fs::File;
use std::io::{ErrorKind, Seek, Write};
use std::ops::Range;
use uuid::Uuid;

/// What is read from a bucket at once. Whoever reads slowly keeps no request waiting, which would be cut
/// off after a while.
const READ_BYTES: u64 = 4 * 1_024 * 1_024;

impl Objects {
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

    /// An object as a file, for whoever may block. What lies in a bucket is brought first, into a file without
    /// a name, which goes with its last reader; where it is longer than `bytes`, what its row says, only so
    /// much of it as tells that.
    ///
    /// # Errors
    /// It is not there, or the store or the disk failed.
    pub fn file(&self, name: &str, bytes: u64) -> Result<File, ObjectsError> {
        path_of(name)?;
        if let Some(folder) = &self.folder {
            return File::open(folder.join(name)).map_err(|cause| match cause.kind() {
                ErrorKind::NotFound => ObjectsError::Missing(name.to_owned()),
                _ => disk(name)(cause),
            });
        }
        // On a thread of its own, because the caller's may belong to a runtime.
        std::thread::scope(|scope| {
            let bring = || {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                let runtime = builder.enable_all().build().map_err(disk(name))?;
                runtime.block_on(self.bring(name, bytes))
            };
            let brought = scope.spawn(bring).join();
            let lost = |_| Err(disk(name)(std::io::Error::other("the reader panicked")));
            brought.unwrap_or_else(lost)
        })
    }

    /// Brings an object to the disk; blocks, between its waits for the store.
    async fn bring(&self, name: &str, bytes: u64) -> Result<File, ObjectsError> {
        let there = self.length(name).await?;
        let wanted = there.min(bytes.saturating_add(1));
        let mut pieces = self.stream(name, 0..wanted).await?;
        let mut file = nameless().map_err(disk(name))?;
        while let Some(piece) = pieces.try_next().await.map_err(disk(name))? {
            file.write_all(&piece).map_err(disk(name))?;
        }
        file.rewind().map_err(disk(name))?;
        Ok(file)
    }
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
