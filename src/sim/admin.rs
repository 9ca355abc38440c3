//! The back door: scripts faults, shows what the bank knows, and takes in alarms.
//!
//! | call | |
//! |---|---|
//! | `POST /admin/faults` | puts a fault in force, answers its `id` |
//! | `GET /admin/faults` | lists them with their hits |
//! | `DELETE /admin/faults`, `DELETE /admin/faults/{id}` | ends all, or one |
//! | `POST /admin/latency {"ms"}` | how long banks and billers take to answer from now on |
//! | `POST /admin/heal` | ends all faults, and the tricks of the well-known bill numbers |
//! | `GET /admin/clock`, `POST /admin/clock {"now", "pace"}`, `DELETE /admin/clock` | the world's clock |
//! | `GET /admin/flows/{flow_no}` | what the banks know of a number |
//! | `GET /admin/stats` | counters |
//! | `/admin/files`, `/admin/partners`, `/admin/plants` | the partners' files, see [`super::files`] |
//! | `POST /webhook`, `GET /admin/webhooks` | takes in any JSON; the last 1000 |
//! | `POST /inbox/{merchant}` | a merchant's server: keeps what it is told, see [`super::inbox`] |
//! | `GET /admin/inbox`, `DELETE /admin/inbox` | shows what merchants were told; forgets it |
//! | `POST /admin/inbox/fail {"times", "status"}` | refuses so many of the next with a status |

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::bank::State;
use super::body::SimBody;
use super::clock::Clock;
use super::faults::FaultSpec;
use super::inbox::{Failing, Inbox};
use super::ledger::BankName;
use super::reply::{encode, json_response, problem};
use super::shared::Shared;
use super::world::World;

const WEBHOOKS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heal {}

/// What goes wrong with a request to the back door.
struct Problem(StatusCode, String);

impl Problem {
    fn bad_request(message: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, message.to_string())
    }

    fn not_found(message: &str) -> Self {
        Self(StatusCode::NOT_FOUND, message.to_owned())
    }
}

/// Answers a request that is for neither a bank nor a biller.
pub(super) fn answer(shared: &Arc<Shared>, head: &Parts, body: &[u8]) -> Response<SimBody> {
    match route(shared, head, body) {
        Ok(value) => json_response(encode(&value)),
        Err(Problem(code, message)) => problem(code, &message),
    }
}

fn route(shared: &Arc<Shared>, head: &Parts, body: &[u8]) -> Result<Value, Problem> {
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    if path == ["admin", "clock"] {
        return clock(&shared.clock, &head.method, body);
    }
    let mut world = shared.world();
    match (&head.method, path.as_slice()) {
        (&Method::POST, ["admin", "faults"]) => {
            let spec: FaultSpec = decode(body)?;
            let id = world.faults.add(spec).map_err(Problem::bad_request)?;
            Ok(json!({ "id": id }))
        }
        (&Method::GET, ["admin", "faults"]) => Ok(json!({ "faults": world.faults.list() })),
        (&Method::DELETE, ["admin", "faults"]) => {
            world.faults.clear();
            Ok(json!({}))
        }
        (&Method::DELETE, ["admin", "faults", id]) => {
            let id = id
                .parse()
                .map_err(|_| Problem::bad_request("the id is a number"))?;
            let removed = world.faults.remove(id);
            if removed {
                Ok(json!({}))
            } else {
                Err(Problem::not_found("no such fault"))
            }
        }
        (&Method::POST, ["admin", "latency"]) => {
            let Latency { ms } = decode(body)?;
            shared.latency_ms.store(ms, Ordering::Relaxed);
            Ok(json!({ "ms": ms }))
        }
        (&Method::POST, ["admin", "heal"]) => {
            if !body.is_empty() {
                let Heal {} = decode(body)?;
            }
            world.faults.clear();
            world.healed = true;
            Ok(json!({}))
        }
        (&Method::GET, ["admin", "flows", flow_no]) => flow(&world, flow_no),
        (&Method::GET, ["admin", "stats"]) => Ok(stats(shared, &world)),
        (&Method::POST, ["webhook"]) => {
            let notice: Value = decode(body)?;
            let notice = json!({ "at": shared.clock.now(), "body": notice });
            while world.webhooks.len() >= WEBHOOKS_MAX {
                world.webhooks.pop_front();
            }
            world.webhooks.push_back(notice);
            Ok(json!({}))
        }
        (&Method::POST, ["inbox", merchant]) => {
            let now = shared.clock.now();
            match world.inbox.take_in(merchant, head, body, now) {
                None => Ok(json!({})),
                Some(refused) => Err(Problem(refused, "told to refuse".to_owned())),
            }
        }
        (method, ["admin", "inbox", rest @ ..]) => inbox(&mut world.inbox, method, rest, body),
        (&Method::GET, ["admin", "webhooks"]) => Ok(json!({ "webhooks": world.webhooks })),
        _ => Err(no_path()),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    super::decode::decode(body).map_err(Problem::bad_request)
}

fn clock(clock: &Clock, method: &Method, body: &[u8]) -> Result<Value, Problem> {
    match *method {
        Method::GET => {}
        Method::POST => clock.set(&decode(body)?),
        Method::DELETE => clock.reset(),
        _ => return Err(no_path()),
    }
    Ok(json!({ "now": clock.now(), "pace": clock.pace() }))
}

fn inbox(inbox: &mut Inbox, method: &Method, rest: &[&str], body: &[u8]) -> Result<Value, Problem> {
    match (method, rest) {
        (&Method::GET, []) => return Ok(inbox.show()),
        (&Method::DELETE, []) => inbox.forget(),
        (&Method::POST, ["fail"]) => {
            let failing: Failing = decode(body)?;
            inbox.fail(failing).map_err(Problem::bad_request)?;
        }
        _ => return Err(no_path()),
    }
    Ok(json!({}))
}

fn no_path() -> Problem {
    Problem::not_found("no such path, or not with this method")
}

fn stats(shared: &Shared, world: &World) -> Value {
    json!({
        "calls": world.calls,
        "effects": world.books.effects,
        "connections": shared.connections.load(Ordering::SeqCst),
        "late_pending": shared.late_pending.load(Ordering::SeqCst),
        "latency_ms": shared.latency_ms.load(Ordering::Relaxed),
        "healed": world.healed,
    })
}

fn flow(world: &World, flow_no: &str) -> Result<Value, Problem> {
    let known: Vec<Value> = [BankName::Bank, BankName::Legacy]
        .into_iter()
        .filter_map(|name| {
            let bank = world.books.bank(name);
            if let Some(payment_flow_no) = bank.reversal_of(flow_no) {
                let kind = "REVERSAL";
                return Some(
                    json!({"bank": name, "kind": kind, "payment_flow_no": payment_flow_no}),
                );
            }
            let payment = bank.payment(flow_no)?;
            let (state, times, code) = match payment.state {
                State::Held => ("HELD", 0, None),
                State::Paid(times) => ("PAID", times, None),
                State::Refused(code) => ("REFUSED", 0, Some(code)),
                State::Reversed => ("REVERSED", 0, None),
                State::Tombstoned => ("TOMBSTONED", 0, None),
            };
            Some(json!({
                "bank": name,
                "kind": "PAYMENT",
                "state": state,
                "times": times,
                "code": code,
                "order_no": payment.order_no(),
                "biller": payment.biller.map(|biller| biller.name),
                "bill_no": payment.bill_no(),
                "amount_minor": payment.amount_minor.to_string(),
                "currency": payment.currency(),
            }))
        })
        .collect();
    if known.is_empty() {
        return Err(Problem::not_found("no bank knows this number"));
    }
    Ok(json!({ "flow_no": flow_no, "known": known }))
}
