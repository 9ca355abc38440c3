//! Faults scripted over the admin endpoint: which call they hit, what the bank does to the money,
//! and what the caller gets to see.
//!
//! Effect and answer are independent of each other. That is the whole point of the simulated
//! world: a bank that debits and says nothing, and one that says success and does nothing.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

use super::ledger::{BankName, Op};
use super::protocol::status;
use super::stir;

mod script;
pub(super) use script::FaultSpec;

/// What is done with one call.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub effect: Effect,
    pub answer: Answer,
}

/// What the bank does to the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// What it would do on a plain day.
    Now,
    /// The same, so many milliseconds later.
    Later(u64),
    /// It refuses, and remembers that it did.
    Refuse(u16),
}

/// What the caller gets to see.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// What the bank knows after the effect; unknown where the script prevented or delayed it.
    Truth,
    /// The protocol's answer with this status, and with these fields put over it.
    Status {
        status: i32,
        fields: Option<Arc<Map<String, Value>>>,
    },
    /// Success, with one minor unit too much.
    WrongAmount,
    /// Any HTTP response.
    Http(Arc<HttpAnswer>),
    /// These bytes instead of an HTTP response, then the end. `text` may have placeholders.
    RawText(Arc<str>),
    RawBytes(Bytes),
    /// No answer until the caller goes away.
    Hang,
    /// So many bytes of the true response, then the end of the connection.
    CutAfter(usize),
    /// The connection is reset.
    Reset,
    /// The true response byte by byte, with this pause between them.
    DripMs(u64),
    /// The true answer with so many megabytes in it.
    HugeMb(usize),
    /// A little gzip that unpacks to a gigabyte.
    GzipBomb,
}

/// An HTTP response that has nothing to do with the protocol.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub code: u16,
    pub headers: HeaderMap,
    /// May have placeholders.
    pub body: String,
}

impl Answer {
    /// Just a status.
    pub const fn status(status: i32) -> Self {
        Self::Status {
            status,
            fields: None,
        }
    }

    /// What a proxy in front of a bank says when the bank is away.
    pub fn bad_gateway() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let body = "<html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>502 Bad Gateway</h1></body></html>\n";
        Self::Http(Arc::new(HttpAnswer {
            code: 502,
            headers,
            body: body.into(),
        }))
    }

    /// What an HTTP server says about a path that it does not have.
    pub fn not_found(message: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = serde_json::json!({ "message": message }).to_string();
        Self::Http(Arc::new(HttpAnswer {
            code: 404,
            headers,
            body,
        }))
    }
}

/// What a fault is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    pub op: Op,
    pub bank: Option<BankName>,
    pub biller: Option<&'a str>,
    pub bill_no: Option<&'a str>,
    pub flow_no: Option<&'a str>,
    pub payment_flow_no: Option<&'a str>,
}

/// A fault in force, as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    id: u64,
    #[serde(flatten)]
    spec: FaultSpec,
    /// How many calls it was compared with and fitted, and how many of these it hit.
    matched: u64,
    hits: u64,
    #[serde(skip)]
    effect: Effect,
    #[serde(skip)]
    answer: Answer,
}

/// All faults in force, first come first served.
#[derive(Debug)]
pub(super) struct Faults {
    seed: u64,
    last_id: u64,
    list: Vec<Fault>,
}

impl Faults {
    /// None; the seed is for the dice of those to come.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            last_id: 0,
            list: Vec::new(),
        }
    }

    /// Puts a fault in force and returns its number; `Err` says what is wrong with it.
    pub fn add(&mut self, spec: FaultSpec) -> Result<u64, String> {
        let (effect, answer) = spec.understand()?;
        self.last_id += 1;
        let id = self.last_id;
        self.list.push(Fault {
            id,
            spec,
            matched: 0,
            hits: 0,
            effect,
            answer,
        });
        Ok(id)
    }

    /// All of them, spent ones too.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// Ends all of them.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Ends one; says whether there was a fault of that number.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|fault| fault.id != id);
        self.list.len() < before
    }

    /// The plan of the first fault that hits this call.
    pub fn pick(&mut self, probe: &Probe<'_>) -> Option<Plan> {
        let seed = self.seed;
        let fault = self.list.iter_mut().find_map(|fault| {
            let spent = fault.spec.times.is_some_and(|times| fault.hits >= times);
            if spent || !fault.spec.fits(probe) {
                return None;
            }
            fault.matched += 1;
            let dice = stir(seed ^ stir(fault.id) ^ fault.matched) % 100;
            let hit = fault
                .spec
                .percent
                .is_none_or(|percent| dice < percent.into());
            hit.then_some(fault)
        })?;
        fault.hits += 1;
        let effect = match (&fault.answer, probe.op, fault.effect) {
            // A bank that refuses remembers it, or a later query would tell another story.
            (Answer::Status { status, .. }, Op::Pay, Effect::None) => {
                status::refusal(*status).map_or(Effect::None, Effect::Refuse)
            }
            (_, _, effect) => effect,
        };
        Some(Plan {
            effect,
            answer: fault.answer.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percent_is_the_same_for_the_same_seed_and_about_right() {
        let hits = |seed| {
            let mut faults = Faults::new(seed);
            let spec = json!({"op": "ANY", "effect": "NONE", "percent": 30, "bank": "bank"});
            faults
                .add(serde_json::from_value(spec).expect("a spec"))
                .expect("a fault");
            let probe = Probe {
                op: Op::Query,
                bank: Some(BankName::Bank),
                biller: None,
                bill_no: None,
                flow_no: Some("1"),
                payment_flow_no: None,
            };
            (0..1_000)
                .map(|_| faults.pick(&probe).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        let count = hits(7).into_iter().filter(|hit| *hit).count();
        assert!((240..360).contains(&count), "{count}");
    }
}
