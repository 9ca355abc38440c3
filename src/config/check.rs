//! What no type can say about the settings: bounds, pairs that belong together, and combinations that
//! work but are unwise.

use super::{CallerConfig, CallerKind, Config};
use crate::domain::exception::AlarmAges;
use crate::domain::time::BusinessDay;
use crate::upstream::check_webhook_url;
use chrono::NaiveTime;
use secrecy::ExposeSecret;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// Something wrong in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, e.g. `server.listen`; empty where a whole file is meant.
    pub path: String,
    /// Which place it was read from, where that is known.
    pub source: Option<String>,
    /// What is wrong, and what is expected.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) if self.path.is_empty() => write!(f, "{source} {}", self.what),
            Some(source) => write!(f, "{} ({source}): {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// The longest wait that is no slip of the pen: 366 days.
const YEAR_S: u64 = 366 * 86_400;
/// The shortest token that is not guessed.
const TOKEN_CHARS_MIN: usize = 16;
/// The longest token that the API takes.
const TOKEN_CHARS_MAX: usize = 256;

impl Config {
    /// Everything that is wrong with values that are well-formed by themselves.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut add = |path: &str, what: String| {
            found.push(Problem {
                path: path.to_owned(),
                source: None,
                what,
            });
        };
        if parse_cutoff(&self.center.cutoff).is_none() {
            add(
                "center.cutoff",
                format!("{:?} is not a time such as 23:30", self.center.cutoff),
            );
        }
        if !self.api.public_url.is_empty() && split_url(&self.api.public_url).is_none() {
            add(
                "api.public_url",
                "is a scheme and a host, such as https://pay.example.com, without a path"
                    .to_owned(),
            );
        }
        if let Some(what) = storage_url_problem(self.storage.url.expose_secret()) {
            add("storage.url", what.to_owned());
        }
        let webhook = self.alarms.webhook_url.expose_secret();
        if !webhook.is_empty()
            && let Err(what) = check_webhook_url(webhook)
        {
            add("alarms.webhook_url", what.to_owned());
        }
        for (path, value, least, most) in self.bounds().into_iter().chain(self.time_bounds()) {
            if value < least || value > most {
                add(path, format!("is {value}, and has to be {least} to {most}"));
            }
        }
        if self.alarms.warn_s > self.alarms.critical_s {
            add(
                "alarms.warn_s",
                "has to come before alarms.critical_s".to_owned(),
            );
        }
        if crate::telemetry::check_filter(&self.logs.filter).is_err() {
            let what = format!("{:?} is not a filter such as info", self.logs.filter);
            add("logs.filter", what);
        }
        for (field, what) in self.cache.problems() {
            add(&format!("cache.{field}"), what);
        }
        for (name, adapter) in &self.adapters {
            for finding in adapter.check(&format!("adapters.{name}")) {
                add(&finding.path, finding.problem);
            }
        }
        for (field, what) in self
            .oidc
            .problems(&self.api.public_url, self.server.sandbox)
        {
            add(&format!("oidc.{field}"), what);
        }
        let mut tokens = HashSet::new();
        for (place, caller) in self.callers.iter().enumerate() {
            let path = format!("callers.{place}");
            for (field, what) in caller.problems() {
                add(&format!("{path}.{field}"), what);
            }
            if !tokens.insert(caller.token.expose_secret()) {
                add(
                    &format!("{path}.token"),
                    "is given to another caller as well".to_owned(),
                );
            }
        }
        found
    }

    /// Counts and sizes.
    fn bounds(&self) -> Vec<(&'static str, u64, u64, u64)> {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        vec![
            (
                "server.connections_max",
                wide(self.server.connections_max),
                1,
                1_000_000,
            ),
            (
                "api.body_bytes_max",
                wide(self.api.body_bytes_max),
                1_024,
                16 << 20,
            ),
            ("api.depth_max", wide(self.api.depth_max), 3, 100),
            (
                "api.complexity_max",
                wide(self.api.complexity_max),
                10,
                1_000_000,
            ),
            (
                "api.expansion_max",
                wide(self.api.expansion_max),
                10,
                1_000_000,
            ),
            ("polling.batch", u64::from(self.polling.batch), 1, 10_000),
            ("polling.parallel", wide(self.polling.parallel), 1, 4_096),
            ("storage.readers", u64::from(self.storage.readers), 1, 1_000),
            ("storage.writers", u64::from(self.storage.writers), 1, 64),
            ("storage.batch_max", wide(self.storage.batch_max), 1, 10_000),
            (
                "storage.queue_max",
                wide(self.storage.queue_max),
                1,
                10_000_000,
            ),
            (
                "cache.mirror_queue",
                wide(self.cache.mirror_queue),
                0,
                10_000_000,
            ),
        ]
    }

    /// Times, in seconds and milliseconds.
    fn time_bounds(&self) -> Vec<(&'static str, u64, u64, u64)> {
        vec![
            ("server.drain_s", self.server.drain_s, 1, 600),
            ("orders.expiry_s", self.orders.expiry_s, 1, 7 * 86_400),
            (
                "orders.answer_within_ms",
                self.orders.answer_within_ms,
                100,
                60_000,
            ),
            ("orders.orphan_after_s", self.orders.orphan_after_s, 1, 600),
            ("polling.lease_s", self.polling.lease_s, 15, 3_600),
            (
                "storage.pool_timeout_ms",
                self.storage.pool_timeout_ms,
                1,
                60_000,
            ),
            (
                "storage.statement_timeout_ms",
                self.storage.statement_timeout_ms,
                10,
                3_600_000,
            ),
            (
                "storage.lock_timeout_ms",
                self.storage.lock_timeout_ms,
                10,
                3_600_000,
            ),
            ("alarms.warn_s", self.alarms.warn_s, 0, YEAR_S),
            ("alarms.critical_s", self.alarms.critical_s, 0, YEAR_S),
            ("alarms.case_due_s", self.alarms.case_due_s, 1, YEAR_S),
            ("cache.final_ttl_s", self.cache.final_ttl_s, 0, YEAR_S),
            ("cache.bill_ttl_s", self.cache.bill_ttl_s, 0, YEAR_S),
            (
                "cache.command_timeout_ms",
                self.cache.command_timeout_ms,
                0,
                60_000,
            ),
        ]
    }

    /// What works but is unwise, to be said at start.
    pub fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        let is_open = !self.server.listen.ip().is_loopback();
        if is_open && self.api.playground {
            said.push("api.playground is on while server.listen is open to other machines".into());
        }
        if is_open && !self.callers.is_empty() {
            said.push("bearer tokens travel in clear unless TLS stands in front".into());
        }
        let is_person = |caller: &CallerConfig| caller.kind == CallerKind::Operator;
        if is_open && self.callers.iter().any(is_person) {
            said.push(
                "callers of kind operator are for a sandbox: people log in, see `payhall operator add`"
                    .into(),
            );
        }
        if is_open && !self.api.https {
            said.push("api.https is off while server.listen is open to other machines".into());
        }
        if self.adapters.is_empty() {
            said.push("there are no adapters: nothing can be paid".into());
        }
        if self.callers.is_empty() {
            said.push("there are no callers: nobody can make an order".into());
        }
        for (name, adapter) in &self.adapters {
            let risks = adapter.risks(&format!("adapters.{name}"));
            said.extend(risks.into_iter().map(|risk| risk.to_string()));
        }
        said
    }

    /// Zone and cut-off; the settings were checked when they were read.
    pub fn business_day(&self) -> BusinessDay {
        let cutoff = parse_cutoff(&self.center.cutoff).unwrap_or(NaiveTime::MIN);
        BusinessDay {
            zone: self.center.zone,
            cutoff,
        }
    }

    /// When doubt calls for help.
    pub fn alarm_ages(&self) -> AlarmAges {
        AlarmAges {
            warn: Duration::from_secs(self.alarms.warn_s),
            critical: Duration::from_secs(self.alarms.critical_s),
        }
    }
}

/// What keeps a URL from being a database's; it may hold a password and is not repeated.
fn storage_url_problem(url: &str) -> Option<&'static str> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return None;
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Some("has to begin with sqlite: or postgres://");
    };
    if path.is_empty() {
        return Some("has to name a file, such as sqlite:payhall.db");
    }
    if path.contains(":memory:") || path.contains("mode=memory") {
        return Some(
            "names a database in memory, of which each connection would see its own; name a file, \
             such as sqlite:payhall.db",
        );
    }
    None
}

fn parse_cutoff(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

impl CallerConfig {
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let token = self.token.expose_secret();
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) {
            found.push((
                "token",
                format!(
                    "has to have {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters, each a visible \
                     ASCII one"
                ),
            ));
        }
        match self.kind {
            CallerKind::Merchant => {
                if self.merchant.is_none() {
                    found.push(("merchant", "is missing: a merchant's code".to_owned()));
                }
                if self.role.is_some() || self.name.is_some() {
                    found.push(("role", "name and role are for operators".to_owned()));
                }
            }
            CallerKind::Operator => {
                if self.name.as_ref().is_none_or(|name| name.trim().is_empty()) {
                    found.push(("name", "is missing: the operator's name".to_owned()));
                }
                if self.role.is_none() {
                    found.push((
                        "role",
                        "is missing: viewer, operator, reviewer, auditor or admin".into(),
                    ));
                }
                if self.merchant.is_some() {
                    found.push(("merchant", "is for merchants".to_owned()));
                }
            }
        }
        found
    }
}

/// The scheme and the authority of a URL that has nothing else.
pub fn split_url(url: &str) -> Option<(String, String)> {
    let (scheme, authority) = url.split_once("://")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let is_authority = !authority.is_empty() && authority.bytes().all(is_plain);
    let fits = matches!(scheme, "http" | "https") && is_authority;
    fits.then(|| (scheme.to_owned(), authority.to_owned()))
}
