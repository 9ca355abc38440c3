//! Rows and files to try things with.

use payhall::domain::flow::FlowKind;
use payhall::domain::money::Currency;
use payhall::domain::progress::Silent;
use payhall::domain::time::{BusinessDate, Instant};
use payhall::files::{
    Checked, Expect, Head, Limits, LineStatus, Lines, Profile, Profiles, Row, StatementWriter,
    Totals, Verdict, Written, check,
};
use std::io::Cursor;
use std::sync::Arc;

pub fn date() -> BusinessDate {
    BusinessDate("2026-11-22".parse().unwrap())
}

pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub fn profile(name: &str) -> Arc<Profile> {
    let profiles = Profiles::load([]).unwrap_or_else(|problems| panic!("{problems:?}"));
    profiles.get(name).unwrap()
}

/// A profile that is the named one but for some lines of its text.
pub fn changed(name: &str, from: &str, to: &str) -> Profile {
    let built_in = payhall::files::BUILT_IN.iter();
    let (_, text) = built_in.copied().find(|(known, _)| *known == name).unwrap();
    assert!(text.contains(from), "{name} does not say {from:?}");
    let text = text.replacen(from, to, 1);
    Profile::parse(name, &text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub fn head(totals: Option<&Totals>) -> Head<'_> {
    Head {
        business_date: date(),
        party: "shop-1",
        party_name: "東方商店",
        version: 1,
        currency: Currency::CNY,
        zone: chrono_tz::Tz::Asia__Shanghai,
        totals,
    }
}

pub fn expect() -> Expect<'static> {
    Expect {
        business_date: date(),
        currency: Currency::CNY,
        zone: chrono_tz::Tz::Asia__Shanghai,
        digest: None,
        limits: Limits::default(),
    }
}

/// Three rows: a payment, another, and a reversal of the first.
pub fn rows() -> Vec<Row<'static>> {
    let first = Row {
        order_no: "202611220000000000010001",
        upstream_ref: "U-1",
        request_no: "R,1",
        merchant: "shop-1",
        biller: "water",
        item: "water-bill",
        bill_no: "=S12345678",
        note: "東區水費|飢",
        fee_minor: Some(6),
        net_minor: Some(12_339),
        business_date: Some(date()),
        started_at: Some(at("2026-11-22T01:59:58Z")),
        concluded_at: Some(at("2026-11-22T02:00:00Z")),
        ..Row::payment("202611220000000000010002", 12_345, Currency::CNY)
    };
    let second = Row {
        flow_no: "202611220000000000020002",
        order_no: "202611220000000000020001",
        upstream_ref: "U\"2",
        bill_no: "S9",
        note: "燃气",
        amount_minor: 1,
        fee_minor: Some(0),
        net_minor: Some(1),
        ..first
    };
    let third = Row {
        flow_no: "202611220000000000030002",
        payment_flow_no: "202611220000000000010002",
        kind: FlowKind::Reversal,
        fee_minor: Some(-6),
        net_minor: Some(-12_339),
        ..first
    };
    vec![first, second, third]
}

pub fn totals(rows: &[Row<'_>]) -> Totals {
    let mut totals = Totals::default();
    for row in rows {
        totals.add_row(row).unwrap();
    }
    totals
}

/// The bytes of a file with these rows.
pub fn write(profile: &Profile, rows: &[Row<'_>]) -> (Vec<u8>, Written) {
    let totals = totals(rows);
    let mut writer = StatementWriter::begin(profile, &head(Some(&totals)), Vec::new()).unwrap();
    for row in rows {
        writer
            .row(row)
            .unwrap_or_else(|error| panic!("{row:?}: {error}"));
    }
    let (written, bytes) = writer.finish().unwrap();
    assert_eq!(written.totals, totals);
    assert_eq!(written.bytes, bytes.len() as u64);
    (bytes, written)
}

/// What a check says of bytes.
pub fn verdict(profile: &Profile, bytes: &[u8]) -> Verdict {
    check(profile, &expect(), Cursor::new(bytes), &Silent).unwrap()
}

/// What a check says of bytes that are right.
pub fn checked(profile: &Profile, bytes: &[u8]) -> Checked {
    match verdict(profile, bytes) {
        Verdict::Checked(checked) => checked,
        Verdict::Refused(refusal) => panic!("{}: {refusal}", profile.name),
    }
}

/// The line and the reason for which bytes are refused.
pub fn refusal(profile: &Profile, bytes: &[u8]) -> (u64, String) {
    match verdict(profile, bytes) {
        Verdict::Refused(refusal) => (refusal.line, refusal.reason),
        Verdict::Checked(_) => panic!(
            "{}: this was taken: {}",
            profile.name,
            String::from_utf8_lossy(bytes)
        ),
    }
}

/// Gives every line of bytes that are right, with its number.
pub fn each_line(profile: &Profile, bytes: &[u8], mut each: impl FnMut(u64, &Row<'_>)) {
    let checked = checked(profile, bytes);
    let mut lines = Lines::open(profile, &expect(), &checked, Cursor::new(bytes)).unwrap();
    while let Some(line) = lines.next().unwrap() {
        each(line.line, &line.row);
    }
}

/// What is left of a row in a file of some profile.
pub fn as_in<'a>(profile: &Profile, row: &Row<'a>) -> Row<'a> {
    use payhall::files::Field;
    use payhall::files::profile::Holds;
    let has = |field| {
        let of = |column: &payhall::files::profile::Column| {
            *column.holds(row.kind) == Holds::Field(field)
        };
        profile.columns.iter().any(of)
    };
    let text = |field, text: &'a str| if has(field) { text } else { "" };
    Row {
        flow_no: row.flow_no,
        order_no: text(Field::OrderNo, row.order_no),
        payment_flow_no: text(Field::PaymentFlowNo, row.payment_flow_no),
        upstream_ref: text(Field::UpstreamRef, row.upstream_ref),
        request_no: text(Field::RequestNo, row.request_no),
        merchant: text(Field::Merchant, row.merchant),
        biller: text(Field::Biller, row.biller),
        item: text(Field::Item, row.item),
        bill_no: text(Field::BillNo, row.bill_no),
        note: text(Field::Note, row.note),
        kind: row.kind,
        status: if has(Field::Status) {
            row.status
        } else {
            LineStatus::Succeeded
        },
        amount_minor: row.amount_minor,
        fee_minor: row.fee_minor.filter(|_| has(Field::Fee)),
        net_minor: row.net_minor.filter(|_| has(Field::Net)),
        currency: row.currency,
        business_date: row.business_date.filter(|_| has(Field::BusinessDate)),
        started_at: row.started_at.filter(|_| has(Field::StartedAt)),
        concluded_at: row.concluded_at.filter(|_| has(Field::ConcludedAt)),
    }
}
