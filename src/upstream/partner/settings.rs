//! Everything about a partner's files that is data: one section of the settings file for each partner.

use super::has_date;
use crate::domain::ids::{AdapterName, BillerCode};
use crate::domain::money::Currency;
use crate::domain::partner::{Covers, Partner, PartnerName, PartnerSide};
use crate::domain::reconciliation::Rules;
use crate::domain::time::BusinessDay;
use crate::upstream::Finding;
use crate::upstream::settings::{base_url, is_local};
use chrono::{NaiveTime, Timelike};
use chrono_tz::Tz;
use serde::Deserialize;
use std::path::PathBuf;

/// `[partners.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerSettings {
    /// BANK or BILLER.
    pub side: PartnerSide,
    /// Of a bank: the adapter whose flows its file lists.
    #[serde(default)]
    pub adapter: Option<AdapterName>,
    /// Of a biller: the billers that it speaks for.
    #[serde(default)]
    pub billers: Vec<BillerCode>,
    /// How its files are read.
    pub profile: String,
    /// Where a file is fetched from, with {date} or {yyyymmdd} in it.
    #[serde(default)]
    pub url: Option<String>,
    /// Where the file's SHA-256 is fetched from.
    #[serde(default)]
    pub digest_url: Option<String>,
    /// The folder that files are dropped into.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// What a file of the folder is called, with {date} or {yyyymmdd} in it.
    #[serde(default)]
    pub file_name: Option<String>,
    /// What stands behind the name of a file in the name of its digest, such as `.sha256`.
    #[serde(default)]
    pub digest_suffix: Option<String>,
    /// How long a file of the folder has to stay as it is. Milliseconds.
    #[serde(default = "quiet_ms")]
    pub quiet_ms: u64,
    /// The longest file, in bytes.
    #[serde(default = "bytes_max")]
    pub bytes_max: u64,
    /// For address, connection and TLS together. Milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// For a whole file. Seconds.
    #[serde(default = "total_timeout_s")]
    pub total_timeout_s: u64,
    /// The certificates that the partner's own must descend from, PEM.
    #[serde(default)]
    pub ca_pem_file: Option<PathBuf>,
    /// Our certificate and its private key, both in one PEM file.
    #[serde(default)]
    pub client_pem_file: Option<PathBuf>,
    /// The zone of the partner's dates.
    #[serde(default = "zone")]
    pub zone: Tz,
    /// The local time at which the partner's date begins, as `HH:MM`.
    #[serde(default = "midnight")]
    pub cutoff: String,
    /// The currency of all amounts in its files.
    #[serde(default = "currency")]
    pub currency: Currency,
    /// Tolerance, cut-off window and pool.
    #[serde(default)]
    pub rules: Rules,
    /// From when on the file of the day before is looked for, as `HH:MM` in the center's zone.
    #[serde(default = "expected_from")]
    pub expected_from: String,
    /// From when on people are called, as `HH:MM` in the center's zone.
    #[serde(default = "critical_at")]
    pub critical_at: String,
    /// For how many days back a file is looked for.
    #[serde(default = "days_back")]
    pub days_back: u32,
}

fn quiet_ms() -> u64 {
    2_000
}
fn bytes_max() -> u64 {
    4 << 30
}
fn connect_timeout_ms() -> u64 {
    2_000
}
fn total_timeout_s() -> u64 {
    600
}
fn zone() -> Tz {
    Tz::Asia__Shanghai
}
fn midnight() -> String {
    "00:00".to_owned()
}
fn currency() -> Currency {
    Currency::CNY
}
fn expected_from() -> String {
    "02:00".to_owned()
}
fn critical_at() -> String {
    "09:00".to_owned()
}
fn days_back() -> u32 {
    10
}

fn time(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

impl PartnerSettings {
    /// The partner as the engine knows it.
    pub fn partner(&self, name: PartnerName) -> Partner {
        let seconds = |text: &str| time(text).map_or(0, |at| at.num_seconds_from_midnight());
        Partner {
            name,
            covers: match (&self.side, &self.adapter) {
                (PartnerSide::Bank, Some(adapter)) => Covers::Adapter(adapter.clone()),
                _ => Covers::Billers(self.billers.clone()),
            },
            profile: self.profile.clone(),
            day: BusinessDay {
                zone: self.zone,
                cutoff: time(&self.cutoff).unwrap_or(NaiveTime::MIN),
            },
            currency: self.currency,
            rules: self.rules.clone(),
            expected_from_s: seconds(&self.expected_from),
            critical_at_s: seconds(&self.critical_at),
            days_back: self.days_back,
        }
    }

    /// Every contradiction. `path` is the section's own, e.g. `partners.bank`.
    pub fn check(&self, path: &str) -> Vec<Finding> {
        let mut list = Vec::new();
        let mut add = |field: &str, problem: &str| {
            list.push(Finding {
                path: format!("{path}.{field}"),
                problem: problem.to_owned(),
            });
        };
        self.check_whose(&mut add);
        self.check_source(&mut add);
        for (field, text) in [
            ("cutoff", &self.cutoff),
            ("expected_from", &self.expected_from),
            ("critical_at", &self.critical_at),
        ] {
            if time(text).is_none() {
                add(field, "is not a time such as 02:00");
            }
        }
        let is_late = time(&self.critical_at) <= time(&self.expected_from);
        if is_late {
            add("critical_at", "has to be later than expected_from");
        }
        for (field, value, least, most) in [
            ("quiet_ms", self.quiet_ms, 1, 600_000),
            ("bytes_max", self.bytes_max, 1_024, 1 << 40),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 60_000),
            ("total_timeout_s", self.total_timeout_s, 1, 86_400),
            ("rules.pool_days", u64::from(self.rules.pool_days), 0, 30),
            (
                "rules.cutoff_window_s",
                u64::from(self.rules.cutoff_window_s),
                0,
                86_400,
            ),
            ("days_back", u64::from(self.days_back), 1, 366),
        ] {
            if !(least..=most).contains(&value) {
                add(field, &format!("is {value}, and must be {least} to {most}"));
            }
        }
        for (code, minor) in &self.rules.tolerance_minor {
            let field = format!("rules.tolerance_minor.{code}");
            if Currency::try_new(code).is_err() {
                add(&field, "is no currency");
            }
            if !(0..=1_000_000).contains(minor) {
                add(&field, "must be 0 to 1000000");
            }
        }
        list
    }

    /// What works but is unwise, to be said at start.
    pub fn risks(&self, path: &str) -> Vec<Finding> {
        let url = self.url.as_deref().and_then(|text| base(text).ok());
        let is_open = url.is_some_and(|url| url.scheme() == "http" && !is_local(&url));
        let finding = Finding {
            path: format!("{path}.url"),
            problem: "brings files from another machine without TLS".to_owned(),
        };
        is_open.then_some(finding).into_iter().collect()
    }

    pub(super) fn uses_tls(&self) -> bool {
        let urls = [&self.url, &self.digest_url];
        urls.into_iter()
            .flatten()
            .any(|text| !text.starts_with("http://"))
    }

    fn check_whose(&self, add: &mut impl FnMut(&str, &str)) {
        match self.side {
            PartnerSide::Bank => {
                if self.adapter.is_none() {
                    add(
                        "adapter",
                        "is missing: a BANK names the adapter whose flows it lists",
                    );
                }
                if !self.billers.is_empty() {
                    add("billers", "is for a BILLER; a BANK names its adapter");
                }
            }
            PartnerSide::Biller => {
                if self.billers.is_empty() {
                    add(
                        "billers",
                        "is empty: a BILLER names the billers that it speaks for",
                    );
                }
                if self.adapter.is_some() {
                    add("adapter", "is for a BANK; a BILLER names its billers");
                }
            }
        }
    }

    fn check_source(&self, add: &mut impl FnMut(&str, &str)) {
        for (field, url) in [("url", &self.url), ("digest_url", &self.digest_url)] {
            let Some(url) = url else { continue };
            if let Err(problem) = base(url) {
                add(field, problem);
            }
            if !has_date(url) {
                add(
                    field,
                    "has no {date} or {yyyymmdd} in it: every day would be one file",
                );
            }
        }
        if self.url.is_some() && self.folder.is_some() {
            add(
                "folder",
                "is set beside url; a partner's files come from one place",
            );
        }
        if self.digest_url.is_some() && self.url.is_none() {
            add("digest_url", "is set without url");
        }
        if self.folder.is_none() {
            for (field, is_set) in [
                ("file_name", self.file_name.is_some()),
                ("digest_suffix", self.digest_suffix.is_some()),
            ] {
                if is_set {
                    add(field, "is set without folder");
                }
            }
            return;
        }
        match self.file_name.as_deref() {
            None => add(
                "file_name",
                "is missing: it says what a file of the folder is called",
            ),
            Some(name) if !has_date(name) => {
                add(
                    "file_name",
                    "has no {date} or {yyyymmdd} in it: every day would be one file",
                );
            }
            Some(name) if name.contains(['/', '\\']) || name.starts_with('.') => {
                add(
                    "file_name",
                    "has to be the name of a file in the folder, no path",
                );
            }
            Some(name) if UNFINISHED.iter().any(|end| name.ends_with(end)) => {
                add(
                    "file_name",
                    "is what files are called that are still being written",
                );
            }
            Some(_) => {}
        }
    }
}

/// What files are called while they are still being written.
const UNFINISHED: [&str; 3] = [".part", ".tmp", ".filepart"];

/// A URL as it is with a date in it. A query is allowed; a name and a password are not.
fn base(text: &str) -> Result<reqwest::Url, &'static str> {
    let dated = text
        .replace("{date}", "2026-11-22")
        .replace("{yyyymmdd}", "20261122");
    let (path, _query) = dated.split_once('?').unwrap_or((&dated, ""));
    base_url(path)
}
