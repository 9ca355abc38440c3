//! Every kind of tampering with the rows: found, and named by chain and number.

use crate::center::{CHAIN, Center, at, names, on_each};
use crate::support::database::TestDatabase;
use crate::support::given;
use payhall::check::TrailFault as F;
use payhall::check::{VerifyOptions, verify};
use payhall::domain::audit::{AuditEntry, ChainHead};
use payhall::storage::Tx;

fn row(seq: i64) -> String {
    format!("stream = '{CHAIN}' AND seq = {seq}")
}

#[tokio::test]
async fn an_edit_of_any_column_is_found() {
    let edits = [
        "at = at + 1",
        "actor = 'operator:eve'",
        "action = 'EXPIRED'",
        "subject_kind = 'CASE'",
        "subject = '202611220000000000000099'",
        "before_state = NULL",
        "before_state = ''",
        "after_state = 'MANUAL'",
        "detail = NULL",
        "detail = 'something else'",
        "request_id = 'r-8'",
        "prev_hash = hash",
        "hash = prev_hash",
    ];
    for database in TestDatabase::all() {
        let center = Center::with_days(database).await;
        for (place, edit) in edits.iter().enumerate() {
            // A row that tells of an order's end, which has a value in every column.
            let rows = center.rows();
            let mut ends = rows.iter().filter(|row| row.entry.action == "CANCELLED");
            let victim = ends.next().unwrap().clone();
            let old = center.literal(&victim.hash);
            let saved =
                format!("CREATE TABLE saved{place} AS SELECT * FROM audit WHERE hash = {old}");
            center.sql(&saved);
            center.sql(&format!(
                "UPDATE audit SET {edit} WHERE {}",
                row(victim.seq)
            ));
            let faults = center.faults();
            let named = at(F::Edited, victim.seq);
            assert!(faults.contains(&named), "{edit}: {faults:?}");
            let rows = row(victim.seq);
            center.sql(&format!("DELETE FROM audit WHERE {rows}"));
            center.sql(&format!("INSERT INTO audit SELECT * FROM saved{place}"));
            assert_eq!(center.faults(), [""; 0], "{edit}: put back");
        }
    }
}

#[tokio::test]
async fn an_edit_with_a_new_hash_breaks_the_link_behind_it() {
    on_each(async |center| {
        let victim = center.rows()[9].clone();
        let entry = AuditEntry {
            actor: "operator:eve".to_owned(),
            ..victim.entry
        };
        let hash = payhall::domain::audit::row_hash(CHAIN, victim.seq, &victim.prev_hash, &entry);
        let hash = center.literal(&hash);
        let rows = row(victim.seq);
        center.sql(&format!(
            "UPDATE audit SET actor = 'operator:eve', hash = {hash} WHERE {rows}"
        ));
        let next = at(F::Unlinked, victim.seq + 1);
        assert_eq!(center.faults(), [next]);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    on_each(async |center| {
        center.sql(&format!(
            "UPDATE audit SET subject_kind = 'SHADOW' WHERE {}",
            row(5)
        ));
        let faults = center.faults();
        assert!(faults.contains(&at(F::Unreadable, 5)), "{faults:?}");
    })
    .await;
}

#[tokio::test]
async fn deleted_rows_leave_a_gap_wherever_they_stood() {
    for seq in [1, 12] {
        on_each(async |center| {
            center.sql(&format!("DELETE FROM audit WHERE {}", row(seq)));
            let faults = center.faults();
            assert!(faults.contains(&at(F::Deleted, seq)), "{faults:?}");
        })
        .await;
    }
    // Of several rows in a line the first is named, and all of them in the words.
    on_each(async |center| {
        let rows = "seq BETWEEN 12 AND 14";
        center.sql(&format!("DELETE FROM audit WHERE {rows}"));
        let report = center.verify();
        assert!(names(&report).contains(&at(F::Deleted, 12)), "{report}");
        assert!(
            report.to_string().contains("rows 12 to 14 are missing"),
            "{report}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_last_row_is_missed_by_what_it_is_about() {
    on_each(async |center| {
        let last = center.rows().pop().unwrap();
        center.sql(&format!("DELETE FROM audit WHERE {}", row(last.seq)));
        let named = format!("UNTOLD {}", last.entry.subject);
        assert_eq!(center.faults(), [named]);
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_was_cut_off_before_its_published_head_is_found() {
    on_each(async |center| {
        let head = center.published();
        center.sql(&format!("DELETE FROM audit WHERE seq > {}", head - 2));
        let report = center.verify();
        let faults = names(&report);
        assert!(faults.contains(&at(F::Truncated, head - 1)), "{faults:?}");
        let words = format!(
            "rows {} to {head} are missing, which audit-heads-",
            head - 1
        );
        assert!(report.to_string().contains(&words), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_was_cut_off_after_its_published_head_is_found_by_its_things() {
    on_each(async |center| {
        let head = center.published();
        // The row about the file itself stands behind the head.
        let first = head + 1;
        center.sql(&format!("DELETE FROM audit WHERE seq > {first}"));
        let faults = center.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.starts_with("UNTOLD ")));
        center.sql(&format!("DELETE FROM audit WHERE seq > {head}"));
        assert_eq!(
            center.faults().len(),
            3,
            "the file is there without its row"
        );
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_is_gone_is_found_by_its_published_head() {
    on_each(async |center| {
        // A second chain, of things that do not count their changes: only the heads tell of it.
        let other = center.another("other").await;
        let import = |tx: &mut Tx<'_>| {
            let mut entry = given::audit(&given::order(1), "IMPORTED");
            entry.subject_kind = "CATALOGUE";
            tx.audit(entry)
        };
        other.engine.store().solo(import).await.unwrap();
        center.publish().await;
        assert_eq!(center.faults(), [""; 0]);
        center.sql("DELETE FROM audit WHERE stream = 'other-1'");
        assert_eq!(center.faults(), ["VANISHED other-1 1"]);
        let without = VerifyOptions::new(&center.database.url);
        let report = verify(&without, |_, _| ()).unwrap();
        assert!(report.is_clean(), "without the folder nobody can know");
        assert!(report.to_string().contains("no folder of published heads"));
    })
    .await;
}

#[tokio::test]
async fn exchanged_rows_are_told_their_own_places() {
    for (one, two) in [(5, 6), (5, 11)] {
        on_each(async |center| {
            let set = |from: i64, to: i64| {
                format!("UPDATE audit SET seq = {to} WHERE stream = '{CHAIN}' AND seq = {from};")
            };
            center.sql(&[set(one, 9_999), set(two, one), set(9_999, two)].concat());
            let report = center.verify();
            let faults = names(&report);
            for seq in [one, two] {
                assert!(faults.contains(&at(F::Reordered, seq)), "{faults:?}");
            }
            let words = format!("by its hash it is row {two} of this chain");
            assert!(report.to_string().contains(&words), "{report}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_gap_that_was_closed_by_new_numbers_is_found() {
    on_each(async |center| {
        center.sql(&format!("DELETE FROM audit WHERE {}", row(12)));
        center.sql("UPDATE audit SET seq = seq + 99999 WHERE seq > 12");
        center.sql("UPDATE audit SET seq = seq - 100000 WHERE seq > 12");
        let report = center.verify();
        let faults = names(&report);
        assert!(faults.contains(&at(F::Reordered, 12)), "{faults:?}");
        assert!(faults.contains(&at(F::Unlinked, 12)), "{faults:?}");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_was_moved_to_another_chain_is_found_in_both() {
    on_each(async |center| {
        center.sql(&format!(
            "UPDATE audit SET stream = 'other' WHERE {}",
            row(12)
        ));
        let faults = center.faults();
        for named in [at(F::Deleted, 12), "EDITED other 12".to_owned()] {
            assert!(faults.contains(&named), "{faults:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_was_written_anew_to_its_end_is_found_by_its_published_head() {
    on_each(async |center| {
        let rows = center.rows();
        let (first, head) = (12, center.published());
        let before = &rows[first - 2];
        let mut chain = ChainHead {
            stream: CHAIN.to_owned(),
            seq: before.seq,
            hash: before.hash.clone(),
        };
        let mut statements = String::new();
        for old in &rows[first - 1..] {
            let mut entry = old.entry.clone();
            if old.seq == i64::try_from(first).unwrap() {
                entry.actor = "operator:eve".to_owned();
            }
            let new = chain.link(entry);
            statements.push_str(&format!(
                "UPDATE audit SET actor = '{}', prev_hash = {}, hash = {} WHERE {};",
                new.entry.actor,
                center.literal(&new.prev_hash),
                center.literal(&new.hash),
                row(new.seq)
            ));
        }
        center.sql(&statements);
        let report = center.verify();
        let faults = names(&report);
        assert!(faults.contains(&at(F::Rewritten, head)), "{faults:?}");
        let only = faults.iter().all(|fault| fault.starts_with("REWRITTEN "));
        assert!(only, "in itself the chain is sound: {faults:?}");
        let without = VerifyOptions::new(&center.database.url);
        assert!(verify(&without, |_, _| ()).unwrap().is_clean());
    })
    .await;
}

#[tokio::test]
async fn a_long_chain_is_judged_page_by_page() {
    let center = Center::new(TestDatabase::sqlite()).await;
    let many = |tx: &mut Tx<'_>| {
        for number in 0..12_000 {
            let mut entry = given::audit(&given::order(1), "IMPORTED");
            entry.subject_kind = "CATALOGUE";
            entry.detail = Some(number.to_string());
            tx.audit(entry)?;
        }
        Ok(())
    };
    center.replica.engine.store().solo(many).await.unwrap();
    let mut told = Vec::new();
    let report = verify(&center.options(), |_, rows| told.push(rows)).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(told.len() >= 3 && told.is_sorted(), "{told:?}");
    assert_eq!(report.figures.rows, *told.last().unwrap());
    // At the edge of a page, and beyond it.
    for seq in [5_000, 5_001, 10_001] {
        let saved = center.rows()[seq - 1].entry.actor.clone();
        let seq = i64::try_from(seq).unwrap();
        center.sql(&format!(
            "UPDATE audit SET actor = 'eve' WHERE {}",
            row(seq)
        ));
        assert_eq!(center.faults(), [at(F::Edited, seq)]);
        center.sql(&format!(
            "UPDATE audit SET actor = '{saved}' WHERE {}",
            row(seq)
        ));
    }
    let mut options = center.options();
    options.findings_max = 7;
    center.sql("UPDATE audit SET actor = 'eve'");
    let report = verify(&options, |_, _| ()).unwrap();
    assert_eq!(report.findings.len(), 7);
    assert_eq!(report.findings_total, report.figures.rows);
}
