//! `pipe`: bars, UTF-8, amounts in minor units, reversals negative; the first line has count and sum.

use std::borrow::Cow;
use std::fmt::Write;

use super::Sheet;
use super::sums::Sums;
use crate::sim::files::row::{Kind, Row, Status};

pub(super) fn write(sheet: &Sheet<'_>) -> Vec<u8> {
    let Sums {
        rows, signed_minor, ..
    } = Sums::of(sheet);
    let mut text = String::with_capacity(64 + sheet.rows.len() * 120);
    let _ = writeln!(text, "{rows}|{signed_minor}");
    for row in sheet.rows {
        line(&mut text, sheet, row);
    }
    text.into_bytes()
}

fn line(text: &mut String, sheet: &Sheet<'_>, row: &Row) {
    let (kind, amount_minor) = match row.kind {
        Kind::Payment => ('P', row.amount_minor),
        Kind::Reversal => ('R', -row.amount_minor),
    };
    let state = match row.status {
        Status::Failed => 0,
        Status::Succeeded => 1,
        Status::Pending => 2,
    };
    let at = sheet.local(row.at).format("%Y%m%d%H%M%S");
    let reference = sheet.reference(row);
    let payment = row.payment_flow_no.as_deref().unwrap_or_default();
    let texts = [&row.flow_no, &reference, payment, &row.bill_no].map(quoted);
    let _ = writeln!(
        text,
        "{}|{kind}|{amount_minor}||{state}|{at}",
        texts.join("|")
    );
}

fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains(['"', '|']) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into()
    } else {
        cell.into()
    }
}
