//! The ledger outlives the process, and says so when it is damaged.

use std::io::Write;

use serde_json::json;

use super::super::ledger::{self, LedgerError};
use super::{TestWorld, pay_body, reverse_body};

/// Puts something at the end of a ledger.
fn append(world: &TestWorld, text: &str) {
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(world.ledger_path());
    file.expect("a ledger")
        .write_all(text.as_bytes())
        .expect("written");
}

#[tokio::test]
async fn everything_that_matters_is_known_again() {
    let world = TestWorld::start().await;
    for (path, payment, bill_no) in [
        ("/bank/pay", "paid", "1000000001"),
        ("/bank/pay", "undone", "1000000002"),
        ("/bank/pay", "refused", "1000009001"),
        ("/bank/pay", "dark", "1000009003"),
        ("/legacy/pay", "old", "1000000003"),
    ] {
        world
            .post(path, pay_body(payment, "bj-power", bill_no))
            .await;
    }
    let undo = reverse_body("R1", "undone", "1000000002");
    assert_eq!(world.status("/bank/reverse", undo.clone()).await, 1);
    let bury = reverse_body("R2", "buried", "1000000004");
    assert_eq!(world.status("/bank/reverse", bury.clone()).await, 1);
    let before = world.ledger();
    let stats = world.get("/admin/stats").await;

    let world = world.restart().await;
    assert_eq!(world.ledger(), before);
    assert_eq!(world.get("/admin/stats").await["effects"], stats["effects"]);
    for (payment, status) in [
        ("paid", 1),
        ("undone", 5),
        ("refused", 1001),
        ("dark", -1),
        ("old", 4),
    ] {
        let (_, answer) = world.post("/bank/query", json!({"flow_no": payment})).await;
        assert_eq!(answer["status"], status, "{payment}");
    }
    assert_eq!(
        world
            .status("/legacy/query", json!({"flow_no": "old"}))
            .await,
        1
    );
    for (payment, bill_no, status) in [
        ("paid", "1000000001", 1),
        ("undone", "1000000002", 3002),
        ("buried", "1000000004", 3002),
        ("refused", "1000009001", 1001),
        ("again", "1000000001", 2001),
        ("open", "1000000002", 1),
    ] {
        let body = pay_body(payment, "bj-power", bill_no);
        assert_eq!(world.status("/bank/pay", body).await, status, "{payment}");
    }
    for reverse in [undo, bury] {
        assert_eq!(world.status("/bank/reverse", reverse).await, 1);
    }
    assert_eq!(world.effects("paid"), [1, 0, 0, 0]);
    assert_eq!(world.effects("undone"), [1, 1, 0, 0]);
    assert_eq!(world.effects("buried"), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_promised_effect_is_kept_over_a_restart_and_kept_once() {
    let mut world = TestWorld::start_with(|options| options.late_success_ms = 400).await;
    let pay = pay_body("F1", "bj-power", "1000009006");
    assert_eq!(world.status("/bank/pay", pay).await, -1);
    for _ in 0..2 {
        world = world.restart().await;
        world.stats_until(|stats| stats["late_pending"] == 0).await;
        assert_eq!(
            world.status("/bank/query", json!({"flow_no": "F1"})).await,
            1
        );
        assert_eq!(world.effects("F1"), [1, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_away_with_its_other_half() {
    let mut world = TestWorld::start().await;
    world
        .status("/bank/pay", pay_body("F1", "bj-power", "1000000001"))
        .await;
    let whole = std::fs::read_to_string(world.ledger_path()).expect("a ledger");
    let debit = whole
        .lines()
        .next()
        .expect("a line")
        .replace("\"seq\":1,", "\"seq\":4,");
    for torn in [
        "{\"seq\":4,\"at".to_owned(),
        format!("{debit}\n"),
        format!("{debit}\n{{\"seq\":5,"),
    ] {
        append(&world, &torn);
        world = world.restart().await;
        assert_eq!(
            std::fs::read_to_string(world.ledger_path()).expect("a ledger"),
            whole
        );
    }
    world
        .status("/bank/pay", pay_body("F2", "bj-power", "1000000002"))
        .await;
    assert_eq!(world.ledger().len(), 6);
    assert_eq!(world.effects("F2"), [1, 0, 0, 0]);
}

#[tokio::test]
async fn the_reader_names_the_line_and_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.jsonl");
    let refusal = r#"{"seq":1,"at":"2026-11-22T15:00:00.000001Z","event":"REFUSAL","bank":"bank","flow_no":"F","order_no":"O","biller":"b","bill_no":"1","amount_minor":"5","currency":"CNY","code":1001}"#;
    let good = format!("{refusal}\n");
    std::fs::write(&path, &good).expect("written");
    assert_eq!(ledger::read(&path).expect("good").len(), 1);

    let call = r#"{"seq":2,"at":"2026-11-22T15:00:00Z","event":"CALL","op":"PAY","answer":"1"}"#;
    for (line, reason) in [
        (refusal.to_owned(), "seq is 1, but 2 comes next"),
        ("{}".into(), "missing field `seq`"),
        (String::new(), "EOF"),
        ("x".repeat(1 << 20), "longer than 65536 bytes"),
        (call.to_owned(), "bank is for everything but a lookup"),
        (call.replace("CALL", "PHONE"), "PHONE"),
        (call.replace("op", "opp"), "opp"),
        (
            refusal.replace(":1,", ":2,").replace("REFUSAL", "DEBIT"),
            "code does not belong",
        ),
        (
            refusal.replace(":1,", ":2,").replace("\"5\"", "\"5.0\""),
            "amount_minor",
        ),
        (refusal.replace(":1,", ":2,").replace("T15", " "), "time"),
        (
            refusal.replace(":1,", ":2,").replace(",\"code\":1001", ""),
            "code is missing",
        ),
    ] {
        std::fs::write(&path, format!("{good}{line}\n")).expect("written");
        match ledger::read(&path) {
            Err(LedgerError::Line {
                line: 2,
                reason: why,
                ..
            }) => {
                assert!(why.contains(reason), "{reason}: {why}");
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
    std::fs::write(&path, format!("{good}{{")).expect("written");
    assert!(matches!(
        ledger::read(&path),
        Err(LedgerError::Torn { line: 2, .. })
    ));
    let missing = folder.path().join("missing");
    assert!(matches!(
        ledger::read(&missing),
        Err(LedgerError::Io { .. })
    ));
}
