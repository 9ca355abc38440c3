//! A file that can be handed out, whole or in stretches, wherever it is kept.

use crate::output::{Objects, ObjectsError};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::ops::Range;

/// How much of a file on the shelf is read at once.
const PIECE_BYTES: u64 = 256 * 1_024;

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
    /// In the store of statements.
    Object(Objects, String),
    /// In a file that is open.
    File(File),
    /// Here, because they are few.
    Here(Vec<u8>),
}

impl Document {
    /// The bytes of a stretch of it, piece by piece.
    ///
    /// # Errors
    /// The store of statements failed; later ones come with the pieces.
    pub async fn stream(
        self,
        range: Range<u64>,
    ) -> std::result::Result<BoxStream<'static, Result<Vec<u8>>>, ObjectsError> {
        match self.held {
            Held::Object(objects, object) => objects.stream(&object, range).await,
            Held::File(file) => Ok(pieces(file, range).boxed()),
            Held::Here(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                let piece = bytes.get(place(range.start)..place(range.end));
                let piece = piece.unwrap_or_default().to_vec();
                Ok(futures_util::stream::iter([Ok(piece)]).boxed())
            }
        }
    }
}

/// Reads a stretch of a file, each piece when it is asked for, on a thread that may block.
fn pieces(
    file: File,
    range: Range<u64>,
) -> impl futures_util::Stream<Item = Result<Vec<u8>>> + Send + 'static {
    try_unfold((file, range), |(mut file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let end = range.end.min(range.start.saturating_add(PIECE_BYTES));
        let read = tokio::task::spawn_blocking(move || {
            let length = end - range.start;
            file.seek(SeekFrom::Start(range.start))?;
            let mut piece = Vec::new();
            Read::by_ref(&mut file)
                .take(length)
                .read_to_end(&mut piece)?;
            if u64::try_from(piece.len()).is_ok_and(|read| read == length) {
                return Ok((piece, (file, end..range.end)));
            }
            Err(Error::new(ErrorKind::UnexpectedEof, "the file is cut off"))
        });
        read.await.map_err(Error::other)?.map(Some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;
    use std::io::Write;

    #[tokio::test]
    async fn a_file_comes_in_pieces_and_one_that_was_cut_off_ends_with_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        file.write_all(&bytes).unwrap();
        let read = async |range: Range<u64>| {
            let stream = pieces(file.try_clone().unwrap(), range);
            let read: Result<Vec<Vec<u8>>> = stream.try_collect().await;
            read.map(|pieces| (pieces.len(), pieces.concat()))
        };
        assert_eq!(read(0..600_000).await.unwrap(), (3, bytes.clone()));
        let middle = read(5..300_000).await.unwrap();
        assert_eq!(middle, (2, bytes[5..300_000].to_vec()));
        assert_eq!(read(7..7).await.unwrap(), (0, Vec::new()));
        let cut = read(599_999..600_001).await.unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
    }
}
