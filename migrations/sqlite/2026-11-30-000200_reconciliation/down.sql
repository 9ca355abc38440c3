-- Fails where there are cases about differences: they would be nobody's.

DROP TABLE case_batches;
DROP TABLE case_comments;
DROP TABLE discrepancies;
DROP TABLE reconciliation_sums;
DROP TABLE reconciliations;
DROP TABLE partner_alarms;
DROP TABLE partner_files;
DROP INDEX cases_open;
DROP INDEX cases_flow;
DROP INDEX cases_order;
DROP INDEX cases_number;
ALTER TABLE cases RENAME TO cases_after;
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
    CHECK (checker IS NULL OR (maker IS NOT NULL AND checker <> maker))
);
INSERT INTO cases SELECT case_no, order_no, kind, state, cause, opened_at, due_at, decision, evidence, maker,
    proposed_at, checker, closed_at, resolution, version FROM cases_after;
DROP TABLE cases_after;
CREATE UNIQUE INDEX cases_open ON cases (order_no, kind) WHERE state <> 'CLOSED';
CREATE INDEX cases_order ON cases (order_no);
ALTER TABLE exceptions DROP COLUMN holder_lost;
