//! Files that have no end in sight: memory stays small, and what the system does wrong is never taken for
//! the file's fault.

use super::sample::{changed, expect, profile, rows, write};
use payhall::domain::progress::{Progress, Silent};
use payhall::files::{LINE_BYTES_MAX, Profile, Verdict, check};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most memory that all tests of this program may have held at once. The limit of a night's work is
/// 512 MiB.
const MEMORY_MAX_KIB: u64 = 128 * 1_024;

/// A start, and then one piece over and over, up to some length; nothing of it is kept.
struct Endless {
    start: Vec<u8>,
    piece: Vec<u8>,
    bytes: u64,
    at: u64,
}

impl Endless {
    fn new(start: &[u8], piece: &[u8], bytes: u64) -> Self {
        let (start, piece) = (start.to_vec(), piece.to_vec());
        Self {
            start,
            piece,
            bytes,
            at: 0,
        }
    }
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let start = self.start.len() as u64;
        let from = if self.at < start {
            &self.start[self.at as usize..]
        } else {
            let within = (self.at - start) % self.piece.len() as u64;
            &self.piece[within as usize..]
        };
        let left = usize::try_from(self.bytes - self.at).unwrap();
        let length = from.len().min(out.len()).min(left);
        out[..length].copy_from_slice(&from[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(back) => self.bytes.saturating_add_signed(back),
            SeekFrom::Current(on) => self.at.saturating_add_signed(on),
        };
        Ok(self.at)
    }
}

/// The most memory that this program ever held, where the system tells.
fn memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn memory_is_small() {
    if let Some(kib) = memory_kib() {
        assert!(kib < MEMORY_MAX_KIB, "{kib} KiB");
    }
}

fn refused(profile: &Profile, file: impl Read + Seek) -> (u64, String) {
    match check(profile, &expect(), file, &Silent).unwrap() {
        Verdict::Refused(refusal) => (refusal.line, refusal.reason),
        Verdict::Checked(_) => panic!("{}: this was taken", profile.name),
    }
}

#[test]
fn a_line_of_one_gigabyte() {
    for name in ["payhall-csv", "pipe", "wechat", "unionpay-zm"] {
        let (line, reason) = refused(&profile(name), Endless::new(b"", b"x", 1 << 30));
        assert_eq!(line, 1, "{reason}");
        assert!(reason.contains("longer than 65536 bytes"), "{reason}");
    }
    let profile = profile("pipe");
    let (bytes, _) = write(&profile, &rows());
    let (line, _) = refused(&profile, Endless::new(&bytes, b"9", 1 << 30));
    assert_eq!(line, 5);
    memory_is_small();
}

#[test]
fn the_longest_line_that_may_be() {
    let with_note = "[[columns]]\nfield = \"UPSTREAM_REF\"";
    let note = format!("[[columns]]\nname = \"note\"\n\n{with_note}");
    let profile = changed("pipe", with_note, &note);
    let text = String::from_utf8(write(&profile, &rows()[..1]).0).unwrap();
    let (head, row) = text.split_once('\n').unwrap();
    let (flow, rest) = row.split_once('|').unwrap();
    let padded = |bytes: usize| {
        let padding = "x".repeat(bytes - row.trim_end().len());
        format!("{head}\n{flow}|{padding}{rest}")
    };
    let right = padded(LINE_BYTES_MAX);
    assert_eq!(
        super::sample::checked(&profile, right.as_bytes())
            .totals
            .rows(),
        1
    );
    let (line, _) = super::sample::refusal(&profile, padded(LINE_BYTES_MAX + 1).as_bytes());
    assert_eq!(line, 2);
}

/// Hears how far it has come.
#[derive(Default)]
struct Heard(AtomicU64);

impl Progress for Heard {
    fn at(&self, done: u64, _total: Option<u64>) {
        assert!(done >= self.0.swap(done, Ordering::Relaxed), "it went back");
    }
}

/// Many rows in little memory, and progress is told.
#[test]
fn a_file_of_many_rows() {
    let profile = profile("pipe");
    let text = String::from_utf8(write(&profile, &rows()[..1]).0).unwrap();
    let (_, row) = text.split_once('\n').unwrap();
    let rows = 400_000_u64;
    let head = format!("{rows}|{}\n", rows * 12_345);
    let bytes = head.len() as u64 + rows * row.len() as u64;
    let file = Endless::new(head.as_bytes(), row.as_bytes(), bytes);
    let heard = Heard::default();
    match check(&profile, &expect(), file, &heard).unwrap() {
        Verdict::Checked(checked) => assert_eq!(checked.totals.rows(), rows),
        Verdict::Refused(refusal) => panic!("{refusal}"),
    }
    assert_eq!(heard.0.load(Ordering::Relaxed), rows);
    memory_is_small();
}

/// A disk that fails at some byte.
struct Failing {
    file: io::Cursor<Vec<u8>>,
    at: u64,
}

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.at.saturating_sub(self.file.position());
        if left == 0 {
            return Err(io::Error::other("the disk is on fire"));
        }
        let length = out.len().min(usize::try_from(left).unwrap());
        self.file.read(&mut out[..length])
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[test]
fn a_disk_that_fails_is_no_bad_file() {
    let gzip = changed("pipe", "names = ", "packing = \"GZIP\"\nnames = ");
    for profile in [&*profile("payhall-csv"), &gzip, &*profile("alipay-like")] {
        let (bytes, _) = write(profile, &rows());
        for at in [0, 1, 20, bytes.len() as u64 - 1] {
            let file = io::Cursor::new(bytes.clone());
            let found = check(profile, &expect(), Failing { file, at }, &Silent);
            let error = found.expect_err(&profile.name);
            assert!(error.to_string().contains("on fire"), "{error}");
        }
    }
}
