//! The tables of reconciliation as diesel sees them; see `schema.rs`.
#![allow(missing_docs)]

use super::schema::{business_days, cases};

diesel::table! {
    partner_files (file_id) {
        file_id -> Text,
        partner -> Text,
        business_date -> Date,
        version -> Integer,
        side -> Text,
        profile -> Text,
        name -> Text,
        path -> Text,
        sha256 -> Text,
        bytes -> BigInt,
        row_count -> BigInt,
        sums -> Text,
        state -> Text,
        line -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        mark -> Nullable<Text>,
        actor -> Text,
        received_at -> BigInt,
    }
}

diesel::table! {
    partner_alarms (partner, business_date) {
        partner -> Text,
        business_date -> Date,
        raised_at -> BigInt,
    }
}

diesel::table! {
    partner_looks (partner, business_date) {
        partner -> Text,
        business_date -> Date,
        looked_at -> BigInt,
        found -> Nullable<Text>,
    }
}

diesel::table! {
    reconciliations (run_id) {
        run_id -> Text,
        business_date -> Date,
        version -> Integer,
        state -> Text,
        replaces -> Nullable<Text>,
        inputs -> Text,
        input_hash -> Text,
        result_hash -> Text,
        flow_count -> BigInt,
        difference_count -> BigInt,
        file_path -> Text,
        file_sha256 -> Text,
        file_bytes -> BigInt,
        actor -> Text,
        made_at -> BigInt,
    }
}

diesel::table! {
    reconciliation_sums (run_id, side, partner, class, currency) {
        run_id -> Text,
        side -> Text,
        partner -> Text,
        class -> Text,
        currency -> Text,
        paid_count -> BigInt,
        paid_minor -> BigInt,
        returned_count -> BigInt,
        returned_minor -> BigInt,
        unmoved_count -> BigInt,
        unmoved_minor -> BigInt,
    }
}

diesel::table! {
    discrepancies (discrepancy_id) {
        discrepancy_id -> Text,
        run_id -> Text,
        business_date -> Date,
        flow_no -> Text,
        kind -> Text,
        order_no -> Nullable<Text>,
        merchant -> Nullable<Text>,
        biller -> Nullable<Text>,
        adapter -> Nullable<Text>,
        class -> Text,
        rule -> Text,
        currency -> Text,
        our_state -> Nullable<Text>,
        our_minor -> Nullable<BigInt>,
        bank_file -> Nullable<Text>,
        bank_line -> Nullable<BigInt>,
        bank_status -> Nullable<Text>,
        bank_minor -> Nullable<BigInt>,
        biller_file -> Nullable<Text>,
        biller_line -> Nullable<BigInt>,
        biller_status -> Nullable<Text>,
        biller_minor -> Nullable<BigInt>,
        risk_minor -> BigInt,
        due_on -> Nullable<Date>,
        ended_on -> Nullable<Date>,
        ended_run -> Nullable<Text>,
        ended_class -> Nullable<Text>,
        ended_rule -> Nullable<Text>,
        case_no -> Nullable<Text>,
    }
}

diesel::table! {
    case_comments (comment_id) {
        comment_id -> Text,
        case_no -> Text,
        author -> Text,
        body -> Text,
        written_at -> BigInt,
    }
}

diesel::table! {
    case_batches (batch_id) {
        batch_id -> Text,
        content_hash -> Text,
        content -> Text,
        line_count -> BigInt,
        state -> Text,
        maker -> Text,
        proposed_at -> BigInt,
        checker -> Nullable<Text>,
        decided_at -> Nullable<BigInt>,
    }
}

// A closed day has its files and its results.
diesel::allow_tables_to_appear_in_same_query!(business_days, partner_files);
diesel::allow_tables_to_appear_in_same_query!(business_days, reconciliations);
// A difference has its case, and its run.
diesel::allow_tables_to_appear_in_same_query!(cases, discrepancies);
diesel::allow_tables_to_appear_in_same_query!(cases, reconciliations);
diesel::allow_tables_to_appear_in_same_query!(discrepancies, reconciliations);
