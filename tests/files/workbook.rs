//! Statements as workbooks.

use super::sample::{head, profile, rows, totals};
use payhall::files::{Row, WorkbookWriter, WriteError, Written};

pub fn write(rows: &[Row<'_>]) -> (Written, Vec<u8>) {
    let profile = profile("wechat-like");
    let totals = totals(rows);
    let mut writer = WorkbookWriter::begin(&profile, &head(Some(&totals))).unwrap();
    for row in rows {
        writer.row(row).unwrap();
    }
    writer.finish(Vec::new()).unwrap()
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let (written, bytes) = write(&rows());
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.totals, totals(&rows()));
    assert_eq!(write(&rows()), (written, bytes));
}

#[test]
fn totals_that_turn_out_different_are_refused() {
    let profile = profile("payhall-csv");
    let given = totals(&rows());
    let writer = WorkbookWriter::begin(&profile, &head(Some(&given))).unwrap();
    let ended = writer.finish(Vec::new()).map(|(written, _)| written);
    assert!(
        matches!(ended, Err(WriteError::TotalsDiffer { .. })),
        "{ended:?}"
    );
}
