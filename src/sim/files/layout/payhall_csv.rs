//! `payhall-csv`: comma and quotes, UTF-8, amounts in minor units, reversals negative, and a last line
//! with count, sum and digest. The columns that only the center can fill are empty.

use std::fmt::Write;

use super::Sheet;
use super::paper::sha256;
use super::sums::Sums;
use crate::sim::files::row::{Kind, Row};

const NAMES: &str = "flow_no,order_no,payment_flow_no,request_no,upstream_ref,merchant,biller,item,\
bill_no,kind,status,amount_minor,fee_minor,net_minor,currency,started_at,concluded_at\n";

pub(super) fn write(sheet: &Sheet<'_>) -> Vec<u8> {
    let mut text = String::with_capacity(NAMES.len() + sheet.rows.len() * 220);
    text.push_str(NAMES);
    for row in sheet.rows {
        line(&mut text, sheet, row);
    }
    let Sums {
        rows, signed_minor, ..
    } = Sums::of(sheet);
    let mut digest = sha256(text.as_bytes());
    if sheet.faults.wrong_digest {
        digest = sha256(digest.as_bytes());
    }
    let _ = writeln!(text, "#END,{rows},{signed_minor},{digest}");
    text.into_bytes()
}

fn line(text: &mut String, sheet: &Sheet<'_>, row: &Row) {
    let at = sheet.local(row.at).format("%Y-%m-%dT%H:%M:%S%:z");
    let reference = sheet.reference(row);
    let amount_minor = match row.kind {
        Kind::Payment => row.amount_minor,
        Kind::Reversal => -row.amount_minor,
    };
    let cells = [
        &*quoted(&row.flow_no),
        &quoted(&row.order_no),
        &quoted(row.payment_flow_no.as_deref().unwrap_or_default()),
        "",
        &quoted(&reference),
        "",
        &quoted(&row.biller),
        "",
        &quoted(&row.bill_no),
        row.kind.name(),
        row.status.name(),
        &amount_minor.to_string(),
        "",
        "",
        &row.currency,
        "",
        &at.to_string(),
    ];
    text.push_str(&cells.join(","));
    text.push('\n');
}

/// The callers' numbers may hold any visible character.
fn quoted(cell: &str) -> std::borrow::Cow<'_, str> {
    if cell.contains(['"', ',']) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into()
    } else {
        cell.into()
    }
}
