-- Partners' files, reconciling, and cases about differences: a case may be about a flow that is no order's.
-- The SQLite twin makes the table of cases anew.

DROP INDEX cases_open;
ALTER TABLE cases ALTER COLUMN order_no DROP NOT NULL;
ALTER TABLE cases DROP CONSTRAINT cases_kind_check;
ALTER TABLE cases ADD CONSTRAINT cases_kind_check CHECK (kind IN ('DOUBT', 'LATE_SUCCESS', 'DISCREPANCY'));
-- Of a difference: the flow's number as it stands in the files.
ALTER TABLE cases ADD COLUMN flow_no TEXT;
ALTER TABLE cases ADD COLUMN owner TEXT;
ALTER TABLE cases ADD CONSTRAINT cases_about_check CHECK (order_no IS NOT NULL OR flow_no IS NOT NULL);
CREATE UNIQUE INDEX cases_open ON cases (order_no, kind) WHERE state <> 'CLOSED' AND flow_no IS NULL;
CREATE UNIQUE INDEX cases_flow ON cases (flow_no) WHERE state <> 'CLOSED';
CREATE INDEX cases_number ON cases (flow_no, case_no);

-- What partners sent: each file that came, in the order in which it came, accepted or refused as a whole.
CREATE TABLE partner_files (
    file_id       TEXT PRIMARY KEY,
    partner       TEXT NOT NULL,
    business_date DATE NOT NULL,
    version       INTEGER NOT NULL CHECK (version > 0),
    side          TEXT NOT NULL CHECK (side IN ('BANK', 'BILLER')),
    profile       TEXT NOT NULL,
    -- As it was called there, and where its bytes are kept.
    name          TEXT NOT NULL,
    path          TEXT NOT NULL,
    sha256        TEXT NOT NULL,
    bytes         BIGINT NOT NULL,
    row_count     BIGINT NOT NULL,
    -- By currency and kind, as JSON.
    sums          TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('ACCEPTED', 'REFUSED')),
    -- Of a refused file: the line where it goes wrong, and why.
    line          BIGINT,
    reason        TEXT,
    -- What the source says of the file, so that it is not brought twice.
    mark          TEXT,
    actor         TEXT NOT NULL,
    received_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX partner_files_version ON partner_files (partner, business_date, version);
CREATE INDEX partner_files_date ON partner_files (business_date, partner);

-- Files that did not come in time: people are called once.
CREATE TABLE partner_alarms (
    partner       TEXT NOT NULL,
    business_date DATE NOT NULL,
    raised_at     BIGINT NOT NULL,
    PRIMARY KEY (partner, business_date)
);

-- The results of reconciling: the newest of a date counts, those before it are kept.
CREATE TABLE reconciliations (
    run_id           TEXT PRIMARY KEY,
    business_date    DATE NOT NULL,
    version          INTEGER NOT NULL CHECK (version > 0),
    state            TEXT NOT NULL CHECK (state IN ('CURRENT', 'REPLACED')),
    replaces         TEXT,
    -- The files that it read, by partner, version and digest, as JSON; and the hash of all that went in.
    inputs           TEXT NOT NULL,
    input_hash       TEXT NOT NULL,
    result_hash      TEXT NOT NULL,
    flow_count       BIGINT NOT NULL,
    difference_count BIGINT NOT NULL,
    file_path        TEXT NOT NULL,
    file_sha256      TEXT NOT NULL,
    file_bytes       BIGINT NOT NULL,
    actor            TEXT NOT NULL,
    made_at          BIGINT NOT NULL
);
CREATE UNIQUE INDEX reconciliations_version ON reconciliations (business_date, version);
CREATE UNIQUE INDEX reconciliations_current ON reconciliations (business_date) WHERE state = 'CURRENT';

-- Counts and sums of a result. Of a side, every row that was compared is in exactly one line; the side FLOWS
-- counts flow numbers, and what is at risk.
CREATE TABLE reconciliation_sums (
    run_id         TEXT NOT NULL,
    side           TEXT NOT NULL,
    -- Whose rows; of ours, the bank's that carried them.
    partner        TEXT NOT NULL,
    class          TEXT NOT NULL,
    currency       TEXT NOT NULL,
    -- Payments that succeeded, reversals that succeeded, and what failed or is pending.
    paid_count     BIGINT NOT NULL,
    paid_minor     BIGINT NOT NULL,
    returned_count BIGINT NOT NULL,
    returned_minor BIGINT NOT NULL,
    unmoved_count  BIGINT NOT NULL,
    unmoved_minor  BIGINT NOT NULL,
    PRIMARY KEY (run_id, side, partner, class, currency)
);

-- Every flow of a result that is not plainly MATCHED; those that are EXPECTED are the pool.
CREATE TABLE discrepancies (
    discrepancy_id TEXT PRIMARY KEY,
    run_id         TEXT NOT NULL,
    business_date  DATE NOT NULL,
    flow_no        TEXT NOT NULL,
    kind           TEXT NOT NULL,
    order_no       TEXT,
    merchant       TEXT,
    biller         TEXT,
    adapter        TEXT,
    class          TEXT NOT NULL,
    rule           TEXT NOT NULL,
    currency       TEXT NOT NULL,
    our_state      TEXT,
    our_minor      BIGINT,
    bank_file      TEXT,
    bank_line      BIGINT,
    bank_status    TEXT,
    bank_minor     BIGINT,
    biller_file    TEXT,
    biller_line    BIGINT,
    biller_status  TEXT,
    biller_minor   BIGINT,
    risk_minor     BIGINT NOT NULL,
    -- Of one that is EXPECTED: the last business date on which its other side may come.
    due_on         DATE,
    -- How a later date ended it: the date, the run, the class and the rule.
    ended_on       DATE,
    ended_run      TEXT,
    ended_class    TEXT,
    ended_rule     TEXT,
    case_no        TEXT
);
CREATE UNIQUE INDEX discrepancies_flow ON discrepancies (run_id, flow_no);
CREATE INDEX discrepancies_date ON discrepancies (business_date, flow_no);
CREATE INDEX discrepancies_number ON discrepancies (flow_no);
CREATE INDEX discrepancies_pool ON discrepancies (business_date) WHERE class = 'EXPECTED';

-- What people say to each other about a case.
CREATE TABLE case_comments (
    comment_id TEXT PRIMARY KEY,
    case_no    TEXT NOT NULL,
    author     TEXT NOT NULL,
    body       TEXT NOT NULL,
    written_at BIGINT NOT NULL
);
CREATE INDEX case_comments_case ON case_comments (case_no, written_at);

-- Decisions of many cases at once, from a file: what is approved is the content with this hash.
CREATE TABLE case_batches (
    batch_id     TEXT PRIMARY KEY,
    content_hash TEXT NOT NULL,
    content      TEXT NOT NULL,
    line_count   BIGINT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('PROPOSED', 'APPLYING', 'APPLIED', 'REJECTED')),
    maker        TEXT NOT NULL,
    proposed_at  BIGINT NOT NULL,
    checker      TEXT,
    decided_at   BIGINT,
    -- Law 8: maker is not checker, whatever the program believes.
    CHECK (checker IS NULL OR checker <> maker)
);

-- Whether a replica that held an exception in phase REVERSE never came back: its try may have gone out uncounted.
ALTER TABLE exceptions ADD COLUMN holder_lost BOOLEAN NOT NULL DEFAULT FALSE;
