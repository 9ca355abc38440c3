//! I2, I5, I6, I7 and the budget: whose numbers the bank was told, when, after what, and what it
//! answered.

use crate::pair::*;
use crate::support::given;
use payhall::check::Invariant;
use serde_json::json;

/// Copies the payment flow of SUCCEEDED under another number and step.
fn second_payment(step: i32) -> String {
    format!(
        "INSERT INTO flows (flow_no, order_no, merchant, biller, bill_no, kind, step, adapter, \
         amount_minor, currency, state, business_date, started_at, version) \
         SELECT '{}', order_no, merchant, biller, bill_no, kind, {step}, adapter, amount_minor, \
         currency, 'STARTED', business_date, started_at, 0 FROM flows WHERE flow_no = '{}'",
        payment_no(700),
        payment_no(SUCCEEDED)
    )
}

/// Changes a column of an order's payment flow.
fn set(digits: u64, change: &str) -> String {
    format!(
        "UPDATE flows SET {change} WHERE flow_no = '{}'",
        payment_no(digits)
    )
}

#[tokio::test]
async fn a_second_payment_flow_is_found() {
    on_each(async |mut pair| {
        pair.sql(&second_payment(2));
        pair.assert_found(Invariant::OneEffect, SUCCEEDED, "one payment flow");
    })
    .await;
    on_each(async |mut pair| {
        pair.sql(&format!("DROP INDEX flows_step; {}", second_payment(1)));
        pair.assert_found(Invariant::OneEffect, SUCCEEDED, "one payment flow");
    })
    .await;
}

#[tokio::test]
async fn a_call_with_a_number_that_is_no_flow_is_found() {
    on_each(async |mut pair| {
        let order = given::order(SUCCEEDED);
        pair.lines
            .push(call("PAY", &order, &payment_no(700), "-1", 5));
        pair.assert_found(Invariant::OneEffect, SUCCEEDED, &payment_no(700));
    })
    .await;
    on_each(async |mut pair| {
        let order = given::order(777);
        pair.lines
            .push(call("PAY", &order, &payment_no(777), "-1", 5));
        pair.assert_found(Invariant::OneEffect, 777, "not in our database");
    })
    .await;
}

#[tokio::test]
async fn a_question_about_a_number_that_is_not_ours_is_found() {
    on_each(async |mut pair| {
        let order = given::order(PAYING);
        let mut asked = call("QUERY", &order, &payment_no(PAYING), "4", 99);
        asked.as_object_mut().unwrap().remove("order_no");
        asked.as_object_mut().unwrap().remove("bill_no");
        pair.lines.push(asked.clone());
        let report = pair.check();
        assert!(report.is_clean(), "our payment did not arrive: {report}");
        asked["flow_no"] = json!(payment_no(700));
        pair.lines.push(asked);
        let report = pair.check();
        assert_eq!(report.findings_by_invariant[&Invariant::OneEffect], 1);
        assert!(report.to_string().contains(&payment_no(700)), "{report}");
    })
    .await;
}

#[tokio::test]
async fn numbers_of_another_kind_are_found() {
    on_each(async |mut pair| {
        let order = given::order(PAYING);
        pair.lines.push(call("PAY", &order, "12345", "-1", 99));
        let report = pair.check();
        assert_eq!(
            report.findings_by_invariant[&Invariant::OneEffect],
            1,
            "{report}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_payment_number_that_reverses_is_found() {
    on_each(async |mut pair| {
        let order = given::order(UNKNOWN);
        let number = payment_no(UNKNOWN);
        let mut sent = call("REVERSE", &order, &number, "2002", 5);
        sent["payment_flow_no"] = json!(number);
        pair.lines.push(sent);
        pair.assert_found(Invariant::OneEffect, UNKNOWN, "used for something else");
    })
    .await;
}

#[tokio::test]
async fn a_reversal_of_another_payment_is_found() {
    on_each(async |mut pair| {
        let place = pair.find("CALL", REVERSED).pop().unwrap();
        let mut again = pair.lines[place].clone();
        again["payment_flow_no"] = json!(payment_no(SUCCEEDED));
        pair.lines.push(again);
        pair.assert_found(Invariant::Match, REVERSED, "names another payment");
    })
    .await;
}

#[tokio::test]
async fn a_call_before_its_flow_is_found() {
    on_each(async |mut pair| {
        pair.sql(&set(SUCCEEDED, "started_at = started_at + 60000000"));
        pair.assert_found(Invariant::IntentFirst, SUCCEEDED, "59000000 microseconds");
        pair.options.clock_tolerance = std::time::Duration::from_secs(59);
        assert!(pair.check().is_clean(), "the clocks may be that far apart");
    })
    .await;
    on_each(async |mut pair| {
        let number = payment_no(SUCCEEDED);
        pair.sql(&format!("DELETE FROM flows WHERE flow_no = '{number}'"));
        pair.assert_found(Invariant::IntentFirst, SUCCEEDED, "no payment flow");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_was_never_sent_has_no_flow() {
    on_each(async |mut pair| {
        let number = given::number(CREATED);
        pair.sql(&format!(
            "{}; UPDATE flows SET order_no = '{number}' WHERE flow_no = '{}'",
            second_payment(2),
            payment_no(700)
        ));
        pair.assert_found(Invariant::Match, CREATED, "do not tell the same");
    })
    .await;
}

#[tokio::test]
async fn a_reversal_without_a_question_is_found() {
    on_each(async |mut pair| {
        let places = pair.find("CALL", REVERSED);
        let is_query = |place: &usize| pair.lines[*place]["op"] == "QUERY";
        let place = places.into_iter().find(is_query).unwrap();
        pair.lines.remove(place);
        pair.assert_found(Invariant::ReverseLast, REVERSED, "had not been asked about");
    })
    .await;
}

#[tokio::test]
async fn a_payment_sent_between_question_and_reversal_is_found() {
    on_each(async |mut pair| {
        let order = given::order(REVERSED);
        let place = pair.find("REVERSAL", REVERSED)[0];
        let again = call("PAY", &order, &payment_no(REVERSED), "1", 5);
        pair.lines.insert(place, again);
        pair.assert_found(Invariant::ReverseLast, REVERSED, "had not been asked about");
    })
    .await;
}

#[tokio::test]
async fn questions_that_the_bank_could_not_place_count_before_a_reversal() {
    on_each(async |mut pair| {
        let places = pair.find("CALL", REVERSED);
        let is_query = |place: &usize| pair.lines[*place]["op"] == "QUERY";
        let place = places.into_iter().find(is_query).unwrap();
        pair.lines[place]
            .as_object_mut()
            .unwrap()
            .remove("order_no");
        let report = pair.check();
        assert!(report.is_clean(), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_reversal_before_its_audit_row_is_found() {
    on_each(async |mut pair| {
        pair.sql("UPDATE audit SET action = 'X' WHERE action = 'REVERSAL_STARTED'");
        pair.assert_found(
            Invariant::ReverseLast,
            REVERSED,
            "before the order was being reversed",
        );
    })
    .await;
}

#[tokio::test]
async fn a_conclusion_that_nobody_answered_is_found() {
    on_each(async |mut pair| {
        let place = pair.find("CALL", SUCCEEDED)[0];
        pair.lines[place]["answer"] = json!("1 WRONG_AMOUNT");
        pair.assert_found(Invariant::Match, SUCCEEDED, "answered 1 WRONG_AMOUNT");
        pair.lines[place]["answer"] = json!("DRIP");
        assert!(pair.check().is_clean(), "nobody knows what arrived");
    })
    .await;
}

#[tokio::test]
async fn what_is_believed_of_a_flow_has_to_fit() {
    for (digits, change, words) in [
        (FAILED, "code = '1'", "does not mean"),
        (FAILED, "code = '1002'", "code 1002, answered 1001"),
        (SUCCEEDED, "state = 'FAILED'", "do not tell the same"),
        (SUCCEEDED, "concluded_at = NULL", "do not tell the same"),
        (
            UNKNOWN,
            "state = 'SUCCEEDED', concluded_at = 1",
            "do not tell the same",
        ),
        (
            SUCCEEDED,
            "amount_minor = 4000",
            "another amount than its order",
        ),
        (
            SUCCEEDED,
            "currency = 'USD'",
            "another amount than its order",
        ),
    ] {
        on_sqlite(async |mut pair| {
            pair.sql(&set(digits, change));
            pair.assert_found(Invariant::Match, digits, words);
        })
        .await;
    }
}

#[tokio::test]
async fn another_flows_reference_is_found() {
    on_each(async |mut pair| {
        let change = format!("upstream_ref = 'B{}'", payment_no(FAILED));
        pair.sql(&set(SUCCEEDED, &change));
        pair.assert_found(Invariant::Match, SUCCEEDED, "reference of another flow");
    })
    .await;
}

#[tokio::test]
async fn what_came_back_is_taken_away_once() {
    let number = reversal_no(REVERSED);
    let (order, digits) = (given::number(REVERSED), REVERSED);
    for (change, words) in [
        (
            format!("UPDATE flows SET state = 'STARTED' WHERE flow_no = '{number}'"),
            "REVERSED, and 0 of its reversals succeeded",
        ),
        // Two people found that the payment stands, and what had counted as its reversal still does.
        (
            format!("UPDATE orders SET state = 'SUCCEEDED' WHERE order_no = '{order}'"),
            "SUCCEEDED, and 1 of its reversals succeeded",
        ),
    ] {
        on_each(async |mut pair| {
            pair.sql(&change);
            pair.assert_found(Invariant::Match, digits, words);
        })
        .await;
    }
}

#[tokio::test]
async fn a_reversing_order_has_a_reversal_that_was_started() {
    on_each(async |mut pair| {
        let number = given::number(UNKNOWN);
        pair.sql(&format!(
            "UPDATE orders SET state = 'REVERSING' WHERE order_no = '{number}'"
        ));
        pair.assert_found(Invariant::IntentFirst, UNKNOWN, "REVERSING without");
    })
    .await;
}

#[tokio::test]
async fn paying_twice_at_the_old_bank_is_found_and_at_the_new_one_not() {
    on_each(async |mut pair| {
        let order = given::order(MANUAL);
        let again = call("PAY", &order, &payment_no(MANUAL), "HANG", 3);
        pair.lines.push(again);
        let report = pair.check();
        assert!(
            report.is_clean() && report.figures.calls.pay_per_order_max == 2,
            "{report}"
        );
        for line in &mut pair.lines {
            if line["order_no"] == given::number(MANUAL) {
                line["bank"] = json!("legacy");
            }
        }
        pair.assert_found(Invariant::Budget, MANUAL, "2 pay calls");
    })
    .await;
}
