//! Characters as bytes and back.

use super::profile::Charset;
use encoding_rs::{Encoding, GB18030, GBK, UTF_8};

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
