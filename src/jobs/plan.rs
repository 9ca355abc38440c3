//! A job's file, `jobs/NAME.toml`: when it runs and how long it may take. Read once at start; what
//! is wrong with it is told with file, line and reason, all at once, and the program does not
//! start.

use super::schedule::Schedule;
use crate::domain::time::Instant;
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde::Deserialize;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;

pub use crate::domain::job::CatchUp;

/// When a job runs and how long it may take.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When it is due.
    pub schedule: Schedule,
    /// What becomes of missed due times.
    pub catch_up: CatchUp,
    /// A run that begins no later than this after its due time is on time, not missed.
    pub on_time: Duration,
    /// How long a replica that gives no sign of life keeps a run.
    pub lease: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// Jobs that have to be done with the same business date before a run begins.
    pub after: Vec<String>,
    /// The local time, in the schedule's zone, by which it has to be done with a business date.
    pub alarm_at: Option<NaiveTime>,
    /// How long runs that found nothing to do are kept; none: for ever.
    pub keep_quiet: Option<Duration>,
    /// Why the job exists, for people.
    pub why: String,
    /// Where its file names the jobs that come before, for those who find a mistake in that: file, lines.
    pub(super) after_lines: (String, Vec<usize>),
}

/// One thing that is wrong with a job file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct FileProblem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    schedule: Spanned<String>,
    zone: Spanned<String>,
    catch_up: CatchUp,
    on_time_s: Spanned<u64>,
    lease_s: Spanned<u64>,
    timeout_s: Spanned<u64>,
    #[serde(default)]
    after: Vec<Spanned<String>>,
    alarm_at: Option<Spanned<String>>,
    keep_quiet_s: Option<Spanned<u64>>,
    why: Spanned<String>,
}

const DAY_S: u64 = 86_400;

impl Plan {
    /// Reads a job file.
    ///
    /// # Errors
    /// Everything that is wrong with it; only the first thing where it is not even TOML.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<FileProblem>> {
        let raw: JobFile = toml::from_str(text).map_err(|error| {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            let reason = error.message().to_owned();
            let file = file.to_owned();
            vec![FileProblem { file, line, reason }]
        })?;
        let mut checks = Checks {
            file,
            text,
            problems: Vec::new(),
        };
        let zone = checks.zone(&raw.zone);
        let schedule = checks.schedule(&raw.schedule, zone.unwrap_or(Tz::UTC));
        let on_time = checks.seconds("on_time_s", &raw.on_time_s, 1..=DAY_S);
        // A third of the lease is the beat of its renewals.
        let lease = checks.seconds("lease_s", &raw.lease_s, 3..=3_600);
        let timeout = checks.seconds("timeout_s", &raw.timeout_s, 1..=DAY_S);
        let keep_quiet = raw
            .keep_quiet_s
            .map(|keep| checks.seconds("keep_quiet_s", &keep, 3_600..=3_660 * DAY_S));
        let alarm_at = raw.alarm_at.and_then(|at| checks.time_of_day(&at));
        if raw.catch_up == CatchUp::Skip
            && let Some(first) = raw.after.first()
        {
            let reason = "after needs catch_up RUN_ONCE or RUN_ALL: what waits for another job would count as \
                          missed";
            checks.found(first, reason);
        }
        let lines = raw.after.iter().map(|job| line_of(text, job.span().start));
        let after_lines = (file.to_owned(), lines.collect());
        if raw.why.get_ref().trim().is_empty() {
            checks.found(&raw.why, "why is empty");
        }
        match schedule {
            Some(schedule) if checks.problems.is_empty() => Ok(Self {
                schedule,
                catch_up: raw.catch_up,
                on_time,
                lease,
                timeout,
                keep_quiet,
                after: raw.after.into_iter().map(Spanned::into_inner).collect(),
                alarm_at,
                why: raw.why.into_inner(),
                after_lines,
            }),
            _ => Err(checks.problems),
        }
    }

    /// What is wrong with the job that its file names after others, at that place of the list.
    pub(super) fn after_problem(&self, place: usize, reason: String) -> FileProblem {
        let (file, lines) = &self.after_lines;
        FileProblem {
            file: file.clone(),
            line: lines.get(place).copied().unwrap_or(1),
            reason,
        }
    }

    /// The due time that should be run now, if one should; `last` is the latest that has a run.
    /// A job that never ran begins with its latest due time, from which the missed ones can be told
    /// later on.
    pub fn due(&self, last: Option<Instant>, now: Instant) -> Option<Instant> {
        let schedule = &self.schedule;
        match (self.catch_up, last) {
            (CatchUp::Skip, last) => {
                let on_time = TimeDelta::from_std(self.on_time).unwrap_or_default();
                let too_late = now - on_time - TimeDelta::microseconds(1);
                schedule.latest(last.map_or(too_late, |last| last.max(too_late)), now)
            }
            (CatchUp::RunOnce, last) => schedule.latest(last.unwrap_or(Instant::UNIX_EPOCH), now),
            (CatchUp::RunAll, Some(last)) => schedule.next(last).filter(|next| *next <= now),
            (CatchUp::RunAll, None) => schedule.latest(Instant::UNIX_EPOCH, now),
        }
    }
}

/// The line that a place in a text is on, from 1.
fn line_of(text: &str, place: usize) -> usize {
    let before = text.as_bytes().get(..place).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Gathers what is wrong with the values of a file.
struct Checks<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<FileProblem>,
}

impl Checks<'_> {
    fn found<T>(&mut self, value: &Spanned<T>, reason: impl Display) {
        self.problems.push(FileProblem {
            file: self.file.to_owned(),
            line: line_of(self.text, value.span().start),
            reason: reason.to_string(),
        });
    }

    fn zone(&mut self, name: &Spanned<String>) -> Option<Tz> {
        let zone = name.get_ref().parse().ok();
        if zone.is_none() {
            let reason = format!(
                "{:?} is not a zone of the IANA time zone database, such as Asia/Shanghai",
                name.get_ref()
            );
            self.found(name, reason);
        }
        zone
    }

    fn schedule(&mut self, expression: &Spanned<String>, zone: Tz) -> Option<Schedule> {
        match Schedule::try_new(expression.get_ref(), zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                self.found(expression, error);
                None
            }
        }
    }

    fn time_of_day(&mut self, text: &Spanned<String>) -> Option<NaiveTime> {
        let time = NaiveTime::parse_from_str(text.get_ref(), "%H:%M").ok();
        if time.is_none() {
            let reason = format!("{:?} is not a time of day, such as 09:00", text.get_ref());
            self.found(text, reason);
        }
        time
    }

    fn seconds(
        &mut self,
        name: &str,
        value: &Spanned<u64>,
        within: RangeInclusive<u64>,
    ) -> Duration {
        if !within.contains(value.get_ref()) {
            let (least, most) = (within.start(), within.end());
            self.found(value, format!("{name} has to be {least} to {most} seconds"));
        }
        Duration::from_secs(*value.get_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"# A comment.
schedule = "0 0 2 * * *"
zone = "Asia/Shanghai"
catch_up = "RUN_ALL"
on_time_s = 60
lease_s = 60
timeout_s = 600
why = "a test"
"#;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn plan(schedule: &str, catch_up: &str) -> Plan {
        let text = GOOD
            .replace("0 0 2 * * *", schedule)
            .replace("RUN_ALL", catch_up);
        Plan::parse("jobs/a.toml", &text).unwrap()
    }

    #[test]
    fn a_good_file_is_read() {
        let plan = Plan::parse("jobs/a.toml", GOOD).unwrap();
        assert_eq!(plan.schedule.expression(), "0 0 2 * * *");
        assert_eq!(plan.schedule.zone(), Tz::Asia__Shanghai);
        assert_eq!(plan.catch_up, CatchUp::RunAll);
        assert_eq!(plan.lease, Duration::from_secs(60));
        assert_eq!(plan.timeout, Duration::from_secs(600));
        assert_eq!(plan.keep_quiet, None);
        let keeps = format!("{GOOD}keep_quiet_s = 86400\n");
        let plan = Plan::parse("jobs/a.toml", &keeps).unwrap();
        assert_eq!(plan.keep_quiet, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_reason() {
        let table = [
            (
                "schedule = \"0 0 2 * * *\"",
                "schedule = 7",
                "2: invalid type: integer `7`",
            ),
            (
                "\"0 0 2 * * *\"",
                "\"0 2 * * *\"",
                "2: \"0 2 * * *\" is not a schedule",
            ),
            (
                "\"0 0 2 * * *\"",
                "\"0 0 2 31 4 *\"",
                "2: \"0 0 2 31 4 *\" names a time that",
            ),
            (
                "Asia/Shanghai",
                "Asia/Peking",
                "3: \"Asia/Peking\" is not a zone",
            ),
            (
                "RUN_ALL",
                "ALWAYS",
                "4: unknown variant `ALWAYS`, expected one of `SKIP`",
            ),
            (
                "on_time_s = 60",
                "on_time_s = 0",
                "5: on_time_s has to be 1 to 86400 seconds",
            ),
            (
                "lease_s = 60",
                "lease_s = 2",
                "6: lease_s has to be 3 to 3600 seconds",
            ),
            (
                "timeout_s = 600",
                "timeout_s = -1",
                "7: invalid value: integer `-1`",
            ),
            (
                "timeout_s = 600",
                "timeout_s = 99999",
                "7: timeout_s has to be 1 to 86400",
            ),
            (
                "timeout_s = 600",
                "timeout_s = 6.5",
                "7: invalid type: floating point `6.5`",
            ),
            ("\"a test\"", "\"  \"", "8: why is empty"),
            (
                "why = \"a test\"",
                "whi = \"a test\"",
                "8: unknown field `whi`",
            ),
            ("why = \"a test\"", "why = \"a test", "8: "),
            (
                "why = \"a test\"",
                "why = \"a\"\nwhy = \"b\"",
                "9: duplicate key",
            ),
            ("why = \"a test\"\n", "", "1: missing field `why`"),
            (
                "why = \"a test\"",
                "why = \"a\"\nkeep_quiet_s = 1",
                "9: keep_quiet_s has to be",
            ),
            (
                "why = \"a test\"",
                "why = \"a\"\nalarm_at = \"24:00\"",
                "9: \"24:00\" is not a time of day",
            ),
            (
                "catch_up = \"RUN_ALL\"",
                "catch_up = \"SKIP\"\nafter = [\n\"b\"]",
                "6: after needs catch_up RUN_ONCE or RUN_ALL",
            ),
        ];
        for (good, bad, wanted) in table {
            let text = GOOD.replace(good, bad);
            assert_ne!(text, GOOD, "{good} is not in the file");
            let problems = Plan::parse("jobs/a.toml", &text).unwrap_err();
            let told: Vec<String> = problems.iter().map(FileProblem::to_string).collect();
            assert_eq!(told.len(), 1, "{told:?}");
            let wanted = format!("jobs/a.toml:{wanted}");
            assert!(
                told[0].starts_with(&wanted),
                "{} instead of {wanted}",
                told[0]
            );
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let text = GOOD.replace("Shanghai", "Peking").replace("600", "0");
        let text = text.replace("60", "0");
        let problems = Plan::parse("jobs/a.toml", &text).unwrap_err();
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 5, 6, 7]);
    }

    #[test]
    fn missed_nights_are_left_out_made_up_for_or_run_one_by_one() {
        // Three nights were missed; it is ten in the morning, Shanghai.
        let last = Some(at("2026-11-18T18:00:00Z"));
        let now = at("2026-11-22T02:00:00Z");
        let due = |rule: &str, last, now| plan("0 0 2 * * *", rule).due(last, now);
        assert_eq!(due("SKIP", last, now), None);
        assert_eq!(due("RUN_ONCE", last, now), Some(at("2026-11-21T18:00:00Z")));
        assert_eq!(due("RUN_ALL", last, now), Some(at("2026-11-19T18:00:00Z")));
        for rule in ["SKIP", "RUN_ONCE", "RUN_ALL"] {
            let (night, before) = (
                at("2026-11-21T18:00:00Z"),
                at("2026-11-21T17:59:59.999999Z"),
            );
            let yesterday = Some(at("2026-11-20T18:00:00Z"));
            assert_eq!(due(rule, yesterday, before), None, "{rule}");
            assert_eq!(due(rule, yesterday, night), Some(night), "{rule}");
            let a_minute_late = night + TimeDelta::seconds(60);
            assert_eq!(due(rule, yesterday, a_minute_late), Some(night), "{rule}");
            assert_eq!(due(rule, Some(night), now), None, "{rule}");
        }
        let too_late = at("2026-11-21T18:01:00.000001Z");
        assert_eq!(due("SKIP", None, too_late), None);
    }

    #[test]
    fn a_job_that_never_ran_begins_with_its_latest_due_time() {
        let now = at("2026-11-22T04:00:07Z");
        let night = Some(at("2026-11-21T18:00:00Z"));
        for (rule, night) in [("SKIP", None), ("RUN_ONCE", night), ("RUN_ALL", night)] {
            assert_eq!(plan("0 0 2 * * *", rule).due(None, now), night, "{rule}");
            let latest = plan("*/10 * * * * *", rule).due(None, now);
            assert_eq!(latest, Some(at("2026-11-22T04:00:00Z")), "{rule}");
        }
    }
}
