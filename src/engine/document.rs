//! A file that can be handed out, whole or in stretches, wherever it is kept.

use crate::output::{Objects, ObjectsError};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::io::Result;
use std::ops::Range;

/// A file that can be handed out.
#[derive(Debug)]
pub struct Document {
    /// What it is called where it is saved.
    pub file_name: String,
    /// What kind of file it is.
    pub media_type: String,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
    pub(super) held: Held,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Held {
    /// In the store of files.
    Object(Objects, String),
    /// Here, because they are few.
    Here(Vec<u8>),
}

impl Document {
    /// The bytes of a stretch of it, piece by piece.
    ///
    /// # Errors
    /// The store of files failed; later ones come with the pieces.
    pub async fn stream(
        self,
        range: Range<u64>,
    ) -> std::result::Result<BoxStream<'static, Result<Vec<u8>>>, ObjectsError> {
        match self.held {
            Held::Object(objects, object) => objects.stream(&object, range).await,
            Held::Here(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                let piece = bytes.get(place(range.start)..place(range.end));
                let piece = piece.unwrap_or_default().to_vec();
                Ok(futures_util::stream::iter([Ok(piece)]).boxed())
            }
        }
    }
}
