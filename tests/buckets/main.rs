//! Files in a bucket: of a server that speaks S3 and that nobody here wrote, for each way in which buckets
//! differ. What is kept in one is held by the tests of what is kept.

#![cfg(feature = "s3")]

#[path = "../support/mod.rs"]
mod support;

use futures_util::TryStreamExt;
use payhall::output::{Objects, ObjectsError, PART_BYTES, Placed};
use std::io::Read;
use std::ops::Range;
use std::time::Duration;
use support::bucket::in_a_bucket;

#[test]
fn a_bucket_keeps_files() {
    in_a_bucket("a_bucket_keeps_files", &[], keeps_files);
}

#[test]
fn a_bucket_that_copies_on_a_condition_keeps_files() {
    let test = "a_bucket_that_copies_on_a_condition_keeps_files";
    let can = [("AWS_COPY_IF_NOT_EXISTS", "multipart")];
    in_a_bucket(test, &can, keeps_files);
}

#[test]
fn a_bucket_that_puts_on_no_condition_keeps_files() {
    let test = "a_bucket_that_puts_on_no_condition_keeps_files";
    let cannot = [("AWS_CONDITIONAL_PUT", "disabled")];
    in_a_bucket(test, &cannot, keeps_files);
}

#[test]
fn a_bucket_that_does_not_answer_is_a_fault_and_no_empty_bucket() {
    let test = "a_bucket_that_does_not_answer_is_a_fault_and_no_empty_bucket";
    // Nobody listens there.
    let gone = [("AWS_ENDPOINT", "http://127.0.0.1:1")];
    in_a_bucket(test, &gone, |url| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let objects = Objects::open(url).unwrap();
        let from = tempfile::NamedTempFile::new().unwrap();
        let errors = runtime.block_on(async {
            [
                objects.length("a").await.unwrap_err(),
                objects.put("a", Vec::new()).await.unwrap_err(),
                objects.keep("a", from.path()).await.unwrap_err(),
                objects.file("a", 1).unwrap_err(),
            ]
        });
        for error in errors {
            assert!(matches!(error, ObjectsError::Store { .. }), "{error:?}");
        }
    });
}

fn keeps_files(url: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let objects = Objects::open(url).unwrap();
    runtime.block_on(async {
        small(&objects).await;
        large(&objects).await;
        kept(&objects).await;
        swept(&objects).await;
        // Wherever it is called from.
        objects.put("a", b"one".to_vec()).await.unwrap();
        assert_eq!(whole(objects.file("a", 3).unwrap()), b"one");
    });
    let nobodys = Objects::open("s3://nobodys/files").unwrap();
    let error = runtime.block_on(nobodys.put("a", b"one".to_vec()));
    assert!(
        matches!(error, Err(ObjectsError::Store { .. })),
        "{error:?}"
    );
    let again = Objects::to_read(url).unwrap();
    assert_eq!(whole(again.file("a", 3).unwrap()), b"one");
}

fn whole(mut file: std::fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

async fn stretch(objects: &Objects, name: &str, range: Range<u64>) -> Vec<u8> {
    let pieces = objects.stream(name, range).await.unwrap();
    let pieces: Vec<Vec<u8>> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

fn is_missing(error: &ObjectsError) -> bool {
    matches!(error, ObjectsError::Missing(_))
}

async fn small(objects: &Objects) {
    let name = "statements/2026-11-22/merchant/=portal/b.csv";
    let missing = [
        objects.read(name).await.err(),
        objects.length(name).await.err(),
        objects.stream(name, 0..1).await.err(),
        objects.file(name, 1).err(),
    ];
    for error in missing {
        assert!(error.as_ref().is_some_and(is_missing), "{error:?}");
    }
    let put = async |text: &str| objects.put(name, text.into()).await.unwrap();
    assert_eq!(put("one").await, Placed::New);
    assert_eq!(put("two").await, Placed::Taken);
    assert_eq!(objects.read(name).await.unwrap(), b"one");
    assert_eq!(objects.length(name).await.unwrap(), 3);
    assert_eq!(stretch(objects, name, 0..3).await, b"one");
    assert_eq!(stretch(objects, name, 1..2).await, b"n");
    assert_eq!(stretch(objects, name, 2..2).await, b"");
    let past = objects.stream(name, 1..9).await.unwrap();
    let past: Result<Vec<Vec<u8>>, _> = past.try_collect().await;
    assert!(past.is_err(), "an object that was cut off is no whole one");
    objects.remove(name).await.unwrap();
    objects.remove(name).await.unwrap();
    assert!(is_missing(&objects.read(name).await.unwrap_err()));
}

/// Bytes of two parts and a bit; nowhere the same for long.
fn long(seed: u32) -> Vec<u8> {
    let words = u32::try_from(PART_BYTES / 2).unwrap() + 3;
    (0..words)
        .flat_map(|n| {
            n.wrapping_mul(2_654_435_761)
                .wrapping_add(seed)
                .to_le_bytes()
        })
        .collect()
}

async fn large(objects: &Objects) {
    let bytes = long(1);
    for placed in [Placed::New, Placed::Taken] {
        let mut upload = objects.begin();
        for part in bytes.chunks(PART_BYTES) {
            upload.put(part.to_vec()).await.unwrap();
        }
        assert_eq!(upload.finish("big").await.unwrap(), placed);
    }
    let end = u64::try_from(bytes.len()).unwrap();
    assert_eq!(objects.length("big").await.unwrap(), end);
    assert!(stretch(objects, "big", 0..end).await == bytes);
    let (from, to) = (PART_BYTES - 7, 2 * PART_BYTES + 1);
    let (start, stop) = (u64::try_from(from).unwrap(), u64::try_from(to).unwrap());
    assert!(stretch(objects, "big", start..stop).await == bytes[from..to]);
    let mut given_up = objects.begin();
    for part in bytes.chunks(PART_BYTES) {
        given_up.put(part.to_vec()).await.unwrap();
    }
    given_up.abort().await;
    assert_eq!(objects.sweep(Duration::ZERO).await, 0, "no part is left");
    objects.remove("big").await.unwrap();
}

async fn kept(objects: &Objects) {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    let name = "partner/bank/2026-11-22/v1.flows.csv";
    for (one, other) in [
        (b"one".to_vec(), b"two".to_vec()),
        (Vec::new(), b"two".to_vec()),
        (long(1), long(2)),
    ] {
        std::fs::write(&from, &one).unwrap();
        objects.keep(name, &from).await.unwrap();
        objects.keep(name, &from).await.unwrap();
        std::fs::write(&from, &other).unwrap();
        let taken = objects.keep(name, &from).await.unwrap_err();
        assert!(matches!(taken, ObjectsError::Taken(_)), "{taken}");
        let bytes = u64::try_from(one.len()).unwrap();
        assert!(whole(objects.file(name, bytes).unwrap()) == one);
        // Longer than it should be: so much of it that one sees that.
        if let Some(fewer) = bytes.checked_sub(2) {
            let brought = whole(objects.file(name, fewer).unwrap());
            assert_eq!(brought.len(), one.len() - 1);
        }
        objects.remove(name).await.unwrap();
    }
    assert_eq!(objects.sweep(Duration::ZERO).await, 0, "no part is left");
}

async fn swept(objects: &Objects) {
    let part = "parts/0193a5c3d1f27c3e8a6f0123456789ab";
    for name in [part, "parts/of-somebody", "statements/one"] {
        objects.put(name, b"half".to_vec()).await.unwrap();
    }
    assert_eq!(objects.sweep(Duration::from_secs(3_600)).await, 0);
    assert_eq!(objects.sweep(Duration::ZERO).await, 1);
    assert!(is_missing(&objects.read(part).await.unwrap_err()));
    for name in ["parts/of-somebody", "statements/one"] {
        assert_eq!(objects.read(name).await.unwrap(), b"half");
    }
}
