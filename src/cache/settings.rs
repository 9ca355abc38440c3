//! The `[cache]` section.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::time::Duration;

/// How long an open state may live at most. Reads show an older state for this long where a
/// mirror write was lost, so it is a promise to callers and not only a tuning knob.
pub const OPEN_TTL_S_MAX: u64 = 30;

/// Where snapshots are kept, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// Empty: the memory of the process. `redis://host:6379/0` or `redis+unix:///path`: one
    /// server. Several such URLs with commas between them, or `redis-cluster://a:6379,b:6379`: a
    /// cluster. It may hold a password, so it is never printed.
    #[serde(serialize_with = "redacted")]
    pub url: SecretString,
    /// How long one command may take, in milliseconds; past it the database is asked instead.
    pub command_timeout_ms: u64,
    /// How long the snapshot of an order or flow that still moves may live, in seconds.
    pub open_ttl_s: u64,
    /// How long the snapshot of a settled order or flow may live, in seconds.
    pub final_ttl_s: u64,
    /// How long a looked-up bill may live, in seconds.
    pub bill_ttl_s: u64,
    /// How many bytes the memory of the process may hold, roughly; no meaning with Redis.
    pub memory_bytes_max: u64,
    /// How many snapshots may wait for Redis; past it they are dropped and counted.
    pub mirror_queue: usize,
}

impl Default for CacheSettings {
    /// What the compiled-in file says; a test holds the two together.
    fn default() -> Self {
        Self {
            url: SecretString::from(""),
            command_timeout_ms: 100,
            open_ttl_s: OPEN_TTL_S_MAX,
            final_ttl_s: 900,
            bill_ttl_s: 60,
            memory_bytes_max: 64 * 1024 * 1024,
            mirror_queue: 10_000,
        }
    }
}

impl CacheSettings {
    /// Everything that is wrong with the values, one `(key, sentence)` each.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let Err(error) = super::link::Target::parse(self.url.expose_secret()) {
            found.push(("url", error.to_string()));
        }
        if !(1..=OPEN_TTL_S_MAX).contains(&self.open_ttl_s) {
            let why = format!("an open state lives 1 to {OPEN_TTL_S_MAX} seconds");
            found.push(("open_ttl_s", why));
        }
        let least: [(&'static str, u64); 5] = [
            ("command_timeout_ms", self.command_timeout_ms),
            ("final_ttl_s", self.final_ttl_s),
            ("bill_ttl_s", self.bill_ttl_s),
            ("memory_bytes_max", self.memory_bytes_max),
            ("mirror_queue", self.mirror_queue as u64),
        ];
        for (key, value) in least {
            if value == 0 {
                found.push((key, "has to be at least 1".to_owned()));
            }
        }
        found
    }

    /// The three lives a value can have.
    pub(super) fn lives(&self) -> Lives {
        Lives {
            open: Duration::from_secs(self.open_ttl_s),
            settled: Duration::from_secs(self.final_ttl_s),
            bill: Duration::from_secs(self.bill_ttl_s),
        }
    }
}

/// How long values live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// A snapshot that may still move.
    pub open: Duration,
    /// A snapshot at rest.
    pub settled: Duration,
    /// A looked-up bill.
    pub bill: Duration,
}

impl Lives {
    /// How long a snapshot can be left after a newer one was lost. People may decide about an order
    /// at rest, so an older one need not be an open one.
    pub(super) fn longest(self) -> Duration {
        self.open.max(self.settled)
    }
}

/// An empty secret is shown as empty, because "no Redis" is worth knowing; any other is not shown.
fn redacted<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.expose_secret().is_empty() {
        ""
    } else {
        "[redacted]"
    })
}
