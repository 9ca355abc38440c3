//! A value as a cell: with its guard, its quotation marks or its padding, and so that no spreadsheet
//! takes it for a formula; and back.
//!
//! A text that begins with `=`, `+`, `-` or `@`, or one of their full-width twins, is written with an
//! apostrophe before it, and so is one that begins with an apostrophe before any of these; reading takes it
//! away again. Cells whose guard stands first need none. Numbers are made here and are never formulas,
//! so a negative amount stays a number.
//!
//! How one could break it: by writing a text past [`CellForm::push_text`].

use super::charset::push_encoded;
use super::profile::{Align, Charset, Column, Guard, GuardPlace, Layout, Profile};
use super::row::Field;
use std::borrow::Cow;

/// The cells of one column.
#[derive(Clone, Debug)]
pub(super) struct CellForm {
    charset: Charset,
    layout: Layout,
    guard: Option<Guard>,
    width: usize,
    align: Align,
    pad: u8,
    /// The delimiter and the quotation mark; a control character, which is never plain, for none.
    separators: [u8; 2],
}

/// What a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Visible ASCII.
    Identifier,
    /// Anything but control characters; what cannot be said is replaced.
    Free,
    /// The same, and cut to the width of its column.
    Note,
}

impl Content {
    /// What a field may hold.
    pub fn of(field: Field) -> Self {
        match field {
            Field::Note => Content::Note,
            Field::UpstreamRef => Content::Free,
            _ => Content::Identifier,
        }
    }
}

/// Whether a byte is visible ASCII.
fn is_visible(byte: u8) -> bool {
    byte.wrapping_sub(0x21) < 0x5e
}

/// Whether all bytes are visible ASCII. All are looked at, which is quicker than to stop at the first.
pub(super) fn are_visible(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |so_far, byte| so_far & is_visible(*byte))
}

/// Whether a spreadsheet could take a text for a formula.
fn begins_a_formula(text: &str) -> bool {
    text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ])
}

/// Whether a text needs an apostrophe before it.
pub(super) fn needs_apostrophe(text: &str) -> bool {
    begins_a_formula(text.trim_start_matches('\''))
}

impl CellForm {
    pub fn new(profile: &Profile, column: &Column) -> Self {
        let guard = profile.guard.filter(|_| column.guarded);
        let separators = match profile.layout {
            Layout::Fixed => [0, 0],
            Layout::Delimited { delimiter, quote } => [delimiter, quote.unwrap_or(0)],
        };
        Self {
            charset: profile.charset,
            layout: profile.layout,
            guard,
            width: column.width,
            align: column.align,
            pad: column.pad,
            separators,
        }
    }

    /// Whether the cell begins with something that makes a formula of nothing.
    fn is_safe(&self) -> bool {
        matches!(self.guard, Some(Guard { byte, place: GuardPlace::Before }) if byte != b'\t')
    }

    /// Writes a value that is made of digits and other plain characters, and never a formula.
    pub fn push_plain(&self, out: &mut Vec<u8>, value: &[u8]) -> Result<(), String> {
        if self.layout == Layout::Fixed {
            return self.push_padded(out, value);
        }
        self.push_guard(out, GuardPlace::Before);
        out.extend_from_slice(value);
        self.push_guard(out, GuardPlace::After);
        Ok(())
    }

    /// Writes a text, and says how many characters were replaced.
    pub fn push_text(
        &self,
        out: &mut Vec<u8>,
        text: &str,
        content: Content,
    ) -> Result<u64, String> {
        let [delimiter, quote] = self.separators;
        let is_special = |byte: &u8| !is_visible(*byte) | (*byte == delimiter) | (*byte == quote);
        // Without an early end, so that many bytes are looked at in one step.
        let is_plain = !text
            .as_bytes()
            .iter()
            .fold(false, |found, byte| found | is_special(byte));
        let first = text.as_bytes().first();
        let is_alone = matches!(first, Some(b'=' | b'+' | b'-' | b'@' | b'\''));
        if is_plain && (!is_alone || self.is_safe()) {
            self.push_plain(out, text.as_bytes())?;
            return Ok(0);
        }
        self.push_special(out, text, content)
    }

    /// The same for a text that needs a second look.
    fn push_special(&self, out: &mut Vec<u8>, text: &str, content: Content) -> Result<u64, String> {
        if content == Content::Identifier && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{text:?} holds something else than visible ASCII"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("{text:?} holds control characters"));
        }
        let is_risky = needs_apostrophe(text) && !self.is_safe();
        let apostrophe: &[u8] = if is_risky { b"'" } else { b"" };
        let Layout::Delimited { delimiter, quote } = self.layout else {
            let mut value = apostrophe.to_vec();
            let replaced = push_encoded(self.charset, text, &mut value);
            if content == Content::Note {
                self.cut(text, is_risky, &mut value);
            }
            self.push_padded(out, &value)?;
            return Ok(replaced);
        };
        // In the encoded bytes, what looks like a delimiter may be half of another character.
        let is_parted = text.contains(char::from(delimiter));
        let quote = quote.filter(|quote| is_parted || text.contains(char::from(*quote)));
        let mut replaced = 0;
        let body = match quote.map(char::from) {
            Some(quote) => Cow::Owned(text.replace(quote, &format!("{quote}{quote}"))),
            None if is_parted && content == Content::Identifier => {
                let reason = "holds the delimiter, and the profile has no quotation marks";
                return Err(format!("{text:?} {reason}"));
            }
            None if is_parted => {
                replaced += text.matches(char::from(delimiter)).count() as u64;
                Cow::Owned(text.replace(char::from(delimiter), "?"))
            }
            None => Cow::Borrowed(text),
        };
        out.extend(quote);
        self.push_guard(out, GuardPlace::Before);
        out.extend_from_slice(apostrophe);
        replaced += push_encoded(self.charset, &body, out);
        self.push_guard(out, GuardPlace::After);
        out.extend(quote);
        Ok(replaced)
    }

    fn push_guard(&self, out: &mut Vec<u8>, place: GuardPlace) {
        out.extend(
            self.guard
                .filter(|guard| guard.place == place)
                .map(|guard| guard.byte),
        );
    }

    /// Cuts what is too wide for its column, between two characters.
    fn cut(&self, text: &str, is_risky: bool, value: &mut Vec<u8>) {
        let mut end = text.len();
        while value.len() > self.width && end > 0 {
            end = text.floor_char_boundary(end - 1);
            value.truncate(usize::from(is_risky));
            push_encoded(self.charset, &text[..end], value);
        }
    }

    /// Writes a value into its width.
    fn push_padded(&self, out: &mut Vec<u8>, value: &[u8]) -> Result<(), String> {
        let Some(room) = self.width.checked_sub(value.len()) else {
            let (length, width) = (value.len(), self.width);
            return Err(format!(
                "it needs {length} bytes, and its column has {width}"
            ));
        };
        let padding = std::iter::repeat_n(self.pad, room);
        match (self.align, self.pad, value) {
            (Align::Left, ..) => {
                out.extend_from_slice(value);
                out.extend(padding);
            }
            (Align::Right, b'0', [b'-', digits @ ..]) => {
                out.push(b'-');
                out.extend(padding);
                out.extend_from_slice(digits);
            }
            (Align::Right, ..) => {
                out.extend(padding);
                out.extend_from_slice(value);
            }
        }
        Ok(())
    }

    /// What a cell holds without its padding and its guard. Where a guard is missing, nothing is.
    pub fn bare<'t>(&self, cell: &'t str) -> &'t str {
        if self.layout == Layout::Fixed {
            return match self.align {
                Align::Left => cell.trim_end_matches(' '),
                Align::Right => cell.trim_start_matches(' '),
            };
        }
        let Some(guard) = self.guard else {
            return cell;
        };
        let byte = char::from(guard.byte);
        let bare = match guard.place {
            GuardPlace::Before => cell.strip_prefix(byte),
            GuardPlace::After => cell.strip_suffix(byte),
        };
        bare.unwrap_or(cell)
    }

    /// What a cell without padding and guard says as a text.
    pub fn text<'t>(&self, bare: &'t str) -> &'t str {
        if bare.as_bytes().first() != Some(&b'\'') {
            return bare;
        }
        match bare.strip_prefix('\'') {
            Some(text) if !self.is_safe() && needs_apostrophe(text) => text,
            _ => bare,
        }
    }
}
