//! From an [`Answer`] to what goes over the wire.

use std::borrow::Cow;

use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::billers::{self, Bill, Biller};
use super::body::SimBody;
use super::faults::{Answer, HttpAnswer, Probe};
use super::ledger::{BankName, Called, Op};
use super::protocol::{BankAnswer, CURRENCY, LookupAnswer, OpenBill, status};
use super::wire::WireFault;

/// What a call is about, from the request and from the bank's memory.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub op: Op,
    pub bank: Option<BankName>,
    pub flow_no: Option<&'a str>,
    pub payment_flow_no: Option<&'a str>,
    pub order_no: Option<Cow<'a, str>>,
    pub biller: Option<&'static Biller>,
    /// As written in the request, where there is no such biller.
    pub biller_name: Option<&'a str>,
    pub bill_no: Option<Cow<'a, str>>,
    pub amount_minor: Option<i64>,
    pub currency: Option<Cow<'a, str>>,
}

impl<'a> Subject<'a> {
    /// Nothing else known so far.
    pub fn new(op: Op, bank: Option<BankName>) -> Self {
        Self {
            op,
            bank,
            flow_no: None,
            payment_flow_no: None,
            order_no: None,
            biller: None,
            biller_name: None,
            bill_no: None,
            amount_minor: None,
            currency: None,
        }
    }

    /// The biller by the name in the request.
    pub fn name_biller(&mut self, name: &'a str) {
        self.biller = billers::find(name);
        self.biller_name = Some(name);
    }

    fn biller_name(&self) -> Option<&'a str> {
        self.biller.map(|biller| biller.name).or(self.biller_name)
    }

    /// What faults are compared with.
    pub fn probe(&self) -> Probe<'_> {
        Probe {
            op: self.op,
            bank: self.bank,
            biller: self.biller_name(),
            bill_no: self.bill_no.as_deref(),
            flow_no: self.flow_no,
            payment_flow_no: self.payment_flow_no,
        }
    }

    /// The CALL line about it.
    pub fn called<'b>(&'b self, answer: &'b str) -> Called<'b> {
        Called {
            op: self.op,
            flow_no: self.flow_no,
            payment_flow_no: self.payment_flow_no,
            order_no: self.order_no.as_deref(),
            biller: self.biller_name(),
            bill_no: self.bill_no.as_deref(),
            answer,
        }
    }

    /// The bill that a lookup would show.
    fn bill(&self) -> Option<Bill> {
        Some(self.biller?.bill(self.bill_no.as_deref()?))
    }

    /// The protocol's answer with this status.
    fn json(&self, status: i32) -> Vec<u8> {
        if self.op == Op::Lookup {
            let bill = if status == status::SUCCESS {
                self.bill()
            } else {
                None
            };
            return encode(&LookupAnswer {
                status,
                bill_no: Cow::Borrowed(self.bill_no.as_deref().unwrap_or_default()),
                bill: bill.as_ref().map(OpenBill::from),
                message: status::message(status),
            });
        }
        let flow_no = self.flow_no.unwrap_or_default();
        let known = status != status::NOT_FOUND;
        let amount_minor = self.amount_minor.filter(|_| known);
        encode(&BankAnswer {
            status,
            flow_no,
            bill_no: self.bill_no.as_deref().filter(|_| known),
            amount_minor: amount_minor.map(|minor| minor.to_string()),
            currency: self.currency.as_deref().filter(|_| known),
            upstream_ref: (status == status::SUCCESS).then(|| format!("B{flow_no}")),
            message: status::message(status),
        })
    }

    /// Fills the placeholders of a scripted text, so that it can be wrong in one point only.
    fn fill(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let bill = self.bill();
        let amount = match (self.op, &bill) {
            (Op::Lookup, Some(bill)) => Some(bill.amount_minor),
            _ => self.amount_minor,
        };
        let amount = amount.map(|minor| minor.to_string()).unwrap_or_default();
        let bill_ref = bill.map(|bill| bill.bill_ref).unwrap_or_default();
        text.replace("$flow_no", self.flow_no.unwrap_or_default())
            .replace("$order_no", self.order_no.as_deref().unwrap_or_default())
            .replace("$bill_no", self.bill_no.as_deref().unwrap_or_default())
            .replace("$bill_ref", &bill_ref)
            .replace("$amount_minor", &amount)
            .replace("$currency", self.currency.as_deref().unwrap_or(CURRENCY))
    }
}

/// What goes over the wire, and what the ledger's CALL line says about it.
#[derive(Debug)]
pub(super) struct Reply {
    pub label: Cow<'static, str>,
    pub delivery: Delivery,
}

/// How a caller gets its answer.
#[derive(Debug)]
pub(super) enum Delivery {
    /// As it is.
    Plain(Response<SimBody>),
    /// Over a cable that fails.
    Faulty(Response<SimBody>, WireFault),
    /// Never.
    Hang,
}

impl Reply {
    /// The reply to a call about `subject`, where the bank's truth is `status`.
    pub fn new(answer: &Answer, subject: &Subject<'_>, status: i32) -> Self {
        let truth = || json_response(subject.json(status));
        let faulty = |fault| Delivery::Faulty(close(truth()), fault);
        let (label, delivery) = match answer {
            Answer::Truth => (label_of(status), Delivery::Plain(truth())),
            Answer::Status { status, fields } => {
                let json = subject.json(*status);
                let json = match fields {
                    Some(fields) => overridden(&json, fields),
                    None => json,
                };
                (label_of(*status), Delivery::Plain(json_response(json)))
            }
            Answer::WrongAmount => {
                let amount_minor = subject.amount_minor.map(|minor| minor.saturating_add(1));
                let wrong = Subject {
                    amount_minor,
                    ..subject.clone()
                };
                let json = wrong.json(status::SUCCESS);
                (
                    "1 WRONG_AMOUNT".into(),
                    Delivery::Plain(json_response(json)),
                )
            }
            Answer::Http(http) => {
                let label = Cow::from(format!("HTTP {}", http.code));
                (label, Delivery::Plain(http_response(http, subject)))
            }
            Answer::RawText(text) => {
                let bytes = subject.fill(text).into();
                ("RAW".into(), faulty(WireFault::Instead(bytes)))
            }
            Answer::RawBytes(bytes) => ("RAW".into(), faulty(WireFault::Instead(bytes.clone()))),
            Answer::Hang => ("HANG".into(), Delivery::Hang),
            Answer::CutAfter(bytes) => ("CUT".into(), faulty(WireFault::CutAfter(*bytes))),
            Answer::Reset => ("RESET".into(), faulty(WireFault::Reset)),
            Answer::DripMs(ms) => {
                let pause = std::time::Duration::from_millis(*ms);
                ("DRIP".into(), faulty(WireFault::Drip(pause)))
            }
            Answer::HugeMb(megabytes) => {
                let body = SimBody::huge(&subject.json(status), *megabytes);
                ("HUGE".into(), Delivery::Plain(json_response(body)))
            }
            Answer::GzipBomb => {
                let mut response = json_response(SimBody::gzip_bomb());
                response
                    .headers_mut()
                    .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                ("GZIP_BOMB".into(), Delivery::Plain(response))
            }
        };
        Self { label, delivery }
    }
}

/// The usual statuses cost no memory.
fn label_of(status: i32) -> Cow<'static, str> {
    match status {
        status::SUCCESS => "1".into(),
        status::UNKNOWN => "-1".into(),
        other => other.to_string().into(),
    }
}

fn overridden(json: &[u8], fields: &Map<String, Value>) -> Vec<u8> {
    let mut object: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    object.extend(fields.clone());
    encode(&object)
}

fn http_response(http: &HttpAnswer, subject: &Subject<'_>) -> Response<SimBody> {
    let mut response = Response::new(SimBody::full(subject.fill(&http.body)));
    *response.status_mut() = StatusCode::from_u16(http.code).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = http.headers.clone();
    response
}

/// A response of status 200 with a JSON body.
pub(super) fn json_response(body: impl Into<SimBody>) -> Response<SimBody> {
    let mut response = Response::new(body.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

impl From<Vec<u8>> for SimBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::full(bytes)
    }
}

fn close(mut response: Response<SimBody>) -> Response<SimBody> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Nothing that is answered here has a key or a value that JSON cannot hold.
pub(super) fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// An HTTP error that says in words what is wrong.
pub(super) fn problem(code: StatusCode, message: &str) -> Response<SimBody> {
    let mut response = json_response(encode(&json!({ "message": message })));
    *response.status_mut() = code;
    response
}
