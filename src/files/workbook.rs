//! Writes a statement as an `.xlsx` for people: the columns of a profile, with numbers that a spreadsheet
//! can add up. Programs read the other file.
//!
//! Texts are stored as texts, which a spreadsheet never takes for formulas, long numbers among them. A
//! spreadsheet knows amounts as floating-point numbers only, which hold 15 digits; an amount with more
//! is stored as a text. No amount is ever read back from here.

use super::amount::AmountForm;
use super::moment::{TimeForm, push_business_date};
use super::pack::Counted;
use super::profile::{Column, DateFormat, Holds, Profile, TimeFormat, Unit};
use super::row::{Field, Row, Totals};
use super::statement::{Head, WriteError, Written};
use super::writer::{signed, text_of};
use crate::domain::money::Currency;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use std::io::Write;

/// How many rows a sheet has, the names' among them.
const SHEET_ROWS: u32 = 1_048_576;
/// How many digits a number of a spreadsheet holds.
const DIGITS_MAX: usize = 15;
/// How wide the columns are shown, in characters.
const TEXT_WIDTH: u16 = 26;
const NUMBER_WIDTH: u16 = 14;

/// A workbook being written. Rows go to a temporary file as they come, so memory stays the same; what is
/// beyond the rows of one sheet goes to the next. The same rows give the same bytes.
pub struct WorkbookWriter<'p> {
    profile: &'p Profile,
    workbook: Workbook,
    sheet_rows: u32,
    /// Which sheet is written.
    sheet: usize,
    /// The next row of it.
    next: u32,
    given: Option<Totals>,
    currency: Currency,
    amounts: AmountForm,
    times: TimeForm,
    totals: Totals,
    value: Vec<u8>,
    money: Format,
    bold: Format,
}

impl std::fmt::Debug for WorkbookWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sheet, next, .. } = self;
        write!(f, "WorkbookWriter(sheet {sheet}, row {next})")
    }
}

impl From<XlsxError> for WriteError {
    fn from(error: XlsxError) -> Self {
        match error {
            XlsxError::IoError(error) => WriteError::Io(error),
            other => WriteError::Workbook(other.to_string()),
        }
    }
}

impl<'p> WorkbookWriter<'p> {
    /// Begins a workbook with the columns of a profile. Amounts are shown in the currency's own unit.
    ///
    /// # Errors
    /// When the workbook's library refuses.
    pub fn begin(profile: &'p Profile, head: &Head<'_>) -> Result<Self, WriteError> {
        Self::with_sheets_of(SHEET_ROWS, profile, head)
    }

    fn with_sheets_of(
        sheet_rows: u32,
        profile: &'p Profile,
        head: &Head<'_>,
    ) -> Result<Self, WriteError> {
        let mut workbook = Workbook::new();
        // Never the clock's time.
        let made_on = ExcelDateTime::parse_from_str(&head.business_date.to_string())?;
        let party = if head.party_name.is_empty() {
            head.party
        } else {
            head.party_name
        };
        let properties = DocProperties::new()
            .set_title(format!("{party} {}", head.business_date))
            .set_creation_datetime(&made_on);
        workbook.set_properties(&properties);
        let decimals = head.currency.exponent() as usize;
        let shown = match decimals {
            0 => "#,##0".to_owned(),
            decimals => format!("#,##0.{}", "0".repeat(decimals)),
        };
        let zone = profile.zone.unwrap_or(head.zone);
        let mut writer = Self {
            profile,
            workbook,
            sheet_rows,
            sheet: 0,
            next: 0,
            given: head.totals.copied(),
            currency: head.currency,
            amounts: AmountForm::new(Unit::Major, head.currency),
            times: TimeForm::new(TimeFormat::Local, zone, head.business_date),
            totals: Totals::default(),
            value: Vec::new(),
            money: Format::new().set_num_format(shown),
            bold: Format::new().set_bold(),
        };
        writer.add_sheet()?;
        Ok(writer)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When a value cannot stand in the file or the temporary file cannot be written.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), WriteError> {
        let number = self.totals.rows() + 1;
        if row.currency != self.currency {
            return Err(WriteError::Currency {
                row: number,
                found: row.currency,
                expected: self.currency,
            });
        }
        let added = self.totals.add_row(row);
        added.map_err(|source| WriteError::Sum {
            row: number,
            source,
        })?;
        if self.next == self.sheet_rows {
            self.sheet += 1;
            self.add_sheet()?;
        }
        let profile = self.profile;
        for (at, column) in (0..).zip(&profile.columns) {
            if let Holds::Field(field) = column.holds(row.kind) {
                self.cell(at, row, *field)?;
            }
        }
        self.next += 1;
        Ok(())
    }

    /// Ends the workbook and writes it out, and gives `out` back.
    ///
    /// # Errors
    /// When the rows are not what the totals of the head said, or `out` fails.
    pub fn finish<W: Write + Send>(mut self, out: W) -> Result<(Written, W), WriteError> {
        let totals = self.totals;
        if let Some(given) = self.given
            && given != totals
        {
            return Err(WriteError::TotalsDiffer {
                given: Box::new(given),
                found: Box::new(totals),
            });
        }
        let mut counted = Counted::new(out);
        self.workbook.save_to_writer(&mut counted)?;
        counted.flush()?;
        let (bytes, sha256, out) = counted.end();
        let written = Written {
            totals,
            bytes,
            sha256,
            replaced: 0,
        };
        Ok((written, out))
    }

    /// Adds a sheet with the names of its columns, which stay in sight.
    fn add_sheet(&mut self) -> Result<(), WriteError> {
        let bold = self.bold.clone();
        let columns = &self.profile.columns;
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (at, column) in (0..).zip(columns) {
            let width = if holds_amount(column) {
                NUMBER_WIDTH
            } else {
                TEXT_WIDTH
            };
            sheet.set_column_width(at, f64::from(width))?;
            sheet.write_string_with_format(0, at, &column.name, &bold)?;
        }
        self.next = 1;
        Ok(())
    }

    fn cell(&mut self, at: u16, row: &Row<'_>, field: Field) -> Result<(), WriteError> {
        let place = (self.next, at);
        if let Some(text) = text_of(row, field) {
            // The format knows no control characters.
            let clean = text.replace(char::is_control, "?");
            return write(self.sheet()?, place, &clean);
        }
        self.value.clear();
        let minor = match field {
            Field::Amount => Some(signed(self.profile, row.kind, row.amount_minor)),
            Field::Fee => row.fee_minor,
            Field::Net => row.net_minor,
            _ => None,
        };
        if let Some(minor) = minor {
            return self.amount(place, minor);
        }
        let out = &mut self.value;
        match field {
            Field::Kind => out.extend_from_slice(row.kind.as_str().as_bytes()),
            Field::Status => out.extend_from_slice(row.status.as_str().as_bytes()),
            Field::Currency => out.extend_from_slice(row.currency.code().as_bytes()),
            Field::StartedAt | Field::ConcludedAt => {
                let time = match field {
                    Field::StartedAt => row.started_at,
                    _ => row.concluded_at,
                };
                if let Some(time) = time {
                    self.times.push(out, time);
                }
            }
            Field::BusinessDate => {
                if let Some(date) = row.business_date {
                    push_business_date(out, date, DateFormat::Dashed);
                }
            }
            _ => {}
        }
        let text = String::from_utf8_lossy(&self.value).into_owned();
        write(self.sheet()?, place, &text)
    }

    /// Writes an amount as a number, where a spreadsheet's numbers hold it.
    fn amount(&mut self, place: (u32, u16), minor: i64) -> Result<(), WriteError> {
        self.amounts.push(&mut self.value, i128::from(minor));
        let text = String::from_utf8_lossy(&self.value).into_owned();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        match text.parse::<f64>() {
            Ok(number) if digits <= DIGITS_MAX => {
                let money = self.money.clone();
                let sheet = self.sheet()?;
                sheet.write_number_with_format(place.0, place.1, number, &money)?;
                Ok(())
            }
            _ => write(self.sheet()?, place, &text),
        }
    }

    fn sheet(&mut self) -> Result<&mut Worksheet, WriteError> {
        Ok(self.workbook.worksheet_from_index(self.sheet)?)
    }
}

/// Writes a text; an empty one is no cell.
fn write(sheet: &mut Worksheet, (row, at): (u32, u16), text: &str) -> Result<(), WriteError> {
    if !text.is_empty() {
        sheet.write_string(row, at, text)?;
    }
    Ok(())
}

fn holds_amount(column: &Column) -> bool {
    let is_amount =
        |holds: &Holds| matches!(holds, Holds::Field(Field::Amount | Field::Fee | Field::Net));
    is_amount(&column.payment) || is_amount(&column.reversal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::BusinessDate;
    use crate::files::Profiles;
    use std::io::Cursor;
    use zip::ZipArchive;

    #[test]
    fn rows_beyond_one_sheet_go_to_the_next() {
        let profile = Profiles::load([]).unwrap().get("payhall-csv").unwrap();
        let head = Head {
            business_date: BusinessDate("2026-11-22".parse().unwrap()),
            party: "shop-1",
            party_name: "",
            version: 1,
            currency: Currency::CNY,
            zone: chrono_tz::Tz::Asia__Shanghai,
            totals: None,
        };
        for (rows, sheets) in [(0, 1), (2, 1), (3, 2), (5, 3)] {
            let mut writer = WorkbookWriter::with_sheets_of(3, &profile, &head).unwrap();
            for _ in 0..rows {
                writer.row(&Row::payment("1", 2, Currency::CNY)).unwrap();
            }
            let (written, bytes) = writer.finish(Vec::new()).unwrap();
            assert_eq!(written.totals.rows(), rows);
            let archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
            let names = archive.file_names();
            let is_sheet = |name: &str| name.starts_with("xl/worksheets/sheet");
            let found = names.filter(|name| name.as_deref().is_ok_and(is_sheet));
            assert_eq!(found.count(), sheets, "{rows} rows");
        }
    }
}
