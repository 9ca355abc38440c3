//! What is written is read again, by every profile.

use super::sample::{as_in, changed, each_line, profile, rows, write};
use payhall::domain::flow::FlowKind;
use payhall::domain::money::Currency;
use payhall::files::{BUILT_IN, LineStatus, Profile, Row};
use proptest::prelude::*;

fn comes_back(profile: &Profile, rows: &[Row<'_>]) {
    let (bytes, _) = write(profile, rows);
    let mut expected = rows.iter();
    each_line(profile, &bytes, |_, found| {
        let row = expected.next().expect("there are too many lines");
        assert_eq!(*found, as_in(profile, row), "{}", profile.name);
    });
    assert_eq!(expected.next(), None, "{}", profile.name);
}

/// Rows that a profile without quotation marks can say too.
fn plain_rows() -> Vec<Row<'static>> {
    let plain = |row: Row<'static>| Row {
        request_no: "R-1",
        upstream_ref: "U-2",
        bill_no: "S1",
        ..row
    };
    rows().into_iter().map(plain).collect()
}

#[test]
fn every_profile_reads_what_it_writes() {
    for (name, _) in BUILT_IN {
        let profile = profile(name);
        comes_back(&profile, &plain_rows());
        comes_back(&profile, &[]);
    }
    for name in ["payhall-csv", "pipe", "wechat-like", "alipay-like"] {
        comes_back(&profile(name), &rows());
    }
}

#[test]
fn what_failed_is_said_by_every_profile_that_statements_are_written_by() {
    let failed = |row: Row<'static>| Row {
        status: LineStatus::Failed,
        ..row
    };
    let (said, refused) = (rows(), rows().into_iter().map(failed));
    let all: Vec<_> = said.into_iter().chain(refused).collect();
    let mut fit = Vec::new();
    for (name, _) in BUILT_IN {
        let profile = profile(name);
        if profile.unfit_for_statements().is_none() {
            fit.push(*name);
        }
    }
    let wanted = [
        "alipay-like",
        "payhall-csv",
        "pipe",
        "unionpay-zm",
        "wechat-like",
    ];
    assert_eq!(fit, wanted);
    for name in wanted.into_iter().filter(|name| *name != "unionpay-zm") {
        comes_back(&profile(name), &all);
    }
    let plain: Vec<_> = plain_rows().into_iter().map(failed).collect();
    comes_back(&profile("unionpay-zm"), &plain);
}

#[test]
fn every_packing_and_encoding() {
    for encoding in ["UTF-8", "GB18030", "GBK"] {
        for packing in [
            "packing = \"GZIP\"",
            "packing = \"ZIP\"\nentry_name = \"a.csv\"",
        ] {
            let to = format!("encoding = \"{encoding}\"\n{packing}");
            let profile = changed("payhall-csv", "encoding = \"UTF-8\"", &to);
            comes_back(&profile, &rows());
        }
    }
}

#[test]
fn a_flow_may_stand_in_a_file_twice() {
    let row = rows()[0];
    comes_back(&profile("payhall-csv"), &[row, row]);
}

#[test]
fn lines_are_numbered_as_an_editor_does() {
    let profile = profile("alipay-like");
    let (bytes, _) = write(&profile, &rows());
    let mut numbers = Vec::new();
    each_line(&profile, &bytes, |line, _| numbers.push(line));
    assert_eq!(numbers, [6, 7, 8]);
}

/// A row as its parts.
type Parts = (
    String,
    String,
    String,
    String,
    (bool, u8, i64, Option<i64>),
    (i64, i64),
);

fn parts() -> impl Strategy<Value = Parts> {
    (
        "[!-~]{1,32}",
        "[!-~]{0,32}",
        "[ -~東飢区é€=＝＋'\"|,`\u{20087}]{0,20}",
        "[ -~東飢区=＠'\"|,`]{0,20}",
        (
            any::<bool>(),
            0..3_u8,
            1..=i64::MAX / 1_000,
            proptest::option::of(-1_000_000..1_000_000_i64),
        ),
        // Since 1992 the clocks of Shanghai were never put back.
        (
            700_000_000..4_102_444_800_i64,
            700_000_000..4_102_444_800_i64,
        ),
    )
}

fn row_of(parts: &Parts) -> Row<'_> {
    let (flow_no, bill_no, upstream_ref, note, numbers, times) = parts;
    let (is_reversal, status, amount_minor, fee_minor) = *numbers;
    let time = |seconds| chrono::DateTime::from_timestamp(seconds, 0);
    Row {
        order_no: bill_no,
        upstream_ref,
        request_no: bill_no,
        bill_no,
        note,
        kind: if is_reversal {
            FlowKind::Reversal
        } else {
            FlowKind::Payment
        },
        status: LineStatus::ALL[usize::from(status)],
        fee_minor,
        net_minor: fee_minor,
        started_at: time(times.0),
        concluded_at: time(times.1),
        ..Row::payment(flow_no, amount_minor, Currency::CNY)
    }
}

proptest! {
    #[test]
    fn any_row_comes_back(parts in proptest::collection::vec(parts(), 0..8)) {
        let rows: Vec<Row<'_>> = parts.iter().map(row_of).collect();
        comes_back(&profile("payhall-csv"), &rows);
        comes_back(&profile("pipe"), &rows);
        let as_gb = changed("payhall-csv", "\"UTF-8\"", "\"GB18030\"");
        comes_back(&as_gb, &rows);
        let with_tabs = changed("payhall-csv", "names = ", "guard = \"\\t\"\nnames = ");
        comes_back(&with_tabs, &rows);
    }
}
