//! `unionpay-zm`: in the manner of UnionPay's ZM files. No delimiter counts, every column is so many bytes
//! wide, in GBK; amounts are twelve digits of minor units, and a code tells a reversal.

use super::paper::{gbk, shanghai};
use super::sums::Sums;
use super::{Sheet, note};
use crate::sim::files::row::{Kind, Row, Status};

/// The file.
///
/// # Errors
/// A value that is wider than its column.
pub(super) fn write(sheet: &Sheet<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(64 + sheet.rows.len() * 250);
    for (at, row) in sheet.rows.iter().enumerate() {
        line(&mut bytes, sheet, row).map_err(|reason| format!("row {}: {reason}", at + 1))?;
    }
    let Sums {
        rows,
        unsigned_minor,
        ..
    } = Sums::of(sheet);
    bytes.extend_from_slice(format!("TRL {rows:010} {unsigned_minor:016}\r\n").as_bytes());
    Ok(bytes)
}

fn line(bytes: &mut Vec<u8>, sheet: &Sheet<'_>, row: &Row) -> Result<(), String> {
    let code = match row.kind {
        Kind::Payment => "S22",
        Kind::Reversal => "S32",
    };
    let state = match row.status {
        Status::Succeeded => "00",
        Status::Failed => "01",
        Status::Pending => "09",
    };
    let at = shanghai(row.at).format("%Y%m%d%H%M%S").to_string();
    let payment = row.payment_flow_no.as_deref().unwrap_or_default();
    let columns: [(&str, usize); 10] = [
        (code, 3),
        (&row.flow_no, 32),
        (payment, 32),
        (&sheet.reference(row), 32),
        (&at, 14),
        (&row.bill_no, 64),
        (note(&row.biller), 40),
        (&format!("{:012}", row.amount_minor), 12),
        (&row.currency, 3),
        (state, 2),
    ];
    for (place, (text, width)) in columns.into_iter().enumerate() {
        if place > 0 {
            bytes.push(b' ');
        }
        let value = gbk(text);
        let room = width.checked_sub(value.len());
        let room = room.ok_or_else(|| format!("{text:?} is wider than {width} bytes"))?;
        bytes.extend_from_slice(&value);
        bytes.extend(std::iter::repeat_n(b' ', room));
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(())
}
