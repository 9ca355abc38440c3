//! A profile: how a file is laid out, as data. One profile serves both ways, to write a file and to read
//! one; what a partner needs is a text of some thirty lines and no program.
//!
//! The keys of the text are described in `docs/FILES.md`; `profile_text.rs` reads it.

use super::row::{Field, LineStatus};
use super::template::Template;
use crate::domain::flow::FlowKind;
use crate::domain::named_enum;
use chrono_tz::Tz;

pub use super::profile_text::ProfileProblem;

named_enum! {
    /// How characters are written as bytes.
    pub enum Charset {
        /// UTF-8.
        Utf8 = "UTF-8",
        /// GB 18030, which says every character, some with four bytes.
        Gb18030 = "GB18030",
        /// GBK, which says some 22,000 characters with two bytes each.
        Gbk = "GBK",
    }
}

named_enum! {
    /// Whether a file of UTF-8 begins with a byte order mark.
    pub enum Bom {
        /// None is written, and a file that has one is refused.
        Never = "NEVER",
        /// One is written, and a file without one is refused.
        Always = "ALWAYS",
        /// None is written, and one is left out when it is read.
        Accepted = "ACCEPTED",
    }
}

named_enum! {
    /// How every line ends.
    pub enum LineEnd {
        /// With a line feed.
        Lf = "LF",
        /// With a carriage return and a line feed.
        CrLf = "CRLF",
    }
}

named_enum! {
    /// Whether the last line has to have its line end.
    pub enum LastLineEnd {
        /// Without it the file counts as cut off.
        Required = "REQUIRED",
        /// It may be missing.
        Optional = "OPTIONAL",
    }
}

named_enum! {
    /// Whether a line with the columns' names stands before the rows.
    pub enum Names {
        /// It does, and has to say exactly these names in this order.
        Line = "LINE",
        /// It does not.
        None = "NONE",
    }
}

named_enum! {
    /// What amounts are counted in.
    pub enum Unit {
        /// In minor units, without a point: `12345`.
        Minor = "MINOR",
        /// In the currency's own unit, with as many decimals as the currency has: `123.45`.
        Major = "MAJOR",
    }
}

named_enum! {
    /// How the amount of a reversal is told from that of a payment.
    pub enum Reversals {
        /// It is negative.
        Negative = "NEGATIVE",
        /// The word in the column KIND tells; no amount is negative.
        Word = "WORD",
    }
}

named_enum! {
    /// How a time is written.
    pub enum TimeFormat {
        /// `2026-11-22T10:00:00+08:00`.
        Rfc3339 = "RFC3339",
        /// `2026-11-22 10:00:00`, in the file's zone.
        Local = "LOCAL",
        /// `20261122100000`, in the file's zone.
        Compact = "COMPACT",
        /// `1122100000`, in the file's zone; the year is the one that comes nearest to the file's date.
        MonthFirst = "MONTH_FIRST",
    }
}

named_enum! {
    /// How a date is written.
    pub enum DateFormat {
        /// `2026-11-22`.
        Dashed = "DASHED",
        /// `20261122`.
        Compact = "COMPACT",
    }
}

named_enum! {
    /// What the file is packed in.
    pub enum Packing {
        /// Nothing.
        None = "NONE",
        /// gzip, of one member.
        Gzip = "GZIP",
        /// A zip of one entry.
        Zip = "ZIP",
    }
}

named_enum! {
    /// Where the file's SHA-256 stands; one in the last line is a `{sha256}` there.
    pub enum DigestFile {
        /// Nowhere else.
        None = "NONE",
        /// In a file beside it, named alike with `.sha256` behind.
        Beside = "BESIDE",
    }
}

named_enum! {
    /// Where a guard stands in its cell.
    pub enum GuardPlace {
        /// Before the value.
        Before = "BEFORE",
        /// Behind it.
        After = "AFTER",
    }
}

/// A character that stands in cells beside the value, so that a spreadsheet leaves long numbers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The character; ASCII.
    pub byte: u8,
    /// Where it stands.
    pub place: GuardPlace,
}

/// What parts the cells of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A character between two.
    Delimited {
        /// The character; ASCII.
        delimiter: u8,
        /// What stands around a cell that holds a delimiter, where cells may be quoted; ASCII.
        quote: Option<u8>,
    },
    /// Their widths, in bytes.
    Fixed,
}

named_enum! {
    /// On which side of its cell a value stands, where cells have a width.
    pub enum Align {
        /// At the left.
        Left = "LEFT",
        /// At the right.
        Right = "RIGHT",
    }
}

/// What a column holds in the lines of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A field.
    Field(Field),
    /// Nothing that anybody reads; this is written.
    Text(String),
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, in the line of names; elsewhere, for people.
    pub name: String,
    /// What it holds in the line of a payment.
    pub payment: Holds,
    /// What it holds in the line of a reversal.
    pub reversal: Holds,
    /// How many bytes wide it is; 0 where the layout knows no widths.
    pub width: usize,
    /// On which side of the width the value stands.
    pub align: Align,
    /// What fills the rest of the width; ASCII.
    pub pad: u8,
    /// Whether the profile's guard stands in it.
    pub guarded: bool,
}

impl Column {
    /// What it holds in the line of such a flow.
    pub fn holds(&self, kind: FlowKind) -> &Holds {
        match kind {
            FlowKind::Payment => &self.payment,
            FlowKind::Reversal => &self.reversal,
        }
    }
}

/// The words that a file says something by. The first of each list is the one that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words<T> {
    words: Vec<(String, T)>,
}

impl<T: Copy + PartialEq> Words<T> {
    pub(super) fn new(words: Vec<(String, T)>) -> Self {
        Self { words }
    }

    /// What a word means; none for one that nobody declared.
    pub fn meaning(&self, word: &str) -> Option<T> {
        let found = self.words.iter().find(|(known, _)| known == word);
        found.map(|(_, meaning)| *meaning)
    }

    /// The word to write for something; none where there is none.
    pub fn word(&self, meaning: T) -> Option<&str> {
        let found = self.words.iter().find(|(_, known)| *known == meaning);
        found.map(|(word, _)| word.as_str())
    }

    /// All words with their meanings.
    pub(super) fn all(&self) -> &[(String, T)] {
        &self.words
    }

    /// All words, as people read a list of them.
    pub fn list(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| word.as_str()).collect();
        words.join(", ")
    }
}

/// How a file is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, by which settings and partners name it.
    pub name: String,
    /// The encoding.
    pub charset: Charset,
    /// Whether there is a byte order mark.
    pub bom: Bom,
    /// How lines end.
    pub line_end: LineEnd,
    /// Whether the last one has to.
    pub last_line_end: LastLineEnd,
    /// What parts the cells.
    pub layout: Layout,
    /// What stands in guarded cells beside the value.
    pub guard: Option<Guard>,
    /// Whether the columns' names stand in the file.
    pub names: Names,
    /// What amounts are counted in.
    pub unit: Unit,
    /// How reversals' amounts are told from payments'.
    pub reversals: Reversals,
    /// How times are written.
    pub times: TimeFormat,
    /// How dates are written.
    pub dates: DateFormat,
    /// The zone of the file's times; none: the center's.
    pub zone: Option<Tz>,
    /// The lines before everything else.
    pub head: Vec<Template>,
    /// The lines behind everything else. The first of them begins with a text that no row begins with.
    pub trailer: Vec<Template>,
    /// The file's name.
    pub file_name: Template,
    /// What the file is packed in.
    pub packing: Packing,
    /// The name of the entry of a zip.
    pub entry_name: Option<Template>,
    /// Whether a file with the digest lies beside.
    pub digest: DigestFile,
    /// The words for kinds.
    pub kinds: Words<FlowKind>,
    /// The words for states.
    pub states: Words<LineStatus>,
    /// The columns, from the left.
    pub columns: Vec<Column>,
}

impl Profile {
    /// Reads a profile from its text. `name` is its name, for which its file is called `NAME.toml`.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<ProfileProblem>> {
        super::profile_text::parse(name, text)
    }

    /// Whether some column holds a field, in lines of some kind.
    pub fn has(&self, field: Field) -> bool {
        let of = |kind| {
            let wanted = Holds::Field(field);
            self.columns.iter().any(|c| *c.holds(kind) == wanted)
        };
        of(FlowKind::Payment) || of(FlowKind::Reversal)
    }

    /// Why statements cannot be written by it; none where they can. A statement lists what failed beside what
    /// succeeded, and reversals beside payments; a file that is only read may lack the words for these.
    pub fn unfit_for_statements(&self) -> Option<&'static str> {
        if !self.has(Field::Status) {
            return Some("statements list what failed, and it has no column STATUS that says so");
        }
        if self.states.word(LineStatus::Failed).is_none() {
            return Some(
                "statements list what failed: its column STATUS needs a word for FAILED in [states]",
            );
        }
        let tells_kinds = self.has(Field::Kind) || self.reversals == Reversals::Negative;
        (!tells_kinds)
            .then_some("statements list reversals, and it has no column KIND that tells them")
    }

    /// Whether some line of the head needs to know what the rows add up to: then whoever writes the
    /// file has to know the totals before the first row.
    pub fn counts_first(&self) -> bool {
        self.head.iter().any(Template::counts)
    }

    /// The name of the file beside that holds the digest, where there is one.
    pub fn digest_name(&self, file_name: &str) -> Option<String> {
        match self.digest {
            DigestFile::None => None,
            DigestFile::Beside => Some(format!("{file_name}.sha256")),
        }
    }
}
