//! A CSV file as rows of cells: encoding, size, header and the number of cells, before anybody asks
//! what the cells mean.

use super::{ImportError, ImportFile, ImportProblem};
use csv::{ReaderBuilder, StringRecord};
use std::fmt::Display;

/// A file is refused above so many bytes.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A line is refused above so many bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// So many problems are listed; the others are counted.
const PROBLEMS_MAX: usize = 1_000;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Region,
    Biller,
    Item,
    Contract,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Region, Kind::Biller, Kind::Item, Kind::Contract];

    /// The word in the column `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Region => "region",
            Kind::Biller => "biller",
            Kind::Item => "item",
            Kind::Contract => "contract",
        }
    }

    /// The columns of such a file, each of them needed.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Region => &[
                "kind",
                "code",
                "parent",
                "level",
                "name_zh",
                "name_en",
                "latitude",
                "longitude",
            ],
            Kind::Biller => &["kind", "code", "name_zh", "name_en"],
            Kind::Contract => &[
                "kind",
                "merchant",
                "biller",
                "currency",
                "valid_from",
                "basis_points",
                "fixed_minor",
            ],
            Kind::Item => &[
                "kind",
                "code",
                "biller",
                "category",
                "name_zh",
                "name_en",
                "mode",
                "currency",
                "amount_rule",
                "amount_min",
                "amount_max",
                "bill_no_pattern",
                "hint_zh",
                "hint_en",
                "adapter",
                "coverage",
                "enabled",
            ],
        }
    }
}

/// A file that can be read, row by row.
pub(super) struct Sheet<'a> {
    pub file: &'a str,
    pub kind: Kind,
    pub rows: Vec<Row>,
    columns: StringRecord,
}

/// One row with the line that it begins on.
pub(super) struct Row {
    pub line: usize,
    cells: StringRecord,
}

impl Sheet<'_> {
    /// A cell; empty where the file has no such column.
    pub fn cell<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        let place = self.columns.iter().position(|found| found == column);
        place.and_then(|place| row.cells.get(place)).unwrap_or("")
    }
}

/// Gathers what is wrong.
#[derive(Default)]
pub(super) struct Problems {
    found: Vec<ImportProblem>,
    more: usize,
}

impl Problems {
    pub fn add(&mut self, file: &str, line: usize, column: Option<&str>, reason: impl Display) {
        if self.found.len() == PROBLEMS_MAX {
            self.more += 1;
            return;
        }
        self.found.push(ImportProblem {
            file: file.to_owned(),
            line,
            column: column.map(str::to_owned),
            reason: reason.to_string(),
        });
    }

    pub fn count(&self) -> usize {
        self.found.len() + self.more
    }

    pub fn into_result<T>(self, value: T) -> Result<T, ImportError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        let mut problems = self.found;
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Err(ImportError {
            problems,
            more: self.more,
        })
    }
}

/// Reads a file; none when it is unreadable as a whole.
pub(super) fn read<'a>(file: &'a ImportFile, problems: &mut Problems) -> Option<Sheet<'a>> {
    let name = file.name.as_str();
    let text = match text_of(&file.bytes) {
        Ok(text) => text,
        Err((line, reason)) => {
            problems.add(name, line, None, reason);
            return None;
        }
    };
    let mut rows = rows_of(text).into_iter();
    let Some(header) = rows.next() else {
        problems.add(name, 1, None, "the file is empty; a header row is needed");
        return None;
    };
    let before = problems.count();
    let rows: Vec<Row> = rows.collect();
    let kind = kind_of(name, &header, &rows, problems)?;
    check_header(name, &header, kind, problems);
    if problems.count() > before {
        return None;
    }
    let mut sheet = Sheet {
        file: name,
        kind,
        columns: header.cells,
        rows: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        if check_row(&sheet, &row, problems) {
            sheet.rows.push(row);
        }
    }
    Some(sheet)
}

/// The bytes as text without a byte order mark, or the line that speaks against it.
fn text_of(bytes: &[u8]) -> Result<&str, (usize, String)> {
    if bytes.len() > FILE_BYTES_MAX {
        let reason = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err((1, reason));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.len() > LINE_BYTES_MAX {
            let reason = format!("the line is longer than {} KiB", LINE_BYTES_MAX >> 10);
            return Err((line, reason));
        }
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + line_breaks(before);
        (line, "the text is not UTF-8".to_owned())
    })
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// All rows, the header too. Rows without a word in them are left out: spreadsheets leave such
/// behind.
fn rows_of(text: &str) -> Vec<Row> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut rows, mut cells) = (Vec::new(), StringRecord::new());
    let (mut counted, mut line) = (0, 1);
    // A text that is UTF-8 as a whole and of any shape cannot be an error to the reader.
    while reader.read_record(&mut cells).unwrap_or(false) {
        let begin = cells.position().map_or(0, csv::Position::byte);
        let mut begin = usize::try_from(begin).unwrap_or(text.len());
        // The reader counts empty lines in front of a row to the row.
        let rest = text.as_bytes().get(begin..).unwrap_or_default();
        begin += rest
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        line += line_breaks(text.as_bytes().get(counted..begin).unwrap_or_default());
        counted = begin;
        if cells.iter().any(|cell| !cell.is_empty()) {
            let cells = cells.clone();
            rows.push(Row { line, cells });
        }
    }
    rows
}

/// What the first row says it is.
fn kind_of(file: &str, header: &Row, rows: &[Row], problems: &mut Problems) -> Option<Kind> {
    let Some(place) = header.cells.iter().position(|column| column == "kind") else {
        let mut reason =
            "the header has no column kind, which tells what the file holds".to_owned();
        let only = header.cells.get(0).filter(|_| header.cells.len() == 1);
        if let Some(sign) = only.and_then(|cell| cell.chars().find(|sign| ";\t|".contains(*sign))) {
            let hint = format!("; {sign:?} stands between its cells: save the file with commas");
            reason.push_str(&hint);
        }
        problems.add(file, header.line, None, reason);
        return None;
    };
    let Some(first) = rows.first() else {
        let reason = "there is no row below the header";
        problems.add(file, header.line, None, reason);
        return None;
    };
    let word = first.cells.get(place).unwrap_or("");
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    if kind.is_none() {
        let reason = match word {
            "merchant" => "merchants are not imported: two people register and approve them \
                           (docs/MERCHANTS.md)"
                .to_owned(),
            _ => format!("{word:?} is not region, biller, item or contract"),
        };
        problems.add(file, first.line, Some("kind"), reason);
    }
    kind
}

fn check_header(file: &str, header: &Row, kind: Kind, problems: &mut Problems) {
    let found: Vec<&str> = header.cells.iter().collect();
    for (place, column) in found.iter().enumerate() {
        if !kind.columns().contains(column) {
            let reason = format!("{column:?} is not a column of {} files", kind.as_str());
            problems.add(file, header.line, None, reason);
        } else if found.iter().take(place).any(|earlier| earlier == column) {
            problems.add(file, header.line, Some(column), "the column stands twice");
        }
    }
    for column in kind.columns() {
        if !found.contains(column) {
            problems.add(file, header.line, Some(column), "the column is missing");
        }
    }
}

/// Whether the cells of a row can be looked at one by one.
fn check_row(sheet: &Sheet<'_>, row: &Row, problems: &mut Problems) -> bool {
    let before = problems.count();
    for (column, cell) in sheet.columns.iter().zip(row.cells.iter()) {
        if cell.contains(['\r', '\n']) {
            let reason = "the cell runs over the end of its line; is a quotation mark missing?";
            problems.add(sheet.file, row.line, Some(column), reason);
        } else if let Some(found) = cell.chars().find(|char| char.is_control()) {
            let reason = format!("holds the control character U+{:04X}", u32::from(found));
            problems.add(sheet.file, row.line, Some(column), reason);
        }
    }
    let (found, wanted) = (row.cells.len(), sheet.columns.len());
    if found != wanted {
        let reason = format!("the row has {found} cells, the header {wanted}");
        problems.add(sheet.file, row.line, None, reason);
    }
    problems.count() == before
}
