//! Everything about an adapter that is data: one section of the settings file for each bank.
//!
//! Every field is required, so that the defaults stand in one commented file and nowhere else;
//! only the PEM files may be absent. [`AdapterSettings::check`] reports all contradictions at once,
//! with the path of the field, because a bank's settings are found wrong at a bad hour.
//!
//! How one could break it: by mapping a code that the bank uses for "we are not sure" to
//! `REFUSED`; by calling a bank idempotent or tombstoning that is not; by a certainty window
//! shorter than a request can wander. No check can see the first two: they are promises of the
//! bank, to be had in writing.

use crate::domain::exception::DoubtRules;
use crate::domain::outcome::{CodeMap, CodeMeaning};
use crate::domain::retry::Ladder;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One adapter's section of the settings file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterSettings {
    /// Where the bank listens: calls go to `{url}/pay`, `{url}/query` and `{url}/reverse`.
    pub url: String,
    /// Where the billers listen: lookups go to `{biller_url}/{biller}/lookup`.
    pub biller_url: String,
    /// The certificates that the far side's own must descend from, PEM. Without it, the
    /// machine's certificate store decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem_file: Option<PathBuf>,
    /// Our certificate and its private key, both in one PEM file, for mutual TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_pem_file: Option<PathBuf>,
    /// For address, connection and TLS together; after it nothing was sent. Milliseconds.
    pub connect_timeout_ms: u64,
    /// For a whole pay, query or reverse, connecting included, to the last byte. Milliseconds.
    pub total_timeout_ms: u64,
    /// For a whole lookup, connecting included, to the last byte. Milliseconds.
    pub lookup_timeout_ms: u64,
    /// How long an unused connection is kept; shorter than the far side keeps it, or requests are
    /// sent into connections that are just being closed. Milliseconds.
    pub idle_ms: u64,
    /// The largest answer that is read, in bytes.
    pub body_bytes_max: usize,
    /// Pay, query and reverse calls under way at once.
    pub concurrency_max: u32,
    /// Lookups under way at once, for each biller.
    pub lookup_concurrency_max: u32,
    /// How long a call waits for its place before it is given up unsent. Milliseconds.
    pub concurrency_wait_ms: u64,
    /// When pay, query and reverse calls are refused because the bank is sick.
    pub breaker: BreakerSettings,
    /// When lookups at a biller are refused because that biller is sick. Each biller has a breaker
    /// of its own, and fewer calls than a bank, so its window is smaller.
    pub lookup_breaker: BreakerSettings,
    /// Whether the bank can be asked what became of a payment.
    pub can_query: bool,
    /// Whether the bank can undo a payment.
    pub can_reverse: bool,
    /// Whether a repeated `pay` with one number has one effect.
    pub idempotent: bool,
    /// Whether a reversal of a payment that never arrived bars its number for good.
    pub tombstones: bool,
    /// Whether the bank checks the amount against the lookup's `bill_ref`.
    pub lookup_binds: bool,
    /// The waits before each further try within a confirm. Seconds.
    pub tries_s: Vec<u64>,
    /// How long after the start of a payment its request may still leave. Seconds.
    pub send_within_s: u64,
    /// How long "not found" proves nothing. Seconds, from the start of the payment.
    pub certainty_window_s: u64,
    /// How many times "not found" has to be said before it counts; 2 at least.
    pub not_found_asks: u32,
    /// How many unknown answers come before a reversal.
    pub quick_polls: u32,
    /// When the tries of a reversal are due. Seconds, from the start of the reversal; empty for a
    /// bank that cannot reverse.
    pub reversal_at_s: Vec<u64>,
    /// When a payment that is still in doubt becomes a case for people. Seconds.
    pub case_after_s: u64,
    /// The waits between asks. Seconds.
    pub ladder: Ladder,
    /// What the result codes mean, for payments and lookups alike. A code that is not here is
    /// unknown.
    pub codes: CodeMap,
}

/// When a link refuses calls because the far side is sick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSettings {
    /// How many last calls are looked at; before that many were made, all calls are let through.
    pub window_calls: u32,
    /// The share of failures among them that opens the breaker. Percent.
    pub failures_percent: u8,
    /// How long all calls are refused then. Milliseconds.
    pub open_ms: u64,
    /// How many calls are let through after that before it closes, or opens again.
    pub trial_calls: u32,
}

/// Something in the settings that contradicts itself or the laws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, with the path that leads to it, e.g. `adapters.bank.codes.1001.reason`.
    pub path: String,
    /// What is wrong with it, in words.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl AdapterSettings {
    /// Every contradiction; none when the section can be used. `path` is the section's own, e.g.
    /// `adapters.bank`.
    pub fn check(&self, path: &str) -> Vec<Finding> {
        let mut findings = Findings::below(path);
        self.check_urls(&mut findings);
        self.check_times(&mut findings);
        self.check_bounds(&mut findings);
        self.check_doubt(&mut findings);
        self.check_codes(&mut findings);
        findings.list
    }

    /// What can be used but is unwise outside a test: to be warned about at start.
    pub fn risks(&self, path: &str) -> Vec<Finding> {
        let mut findings = Findings::below(path);
        for (field, text) in [("url", &self.url), ("biller_url", &self.biller_url)] {
            if base_url(text).is_ok_and(|url| url.scheme() == "http" && !is_local(&url)) {
                findings.add(field, "goes to another machine without TLS");
            }
        }
        if !self.can_query && !self.can_reverse {
            findings.add(
                "can_query",
                "a bank that can neither be asked nor reverse leaves every doubt to people",
            );
        }
        findings.list
    }

    /// How doubt is settled, as the poller takes it.
    pub fn doubt_rules(&self) -> DoubtRules {
        DoubtRules {
            ladder: self.ladder.clone(),
            quick_polls: self.quick_polls,
            reversal_at: seconds(&self.reversal_at_s),
            certainty_window: Duration::from_secs(self.certainty_window_s),
            not_found_asks: self.not_found_asks,
            case_after: Duration::from_secs(self.case_after_s),
            can_query: self.can_query,
            can_reverse: self.can_reverse,
            tombstones: self.tombstones,
        }
    }

    /// The waits before each further try within a confirm.
    pub fn tries(&self) -> Vec<Duration> {
        seconds(&self.tries_s)
    }

    /// How long after the start of a payment its request may still leave.
    pub fn send_within(&self) -> Duration {
        Duration::from_secs(self.send_within_s)
    }

    pub(super) fn total_timeout(&self) -> Duration {
        Duration::from_millis(self.total_timeout_ms)
    }

    pub(super) fn lookup_timeout(&self) -> Duration {
        Duration::from_millis(self.lookup_timeout_ms)
    }

    /// Whether any call of the adapter goes over TLS.
    pub(super) fn uses_tls(&self) -> bool {
        [&self.url, &self.biller_url]
            .into_iter()
            .any(|text| !text.starts_with("http://"))
    }

    fn check_urls(&self, findings: &mut Findings<'_>) {
        for (field, text) in [("url", &self.url), ("biller_url", &self.biller_url)] {
            if let Err(problem) = base_url(text) {
                findings.add(field, problem);
            }
        }
        for (field, file) in [
            ("ca_pem_file", &self.ca_pem_file),
            ("client_pem_file", &self.client_pem_file),
        ] {
            if file.is_some() && !self.uses_tls() {
                findings.add(field, "is set, but neither URL begins with https");
            }
        }
    }

    fn check_times(&self, findings: &mut Findings<'_>) {
        let mut seconds = vec![
            ("send_within_s".to_owned(), self.send_within_s, 1),
            ("certainty_window_s".to_owned(), self.certainty_window_s, 1),
            ("case_after_s".to_owned(), self.case_after_s, 1),
            ("ladder.then_s".to_owned(), self.ladder.then_s, 1),
        ];
        for (field, waits) in [
            ("tries_s", &self.tries_s),
            ("reversal_at_s", &self.reversal_at_s),
        ] {
            let waits = waits.iter().enumerate();
            seconds.extend(waits.map(|(place, wait)| (format!("{field}.{place}"), *wait, 0)));
        }
        for (place, rung) in self.ladder.rungs.iter().enumerate() {
            let field = format!("ladder.rungs.{place}");
            seconds.push((format!("{field}.wait_s"), rung.wait_s, 1));
            if rung.times == 0 {
                findings.add(&format!("{field}.times"), "must be more than 0");
            }
        }
        for (field, value, least) in seconds {
            findings.within(&field, value, least, WAIT_S_MAX);
        }
        for (field, value, least) in [
            ("connect_timeout_ms", self.connect_timeout_ms, 1),
            ("total_timeout_ms", self.total_timeout_ms, 0),
            ("lookup_timeout_ms", self.lookup_timeout_ms, 0),
            ("idle_ms", self.idle_ms, 1),
            ("concurrency_wait_ms", self.concurrency_wait_ms, 0),
            ("breaker.open_ms", self.breaker.open_ms, 1),
            ("lookup_breaker.open_ms", self.lookup_breaker.open_ms, 1),
        ] {
            findings.within(field, value, least, WAIT_S_MAX * 1000);
        }
        for (field, value) in [
            ("total_timeout_ms", self.total_timeout_ms),
            ("lookup_timeout_ms", self.lookup_timeout_ms),
        ] {
            if value <= self.connect_timeout_ms {
                findings.add(field, "must be more than connect_timeout_ms");
            }
        }
    }

    fn check_bounds(&self, findings: &mut Findings<'_>) {
        for (field, value) in [
            ("concurrency_max", self.concurrency_max),
            ("lookup_concurrency_max", self.lookup_concurrency_max),
            ("breaker.window_calls", self.breaker.window_calls),
            ("breaker.trial_calls", self.breaker.trial_calls),
            (
                "lookup_breaker.window_calls",
                self.lookup_breaker.window_calls,
            ),
            (
                "lookup_breaker.trial_calls",
                self.lookup_breaker.trial_calls,
            ),
        ] {
            if !(1..=CALLS_MAX).contains(&value) {
                findings.add(field, format!("must be 1 to {CALLS_MAX}"));
            }
        }
        for (field, breaker) in [
            ("breaker.failures_percent", &self.breaker),
            ("lookup_breaker.failures_percent", &self.lookup_breaker),
        ] {
            if !(1..=100).contains(&breaker.failures_percent) {
                findings.add(field, "must be 1 to 100");
            }
        }
        if !(ANSWER_BYTES_MIN..=ANSWER_BYTES_MAX).contains(&self.body_bytes_max) {
            findings.add(
                "body_bytes_max",
                format!("must be {ANSWER_BYTES_MIN} to {ANSWER_BYTES_MAX}"),
            );
        }
    }

    fn check_doubt(&self, findings: &mut Findings<'_>) {
        if self.not_found_asks < 2 {
            findings.add(
                "not_found_asks",
                "\"not found\" must be said twice at least",
            );
        }
        let wandering_ms = self
            .send_within_s
            .saturating_mul(1000)
            .saturating_add(self.total_timeout_ms);
        if self.certainty_window_s.saturating_mul(1000) <= wandering_ms {
            findings.add(
                "certainty_window_s",
                "must be more than send_within_s and total_timeout_ms together: a request may \
                 still be on its way",
            );
        }
        if self.can_reverse && self.quick_polls_s().saturating_mul(1000) < wandering_ms {
            findings.add(
                "quick_polls",
                format!(
                    "so many waits of the ladder are {} s together, and must be no less than \
                     send_within_s and total_timeout_ms together: a reversal must not begin while \
                     the payment may still leave",
                    self.quick_polls_s()
                ),
            );
        }
        if self.can_reverse && self.reversal_at_s.is_empty() {
            findings.add("reversal_at_s", "is empty, but can_reverse is true");
        }
        if !self.can_reverse && !self.reversal_at_s.is_empty() {
            findings.add("reversal_at_s", "is not empty, but can_reverse is false");
        }
        if !self
            .reversal_at_s
            .is_sorted_by(|earlier, later| earlier < later)
        {
            findings.add(
                "reversal_at_s",
                "each try must be later than the one before",
            );
        }
        if self.tombstones && !self.can_reverse {
            findings.add("tombstones", "is true, but can_reverse is false");
        }
    }

    /// How long the ladder waits between the first ask and the one that a reversal follows.
    fn quick_polls_s(&self) -> u64 {
        let (mut left, mut sum_s) = (u64::from(self.quick_polls), 0_u64);
        for rung in &self.ladder.rungs {
            let times = left.min(u64::from(rung.times));
            sum_s = sum_s.saturating_add(rung.wait_s.saturating_mul(times));
            left -= times;
        }
        sum_s.saturating_add(self.ladder.then_s.saturating_mul(left))
    }

    fn check_codes(&self, findings: &mut Findings<'_>) {
        let has = |meaning| self.codes.0.values().any(|entry| entry.meaning == meaning);
        if !has(CodeMeaning::Succeeded) {
            findings.add("codes", "no code means SUCCEEDED");
        }
        if self.can_query && !has(CodeMeaning::NotFound) {
            findings.add("codes", "no code means NOT_FOUND, but can_query is true");
        }
        for (code, entry) in &self.codes.0 {
            let as_sent = code.parse::<i64>().map(|number| number.to_string());
            if as_sent.as_ref() != Ok(code) {
                let field = format!("codes.{code}");
                findings.add(&field, "is not a whole number as an answer holds it");
            }
            let field = format!("codes.{code}.reason");
            match (entry.meaning, &entry.reason) {
                (CodeMeaning::Refused, None) => {
                    findings.add(&field, "is missing: a refusal needs a named reason");
                }
                (_, Some(reason)) if !is_name(reason) => {
                    findings.add(
                        &field,
                        "must be 1 to 64 of A to Z, 0 to 9 and _, beginning with a letter",
                    );
                }
                (CodeMeaning::Refused | CodeMeaning::Reversed, Some(_)) | (_, None) => {}
                (meaning, Some(_)) => {
                    findings.add(&field, format!("is set, but {meaning} is not a refusal"));
                }
            }
        }
    }
}

/// A longer wait is a slip of the pen: 366 days.
const WAIT_S_MAX: u64 = 366 * 86_400;
/// More calls than this under way or remembered are a slip of the pen.
const CALLS_MAX: u32 = 100_000;
/// A smaller limit would cut right answers.
const ANSWER_BYTES_MIN: usize = 1024;
/// A larger limit would be none.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Collects findings of one section.
struct Findings<'a> {
    section: &'a str,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    fn below(section: &'a str) -> Self {
        Self {
            section,
            list: Vec::new(),
        }
    }

    fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.list.push(Finding {
            path: format!("{}.{field}", self.section),
            problem: problem.into(),
        });
    }

    fn within(&mut self, field: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.add(field, format!("is {value}, and must be {least} to {most}"));
        }
    }
}

/// Whether alarms can be posted to a URL. It may hold a secret, so it is not repeated.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_webhook_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(
        |_| "is not a URL, such as https://alerts.bank/payhall; leave it empty to post nothing",
    )?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        _ => Err("must begin with http:// or https://"),
    }
}

/// A URL that paths can be put behind.
pub(super) fn base_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or a password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its path: no '?' and no '#'");
    }
    Ok(url)
}

pub(super) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    loopback || host == "localhost"
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn seconds(list: &[u64]) -> Vec<Duration> {
    list.iter().copied().map(Duration::from_secs).collect()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
