//! I3, I14, I11 and laws 3 and 8: who works on an order, who decided, what orders must not share.

use crate::pair::*;
use crate::support::given;
use payhall::check::Invariant;
use payhall::domain::order::OrderState;
use std::time::Duration;

/// Changes the exceptions of an order.
fn set(digits: u64, change: &str) -> String {
    format!(
        "UPDATE exceptions SET {change} WHERE order_no = '{}'",
        given::number(digits)
    )
}

#[tokio::test]
async fn an_order_in_doubt_that_nobody_works_on_is_found() {
    on_each(async |mut pair| {
        pair.sql(&set(UNKNOWN, "closed_at = 1"));
        pair.assert_found(Invariant::NothingLost, UNKNOWN, "nobody works on the order");
        pair.options.grace = Duration::from_secs(97);
        assert!(pair.check().is_clean(), "it moved a moment ago");
    })
    .await;
    on_each(async |mut pair| {
        pair.sql(&set(UNKNOWN, "phase = 'WATCH'"));
        pair.assert_found(Invariant::NothingLost, UNKNOWN, "nobody works on the order");
    })
    .await;
    on_each(async |mut pair| {
        pair.options.now = given::at(160);
        pair.assert_found(Invariant::NothingLost, PAYING, "PAYING since");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_should_be_closed_is_found() {
    on_each(async |mut pair| {
        // So that nothing but CREATED is late.
        pair.options.grace = Duration::from_secs(8_000);
        pair.options.now = given::at(7_200 + 8_001);
        let found = pair.check();
        let words = "the order should have been closed";
        assert!(found.to_string().contains(words), "{found}");
        pair.options.now = given::at(7_200 + 8_000);
        let found = pair.check();
        assert!(!found.to_string().contains(words), "{found}");
    })
    .await;
}

#[tokio::test]
async fn a_manual_order_without_a_case_is_found() {
    on_each(async |mut pair| {
        pair.sql(&format!(
            "DELETE FROM cases WHERE order_no = '{}'",
            given::number(MANUAL)
        ));
        pair.assert_found(Invariant::NothingLost, MANUAL, "there is no open case");
        pair.assert_found(
            Invariant::NothingLost,
            MANUAL,
            "called people, but there is no case",
        );
        pair.assert_found(Invariant::Durable, MANUAL, &case_no(MANUAL));
    })
    .await;
}

#[tokio::test]
async fn an_open_exception_of_an_order_at_rest_is_found() {
    on_each(async |mut pair| {
        pair.sql(&set(REVERSED, "closed_at = NULL"));
        pair.assert_found(Invariant::NothingLost, REVERSED, "its exception is open");
    })
    .await;
}

#[tokio::test]
async fn two_open_exceptions_are_found() {
    on_each(async |mut pair| {
        let columns = "order_no, payment_flow_no, phase, polls, unknowns, not_found, tries, \
                       payment_started_at, opened_at, phase_at, next_at, alarm, escalated, fence";
        pair.sql(&format!(
            "DROP INDEX exceptions_open; INSERT INTO exceptions (exception_id, {columns}) \
             SELECT '{}', {columns} FROM exceptions WHERE order_no = '{}'",
            uuid::Uuid::now_v7(),
            given::number(UNKNOWN)
        ));
        pair.assert_found(Invariant::NothingLost, UNKNOWN, "more than one exception");
    })
    .await;
}

#[tokio::test]
async fn an_exception_without_its_flow_is_found() {
    on_each(async |mut pair| {
        let other = payment_no(SUCCEEDED);
        pair.sql(&set(UNKNOWN, &format!("payment_flow_no = '{other}'")));
        pair.assert_found(Invariant::NothingLost, UNKNOWN, "its flow is missing");
    })
    .await;
    on_each(async |mut pair| {
        pair.sql(&set(UNKNOWN, "phase = 'REVERSE'"));
        pair.assert_found(Invariant::NothingLost, UNKNOWN, "reversal none");
    })
    .await;
}

#[tokio::test]
async fn doubt_after_the_faults_is_found_only_when_asked_for() {
    on_each(async |mut pair| {
        pair.options.settled = true;
        let report = pair.check();
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|f| f.order_no.clone().unwrap())
            .collect();
        assert_eq!(
            found,
            [given::number(UNKNOWN), given::number(PAYING)],
            "{report}"
        );
        assert_eq!(report.findings_by_invariant[&Invariant::Progress], 2);
    })
    .await;
}

#[tokio::test]
async fn leaving_a_terminal_state_without_a_decision_is_found() {
    on_each(async |pair| {
        let store = pair.store("spoiled");
        let order = current(&pair, FAILED).await;
        write(
            &store,
            step(&order, "PAYMENT_SUCCEEDED", OrderState::Succeeded, 20),
        )
        .await;
        store.close().await;
        let words = "left a terminal state without a decision";
        pair.assert_found(Invariant::TerminalIsFinal, FAILED, words);
    })
    .await;
}

#[tokio::test]
async fn a_decision_of_nobody_is_found() {
    on_each(async |pair| {
        let store = pair.store("spoiled");
        let order = current(&pair, FAILED).await;
        let mut decided = step(&order, "DECIDED_SUCCEEDED", OrderState::Succeeded, 20);
        decided.audits[0].actor = "job:poll".to_owned();
        write(&store, decided).await;
        store.close().await;
        let words = "left a terminal state without a decision";
        pair.assert_found(Invariant::TerminalIsFinal, FAILED, words);
    })
    .await;
    on_each(async |pair| {
        let store = pair.store("spoiled");
        let order = current(&pair, MANUAL).await;
        let mut decided = step(&order, "DECIDED_FAILED", OrderState::Failed, 20);
        decided.audits[0].actor = "job:poll".to_owned();
        write(&store, decided).await;
        store.close().await;
        pair.assert_found(
            Invariant::TerminalIsFinal,
            MANUAL,
            "only an operator can decide",
        );
    })
    .await;
}

#[tokio::test]
async fn a_decision_without_a_case_is_found() {
    on_each(async |pair| {
        let store = pair.store("spoiled");
        let order = current(&pair, FAILED).await;
        let mut decided = step(&order, "DECIDED_SUCCEEDED", OrderState::Succeeded, 20);
        decided.audits[0].actor = "operator:eve".to_owned();
        write(&store, decided).await;
        store.close().await;
        pair.assert_found(
            Invariant::TwoPeople,
            FAILED,
            "no case in which this was decided",
        );
    })
    .await;
}

#[tokio::test]
async fn one_person_alone_is_found() {
    on_each(async |mut pair| {
        let allow = match pair.database.kind {
            "sqlite" => "PRAGMA ignore_check_constraints = ON",
            _ => "ALTER TABLE cases DROP CONSTRAINT cases_check",
        };
        pair.sql(&format!(
            "{allow}; UPDATE cases SET maker = checker WHERE checker IS NOT NULL"
        ));
        pair.assert_found(Invariant::TwoPeople, DECIDED, "one person decided alone");
    })
    .await;
}

#[tokio::test]
async fn content_that_the_request_was_not_made_with_is_found() {
    on_each(async |mut pair| {
        let number = given::number(CREATED);
        pair.sql(&format!(
            "UPDATE orders SET amount_minor = 1 WHERE order_no = '{number}'"
        ));
        pair.assert_found(Invariant::OneRequest, CREATED, "fingerprint");
    })
    .await;
}

#[tokio::test]
async fn one_request_with_two_orders_is_found() {
    on_each(async |mut pair| {
        pair.sql(&format!(
            "DROP INDEX orders_request; UPDATE orders SET request_no = 'R{CREATED}' \
             WHERE order_no = '{}'",
            given::number(CLOSED)
        ));
        pair.assert_found(
            Invariant::OneRequest,
            CLOSED,
            "one request made more than one order",
        );
    })
    .await;
}

#[tokio::test]
async fn two_open_payments_of_one_bill_are_found() {
    on_each(async |mut pair| {
        pair.sql(&format!(
            "DROP INDEX orders_open_payment; UPDATE orders SET bill_no = '{}' \
             WHERE order_no = '{}'",
            given::order(MANUAL).bill_no,
            given::number(PAYING)
        ));
        pair.assert_found(
            Invariant::OnePayment,
            PAYING,
            "more than one payment of a bill",
        );
    })
    .await;
}

/// The order as it stands in the database.
async fn current(pair: &Pair, digits: u64) -> payhall::domain::order::Order {
    let store = pair.store("reader");
    let number = given::order_no(digits);
    let found = store
        .read(move |c| payhall::storage::orders::find(c, &number))
        .await;
    store.close().await;
    found.unwrap().unwrap()
}
