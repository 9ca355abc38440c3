//! What can happen to Redis: dead, restarted, emptied, slow, mute, read-only, full of garbage. In
//! each case readers get a miss and the cache recovers by itself.

use super::private_redis::{Answer, PrivateRedis};
use super::test_values::{flow_at, order_at, patient, start};
use super::{Cache, CacheSettings, Snapshot, Start, Trouble};
use crate::domain::flow::{Flow, FlowState};
use crate::domain::order::{Order, OrderState};
use std::time::Duration;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A deadline that a server which does not answer at all misses soon.
fn hasty(url: &str) -> CacheSettings {
    CacheSettings {
        command_timeout_ms: 50,
        ..patient(url)
    }
}

fn server(what: &str) -> Option<PrivateRedis> {
    PrivateRedis::start(what)
}

fn key(order: &Order) -> String {
    Snapshot::Order(order.clone()).key()
}

/// Puts an order and reads it until it is there: how a cache that recovers shows itself.
async fn until_it_serves(cache: &Cache) {
    let attempts = async {
        loop {
            let order = order_at(1, OrderState::Succeeded);
            cache.mirror(vec![order.clone().into()]);
            cache.drain().await;
            if cache.order(&order.order_no).await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(60);
    let served = tokio::time::timeout(patience, attempts).await;
    served.expect("the cache never served again");
}

#[tokio::test]
async fn what_is_not_a_value_of_ours_is_a_miss_and_is_replaced() {
    let Some(redis) = server("garbage in Redis") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let garbage = [
        "",
        "|",
        "hello",
        "|{}",
        "-1|{}",
        "99x|{}",
        "99999999999|{}",
        "\u{0}\u{1}",
        "null",
        "{\"version\":99}",
    ];
    for text in garbage {
        let order = order_at(3, OrderState::Succeeded);
        redis.ask(&["SET", &key(&order), text]);
        assert_eq!(cache.order(&order.order_no).await, None, "{text:?}");
        cache.refill(order.clone().into());
        cache.drain().await;
        assert_eq!(
            cache.order(&order.order_no).await,
            Some(order),
            "{text:?} blocks its key"
        );
    }
}

#[tokio::test]
async fn a_value_that_is_not_what_its_key_and_version_say_is_a_miss() {
    let Some(redis) = server("wrong values in Redis") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let (one, other) = (
        order_at(3, OrderState::Succeeded),
        order_at(3, OrderState::Succeeded),
    );
    let json = serde_json::to_string(&one).unwrap();
    let cases = [
        (&other, format!("3|{json}")),
        (&one, format!("4|{json}")),
        (&one, format!("3|{}", &json[..json.len() / 2])),
        (
            &one,
            format!("3|{}", json.replace("SUCCEEDED", "PROBABLY_FINE")),
        ),
    ];
    for (asked, text) in cases {
        redis.ask(&["SET", &key(asked), &text]);
        assert_eq!(cache.order(&asked.order_no).await, None, "{text}");
    }
    redis.ask(&["SET", &key(&one), &format!("3|{json}")]);
    assert_eq!(cache.order(&one.order_no).await, Some(one));
}

#[tokio::test]
async fn a_key_of_another_type_is_a_miss_and_is_replaced() {
    let Some(redis) = server("a key of another type") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let order = order_at(3, OrderState::Succeeded);
    redis.ask(&["RPUSH", &key(&order), "a", "b"]);
    assert_eq!(cache.order(&order.order_no).await, None);
    cache.mirror(vec![order.clone().into()]);
    cache.drain().await;
    assert_eq!(cache.order(&order.order_no).await, Some(order));
}

#[tokio::test]
async fn an_emptied_server_and_a_forgotten_script_are_no_trouble() {
    let Some(redis) = server("FLUSHALL and SCRIPT FLUSH") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let order = order_at(3, OrderState::Succeeded);
    cache.mirror(vec![order.clone().into()]);
    cache.drain().await;
    assert!(cache.order(&order.order_no).await.is_some());

    redis.ask(&["FLUSHALL"]);
    redis.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(cache.order(&order.order_no).await, None);
    cache.refill(order.clone().into());
    cache.drain().await;
    assert_eq!(cache.order(&order.order_no).await, Some(order));
}

#[tokio::test]
async fn a_killed_server_is_a_miss_and_its_return_is_noticed() {
    let Some(mut redis) = server("Redis killed and restarted") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let order = order_at(3, OrderState::Succeeded);
    cache.mirror(vec![order.clone().into()]);
    cache.drain().await;
    assert!(cache.order(&order.order_no).await.is_some());

    redis.kill();
    for _ in 0..1_000 {
        assert_eq!(cache.order(&order.order_no).await, None);
        cache.mirror(vec![order.clone().into()]);
    }
    assert!(cache.ping().await.is_err());
    cache.drain().await;

    redis.up();
    until_it_serves(&cache).await;
    cache.ping().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_dies_is_a_miss_and_its_return_is_noticed() {
    let Some(mut redis) = PrivateRedis::start_cluster("a cluster killed and restarted") else {
        return;
    };
    let settings = CacheSettings {
        command_timeout_ms: 1_000,
        ..patient(&redis.url())
    };
    let cache = Cache::open(&settings, start()).unwrap();
    until_it_serves(&cache).await;
    redis.kill();
    let order = order_at(3, OrderState::Succeeded);
    for _ in 0..100 {
        assert_eq!(cache.order(&order.order_no).await, None);
    }
    cache.mirror(vec![order.into()]);
    cache.drain().await;
    redis.up();
    until_it_serves(&cache).await;
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let Some(mut redis) = server("Redis that comes after the center") else {
        return;
    };
    redis.kill();
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let order = order_at(3, OrderState::Succeeded);
    assert_eq!(cache.order(&order.order_no).await, None);
    redis.up();
    until_it_serves(&cache).await;
}

#[tokio::test]
async fn a_slow_server_is_a_miss_and_is_asked_again_when_it_is_quick() {
    let Some(redis) = server("a slow Redis") else {
        return;
    };
    let cache = Cache::open(&hasty(&redis.url()), start()).unwrap();
    until_it_serves(&cache).await;
    let order = order_at(3, OrderState::Succeeded);
    let pauses = async {
        loop {
            let paused = redis.ask(&["CLIENT", "PAUSE", "1500", "ALL"]);
            assert_eq!(paused, Answer::Text("OK".to_owned()));
            // Whoever comes only after a pause has met none: there is another one.
            match cache.ping().await {
                Err(Trouble::TimedOut) => break,
                met => assert!(met.is_ok(), "{met:?}"),
            }
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(60), pauses).await;
    met.expect("a pause was never noticed");
    assert_eq!(cache.order(&order.order_no).await, None);
    until_it_serves(&cache).await;
}

#[tokio::test]
async fn a_mute_server_is_asked_once_and_then_left_alone() {
    // Accepts and never answers: the worst kind, because nothing ever breaks.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", mute.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while let Ok((socket, _)) = mute.accept().await {
            sockets.push(socket);
        }
    });
    let cache = Cache::open(&hasty(&url), start()).unwrap();
    let order = order_at(3, OrderState::Succeeded);
    assert!(matches!(cache.ping().await, Err(Trouble::TimedOut)));
    let reads = async {
        for _ in 0..10_000 {
            assert_eq!(cache.order(&order.order_no).await, None);
        }
    };
    // Ten thousand deadlines are eight minutes; almost none of these reads may have asked.
    let patience = Duration::from_secs(60);
    let over = tokio::time::timeout(patience, reads).await;
    assert!(over.is_ok(), "a mute Redis is asked again and again");
    cache.mirror(vec![order.into()]);
    cache.drain().await;
    held.abort();
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_gets_a_new_connection() {
    let Some(redis) = server("a peer that is gone without a word") else {
        return;
    };
    // Passes everything on until it is told to go mute; then the connections that are there stay open
    // and carry nothing any more, while new ones are as good as ever.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", proxy.local_addr().unwrap());
    let (go_mute, told) = watch::channel(false);
    let socket = redis.socket();
    let carries = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = proxy.accept().await {
            let mut far = UnixStream::connect(&socket).await.unwrap();
            let mut told = told.clone();
            let is_new = *told.borrow();
            connections.spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = told.changed(), if !is_new => std::future::pending().await,
                }
            });
        }
    });
    let cache = Cache::open(&hasty(&url), start()).unwrap();
    until_it_serves(&cache).await;
    go_mute.send_replace(true);
    assert!(matches!(cache.ping().await, Err(Trouble::TimedOut)));
    until_it_serves(&cache).await;
    carries.abort();
}

#[tokio::test]
async fn a_server_that_became_a_follower_is_left_and_found_again() {
    let Some(redis) = server("a fail-over") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    until_it_serves(&cache).await;
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let order = order_at(3, OrderState::Succeeded);
    cache.mirror(vec![order.clone().into()]);
    cache.drain().await;
    assert_eq!(cache.order(&order.order_no).await, None);
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    until_it_serves(&cache).await;
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let settings = CacheSettings {
                mirror_queue: 10,
                ..hasty("redis+unix:///nowhere/at/all.sock")
            };
            let cache = Cache::open(&settings, start()).unwrap();
            // One thread and no await: the writing task does not run in between.
            let snapshots = (0..25).map(|_| order_at(0, OrderState::Created).into());
            cache.mirror(snapshots.collect());
        });
        recorder.handle().render()
    });
    let line = "payhall_cache_mirror_dropped_total 15";
    assert!(text.contains(line), "{line} is not in\n{text}");
}

/// A replica dies between a commit and the write to Redis, and is started again: its list of what it
/// committed is gone, so what was open before its start is not believed.
#[tokio::test]
async fn after_a_start_open_states_from_before_are_not_believed_for_a_while() {
    let Some(redis) = server("a start after a kill") else {
        return;
    };
    let before = start();
    let open = Order {
        updated_at: before,
        ..order_at(1, OrderState::Paying)
    };
    let at_rest = Order {
        updated_at: before,
        ..order_at(2, OrderState::Succeeded)
    };
    let later = order_at(1, OrderState::Paying);
    let flow = Flow {
        started_at: before,
        ..flow_at(0, FlowState::Started)
    };
    let first = Cache::open(&patient(&redis.url()), start()).unwrap();
    let orders = [&open, &at_rest, &later].map(|order| Snapshot::from(order.clone()));
    first.mirror(orders.into());
    first.mirror(vec![flow.clone().into()]);
    first.drain().await;

    let second = Cache::open(&patient(&redis.url()), start()).unwrap();
    assert_eq!(second.order(&open.order_no).await, None);
    assert_eq!(second.flow(&flow.flow_no).await, None);
    assert_eq!(second.order(&at_rest.order_no).await, Some(at_rest));
    assert_eq!(second.order(&later.order_no).await, Some(later));

    let started = |doubted_until| Start {
        at: before,
        doubted_until,
    };
    let now = std::time::Instant::now();
    assert!(started(now + Duration::from_secs(30)).doubts(&open));
    assert!(!started(now).doubts(&open), "the last of them has run out");
}
