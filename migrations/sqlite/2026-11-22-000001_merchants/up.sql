-- Merchants come in by two people. Those that are there stay as they are: what the catalogue said of
-- them becomes their first revision, written by "catalogue" and taken over by "migration".

ALTER TABLE merchants RENAME TO merchants_before;

CREATE TABLE merchants (
    code          TEXT PRIMARY KEY,
    kind          TEXT NOT NULL CHECK (kind IN ('CHANNEL', 'OWN')),
    state         TEXT NOT NULL CHECK (state IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'ACTIVE',
                      'SUSPENDED', 'REJECTED', 'CLOSED')),
    reason        TEXT,
    registered_at BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    version       INTEGER NOT NULL
);
CREATE INDEX merchants_state ON merchants (state, code);

-- What a merchant is and may do, as somebody wrote it once. The content of a row never changes: an edit
-- is a new row, so that ticks and approvals are about the content that was read.
CREATE TABLE merchant_revisions (
    merchant          TEXT NOT NULL REFERENCES merchants (code),
    revision          INTEGER NOT NULL,
    stage             TEXT NOT NULL CHECK (stage IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'REJECTED',
                          'REPLACED')),
    name_zh           TEXT NOT NULL,
    name_en           TEXT NOT NULL,
    credit_code       TEXT,
    contact_name      TEXT NOT NULL,
    contact_phone     TEXT NOT NULL,
    contact_email     TEXT NOT NULL,
    bank_code         TEXT,
    account_no        TEXT,
    account_holder    TEXT,
    notify_url        TEXT,
    items             TEXT NOT NULL,
    regions           TEXT NOT NULL,
    limit_currency    TEXT NOT NULL,
    order_limit_minor BIGINT,
    day_limit_minor   BIGINT,
    maker             TEXT NOT NULL,
    made_at           BIGINT NOT NULL,
    submitter         TEXT,
    submitted_at      BIGINT,
    checker           TEXT,
    decided_at        BIGINT,
    reason            TEXT,
    approved_hash     TEXT,
    PRIMARY KEY (merchant, revision),
    -- Law 8: who wrote or submitted a profile does not check it, whatever the program believes.
    CHECK (checker IS NULL OR (submitter IS NOT NULL AND checker <> maker AND checker <> submitter)),
    CHECK (stage <> 'APPROVED' OR checker IS NOT NULL)
);
-- One profile in force a merchant, and one that is worked on.
CREATE UNIQUE INDEX merchant_revisions_approved ON merchant_revisions (merchant)
    WHERE stage = 'APPROVED';
CREATE UNIQUE INDEX merchant_revisions_open ON merchant_revisions (merchant)
    WHERE stage IN ('DRAFT', 'SUBMITTED');

-- What was verified of a revision, item by item.
CREATE TABLE merchant_checks (
    merchant   TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    item       TEXT NOT NULL CHECK (item IN ('LICENCE', 'CREDIT_CODE', 'CONTACT',
                   'SETTLEMENT_ACCOUNT', 'NOTIFY_URL', 'TERMS')),
    checked_by TEXT NOT NULL,
    note       TEXT NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (merchant, revision, item)
);

-- What a merchant with a limit of the day has confirmed on a business date. Changed in the transaction
-- that starts the payment, so it holds whatever runs at once.
CREATE TABLE merchant_days (
    merchant        TEXT NOT NULL,
    business_date   DATE NOT NULL,
    currency        TEXT NOT NULL,
    confirmed_minor BIGINT NOT NULL CHECK (confirmed_minor >= 0),
    PRIMARY KEY (merchant, business_date, currency)
);

INSERT INTO merchants (code, kind, state, registered_at, updated_at, version)
SELECT code, kind, state, CAST(strftime('%s', 'now') AS INTEGER) * 1000000, CAST(strftime('%s', 'now') AS INTEGER) * 1000000, 0
FROM merchants_before;

INSERT INTO merchant_revisions (merchant, revision, stage, name_zh, name_en, contact_name,
    contact_phone, contact_email, items, regions, limit_currency, maker, made_at, submitter,
    submitted_at, checker, decided_at)
SELECT b.code, 1, 'APPROVED', b.name_zh, b.name_en, '', '', '', '', '', 'CNY', 'catalogue',
    m.registered_at, 'catalogue', m.registered_at, 'migration', m.registered_at
FROM merchants_before b JOIN merchants m ON m.code = b.code;

DROP TABLE merchants_before;
