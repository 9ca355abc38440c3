//! The text of a profile: TOML, read once. Everything that is wrong with it is told at once, each with
//! its line, so that a profile that is accepted can be written and read by.

use super::profile::{
    Align, Bom, Charset, Column, DateFormat, DigestFile, Guard, GuardPlace, Holds, LastLineEnd,
    Layout, LineEnd, Names, Packing, Profile, Reversals, TimeFormat, Unit, Words,
};
use super::profile_rules::check;
use super::row::{Field, LineStatus};
use super::template::Template;
use crate::domain::flow::FlowKind;
use chrono_tz::Tz;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use toml::Spanned;

/// One thing that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ProfileProblem {
    /// The file that it is told of.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

/// The two layouts, as the text names them.
#[derive(Clone, Copy, Deserialize)]
enum LayoutName {
    #[serde(rename = "DELIMITED")]
    Delimited,
    #[serde(rename = "FIXED")]
    Fixed,
}

/// A text as it stands; what each key means is written in `docs/FILES.md`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    encoding: Charset,
    #[serde(default = "no_bom")]
    bom: Spanned<Bom>,
    line_end: LineEnd,
    #[serde(default = "required")]
    last_line_end: LastLineEnd,
    layout: Spanned<LayoutName>,
    delimiter: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    guard: Option<Spanned<String>>,
    #[serde(default = "before")]
    guard_place: GuardPlace,
    names: Spanned<Names>,
    unit: Unit,
    reversals: Spanned<Reversals>,
    #[serde(default = "rfc3339")]
    times: TimeFormat,
    #[serde(default = "dashed")]
    dates: DateFormat,
    zone: Option<Spanned<String>>,
    #[serde(default)]
    head: Vec<Spanned<String>>,
    #[serde(default)]
    trailer: Vec<Spanned<String>>,
    file_name: Spanned<String>,
    #[serde(default = "unpacked")]
    packing: Spanned<Packing>,
    entry_name: Option<Spanned<String>>,
    #[serde(default = "no_digest")]
    digest: DigestFile,
    #[serde(default)]
    unchecked: bool,
    #[serde(default)]
    kinds: BTreeMap<FlowKind, Vec<Spanned<String>>>,
    #[serde(default)]
    states: BTreeMap<LineStatus, Vec<Spanned<String>>>,
    columns: Vec<Spanned<ColumnText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnText {
    name: String,
    field: Option<Field>,
    payment_field: Option<Field>,
    reversal_field: Option<Field>,
    #[serde(default)]
    text: String,
    width: Option<usize>,
    align: Option<Align>,
    pad: Option<Spanned<String>>,
    #[serde(default = "yes")]
    guard: bool,
}

fn no_bom() -> Spanned<Bom> {
    Spanned::new(0..0, Bom::Never)
}

fn required() -> LastLineEnd {
    LastLineEnd::Required
}

fn before() -> GuardPlace {
    GuardPlace::Before
}

fn rfc3339() -> TimeFormat {
    TimeFormat::Rfc3339
}

fn dashed() -> DateFormat {
    DateFormat::Dashed
}

fn unpacked() -> Spanned<Packing> {
    Spanned::new(0..0, Packing::None)
}

fn no_digest() -> DigestFile {
    DigestFile::None
}

fn yes() -> bool {
    true
}

/// Everything that is wrong with a text.
pub(super) struct Problems<'a> {
    file: String,
    text: &'a str,
    pub found: Vec<ProfileProblem>,
}

impl Problems<'_> {
    /// Notes what is wrong at some place of the text.
    pub fn add(&mut self, span: Range<usize>, reason: impl Display) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        self.found.push(ProfileProblem {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            reason: reason.to_string(),
        });
    }
}

/// Where things stand that rules are about which look at the whole profile.
pub(super) struct Places {
    pub bom: Range<usize>,
    pub layout: Range<usize>,
    pub names: Range<usize>,
    pub reversals: Range<usize>,
    pub packing: Range<usize>,
    pub file_name: Range<usize>,
    pub entry_name: Range<usize>,
    pub head: Vec<Range<usize>>,
    pub trailer: Vec<Range<usize>>,
    pub columns: Vec<Range<usize>>,
    pub kinds: Vec<Range<usize>>,
    pub states: Vec<Range<usize>>,
    /// Whether the text says that files need nothing to check them by.
    pub is_unchecked: bool,
}

/// Reads a profile.
pub(super) fn parse(name: &str, text: &str) -> Result<Profile, Vec<ProfileProblem>> {
    let mut problems = Problems {
        file: format!("{name}.toml"),
        text,
        found: Vec::new(),
    };
    if crate::domain::ids::AdapterName::try_new(name).is_err() {
        let rule = "is no profile's name: 1 to 64 letters, digits, '-', '_' or '.'";
        problems.add(0..0, format!("{name:?} {rule}"));
    }
    let raw: Text = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            problems.add(error.span().unwrap_or(0..0), error.message());
            return Err(problems.found);
        }
    };
    let (profile, places) = take_over(name, raw, &mut problems);
    // What was replaced by a stopgap would be blamed a second time.
    if problems.found.is_empty() {
        check(&profile, &places, &mut problems);
    }
    if problems.found.is_empty() {
        Ok(profile)
    } else {
        problems.found.sort_by_key(|problem| problem.line);
        Err(problems.found)
    }
}

fn take_over(name: &str, raw: Text, problems: &mut Problems<'_>) -> (Profile, Places) {
    let spans = |texts: &[Spanned<String>]| texts.iter().map(Spanned::span).collect();
    let places = Places {
        bom: raw.bom.span(),
        layout: raw.layout.span(),
        names: raw.names.span(),
        reversals: raw.reversals.span(),
        packing: raw.packing.span(),
        file_name: raw.file_name.span(),
        entry_name: raw.entry_name.as_ref().map_or(0..0, Spanned::span),
        head: spans(&raw.head),
        trailer: spans(&raw.trailer),
        columns: raw.columns.iter().map(Spanned::span).collect(),
        kinds: raw.kinds.values().flatten().map(Spanned::span).collect(),
        states: raw.states.values().flatten().map(Spanned::span).collect(),
        is_unchecked: raw.unchecked,
    };
    let mut template = |text: Spanned<String>| {
        Template::parse(text.get_ref()).unwrap_or_else(|reason| {
            problems.add(text.span(), reason);
            Template { parts: Vec::new() }
        })
    };
    let head = raw.head.into_iter().map(&mut template).collect();
    let trailer = raw.trailer.into_iter().map(&mut template).collect();
    let file_name = template(raw.file_name);
    let entry_name = raw.entry_name.map(&mut template);
    let layout = read_layout(&raw.layout, raw.delimiter, raw.quote, problems);
    let guard = raw.guard.and_then(|text| {
        let byte = one_byte("guard", &text, problems)?;
        let place = raw.guard_place;
        Some(Guard { byte, place })
    });
    let columns = raw.columns.into_iter();
    let columns = columns.map(|column| read_column(column, layout, guard.is_some(), problems));
    let columns = columns.collect();
    let profile = Profile {
        name: name.to_owned(),
        charset: raw.encoding,
        bom: raw.bom.into_inner(),
        line_end: raw.line_end,
        last_line_end: raw.last_line_end,
        layout,
        guard,
        names: raw.names.into_inner(),
        unit: raw.unit,
        reversals: raw.reversals.into_inner(),
        times: raw.times,
        dates: raw.dates,
        zone: raw.zone.and_then(|zone| read_zone(&zone, problems)),
        head,
        trailer,
        file_name,
        packing: raw.packing.into_inner(),
        entry_name,
        digest: raw.digest,
        kinds: read_words(raw.kinds),
        states: read_words(raw.states),
        columns,
    };
    (profile, places)
}

fn read_layout(
    layout: &Spanned<LayoutName>,
    delimiter: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    problems: &mut Problems<'_>,
) -> Layout {
    match layout.get_ref() {
        LayoutName::Fixed => {
            for (key, value) in [("delimiter", delimiter), ("quote", quote)] {
                if let Some(value) = value {
                    let reason = format!("{key}: the layout FIXED has none; take the line out");
                    problems.add(value.span(), reason);
                }
            }
            Layout::Fixed
        }
        LayoutName::Delimited => {
            let Some(delimiter) = delimiter else {
                let reason = "the layout DELIMITED needs a delimiter, as delimiter = \",\"";
                problems.add(layout.span(), reason);
                return Layout::Fixed;
            };
            let quote = quote.and_then(|quote| one_byte("quote", &quote, problems));
            let delimiter = one_byte("delimiter", &delimiter, problems).unwrap_or(b',');
            Layout::Delimited { delimiter, quote }
        }
    }
}

/// A character that stands for no value: visible ASCII that is neither letter nor digit, space or tab.
fn one_byte(key: &str, text: &Spanned<String>, problems: &mut Problems<'_>) -> Option<u8> {
    match text.get_ref().as_bytes() {
        [byte] if byte.is_ascii_punctuation() || matches!(byte, b' ' | b'\t') => Some(*byte),
        _ => {
            let rule = "one ASCII character that is neither letter nor digit is expected";
            let reason = format!("{key}: {rule}, not {:?}", text.get_ref());
            problems.add(text.span(), reason);
            None
        }
    }
}

fn read_zone(zone: &Spanned<String>, problems: &mut Problems<'_>) -> Option<Tz> {
    let read = zone.get_ref().parse();
    if read.is_err() {
        let reason = format!("{:?} is no zone of the IANA database", zone.get_ref());
        problems.add(zone.span(), reason);
    }
    read.ok()
}

fn read_words<T: Copy + PartialEq>(words: BTreeMap<T, Vec<Spanned<String>>>) -> Words<T> {
    let of_one = |(meaning, words): (T, Vec<Spanned<String>>)| {
        words
            .into_iter()
            .map(move |word| (word.into_inner(), meaning))
    };
    Words::new(words.into_iter().flat_map(of_one).collect())
}

fn read_column(
    column: Spanned<ColumnText>,
    layout: Layout,
    has_guard: bool,
    problems: &mut Problems<'_>,
) -> Column {
    let span = column.span();
    let raw = column.into_inner();
    let name = &raw.name;
    if raw.field.is_some() && (raw.payment_field.is_some() || raw.reversal_field.is_some()) {
        let reason =
            "either field stands for all lines, or payment_field and reversal_field for theirs";
        problems.add(span.clone(), format!("column {name:?}: {reason}"));
    }
    let holds = |own: Option<Field>| match own.or(raw.field) {
        Some(field) => Holds::Field(field),
        None => Holds::Text(raw.text.clone()),
    };
    let (payment, reversal) = (holds(raw.payment_field), holds(raw.reversal_field));
    match (layout, raw.width) {
        (Layout::Fixed, None | Some(0)) => problems.add(
            span,
            format!("column {name:?}: the layout FIXED needs its width in bytes"),
        ),
        (Layout::Delimited { .. }, Some(_)) => {
            let reason = "the layout DELIMITED knows no width; take it out";
            problems.add(span, format!("column {name:?}: {reason}"));
        }
        _ => {}
    }
    let is_number = [&payment, &reversal]
        .into_iter()
        .any(|holds| matches!(holds, Holds::Field(Field::Amount | Field::Fee | Field::Net)));
    let (align, pad) = if is_number {
        (Align::Right, b'0')
    } else {
        (Align::Left, b' ')
    };
    let pad = raw
        .pad
        .map_or(Some(pad), |pad| match pad.get_ref().as_bytes() {
            [byte @ (b'0' | b' ')] => Some(*byte),
            _ => {
                let reason = format!("pad: a space or 0 is expected, not {:?}", pad.get_ref());
                problems.add(pad.span(), reason);
                None
            }
        });
    Column {
        name: raw.name,
        payment,
        reversal,
        width: raw.width.unwrap_or(0),
        align: raw.align.unwrap_or(align),
        pad: pad.unwrap_or(b' '),
        guarded: has_guard && raw.guard,
    }
}
