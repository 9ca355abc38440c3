//! One walk through a file, from its first byte to its last: head, names, rows, trailer. Both passes of
//! reading walk alike, so that what was checked is what is read.

use super::blocks::{Blocks, Raw};
use super::cell::are_visible;
use super::charset::decode;
use super::claims::Claims;
use super::line::{LineForm, split};
use super::profile::{Bom, Charset, LastLineEnd, Layout, Names, Profile};
use super::reader::{Expect, Line};
use super::row::Totals;
use super::stop::Stop;
use super::template::Template;
use super::unpack::Unpacked;
use super::writer::trailer_start;
use sha2::Sha256;
use std::io::{Read, Seek};
use std::ops::Range;

/// A walk.
#[derive(Debug)]
pub(super) struct Walk<'p, F> {
    profile: &'p Profile,
    expect: Expect<'p>,
    pub blocks: Blocks<F>,
    form: LineForm<'p>,
    texts: Texts,
    /// Where the cells of a line lie in its text.
    cells: Vec<Range<usize>>,
    claims: Claims,
    /// The bytes that the trailer begins with; no row does.
    trailer_start: Option<Vec<u8>>,
    /// What the rows that were walked past add up to.
    pub totals: Totals,
    /// How many those are.
    pub rows: u64,
    is_over: bool,
}

/// What a line becomes on its way to a row; used again for every line.
#[derive(Debug, Default)]
struct Texts {
    decoded: String,
    unquoted: String,
    /// One cell of a line that is split before it is decoded.
    cell: String,
}

impl<'p, F: Read + Seek> Walk<'p, F> {
    /// Walks through the head of a file of so many bytes.
    pub fn open(
        profile: &'p Profile,
        expect: &Expect<'p>,
        (file, bytes): (F, u64),
        hash: Option<Sha256>,
    ) -> Result<Self, Stop> {
        let unpacked = Unpacked::open(profile.packing, expect.limits, file, bytes)?;
        let mut walk = Self {
            profile,
            expect: *expect,
            blocks: Blocks::new(unpacked, hash),
            form: LineForm::new(profile, expect),
            texts: Texts::default(),
            cells: Vec::with_capacity(profile.columns.len()),
            claims: Claims::default(),
            trailer_start: trailer_start(profile),
            totals: Totals::default(),
            rows: 0,
            is_over: false,
        };
        walk.mark()?;
        for template in &profile.head {
            walk.claim(template, "its head is complete")?;
        }
        if profile.names == Names::Line {
            walk.names()?;
        }
        Ok(walk)
    }

    /// The next row; none behind the last, once the trailer was walked through too and all is right.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, Stop> {
        if self.is_over {
            return Ok(None);
        }
        let profile = self.profile;
        let Some(raw) = self.blocks.next(profile.line_end)? else {
            if !profile.trailer.is_empty() {
                return Err(self.cut_off("its trailer"));
            }
            return self.end();
        };
        let line = self.blocks.line();
        if let Some(start) = &self.trailer_start
            && self.blocks.buffer()[raw.bytes.clone()].starts_with(start)
        {
            return self.trailer(raw);
        }
        check_end(profile, &raw, line)?;
        let row = {
            let bytes = &self.blocks.buffer()[raw.bytes];
            let text = cells_of(profile, bytes, line, &mut self.texts, &mut self.cells)?;
            let row = self.form.row(text, &self.cells);
            row.map_err(|reason| Stop::at(line, reason))?
        };
        let added = self.totals.add_row(&row);
        added.map_err(|error| Stop::at(line, error.to_string()))?;
        self.rows += 1;
        Ok(Some(Line { line, row }))
    }

    /// Looks for a byte order mark.
    fn mark(&mut self) -> Result<(), Stop> {
        let is_there = self.blocks.skip("\u{feff}".as_bytes())?;
        match (self.profile.bom, is_there) {
            (Bom::Never, true) => Err(Stop::at(
                1,
                "the file begins with a byte order mark, and the profile says that it has none",
            )),
            (Bom::Always, false) => Err(Stop::at(1, "the file begins without a byte order mark")),
            _ => Ok(()),
        }
    }

    /// The file ends too early.
    fn cut_off(&self, before: &str) -> Stop {
        let line = self.blocks.line();
        let reason = format!("the file ends behind this line, before {before}: it is cut off");
        Stop::at(line, reason)
    }

    /// Walks over the next line, which has to be there.
    fn needed(&mut self, before: &str) -> Result<Raw, Stop> {
        match self.blocks.next(self.profile.line_end)? {
            Some(raw) => Ok(raw),
            None => Err(self.cut_off(before)),
        }
    }

    /// Walks over a line of the head.
    fn claim(&mut self, template: &Template, before: &str) -> Result<(), Stop> {
        let raw = self.needed(before)?;
        self.hold(template, &raw)
    }

    /// Reads a line of head or trailer.
    fn hold(&mut self, template: &Template, raw: &Raw) -> Result<(), Stop> {
        let line = self.blocks.line();
        check_end(self.profile, raw, line)?;
        let digest = self.blocks.digest_before(raw);
        let text = text_of(self.profile, &self.blocks, raw, &mut self.texts.decoded)?;
        let by = (self.profile, &self.expect);
        self.claims.read(by, template, (line, text), digest)
    }

    /// Walks over the line of names, which has to say exactly the profile's.
    fn names(&mut self) -> Result<(), Stop> {
        let raw = self.needed("the names of its columns")?;
        let line = self.blocks.line();
        check_end(self.profile, &raw, line)?;
        let text = text_of(self.profile, &self.blocks, &raw, &mut self.texts.decoded)?;
        let (unquoted, cells) = (&mut self.texts.unquoted, &mut self.cells);
        let is_unquoted = split(self.profile.layout, text, unquoted, cells);
        let is_unquoted = is_unquoted.map_err(|reason| Stop::at(line, reason))?;
        let text = if is_unquoted { unquoted.as_str() } else { text };
        let found: Vec<&str> = cells.iter().map(|cell| &text[cell.clone()]).collect();
        let columns = &self.profile.columns;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        match wrong_names(&names, &found) {
            None => Ok(()),
            Some(reason) => Err(Stop::at(line, reason)),
        }
    }

    /// Walks through the trailer, whose first line was met, and to the end.
    fn trailer(&mut self, first: Raw) -> Result<Option<Line<'_>>, Stop> {
        let mut raw = first;
        for (at, template) in self.profile.trailer.iter().enumerate() {
            if at > 0 {
                raw = self.needed("its trailer is complete")?;
            }
            self.hold(template, &raw)?;
        }
        if self.blocks.next(self.profile.line_end)?.is_some() {
            let reason = "something stands behind the last line of the trailer";
            return Err(Stop::at(self.blocks.line(), reason));
        }
        self.end()
    }

    /// Compares what the file says of itself with what its rows add up to.
    fn end(&mut self) -> Result<Option<Line<'_>>, Stop> {
        self.is_over = true;
        let held = self.claims.hold(self.profile, &self.totals);
        held.map_err(Stop::Refused)?;
        Ok(None)
    }
}

/// Whether a line has its end, if it has to.
fn check_end(profile: &Profile, raw: &Raw, line: u64) -> Result<(), Stop> {
    if raw.is_ended || profile.last_line_end == LastLineEnd::Optional {
        return Ok(());
    }
    let reason = "the last line has no line end: the file is cut off";
    Err(Stop::at(line, reason))
}

/// A line as a text.
fn text_of<'t, F: Read + Seek>(
    profile: &Profile,
    blocks: &'t Blocks<F>,
    raw: &Raw,
    decoded: &'t mut String,
) -> Result<&'t str, Stop> {
    let bytes = &blocks.buffer()[raw.bytes.clone()];
    read_text(profile, bytes, blocks.line(), decoded)
}

/// The bytes of a line as a text, in which nothing stands that has no place in a line.
fn read_text<'t>(
    profile: &Profile,
    bytes: &'t [u8],
    line: u64,
    decoded: &'t mut String,
) -> Result<&'t str, Stop> {
    if are_visible(bytes)
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Ok(text);
    }
    let is_ascii = bytes.is_ascii();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if is_ascii || profile.charset == Charset::Utf8 => text,
        Err(error) if profile.charset == Charset::Utf8 => {
            let at = error.valid_up_to() + 1;
            let reason = format!("the bytes from byte {at} of the line on are not UTF-8");
            return Err(Stop::at(line, reason));
        }
        _ => {
            if !decode(profile.charset, bytes, decoded) {
                let at = decoded.chars().count() + 1;
                let reason = format!("what stands at character {at} is not {}", profile.charset);
                return Err(Stop::at(line, reason));
            }
            decoded
        }
    };
    // All bytes are looked at, which is quicker than to stop at the first.
    let is_control = |byte: u8| (byte < 0x20) | (byte == 0x7f);
    let has_control = bytes
        .iter()
        .fold(false, |found, byte| found | is_control(*byte));
    if !has_control && is_ascii {
        return Ok(text);
    }
    let is_separator = |c: char| {
        let guard = profile.guard.map(|guard| char::from(guard.byte));
        let delimiter = match profile.layout {
            Layout::Delimited { delimiter, .. } => Some(char::from(delimiter)),
            Layout::Fixed => None,
        };
        Some(c) == guard || Some(c) == delimiter
    };
    let control = text.chars().find(|c| c.is_control() && !is_separator(*c));
    match control {
        None => Ok(text),
        Some(control) => {
            let reason = format!("the line holds the control character {control:?}");
            Err(Stop::at(line, reason))
        }
    }
}

/// The text that the cells of a line are ranges of.
fn cells_of<'t>(
    profile: &Profile,
    bytes: &'t [u8],
    line: u64,
    texts: &'t mut Texts,
    cells: &mut Vec<Range<usize>>,
) -> Result<&'t str, Stop> {
    let Texts {
        decoded,
        unquoted,
        cell,
    } = texts;
    let text = read_text(profile, bytes, line, decoded)?;
    let wanted = profile.columns.len();
    let text = match profile.layout {
        Layout::Fixed => {
            let reason = cut(profile, bytes, (unquoted, cell), cells);
            reason.map_err(|reason| Stop::at(line, reason))?;
            unquoted.as_str()
        }
        layout @ Layout::Delimited { .. } => match split(layout, text, unquoted, cells) {
            Ok(true) => unquoted.as_str(),
            Ok(false) => text,
            Err(reason) => return Err(Stop::at(line, reason)),
        },
    };
    let found = cells.len();
    if found == wanted {
        return Ok(text);
    }
    let reason = format!("the line has {found} cells; the profile has {wanted} columns");
    Err(Stop::at(line, reason))
}

/// Cuts a line by widths in bytes, and decodes each piece.
fn cut(
    profile: &Profile,
    bytes: &[u8],
    (text, cell): (&mut String, &mut String),
    cells: &mut Vec<Range<usize>>,
) -> Result<(), String> {
    text.clear();
    cells.clear();
    let width: usize = profile.columns.iter().map(|column| column.width).sum();
    if bytes.len() != width {
        let found = bytes.len();
        return Err(format!(
            "the line has {found} bytes; the profile has {width}"
        ));
    }
    let mut start = 0;
    for column in &profile.columns {
        let end = start + column.width;
        if !decode(profile.charset, &bytes[start..end], cell) {
            let name = &column.name;
            return Err(format!(
                "{name}: the width of the column cuts a character in two"
            ));
        }
        cells.push(text.len()..text.len() + cell.len());
        text.push_str(cell);
        start = end;
    }
    Ok(())
}

/// What is wrong with the names of the columns.
fn wrong_names(names: &[&str], found: &[&str]) -> Option<String> {
    if names == found {
        return None;
    }
    let short = |name: &str| name.chars().take(64).collect::<String>();
    let twice = found
        .iter()
        .enumerate()
        .find(|(at, name)| found[..*at].contains(name));
    if let Some((_, name)) = twice {
        return Some(format!("two columns are called {:?}", short(name)));
    }
    if let Some(name) = names.iter().find(|name| !found.contains(name)) {
        return Some(format!("the column {name:?} is missing"));
    }
    if let Some(name) = found.iter().find(|name| !names.contains(name)) {
        return Some(format!("the profile knows no column {:?}", short(name)));
    }
    Some(format!(
        "the columns have to stand in this order: {}",
        names.join(", ")
    ))
}
