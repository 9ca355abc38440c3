//! The result as text: one line a flow number, in the sequence of the numbers. These bytes are what is
//! kept, handed out and hashed, so they hold nothing that another run over the same rows would say in
//! another way: no time, no run, no place in a file.

use super::judge::Verdict;
use super::row::{Row, Sides};
use std::io::Write;

/// The first line.
pub const RESULT_HEAD: &str = "flow_no,class,rule,at_risk_minor,currency,ours_kind,ours_state,\
ours_amount_minor,ours_currency,bank_kind,bank_state,bank_amount_minor,bank_currency,biller_kind,\
biller_state,biller_amount_minor,biller_currency\n";

/// Appends the line of one flow number. Several rows of a side stand in one cell each, joined by `+`, by
/// amount and then in the sequence of their words; a side without a row has empty cells. Our state is
/// what the bank's line proves, where it proves something.
pub fn write_result(out: &mut Vec<u8>, flow_no: &str, sides: Sides<'_>, verdict: &Verdict) {
    write_number(out, flow_no);
    let Verdict {
        class,
        rule,
        at_risk,
        proves,
    } = verdict;
    // Writing into memory does not fail.
    let _ = write!(
        out,
        ",{class},{rule},{},{}",
        at_risk.amount_minor, at_risk.currency
    );
    let settled = |row: &Row| Row {
        state: proves.unwrap_or(row.state),
        ..*row
    };
    match sides.ours {
        [ours] => write_side(out, &[settled(ours)]),
        ours => write_side(out, ours),
    }
    write_side(out, sides.bank);
    write_side(out, sides.biller);
    out.push(b'\n');
}

/// What a row says, in the sequence in which rows of one side stand.
type Words = (i64, &'static str, &'static str, &'static str);

fn write_side(out: &mut Vec<u8>, rows: &[Row]) {
    if rows.is_empty() {
        out.extend_from_slice(b",,,,");
        return;
    }
    let words = |row: &Row| -> Words {
        let kind = row.kind.map_or("", |kind| kind.as_str());
        let (state, code) = (row.state.as_str(), row.amount.currency.code());
        (row.amount.amount_minor, kind, state, code)
    };
    let mut rows: Vec<Words> = rows.iter().map(words).collect();
    rows.sort_unstable();
    let mut column = |write: fn(&mut Vec<u8>, &Words)| {
        for (place, row) in rows.iter().enumerate() {
            out.push(if place == 0 { b',' } else { b'+' });
            write(out, row);
        }
    };
    column(|out, row| out.extend_from_slice(row.1.as_bytes()));
    column(|out, row| out.extend_from_slice(row.2.as_bytes()));
    column(|out, row| drop(write!(out, "{}", row.0)));
    column(|out, row| out.extend_from_slice(row.3.as_bytes()));
}

/// A number as a cell. Ours are digits; what a partner writes may be anything, and must neither break
/// the line nor become a formula in somebody's spreadsheet.
fn write_number(out: &mut Vec<u8>, flow_no: &str) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let begins_plain = flow_no
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if begins_plain && flow_no.bytes().all(is_plain) {
        out.extend_from_slice(flow_no.as_bytes());
        return;
    }
    out.push(b'"');
    if flow_no.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        out.push(b'\'');
    }
    for byte in flow_no.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::judge::classify;
    use super::super::row::RowState;
    use super::super::rules::Waited;
    use super::*;
    use crate::domain::flow::FlowKind;
    use crate::domain::money::{Currency, Money};

    fn line(flow_no: &str, ours: &[Row], bank: &[Row]) -> String {
        let sides = Sides {
            ours,
            bank,
            biller: &[],
        };
        let mut out = Vec::new();
        write_result(&mut out, flow_no, sides, &classify(sides, &[], Waited(0)));
        String::from_utf8(out).unwrap()
    }

    fn row(state: RowState, minor: i64) -> Row {
        Row::new(FlowKind::Payment, state, Money::new(minor, Currency::CNY))
    }

    #[test]
    fn a_line_says_what_each_side_says() {
        let number = "202611220000000000000001";
        let paid = row(RowState::Succeeded, 100);
        assert_eq!(
            line(number, &[], &[paid]),
            format!("{number},LONG,NOT_OURS,100,CNY,,,,,PAYMENT,SUCCEEDED,100,CNY,,,,\n")
        );
        let twice = line(number, &[], &[row(RowState::Succeeded, 70), paid]);
        assert_eq!(
            twice,
            line(number, &[], &[paid, row(RowState::Succeeded, 70)])
        );
        assert!(
            twice.contains("PAYMENT+PAYMENT,SUCCEEDED+SUCCEEDED,70+100,CNY+CNY"),
            "{twice}"
        );
        let columns = RESULT_HEAD.split(',').count();
        assert_eq!(twice.split(',').count(), columns);
    }

    #[test]
    fn a_line_is_the_same_before_and_after_the_settlement() {
        let paid = row(RowState::Succeeded, 100);
        let open = row(RowState::Pending, 100);
        assert_eq!(line("1", &[open], &[paid]), line("1", &[paid], &[paid]));
        let failed = row(RowState::Failed, 100);
        assert_eq!(
            line("1", &[open], &[failed]),
            line("1", &[failed], &[failed])
        );
    }

    #[test]
    fn a_foreign_number_neither_breaks_the_line_nor_is_a_formula() {
        let begins = |number: &str| {
            let line = line(number, &[], &[row(RowState::Failed, 1)]);
            line.split(",MATCHED").next().unwrap().to_owned()
        };
        assert_eq!(begins("A-1_2.3"), "A-1_2.3");
        assert_eq!(begins("a,b\"c"), "\"a,b\"\"c\"");
        assert_eq!(begins("=1+1"), "\"'=1+1\"");
        assert_eq!(begins("-1"), "\"'-1\"");
        assert_eq!(begins(""), "\"\"");
        assert_eq!(begins("水\n"), "\"水\n\"");
    }
}
