//! Response bodies: small ones, and the two that want to fill the reader's memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// A beginning, the same piece many times, and an end.
#[derive(Debug, Default)]
pub(super) struct SimBody {
    head: Bytes,
    filler: Bytes,
    fillers_left: usize,
    tail: Bytes,
}

const FILLER_BYTES: usize = 1 << 16;
static FILLER: [u8; FILLER_BYTES] = [b'a'; FILLER_BYTES];

impl SimBody {
    /// Just these bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            head: bytes.into(),
            ..Self::default()
        }
    }

    /// A JSON object with one very long text in it. `object` is the object without that text.
    pub fn huge(object: &[u8], megabytes: usize) -> Self {
        let open = object.strip_suffix(b"}").unwrap_or(object);
        Self {
            head: [open, b",\"padding\":\""].concat().into(),
            filler: Bytes::from_static(&FILLER),
            fillers_left: megabytes * ((1 << 20) / FILLER_BYTES),
            tail: Bytes::from_static(b"\"}"),
        }
    }

    /// About 7 MB of gzip that unpack to a gigabyte of JSON.
    ///
    /// Each 13 bits say "the last byte again, 258 times". Eight of them are 13 bytes, so the
    /// stream repeats itself from byte to byte and one piece can be sent over and over. The
    /// checksum at the end is left out: who gets there has unpacked the gigabyte already.
    pub fn gzip_bomb() -> Self {
        const REPEATS_A_FILLER: usize = 8 * 5_000;
        const FILLERS: usize = 104;
        let mut bits = Bits {
            bytes: b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(),
            used: 0,
        };
        bits.low_first(0b011, 3); // the last block, packed with the fixed code
        for byte in b"{\"status\":1,\"padding\":\"a" {
            bits.high_first(u32::from(*byte) + 0x30, 8);
        }
        for _ in 0..REPEATS_A_FILLER + 16 {
            bits.high_first(0b1100_0101, 8); // a length of 258
            bits.high_first(0, 5); // a distance of 1
        }
        let mut bytes = bits.bytes;
        bytes.pop(); // perhaps not full
        let mut head = Bytes::from(bytes);
        let filler = head.split_off(head.len() - REPEATS_A_FILLER * 13 / 8);
        Self {
            head,
            filler,
            fillers_left: FILLERS,
            tail: Bytes::new(),
        }
    }
}

/// Writes bits, the lowest bit of a byte first, as deflate wants it.
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 1 << self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    fn low_first(&mut self, value: u32, count: u32) {
        (0..count).for_each(|at| self.bit(value >> at & 1 == 1));
    }

    fn high_first(&mut self, value: u32, count: u32) {
        (0..count)
            .rev()
            .for_each(|at| self.bit(value >> at & 1 == 1));
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = if !self.head.is_empty() {
            std::mem::take(&mut self.head)
        } else if self.fillers_left > 0 {
            self.fillers_left -= 1;
            self.filler.clone()
        } else if !self.tail.is_empty() {
            std::mem::take(&mut self.tail)
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.fillers_left == 0 && self.tail.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.fillers_left == 0 {
            SizeHint::with_exact((self.head.len() + self.tail.len()) as u64)
        } else {
            SizeHint::default()
        }
    }
}
