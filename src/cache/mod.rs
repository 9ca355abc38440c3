//! The cache: copies of orders, flows and looked-up bills for those who only want to look.
//!
//! **Nothing that decides about money reads it** (law 7). It serves queries, in front of the
//! database, and everything about it may fail without anybody noticing more than a slower answer:
//! no call returns an error, no call waits for long, and "not here" is always a good answer.
//!
//! What it promises to readers:
//! - A value never gets older where it is kept: a write goes through a fence that lets only a newer
//!   version in, and so does the refill after a miss. A slow reader cannot bring an old state back.
//! - On the replica that committed a change nobody is shown the state before it (`floor`), not even
//!   if it died between the commit and the write, and was started again: open states from before
//!   its start are not believed until the last of them has run out.
//! - Elsewhere an older state may be shown, only if a mirror write was lost, for as long as that
//!   state lives: 30 s at most for an open one, 15 min for one at rest that people decided about.
//!
//! Two places, one behaviour: Redis (`remote`, `link`, `mirror`) for many replicas, the memory of
//! the process (`memory`) for one. This is the only room that knows the crates redis and moka.
//!
//! How one could break it: by reading a balance, a state or a limit from here before moving money,
//! or by a key whose value is not fenced although two writers can meet on it.

mod floor;
mod link;
mod memory;
mod mirror;
mod remote;
mod settings;
mod snapshot;
mod survey;

#[cfg(test)]
#[path = "../../tests/support/redis.rs"]
mod private_redis;
#[cfg(test)]
mod test_values;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_redis;

pub use link::{BadUrl, Trouble};
pub use settings::{CacheSettings, OPEN_TTL_S_MAX};
pub use snapshot::Snapshot;
pub use survey::{Survey, SurveyError};

use crate::domain::bill::Bill;
use crate::domain::flow::Flow;
use crate::domain::ids::{BillNo, BillerCode, FlowNo, OrderNo};
use crate::domain::order::Order;
use crate::domain::time;
use floor::Floor;
use link::{Link, Target};
use memory::Memory;
use mirror::Mirror;
use remote::Remote;
use secrecy::ExposeSecret;
use snapshot::{Fenced, Mark, bill_key, decode, flow_key, order_key};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the counter of reads, by kind and result.
const READS: &str = "payhall_cache_reads_total";

/// The cache; a clone is a handle to the same one.
#[derive(Clone)]
pub struct Cache {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Memory(Memory),
    Redis {
        remote: Arc<Remote>,
        mirror: Mirror,
        floor: Arc<Floor>,
        start: Start,
    },
}

/// When this replica began, and how long open states from before can be left in Redis.
#[derive(Clone, Copy)]
struct Start {
    at: time::Instant,
    doubted_until: Instant,
}

impl Cache {
    /// Opens the cache that the settings name. Redis need not be there: the connection is made in
    /// the background, so only a URL that cannot be read is an error. Has to be called inside the
    /// runtime. `now` is when this replica starts, by the center's clock.
    pub fn open(settings: &CacheSettings, now: time::Instant) -> Result<Self, BadUrl> {
        let lives = settings.lives();
        let target = Target::parse(settings.url.expose_secret())?;
        let deadline = Duration::from_millis(settings.command_timeout_ms);
        let place = match Link::open(target, deadline)? {
            None => Place::Memory(Memory::new(settings.memory_bytes_max, lives)),
            Some(link) => {
                let remote = Arc::new(Remote::new(link));
                let floor = Arc::new(Floor::new(lives.longest()));
                let mirror = Mirror::start(
                    Arc::clone(&remote),
                    Arc::clone(&floor),
                    lives,
                    settings.mirror_queue,
                );
                Place::Redis {
                    remote,
                    mirror,
                    floor,
                    start: Start {
                        at: now,
                        doubted_until: Instant::now() + lives.open,
                    },
                }
            }
        };
        Ok(Self { place })
    }

    /// Takes over what was just committed. Call it after the commit and before anybody is told:
    /// then nobody on this replica is shown an older state. Never blocks, never fails.
    pub fn mirror(&self, snapshots: Vec<Snapshot>) {
        match &self.place {
            Place::Memory(memory) => {
                for snapshot in snapshots {
                    memory.keep(snapshot);
                }
            }
            Place::Redis { mirror, .. } => mirror.committed(snapshots),
        }
    }

    /// Takes over what was read from the database after a miss. Never blocks, never fails.
    pub fn refill(&self, snapshot: Snapshot) {
        match &self.place {
            Place::Memory(memory) => memory.keep(snapshot),
            Place::Redis { mirror, .. } => mirror.found(snapshot),
        }
    }

    /// The order, if it is here.
    pub async fn order(&self, order_no: &OrderNo) -> Option<Order> {
        let key = order_key(order_no);
        let read = match &self.place {
            Place::Memory(memory) => Read::from(memory.order(&key)),
            Place::Redis {
                remote,
                floor,
                start,
                ..
            } => {
                let fence = Fence {
                    remote,
                    floor,
                    start: *start,
                };
                fence.read(&key, Mark::order(order_no.as_str())).await
            }
        };
        read.counted("order")
    }

    /// The flow, if it is here.
    pub async fn flow(&self, flow_no: &FlowNo) -> Option<Flow> {
        let key = flow_key(flow_no);
        let read = match &self.place {
            Place::Memory(memory) => Read::from(memory.flow(&key)),
            Place::Redis {
                remote,
                floor,
                start,
                ..
            } => {
                let fence = Fence {
                    remote,
                    floor,
                    start: *start,
                };
                fence.read(&key, Mark::flow(flow_no.as_str())).await
            }
        };
        read.counted("flow")
    }

    /// The bill that a biller told us about a moment ago, if it is here. For showing it again, not
    /// for paying: a payment is checked against the biller's own word.
    pub async fn bill(&self, biller: &BillerCode, bill_no: &BillNo) -> Option<Bill> {
        let key = bill_key(biller, bill_no);
        let read = match &self.place {
            Place::Memory(memory) => Read::from(memory.bill(&key)),
            Place::Redis { remote, .. } => Read::of(remote.read(&key).await, |text| {
                let (_, bill) = decode::<Bill>(text)?;
                (bill.bill_no == *bill_no).then_some(bill)
            }),
        };
        read.counted("bill")
    }

    /// Keeps a bill for a short while. Never blocks, never fails.
    pub fn keep_bill(&self, biller: &BillerCode, bill: Bill) {
        let key = bill_key(biller, &bill.bill_no);
        match &self.place {
            Place::Memory(memory) => memory.keep_bill(key, bill),
            Place::Redis { mirror, .. } => mirror.bill(key, bill),
        }
    }

    /// Whether the place where values are kept answers; for health checks. The center works
    /// without it.
    pub async fn ping(&self) -> Result<(), Trouble> {
        match &self.place {
            Place::Memory(_) => Ok(()),
            Place::Redis { remote, .. } => remote.ping().await,
        }
    }

    /// Waits until everything handed over before is written or given up: a few seconds at most,
    /// even if Redis is dead.
    pub async fn drain(&self) {
        match &self.place {
            Place::Memory(_) => {}
            Place::Redis { mirror, .. } => mirror.drain().await,
        }
    }
}

/// What stands between Redis and readers.
struct Fence<'a> {
    remote: &'a Remote,
    floor: &'a Floor,
    start: Start,
}

impl Fence<'_> {
    /// Reads a value and believes it only if it is the one that was asked for, with the version that
    /// stands before it, and not older than what this replica committed, in this life or the last.
    async fn read<T: Fenced>(&self, key: &str, mark: Mark) -> Read<T> {
        let least = self.floor.least(mark, Instant::now());
        let read = Read::of(self.remote.read(key).await, |text| {
            let (version, value) = decode::<T>(text)?;
            (value.version() == version && value.mark() == mark).then_some(value)
        });
        match read {
            Read::Hit(value) if i64::from(value.version()) < least => Read::Miss,
            Read::Hit(value) if self.start.doubts(&value) => Read::Miss,
            read => read,
        }
    }
}

impl Start {
    /// Whether a copy may be of before a change that this replica committed in its last life.
    fn doubts<T: Fenced>(&self, value: &T) -> bool {
        let is_before = value.open_since().is_some_and(|since| since <= self.at);
        is_before && Instant::now() < self.doubted_until
    }
}

/// How a read went; to callers a miss and an error are the same.
enum Read<T> {
    Hit(T),
    Miss,
    Error,
}

impl<T> Read<T> {
    fn of(
        text: Result<Option<Vec<u8>>, Trouble>,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Read<T> {
        match text {
            Ok(Some(text)) => decode(&text).map_or(Read::Error, Read::Hit),
            Ok(None) => Read::Miss,
            Err(_) => Read::Error,
        }
    }

    fn counted(self, kind: &'static str) -> Option<T> {
        let (result, value) = match self {
            Read::Hit(value) => ("hit", Some(value)),
            Read::Miss => ("miss", None),
            Read::Error => ("error", None),
        };
        metrics::counter!(READS, "kind" => kind, "result" => result).increment(1);
        value
    }
}

impl<T> From<Option<T>> for Read<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Read::Miss, Read::Hit)
    }
}
