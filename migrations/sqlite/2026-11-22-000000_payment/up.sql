-- The tables of bill payment. The PostgreSQL twin has the same names; a test compares them.
--
-- Money is whole minor units (BIGINT NOT NULL). Instants (`*_at`) are microseconds since 1970 in UTC,
-- so that both databases keep them without loss. States are words with a CHECK.

CREATE TABLE merchants (
    code        TEXT PRIMARY KEY,
    name_zh     TEXT NOT NULL,
    name_en     TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('CHANNEL', 'OWN')),
    state       TEXT NOT NULL CHECK (state IN ('ACTIVE', 'SUSPENDED'))
);

CREATE TABLE regions (
    code         TEXT PRIMARY KEY,
    level        TEXT NOT NULL CHECK (level IN ('PROVINCE', 'PREFECTURE')),
    name_zh      TEXT NOT NULL,
    name_en      TEXT NOT NULL,
    latitude_e6  INTEGER,
    longitude_e6 INTEGER
);

CREATE TABLE billers (
    code    TEXT PRIMARY KEY,
    name_zh TEXT NOT NULL,
    name_en TEXT NOT NULL
);

CREATE TABLE items (
    code            TEXT PRIMARY KEY,
    biller          TEXT NOT NULL REFERENCES billers (code),
    category        TEXT NOT NULL,
    name_zh         TEXT NOT NULL,
    name_en         TEXT NOT NULL,
    mode            TEXT NOT NULL CHECK (mode IN ('LOOKUP', 'DIRECT')),
    currency        TEXT NOT NULL,
    amount_rule     TEXT NOT NULL CHECK (amount_rule IN ('EXACT', 'AT_LEAST', 'RANGE', 'ANY')),
    min_minor       BIGINT,
    max_minor       BIGINT,
    bill_no_pattern TEXT NOT NULL,
    hint_zh         TEXT NOT NULL,
    hint_en         TEXT NOT NULL,
    adapter         TEXT NOT NULL,
    coverage        TEXT NOT NULL,
    enabled         BOOLEAN NOT NULL
);

-- Counters that replicas watch, such as the version of the catalogue.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE orders (
    order_no      TEXT PRIMARY KEY,
    merchant      TEXT NOT NULL,
    request_no    TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    item          TEXT NOT NULL,
    biller        TEXT NOT NULL,
    bill_no       TEXT NOT NULL,
    bill_ref      TEXT,
    amount_minor  BIGINT NOT NULL CHECK (amount_minor > 0),
    currency      TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('CREATED', 'PAYING', 'UNKNOWN', 'SUCCEEDED',
                      'FAILED', 'REVERSING', 'REVERSED', 'MANUAL', 'CLOSED')),
    reason        TEXT,
    business_date DATE NOT NULL,
    expires_at    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    version       INTEGER NOT NULL
);
-- The merchant's request number makes orderCreate idempotent.
CREATE UNIQUE INDEX orders_request ON orders (merchant, request_no);
-- Law 3: one open payment per (biller, bill number). What looks for open orders walks it too: they
-- are few, and each index more is written at every move.
CREATE UNIQUE INDEX orders_open_payment ON orders (biller, bill_no)
    WHERE state IN ('PAYING', 'UNKNOWN', 'REVERSING', 'MANUAL');
CREATE INDEX orders_merchant ON orders (merchant, order_no);
CREATE INDEX orders_bill ON orders (bill_no, order_no);
CREATE INDEX orders_created ON orders (expires_at) WHERE state = 'CREATED';

CREATE TABLE flows (
    flow_no       TEXT PRIMARY KEY,
    order_no      TEXT NOT NULL,
    merchant      TEXT NOT NULL,
    biller        TEXT NOT NULL,
    bill_no       TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('PAYMENT', 'REVERSAL')),
    step          INTEGER NOT NULL CHECK (step > 0),
    adapter       TEXT NOT NULL,
    amount_minor  BIGINT NOT NULL CHECK (amount_minor > 0),
    currency      TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('STARTED', 'SUCCEEDED', 'FAILED', 'REVERSED')),
    code          TEXT,
    upstream_ref  TEXT,
    message       TEXT,
    business_date DATE NOT NULL,
    started_at    BIGINT NOT NULL,
    concluded_at  BIGINT,
    version       INTEGER NOT NULL
);
-- A second number for the same step of an order is impossible.
CREATE UNIQUE INDEX flows_step ON flows (order_no, kind, step);
CREATE INDEX flows_merchant ON flows (merchant, flow_no);
CREATE INDEX flows_bill ON flows (bill_no, flow_no);

CREATE TABLE attempts (
    attempt_id  TEXT PRIMARY KEY,
    flow_no     TEXT NOT NULL,
    order_no    TEXT NOT NULL,
    operation   TEXT NOT NULL CHECK (operation IN ('PAY', 'QUERY', 'REVERSE')),
    outcome     TEXT NOT NULL CHECK (outcome IN ('SUCCEEDED', 'REFUSED', 'PENDING', 'NOT_FOUND',
                    'PAYMENT_STANDS', 'NOT_SENT', 'UNKNOWN')),
    code        TEXT,
    cause       TEXT,
    asked_at    BIGINT NOT NULL,
    answered_at BIGINT NOT NULL,
    job_run     TEXT
);
CREATE INDEX attempts_order ON attempts (order_no, asked_at);

CREATE TABLE exceptions (
    exception_id       TEXT PRIMARY KEY,
    order_no           TEXT NOT NULL,
    payment_flow_no    TEXT NOT NULL,
    reversal_flow_no   TEXT,
    phase              TEXT NOT NULL CHECK (phase IN ('QUERY', 'REVERSE', 'WATCH')),
    polls              INTEGER NOT NULL,
    unknowns           INTEGER NOT NULL,
    not_found          INTEGER NOT NULL,
    tries              INTEGER NOT NULL,
    last_outcome       TEXT,
    payment_started_at BIGINT NOT NULL,
    opened_at          BIGINT NOT NULL,
    phase_at           BIGINT NOT NULL,
    next_at            BIGINT NOT NULL,
    alarm              TEXT NOT NULL CHECK (alarm IN ('NONE', 'WARN', 'CRITICAL')),
    escalated          BOOLEAN NOT NULL,
    lease_owner        TEXT,
    lease_until        BIGINT,
    fence              BIGINT NOT NULL,
    closed_at          BIGINT
);
CREATE UNIQUE INDEX exceptions_open ON exceptions (order_no) WHERE closed_at IS NULL;
CREATE INDEX exceptions_due ON exceptions (next_at) WHERE closed_at IS NULL;
CREATE INDEX exceptions_order ON exceptions (order_no);

CREATE TABLE cases (
    case_no     TEXT PRIMARY KEY,
    order_no    TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('DOUBT', 'LATE_SUCCESS')),
    state       TEXT NOT NULL CHECK (state IN ('OPEN', 'PROPOSED', 'CLOSED')),
    cause       TEXT NOT NULL,
    opened_at   BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    decision    TEXT CHECK (decision IN ('SUCCEEDED', 'FAILED', 'REVERSED', 'REVERSE', 'KEEP')),
    evidence    TEXT,
    maker       TEXT,
    proposed_at BIGINT,
    checker     TEXT,
    closed_at   BIGINT,
    resolution  TEXT,
    version     INTEGER NOT NULL,
    -- Law 8: maker is not checker, whatever the program believes.
    CHECK (checker IS NULL OR (maker IS NOT NULL AND checker <> maker))
);
CREATE UNIQUE INDEX cases_open ON cases (order_no, kind) WHERE state <> 'CLOSED';
CREATE INDEX cases_order ON cases (order_no);

CREATE TABLE audit (
    stream       TEXT NOT NULL,
    seq          BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject      TEXT NOT NULL,
    before_state TEXT,
    after_state  TEXT,
    detail       TEXT,
    request_id   TEXT,
    prev_hash    BLOB NOT NULL,
    hash         BLOB NOT NULL,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX audit_subject ON audit (subject, at);

CREATE TABLE job_runs (
    run_id       TEXT PRIMARY KEY,
    job          TEXT NOT NULL,
    scheduled_at BIGINT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED')),
    owner        TEXT NOT NULL,
    fence        BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    finished_at  BIGINT,
    report       TEXT,
    error        TEXT
);
CREATE UNIQUE INDEX job_runs_due ON job_runs (job, scheduled_at);
CREATE INDEX job_runs_running ON job_runs (job, scheduled_at) WHERE state = 'RUNNING';
