//! What bytes go through on their way out: packing, then counting and hashing. Packed files hold no
//! time and no name of a machine, so that the same rows give the same bytes.

use super::profile::Packing;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

/// gzip's code for a system that nobody knows.
const NO_SYSTEM: u8 = 255;

/// Counts and hashes what goes through.
#[derive(Debug)]
pub(super) struct Counted<W> {
    out: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Counted<W> {
    pub fn new(out: W) -> Self {
        let hash = Sha256::new();
        Self {
            out,
            bytes: 0,
            hash,
        }
    }

    /// How many bytes went through, their SHA-256, and what they went to.
    pub fn end(self) -> (u64, [u8; 32], W) {
        (self.bytes, self.hash.finalize().into(), self.out)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Packs what goes through.
pub(super) enum Packer<W: Write> {
    None(Counted<W>),
    Gzip(Box<GzEncoder<Counted<W>>>),
    Zip(Box<ZipWriter<StreamWriter<Counted<W>>>>),
}

impl<W: Write> std::fmt::Debug for Packer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Packer::None(_) => "Packer::None",
            Packer::Gzip(_) => "Packer::Gzip",
            Packer::Zip(_) => "Packer::Zip",
        })
    }
}

impl<W: Write> Packer<W> {
    /// `entry_name` is needed for a zip only.
    pub fn begin(packing: Packing, entry_name: &str, out: W) -> io::Result<Self> {
        let out = Counted::new(out);
        Ok(match packing {
            Packing::None => Packer::None(out),
            Packing::Gzip => {
                let builder = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM);
                Packer::Gzip(Box::new(builder.write(out, Compression::default())))
            }
            Packing::Zip => {
                let mut zip = ZipWriter::new_stream(out);
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Deflated)
                    .unix_permissions(0o644)
                    .last_modified_time(DateTime::default());
                zip.start_file(entry_name, options)?;
                Packer::Zip(Box::new(zip))
            }
        })
    }

    /// Writes what is left of the packing.
    pub fn end(self) -> io::Result<Counted<W>> {
        let mut out = match self {
            Packer::None(out) => out,
            Packer::Gzip(gzip) => gzip.finish()?,
            Packer::Zip(zip) => zip.finish()?.into_inner(),
        };
        out.flush()?;
        Ok(out)
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packer::None(out) => out.write(bytes),
            Packer::Gzip(gzip) => gzip.write(bytes),
            Packer::Zip(zip) => zip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packer::None(out) => out.flush(),
            Packer::Gzip(gzip) => gzip.flush(),
            Packer::Zip(zip) => zip.flush(),
        }
    }
}
