//! DAY: what counts against the day of a merchant with a limit is what was confirmed on it. And the rows
//! of merchants, keys and operators, which count their changes.

use crate::pair::*;
use crate::support::given;
use payhall::check::Invariant;

/// A profile of the merchant that is or was in force, approved so many seconds after noon.
fn profile(revision: i32, stage: &str, approved_s: i64, limit: &str) -> String {
    let at = given::at(approved_s).timestamp_micros();
    format!(
        "INSERT INTO merchant_revisions (merchant, revision, stage, name_zh, name_en, contact_name, \
         contact_phone, contact_email, items, regions, limit_currency, day_limit_minor, maker, made_at, \
         submitter, submitted_at, checker, decided_at) VALUES ('portal', {revision}, '{stage}', 'x', 'x', \
         '', '', '', '', '', 'CNY', {limit}, 'ann', {at}, 'ann', {at}, 'bob', {at});"
    )
}

fn day(counted_minor: i64) -> String {
    format!("INSERT INTO merchant_days VALUES ('portal', '2026-11-22', 'CNY', {counted_minor});")
}

const HOUR_S: i64 = 3_600;
/// What each of the pair's orders is about.
const AMOUNT: i64 = 5_000;

/// How much the pair's orders confirmed, whatever became of them.
fn confirmed(pair: &Pair) -> i64 {
    let untouched = [CREATED, CLOSED];
    let confirmed = i64::try_from(ORDERS).unwrap() - i64::try_from(untouched.len()).unwrap();
    assert_eq!(pair.check().figures.orders, ORDERS);
    confirmed * AMOUNT
}

#[tokio::test]
async fn a_day_that_says_what_was_confirmed_is_sound() {
    on_each(async |mut pair| {
        let all = confirmed(&pair);
        pair.sql(&profile(1, "APPROVED", -HOUR_S, "1000000"));
        pair.sql(&day(all));
        assert!(pair.check().is_clean(), "{}", pair.check());
    })
    .await;
}

#[tokio::test]
async fn a_day_that_says_more_or_less_is_found() {
    on_each(async |mut pair| {
        let all = confirmed(&pair);
        pair.sql(&profile(1, "APPROVED", -HOUR_S, "1000000"));
        let words = |counted: i64| format!("counted {counted} CNY minor units, begun {all}");
        // None at all, although there was a limit.
        pair.assert_found(Invariant::DayLimit, CREATED, &words(0));
        pair.sql(&day(0));
        for counted in [0, all - AMOUNT, all - 1, all + 1] {
            pair.sql(&format!(
                "UPDATE merchant_days SET confirmed_minor = {counted}"
            ));
            pair.assert_found(Invariant::DayLimit, CREATED, &words(counted));
        }
    })
    .await;
}

#[tokio::test]
async fn only_what_was_confirmed_under_a_limit_counts() {
    on_each(async |mut pair| {
        // The limit was in force in the morning only, an hour before the first order and after the last.
        pair.sql(&profile(1, "REPLACED", -2 * HOUR_S, "1000000"));
        pair.sql(&profile(2, "APPROVED", -HOUR_S, "NULL"));
        assert!(pair.check().is_clean(), "{}", pair.check());
        pair.sql(&day(1));
        let words = "counted 1 CNY minor units, begun 0";
        pair.assert_found(Invariant::DayLimit, CREATED, words);
    })
    .await;
    on_each(async |mut pair| {
        // Near to a change either profile may have let a payment go.
        let all = confirmed(&pair);
        pair.sql(&profile(1, "REPLACED", -HOUR_S, "NULL"));
        pair.sql(&profile(2, "APPROVED", 50, "1000000"));
        pair.sql(&day(0));
        for counted in [0, AMOUNT, all] {
            pair.sql(&format!(
                "UPDATE merchant_days SET confirmed_minor = {counted}"
            ));
            assert!(pair.check().is_clean(), "{}", pair.check());
        }
        pair.sql(&format!(
            "UPDATE merchant_days SET confirmed_minor = {}",
            all + 1
        ));
        pair.assert_found(Invariant::DayLimit, CREATED, "minor units, begun 0 to");
    })
    .await;
}

#[tokio::test]
async fn a_day_of_a_merchant_that_never_had_a_limit_is_found() {
    on_each(async |mut pair| {
        pair.sql(&day(AMOUNT));
        let words = "merchant portal on 2026-11-22: counted 5000 CNY minor units, begun 0";
        pair.assert_found(Invariant::DayLimit, CREATED, words);
    })
    .await;
}

#[tokio::test]
async fn a_merchant_or_an_operator_that_changed_without_its_rows_is_found() {
    on_each(async |mut pair| {
        pair.sql("UPDATE merchants SET version = version + 1");
        let words = "merchant portal: 8 changes, 8 audit rows";
        pair.assert_found(Invariant::Audit, CREATED, words);
        pair.sql("UPDATE merchants SET version = version - 1");
        pair.sql(
            "INSERT INTO operators (name, display_name, role, password_hash, password_is_temporary, \
             failures, created_at, version) VALUES ('eve', 'Eve', 'ADMIN', 'x', FALSE, 0, 0, 0)",
        );
        let words = "operator eve: 0 changes, 0 audit rows";
        pair.assert_found(Invariant::Audit, CREATED, words);
    })
    .await;
}
