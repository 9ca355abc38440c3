//! Writes a statement by a profile, row by row, over anything that takes bytes.
//!
//! What each cell of a row needs is worked out once, when the file begins, for payments and for
//! reversals. A row then goes through a list of steps into a buffer that is used again and again.

use super::amount::AmountForm;
use super::cell::{CellForm, Content};
use super::moment::{TimeForm, push_business_date};
use super::pack::Packer;
use super::profile::{DateFormat, Holds, Layout, LineEnd, Names, Profile, Reversals};
use super::row::{Field, LineStatus, Row, Totals};
use super::statement::{Head, WriteError, Written};
use super::template::{Slot, Template};
use super::values::Values;
use crate::domain::flow::FlowKind;
use crate::domain::money::Currency;
use sha2::{Digest, Sha256};
use std::io::Write;

/// The buffer is written out when it holds so much.
const BUFFER_BYTES: usize = 64 * 1_024;

/// What a cell of a row takes.
#[derive(Clone, Debug)]
enum Value {
    /// These bytes, the same in every row.
    Ready(Vec<u8>),
    /// The word for what became of it; none where the profile has none.
    Status([Option<Vec<u8>>; 3]),
    /// A field of the row.
    Of(Field),
}

/// One cell of a row.
#[derive(Clone, Debug)]
struct Step {
    value: Value,
    form: CellForm,
}

/// A statement being written: constant memory, and nothing allocated for a row of plain values.
#[derive(Debug)]
pub struct StatementWriter<'p, W: Write> {
    profile: &'p Profile,
    values: Values,
    given: Option<Totals>,
    currency: Currency,
    amounts: AmountForm,
    times: TimeForm,
    dates: DateFormat,
    steps: [Vec<Step>; 2],
    /// The bytes that the trailer begins with; no row does.
    trailer_start: Option<Vec<u8>>,
    buffer: Vec<u8>,
    /// One value, before it is put into its cell.
    value: Vec<u8>,
    packer: Packer<W>,
    /// The digest of what was written so far, where the trailer says it.
    hash: Option<Sha256>,
    totals: Totals,
    replaced: u64,
}

impl<'p, W: Write> StatementWriter<'p, W> {
    /// Begins a file: writes what stands before the rows.
    ///
    /// # Errors
    /// When the head's values do not fit, totals are needed and not given, or `out` fails.
    pub fn begin(profile: &'p Profile, head: &Head<'_>, out: W) -> Result<Self, WriteError> {
        if profile.counts_first() && head.totals.is_none() {
            return Err(WriteError::TotalsNeeded(profile.name.clone()));
        }
        head.file_name(profile)?;
        let mut values = Values::new(profile, head);
        let entry_name = match &profile.entry_name {
            Some(name) => values.name(name).map_err(WriteError::Head)?,
            None => String::new(),
        };
        values.totals = head.totals.copied();
        let mut digests = profile.trailer.iter().flat_map(Template::slots);
        let has_digest = digests.any(|slot| slot == Slot::Sha256);
        let zone = profile.zone.unwrap_or(head.zone);
        let steps = |kind| steps_of(profile, kind, head.currency);
        let mut writer = Self {
            profile,
            given: head.totals.copied(),
            currency: head.currency,
            amounts: AmountForm::new(profile.unit, head.currency),
            times: TimeForm::new(profile.times, zone, head.business_date),
            dates: profile.dates,
            steps: [steps(FlowKind::Payment)?, steps(FlowKind::Reversal)?],
            trailer_start: trailer_start(profile),
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            value: Vec::new(),
            packer: Packer::begin(profile.packing, &entry_name, out)?,
            hash: has_digest.then(Sha256::new),
            totals: Totals::default(),
            replaced: 0,
            values,
        };
        if profile.bom == super::profile::Bom::Always {
            writer.buffer.extend_from_slice("\u{feff}".as_bytes());
        }
        for line in &profile.head {
            writer.line(line)?;
        }
        if profile.names == Names::Line {
            writer.names()?;
        }
        Ok(writer)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When a value cannot stand in the file, the row is of another currency, or `out` fails.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), WriteError> {
        let start = self.buffer.len();
        let number = self.totals.rows() + 1;
        if row.currency != self.currency {
            return Err(WriteError::Currency {
                row: number,
                found: row.currency,
                expected: self.currency,
            });
        }
        let steps = std::mem::take(&mut self.steps[row.kind as usize]);
        let written = self.cells(row, &steps, start);
        self.steps[row.kind as usize] = steps;
        written.map_err(|(field, reason)| WriteError::Cell {
            row: number,
            field,
            reason,
        })?;
        let added = self.totals.add_row(row);
        added.map_err(|source| WriteError::Sum {
            row: number,
            source,
        })?;
        self.end_line();
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    /// Ends the file: writes what stands behind the rows, ends the packing, and gives `out` back.
    ///
    /// # Errors
    /// When the rows are not what the totals of the head said, or `out` fails.
    pub fn finish(mut self) -> Result<(Written, W), WriteError> {
        let totals = self.totals;
        if let Some(given) = self.given
            && given != totals
        {
            return Err(WriteError::TotalsDiffer {
                given: Box::new(given),
                found: Box::new(totals),
            });
        }
        self.values.totals = Some(totals);
        for line in &self.profile.trailer {
            self.write_out()?;
            self.values.sha256 = self.hash.clone().map(|hash| hash.finalize().into());
            self.line(line)?;
        }
        self.write_out()?;
        let (bytes, sha256, out) = self.packer.end()?.end();
        let written = Written {
            totals,
            bytes,
            sha256,
            replaced: self.replaced,
        };
        Ok((written, out))
    }

    /// Writes the cells of a row; where one cannot be written, tells which and why, and leaves the buffer
    /// as it was.
    fn cells(
        &mut self,
        row: &Row<'_>,
        steps: &[Step],
        start: usize,
    ) -> Result<(), (Field, String)> {
        let is_told = self.profile.has(Field::Status);
        let written = if row.amount_minor < 0 {
            let reason = "no amount is negative; the kind tells which way the money went";
            Err((Field::Amount, reason.to_owned()))
        } else if row.status != LineStatus::Succeeded && !is_told {
            let reason = "the profile has no column that says so";
            Err((Field::Status, format!("{}: {reason}", row.status)))
        } else {
            steps.iter().try_for_each(|step| self.cell(row, step))
        };
        let written = written.and_then(|()| match &self.trailer_start {
            Some(trailer) if self.buffer[start..].starts_with(trailer) => {
                let reason = "the row would begin as the trailer does";
                Err((Field::FlowNo, reason.to_owned()))
            }
            _ => Ok(()),
        });
        match (written, self.profile.layout) {
            (Ok(()), Layout::Delimited { .. }) => {
                // The delimiter behind the last cell.
                self.buffer.pop();
                Ok(())
            }
            (Ok(()), Layout::Fixed) => Ok(()),
            (Err(error), _) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    fn cell(&mut self, row: &Row<'_>, step: &Step) -> Result<(), (Field, String)> {
        let Step { value, form } = step;
        let out = &mut self.buffer;
        match value {
            Value::Ready(bytes) => out.extend_from_slice(bytes),
            Value::Status(words) => match &words[row.status as usize] {
                Some(word) => out.extend_from_slice(word),
                None => {
                    let reason = format!("the profile has no word for {}", row.status);
                    return Err((Field::Status, reason));
                }
            },
            Value::Of(field) => {
                let pushed = match text_of(row, *field) {
                    Some(text) => form.push_text(out, text, Content::of(*field)),
                    None => {
                        self.value.clear();
                        self.made(row, *field);
                        form.push_plain(&mut self.buffer, &self.value).map(|()| 0)
                    }
                };
                self.replaced += pushed.map_err(|reason| (*field, reason))?;
            }
        }
        if let Layout::Delimited { delimiter, .. } = self.profile.layout {
            self.buffer.push(delimiter);
        }
        Ok(())
    }

    /// Makes the value of a field that is no text; of a field that is not known, nothing.
    fn made(&mut self, row: &Row<'_>, field: Field) {
        let out = &mut self.value;
        let amount = match field {
            Field::Amount => Some(signed(self.profile, row.kind, row.amount_minor)),
            Field::Fee => row.fee_minor,
            Field::Net => row.net_minor,
            _ => None,
        };
        if let Some(minor) = amount {
            self.amounts.push(out, i128::from(minor));
        }
        let time = match field {
            Field::StartedAt => row.started_at,
            Field::ConcludedAt => row.concluded_at,
            _ => None,
        };
        if let Some(time) = time {
            self.times.push(out, time);
        }
        if let (Field::BusinessDate, Some(date)) = (field, row.business_date) {
            push_business_date(out, date, self.dates);
        }
    }

    /// Writes a line of head or trailer.
    fn line(&mut self, line: &Template) -> Result<(), WriteError> {
        let pushed = self.values.push_line(line, &mut self.buffer);
        self.replaced += pushed.map_err(WriteError::Head)?;
        self.end_line();
        Ok(())
    }

    fn names(&mut self) -> Result<(), WriteError> {
        let Layout::Delimited { delimiter, .. } = self.profile.layout else {
            return Ok(());
        };
        for column in &self.profile.columns {
            super::charset::push_encoded(self.profile.charset, &column.name, &mut self.buffer);
            self.buffer.push(delimiter);
        }
        self.buffer.pop();
        self.end_line();
        Ok(())
    }

    fn end_line(&mut self) {
        self.buffer.extend_from_slice(match self.profile.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
        });
    }

    fn write_out(&mut self) -> Result<(), WriteError> {
        if let Some(hash) = &mut self.hash {
            hash.update(&self.buffer);
        }
        self.packer.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// The bytes that a profile's trailer begins with, where it has one.
pub(super) fn trailer_start(profile: &Profile) -> Option<Vec<u8>> {
    profile.trailer.first().map(|first| {
        let mut start = Vec::new();
        super::charset::push_encoded(profile.charset, first.start(), &mut start);
        start
    })
}

/// An amount with the sign that the file gives it.
pub(super) fn signed(profile: &Profile, kind: FlowKind, amount_minor: i64) -> i64 {
    match (profile.reversals, kind) {
        (Reversals::Negative, FlowKind::Reversal) => -amount_minor,
        _ => amount_minor,
    }
}

/// The text of a field that is one.
pub(super) fn text_of<'r>(row: &Row<'r>, field: Field) -> Option<&'r str> {
    Some(match field {
        Field::FlowNo => row.flow_no,
        Field::OrderNo => row.order_no,
        Field::PaymentFlowNo => row.payment_flow_no,
        Field::UpstreamRef => row.upstream_ref,
        Field::RequestNo => row.request_no,
        Field::Merchant => row.merchant,
        Field::Biller => row.biller,
        Field::Item => row.item,
        Field::BillNo => row.bill_no,
        Field::Note => row.note,
        Field::Kind
        | Field::Status
        | Field::Amount
        | Field::Fee
        | Field::Net
        | Field::Currency
        | Field::BusinessDate
        | Field::StartedAt
        | Field::ConcludedAt => return None,
    })
}

/// What the cells of a row of some kind take.
fn steps_of(
    profile: &Profile,
    kind: FlowKind,
    currency: Currency,
) -> Result<Vec<Step>, WriteError> {
    let mut steps = Vec::with_capacity(profile.columns.len());
    for column in &profile.columns {
        let form = CellForm::new(profile, column);
        let cell = |text: &str| {
            let mut encoded = Vec::new();
            super::charset::push_encoded(profile.charset, text, &mut encoded);
            let mut cell = Vec::new();
            let pushed = form.push_plain(&mut cell, &encoded);
            let name = &column.name;
            pushed.map_err(|reason| WriteError::Head(format!("column {name:?}: {reason}")))?;
            Ok::<_, WriteError>(cell)
        };
        let value = match column.holds(kind) {
            Holds::Text(text) => Value::Ready(cell(text)?),
            Holds::Field(Field::Kind) => {
                Value::Ready(cell(profile.kinds.word(kind).unwrap_or(""))?)
            }
            Holds::Field(Field::Currency) => Value::Ready(cell(currency.code())?),
            Holds::Field(Field::Status) => {
                let mut words = [None, None, None];
                for status in LineStatus::ALL {
                    let word = profile.states.word(*status).map(&cell);
                    words[*status as usize] = word.transpose()?;
                }
                Value::Status(words)
            }
            Holds::Field(field) => Value::Of(*field),
        };
        steps.push(Step { value, form });
    }
    Ok(steps)
}
