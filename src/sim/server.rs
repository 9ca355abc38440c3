//! The HTTP side: accepts connections, reads requests, delivers replies, waits where told to.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::body::SimBody;
use super::ledger::{BankName, Op};
use super::protocol::{Call, parse_bank_call, parse_lookup};
use super::reply::{Delivery, problem};
use super::shared::{Connected, Shared};
use super::wire::{FaultIo, Slot, WireFault};
use super::world::Outcome;
use super::{admin, files};

/// Nobody waits longer for an answer that never comes.
const HANG_MAX: Duration = Duration::from_mins(2);
const BODY_BYTES_MAX: usize = 1 << 20;

/// Accepts connections for ever.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => shared.spawn(connection(stream, Arc::clone(&shared))),
            // Most likely out of file handles: others must be given back first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let connected = Connected::new(shared);
    // If it cannot be set, answers are slower, and nothing else.
    let _ = stream.set_nodelay(true);
    let slot = Slot::default();
    let io = TokioIo::new(FaultIo::new(stream, slot.clone()));
    let service = service_fn(|request| answer(&connected, &slot, request));
    // Its errors are cut cables and callers who went away: the daily business here.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(io, service)
        .await;
}

async fn answer(
    shared: &Arc<Shared>,
    slot: &Slot,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Infallible> {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else {
        return Ok(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is too long or cut off",
        ));
    };
    let outcome = match upstream_call(&head, &body) {
        None if files::is_mine(head.uri.path()) => {
            return Ok(files::answer(shared, head, body).await);
        }
        None => return Ok(admin::answer(shared, &head, &body)),
        Some(Err((code, message))) => return Ok(problem(code, &message)),
        Some(Ok(call)) => {
            // Looked at under the lock, so that the ledger's times are in its order.
            let mut world = shared.world();
            let now = shared.clock.now();
            world.call(&call, now)
        }
    };
    let Outcome { reply, late } = match outcome {
        Ok(outcome) => outcome,
        Err(message) => return Ok(problem(StatusCode::SERVICE_UNAVAILABLE, &message)),
    };
    if let Some(late) = late {
        shared.expect(late);
    }
    let latency_ms = shared.latency_ms.load(Ordering::Relaxed);
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    Ok(match reply.delivery {
        Delivery::Plain(response) => response,
        Delivery::Faulty(response, fault) => {
            slot.lay(fault);
            response
        }
        Delivery::Hang => {
            // When the caller goes away, hyper drops this future.
            tokio::time::sleep(HANG_MAX).await;
            slot.lay(WireFault::CutAfter(0));
            Response::default()
        }
    })
}

/// The call to a bank or a biller, if the path is one of theirs.
fn upstream_call(head: &Parts, body: &[u8]) -> Option<Result<Call, (StatusCode, String)>> {
    let (first, rest) = head.uri.path().strip_prefix('/')?.split_once('/')?;
    let bank_op = match rest {
        "pay" => Some(Op::Pay),
        "query" => Some(Op::Query),
        "reverse" => Some(Op::Reverse),
        _ => None,
    };
    let biller = rest
        .strip_suffix("/lookup")
        .filter(|name| !name.contains('/'));
    let call = match (first, bank_op, biller) {
        ("bank", Some(op), _) => parse_bank_call(BankName::Bank, op, body),
        ("legacy", Some(op), _) => parse_bank_call(BankName::Legacy, op, body),
        ("billers", _, Some(biller)) => parse_lookup(biller, body),
        _ => return None,
    };
    if head.method != Method::POST {
        return Some(Err((StatusCode::METHOD_NOT_ALLOWED, "only POST".into())));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    if !content_type.is_some_and(|value| value.starts_with(b"application/json")) {
        return Some(Err((
            StatusCode::BAD_REQUEST,
            "content-type: application/json".into(),
        )));
    }
    Some(call.map_err(|message| (StatusCode::BAD_REQUEST, message)))
}

/// The whole body; `None` if it is too long or ends early.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
        if first.len() + rest.len() > BODY_BYTES_MAX {
            return None;
        }
    }
    if rest.is_empty() {
        return Some(first);
    }
    Some([&first[..], &rest].concat().into())
}
