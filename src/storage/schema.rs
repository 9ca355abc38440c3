//! The tables as diesel sees them; one list for both databases. The migrations are the truth, and a
//! test compares every column with both of them.
#![allow(missing_docs)]

diesel::table! {
    merchants (code) {
        code -> Text,
        kind -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        registered_at -> BigInt,
        updated_at -> BigInt,
        version -> Integer,
    }
}

diesel::table! {
    merchant_revisions (merchant, revision) {
        merchant -> Text,
        revision -> Integer,
        stage -> Text,
        name_zh -> Text,
        name_en -> Text,
        credit_code -> Nullable<Text>,
        contact_name -> Text,
        contact_phone -> Text,
        contact_email -> Text,
        bank_code -> Nullable<Text>,
        account_no -> Nullable<Text>,
        account_holder -> Nullable<Text>,
        notify_url -> Nullable<Text>,
        items -> Text,
        regions -> Text,
        limit_currency -> Text,
        order_limit_minor -> Nullable<BigInt>,
        day_limit_minor -> Nullable<BigInt>,
        maker -> Text,
        made_at -> BigInt,
        submitter -> Nullable<Text>,
        submitted_at -> Nullable<BigInt>,
        checker -> Nullable<Text>,
        decided_at -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        approved_hash -> Nullable<Text>,
    }
}

diesel::table! {
    merchant_checks (merchant, revision, item) {
        merchant -> Text,
        revision -> Integer,
        item -> Text,
        checked_by -> Text,
        note -> Text,
        checked_at -> BigInt,
    }
}

diesel::table! {
    merchant_days (merchant, business_date, currency) {
        merchant -> Text,
        business_date -> Date,
        currency -> Text,
        confirmed_minor -> BigInt,
    }
}

diesel::table! {
    regions (code) {
        code -> Text,
        level -> Text,
        name_zh -> Text,
        name_en -> Text,
        latitude_e6 -> Nullable<Integer>,
        longitude_e6 -> Nullable<Integer>,
    }
}

diesel::table! {
    billers (code) {
        code -> Text,
        name_zh -> Text,
        name_en -> Text,
    }
}

diesel::table! {
    items (code) {
        code -> Text,
        biller -> Text,
        category -> Text,
        name_zh -> Text,
        name_en -> Text,
        mode -> Text,
        currency -> Text,
        amount_rule -> Text,
        min_minor -> Nullable<BigInt>,
        max_minor -> Nullable<BigInt>,
        bill_no_pattern -> Text,
        hint_zh -> Text,
        hint_en -> Text,
        adapter -> Text,
        coverage -> Text,
        enabled -> Bool,
    }
}

diesel::table! {
    marks (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    orders (order_no) {
        order_no -> Text,
        merchant -> Text,
        request_no -> Text,
        fingerprint -> Text,
        item -> Text,
        biller -> Text,
        bill_no -> Text,
        bill_ref -> Nullable<Text>,
        amount_minor -> BigInt,
        currency -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        business_date -> Date,
        expires_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        version -> Integer,
    }
}

diesel::table! {
    flows (flow_no) {
        flow_no -> Text,
        order_no -> Text,
        merchant -> Text,
        biller -> Text,
        bill_no -> Text,
        kind -> Text,
        step -> Integer,
        adapter -> Text,
        amount_minor -> BigInt,
        currency -> Text,
        state -> Text,
        code -> Nullable<Text>,
        upstream_ref -> Nullable<Text>,
        message -> Nullable<Text>,
        business_date -> Date,
        started_at -> BigInt,
        concluded_at -> Nullable<BigInt>,
        version -> Integer,
    }
}

diesel::table! {
    attempts (attempt_id) {
        attempt_id -> Text,
        flow_no -> Text,
        order_no -> Text,
        operation -> Text,
        outcome -> Text,
        code -> Nullable<Text>,
        cause -> Nullable<Text>,
        asked_at -> BigInt,
        answered_at -> BigInt,
        job_run -> Nullable<Text>,
    }
}

diesel::table! {
    exceptions (exception_id) {
        exception_id -> Text,
        order_no -> Text,
        payment_flow_no -> Text,
        reversal_flow_no -> Nullable<Text>,
        phase -> Text,
        polls -> Integer,
        unknowns -> Integer,
        not_found -> Integer,
        tries -> Integer,
        last_outcome -> Nullable<Text>,
        payment_started_at -> BigInt,
        opened_at -> BigInt,
        phase_at -> BigInt,
        next_at -> BigInt,
        alarm -> Text,
        escalated -> Bool,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        fence -> BigInt,
        closed_at -> Nullable<BigInt>,
        holder_lost -> Bool,
    }
}

diesel::table! {
    cases (case_no) {
        case_no -> Text,
        order_no -> Nullable<Text>,
        kind -> Text,
        state -> Text,
        cause -> Text,
        opened_at -> BigInt,
        due_at -> BigInt,
        decision -> Nullable<Text>,
        evidence -> Nullable<Text>,
        maker -> Nullable<Text>,
        proposed_at -> Nullable<BigInt>,
        checker -> Nullable<Text>,
        closed_at -> Nullable<BigInt>,
        resolution -> Nullable<Text>,
        version -> Integer,
        flow_no -> Nullable<Text>,
        owner -> Nullable<Text>,
    }
}

diesel::table! {
    audit (stream, seq) {
        stream -> Text,
        seq -> BigInt,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        subject_kind -> Text,
        subject -> Text,
        before_state -> Nullable<Text>,
        after_state -> Nullable<Text>,
        detail -> Nullable<Text>,
        request_id -> Nullable<Text>,
        prev_hash -> Binary,
        hash -> Binary,
    }
}

diesel::table! {
    job_runs (run_id) {
        run_id -> Text,
        job -> Text,
        scheduled_at -> BigInt,
        state -> Text,
        owner -> Text,
        fence -> BigInt,
        lease_until -> BigInt,
        started_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        report -> Nullable<Text>,
        error -> Nullable<Text>,
        business_date -> Date,
        asked_by -> Nullable<Text>,
        progress_done -> Nullable<BigInt>,
        progress_total -> Nullable<BigInt>,
        progress_since -> Nullable<BigInt>,
        progress_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    job_alarms (job, what) {
        job -> Text,
        what -> Text,
        raised_at -> BigInt,
    }
}

diesel::table! {
    operators (name) {
        name -> Text,
        display_name -> Text,
        role -> Text,
        disabled_at -> Nullable<BigInt>,
        password_hash -> Text,
        password_is_temporary -> Bool,
        totp -> Nullable<Binary>,
        totp_pending -> Nullable<Binary>,
        totp_step -> Nullable<BigInt>,
        failures -> Integer,
        locked_until -> Nullable<BigInt>,
        created_at -> BigInt,
        last_login_at -> Nullable<BigInt>,
        version -> Integer,
    }
}

diesel::table! {
    keys (key_id) {
        key_id -> Text,
        merchant -> Nullable<Text>,
        algorithm -> Text,
        public_key -> Binary,
        thumbprint -> Text,
        origin -> Text,
        state -> Text,
        replaces -> Nullable<Text>,
        overlap_s -> BigInt,
        maker -> Text,
        checker -> Nullable<Text>,
        created_at -> BigInt,
        active_at -> Nullable<BigInt>,
        retires_at -> Nullable<BigInt>,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        handed_out_at -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        noticed_days -> Nullable<Integer>,
        version -> Integer,
    }
}

diesel::table! {
    sessions (secret_hash) {
        secret_hash -> Text,
        operator -> Text,
        created_at -> BigInt,
        seen_at -> BigInt,
        fresh_until -> BigInt,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_secrets (key_id) {
        key_id -> Text,
        master -> Text,
        wrapped_key -> Binary,
        secret -> Binary,
        ticket_hash -> Nullable<Binary>,
    }
}

diesel::table! {
    nonces (key_id, nonce) {
        key_id -> Text,
        nonce -> Text,
        forget_at -> BigInt,
        tag -> BigInt,
    }
}

diesel::table! {
    settings_in_force (path) {
        path -> Text,
        shown -> Text,
        master -> Nullable<Text>,
        mark -> Nullable<Binary>,
    }
}

diesel::table! {
    notifications (notification_id) {
        notification_id -> Text,
        order_no -> Text,
        order_version -> Integer,
        merchant -> Text,
        order_state -> Text,
        order_reason -> Nullable<Text>,
        state -> Text,
        reason -> Nullable<Text>,
        series -> Integer,
        tries -> Integer,
        next_at -> BigInt,
        lease_owner -> Nullable<Text>,
        fence -> BigInt,
        created_at -> BigInt,
        concluded_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    settings_version (id) {
        id -> Integer,
        version -> BigInt,
    }
}

diesel::table! {
    refused_tries (id) {
        id -> Integer,
        begun_at -> BigInt,
        told -> Integer,
        only_count -> BigInt,
    }
}

diesel::table! {
    notification_tries (try_id) {
        try_id -> Text,
        notification_id -> Text,
        series -> Integer,
        number -> Integer,
        started_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        outcome -> Text,
        http_status -> Nullable<Integer>,
        host -> Nullable<Text>,
        cause -> Nullable<Text>,
    }
}

diesel::table! {
    business_days (business_date) {
        business_date -> Date,
        closed_at -> BigInt,
        closed_by -> Text,
        counted_at -> BigInt,
        flows -> BigInt,
        undecided -> BigInt,
        late -> BigInt,
        audit_stream -> Text,
        audit_seq -> BigInt,
        audit_hash -> Binary,
    }
}

diesel::table! {
    business_day_sums (business_date, kind, state, currency) {
        business_date -> Date,
        kind -> Text,
        state -> Text,
        currency -> Text,
        flows -> BigInt,
        amount_minor -> BigInt,
        versions -> BigInt,
    }
}

diesel::table! {
    business_day_works (business_date, work) {
        business_date -> Date,
        work -> Text,
        audit_stream -> Text,
        audit_seq -> BigInt,
        done_at -> BigInt,
    }
}

diesel::table! {
    contracts (merchant, biller, currency, valid_from) {
        merchant -> Text,
        biller -> Text,
        currency -> Text,
        valid_from -> Date,
        basis_points -> Integer,
        fixed_minor -> BigInt,
    }
}

diesel::table! {
    statements (party_kind, party, business_date, currency, version) {
        party_kind -> Text,
        party -> Text,
        business_date -> Date,
        currency -> Text,
        version -> Integer,
        profile -> Text,
        content -> Text,
        flows -> BigInt,
        object -> Text,
        media_type -> Text,
        bytes -> BigInt,
        sha256 -> Text,
        xlsx_object -> Nullable<Text>,
        xlsx_bytes -> Nullable<BigInt>,
        xlsx_sha256 -> Nullable<Text>,
        sidecar_object -> Text,
        sidecar_sha256 -> Text,
        made_at -> BigInt,
        made_by -> Text,
    }
}

diesel::table! {
    statement_sums (party_kind, party, business_date, currency, version, kind, state) {
        party_kind -> Text,
        party -> Text,
        business_date -> Date,
        currency -> Text,
        version -> Integer,
        kind -> Text,
        state -> Text,
        flows -> BigInt,
        amount_minor -> BigInt,
        fee_minor -> BigInt,
    }
}

diesel::table! {
    settlement_summaries (business_date, merchant, biller, currency) {
        business_date -> Date,
        merchant -> Text,
        biller -> Text,
        currency -> Text,
        payments -> BigInt,
        gross_minor -> BigInt,
        reversals -> BigInt,
        reversed_minor -> BigInt,
        fees_minor -> BigInt,
        net_minor -> BigInt,
        made_at -> BigInt,
        version -> Integer,
    }
}

// What belongs to orders is listed by its orders.
diesel::allow_tables_to_appear_in_same_query!(orders, exceptions);
diesel::allow_tables_to_appear_in_same_query!(orders, cases);
// A decided case concerns the days of its order's flows.
diesel::allow_tables_to_appear_in_same_query!(cases, flows);
// What the night has done about a day stands beside the day.
diesel::allow_tables_to_appear_in_same_query!(business_days, business_day_works);
