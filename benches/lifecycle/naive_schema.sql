-- The tables that a straightforward program would keep for a payment; the yardstick of the benchmark.
CREATE TABLE naive_orders (
    order_no    TEXT PRIMARY KEY,
    merchant    BIGINT NOT NULL,
    request_no  TEXT NOT NULL,
    biller      BIGINT NOT NULL,
    bill_no     TEXT NOT NULL,
    amount      BIGINT NOT NULL,
    currency    CHAR(3) NOT NULL,
    state       SMALLINT NOT NULL,
    version     INTEGER NOT NULL DEFAULT 0,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (merchant, request_no)
);
CREATE TABLE naive_flows (
    flow_no      TEXT PRIMARY KEY,
    order_no     TEXT NOT NULL,
    kind         SMALLINT NOT NULL,
    attempt      INTEGER NOT NULL,
    amount       BIGINT NOT NULL,
    state        SMALLINT NOT NULL,
    code         TEXT,
    upstream_ref TEXT,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX ON naive_flows (order_no);
