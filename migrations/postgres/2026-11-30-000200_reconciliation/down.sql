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
DROP INDEX cases_number;
ALTER TABLE cases DROP CONSTRAINT cases_about_check;
ALTER TABLE cases DROP COLUMN owner;
ALTER TABLE cases DROP COLUMN flow_no;
ALTER TABLE cases DROP CONSTRAINT cases_kind_check;
ALTER TABLE cases ADD CONSTRAINT cases_kind_check CHECK (kind IN ('DOUBT', 'LATE_SUCCESS'));
ALTER TABLE cases ALTER COLUMN order_no SET NOT NULL;
CREATE UNIQUE INDEX cases_open ON cases (order_no, kind) WHERE state <> 'CLOSED';
ALTER TABLE exceptions DROP COLUMN holder_lost;
