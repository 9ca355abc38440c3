-- Runs that wait for their turn are forgotten.

DROP TABLE job_alarms;
DROP INDEX job_runs_due;
DROP INDEX job_runs_running;
DROP INDEX job_runs_waiting;
DROP INDEX job_runs_failed;
DROP INDEX job_runs_date;
ALTER TABLE job_runs RENAME TO job_runs_before;

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
INSERT INTO job_runs (run_id, job, scheduled_at, state, owner, fence, lease_until, started_at, finished_at,
    report, error)
    SELECT run_id, job, scheduled_at, state, owner, fence, lease_until, started_at, finished_at, report, error
    FROM job_runs_before WHERE state <> 'WAITING';
DROP TABLE job_runs_before;

CREATE UNIQUE INDEX job_runs_due ON job_runs (job, scheduled_at);
CREATE INDEX job_runs_running ON job_runs (job, scheduled_at) WHERE state = 'RUNNING';
