//! I1: money at the bank and at the biller.

use crate::pair::*;
use crate::support::given;
use payhall::check::Invariant;
use serde_json::json;

#[tokio::test]
async fn a_sound_pair_has_no_findings() {
    on_each(async |pair| {
        let report = pair.check();
        assert!(report.is_clean(), "{}: {report}", pair.database.kind);
        assert_eq!(report.known_total, 1);
        assert_eq!(report.known[0].order_no, given::number(LATE));
        assert_eq!(report.known[0].case_no, case_no(LATE));
        let figures = &report.figures;
        assert_eq!(
            (figures.orders, figures.flows, figures.cases),
            (ORDERS, 9, 3)
        );
        assert_eq!(figures.ledger_lines, pair.lines.len() as u64);
        let failed = figures
            .by_state
            .iter()
            .find(|row| row.state == "FAILED")
            .unwrap();
        let sums = (failed.ours_minor, failed.bank_minor, failed.biller_minor);
        assert_eq!((failed.orders, sums), (3, (15_000, 5_000, 5_000)));
        let calls = figures.calls;
        assert_eq!((calls.pay, calls.query, calls.reverse), (7, 6, 1));
        assert_eq!((calls.orders_paid, calls.pay_per_order_max), (7, 1));
        assert_eq!(
            (calls.pay_per_order_milli, calls.calls_per_order_milli),
            (1_000, 2_000)
        );
        assert!(calls.logged && !figures.ledger_torn && figures.moving == 0);
    })
    .await;
}

#[tokio::test]
async fn a_success_without_its_money_is_found() {
    on_each(async |mut pair| {
        pair.without("DEBIT", SUCCEEDED);
        pair.without("CREDIT", SUCCEEDED);
        pair.assert_found(Invariant::Money, SUCCEEDED, "bank 0 in 0 net effects");
        pair.assert_found(Invariant::Match, SUCCEEDED, "0 of 5000 debited");
    })
    .await;
}

#[tokio::test]
async fn a_biller_without_its_credit_is_found() {
    on_each(async |mut pair| {
        pair.without("CREDIT", SUCCEEDED);
        pair.assert_found(Invariant::Money, SUCCEEDED, "biller 0 in 0");
    })
    .await;
    on_each(async |mut pair| {
        pair.without("CREDIT", UNKNOWN);
        pair.assert_found(Invariant::Money, UNKNOWN, "do not agree");
    })
    .await;
}

#[tokio::test]
async fn two_debits_are_found_even_where_one_was_taken_back() {
    on_each(async |mut pair| {
        let order = given::order(SUCCEEDED);
        let (payment, reversal) = (payment_no(SUCCEEDED), reversal_no(SUCCEEDED));
        pair.lines.push(paid("DEBIT", &order, &payment, 5));
        pair.lines.push(paid("CREDIT", &order, &payment, 5));
        pair.assert_found(
            Invariant::Money,
            SUCCEEDED,
            "10000 of 5000 after ledger line",
        );
        pair.assert_found(Invariant::OneEffect, SUCCEEDED, "2 effects");
        let numbers = (reversal.as_str(), payment.as_str());
        pair.lines.push(undone("REVERSAL", &order, numbers, 6));
        pair.lines.push(undone("CREDIT_BACK", &order, numbers, 6));
        pair.assert_found(Invariant::Money, SUCCEEDED, "more than the order's amount");
    })
    .await;
}

#[tokio::test]
async fn more_than_the_amount_is_found_while_the_order_is_in_doubt() {
    on_each(async |mut pair| {
        let order = given::order(UNKNOWN);
        pair.lines
            .push(paid("DEBIT", &order, &payment_no(UNKNOWN), 5));
        pair.lines
            .push(paid("CREDIT", &order, &payment_no(UNKNOWN), 5));
        pair.assert_found(Invariant::Money, UNKNOWN, "moved at the bank");
        pair.assert_found(Invariant::Money, UNKNOWN, "moved at the biller");
    })
    .await;
}

#[tokio::test]
async fn money_of_an_order_at_rest_without_it_is_found() {
    for digits in [CREATED, CLOSED, FAILED, DECIDED] {
        on_sqlite(async |mut pair| {
            let order = given::order(digits);
            pair.lines
                .push(paid("DEBIT", &order, &payment_no(digits), 5));
            pair.lines
                .push(paid("CREDIT", &order, &payment_no(digits), 5));
            pair.assert_found(Invariant::Money, digits, "hold 0 at the bank");
        })
        .await;
    }
}

#[tokio::test]
async fn a_late_success_is_known_only_while_its_case_is_open() {
    on_each(async |mut pair| {
        pair.sql("UPDATE cases SET state = 'CLOSED' WHERE kind = 'LATE_SUCCESS'");
        pair.assert_found(Invariant::Money, LATE, "an exception is open");
        assert_eq!(pair.check().known_total, 0);
    })
    .await;
}

#[tokio::test]
async fn a_reversal_that_did_not_happen_is_found() {
    on_each(async |mut pair| {
        pair.without("REVERSAL", REVERSED);
        pair.without("CREDIT_BACK", REVERSED);
        pair.assert_found(Invariant::Money, REVERSED, "bank 5000 in 1");
    })
    .await;
}

#[tokio::test]
async fn money_that_was_given_back_without_having_been_taken_is_found() {
    on_each(async |mut pair| {
        pair.without("DEBIT", REVERSED);
        pair.without("CREDIT", REVERSED);
        pair.assert_found(Invariant::Money, REVERSED, "more was moved back");
    })
    .await;
}

#[tokio::test]
async fn a_line_about_something_else_is_found() {
    for (field, value, words) in [
        ("amount_minor", "4999", "amount 5000, the ledger has 4999"),
        ("currency", "USD", "currency CNY, the ledger has USD"),
        ("bill_no", "13900000000", "the ledger has 13900000000"),
        (
            "biller",
            "sh-gas",
            "biller sh-telecom, the ledger has sh-gas",
        ),
    ] {
        on_sqlite(async |mut pair| {
            for event in ["DEBIT", "CREDIT"] {
                let place = pair.find(event, SUCCEEDED)[0];
                pair.lines[place][field] = json!(value);
            }
            pair.assert_found(Invariant::Money, SUCCEEDED, words);
        })
        .await;
    }
    on_each(async |mut pair| {
        let place = pair.find("REVERSAL", REVERSED)[0];
        pair.lines[place]["bill_no"] = json!("13900000000");
        pair.assert_found(Invariant::Money, REVERSED, "the ledger has 13900000000");
    })
    .await;
}

#[tokio::test]
async fn money_of_an_order_that_is_not_ours_is_found() {
    on_each(async |mut pair| {
        let order = given::order(777);
        pair.lines.push(paid("DEBIT", &order, &payment_no(777), 5));
        pair.lines.push(paid("CREDIT", &order, &payment_no(777), 5));
        pair.assert_found(Invariant::Money, 777, "not in our database");
    })
    .await;
}

#[tokio::test]
async fn a_ledger_without_calls_is_judged_by_its_movements() {
    on_each(async |mut pair| {
        pair.lines.retain(|line| line["event"] != "CALL");
        let report = pair.check();
        assert!(
            report.is_clean() && !report.figures.calls.logged,
            "{report}"
        );
        assert!(report.to_string().contains("keeps no calls"), "{report}");
        pair.without("DEBIT", SUCCEEDED);
        pair.assert_found(Invariant::Money, SUCCEEDED, "bank 0");
    })
    .await;
}
