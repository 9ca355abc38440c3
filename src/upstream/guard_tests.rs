//! The bulkhead and the breaker: they refuse before anything is sent, and only where they should.

use super::body_tests::class;
use super::far_side::{Act, Caller, FarSide, RIGHT, adapter_at, answer, ok, settings};
use super::settings::{AdapterSettings, BreakerSettings};
use super::{Adapter, LinkStats};
use crate::domain::flow::Operation;
use crate::domain::outcome::Reply;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Long enough for any machine; only a test that hangs gets there.
const PATIENCE: Duration = Duration::from_secs(60);

fn twitchy(open_ms: u64) -> AdapterSettings {
    let breaker = BreakerSettings {
        window_calls: 4,
        failures_percent: 50,
        open_ms,
        trial_calls: 1,
    };
    AdapterSettings {
        breaker,
        lookup_breaker: breaker,
        ..settings()
    }
}

fn error_500() -> Act {
    Act::Say(answer("500 Internal Server Error", "", ""))
}

/// Pays until the outcome is of a class.
async fn pay_until(adapter: &Adapter, wanted: &str) -> Reply {
    let caller = Caller::new();
    let calls = async {
        loop {
            let reply = caller.pay(adapter).await;
            if class(&reply) == wanted {
                return reply;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, calls).await.unwrap()
}

#[tokio::test]
async fn a_sick_bank_is_left_alone() {
    let far_side = FarSide::always(error_500()).await;
    let adapter = far_side.adapter(twitchy(600_000));
    let refused = pay_until(&adapter, "NOT SENT").await;
    assert_eq!(
        refused,
        Reply::NotSent("the circuit breaker is open".to_owned())
    );
    let sent = far_side.seen().len();
    assert!(
        (4..=6).contains(&sent),
        "{sent} calls before the breaker opened"
    );
    let caller = Caller::new();
    for &operation in Operation::ALL {
        assert_eq!(class(&caller.call(&adapter, operation).await), "NOT SENT");
    }
    assert_eq!(
        far_side.seen().len(),
        sent,
        "nothing is sent while it is open"
    );
    assert!(adapter.payments.stats()[0].refusing);
}

#[tokio::test]
async fn a_bank_that_cannot_be_reached_opens_the_breaker_too() {
    let adapter = adapter_at("http://127.0.0.1:1", twitchy(600_000));
    let caller = Caller::new();
    let mut last = caller.pay(&adapter).await;
    for _ in 0..10 {
        last = caller.pay(&adapter).await;
    }
    assert_eq!(
        last,
        Reply::NotSent("the circuit breaker is open".to_owned())
    );
}

#[tokio::test]
async fn a_bank_that_recovers_is_called_again() {
    let not_found = answer("404 Not Found", "", "");
    for (wanted, answer) in [("SUCCEEDED", ok(RIGHT)), ("status", not_found)] {
        let well = Arc::new(AtomicBool::new(false));
        let is_well = well.clone();
        let far_side = FarSide::start(move |_| match is_well.load(Ordering::SeqCst) {
            true => Act::Say(answer.clone()),
            false => Act::Say(ok("rubbish")),
        })
        .await;
        let adapter = far_side.adapter(twitchy(20));
        pay_until(&adapter, "NOT SENT").await;
        well.store(true, Ordering::SeqCst);
        pay_until(&adapter, wanted).await;
        for _ in 0..20 {
            assert_eq!(class(&Caller::new().pay(&adapter).await), wanted);
        }
        assert!(!adapter.payments.stats()[0].refusing, "{wanted}");
    }
}

#[tokio::test]
async fn answers_never_open_the_breaker_however_bad_the_news() {
    let status = |status: i64| ok(RIGHT.replace("\"status\":1", &format!("\"status\":{status}")));
    for (wanted, bytes) in [
        ("said unknown", status(-1)),
        ("REFUSED", status(1001)),
        ("unmapped", status(7777)),
        ("mismatch", ok(RIGHT.replace("CNY", "USD"))),
        ("status", answer("404 Not Found", "", "")),
    ] {
        let far_side = FarSide::always(Act::Say(bytes)).await;
        let adapter = far_side.adapter(twitchy(600_000));
        for _ in 0..20 {
            assert_eq!(class(&Caller::new().pay(&adapter).await), wanted);
        }
    }
}

#[tokio::test]
async fn rubbish_and_broken_lines_open_the_breaker() {
    for act in [
        Act::SayAndClose(vec![]),
        Act::Say(ok("<html>we are closed</html>")),
        Act::Say(answer("429 Too Many Requests", "", "")),
    ] {
        let far_side = FarSide::always(act).await;
        pay_until(&far_side.adapter(twitchy(600_000)), "NOT SENT").await;
    }
}

#[tokio::test]
async fn a_sick_biller_opens_only_its_own_breaker() {
    let far_side = FarSide::start(|seen| match seen.path() {
        "/billers/sick/lookup" => error_500(),
        _ => Act::Say(ok(RIGHT)),
    })
    .await;
    let adapter = far_side.adapter(twitchy(600_000));
    let caller = Caller::new();
    for _ in 0..20 {
        assert!(caller.lookup_at(&adapter, "sick").await.is_err());
    }
    let lookups = far_side.seen().len();
    assert!(lookups <= 6, "{lookups} lookups went out");
    assert!(caller.lookup_at(&adapter, "well").await.is_ok());
    assert_eq!(class(&caller.pay(&adapter).await), "SUCCEEDED");
    let refusing: Vec<_> = adapter
        .payments
        .stats()
        .into_iter()
        .map(|stats| (stats.link, stats.refusing))
        .collect();
    let wanted = [("payments", false), ("sick", true), ("well", false)];
    assert_eq!(
        refusing,
        wanted.map(|(link, refusing)| (link.to_owned(), refusing))
    );
}

fn narrow(concurrency_wait_ms: u64) -> AdapterSettings {
    AdapterSettings {
        concurrency_max: 2,
        lookup_concurrency_max: 1,
        concurrency_wait_ms,
        ..settings()
    }
}

#[tokio::test]
async fn a_bank_that_hangs_holds_no_more_than_its_places() {
    let far_side = FarSide::start(|seen| match seen.path() {
        "/bank/pay" => Act::SayAndHang(vec![]),
        _ => Act::Say(ok(RIGHT)),
    })
    .await;
    let adapter = far_side.adapter(narrow(20));
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let adapter = adapter.clone();
            tokio::spawn(async move { Caller::new().pay(&adapter).await })
        })
        .collect();
    far_side.arrived(2).await;
    let full = LinkStats {
        link: "payments".to_owned(),
        in_flight: 2,
        places: 2,
        refusing: false,
    };
    assert_eq!(adapter.payments.stats(), [full]);
    let reply = Caller::new().pay(&adapter).await;
    assert_eq!(
        reply,
        Reply::NotSent("too many calls are under way".to_owned())
    );
    assert_eq!(far_side.seen().len(), 2);
    assert!(
        Caller::new().lookup(&adapter).await.is_ok(),
        "lookups have places of their own"
    );
    for task in hanging {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(
        adapter.payments.stats()[0].in_flight,
        0,
        "a dropped call gives its place back"
    );
}

#[tokio::test]
async fn a_biller_that_hangs_does_not_slow_the_others() {
    let far_side = FarSide::start(|seen| match seen.path() {
        "/billers/hung/lookup" => Act::SayAndHang(vec![]),
        _ => Act::Say(ok(RIGHT)),
    })
    .await;
    let adapter = far_side.adapter(narrow(20));
    let hanging = {
        let adapter = adapter.clone();
        tokio::spawn(async move { Caller::new().lookup_at(&adapter, "hung").await })
    };
    far_side.arrived(1).await;
    let caller = Caller::new();
    let crowded = caller.lookup_at(&adapter, "hung").await.unwrap_err();
    assert!(crowded.to_string().contains("too many calls"), "{crowded}");
    for _ in 0..10 {
        assert!(caller.lookup_at(&adapter, "well").await.is_ok());
        assert_eq!(class(&caller.pay(&adapter).await), "SUCCEEDED");
    }
    hanging.abort();
}

#[tokio::test]
async fn calls_wait_for_a_place_in_turn() {
    let far_side = FarSide::always(Act::Say(ok(RIGHT))).await;
    let single = AdapterSettings {
        concurrency_max: 1,
        ..narrow(60_000)
    };
    let adapter = far_side.adapter(single);
    let caller = Caller::new();
    let replies = join_all((0..20).map(|_| caller.pay(&adapter))).await;
    assert!(replies.iter().all(|reply| class(reply) == "SUCCEEDED"));
    assert_eq!(far_side.seen().len(), 20);
}
