//! Characters as bytes and back.

use super::profile::Charset;
use encoding_rs::{Decoder, DecoderResult, Encoder, EncoderResult, Encoding, GB18030, GBK, UTF_8};

impl Charset {
    /// The library's encoding.
    fn encoding(self) -> &'static Encoding {
        match self {
            Charset::Utf8 => UTF_8,
            Charset::Gb18030 => GB18030,
            Charset::Gbk => GBK,
        }
    }
}

/// Whether an encoding has bytes for every character of a text.
pub(super) fn can_say(charset: Charset, text: &str) -> bool {
    let (_, _, had_errors) = charset.encoding().encode(text);
    !had_errors
}

/// Writes a text behind what is there, with `?` for each character that the encoding cannot say, and
/// says how many those are.
pub(super) fn push_encoded(charset: Charset, text: &str, out: &mut Vec<u8>) -> u64 {
    if charset == Charset::Utf8 || text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        return 0;
    }
    let mut encoder: Encoder = charset.encoding().new_encoder();
    let (mut rest, mut replaced) = (text, 0);
    loop {
        let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
        let start = out.len();
        out.resize(start + room.unwrap_or(rest.len() * 4), 0);
        let (result, read, written) =
            encoder.encode_from_utf8_without_replacement(rest, &mut out[start..], true);
        out.truncate(start + written);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return replaced,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => {
                out.push(b'?');
                replaced += 1;
            }
        }
    }
}

/// Decodes bytes into a text that is used again and again; false where they are none of the encoding's.
pub(super) fn decode(charset: Charset, bytes: &[u8], text: &mut String) -> bool {
    text.clear();
    let mut decoder: Decoder = charset.encoding().new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
    text.reserve(room.unwrap_or(bytes.len() * 4));
    let (result, _) = decoder.decode_to_string_without_replacement(bytes, text, true);
    result == DecoderResult::InputEmpty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_encoding_says_it_reads_again() {
        let mut text = String::new();
        for charset in Charset::ALL {
            let mut bytes = Vec::new();
            assert_eq!(push_encoded(*charset, "a東飢€", &mut bytes), 0);
            assert!(decode(*charset, &bytes, &mut text));
            assert_eq!(text, "a東飢€");
        }
    }

    #[test]
    fn second_bytes_may_look_like_delimiters() {
        let mut bytes = Vec::new();
        push_encoded(Charset::Gbk, "東", &mut bytes);
        assert_eq!(bytes, [0x96, b'|']);
    }

    #[test]
    fn four_bytes_and_what_cannot_be_said() {
        let mut bytes = Vec::new();
        assert_eq!(push_encoded(Charset::Gb18030, "\u{20087}é", &mut bytes), 0);
        let mut text = String::new();
        assert!(decode(Charset::Gb18030, &bytes, &mut text));
        assert_eq!(text, "\u{20087}é");
        bytes.clear();
        assert_eq!(push_encoded(Charset::Gbk, "a😀b😀", &mut bytes), 2);
        assert_eq!(bytes, b"a?b?");
        for bad in [
            &[0x81][..],
            &[0x81, b' '],
            &[0xff, 0xff],
            &[0x81, 0x30, 0x81],
        ] {
            assert!(!decode(Charset::Gbk, bad, &mut text), "{bad:?}");
        }
        assert!(!decode(Charset::Utf8, &[0xc3], &mut text));
    }
}
