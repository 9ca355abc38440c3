//! Writing into the store: an object that is put, one that is kept, one that grows.

use super::{Objects, ObjectsError, disk, path_of};
use futures_util::TryStreamExt;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

/// What goes out at once; a bucket takes no smaller parts of a large object than 5 MiB.
pub const PART_BYTES: usize = 8 * 1_024 * 1_024;
/// The folder of what is being written.
pub(super) const PARTS: &str = "parts";

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It has its name now.
    New,
    /// An object had the name before, and has it still.
    Taken,
}

impl Objects {
    /// Puts a small object there; one of its name is the same and stays.
    ///
    /// # Errors
    /// The store failed; then the object may be there or not.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<Placed, ObjectsError> {
        let path = path_of(name)?;
        if self.folder.is_some() {
            let part = part_name();
            let put = self.store.put(&path_of(&part)?, bytes.into()).await;
            put.map_err(unwritten(&part))?;
            return self.place(&part, name).await;
        }
        let payload = PutPayload::from(bytes);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self.store.put_opts(&path, payload.clone(), options).await {
            Ok(_) => Ok(Placed::New),
            Err(cause @ Error::AlreadyExists { .. }) => self.taken(name, cause).await,
            // A bucket that cannot do it in one step.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                if self.is_there(name).await? {
                    return Ok(Placed::Taken);
                }
                let put = self.store.put(&path, payload).await;
                put.map_err(unwritten(name))?;
                Ok(Placed::New)
            }
            Err(cause) => Err(unwritten(name)(cause)),
        }
    }

    /// Keeps a file of the disk under a name. The same bytes once more are no fault.
    ///
    /// # Errors
    /// The name is none of the center's, another file has it, or the store or the disk failed.
    pub async fn keep(&self, name: &str, from: &Path) -> Result<(), ObjectsError> {
        path_of(name)?;
        let mut file = File::open(from).await.map_err(disk(name))?;
        let mut upload = self.begin();
        if let Err(error) = fill(&mut upload, name, &mut file).await {
            upload.abort().await;
            return Err(error);
        }
        match upload.finish(name).await? {
            Placed::New => Ok(()),
            Placed::Taken if self.is_same(name, from).await? => Ok(()),
            Placed::Taken => Err(ObjectsError::Taken(name.to_owned())),
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

    /// Gives what lies under the name of a part its own.
    async fn place(&self, part: &str, name: &str) -> Result<Placed, ObjectsError> {
        let placed = self.try_place(part, name).await;
        if let Err(error) = self.remove(part).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                part,
                "a part of a file is left; it goes with a sweep"
            );
        }
        placed
    }

    async fn try_place(&self, part: &str, name: &str) -> Result<Placed, ObjectsError> {
        let (from, to) = (path_of(part)?, path_of(name)?);
        match self.store.copy_if_not_exists(&from, &to).await {
            Ok(()) => Ok(Placed::New),
            Err(cause @ Error::AlreadyExists { .. }) => self.taken(name, cause).await,
            // A bucket that cannot do it in one step.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                if self.is_there(name).await? {
                    return Ok(Placed::Taken);
                }
                self.store.copy(&from, &to).await.map_err(unwritten(name))?;
                Ok(Placed::New)
            }
            Err(cause) => Err(unwritten(name)(cause)),
        }
    }

    /// The store says that a name is taken. Some buckets also say so of two who come at once, of whom none
    /// has come to its end: then nothing is there.
    async fn taken(&self, name: &str, cause: Error) -> Result<Placed, ObjectsError> {
        match self.is_there(name).await? {
            true => Ok(Placed::Taken),
            false => Err(unwritten(name)(cause)),
        }
    }

    async fn is_there(&self, name: &str) -> Result<bool, ObjectsError> {
        match self.length(name).await {
            Ok(_) => Ok(true),
            Err(ObjectsError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an object has the bytes of a file.
    async fn is_same(&self, name: &str, other: &Path) -> Result<bool, ObjectsError> {
        let mut other = File::open(other).await.map_err(disk(name))?;
        let there = self.length(name).await?;
        if other.metadata().await.map_err(disk(name))?.len() != there {
            return Ok(false);
        }
        let mut pieces = self.stream(name, 0..there).await?;
        let mut wanted = Vec::new();
        while let Some(piece) = pieces.try_next().await.map_err(disk(name))? {
            wanted.resize(piece.len(), 0);
            let read = other.read_exact(&mut wanted).await;
            read.map_err(disk(name))?;
            if piece != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Also where the far side says that something is missing: then it is the bucket.
fn unwritten(name: &str) -> impl FnOnce(Error) -> ObjectsError + '_ {
    move |cause| ObjectsError::Store {
        name: name.to_owned(),
        cause,
    }
}

fn part_name() -> String {
    format!("{PARTS}/{}", Uuid::now_v7().simple())
}

/// Puts a whole file into an upload; of an empty one, one part without bytes.
async fn fill(upload: &mut Upload, name: &str, file: &mut File) -> Result<(), ObjectsError> {
    let part_bytes = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    loop {
        let mut part = Vec::new();
        let read = (&mut *file).take(part_bytes).read_to_end(&mut part).await;
        let is_last = read.map_err(disk(name))? < PART_BYTES;
        if !part.is_empty() {
            upload.put(part).await?;
        }
        if is_last {
            return Ok(());
        }
    }
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
            let name = part_name();
            let begun = self.objects.store.put_multipart(&path_of(&name)?).await;
            self.part = Some((name.clone(), begun.map_err(unwritten(&name))?));
        }
        let first = self.first.take();
        let Some((name, upload)) = self.part.as_mut() else {
            return Ok(());
        };
        for bytes in first.into_iter().chain([bytes]) {
            let put = upload.put_part(PutPayload::from(bytes)).await;
            put.map_err(unwritten(name))?;
        }
        Ok(())
    }

    /// Ends the object under its name. When this returns it is durable.
    ///
    /// # Errors
    /// The store failed; then there is no object of that name, unless it was there before.
    pub async fn finish(mut self, name: &str) -> Result<Placed, ObjectsError> {
        let Some((part, mut upload)) = self.part.take() else {
            let bytes = self.first.take().unwrap_or_default();
            return self.objects.put(name, bytes).await;
        };
        if let Err(cause) = upload.complete().await {
            self.part = Some((part.clone(), upload));
            self.abort().await;
            return Err(unwritten(name)(cause));
        }
        self.objects.place(&part, name).await
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
