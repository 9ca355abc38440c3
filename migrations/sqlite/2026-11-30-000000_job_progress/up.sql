-- Runs know the business date that they work on, who asked for them, and how far they have come; a run that
-- somebody asked for waits for its turn. SQLite cannot change a CHECK, so the table is made anew. Rows from
-- before are given the date that the clock of the default zone says.

DROP INDEX job_runs_due;
DROP INDEX job_runs_running;
ALTER TABLE job_runs RENAME TO job_runs_before;

CREATE TABLE job_runs (
    run_id         TEXT PRIMARY KEY,
    job            TEXT NOT NULL,
    scheduled_at   BIGINT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('WAITING', 'RUNNING', 'SUCCEEDED', 'FAILED')),
    -- Empty while it waits.
    owner          TEXT NOT NULL,
    fence          BIGINT NOT NULL,
    lease_until    BIGINT NOT NULL,
    -- While it waits: when it was asked for.
    started_at     BIGINT NOT NULL,
    finished_at    BIGINT,
    report         TEXT,
    error          TEXT,
    business_date  DATE NOT NULL,
    -- None: the clock.
    asked_by       TEXT,
    -- As the holder last told it, with its lease.
    progress_done  BIGINT,
    progress_total BIGINT,
    progress_since BIGINT,
    progress_at    BIGINT
);
INSERT INTO job_runs (run_id, job, scheduled_at, state, owner, fence, lease_until, started_at, finished_at,
    report, error, business_date)
    SELECT run_id, job, scheduled_at, state, owner, fence, lease_until, started_at, finished_at, report, error,
    date(scheduled_at / 1000000 + 28800, 'unixepoch', '-1 day') FROM job_runs_before;
DROP TABLE job_runs_before;

CREATE UNIQUE INDEX job_runs_due ON job_runs (job, scheduled_at);
CREATE INDEX job_runs_running ON job_runs (job, scheduled_at) WHERE state = 'RUNNING';
CREATE INDEX job_runs_waiting ON job_runs (job, scheduled_at) WHERE state = 'WAITING';
CREATE INDEX job_runs_failed ON job_runs (finished_at) WHERE state = 'FAILED';
CREATE INDEX job_runs_date ON job_runs (job, business_date);

-- Alarms of jobs that were raised: each once, whatever dies.
CREATE TABLE job_alarms (
    job       TEXT NOT NULL,
    -- FAILED and the run's id, or LATE and the business date.
    what      TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    PRIMARY KEY (job, what)
);
CREATE INDEX job_alarms_raised ON job_alarms (raised_at);
