//! What every place has to do alike: each test runs in memory, on a Redis server and on a cluster.

use super::private_redis::{Answer, PrivateRedis, shared_url};
use super::test_values::{flow_at, order_at, patient, some_bill, start};
use super::{Cache, CacheSettings, Snapshot};
use crate::domain::flow::FlowState;
use crate::domain::ids::BillerCode;
use crate::domain::order::{Order, OrderState};
use std::collections::BTreeMap;

/// Runs one test in every place that there is.
async fn everywhere(test: impl AsyncFn(&Cache)) {
    let left_out = "the cache on Redis";
    let mut urls = vec![String::new()];
    let server = match shared_url() {
        Some(url) => {
            urls.push(url);
            None
        }
        None => PrivateRedis::start(left_out),
    };
    let cluster = PrivateRedis::start_cluster(left_out);
    urls.extend(server.iter().map(PrivateRedis::url));
    urls.extend(cluster.iter().map(PrivateRedis::url));
    for url in urls {
        let cache = Cache::open(&patient(&url), start()).unwrap();
        cache.ping().await.unwrap();
        test(&cache).await;
    }
}

/// The same order, later.
fn moved(order: &Order, version: i32, state: OrderState) -> Order {
    Order {
        version,
        state,
        ..order.clone()
    }
}

#[tokio::test]
async fn what_is_handed_over_is_read_back() {
    everywhere(async |cache| {
        let (order, flow) = (
            order_at(1, OrderState::Paying),
            flow_at(0, FlowState::Started),
        );
        assert_eq!(cache.order(&order.order_no).await, None);
        assert_eq!(cache.flow(&flow.flow_no).await, None);

        cache.mirror(vec![order.clone().into(), flow.clone().into()]);
        cache.drain().await;
        assert_eq!(cache.order(&order.order_no).await, Some(order));
        assert_eq!(cache.flow(&flow.flow_no).await, Some(flow));
    })
    .await;
}

#[tokio::test]
async fn a_refill_is_read_back() {
    everywhere(async |cache| {
        let order = order_at(4, OrderState::Failed);
        cache.refill(order.clone().into());
        cache.drain().await;
        assert_eq!(cache.order(&order.order_no).await, Some(order));
    })
    .await;
}

#[tokio::test]
async fn a_bill_is_kept_by_biller_and_number() {
    everywhere(async |cache| {
        let power = BillerCode::try_new("bj-power").unwrap();
        let water = BillerCode::try_new("bj-water").unwrap();
        let bill = some_bill();
        cache.keep_bill(&power, bill.clone());
        cache.drain().await;
        assert_eq!(cache.bill(&water, &bill.bill_no).await, None);
        assert_eq!(cache.bill(&power, &bill.bill_no).await, Some(bill));
    })
    .await;
}

#[tokio::test]
async fn the_fence_lets_a_newer_version_in_and_no_older_one() {
    type Way = fn(&Cache, Snapshot);
    let ways: [Way; 2] = [
        |cache, snapshot| cache.mirror(vec![snapshot]),
        |cache, snapshot| cache.refill(snapshot),
    ];
    everywhere(async |cache| {
        for first in ways {
            for second in ways {
                let settled = order_at(10, OrderState::Succeeded);
                let older = moved(&settled, 9, OrderState::Paying);
                let newer = moved(&settled, 11, OrderState::Reversing);
                let steps = [
                    (older.clone(), older.clone()),
                    (settled.clone(), settled.clone()),
                    (older.clone(), settled.clone()),
                    (newer.clone(), newer.clone()),
                    (settled.clone(), newer.clone()),
                ];
                for (index, (put, expected)) in steps.into_iter().enumerate() {
                    let way = if index % 2 == 0 { first } else { second };
                    way(cache, put.into());
                    cache.drain().await;
                    assert_eq!(cache.order(&settled.order_no).await, Some(expected));
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn versions_are_compared_as_numbers() {
    everywhere(async |cache| {
        let nine = order_at(9, OrderState::Paying);
        let hundred = moved(&nine, 100, OrderState::Succeeded);
        let top = moved(&nine, i32::MAX, OrderState::Reversed);
        for put in [&nine, &hundred, &nine, &top, &hundred] {
            cache.refill(put.clone().into());
        }
        cache.drain().await;
        assert_eq!(cache.order(&nine.order_no).await, Some(top));
    })
    .await;
}

#[tokio::test]
async fn racing_writers_leave_the_newest_version() {
    everywhere(async |cache| {
        let order = order_at(0, OrderState::Created);
        let tasks: Vec<_> = (0..40)
            .map(|number: i32| {
                let (cache, order) = (cache.clone(), order.clone());
                tokio::spawn(async move {
                    // Each task walks the versions in an order of its own.
                    for step in 0..40 {
                        let version = (step * 7 + number) % 41;
                        let state = if version == 40 {
                            OrderState::Succeeded
                        } else {
                            OrderState::Paying
                        };
                        let put = moved(&order, version, state).into();
                        if number % 2 == 0 {
                            cache.mirror(vec![put]);
                        } else {
                            cache.refill(put);
                        }
                        let before = cache.order(&order.order_no).await.map(|o| o.version);
                        let after = cache.order(&order.order_no).await.map(|o| o.version);
                        assert!(
                            before.is_none() || after.is_none() || before <= after,
                            "a reader was shown {before:?} and then {after:?}"
                        );
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        cache.drain().await;
        let last = cache.order(&order.order_no).await.unwrap();
        assert_eq!((last.version, last.state), (40, OrderState::Succeeded));
    })
    .await;
}

#[tokio::test]
async fn who_commits_reads_no_older_state_even_before_the_mirror_is_done() {
    everywhere(async |cache| {
        let order = order_at(0, OrderState::Created);
        cache.mirror(vec![order.clone().into()]);
        cache.drain().await;
        for version in 1..50 {
            cache.mirror(vec![moved(&order, version, OrderState::Paying).into()]);
            // Not drained: a miss is right here, an older state is not.
            let seen = cache.order(&order.order_no).await;
            let seen = seen.map(|seen| seen.version);
            assert!(
                seen.is_none_or(|seen| seen == version),
                "{seen:?} was shown after {version} was committed"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn lives_follow_the_state() {
    let Some(redis) = PrivateRedis::start("how long values live in Redis") else {
        return;
    };
    let cache = Cache::open(&patient(&redis.url()), start()).unwrap();
    let biller = BillerCode::try_new("bj-power").unwrap();
    let bill = some_bill();
    let expected: BTreeMap<String, i64> = [
        (keep(&cache, order_at(1, OrderState::Unknown)), 30),
        (keep(&cache, order_at(1, OrderState::Manual)), 30),
        (keep(&cache, order_at(1, OrderState::Closed)), 900),
        (keep(&cache, order_at(1, OrderState::Succeeded)), 900),
        (keep(&cache, flow_at(0, FlowState::Started)), 30),
        (keep(&cache, flow_at(1, FlowState::Reversed)), 900),
        (format!("payhall:bill:{biller}:{}", bill.bill_no), 60),
    ]
    .into();
    cache.keep_bill(&biller, bill);
    cache.drain().await;
    for (key, life_s) in expected {
        let Answer::Number(left_ms) = redis.ask(&["PTTL", &key]) else {
            panic!("{key} has no life");
        };
        let most = life_s * 1_000;
        assert!((1..=most).contains(&left_ms), "{key}: {left_ms} ms");
        assert!(left_ms > most / 2, "{key}: {left_ms} ms of {most}");
    }
}

fn keep(cache: &Cache, value: impl Into<Snapshot>) -> String {
    let snapshot = value.into();
    let key = snapshot.key();
    cache.mirror(vec![snapshot]);
    key
}

#[test]
fn reads_are_counted_by_kind_and_result() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let cache = Cache::open(&CacheSettings::default(), start()).unwrap();
            let order = order_at(0, OrderState::Created);
            assert_eq!(cache.order(&order.order_no).await, None);
            cache.refill(order.clone().into());
            assert!(cache.order(&order.order_no).await.is_some());
            assert!(cache.order(&order.order_no).await.is_some());
        });
        recorder.handle().render()
    });
    for line in [
        "payhall_cache_reads_total{kind=\"order\",result=\"miss\"} 1",
        "payhall_cache_reads_total{kind=\"order\",result=\"hit\"} 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn wrong_settings_are_all_named() {
    assert_eq!(CacheSettings::default().problems(), vec![]);
    let wrong = CacheSettings {
        url: "postgres://canary-word@host".into(),
        command_timeout_ms: 0,
        open_ttl_s: 31,
        final_ttl_s: 0,
        bill_ttl_s: 0,
        memory_bytes_max: 0,
        mirror_queue: 0,
    };
    let keys: Vec<_> = wrong.problems().iter().map(|(key, _)| *key).collect();
    let expected = [
        "url",
        "open_ttl_s",
        "command_timeout_ms",
        "final_ttl_s",
        "bill_ttl_s",
        "memory_bytes_max",
        "mirror_queue",
    ];
    assert_eq!(keys, expected);
    let shown = format!(
        "{:?} {:?} {}",
        wrong,
        wrong.problems(),
        serde_json::to_string(&wrong).unwrap()
    );
    assert!(!shown.contains("canary-word"), "{shown}");
}

#[test]
fn the_default_settings_are_those_of_the_compiled_in_file() {
    let file = include_str!("../../deploy/payhall.default.toml");
    let file: toml::Table = file.parse().unwrap();
    let here = toml::Value::try_from(CacheSettings::default()).unwrap();
    assert_eq!(file["cache"], here);
}
