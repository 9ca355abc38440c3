//! A line's text as a row: split into cells, and every cell looked at. A row borrows from the text; no
//! cell is copied.

use super::amount::AmountForm;
use super::cell::{CellForm, Content, are_visible};
use super::moment::{TimeForm, read_business_date};
use super::profile::{Holds, Layout, Profile, Reversals};
use super::reader::Expect;
use super::row::{Field, Row};
use crate::domain::flow::FlowKind;
use crate::domain::time::BusinessDate;
use memchr::{memchr, memchr_iter};
use std::ops::Range;

/// The longest that a text may be, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// What is wrong with a cell, in words, with its column.
pub(super) type Wrong = String;

/// A cell that holds something.
#[derive(Clone, Copy, Debug)]
struct Cell {
    at: usize,
    field: Field,
    /// What may stand in it, where it is a text.
    content: Option<Content>,
}

/// Reads lines of one file.
#[derive(Debug)]
pub(super) struct LineForm<'p> {
    profile: &'p Profile,
    forms: Vec<CellForm>,
    /// For each kind, the columns that hold something, and what.
    plans: [Vec<Cell>; 2],
    kind_at: Option<usize>,
    amounts: AmountForm,
    times: TimeForm,
    currency: crate::domain::money::Currency,
    /// The date that the file is for.
    date: BusinessDate,
}

impl<'p> LineForm<'p> {
    pub fn new(profile: &'p Profile, expect: &Expect<'_>) -> Self {
        let columns = || profile.columns.iter().enumerate();
        let plan = |kind| {
            let held = columns().filter_map(|(at, column)| match column.holds(kind) {
                Holds::Field(field) => Some(Cell {
                    at,
                    field: *field,
                    content: content_of(*field),
                }),
                Holds::Text(_) => None,
            });
            held.collect()
        };
        let zone = profile.zone.unwrap_or(expect.zone);
        Self {
            profile,
            forms: columns()
                .map(|(_, column)| CellForm::new(profile, column))
                .collect(),
            plans: [plan(FlowKind::Payment), plan(FlowKind::Reversal)],
            kind_at: columns()
                .find(|(_, column)| column.payment == Holds::Field(Field::Kind))
                .map(|(at, _)| at),
            amounts: AmountForm::new(profile.unit, expect.currency),
            times: TimeForm::new(profile.times, zone, expect.business_date),
            currency: expect.currency,
            date: expect.business_date,
        }
    }

    /// Reads a row from the cells of its line.
    pub fn row<'t>(&mut self, text: &'t str, cells: &[Range<usize>]) -> Result<Row<'t>, Wrong> {
        let kind = match self.kind_at {
            Some(at) => {
                let word = self.forms[at].bare(&text[cells[at].clone()]);
                let kinds = &self.profile.kinds;
                let meaning = kinds.meaning(word);
                meaning.ok_or_else(|| self.wrong(at, unknown(word, &kinds.list())))?
            }
            None => FlowKind::Payment,
        };
        let plan = std::mem::take(&mut self.plans[kind as usize]);
        let read = self.read(text, cells, kind, &plan);
        self.plans[kind as usize] = plan;
        read
    }

    fn read<'t>(
        &mut self,
        text: &'t str,
        cells: &[Range<usize>],
        kind: FlowKind,
        plan: &[Cell],
    ) -> Result<Row<'t>, Wrong> {
        let mut row = Row::payment("", 0, self.currency);
        row.kind = kind;
        for cell in plan {
            let bare = self.forms[cell.at].bare(&text[cells[cell.at].clone()]);
            let read = match cell.content {
                Some(content) => self.text(cell, bare, content, &mut row),
                None => self.value(cell.field, bare, &mut row),
            };
            read.map_err(|reason| self.wrong(cell.at, reason))?;
        }
        Ok(row)
    }

    /// Reads a text into its place.
    fn text<'t>(
        &self,
        cell: &Cell,
        bare: &'t str,
        content: Content,
        row: &mut Row<'t>,
    ) -> Result<(), Wrong> {
        let text = self.forms[cell.at].text(bare);
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("a text has more than {TEXT_BYTES_MAX} bytes"));
        }
        if content == Content::Identifier && !are_visible(text.as_bytes()) {
            return Err(format!(
                "{text:?} holds something else than visible ASCII, such as spaces or full-width digits"
            ));
        }
        if cell.field == Field::FlowNo && text.is_empty() {
            return Err("it is empty, and every line needs one".to_owned());
        }
        match cell.field {
            Field::FlowNo => row.flow_no = text,
            Field::OrderNo => row.order_no = text,
            Field::PaymentFlowNo => row.payment_flow_no = text,
            Field::UpstreamRef => row.upstream_ref = text,
            Field::RequestNo => row.request_no = text,
            Field::Merchant => row.merchant = text,
            Field::Biller => row.biller = text,
            Field::Item => row.item = text,
            Field::BillNo => row.bill_no = text,
            _ => row.note = text,
        }
        Ok(())
    }

    /// Reads a value that is no text into its place.
    fn value(&mut self, field: Field, bare: &str, row: &mut Row<'_>) -> Result<(), Wrong> {
        match field {
            Field::Amount => self.amount(bare, row)?,
            Field::Status => {
                let states = &self.profile.states;
                let meaning = states.meaning(bare);
                row.status = meaning.ok_or_else(|| unknown(bare, &states.list()))?;
            }
            Field::Currency if bare != self.currency.code() => {
                let expected = self.currency.code();
                return Err(format!("{bare:?} is not the file's currency, {expected}"));
            }
            // What is not known stands empty.
            _ if bare.is_empty() => {}
            Field::Fee => row.fee_minor = Some(self.amount_of(bare)?),
            Field::Net => row.net_minor = Some(self.amount_of(bare)?),
            Field::BusinessDate => {
                let date = read_business_date(bare, self.profile.dates);
                let date = date.map_err(|expected| found(bare, expected))?;
                if date != self.date {
                    let of_file = self.date;
                    return Err(format!(
                        "the line is of {date}, and the file is of {of_file}"
                    ));
                }
                row.business_date = Some(date);
            }
            Field::StartedAt => row.started_at = Some(self.time(bare)?),
            Field::ConcludedAt => row.concluded_at = Some(self.time(bare)?),
            _ => {}
        }
        Ok(())
    }

    fn amount_of(&self, bare: &str) -> Result<i64, Wrong> {
        let read = self.amounts.read(bare);
        read.map_err(|expected| found(bare, expected))
    }

    fn time(&mut self, bare: &str) -> Result<crate::domain::time::Instant, Wrong> {
        let read = self.times.read(bare);
        read.map_err(|expected| found(bare, expected))
    }

    /// Reads the amount, whose sign has to go with the kind. Where no column tells the kind, the sign
    /// does.
    fn amount(&self, bare: &str, row: &mut Row<'_>) -> Result<(), Wrong> {
        let signed = self.amount_of(bare)?;
        let is_negative = bare.starts_with('-');
        match (self.profile.reversals, row.kind) {
            (Reversals::Negative, FlowKind::Payment) if is_negative && self.kind_at.is_none() => {
                row.kind = FlowKind::Reversal;
            }
            (Reversals::Negative, FlowKind::Reversal) if !is_negative => {
                let reason = "the amount of a reversal has to be negative in this file";
                return Err(found(bare, reason));
            }
            (Reversals::Negative, FlowKind::Reversal) => {}
            _ if is_negative => return Err(found(bare, "this amount cannot be negative")),
            _ => {}
        }
        if is_negative && signed == 0 {
            return Err(found(bare, "no such amount is negative"));
        }
        row.amount_minor = signed.abs();
        Ok(())
    }

    /// A reason with its column's name.
    fn wrong(&self, at: usize, reason: Wrong) -> Wrong {
        format!("{}: {reason}", self.profile.columns[at].name)
    }
}

/// What may stand in the cell of a text; none for a field that is none.
fn content_of(field: Field) -> Option<Content> {
    let none = Row::payment("", 0, crate::domain::money::Currency::CNY);
    super::writer::text_of(&none, field).map(|_| Content::of(field))
}

fn found(bare: &str, expected: &str) -> Wrong {
    let start: String = bare.chars().take(64).collect();
    format!("{start:?}: {expected}")
}

fn unknown(word: &str, known: &str) -> Wrong {
    found(
        word,
        &format!("the profile knows no such word; it knows {known}"),
    )
}

/// Splits a text at delimiters. Where cells were quoted, the text without quotation marks is put into
/// `unquoted`, and that is what the ranges are of: then true comes back.
pub(super) fn split(
    layout: Layout,
    text: &str,
    unquoted: &mut String,
    cells: &mut Vec<Range<usize>>,
) -> Result<bool, Wrong> {
    cells.clear();
    let Layout::Delimited { delimiter, quote } = layout else {
        return Ok(false);
    };
    if let Some(quote) = quote
        && memchr(quote, text.as_bytes()).is_some()
    {
        unquoted.clear();
        unquote(
            text,
            (char::from(delimiter), char::from(quote)),
            unquoted,
            cells,
        )?;
        return Ok(true);
    }
    let mut start = 0;
    for end in memchr_iter(delimiter, text.as_bytes()) {
        cells.push(start..end);
        start = end + 1;
    }
    cells.push(start..text.len());
    Ok(false)
}

/// Splits a text in which quotation marks stand.
fn unquote(
    text: &str,
    (delimiter, quote): (char, char),
    unquoted: &mut String,
    cells: &mut Vec<Range<usize>>,
) -> Result<(), Wrong> {
    let mut rest = text;
    loop {
        let start = unquoted.len();
        if let Some(after) = rest.strip_prefix(quote) {
            rest = after;
            loop {
                let end = rest.find(quote);
                let end = end.ok_or("a quotation mark is not closed in its line")?;
                unquoted.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix(quote) {
                    Some(after) => {
                        unquoted.push(quote);
                        rest = after;
                    }
                    None => break,
                }
            }
            if !rest.is_empty() && !rest.starts_with(delimiter) {
                return Err("something stands behind a closing quotation mark".to_owned());
            }
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            if rest[..end].contains(quote) {
                return Err("a quotation mark stands within a cell that is not quoted".to_owned());
            }
            unquoted.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        cells.push(start..unquoted.len());
        match rest.strip_prefix(delimiter) {
            Some(after) => rest = after,
            None => return Ok(()),
        }
    }
}
