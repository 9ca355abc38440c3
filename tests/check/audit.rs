//! I4, I8 and I10: audit rows that were changed, deleted, exchanged or cut off, and what is left of
//! orders that are gone.

use crate::pair::*;
use crate::support::given;
use payhall::check::Invariant;
use payhall::storage::View;
use payhall::storage::walk;

/// The chain that the pair was made in.
const CHAIN: &str = "made-1";

/// The place of an order's audit row by its action.
fn place(pair: &Pair, digits: u64, action: &str) -> i64 {
    let mut view = View::open(&pair.database.url).unwrap();
    let rows = walk::chain(view.connection(), CHAIN, 0, 10_000).unwrap();
    let number = given::number(digits);
    let is_it = |row: &walk::Readable<payhall::domain::audit::AuditRow>| {
        let entry = &row.as_ref().unwrap().entry;
        entry.subject == number && entry.action == action
    };
    rows.into_iter().find(|(_, row)| is_it(row)).unwrap().0
}

#[tokio::test]
async fn every_field_of_an_audit_row_is_guarded() {
    for change in [
        "actor = 'operator:eve'",
        "detail = 'something else'",
        "request_id = 'r-1'",
        "at = at + 1",
        "subject = '202611220000000000000099'",
        "action = 'EXPIRED'",
        "after_state = 'MANUAL'",
        "subject_kind = 'CASE'",
    ] {
        on_sqlite(async |mut pair| {
            let seq = place(&pair, CLOSED, "CANCELLED");
            let rows = format!("stream = '{CHAIN}' AND seq = {seq}");
            pair.sql(&format!("UPDATE audit SET {change} WHERE {rows}"));
            let report = pair.check();
            let named = report.findings.iter().any(|finding| {
                finding.invariant == Invariant::Audit
                    && finding.problem == "an audit row was changed"
                    && finding
                        .evidence
                        .starts_with(&format!("audit row {CHAIN} {seq} "))
            });
            assert!(named, "{change}: {report}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    on_each(async |mut pair| {
        let seq = place(&pair, CLOSED, "CANCELLED");
        let rows = format!("stream = '{CHAIN}' AND seq = {seq}");
        pair.sql(&format!(
            "UPDATE audit SET subject_kind = 'SHADOW' WHERE {rows}"
        ));
        pair.assert_found(
            Invariant::Audit,
            CLOSED,
            &format!("audit row {CHAIN} {seq}"),
        );
    })
    .await;
}

#[tokio::test]
async fn a_changed_row_with_a_new_hash_breaks_the_link() {
    on_each(async |mut pair| {
        let seq = place(&pair, SUCCEEDED, "CONFIRMED");
        let mut view = View::open(&pair.database.url).unwrap();
        let (_, row) = walk::chain(view.connection(), CHAIN, seq - 1, 1)
            .unwrap()
            .remove(0);
        drop(view);
        let mut row = row.unwrap();
        row.entry.actor = "operator:eve".to_owned();
        let hash = payhall::domain::audit::row_hash(CHAIN, seq, &row.prev_hash, &row.entry);
        let hex = payhall::domain::audit::hex(&hash);
        let hash = match pair.database.kind {
            "sqlite" => format!("x'{hex}'"),
            _ => format!("'\\x{hex}'::bytea"),
        };
        pair.sql(&format!(
            "UPDATE audit SET actor = 'operator:eve', hash = {hash} \
             WHERE stream = '{CHAIN}' AND seq = {seq}"
        ));
        let next = format!("audit row {CHAIN} {}", seq + 1);
        pair.assert_found(Invariant::Audit, SUCCEEDED, &next);
        pair.assert_found(Invariant::Audit, SUCCEEDED, "not linked to the one before");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_row_leaves_a_gap_and_a_hole_in_a_life() {
    on_each(async |mut pair| {
        let seq = place(&pair, SUCCEEDED, "CONFIRMED");
        pair.sql(&format!(
            "DELETE FROM audit WHERE stream = '{CHAIN}' AND seq = {seq}"
        ));
        let gap = format!("chain {CHAIN}: rows {seq} to {seq} are missing");
        pair.assert_found(Invariant::Audit, SUCCEEDED, &gap);
        pair.assert_found(Invariant::Audit, SUCCEEDED, "2 moves, 2 audit rows");
        pair.assert_found(
            Invariant::TerminalIsFinal,
            SUCCEEDED,
            "does not begin where",
        );
    })
    .await;
}

#[tokio::test]
async fn the_first_rows_of_a_chain_are_missed() {
    on_each(async |mut pair| {
        pair.sql(&format!(
            "DELETE FROM audit WHERE stream = '{CHAIN}' AND seq = 1"
        ));
        pair.assert_found(Invariant::Audit, CREATED, "rows 1 to 1 are missing");
    })
    .await;
}

#[tokio::test]
async fn two_exchanged_rows_are_found() {
    on_each(async |mut pair| {
        let (one, two) = (
            place(&pair, CREATED, "CREATED"),
            place(&pair, CLOSED, "CANCELLED"),
        );
        let set = |from: i64, to: i64| {
            format!("UPDATE audit SET seq = {to} WHERE stream = '{CHAIN}' AND seq = {from};")
        };
        pair.sql(&[set(one, 9_999), set(two, one), set(9_999, two)].concat());
        let report = pair.check().to_string();
        for seq in [one, two] {
            let words = format!("in another's place (audit row {CHAIN} {seq} ");
            assert!(report.contains(&words), "{report}");
            let words = format!("the one before it (audit row {CHAIN} {seq} ");
            assert!(report.contains(&words), "{report}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_was_cut_off_is_missed_by_the_orders_that_moved() {
    on_each(async |mut pair| {
        let store = pair.store("later");
        let order = given::order(DECIDED);
        let closing = given::audit(&order, "IMPORTED");
        let import = move |tx: &mut payhall::storage::Tx<'_>| {
            let mut entry = closing.clone();
            entry.subject_kind = "CATALOGUE";
            tx.audit(entry)
        };
        store.solo(import).await.unwrap();
        store.close().await;
        assert!(pair.check().is_clean());
        let seq = place(&pair, PAYING, "CREATED");
        pair.sql(&format!(
            "DELETE FROM audit WHERE stream = '{CHAIN}' AND seq > {seq}"
        ));
        pair.assert_found(Invariant::Audit, PAYING, "1 moves, 1 audit rows");
        pair.assert_found(
            Invariant::TerminalIsFinal,
            PAYING,
            "not where its audit rows lead",
        );
    })
    .await;
}

#[tokio::test]
async fn a_case_that_moved_without_its_rows_is_found() {
    on_each(async |mut pair| {
        let number = given::number(MANUAL);
        pair.sql(&format!(
            "UPDATE cases SET version = 1 WHERE order_no = '{number}'"
        ));
        pair.assert_found(Invariant::Audit, MANUAL, "1 moves, 1 audit rows");
        pair.sql(&format!(
            "UPDATE cases SET version = 0, state = 'CLOSED' WHERE order_no = '{number}'"
        ));
        pair.assert_found(
            Invariant::Audit,
            MANUAL,
            "the case is not where its audit rows lead",
        );
    })
    .await;
}

#[tokio::test]
async fn a_case_that_moved_as_no_case_does_is_found() {
    on_each(async |mut pair| {
        pair.sql("UPDATE audit SET action = 'REJECTED' WHERE action = 'APPROVED'");
        pair.assert_found(Invariant::Audit, DECIDED, "no such move of a case");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_moved_without_its_rows_is_found() {
    on_each(async |mut pair| {
        let number = given::number(CLOSED);
        pair.sql(&format!(
            "UPDATE orders SET version = 2 WHERE order_no = '{number}'"
        ));
        pair.assert_found(Invariant::Audit, CLOSED, "2 moves, 2 audit rows");
        pair.sql(&format!(
            "UPDATE orders SET version = 1, state = 'CREATED' WHERE order_no = '{number}'"
        ));
        pair.assert_found(
            Invariant::TerminalIsFinal,
            CLOSED,
            "not where its audit rows lead",
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_gone_is_found_by_what_is_left_of_it() {
    on_each(async |mut pair| {
        let number = given::number(SUCCEEDED);
        pair.sql(&format!("DELETE FROM orders WHERE order_no = '{number}'"));
        pair.assert_found(Invariant::Durable, SUCCEEDED, "1 flows");
        pair.assert_found(Invariant::Durable, SUCCEEDED, "3 audit rows");
        pair.assert_found(Invariant::Money, SUCCEEDED, "not in our database");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_cannot_be_read_is_found() {
    on_each(async |mut pair| {
        let number = given::number(SUCCEEDED);
        pair.sql(&format!(
            "UPDATE orders SET currency = 'X' WHERE order_no = '{number}'"
        ));
        pair.assert_found(Invariant::Durable, SUCCEEDED, "cannot be read");
    })
    .await;
    on_each(async |mut pair| {
        let number = payment_no(SUCCEEDED);
        pair.sql(&format!(
            "UPDATE flows SET currency = 'X' WHERE flow_no = '{number}'"
        ));
        pair.assert_found(
            Invariant::Durable,
            SUCCEEDED,
            &format!("flows row {number}"),
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_an_error_and_not_a_clean_report() {
    on_each(async |pair| {
        pair.check();
        let mut options = pair.options.clone();
        options.database_url = "sqlite:/nowhere/payhall.db".to_owned();
        let error = payhall::check::run(&options).unwrap_err();
        assert!(
            format!("{error:#}").contains("there is no file"),
            "{error:#}"
        );
        let mut options = pair.options.clone();
        options.ledger = "/nowhere/ledger.jsonl".into();
        let error = payhall::check::run(&options).unwrap_err();
        assert!(
            format!("{error:#}").contains("/nowhere/ledger.jsonl"),
            "{error:#}"
        );
        let options = pair.options.clone();
        std::fs::write(&options.ledger, "{\"seq\":1}\n").unwrap();
        let error = payhall::check::run(&options).unwrap_err();
        assert!(format!("{error:#}").contains("line 1"), "{error:#}");
    })
    .await;
}
