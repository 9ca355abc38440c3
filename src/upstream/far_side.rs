//! For the tests: a far side on a real socket that says exactly the bytes it is told to say, and
//! the calls and settings that the tests share.
//!
//! It is no HTTP library on purpose: a library would not let us send what banks have sent.

use super::settings::{AdapterSettings, BreakerSettings};
use super::{Adapter, PayCall, QueryCall, ReverseCall};
use crate::domain::bill::{Bill, LookupError};
use crate::domain::flow::Operation;
use crate::domain::ids::{AdapterName, BillNo, BillerCode, FlowNo, ItemCode, OrderNo};
use crate::domain::money::{Currency, Money};
use crate::domain::outcome::{CodeEntry, CodeMap, CodeMeaning, Reply};
use crate::domain::retry::Ladder;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(super) const FLOW: &str = "202611220000000000000001";
pub(super) const OTHER_FLOW: &str = "202611220000000000000002";
pub(super) const ORDER: &str = "202611220000000000000009";
pub(super) const BILL: &str = "1234567890";
pub(super) const AMOUNT_MINOR: i64 = 12345;
pub(super) const CREDENTIAL: &str = "canary-7f3a-credential";

/// An answer that concludes every call of [`Caller`], lookups included.
pub(super) const RIGHT: &str = concat!(
    r#"{"status":1,"flow_no":"202611220000000000000001","bill_no":"1234567890","#,
    r#""amount_minor":"12345","currency":"CNY","upstream_ref":"U-1","message":"done"}"#
);

/// What the far side does with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Says it and waits for the next request on the connection.
    Say(Vec<u8>),
    /// Says it and closes.
    SayAndClose(Vec<u8>),
    /// Says it and resets the connection.
    SayAndReset(Vec<u8>),
    /// Says the first part, then the second one for ever.
    Flood(Vec<u8>, Vec<u8>),
    /// Says the first part, then one byte of the second from time to time, for ever.
    Drip(Vec<u8>, u8),
    /// Says it and then nothing more, holding the connection.
    SayAndHang(Vec<u8>),
}

/// A request that arrived whole.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The connection's place in the order of arrival.
    pub connection: usize,
    /// The first line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Seen {
    /// The path of the first line.
    pub(super) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// A far side that runs until the test's runtime ends.
pub(super) struct FarSide {
    pub url: String,
    seen: Arc<watch::Sender<Vec<Seen>>>,
}

impl FarSide {
    /// Starts one; the script is asked once for each request.
    pub(super) async fn start(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(watch::Sender::new(Vec::new()));
        let (script, log) = (Arc::new(script), seen.clone());
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (script.clone(), log.clone());
                tokio::spawn(async move { serve(stream, connection, &*script, &log).await });
                connection += 1;
            }
        });
        Self { url, seen }
    }

    /// Starts one that does the same with every request.
    pub(super) async fn always(act: Act) -> Self {
        Self::start(move |_| act.clone()).await
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests have arrived.
    pub(super) async fn arrived(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| seen.len() >= count).await.unwrap();
    }

    /// An adapter that talks to it.
    pub(super) fn adapter(&self, settings: AdapterSettings) -> Adapter {
        adapter_at(&self.url, settings)
    }
}

/// An adapter for some base URL.
pub(super) fn adapter_at(url: &str, settings: AdapterSettings) -> Adapter {
    let settings = AdapterSettings {
        url: format!("{url}/bank"),
        biller_url: format!("{url}/billers"),
        ..settings
    };
    Adapter::http(AdapterName::try_new("bank").unwrap(), &settings).unwrap()
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: &(dyn Fn(&Seen) -> Act + Send + Sync),
    log: &watch::Sender<Vec<Seen>>,
) -> io::Result<()> {
    loop {
        let Some((head, body)) = read_request(&mut stream).await? else {
            return Ok(());
        };
        let seen = Seen {
            connection,
            head,
            body,
        };
        log.send_modify(|log| log.push(seen.clone()));
        match script(&seen) {
            Act::Say(bytes) => stream.write_all(&bytes).await?,
            Act::SayAndClose(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Act::SayAndReset(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.set_zero_linger();
            }
            Act::Flood(first, piece) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&piece).await?;
                }
            }
            Act::Drip(first, byte) => {
                stream.write_all(&first).await?;
                let mut tick = tokio::time::interval(Duration::from_millis(5));
                loop {
                    tick.tick().await;
                    stream.write_all(&[byte]).await?;
                }
            }
            Act::SayAndHang(bytes) => {
                stream.write_all(&bytes).await?;
                while stream.read(&mut [0; 64]).await? > 0 {}
                return Ok(());
            }
        }
    }
}

/// Reads one whole request: head and body. None where the other side closed before.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Ok(Some((head.to_owned(), body.to_owned())));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// A whole answer: `200`, JSON, the right length.
pub(super) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// An answer with these headers and the right length; each header line ends with CRLF.
pub(super) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

const PATIENT: BreakerSettings = BreakerSettings {
    window_calls: 1_000,
    failures_percent: 50,
    open_ms: 60_000,
    trial_calls: 2,
};

/// Settings with which nothing is in the way: wide limits, generous times, a breaker that never
/// sees enough calls. Tests tighten what they are about.
pub(super) fn settings() -> AdapterSettings {
    AdapterSettings {
        url: "http://127.0.0.1:1/bank".to_owned(),
        biller_url: "http://127.0.0.1:1/billers".to_owned(),
        ca_pem_file: None,
        client_pem_file: None,
        connect_timeout_ms: 5_000,
        total_timeout_ms: 20_000,
        lookup_timeout_ms: 20_000,
        idle_ms: 4_000,
        body_bytes_max: 64 * 1024,
        concurrency_max: 16,
        lookup_concurrency_max: 8,
        concurrency_wait_ms: 20_000,
        breaker: PATIENT,
        lookup_breaker: PATIENT,
        can_query: true,
        can_reverse: true,
        idempotent: true,
        tombstones: true,
        lookup_binds: true,
        tries_s: vec![1, 2, 4],
        send_within_s: 5,
        certainty_window_s: 600,
        not_found_asks: 2,
        quick_polls: 18,
        reversal_at_s: vec![0, 10, 30, 60, 300, 900],
        case_after_s: 3600,
        ladder: Ladder::standard(),
        codes: codes(),
    }
}

/// The same, but calls end after a moment: for far sides that never come to an end themselves.
pub(super) fn hasty() -> AdapterSettings {
    AdapterSettings {
        total_timeout_ms: 300,
        lookup_timeout_ms: 300,
        ..settings()
    }
}

/// The same, but a connection that is not made in a moment is given up.
pub(super) fn impatient() -> AdapterSettings {
    AdapterSettings {
        connect_timeout_ms: 200,
        ..settings()
    }
}

/// The result codes of the wire protocol.
pub(super) fn codes() -> CodeMap {
    use CodeMeaning as M;
    let table = [
        ("1", M::Succeeded, None),
        ("-1", M::Unknown, None),
        ("2", M::Pending, None),
        ("4", M::NotFound, None),
        ("5", M::Reversed, None),
        ("1001", M::Refused, Some("INSUFFICIENT_FUNDS")),
        ("2001", M::Refused, Some("BILL_ALREADY_PAID")),
        ("2003", M::Refused, Some("BILL_NOT_FOUND")),
        ("2004", M::Refused, Some("BILLER_CLOSED")),
        ("4001", M::PaymentStands, None),
        ("4002", M::Unknown, None),
    ];
    let entry = |(code, meaning, reason): (&str, CodeMeaning, Option<&str>)| {
        let reason = reason.map(str::to_owned);
        (code.to_owned(), CodeEntry { meaning, reason })
    };
    CodeMap(BTreeMap::from(table.map(entry)))
}

/// The calls that the tests make.
pub(super) struct Caller {
    order_no: OrderNo,
    flow_no: FlowNo,
    other_flow_no: FlowNo,
    item: ItemCode,
    biller: BillerCode,
    bill_no: BillNo,
    amount: Money,
    credential: SecretString,
}

impl Caller {
    pub(super) fn new() -> Self {
        Self {
            order_no: OrderNo::try_new(ORDER).unwrap(),
            flow_no: FlowNo::try_new(FLOW).unwrap(),
            other_flow_no: FlowNo::try_new(OTHER_FLOW).unwrap(),
            item: ItemCode::try_new("bj-power-bill").unwrap(),
            biller: BillerCode::try_new("bj-power").unwrap(),
            bill_no: BillNo::try_new(BILL).unwrap(),
            amount: Money::new(AMOUNT_MINOR, Currency::CNY),
            credential: SecretString::from(CREDENTIAL),
        }
    }

    pub(super) fn pay_call(&self) -> PayCall<'_> {
        PayCall {
            order_no: &self.order_no,
            flow_no: &self.flow_no,
            item: &self.item,
            biller: &self.biller,
            bill_no: &self.bill_no,
            bill_ref: Some("ref-1"),
            amount: self.amount,
            credential: Some(&self.credential),
            valid_until: "2026-11-22T15:00:05.000007Z".parse().unwrap(),
        }
    }

    /// Makes the call of an operation.
    pub(super) async fn call(&self, adapter: &Adapter, operation: Operation) -> Reply {
        match operation {
            Operation::Pay => adapter.payments.pay(&self.pay_call()).await,
            Operation::Query => {
                let call = QueryCall {
                    flow_no: &self.flow_no,
                    bill_no: &self.bill_no,
                    amount: self.amount,
                };
                adapter.payments.query(&call).await
            }
            Operation::Reverse => {
                let call = ReverseCall {
                    order_no: &self.order_no,
                    flow_no: &self.flow_no,
                    payment_flow_no: &self.other_flow_no,
                    bill_no: &self.bill_no,
                    amount: self.amount,
                };
                adapter.payments.reverse(&call).await
            }
        }
    }

    /// Pays.
    pub(super) async fn pay(&self, adapter: &Adapter) -> Reply {
        self.call(adapter, Operation::Pay).await
    }

    /// Looks the bill up at the usual biller.
    pub(super) async fn lookup(&self, adapter: &Adapter) -> Result<Bill, LookupError> {
        self.lookup_at(adapter, self.biller.as_str()).await
    }

    /// Looks the bill up at some biller.
    pub(super) async fn lookup_at(
        &self,
        adapter: &Adapter,
        biller: &str,
    ) -> Result<Bill, LookupError> {
        let biller = BillerCode::try_new(biller).unwrap();
        adapter
            .billers
            .lookup(&biller, &self.bill_no, Currency::CNY)
            .await
    }
}
