//! What no type can say about the settings: bounds, pairs that belong together, and combinations that
//! work but are unwise.

use super::{CallerConfig, CallerKind, CallerRole, Config, NotificationsConfig};
use crate::domain::exception::AlarmAges;
use crate::domain::time::BusinessDay;
use crate::upstream::check_webhook_url;
use chrono::NaiveTime;
use ipnet::IpNet;
use secrecy::ExposeSecret;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
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
        self.check_times(&mut add);
        if let Some(what) = self.public_url_problem() {
            add("api.public_url", what.to_owned());
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
        let bounds = self.bounds().into_iter().chain(self.time_bounds());
        for (path, value, least, most) in bounds
            .chain(self.notification_bounds())
            .chain(self.statement_bounds())
            .chain(self.limit_bounds())
            .chain(self.archive_bounds())
        {
            if value < least || value > most {
                add(path, format!("is {value}, and has to be {least} to {most}"));
            }
        }
        if let Some((path, what)) = self.notifications.problem() {
            add(path, what);
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
        self.check_partners(&mut add);
        for (field, what) in self
            .oidc
            .problems(&self.api.public_url, self.server.sandbox)
        {
            add(&format!("oidc.{field}"), what);
        }
        self.check_callers(&mut add);
        found
    }

    /// What is wrong with the partners, each by itself and all of them together.
    fn check_partners(&self, add: &mut impl FnMut(&str, String)) {
        if !self.partners.is_empty() && self.files_place().is_none() {
            let what = "is empty, and there are partners whose files have to be kept";
            add("files.url", what.to_owned());
        }
        let mut spoken_for = HashSet::new();
        for (name, partner) in &self.partners {
            let path = format!("partners.{name}");
            for finding in partner.check(&path) {
                add(&finding.path, finding.problem);
            }
            if let Some(adapter) = &partner.adapter {
                if !self.adapters.contains_key(adapter) {
                    let what = format!("there is no [adapters.{adapter}]");
                    add(&format!("{path}.adapter"), what);
                }
                if !spoken_for.insert(format!("adapter {adapter}")) {
                    let what = format!("another partner lists the flows of {adapter} already");
                    add(&format!("{path}.adapter"), what);
                }
            }
            for biller in &partner.billers {
                if !spoken_for.insert(format!("biller {biller}")) {
                    let what = format!("another partner speaks for {biller} already");
                    add(&format!("{path}.billers"), what);
                }
            }
        }
    }

    /// What is wrong with times of the day and with networks.
    fn check_times(&self, add: &mut impl FnMut(&str, String)) {
        for (path, time) in [
            ("center.cutoff", &self.center.cutoff),
            ("statements.ready_at", &self.statements.ready_at),
        ] {
            if parse_cutoff(time).is_none() {
                add(path, format!("{time:?} is not a time such as 23:30"));
            }
        }
        for proxy in &self.api.trusted_proxies {
            if parse_network(proxy).is_none() {
                let what =
                    format!("{proxy:?} is no address or network, such as 10.0.0.5 or 10.0.0.0/24");
                add("api.trusted_proxies", what);
            }
        }
    }

    /// What is wrong with who may call by a token.
    fn check_callers(&self, add: &mut impl FnMut(&str, String)) {
        let mut tokens = HashSet::new();
        for (place, caller) in self.callers.iter().enumerate() {
            let path = format!("callers.{place}");
            for (field, what) in caller.problems() {
                add(&format!("{path}.{field}"), what);
            }
            if let Some(what) = self.person_problem(caller) {
                add(&format!("{path}.kind"), what);
            }
            if !tokens.insert(caller.token.expose_secret()) {
                add(
                    &format!("{path}.token"),
                    "is given to another caller as well".to_owned(),
                );
            }
        }
    }

    /// What works but is unwise, to be said at start.
    pub fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        let is_open = !self.server.listen.ip().is_loopback();
        if is_open && self.api.playground {
            said.push("api.playground is on while server.listen is open to other machines".into());
        }
        let is_merchant = |caller: &&CallerConfig| caller.kind == CallerKind::Merchant;
        if !self.server.sandbox {
            for caller in self.callers.iter().filter(is_merchant) {
                let code = caller.merchant.as_ref().map_or("?", |code| code.as_str());
                said.push(format!(
                    "merchant {code} has a bearer token, which whoever sees it can use; have it sign its \
                     requests instead (docs/SIGNING.md)"
                ));
            }
        }
        let is_https = self.api.public_url.starts_with("https://");
        if is_open && !is_https {
            said.push(
                "api.public_url is not https while server.listen is open to other machines: tokens and \
                 sessions travel in clear"
                    .into(),
            );
        }
        if is_https && self.api.trusted_proxies.is_empty() {
            said.push(
                "api.public_url says that a proxy stands before the center, and api.trusted_proxies names \
                 none: all who call count as one address, and share its limits"
                    .into(),
            );
        }
        if self.adapters.is_empty() {
            said.push("there are no adapters: nothing can be paid".into());
        }
        if self.output.folder().is_none() {
            said.push(
                "output.dir is empty: the heads of the audit trail are not published, so whoever holds the \
                 database may cut off its end"
                    .into(),
            );
        }
        for (name, partner) in &self.partners {
            let risks = partner.risks(&format!("partners.{name}"));
            said.extend(risks.into_iter().map(|risk| risk.to_string()));
        }
        for (name, adapter) in &self.adapters {
            let risks = adapter.risks(&format!("adapters.{name}"));
            said.extend(risks.into_iter().map(|risk| risk.to_string()));
        }
        said
    }

    /// What is wrong with what callers write, in words.
    fn public_url_problem(&self) -> Option<&'static str> {
        let url = &self.api.public_url;
        if url.is_empty() {
            let is_open = !self.server.listen.ip().is_loopback();
            return (is_open && !self.server.sandbox).then_some(
                "is empty while server.listen is open to other machines: write what callers write before \
                 the path, such as https://pay.example.com (TLS ends at a gateway), or http://HOST:PORT if \
                 they come without TLS; a place to try things out says server.sandbox = true instead",
            );
        }
        split_url(url).is_none().then_some(
            "has to be a scheme and a host, such as https://pay.example.com, without a path",
        )
    }

    /// Why somebody of the bank may not come by a bearer token.
    fn person_problem(&self, caller: &CallerConfig) -> Option<String> {
        if self.server.sandbox || caller.kind != CallerKind::Operator {
            return None;
        }
        let name = caller.name.as_deref().unwrap_or("NAME");
        let role = caller.role.map_or("ROLE", CallerRole::word);
        Some(format!(
            "operator {name} has a bearer token, and those are for a sandbox (server.sandbox = true): take \
             this entry out and give the person an account, `payhall operator add {name} --role {role}`"
        ))
    }

    /// The proxies before the center; the settings were checked when they were read.
    pub fn trusted_proxies(&self) -> Vec<IpNet> {
        let proxies = self.api.trusted_proxies.iter();
        proxies.filter_map(|proxy| parse_network(proxy)).collect()
    }

    /// Zone and cut-off; the settings were checked when they were read.
    pub fn business_day(&self) -> BusinessDay {
        let cutoff = parse_cutoff(&self.center.cutoff).unwrap_or(NaiveTime::MIN);
        BusinessDay {
            zone: self.center.zone,
            cutoff,
        }
    }

    /// When statements should be there; the settings were checked when they were read.
    pub fn statements_ready_at(&self) -> NaiveTime {
        parse_cutoff(&self.statements.ready_at).unwrap_or(NaiveTime::MIN)
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

/// A network, or one address as a network.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok();
    network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn parse_cutoff(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

impl NotificationsConfig {
    /// Waits that are none, or a lease that ends before the try does.
    fn problem(&self) -> Option<(&'static str, String)> {
        if self.waits_s.len() > 100
            || self
                .waits_s
                .iter()
                .any(|wait| !(1..=7 * 86_400).contains(wait))
        {
            let what = "has to be at most 100 waits of 1 s to 7 days".to_owned();
            return Some(("notifications.waits_s", what));
        }
        let try_s = self.timeout_ms.div_ceil(1_000);
        (self.lease_s < 2 * try_s).then(|| {
            let what = format!(
                "has to be at least twice notifications.timeout_ms ({} s)",
                2 * try_s
            );
            ("notifications.lease_s", what)
        })
    }
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
