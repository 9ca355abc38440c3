//! Packed files that want more than they are worth, or to be somewhere else.

use super::sample::{changed, checked, profile, refusal, rows, write};
use flate2::Compression;
use flate2::write::GzEncoder;
use payhall::files::Profile;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn zipped() -> Profile {
    let to = "packing = \"ZIP\"\nentry_name = \"a.csv\"\nnames = ";
    changed("pipe", "names = ", to)
}

fn gzipped() -> Profile {
    changed("pipe", "names = ", "packing = \"GZIP\"\nnames = ")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zip_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn place_of_directory(zip: &[u8]) -> usize {
    let mut fours = zip.windows(4);
    fours.position(|four| four == b"PK\x01\x02").unwrap()
}

fn right() -> Vec<u8> {
    write(&profile("pipe"), &rows()).0
}

const DEFLATED: CompressionMethod = CompressionMethod::Deflated;
const STORED: CompressionMethod = CompressionMethod::Stored;

#[test]
fn right_files_of_other_tools() {
    let right = right();
    for packed in [
        zip_of(&[("a.txt", &right)], DEFLATED),
        zip_of(&[("a.txt", &right)], STORED),
        zip_of(&[("账单.txt", &right)], DEFLATED),
    ] {
        assert_eq!(checked(&zipped(), &packed).totals.rows(), 3);
    }
    assert_eq!(checked(&gzipped(), &gzip(&right)).totals.rows(), 3);
}

#[test]
fn names_that_would_be_paths() {
    let right = right();
    for name in [
        "../a.txt",
        "/etc/passwd",
        "a/b.txt",
        "..\\a.txt",
        "C:a.txt",
        "..",
        ".",
        "a\u{0}b",
        "a\nb",
    ] {
        let (line, reason) = refusal(&zipped(), &zip_of(&[(name, &right)], DEFLATED));
        assert_eq!(line, 0, "{reason}");
        assert!(
            reason.contains("no plain file's name"),
            "{name:?}: {reason}"
        );
    }
}

#[test]
fn zips_that_are_not_one_entry() {
    let right = right();
    let zip = |entries: &[(&str, &[u8])]| zip_of(entries, DEFLATED);
    let one = zip(&[("a.txt", &right)]);
    let mut folder = ZipWriter::new(Cursor::new(Vec::new()));
    folder
        .add_directory("a", SimpleFileOptions::default())
        .unwrap();
    let folder = folder.finish().unwrap().into_inner();
    let mut twice = one.clone();
    twice.extend_from_slice(&one);
    let mut before = b"MZ....".to_vec();
    before.extend_from_slice(&one);
    let mut behind = one.clone();
    behind.push(b'x');
    let mut flipped = one.clone();
    flipped[60] ^= 0x55;
    for (packed, reason) in [
        (zip(&[]), "0 entries"),
        (zip(&[("a.txt", &right), ("b.txt", &right)]), "2 entries"),
        (folder, "plain file's name"),
        (twice, "stands before"),
        (before, "stands before"),
        (behind, "no zip, or it is cut off"),
        (flipped, ""),
        (right.clone(), "no zip"),
        (Vec::new(), "too short"),
        (gzip(&right), "no zip"),
    ] {
        let (_, found) = refusal(&zipped(), &packed);
        assert!(found.contains(reason), "{reason}: {found}");
    }
}

#[test]
fn a_zip_whose_directory_lies() {
    let right = right();
    let packed = zip_of(&[("a.txt", &right)], STORED);
    let directory = place_of_directory(&packed);
    // CRC, packed length, length, method.
    for at in [16, 20, 24, 10] {
        let mut lies = packed.clone();
        lies[directory + at] ^= 1;
        let (_, reason) = refusal(&zipped(), &lies);
        assert!(!reason.is_empty());
    }
    // 65,535 entries, so they say.
    let mut many = packed.clone();
    let end = many.len() - 22;
    many[end + 8..end + 12].fill(0xff);
    let (_, reason) = refusal(&zipped(), &many);
    assert!(reason.contains("65535 entries"), "{reason}");
}

/// How many entries a lie promises.
const MILLIONS: u64 = 5_000_000;

/// The end of a zip whose directory stands somewhere, as its ZIP64 record says, behind which it stands.
fn end_by_zip64(record_at: usize, directory_at: usize, size: u64) -> Vec<u8> {
    let mut end = b"PK\x06\x06".to_vec();
    end.extend_from_slice(&44u64.to_le_bytes());
    end.extend_from_slice(&[45, 0, 45, 0]);
    end.extend_from_slice(&[0; 8]);
    let directory_at = u64::try_from(directory_at).unwrap();
    for number in [MILLIONS, MILLIONS, size, directory_at] {
        end.extend_from_slice(&number.to_le_bytes());
    }
    end.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    end.extend_from_slice(&u64::try_from(record_at).unwrap().to_le_bytes());
    end.extend_from_slice(&1u32.to_le_bytes());
    end.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    end.extend_from_slice(&46u32.to_le_bytes());
    end.extend_from_slice(&u32::MAX.to_le_bytes());
    end.extend_from_slice(&[0, 0]);
    end
}

#[test]
fn a_zip64_that_promises_millions_of_entries() {
    let one = zip_of(&[("a.txt", &right())], STORED);
    let (end, directory) = (one.len() - 22, place_of_directory(&one));
    let mut packed = one[..end].to_vec();
    packed.extend_from_slice(&end_by_zip64(end, directory, 46 * MILLIONS));
    let (line, reason) = refusal(&zipped(), &packed);
    assert!(reason.contains("or it is a ZIP64"), "{line}: {reason}");

    // The same behind an end that is right but for one thing: nobody looks for an earlier one.
    let hidden = packed;
    let size = u32::try_from(end - directory).unwrap();
    for (disk, directory, reason) in [
        (1, &one[directory..end], "a part of a larger one"),
        (
            0,
            &vec![0; end - directory][..],
            "is not where its end says",
        ),
    ] {
        let mut packed = hidden.clone();
        let at = u32::try_from(packed.len()).unwrap();
        packed.extend_from_slice(directory);
        packed.extend_from_slice(b"PK\x05\x06");
        packed.extend_from_slice(&[disk, 0, 0, 0, 1, 0, 1, 0]);
        packed.extend_from_slice(&size.to_le_bytes());
        packed.extend_from_slice(&at.to_le_bytes());
        packed.extend_from_slice(&[0, 0]);
        let (_, found) = refusal(&zipped(), &packed);
        assert!(found.contains(reason), "{reason}: {found}");
    }
}

#[test]
fn gzips_that_are_not_one_member() {
    let right = right();
    let one = gzip(&right);
    let mut twice = one.clone();
    twice.extend_from_slice(&one);
    let mut wrong_crc = one.clone();
    let end = wrong_crc.len();
    wrong_crc[end - 8] ^= 1;
    for (packed, reason) in [
        (twice, "behind the end of the gzip"),
        (wrong_crc, "broken"),
        (one[..end - 3].to_vec(), "broken"),
        (right, "broken"),
        (Vec::new(), ""),
    ] {
        let (_, found) = refusal(&gzipped(), &packed);
        assert!(found.contains(reason), "{reason}: {found}");
    }
}

/// The same right row over and over: it packs to less than a 100th.
fn bomb() -> Vec<u8> {
    let right = String::from_utf8(right()).unwrap();
    let row = right.lines().nth(2).unwrap();
    let mut bomb = b"9|9\n".to_vec();
    bomb.extend_from_slice(format!("{row}\n").repeat(200_000).as_bytes());
    bomb
}

#[test]
fn bombs_are_not_unpacked() {
    let bomb = bomb();
    let packed = zip_of(&[("a.txt", &bomb)], DEFLATED);
    assert!(packed.len() * 100 < bomb.len(), "this is no bomb");
    let (_, reason) = refusal(&zipped(), &packed);
    assert!(reason.contains("100 times"), "{reason}");
    let (_, reason) = refusal(&gzipped(), &gzip(&bomb));
    assert!(reason.contains("100 times"), "{reason}");
}

#[test]
fn more_than_a_file_may_have() {
    use payhall::files::{Expect, Limits, Verdict, check};
    let right = right();
    let limits = Limits {
        unpacked_bytes_max: right.len() as u64 - 1,
        ..Limits::default()
    };
    let expect = Expect {
        limits,
        ..super::sample::expect()
    };
    let progress = payhall::domain::progress::Silent;
    let found = check(&profile("pipe"), &expect, Cursor::new(&right), &progress).unwrap();
    assert!(matches!(&found, Verdict::Refused(refusal) if refusal.reason.contains("more than")));
}
