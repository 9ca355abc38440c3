//! The bytes of every profile that statements are written by, as they were looked at once. They are part
//! of what is promised to merchants; whoever changes them changes the files in `golden/` by hand.

use super::sample::{head, profile, rows, totals, write};
use payhall::files::{Sidecar, WriteError};
use sha2::{Digest, Sha256};
use std::path::Path;

fn is_golden(file: &str, bytes: &[u8]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/golden");
    let known = std::fs::read(golden.join(file)).unwrap_or_default();
    if known != bytes {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        std::fs::write(&made, bytes).unwrap();
        panic!("{file} is not what it was; it is now {}", made.display());
    }
}

#[test]
fn the_bytes_of_every_profile() {
    for name in ["payhall-csv", "pipe", "wechat-like", "alipay-like"] {
        let profile = profile(name);
        let all = rows();
        let (bytes, written) = write(&profile, &all);
        assert_eq!(written.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(written.replaced, 0, "{name}");
        let file = head(None).file_name(&profile).unwrap();
        is_golden(&format!("{name}.{file}"), &bytes);
        let (again, _) = write(&profile, &all);
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
fn an_empty_day_is_a_file_with_zero_totals() {
    for name in ["payhall-csv", "pipe", "wechat-like"] {
        let (bytes, written) = write(&profile(name), &[]);
        assert_eq!(written.totals.rows(), 0);
        is_golden(&format!("empty.{name}"), &bytes);
    }
}

#[test]
fn the_bytes_of_the_sidecar() {
    let profile = profile("payhall-csv");
    let (_, written) = write(&profile, &rows());
    let head = head(None);
    let file = head.file_name(&profile).unwrap();
    let cutoff_at = super::sample::at("2026-11-22T16:00:00Z");
    let chain = payhall::domain::audit_heads::Head {
        stream: "main".to_owned(),
        seq: 7,
        hash: "00ff".to_owned(),
    };
    let names = (profile.name.as_str(), file.as_str());
    let sidecar = Sidecar::new(&head, names, &written, cutoff_at, Some(chain));
    let bytes = sidecar.canonical_bytes();
    is_golden("sidecar.json", &bytes);
    assert_eq!(Sidecar::read(&bytes), Ok(sidecar));
    let spaced = String::from_utf8(bytes).unwrap().replacen(':', ": ", 1);
    assert!(
        Sidecar::read(spaced.as_bytes())
            .unwrap_err()
            .contains("canonical")
    );
    assert!(Sidecar::read(b"{}").is_err());
}

#[test]
fn totals_that_turn_out_different_are_refused() {
    use payhall::files::StatementWriter;
    let profile = profile("pipe");
    let all = rows();
    let missing = StatementWriter::begin(&profile, &head(None), Vec::new());
    assert!(matches!(missing, Err(WriteError::TotalsNeeded(_))));
    let given = totals(&all[..2]);
    let mut writer = StatementWriter::begin(&profile, &head(Some(&given)), Vec::new()).unwrap();
    for row in &all {
        writer.row(row).unwrap();
    }
    let ended = writer.finish().map(|(written, _)| written);
    assert!(
        matches!(ended, Err(WriteError::TotalsDiffer { .. })),
        "{ended:?}"
    );
}

#[test]
fn what_has_no_place_in_a_file_is_refused_with_its_row() {
    use payhall::files::{LineStatus, Row, StatementWriter};
    let first = rows()[0];
    let trailer = profile("alipay").trailer[0].to_string();
    let usd = payhall::domain::money::Currency::try_new("USD").unwrap();
    for (name, bad, reason) in [
        (
            "payhall-csv",
            Row {
                amount_minor: -1,
                ..first
            },
            "AMOUNT",
        ),
        (
            "payhall-csv",
            Row {
                currency: usd,
                ..first
            },
            "in USD",
        ),
        (
            "payhall-csv",
            Row {
                bill_no: "a b",
                ..first
            },
            "BILL_NO",
        ),
        (
            "payhall-csv",
            Row {
                upstream_ref: "a\nb",
                ..first
            },
            "UPSTREAM_REF",
        ),
        (
            "wechat-like",
            Row {
                status: LineStatus::Pending,
                ..first
            },
            "no word for PENDING",
        ),
        (
            "alipay",
            Row {
                status: LineStatus::Pending,
                ..first
            },
            "no column that says so",
        ),
        (
            "alipay",
            Row {
                upstream_ref: &trailer,
                ..first
            },
            "as the trailer does",
        ),
        (
            "wechat",
            Row {
                flow_no: "a,b",
                ..first
            },
            "no quotation marks",
        ),
        (
            "unionpay-zm",
            Row {
                bill_no: &"9".repeat(65),
                ..first
            },
            "64",
        ),
    ] {
        let profile = profile(name);
        let mut writer = StatementWriter::begin(&profile, &head(None), Vec::new()).unwrap();
        let good = Row {
            bill_no: "S1",
            request_no: "R",
            upstream_ref: "U",
            ..first
        };
        writer.row(&good).unwrap();
        let error = writer.row(&bad).unwrap_err().to_string();
        assert!(
            error.contains("row 2") && error.contains(reason),
            "{name}: {error}"
        );
        // Nothing of the row went out, and the next one may come.
        writer.row(&good).unwrap();
        let (written, _) = writer.finish().unwrap();
        assert_eq!(written.totals.rows(), 2);
    }
}

#[test]
fn what_an_encoding_cannot_say_is_replaced_and_counted() {
    let row = payhall::files::Row {
        note: "a😀,é",
        ..rows()[0]
    };
    let (_, written) = write(&profile("alipay-like"), &[row]);
    assert_eq!(written.replaced, 1);
    let row = payhall::files::Row {
        note: "a,b",
        request_no: "R",
        upstream_ref: "",
        ..row
    };
    let (bytes, written) = write(&profile("wechat"), &[row]);
    assert_eq!(written.replaced, 1);
    assert!(String::from_utf8(bytes).unwrap().contains("`a?b,"));
}
