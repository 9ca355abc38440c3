//! How a fault is written down by whoever posts it, and what is wrong with it if something is.
//!
//! Every mistake is answered by the name of its field: a script with a typing error that hits
//! nothing would look like a center that survives everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::billers;
use super::super::ledger::{BankName, Op};
use super::{Answer, Effect, HttpAnswer, Probe};

/// A scripted fault, as it is posted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::sim) struct FaultSpec {
    op: FaultOp,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<BankName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bill_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<EffectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    later_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerSpec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum FaultOp {
    Pay,
    Query,
    Reverse,
    Lookup,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EffectName {
    None,
    Now,
    LaterMs,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    fields: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_after: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drip_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    huge_mb: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gzip_bomb: Option<bool>,
}

impl FaultSpec {
    /// What it orders; `Err` names the field that is wrong.
    pub(super) fn understand(&self) -> Result<(Effect, Answer), String> {
        self.check()?;
        let answer = self
            .answer
            .as_ref()
            .map_or(Ok(Answer::Truth), AnswerSpec::answer)?;
        Ok((self.effect()?, answer))
    }

    /// Whether it is about this call.
    pub(super) fn fits(&self, probe: &Probe<'_>) -> bool {
        let op = match self.op {
            FaultOp::Any => true,
            FaultOp::Pay => probe.op == Op::Pay,
            FaultOp::Query => probe.op == Op::Query,
            FaultOp::Reverse => probe.op == Op::Reverse,
            FaultOp::Lookup => probe.op == Op::Lookup,
        };
        let same = |wanted: &Option<String>, there: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == there
        };
        op && (self.bank.is_none() || self.bank == probe.bank)
            && same(&self.biller, probe.biller)
            && same(&self.bill_no, probe.bill_no)
            && (same(&self.flow_no, probe.flow_no) || same(&self.flow_no, probe.payment_flow_no))
    }

    fn effect(&self) -> Result<Effect, String> {
        let moves_money = !matches!(self.op, FaultOp::Query | FaultOp::Lookup);
        match (self.effect, self.later_ms) {
            (Some(EffectName::LaterMs), Some(later_ms)) if moves_money => {
                Ok(Effect::Later(later_ms))
            }
            (Some(EffectName::LaterMs), None) => Err("later_ms: LATER_MS needs it".into()),
            (_, Some(_)) => {
                Err("later_ms: only with effect LATER_MS, and where money moves".into())
            }
            (Some(EffectName::Now), None) if moves_money => Ok(Effect::Now),
            (Some(EffectName::None), None) => Ok(Effect::None),
            (None, None) if !moves_money => Ok(Effect::None),
            (None, None) => Err("effect: one of NONE, NOW, LATER_MS is needed".into()),
            (Some(_), _) => Err("effect: a query and a lookup have none".into()),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.percent.is_some_and(|percent| percent > 100) {
            return Err("percent: 0 to 100".into());
        }
        match self.biller.as_deref() {
            Some(name) if billers::find(name).is_none() => {
                Err(format!("biller: one of {}", billers::names()))
            }
            _ => Ok(()),
        }
    }
}

impl AnswerSpec {
    /// The one answer that is described; `Err` names the field that does not go with the rest.
    fn answer(&self) -> Result<Answer, String> {
        let yes = |flag: Option<bool>, answer: Answer| flag.unwrap_or(false).then_some(answer);
        let raw_bytes = self
            .raw_base64
            .as_deref()
            .map(|text| BASE64.decode(text))
            .transpose();
        let raw_bytes = raw_bytes.map_err(|error| format!("raw_base64: {error}"))?;
        let fields = self.fields.clone().map(Arc::new);
        let kinds = [
            self.status.map(|status| Answer::Status { status, fields }),
            self.http.map(|code| self.http_answer(code)).transpose()?,
            self.raw.as_deref().map(|text| Answer::RawText(text.into())),
            raw_bytes.map(|bytes| Answer::RawBytes(bytes.into())),
            yes(self.hang, Answer::Hang),
            self.cut_after.map(Answer::CutAfter),
            yes(self.reset, Answer::Reset),
            self.drip_ms.map(Answer::DripMs),
            yes(self.close, Answer::CutAfter(0)),
            self.huge_mb.map(Answer::HugeMb),
            yes(self.gzip_bomb, Answer::GzipBomb),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let (Some(answer), None) = (kinds.next(), kinds.next()) else {
            return Err(
                "answer: exactly one of status, http, raw, raw_base64, hang, cut_after, \
                        reset, drip_ms, close, huge_mb, gzip_bomb"
                    .into(),
            );
        };
        if self.status.is_none() && self.fields.is_some() {
            return Err("override: only with status".into());
        }
        let http_parts = [
            self.content_type.is_some(),
            self.headers.is_some(),
            self.body.is_some(),
        ];
        if self.http.is_none() && http_parts.contains(&true) {
            return Err("content_type, headers, body: only with http".into());
        }
        Ok(answer)
    }

    fn http_answer(&self, code: u16) -> Result<Answer, String> {
        if !(200..=599).contains(&code) {
            return Err("http: 200 to 599".into());
        }
        let mut headers = HeaderMap::new();
        let content_type = self.content_type.as_deref().unwrap_or("application/json");
        let more = self
            .headers
            .iter()
            .flatten()
            .map(|(name, value)| (&**name, &**value));
        for (name, value) in [("content-type", content_type)].into_iter().chain(more) {
            let bad = |error: &dyn std::error::Error| format!("headers: {name:?}: {error}");
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(&error))?,
                HeaderValue::from_str(value).map_err(|error| bad(&error))?,
            );
        }
        let body = self.body.clone().unwrap_or_default();
        Ok(Answer::Http(Arc::new(HttpAnswer {
            code,
            headers,
            body,
        })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Faults;

    fn refused(spec: Value) -> String {
        match serde_json::from_value(spec) {
            Err(error) => error.to_string(),
            Ok(spec) => Faults::new(1).add(spec).expect_err("should be refused"),
        }
    }

    #[test]
    fn a_wrong_script_is_refused_by_the_name_of_its_field() {
        for (spec, name) in [
            (
                json!({"op": "PAY", "effect": "NOW", "anser": {"hang": true}}),
                "anser",
            ),
            (
                json!({"op": "PAY", "effect": "NOW", "answer": {"hangs": true}}),
                "hangs",
            ),
            (json!({"op": "PAY", "answer": {"hang": true}}), "effect"),
            (
                json!({"op": "QUERY", "effect": "NOW", "answer": {"hang": true}}),
                "effect",
            ),
            (json!({"op": "PAY", "effect": "LATER_MS"}), "later_ms"),
            (
                json!({"op": "PAY", "effect": "NOW", "later_ms": 5}),
                "later_ms",
            ),
            (json!({"op": "QUERY", "percent": 101}), "percent"),
            (json!({"op": "QUERY", "biller": "bj-pwer"}), "bj-power"),
            (json!({"op": "QUERY", "answer": {}}), "exactly one"),
            (
                json!({"op": "QUERY", "answer": {"hang": true, "reset": true}}),
                "exactly one",
            ),
            (
                json!({"op": "QUERY", "answer": {"hang": true, "override": {}}}),
                "override",
            ),
            (
                json!({"op": "QUERY", "answer": {"hang": true, "body": "x"}}),
                "body",
            ),
            (json!({"op": "QUERY", "answer": {"http": 99}}), "http"),
            (
                json!({"op": "QUERY", "answer": {"http": 200, "headers": {"a b": "c"}}}),
                "a b",
            ),
            (
                json!({"op": "QUERY", "answer": {"raw_base64": "%"}}),
                "raw_base64",
            ),
            (json!({"op": "LOOK", "answer": {"hang": true}}), "LOOK"),
        ] {
            let message = refused(spec.clone());
            assert!(message.contains(name), "{spec}: {message}");
        }
    }
}
