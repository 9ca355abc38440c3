-- 日切: the days that are closed, each once. Statements and reconciliation work on these alone.
CREATE TABLE business_days (
    business_date DATE PRIMARY KEY,
    closed_at     BIGINT NOT NULL,
    closed_by     TEXT NOT NULL,
    -- When the day's flows were last counted, and how many there were.
    counted_at    BIGINT NOT NULL,
    flows         BIGINT NOT NULL CHECK (flows >= 0),
    undecided     BIGINT NOT NULL CHECK (undecided >= 0),
    -- Flows that the count of the closing had not seen.
    late          BIGINT NOT NULL CHECK (late >= 0),
    -- The row of the audit trail that tells of the last count that changed something.
    audit_stream  TEXT NOT NULL,
    audit_seq     BIGINT NOT NULL,
    audit_hash    BYTEA NOT NULL
);

-- What a closed day's flows come to, as they were last counted.
CREATE TABLE business_day_sums (
    business_date DATE NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('PAYMENT', 'REVERSAL')),
    state         TEXT NOT NULL CHECK (state IN ('STARTED', 'SUCCEEDED', 'FAILED', 'REVERSED')),
    currency      TEXT NOT NULL,
    flows         BIGINT NOT NULL CHECK (flows >= 0),
    amount_minor  BIGINT NOT NULL,
    -- The sum of the flows' versions: it grows whenever one of them moves.
    versions      BIGINT NOT NULL,
    PRIMARY KEY (business_date, kind, state, currency)
);

-- What the night has done about a closed day, and at which count of it. It is done again where the day's
-- count (business_days.audit_*) is another one.
CREATE TABLE business_day_works (
    business_date DATE NOT NULL,
    work          TEXT NOT NULL,
    audit_stream  TEXT NOT NULL,
    audit_seq     BIGINT NOT NULL,
    done_at       BIGINT NOT NULL,
    PRIMARY KEY (business_date, work)
);

-- What a merchant's payments to a biller cost, from a date on.
CREATE TABLE contracts (
    merchant     TEXT NOT NULL,
    biller       TEXT NOT NULL,
    currency     TEXT NOT NULL,
    valid_from   DATE NOT NULL,
    basis_points INTEGER NOT NULL CHECK (basis_points >= 0 AND basis_points <= 10000),
    fixed_minor  BIGINT NOT NULL CHECK (fixed_minor >= 0),
    PRIMARY KEY (merchant, biller, currency, valid_from)
);

-- 对账单: what was made for a party of a closed day. The row publishes the files: they are durable before it.
CREATE TABLE statements (
    party_kind     TEXT NOT NULL CHECK (party_kind IN ('MERCHANT', 'BILLER')),
    party          TEXT NOT NULL,
    business_date  DATE NOT NULL,
    currency       TEXT NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    profile        TEXT NOT NULL,
    -- The digest of what it tells: a flow that differs makes another one.
    content        TEXT NOT NULL,
    flows          BIGINT NOT NULL CHECK (flows >= 0),
    object         TEXT NOT NULL,
    media_type     TEXT NOT NULL,
    bytes          BIGINT NOT NULL CHECK (bytes >= 0),
    sha256         TEXT NOT NULL,
    xlsx_object    TEXT,
    xlsx_bytes     BIGINT,
    xlsx_sha256    TEXT,
    sidecar_object TEXT NOT NULL,
    sidecar_sha256 TEXT NOT NULL,
    made_at        BIGINT NOT NULL,
    made_by        TEXT NOT NULL,
    PRIMARY KEY (party_kind, party, business_date, currency, version)
);
CREATE INDEX statements_date ON statements (business_date, party_kind, party, currency, version);

-- The totals of a statement.
CREATE TABLE statement_sums (
    party_kind    TEXT NOT NULL,
    party         TEXT NOT NULL,
    business_date DATE NOT NULL,
    currency      TEXT NOT NULL,
    version       INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('PAYMENT', 'REVERSAL')),
    state         TEXT NOT NULL CHECK (state IN ('SUCCEEDED', 'FAILED')),
    flows         BIGINT NOT NULL CHECK (flows >= 0),
    amount_minor  BIGINT NOT NULL,
    fee_minor     BIGINT NOT NULL,
    PRIMARY KEY (party_kind, party, business_date, currency, version, kind, state)
);

-- 结算汇总: what is settled between a merchant and a biller for a closed day.
CREATE TABLE settlement_summaries (
    business_date  DATE NOT NULL,
    merchant       TEXT NOT NULL,
    biller         TEXT NOT NULL,
    currency       TEXT NOT NULL,
    payments       BIGINT NOT NULL CHECK (payments >= 0),
    gross_minor    BIGINT NOT NULL,
    reversals      BIGINT NOT NULL CHECK (reversals >= 0),
    reversed_minor BIGINT NOT NULL,
    fees_minor     BIGINT NOT NULL,
    net_minor      BIGINT NOT NULL,
    made_at        BIGINT NOT NULL,
    version        INTEGER NOT NULL,
    PRIMARY KEY (business_date, merchant, biller, currency),
    CHECK (net_minor = gross_minor - reversed_minor - fees_minor)
);
CREATE INDEX settlement_summaries_merchant ON settlement_summaries (merchant, business_date);
