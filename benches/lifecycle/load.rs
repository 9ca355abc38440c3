//! The load client: an open loop over kept connections. Work is due at fixed times whether or not
//! the work before it has ended, and its latency counts from the time it was due, so a slow server
//! cannot hide behind a client that waits for it.

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use payhall::engine::{Clock, SystemClock};
use payhall::trust::{self, PrivateKey, SignedHeaders, Signer, sign_request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One kept connection to the API.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    caller: Caller,
}

/// How the load client says who it is.
#[derive(Clone)]
pub enum Caller {
    /// By a bearer token.
    Token(&'static str),
    /// By signing each request.
    Signed(Arc<Hand>),
}

/// A key that requests are signed with.
pub struct Hand {
    /// Its id.
    pub key_id: String,
    /// Its private part.
    pub private: PrivateKey,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr, caller: Caller) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            address,
            caller,
        })
    }

    /// Posts a GraphQL request and gives the answer's text.
    pub async fn post(&mut self, body: String) -> anyhow::Result<String> {
        let host = self.address.to_string();
        let mut request = Request::post("/graphql")
            .header("host", &host)
            .header("content-type", "application/json");
        match &self.caller {
            Caller::Token(token) => {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            Caller::Signed(hand) => {
                for (name, value) in hand.sign(&host, body.as_bytes())? {
                    request = request.header(name, value);
                }
            }
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8(bytes.to_vec())?;
        if status.is_success() {
            Ok(text)
        } else {
            bail!("HTTP {status}: {text}")
        }
    }
}

impl Hand {
    fn sign(&self, host: &str, body: &[u8]) -> anyhow::Result<SignedHeaders> {
        let request = trust::Request {
            method: "POST",
            scheme: "http",
            authority: host,
            path: "/graphql",
            query: None,
            headers: &[("content-type", b"application/json")],
            body,
        };
        let nonce = uuid::Uuid::now_v7().simple().to_string();
        let signer = Signer {
            key: &self.private,
            key_id: &self.key_id,
            nonce: &nonce,
            created: SystemClock.now(),
        };
        Ok(sign_request(&request, &signer)?)
    }
}

/// What a run of the loop brought.
pub struct Outcome {
    /// Pieces of work that ended well.
    pub done: u64,
    /// Pieces that did not, and the first of their errors.
    pub failed: u64,
    /// The first error.
    pub first_error: Option<String>,
    /// Microseconds from due to done.
    pub latency: Histogram<u64>,
    /// From the first piece due to the last one done.
    pub elapsed: Duration,
}

impl Outcome {
    /// Pieces done per second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// A quantile of the latency in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// How a loop is run.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Pieces due per second.
    pub rate: f64,
    /// For how long pieces come due.
    pub time: Duration,
    /// How many connections carry them.
    pub connections: usize,
}

/// Runs an open loop: the `n`-th piece of work is due `n / rate` seconds after the start.
pub async fn open_loop<W>(
    plan: Plan,
    address: SocketAddr,
    caller: Caller,
    work: W,
) -> anyhow::Result<Outcome>
where
    W: AsyncFn(&mut Connection, u64) -> anyhow::Result<()>,
{
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        let connection = Connection::open(address, caller.clone()).await;
        connections.push(connection.context("the load client cannot connect")?);
    }
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let lanes = connections
        .into_iter()
        .map(|connection| lane(plan, start, connection, &next, &work));
    let lanes = futures_util::future::join_all(lanes).await;
    let mut all = Outcome {
        done: 0,
        failed: 0,
        first_error: None,
        latency: Histogram::new(3)?,
        elapsed: start.elapsed(),
    };
    for lane in lanes {
        all.done += lane.done;
        all.failed += lane.failed;
        all.first_error = all.first_error.or(lane.first_error);
        all.latency.add(lane.latency)?;
    }
    Ok(all)
}

async fn lane<W>(
    plan: Plan,
    start: Instant,
    mut connection: Connection,
    next: &AtomicU64,
    work: &W,
) -> Outcome
where
    W: AsyncFn(&mut Connection, u64) -> anyhow::Result<()>,
{
    let latency = Histogram::new(3).expect("three digits are allowed");
    let mut lane = Outcome {
        done: 0,
        failed: 0,
        first_error: None,
        latency,
        elapsed: Duration::ZERO,
    };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = start + Duration::from_secs_f64(number as f64 / plan.rate);
        if due >= start + plan.time || Instant::now() >= start + plan.time {
            return lane;
        }
        tokio::time::sleep_until(due.into()).await;
        match work(&mut connection, number).await {
            Ok(()) => {
                lane.done += 1;
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                lane.latency += micros;
            }
            Err(error) => {
                lane.failed += 1;
                lane.first_error.get_or_insert(format!("{error:#}"));
            }
        }
    }
}
