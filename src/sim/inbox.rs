//! The servers of the merchants, all in one: they keep what they are told, headers and body as they came,
//! and confirm it. They check nothing, so that what is kept can be checked by somebody else; and they
//! can be told to refuse, so that somebody can see what happens then.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const LETTERS_MAX: usize = 1_000;

/// What merchants were told.
#[derive(Default)]
pub(super) struct Inbox {
    letters: VecDeque<Value>,
    /// How many more are refused, and how.
    failing: Option<(u32, StatusCode)>,
}

/// How many of the next are refused, and with which status.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failing {
    times: u32,
    #[serde(default = "unavailable")]
    status: u16,
}

fn unavailable() -> u16 {
    503
}

impl Inbox {
    /// Keeps what came, refused or not; the status of the refusal where it is one.
    pub fn take_in(
        &mut self,
        merchant: &str,
        head: &Parts,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Option<StatusCode> {
        let refused = self.refusal();
        let mut headers = Map::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.insert(name.to_string(), Value::String(value));
        }
        while self.letters.len() >= LETTERS_MAX {
            self.letters.pop_front();
        }
        self.letters.push_back(json!({
            "at": now,
            "merchant": merchant,
            "method": head.method.as_str(),
            "target": head.uri.path_and_query().map(|target| target.as_str()),
            "headers": headers,
            "body": String::from_utf8_lossy(body),
            "answered": refused.map_or(200, |status| status.as_u16()),
        }));
        refused
    }

    fn refusal(&mut self) -> Option<StatusCode> {
        let (times, status) = self.failing?;
        self.failing = times.checked_sub(2).map(|left| (left + 1, status));
        Some(status)
    }

    /// Refuses so many of the next.
    ///
    /// # Errors
    /// A status that is none, or that would confirm.
    pub fn fail(&mut self, Failing { times, status }: Failing) -> Result<(), &'static str> {
        let status = StatusCode::from_u16(status).map_err(|_| "the status is 100 to 999")?;
        if status.is_success() || status.is_informational() {
            return Err("that status confirms; take one from 300 on");
        }
        self.failing = (times > 0).then_some((times, status));
        Ok(())
    }

    /// Everything that is kept, oldest first.
    pub fn show(&self) -> Value {
        json!({ "letters": self.letters })
    }

    /// Forgets what is kept, and refuses no more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
