//! What all layouts write with: lines, amounts, the end in the middle of one, and the zip around it.

use std::io::{Cursor, Write};

use chrono::{DateTime, Utc};
use chrono_tz::{Asia, Tz};
use encoding_rs::GBK;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An amount with its point: `12.05`.
pub(super) fn yuan(minor: i128) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

/// A time in Shanghai, whatever zone the partner's days go by: these layouts know no other.
pub(super) fn shanghai(at: DateTime<Utc>) -> DateTime<Tz> {
    at.with_timezone(&Asia::Shanghai)
}

/// A text without these characters, for layouts in which nothing can be quoted.
pub(super) fn plain(text: &str, without: &[char]) -> String {
    text.replace(without, "?")
}

/// The text in GBK; what is written here has no character that GBK lacks.
pub(super) fn gbk(text: &str) -> Vec<u8> {
    GBK.encode(text).0.into_owned()
}

/// The SHA-256 in hexadecimal digits.
pub(in crate::sim::files) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |hex, byte| {
            hex + &format!("{byte:02x}")
        })
}

/// Ends the file in the middle of a line, counted from 1; of the last one, if there are fewer.
pub(super) fn cut(bytes: &mut Vec<u8>, line: usize) {
    let mut start = 0;
    let mut length = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n').take(line) {
        start += length;
        length = line.len();
    }
    bytes.truncate(start + length / 2);
}

/// A zip of these files. No time is in it, so that the same files are the same bytes.
pub(super) fn zipped(files: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, options)
            .map_err(|error| error.to_string())?;
        zip.write_all(bytes).map_err(|error| error.to_string())?;
    }
    let done = zip.finish().map_err(|error| error.to_string())?;
    Ok(done.into_inner())
}
