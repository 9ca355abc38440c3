//! The store in a folder. In a bucket: `tests/buckets`.

use super::upload::PARTS;
use super::*;
use futures_util::StreamExt;
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

async fn all(objects: &Objects, name: &str, range: Range<u64>) -> Vec<u8> {
    let pieces = objects.stream(name, range).await.unwrap();
    let pieces: Vec<_> = pieces.map(Result::unwrap).collect().await;
    pieces.concat()
}

/// Every file in a folder, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_object_appears_whole_and_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file:{}/files", folder.path().display());
    let objects = Objects::open(&url).unwrap();
    let put = async |text: &str| objects.put("a/b.csv", text.into()).await.unwrap();
    assert_eq!(put("one").await, Placed::New);
    assert_eq!(put("two").await, Placed::Taken);
    assert_eq!(objects.read("a/b.csv").await.unwrap(), b"one");
    assert_eq!(objects.length("a/b.csv").await.unwrap(), 3);
    assert_eq!(all(&objects, "a/b.csv", 1..3).await, b"ne");
    assert_eq!(all(&objects, "a/b.csv", 1..1).await, b"");
    let missing = objects.read("a/c.csv").await.unwrap_err();
    assert!(matches!(missing, ObjectsError::Missing(_)), "{missing}");
    assert_eq!(files(folder.path()), ["files/a/b.csv"], "and no part");
    objects.remove("a/b.csv").await.unwrap();
    objects.remove("a/b.csv").await.unwrap();
    assert!(objects.read("a/b.csv").await.is_err());
}

#[tokio::test]
async fn a_large_object_gets_its_name_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::folder(folder.path()).unwrap();
    let parts = [vec![1; PART_BYTES], vec![2; PART_BYTES], vec![3; 10]];
    for placed in [Placed::New, Placed::Taken] {
        let mut upload = objects.begin();
        for part in &parts {
            upload.put(part.clone()).await.unwrap();
        }
        assert!(objects.read("big").await.is_ok() || !folder.path().join("big").exists());
        assert_eq!(upload.finish("big").await.unwrap(), placed);
        assert_eq!(objects.read("big").await.unwrap(), parts.concat());
    }
    let mut given_up = objects.begin();
    for part in &parts {
        given_up.put(part.clone()).await.unwrap();
    }
    given_up.abort().await;
    assert_eq!(files(folder.path()), ["big"], "no part is left behind");
}

#[tokio::test]
async fn a_file_is_kept_once_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::folder(&dir.path().join("files")).unwrap();
    let from = dir.path().join("from");
    let name = "partner/bank/v1.csv";
    let long = |first: u8| {
        let mut bytes = vec![7; PART_BYTES + 1];
        bytes[PART_BYTES] = first;
        bytes
    };
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
        let mut kept = objects.file(name, bytes).unwrap();
        let mut read = Vec::new();
        kept.read_to_end(&mut read).unwrap();
        assert!(read == one, "it is as it was kept first");
        assert_eq!(files(&dir.path().join("files")), [name], "and no part");
        objects.remove(name).await.unwrap();
    }
    let missing = objects.file(name, 1).unwrap_err();
    assert!(matches!(missing, ObjectsError::Missing(_)), "{missing}");
}

#[tokio::test]
async fn many_at_once_keep_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::folder(&dir.path().join("files")).unwrap();
    let keep = |number: usize| {
        let (objects, from) = (objects.clone(), dir.path().join(number.to_string()));
        std::fs::write(&from, format!("by {number}")).unwrap();
        tokio::spawn(async move { objects.keep("a/one", &from).await.is_ok() })
    };
    let keepers: Vec<_> = (0..8).map(keep).collect();
    let mut kept = 0;
    for keeper in keepers {
        kept += usize::from(keeper.await.unwrap());
    }
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_name_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::folder(dir.path()).unwrap();
    for bad in [
        "../a", "a/../b", "/etc/a", "a//b", "a/.b", "a b", "水", "", "a#1",
    ] {
        assert!(objects.file(bad, 9).is_err(), "{bad:?}");
        for error in [
            objects.keep(bad, dir.path()).await.unwrap_err(),
            objects.put(bad, Vec::new()).await.unwrap_err(),
            objects.read(bad).await.unwrap_err(),
        ] {
            assert!(matches!(error, ObjectsError::Name(_)), "{error}");
        }
    }
}

#[tokio::test]
async fn what_a_dead_writer_left_is_swept_away_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::folder(folder.path()).unwrap();
    assert_eq!(objects.sweep(Duration::ZERO).await, 0);
    objects.put("a/b.csv", b"one".to_vec()).await.unwrap();
    let part = "0193a5c3d1f27c3e8a6f0123456789ab";
    let left = [part.to_owned(), format!("{part}#1")];
    let stay = ["parts/notes.txt", "parts/notes#1", "a/report#1"];
    for path in left.iter().map(|name| format!("{PARTS}/{name}")) {
        std::fs::write(folder.path().join(path), "half").unwrap();
    }
    for path in stay {
        std::fs::write(folder.path().join(path), "of somebody").unwrap();
    }
    assert_eq!(objects.sweep(Duration::from_secs(3_600)).await, 0);
    assert_eq!(objects.sweep(Duration::ZERO).await, 2);
    let mut stayed = vec!["a/b.csv", "a/report#1", "parts/notes#1", "parts/notes.txt"];
    stayed.sort_unstable();
    assert_eq!(files(folder.path()), stayed);
}

#[tokio::test]
async fn whoever_only_reads_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("files");
    let url = folder.display().to_string();
    let none = Objects::to_read(&url).unwrap();
    let missing = none.file("a", 1).unwrap_err();
    assert!(matches!(missing, ObjectsError::Missing(_)), "{missing}");
    assert!(!folder.exists());
    let objects = Objects::open(&url).unwrap();
    objects.put("a", b"one".to_vec()).await.unwrap();
    assert!(Objects::to_read(&url).unwrap().file("a", 3).is_ok());
    let error = Objects::to_read(&folder.join("a").display().to_string()).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[test]
fn a_place_that_is_none_is_named() {
    for url in ["", "file:", "ftp://host/dir"] {
        let error = Objects::open(url).unwrap_err();
        assert!(error.to_string().contains("is no place"), "{error}");
    }
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_bucket_needs_its_feature() {
    let error = Objects::open("s3://bucket/files").unwrap_err();
    assert!(error.to_string().contains("the feature s3"), "{error}");
}
