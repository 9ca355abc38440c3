//! 任务: what the center does by the clock, and the record of each run. The metronome may forget or
//! repeat itself; the record is the truth.

use super::named_enum;
use super::time::{BusinessDate, Instant};
use chrono::NaiveTime;
use chrono_tz::Tz;
use std::time::Duration;
use uuid::Uuid;

named_enum! {
    /// How a run stands.
    pub enum JobRunState {
        /// Somebody asked for it, and it waits for its turn.
        Waiting = "WAITING",
        /// Somebody holds its lease and works.
        Running = "RUNNING",
        /// It ended well.
        Succeeded = "SUCCEEDED",
        /// It ended with an error, a panic or past its time-out.
        Failed = "FAILED",
    }
}

impl JobRunState {
    /// Whether nothing more will happen to it.
    pub fn has_ended(self) -> bool {
        match self {
            JobRunState::Waiting | JobRunState::Running => false,
            JobRunState::Succeeded | JobRunState::Failed => true,
        }
    }
}

named_enum! {
    /// What becomes of due times that were missed, because no replica was up or the clock jumped.
    pub enum CatchUp {
        /// They are left out.
        Skip = "SKIP",
        /// One run, for the latest of them, makes up for all.
        RunOnce = "RUN_ONCE",
        /// Each is run, the oldest first, one after the other.
        RunAll = "RUN_ALL",
    }
}

/// One run of one job, unique by job and scheduled time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// UUID v7.
    pub run_id: Uuid,
    /// The job's name, as in `jobs/NAME.toml`.
    pub job: String,
    /// The time it was due.
    pub scheduled_at: Instant,
    /// The business date that it works on: the last that had ended when it was due, or the one that
    /// somebody asked for.
    pub business_date: BusinessDate,
    /// Who asked for it; none for the clock.
    pub asked_by: Option<String>,
    /// How it stands.
    pub state: JobRunState,
    /// Which replica runs it; empty while it waits.
    pub owner: String,
    /// Grows each time another replica takes the run over.
    pub fence: i64,
    /// Until when the owner holds it.
    pub lease_until: Instant,
    /// When it began; while it waits, when it was asked for.
    pub started_at: Instant,
    /// When it ended.
    pub finished_at: Option<Instant>,
    /// How far it has come, as its holder last told.
    pub progress: Option<RunProgress>,
    /// What it did: the job's typed report as JSON.
    pub report: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// How far a run has come, in whatever the job counts (rows, lines, flows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// So many are done.
    pub done: u64,
    /// Of so many; none as long as nobody knows it.
    pub total: Option<u64>,
    /// When its holder began.
    pub since: Instant,
    /// When this was so.
    pub at: Instant,
}

impl RunProgress {
    /// How many were done in a second, up to now; none before the first millisecond.
    pub fn rate_per_s(&self) -> Option<u64> {
        let millis = u64::try_from((self.at - self.since).num_milliseconds()).ok();
        let millis = millis.filter(|millis| *millis > 0)?;
        Some(self.done.saturating_mul(1_000) / millis)
    }

    /// How long the rest takes at this rate; none where that is not known.
    pub fn time_left(&self) -> Option<Duration> {
        let rest = self.total?.saturating_sub(self.done);
        let millis = u64::try_from((self.at - self.since).num_milliseconds()).ok()?;
        let left = u128::from(millis) * u128::from(rest);
        let left = left.checked_div(u128::from(self.done))?;
        u64::try_from(left).ok().map(Duration::from_millis)
    }
}

impl std::fmt::Display for RunProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.done)?;
        if let Some(total) = self.total {
            write!(f, " of {total}")?;
        }
        if let Some(rate) = self.rate_per_s() {
            write!(f, ", {rate}/s")?;
        }
        if let Some(left) = self.time_left().filter(|left| !left.is_zero()) {
            write!(f, ", {} s left", left.as_secs().max(1))?;
        }
        Ok(())
    }
}

/// A job and its plan, for whoever asks which there are.
#[derive(Clone, Debug)]
pub struct JobInfo {
    /// Its name.
    pub name: &'static str,
    /// The cron expression.
    pub schedule: String,
    /// The zone that the expression is read in.
    pub zone: Tz,
    /// What becomes of missed due times.
    pub catch_up: CatchUp,
    /// Jobs that have to be done with the same business date.
    pub after: Vec<String>,
    /// The local time by which it has to be done with a business date.
    pub alarm_at: Option<NaiveTime>,
    /// How long a replica that gives no sign of life keeps a run.
    pub lease: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// Why it exists.
    pub why: String,
    /// When it is due next.
    pub next_due: Option<Instant>,
}

impl std::fmt::Display for JobInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let next = self
            .next_due
            .map(|at| at.with_timezone(&self.zone).to_rfc3339());
        write!(
            f,
            "{:<24} {:<18} {}  catch-up {}  next {}",
            self.name,
            self.schedule,
            self.zone,
            self.catch_up,
            next.as_deref().unwrap_or("never"),
        )?;
        if !self.after.is_empty() {
            write!(f, "  after {}", self.after.join(", "))?;
        }
        if let Some(at) = self.alarm_at {
            write!(f, "  alarm at {}", at.format("%H:%M"))?;
        }
        write!(f, "\n    {}", self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn progress(done: u64, total: Option<u64>, seconds: i64) -> RunProgress {
        let since: Instant = "2026-11-29T16:05:00Z".parse().unwrap();
        let at = since + TimeDelta::seconds(seconds);
        RunProgress {
            done,
            total,
            since,
            at,
        }
    }

    #[test]
    fn the_time_left_follows_from_what_was_done() {
        let half = progress(500, Some(1_000), 10);
        assert_eq!(half.rate_per_s(), Some(50));
        assert_eq!(half.time_left(), Some(Duration::from_secs(10)));
        assert_eq!(half.to_string(), "500 of 1000, 50/s, 10 s left");
        let whole = progress(1_000, Some(1_000), 10);
        assert_eq!(whole.to_string(), "1000 of 1000, 100/s");
        assert_eq!(progress(7, None, 10).to_string(), "7, 0/s");
        assert_eq!(progress(0, Some(5), 0).to_string(), "0 of 5");
        assert_eq!(progress(0, Some(5), 10).time_left(), None);
    }
}
