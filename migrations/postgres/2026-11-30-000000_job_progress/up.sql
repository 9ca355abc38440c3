-- Runs know the business date that they work on, who asked for them, and how far they have come; a run that
-- somebody asked for waits for its turn. Rows from before are given the date that the clock of the default
-- zone says.

ALTER TABLE job_runs DROP CONSTRAINT job_runs_state_check;
ALTER TABLE job_runs ADD CONSTRAINT job_runs_state_check
    CHECK (state IN ('WAITING', 'RUNNING', 'SUCCEEDED', 'FAILED'));
ALTER TABLE job_runs ADD COLUMN business_date DATE;
UPDATE job_runs SET business_date =
    ((to_timestamp(scheduled_at / 1000000) AT TIME ZONE 'UTC') + INTERVAL '8 hours')::date - 1;
ALTER TABLE job_runs ALTER COLUMN business_date SET NOT NULL;
-- None: the clock.
ALTER TABLE job_runs ADD COLUMN asked_by TEXT;
-- As the holder last told it, with its lease.
ALTER TABLE job_runs ADD COLUMN progress_done BIGINT;
ALTER TABLE job_runs ADD COLUMN progress_total BIGINT;
ALTER TABLE job_runs ADD COLUMN progress_since BIGINT;
ALTER TABLE job_runs ADD COLUMN progress_at BIGINT;

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
