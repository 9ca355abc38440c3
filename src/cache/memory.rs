//! The embedded twin of Redis: the same keys, the same fence, the same lives, in the memory of the
//! process and bounded by its weight.
//!
//! Values are kept as they are, without JSON, and a write is done when the call returns. So a
//! single replica on SQLite reads its own writes without any further care.

use super::settings::Lives;
use super::snapshot::Snapshot;
use crate::domain::bill::Bill;
use crate::domain::flow::Flow;
use crate::domain::order::Order;
use moka::Expiry;
use moka::ops::compute::Op;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the map itself needs for an entry, roughly: its node, its place in the queues, its clocks.
const ENTRY_BYTES: usize = 256;

#[derive(Clone, Debug)]
enum Kept {
    Order(Arc<Order>),
    Flow(Arc<Flow>),
    Bill(Arc<Bill>),
}

#[derive(Clone, Debug)]
struct Held {
    kept: Kept,
    version: i32,
    life: Duration,
}

/// Lets each entry live as long as it says itself, counted from its last write.
struct OwnLife;

impl Expiry<String, Held> for OwnLife {
    fn expire_after_create(&self, _: &String, held: &Held, _: Instant) -> Option<Duration> {
        Some(held.life)
    }

    fn expire_after_update(
        &self,
        _: &String,
        held: &Held,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(held.life)
    }
}

/// The map.
#[derive(Clone)]
pub(super) struct Memory {
    map: moka::sync::Cache<String, Held>,
    lives: Lives,
}

impl Memory {
    /// An empty map that holds `bytes_max` bytes, roughly.
    pub(super) fn new(bytes_max: u64, lives: Lives) -> Self {
        let map = moka::sync::Cache::builder()
            .weigher(|key: &String, held: &Held| weight(key, held))
            .max_capacity(bytes_max)
            .expire_after(OwnLife)
            .build();
        Self { map, lives }
    }

    /// Keeps a snapshot unless one of the same or a newer version is there.
    pub(super) fn keep(&self, snapshot: Snapshot) {
        let (key, version) = (snapshot.key(), snapshot.version());
        let life = snapshot.life(&self.lives);
        let kept = match snapshot {
            Snapshot::Order(order) => Kept::Order(Arc::new(order)),
            Snapshot::Flow(flow) => Kept::Flow(Arc::new(flow)),
        };
        let held = Held {
            kept,
            version,
            life,
        };
        self.map.entry(key).and_compute_with(|there| match there {
            Some(entry) if entry.value().version >= version => Op::Nop,
            _ => Op::Put(held),
        });
    }

    /// Keeps a bill in place of the one that was there.
    pub(super) fn keep_bill(&self, key: String, bill: Bill) {
        let held = Held {
            kept: Kept::Bill(Arc::new(bill)),
            version: 0,
            life: self.lives.bill,
        };
        self.map.insert(key, held);
    }

    /// The order under a key.
    pub(super) fn order(&self, key: &str) -> Option<Order> {
        match self.map.get(key)?.kept {
            Kept::Order(order) => Some(Arc::unwrap_or_clone(order)),
            Kept::Flow(_) | Kept::Bill(_) => None,
        }
    }

    /// The flow under a key.
    pub(super) fn flow(&self, key: &str) -> Option<Flow> {
        match self.map.get(key)?.kept {
            Kept::Flow(flow) => Some(Arc::unwrap_or_clone(flow)),
            Kept::Order(_) | Kept::Bill(_) => None,
        }
    }

    /// The bill under a key.
    pub(super) fn bill(&self, key: &str) -> Option<Bill> {
        match self.map.get(key)?.kept {
            Kept::Bill(bill) => Some(Arc::unwrap_or_clone(bill)),
            Kept::Order(_) | Kept::Flow(_) => None,
        }
    }
}

/// The bytes of an entry, roughly: the value, its texts, its key and the map's own share.
fn weight(key: &str, held: &Held) -> u32 {
    let texts = |options: &[&Option<String>]| -> usize {
        options
            .iter()
            .filter_map(|text| text.as_deref())
            .map(str::len)
            .sum()
    };
    let value = match &held.kept {
        Kept::Order(order) => {
            size_of::<Order>()
                + order.order_no.as_str().len()
                + order.merchant.as_str().len()
                + order.request_no.as_str().len()
                + order.fingerprint.len()
                + order.item.as_str().len()
                + order.biller.as_str().len()
                + order.bill_no.as_str().len()
                + texts(&[&order.bill_ref, &order.reason])
        }
        Kept::Flow(flow) => {
            size_of::<Flow>()
                + flow.flow_no.as_str().len()
                + flow.order_no.as_str().len()
                + flow.adapter.as_str().len()
                + texts(&[&flow.code, &flow.upstream_ref, &flow.message])
        }
        Kept::Bill(bill) => {
            size_of::<Bill>()
                + bill.bill_no.as_str().len()
                + texts(&[&bill.period, &bill.holder_masked, &bill.bill_ref])
        }
    };
    u32::try_from(value + key.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::test_values::{order_at, some_bill};
    use crate::domain::order::OrderState;

    const LIVES: Lives = Lives {
        open: Duration::from_secs(30),
        settled: Duration::from_secs(900),
        bill: Duration::from_secs(60),
    };

    #[test]
    fn each_entry_lives_as_long_as_its_state_says() {
        let memory = Memory::new(1 << 20, LIVES);
        let life = |version, state| {
            let order = order_at(version, state);
            let key = Snapshot::Order(order.clone()).key();
            memory.keep(order.into());
            let held = memory.map.get(&key).unwrap();
            let now = Instant::now();
            let created = OwnLife.expire_after_create(&key, &held, now);
            assert_eq!(created, OwnLife.expire_after_update(&key, &held, now, None));
            created.unwrap().as_secs()
        };
        assert_eq!(life(0, OrderState::Created), 30);
        assert_eq!(life(1, OrderState::Manual), 30);
        assert_eq!(life(2, OrderState::Succeeded), 900);

        memory.keep_bill("bill".to_owned(), some_bill());
        assert_eq!(memory.map.get("bill").unwrap().life.as_secs(), 60);
    }

    #[test]
    fn an_entry_that_has_run_out_is_gone() {
        let brief = Lives {
            open: Duration::from_nanos(1),
            ..LIVES
        };
        let memory = Memory::new(1 << 20, brief);
        let order = order_at(0, OrderState::Created);
        let key = Snapshot::Order(order.clone()).key();
        memory.keep(order.into());
        while memory.order(&key).is_some() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_weight_is_bounded() {
        let memory = Memory::new(100_000, LIVES);
        for _ in 0..1_000 {
            memory.keep(order_at(0, OrderState::Created).into());
        }
        memory.map.run_pending_tasks();
        assert!(memory.map.weighted_size() <= 100_000);
        assert!(memory.map.entry_count() > 20);
    }
}
