//! What is sent, what each code brings, and what never happens: a second send, a leak.

use super::body_tests::class;
use super::far_side::{
    Act, BILL, CREDENTIAL, Caller, FLOW, FarSide, ORDER, OTHER_FLOW, RIGHT, adapter_at, impatient,
    ok, settings,
};
use super::settings::AdapterSettings;
use super::{PayCall, Upstreams};
use crate::domain::bill::LookupError;
use crate::domain::flow::Operation;
use crate::domain::ids::AdapterName;
use crate::domain::outcome::{Receipt, Reply};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

fn with_status(status: i64) -> Vec<u8> {
    ok(RIGHT.replace("\"status\":1", &format!("\"status\":{status}")))
}

#[tokio::test]
async fn a_pay_carries_everything_once() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let reply = Caller::new().pay(&far_side.adapter(settings())).await;
    let receipt = Receipt {
        code: "1".to_owned(),
        upstream_ref: Some("U-1".to_owned()),
        message: Some("done".to_owned()),
    };
    assert_eq!(reply, Reply::Succeeded(receipt));
    let seen = far_side.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path(), "/bank/pay");
    let head = seen[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /bank/pay http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
    let expected = format!(
        "{{\"flow_no\":\"{FLOW}\",\"order_no\":\"{ORDER}\",\"item\":\"bj-power-bill\",\
         \"biller\":\"bj-power\",\"bill_no\":\"{BILL}\",\"bill_ref\":\"ref-1\",\
         \"amount_minor\":\"12345\",\"currency\":\"CNY\",\"credential\":\"{CREDENTIAL}\",\
         \"valid_until\":\"2026-11-22T15:00:05.000007Z\"}}"
    );
    assert_eq!(seen[0].body, expected);
}

#[tokio::test]
async fn what_is_absent_is_not_sent_at_all() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let caller = Caller::new();
    let call = PayCall {
        bill_ref: None,
        credential: None,
        ..caller.pay_call()
    };
    far_side.adapter(settings()).payments.pay(&call).await;
    let body = &far_side.seen()[0].body;
    assert!(
        !body.contains("bill_ref") && !body.contains("credential"),
        "{body}"
    );
}

#[tokio::test]
async fn queries_reversals_and_lookups_go_their_ways() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let adapter = far_side.adapter(settings());
    let caller = Caller::new();
    caller.call(&adapter, Operation::Query).await;
    caller.call(&adapter, Operation::Reverse).await;
    caller.lookup(&adapter).await.unwrap();
    let seen = far_side.seen();
    let query = format!("{{\"flow_no\":\"{FLOW}\"}}");
    let reverse = format!(
        "{{\"flow_no\":\"{FLOW}\",\"payment_flow_no\":\"{OTHER_FLOW}\",\"order_no\":\"{ORDER}\",\
         \"bill_no\":\"{BILL}\",\"amount_minor\":\"12345\",\"currency\":\"CNY\"}}"
    );
    let lookup = format!("{{\"bill_no\":\"{BILL}\"}}");
    for (seen, path, body) in [
        (&seen[0], "/bank/query", query),
        (&seen[1], "/bank/reverse", reverse),
        (&seen[2], "/billers/bj-power/lookup", lookup),
    ] {
        assert_eq!((seen.path(), &seen.body), (path, &body));
    }
}

#[tokio::test]
async fn every_code_at_every_call() {
    use Operation::{Pay, Query, Reverse};
    let table = [
        (1, ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]),
        (-1, ["said unknown", "said unknown", "said unknown"]),
        (2, ["PENDING", "PENDING", "out of place"]),
        (4, ["out of place", "NOT FOUND", "out of place"]),
        (5, ["REFUSED", "REFUSED", "SUCCEEDED"]),
        (1001, ["REFUSED", "REFUSED", "out of place"]),
        (2001, ["REFUSED", "REFUSED", "out of place"]),
        (4001, ["out of place", "out of place", "PAYMENT STANDS"]),
        (4002, ["said unknown", "said unknown", "said unknown"]),
        (9999, ["unmapped", "unmapped", "unmapped"]),
    ];
    let caller = Caller::new();
    for (status, wanted) in table {
        let far_side = FarSide::always(Act::Say(with_status(status))).await;
        let adapter = far_side.adapter(settings());
        for (operation, wanted) in [Pay, Query, Reverse].into_iter().zip(wanted) {
            let reply = caller.call(&adapter, operation).await;
            assert_eq!(class(&reply), wanted, "{status} {operation}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_has_its_reason_and_the_banks_words() {
    let far_side = FarSide::always(Act::Say(with_status(1001))).await;
    match Caller::new().pay(&far_side.adapter(settings())).await {
        Reply::Refused { reason, receipt } => {
            assert_eq!(
                (reason.as_str(), receipt.code.as_str()),
                ("INSUFFICIENT_FUNDS", "1001")
            );
            assert_eq!(receipt.message.as_deref(), Some("done"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lookup_brings_the_bill_or_why_there_is_none() {
    let bill = "{\"status\":1,\"bill_no\":\"1234567890\",\"amount_minor\":\"12345\",\
                \"currency\":\"CNY\",\"period\":\"2026-10\",\"holder\":\"张*\",\"bill_ref\":\"r\"}";
    let far_side = FarSide::always(Act::Say(ok(bill))).await;
    let bill = Caller::new()
        .lookup(&far_side.adapter(settings()))
        .await
        .unwrap();
    assert_eq!(
        (bill.bill_no.as_str(), bill.due.amount_minor),
        (BILL, 12345)
    );
    assert_eq!(bill.period.as_deref(), Some("2026-10"));
    assert_eq!(bill.holder_masked.as_deref(), Some("张*"));
    assert_eq!(bill.bill_ref.as_deref(), Some("r"));

    let closed = LookupError::Refused {
        reason: "BILLER_CLOSED".to_owned(),
    };
    let table = [
        ("{\"status\":2001}", Some(LookupError::AlreadyPaid)),
        ("{\"status\":2003}", Some(LookupError::NotFound)),
        ("{\"status\":2004,\"bill_no\":\"1234567890\"}", Some(closed)),
        ("{\"status\":2001,\"bill_no\":\"1234567891\"}", None),
        ("{\"status\":-1}", None),
        ("{\"status\":2}", None),
        ("{\"status\":4}", None),
        ("{\"status\":5}", None),
        ("{\"status\":4001}", None),
        ("{\"status\":8888}", None),
    ];
    for (body, wanted) in table {
        let far_side = FarSide::always(Act::Say(ok(body))).await;
        let found = Caller::new().lookup(&far_side.adapter(settings())).await;
        let error = found.expect_err(body);
        match wanted {
            Some(wanted) => assert_eq!(error, wanted, "{body}"),
            None => assert!(
                matches!(error, LookupError::Unavailable { .. }),
                "{body}: {error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_biller_code_cannot_lead_to_another_place() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let adapter = far_side.adapter(settings());
    for code in [".", ".."] {
        let found = Caller::new().lookup_at(&adapter, code).await;
        assert!(
            matches!(found, Err(LookupError::Unavailable { .. })),
            "{found:?}"
        );
    }
    assert!(far_side.seen().is_empty());
}

#[tokio::test]
async fn what_a_bank_cannot_do_is_not_sent() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let poor = AdapterSettings {
        can_query: false,
        can_reverse: false,
        ..settings()
    };
    let adapter = far_side.adapter(poor);
    for operation in [Operation::Query, Operation::Reverse] {
        let reply = Caller::new().call(&adapter, operation).await;
        assert_eq!(class(&reply), "NOT SENT");
    }
    assert!(far_side.seen().is_empty());
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    for url in ["http://127.0.0.1:1", "http://nowhere.invalid"] {
        let adapter = adapter_at(url, impatient());
        for &operation in Operation::ALL {
            let reply = Caller::new().call(&adapter, operation).await;
            assert_eq!(class(&reply), "NOT SENT", "{url}: {reply:?}");
        }
        let found = Caller::new().lookup(&adapter).await;
        assert!(
            matches!(found, Err(LookupError::Unavailable { .. })),
            "{found:?}"
        );
    }
    let refused = Caller::new()
        .pay(&adapter_at("http://127.0.0.1:1", settings()))
        .await;
    assert!(
        refused.cause().unwrap().starts_with("no connection: "),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_never_made_in_time_sends_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts, so the queue fills up and the next connection is left hanging.
    let mut queue = Vec::new();
    let wait = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let reply = Caller::new()
        .pay(&adapter_at(&format!("http://{address}"), impatient()))
        .await;
    assert_eq!(class(&reply), "NOT SENT", "{reply:?}");
    assert!(
        reply.cause().unwrap().starts_with("no connection in time"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn nothing_is_ever_sent_twice() {
    // A kept connection that breaks under the next request tempts clients into a retry.
    let mut kept = 0;
    for _ in 0..50 {
        let far_side = FarSide::start(|seen| match seen.path() {
            "/bank/query" => Act::Say(ok(RIGHT)),
            _ => Act::SayAndClose(vec![]),
        })
        .await;
        let adapter = far_side.adapter(settings());
        let caller = Caller::new();
        caller.call(&adapter, Operation::Query).await;
        let reply = caller.pay(&adapter).await;
        assert_eq!(class(&reply), "lost", "{reply:?}");
        let seen = far_side.seen();
        let paths: Vec<_> = seen.iter().map(|seen| seen.path()).collect();
        assert_eq!(paths, ["/bank/query", "/bank/pay"]);
        kept += usize::from(seen[0].connection == seen[1].connection);
    }
    assert!(kept > 0, "no connection was ever kept");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let far_side = FarSide::always(Act::SayAndClose(ok(RIGHT))).await;
    let adapter = far_side.adapter(settings());
    let caller = Caller::new();
    let mut sent = 0;
    for _ in 0..20 {
        let reply = caller.pay(&adapter).await;
        let known = matches!(reply, Reply::Succeeded(_));
        // The close may also cross the next request; that is honestly unknown.
        assert!(known || class(&reply) == "lost", "{reply:?}");
        sent += usize::from(known);
    }
    assert!(sent > 0);
    assert_eq!(far_side.seen().len(), sent);
}

#[test]
fn the_credential_shows_nowhere() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let mut said = format!("{:?}", Caller::new().pay_call());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("the log is on");
        block_on(async {
            let echo = format!("{{\"status\":\"{CREDENTIAL}\"}}");
            for act in [
                Act::Say(ok(RIGHT)),
                Act::Say(ok(echo)),
                Act::SayAndClose(vec![]),
                Act::SayAndClose(format!("HTTP/1.1 200 {CREDENTIAL}\r\n\r\n").into_bytes()),
            ] {
                let far_side = FarSide::always(act).await;
                let reply = Caller::new().pay(&far_side.adapter(settings())).await;
                assert!(far_side.seen()[0].body.contains(CREDENTIAL));
                said.push_str(&format!("{reply:?}"));
            }
            let reply = Caller::new()
                .pay(&adapter_at("http://127.0.0.1:1", settings()))
                .await;
            said.push_str(&format!("{reply:?}"));
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is on"));
    assert!(!log.contains(CREDENTIAL), "{log}");
    assert!(!said.contains(CREDENTIAL), "{said}");
    assert!(said.contains("REDACTED"), "{said}");
}

#[test]
fn every_call_is_counted_and_timed() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        block_on(async {
            let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
            let adapter = far_side.adapter(settings());
            Caller::new().pay(&adapter).await;
            Caller::new().lookup(&adapter).await.unwrap();
            Caller::new()
                .pay(&adapter_at("http://127.0.0.1:1", settings()))
                .await;
        });
    });
    let text = handle.render();
    let calls = "payhall_upstream_calls_total{adapter=\"bank\",operation";
    for line in [
        format!("{calls}=\"PAY\",outcome=\"SUCCEEDED\"}} 1"),
        format!("{calls}=\"PAY\",outcome=\"NOT_SENT\"}} 1"),
        format!("{calls}=\"LOOKUP\",outcome=\"FOUND\"}} 1"),
        "payhall_upstream_seconds_count{adapter=\"bank\",operation=\"PAY\"} 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn adapters_are_found_by_their_names() {
    let name = |text: &str| AdapterName::try_new(text).unwrap();
    let map = BTreeMap::from([(name("bank"), settings()), (name("legacy"), settings())]);
    let upstreams = Upstreams::from_settings(&map).unwrap();
    let names: Vec<_> = upstreams.names().map(AdapterName::as_str).collect();
    assert_eq!(names, ["bank", "legacy"]);
    assert_eq!(upstreams.get(&name("legacy")).unwrap().name, name("legacy"));
    assert!(upstreams.get(&name("other")).is_none());
}

#[tokio::test]
async fn an_adapter_takes_its_rules_from_the_settings() {
    let adapter = adapter_at("http://127.0.0.1:1", settings());
    let seconds =
        |list: &[u64]| -> Vec<_> { list.iter().map(|s| Duration::from_secs(*s)).collect() };
    assert_eq!(adapter.tries, seconds(&[1, 2, 4]));
    assert_eq!(adapter.send_within, Duration::from_secs(5));
    assert_eq!(
        adapter.rules.reversal_at,
        seconds(&[0, 10, 30, 60, 300, 900])
    );
    assert_eq!(adapter.rules.certainty_window, Duration::from_secs(600));
    assert_eq!(
        (adapter.rules.not_found_asks, adapter.rules.quick_polls),
        (2, 18)
    );
    assert!(adapter.rules.can_query && adapter.rules.can_reverse && adapter.rules.tombstones);
    assert!(adapter.idempotent && adapter.lookup_binds);
}

/// Runs on this thread alone, where a test's own log and metrics are set.
fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}
