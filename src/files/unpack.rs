//! Unpacks what came: bounded in what comes out, whatever the packed bytes say of themselves.
//!
//! Of a zip, the library only finds the entry; its bytes are read here, so that they can be read on and
//! on from a place that is owned. There has to be one entry. Its name is looked at for tricks and
//! otherwise left alone: nothing is ever written under it.
//!
//! How one could break it: by trusting a size that the file says; by asking the library about a zip whose
//! directory was not looked at before, which it keeps in memory; by leaving it any other directory to find
//! than the one that was looked at.

use super::charset::decode;
use super::profile::{Charset, Packing};
use super::reader::Limits;
use super::stop::{Place, Stop};
use flate2::Crc;
use flate2::bufread::{DeflateDecoder, GzDecoder};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use zip::{CompressionMethod, ZipArchive};

/// What may come out of a packed file whatever its size.
const FREE_BYTES: u64 = 1 << 20;
/// The directory of one entry is never longer.
const DIRECTORY_BYTES_MAX: u32 = 64 * 1_024;
/// The end of a zip that has no comment.
const END_BYTES: usize = 22;
/// How the directory of one entry begins.
const DIRECTORY_BEGINS: &[u8; 4] = b"PK\x01\x02";

/// A file as it comes out of its packing.
#[derive(Debug)]
pub(super) struct Unpacked<F> {
    from: From<F>,
    /// How long the packed bytes are.
    packed_bytes: u64,
    unpacked_bytes: u64,
    limits: Limits,
}

#[derive(Debug)]
enum From<F> {
    Plain(Place<F>),
    Gzip(Box<GzDecoder<BufReader<Place<F>>>>),
    Stored(Entry, Take<Place<F>>),
    Deflated(Entry, Box<DeflateDecoder<BufReader<Take<Place<F>>>>>),
}

/// What the directory of a zip says of its entry.
#[derive(Debug)]
struct Entry {
    start: u64,
    packed_bytes: u64,
    bytes: u64,
    crc32: u32,
    is_deflated: bool,
    crc: Crc,
}

impl<F: Read + Seek> Unpacked<F> {
    /// Opens a file of so many bytes.
    pub fn open(packing: Packing, limits: Limits, mut file: F, bytes: u64) -> Result<Self, Stop> {
        file.seek(SeekFrom::Start(0))?;
        let place = Place::new(file);
        let (from, packed_bytes) = match packing {
            Packing::None => (From::Plain(place), bytes),
            Packing::Gzip => {
                let decoder = GzDecoder::new(BufReader::new(place));
                (From::Gzip(Box::new(decoder)), bytes)
            }
            Packing::Zip => open_zip(place, bytes)?,
        };
        Ok(Self {
            from,
            packed_bytes,
            unpacked_bytes: 0,
            limits,
        })
    }

    /// Reads what comes next; 0 at the end, once everything about the packing was right.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Stop> {
        let read = loop {
            match self.from.read(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return Err(self.from.stop("the packed file is broken", &error)),
        };
        self.from.note(&bytes[..read]);
        self.unpacked_bytes += read as u64;
        let is_packed = !matches!(self.from, From::Plain(_));
        let ratio = self.limits.ratio_max;
        let may = self
            .packed_bytes
            .saturating_mul(ratio)
            .saturating_add(FREE_BYTES);
        if is_packed && self.unpacked_bytes > may {
            let reason = "of its size comes out of the packed file: it is taken for a bomb";
            return Err(Stop::whole(format!("more than {ratio} times {reason}")));
        }
        let most = self.limits.unpacked_bytes_max;
        if self.unpacked_bytes > most {
            return Err(Stop::whole(format!("the file has more than {most} bytes")));
        }
        if read == 0 && !bytes.is_empty() {
            self.from.check_end()?;
        }
        Ok(read)
    }
}

impl<F: Read> From<F> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            From::Plain(place) => place.read(bytes),
            From::Gzip(gzip) => gzip.read(bytes),
            From::Stored(_, entry) => entry.read(bytes),
            From::Deflated(_, entry) => entry.read(bytes),
        }
    }

    fn place(&mut self) -> &mut Place<F> {
        match self {
            From::Plain(place) => place,
            From::Gzip(gzip) => gzip.get_mut().get_mut(),
            From::Stored(_, entry) => entry.get_mut(),
            From::Deflated(_, entry) => entry.get_mut().get_mut().get_mut(),
        }
    }

    fn stop(&mut self, what: &str, error: &dyn std::fmt::Display) -> Stop {
        self.place().stop(what, error)
    }

    /// Takes note of bytes that came out.
    fn note(&mut self, bytes: &[u8]) {
        if let From::Stored(entry, _) | From::Deflated(entry, _) = self {
            entry.crc.update(bytes);
        }
    }

    /// Looks at what can only be looked at when everything came out.
    fn check_end(&mut self) -> Result<(), Stop> {
        match self {
            From::Plain(_) => {}
            From::Gzip(gzip) => {
                let rest = gzip.get_mut().fill_buf().map(<[u8]>::len);
                match rest {
                    Ok(0) => {}
                    Ok(_) => {
                        return Err(Stop::whole("something stands behind the end of the gzip"));
                    }
                    Err(error) => return Err(self.stop("the packed file is broken", &error)),
                }
            }
            From::Stored(entry, _) => entry.check_end(entry.packed_bytes)?,
            From::Deflated(entry, decoder) => entry.check_end(decoder.total_in())?,
        }
        Ok(())
    }
}

impl Entry {
    fn check_end(&self, packed_bytes: u64) -> Result<(), Stop> {
        // The CRC counts its bytes modulo 2^32; what came out is bounded elsewhere.
        let is_right = self.crc.sum() == self.crc32
            && u64::from(self.crc.amount()) == self.bytes & u64::from(u32::MAX)
            && packed_bytes == self.packed_bytes;
        if is_right {
            return Ok(());
        }
        let reason = "the entry of the zip is not what its directory says: length or CRC differ";
        Err(Stop::whole(reason))
    }
}

/// Finds the one entry of a zip.
fn open_zip<F: Read + Seek>(mut place: Place<F>, bytes: u64) -> Result<(From<F>, u64), Stop> {
    look_at_directory(&mut place, bytes)?;
    let mut archive = match ZipArchive::new(&mut place) {
        Ok(archive) => archive,
        Err(error) => return Err(place.stop("this is no zip", &error)),
    };
    let found = find_entry(&mut archive);
    drop(archive);
    let entry = match found {
        Ok(found) => found?,
        Err(error) => return Err(place.stop("the zip is broken", &error)),
    };
    let sought = place.seek(SeekFrom::Start(entry.start));
    sought.map_err(|error| place.stop("the zip is broken", &error))?;
    let packed_bytes = entry.packed_bytes;
    let packed = place.take(packed_bytes);
    let from = if entry.is_deflated {
        let decoder = DeflateDecoder::new(BufReader::new(packed));
        From::Deflated(entry, Box::new(decoder))
    } else {
        From::Stored(entry, packed)
    };
    Ok((from, packed_bytes))
}

/// Looks at where the directory is and how long, before anything reads it whole. The file has to end with
/// the directory's end, without a comment, so that there is only one place to look for it; and right before
/// that has to stand the directory, so that the library looks nowhere else: neither for a ZIP64 directory,
/// which may promise millions of entries, nor for an end that stands earlier in the file.
fn look_at_directory<F: Read + Seek>(place: &mut Place<F>, bytes: u64) -> Result<(), Stop> {
    let Some(start) = bytes.checked_sub(END_BYTES as u64) else {
        return Err(Stop::whole("this is no zip: it is too short"));
    };
    let end: [u8; END_BYTES] = bytes_at(place, start)?;
    let of_two = |from: usize| u16::from_le_bytes([end[from], end[from + 1]]);
    let of_four = |from: usize| u32::from(of_two(from)) | u32::from(of_two(from + 2)) << 16;
    if !end.starts_with(b"PK\x05\x06") || of_two(20) != 0 {
        let reason = "this is no zip, or it is cut off: it does not end with its directory";
        return Err(Stop::whole(reason));
    }
    if (of_two(8), of_two(10)) != (1, 1) {
        let count = of_two(10);
        return Err(Stop::whole(format!(
            "the zip has {count} entries; one is expected"
        )));
    }
    if (of_two(4), of_two(6)) != (0, 0) {
        return Err(Stop::whole("the zip is a part of a larger one"));
    }
    let (size, offset) = (of_four(12), of_four(16));
    if size > DIRECTORY_BYTES_MAX {
        return Err(Stop::whole(
            "the directory of the zip is longer than one entry needs",
        ));
    }
    let is_there = u64::from(offset) + u64::from(size) == start
        && bytes_at(place, u64::from(offset))? == *DIRECTORY_BEGINS;
    if !is_there {
        return Err(Stop::whole(
            "the directory of the zip is not where its end says: something stands before the zip or \
             behind the directory, or it is a ZIP64",
        ));
    }
    Ok(())
}

/// Some bytes of a place.
fn bytes_at<F: Read + Seek, const N: usize>(
    place: &mut Place<F>,
    start: u64,
) -> Result<[u8; N], Stop> {
    let mut bytes = [0; N];
    let sought = place.seek(SeekFrom::Start(start));
    let read = sought.and_then(|_| place.read_exact(&mut bytes));
    read.map_err(|error| place.stop("the zip is broken", &error))?;
    Ok(bytes)
}

/// What the directory says of the entry; an error is the library's, a stop is ours.
fn find_entry<F: Read + Seek>(
    archive: &mut ZipArchive<F>,
) -> Result<Result<Entry, Stop>, zip::result::ZipError> {
    if archive.len() != 1 {
        return Ok(Err(Stop::whole("the zip has not exactly one entry")));
    }
    let file = archive.by_index_raw(0)?;
    if let Some(reason) = bad_name(file.name_raw()) {
        return Ok(Err(Stop::whole(format!("the entry of the zip {reason}"))));
    }
    if file.encrypted() {
        return Ok(Err(Stop::whole("the entry of the zip is encrypted")));
    }
    let is_deflated = match file.compression() {
        CompressionMethod::Stored => false,
        CompressionMethod::Deflated => true,
        other => {
            let reason = format!("the entry of the zip is packed by {other}, not by deflate");
            return Ok(Err(Stop::whole(reason)));
        }
    };
    let (Some(start), 0) = (file.data_start(), file.header_start()) else {
        return Ok(Err(Stop::whole(
            "something stands before the entry of the zip",
        )));
    };
    Ok(Ok(Entry {
        start,
        packed_bytes: file.compressed_size(),
        bytes: file.size(),
        crc32: file.crc32(),
        is_deflated,
        crc: Crc::new(),
    }))
}

/// What is wrong with the name of an entry. In GBK a `\` may be half of a character, so it is decoded
/// first.
fn bad_name(bytes: &[u8]) -> Option<String> {
    let mut name = String::new();
    let is_said = [Charset::Utf8, Charset::Gbk]
        .iter()
        .any(|charset| decode(*charset, bytes, &mut name));
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | ':');
    let is_plain = is_said && name.chars().all(is_plain) && name != "." && name != "..";
    match (name.chars().count(), is_plain) {
        (1..=255, true) => None,
        _ => Some(format!(
            "is called {:?}, which is no plain file's name",
            name.chars().take(64).collect::<String>()
        )),
    }
}
