-- Runs that wait for their turn are forgotten.

DROP TABLE job_alarms;
DROP INDEX job_runs_waiting;
DROP INDEX job_runs_failed;
DROP INDEX job_runs_date;
ALTER TABLE job_runs DROP COLUMN progress_at;
ALTER TABLE job_runs DROP COLUMN progress_since;
ALTER TABLE job_runs DROP COLUMN progress_total;
ALTER TABLE job_runs DROP COLUMN progress_done;
ALTER TABLE job_runs DROP COLUMN asked_by;
ALTER TABLE job_runs DROP COLUMN business_date;
DELETE FROM job_runs WHERE state = 'WAITING';
ALTER TABLE job_runs DROP CONSTRAINT job_runs_state_check;
ALTER TABLE job_runs ADD CONSTRAINT job_runs_state_check
    CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED'));
