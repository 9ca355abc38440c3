//! Drives a simulated world over real HTTP, as the center will.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ledger::{self, Entry, Event};
use super::{Sim, SimOptions, start};

mod admin;
mod books;
mod endings;
mod files;
mod layouts;
mod restart;
mod wire;

/// A simulated world on a free port, with a ledger of its own.
struct TestWorld {
    sim: Sim,
    client: Client,
    options: SimOptions,
    numbers: AtomicU64,
    _folder: TempDir,
}

/// What came back: the HTTP status and the body, if it is JSON.
type Answered = (u16, Value);

impl TestWorld {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut SimOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = SimOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ledger: folder.path().join("ledger.jsonl"),
            ..SimOptions::default()
        };
        change(&mut options);
        let sim = start(options.clone()).await.expect("a simulated world");
        // No connection is kept, so that the world's count of them can be compared.
        let client = Client::builder()
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build();
        let client = client.expect("a client");
        Self {
            sim,
            client,
            options,
            numbers: AtomicU64::new(0),
            _folder: folder,
        }
    }

    /// Stops it and starts it again on the same ledger.
    async fn restart(self) -> Self {
        self.sim.stop().await;
        let sim = start(self.options.clone())
            .await
            .expect("a simulated world, again");
        Self { sim, ..self }
    }

    fn ledger_path(&self) -> PathBuf {
        self.options.ledger.clone()
    }

    fn ledger(&self) -> Vec<Entry> {
        ledger::read(&self.options.ledger).expect("a good ledger")
    }

    /// How many DEBIT, REVERSAL, TOMBSTONE and REFUSAL lines there are about a payment. Along the
    /// way it checks that every movement has its second half.
    fn effects(&self, payment: &str) -> [usize; 4] {
        let entries = self.ledger();
        let count = |fits: &dyn Fn(&Event) -> bool| {
            entries.iter().filter(|entry| fits(&entry.event)).count()
        };
        let debits = count(&|event| matches!(event, Event::Debit(m) if m.flow_no == payment));
        let credits = count(&|event| matches!(event, Event::Credit(m) if m.flow_no == payment));
        let undone =
            count(&|event| matches!(event, Event::Reversal(u) if u.payment_flow_no == payment));
        let back =
            count(&|event| matches!(event, Event::CreditBack(u) if u.payment_flow_no == payment));
        assert_eq!((debits, undone), (credits, back));
        let dead =
            count(&|event| matches!(event, Event::Tombstone(u) if u.payment_flow_no == payment));
        let refused = count(
            &|event| matches!(event, Event::Refusal { movement, .. } if movement.flow_no == payment),
        );
        [debits, undone, dead, refused]
    }

    fn number(&self, prefix: &str) -> String {
        format!("{prefix}{:05}", self.numbers.fetch_add(1, Ordering::SeqCst))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.sim.url()));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("a response");
        let code = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (code, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> Answered {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        let (code, body) = self.send(Method::GET, path, None).await;
        assert_eq!(code, 200, "{path}: {body}");
        body
    }

    /// A file as it is sent: the HTTP status and the bytes.
    async fn fetch(&self, path: &str) -> (u16, Vec<u8>) {
        let url = format!("{}{path}", self.sim.url());
        let response = self.client.get(url).send().await.expect("a response");
        let code = response.status().as_u16();
        (code, response.bytes().await.expect("a body").to_vec())
    }

    /// The lines of a file of text.
    async fn lines(&self, path: &str) -> Vec<String> {
        let (code, bytes) = self.fetch(path).await;
        assert_eq!(code, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// Sets the world's clock, and lets it stand.
    async fn clock(&self, now: &str) {
        let (code, body) = self
            .post("/admin/clock", json!({"now": now, "pace": "STANDS"}))
            .await;
        assert_eq!(code, 200, "{body}");
    }

    /// Puts a fault in force.
    async fn fault(&self, spec: Value) -> u64 {
        let (code, body) = self.post("/admin/faults", spec).await;
        assert_eq!(code, 200, "{body}");
        body["id"].as_u64().expect("an id")
    }

    async fn status(&self, path: &str, body: Value) -> i64 {
        let (code, body) = self.post(path, body).await;
        assert_eq!(code, 200, "{body}");
        body["status"].as_i64().expect("a status")
    }

    /// One call over a connection of its own, and every byte that comes back until it ends.
    async fn raw_call(&self, path: &str, body: &Value) -> (Vec<u8>, std::io::Result<()>) {
        let mut stream = self.raw_send(path, body).await;
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes).await.map(|_| ());
        (bytes, end)
    }

    async fn raw_send(&self, path: &str, body: &Value) -> TcpStream {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: sim\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.sim.addr())
            .await
            .expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }

    /// A call that hangs: it is counted and has its effect, but nothing comes back, and when the
    /// caller goes away nothing of it is left.
    async fn call_hangs(&self, path: &str, body: &Value) {
        let total = |stats: &Value| {
            let calls = stats["calls"].as_object().expect("counters").clone();
            calls.values().filter_map(Value::as_u64).sum::<u64>()
        };
        let before = total(&self.get("/admin/stats").await);
        let stream = self.raw_send(path, body).await;
        self.stats_until(|stats| total(stats) > before).await;
        let silence = stream.try_read(&mut [0; 16]);
        assert_eq!(
            silence.expect_err("silence").kind(),
            std::io::ErrorKind::WouldBlock
        );
        drop(stream);
        // The one that is left asks for this very number.
        self.stats_until(|stats| stats["connections"] == 1).await;
    }

    /// Asks for the counters again and again until they are as they should be.
    async fn stats_until(&self, good: impl Fn(&Value) -> bool) {
        let asking = async {
            while !good(&self.get("/admin/stats").await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking)
            .await
            .expect("in time");
    }
}

/// A payment of 50.00 that is valid for long.
fn pay_body(flow_no: &str, biller: &str, bill_no: &str) -> Value {
    json!({
        "flow_no": flow_no,
        "order_no": format!("O{flow_no}"),
        "item": format!("{biller}-bill"),
        "biller": biller,
        "bill_no": bill_no,
        "amount_minor": "5000",
        "currency": "CNY",
        "credential": "opaque",
        "valid_until": "2100-01-01T00:00:00Z",
    })
}

/// The reversal of such a payment.
fn reverse_body(flow_no: &str, payment_flow_no: &str, bill_no: &str) -> Value {
    json!({
        "flow_no": flow_no,
        "payment_flow_no": payment_flow_no,
        "order_no": format!("O{payment_flow_no}"),
        "bill_no": bill_no,
        "amount_minor": "5000",
        "currency": "CNY",
    })
}
