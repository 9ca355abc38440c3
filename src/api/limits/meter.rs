//! One limit over many callers: a token bucket for each, by governor, in bounded memory.

use super::{Limit, Stopwatch};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How many callers one limit remembers. Past that it forgets who has been quiet, and if everybody
/// was busy, all of them: then each may use its burst once more, and the memory stays what it is.
const KEYS_MAX: usize = 100_000;
/// After how many counts the number of callers is looked at.
const LOOK_EVERY: u32 = 1_024;

impl Clock for Stopwatch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

/// A limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Limited {
    /// Which one.
    pub limit: Limit,
    /// When to come again, in whole seconds: 1 at least.
    pub retry_after_s: u64,
}

impl Limited {
    /// A limit that was just met; it is counted by that.
    pub fn new(limit: Limit, wait: Duration) -> Self {
        limit.met();
        let rounded_up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            limit,
            retry_after_s: rounded_up.max(1),
        }
    }

    /// What there was too much of, and when to come again.
    pub fn message(self) -> String {
        let words = self.limit.words();
        format!("{words}; come again in {} s", self.retry_after_s)
    }
}

/// How fast a bucket fills, and how much it holds.
pub(super) struct Pace(Option<Quota>);

impl Pace {
    /// So many a second, and so many at once; 0 a second is no limit.
    pub fn per_second(per_s: u32, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        Self(NonZeroU32::new(per_s).map(|per_s| Quota::per_second(per_s).allow_burst(burst)))
    }

    /// So many a minute, all of them at once if need be; 0 is no limit.
    pub fn per_minute(per_min: u32) -> Self {
        Self(NonZeroU32::new(per_min).map(Quota::per_minute))
    }
}

type Buckets<K> = RateLimiter<K, HashMapStateStore<K>, Stopwatch, NoOpMiddleware<Duration>>;

/// One limit over many callers.
pub(super) struct Meter<K: Hash + Eq + Clone> {
    limit: Limit,
    quota: Option<Quota>,
    stopwatch: Stopwatch,
    buckets: RwLock<Option<Buckets<K>>>,
    /// Who has to wait, and until when, for a limit that is counted after the fact.
    shut: RwLock<HashMap<K, Duration>>,
    counts: AtomicU32,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    /// A limit that nobody has used yet.
    pub fn new(limit: Limit, pace: Pace, stopwatch: &Stopwatch) -> Self {
        let meter = Self {
            limit,
            quota: pace.0,
            stopwatch: stopwatch.clone(),
            buckets: RwLock::new(None),
            shut: RwLock::default(),
            counts: AtomicU32::new(0),
        };
        meter.start_anew();
        meter
    }

    /// Counts one.
    ///
    /// # Errors
    /// It is one too many; it is not counted then.
    pub fn count(&self, key: &K) -> Result<(), Limited> {
        self.take(key)
            .map_err(|wait| Limited::new(self.limit, wait))
    }

    /// Counts one after the fact. When it is one too many, whoever it was has to wait.
    pub fn shut_when_full(&self, key: &K) {
        if let Err(wait) = self.take(key) {
            let until = self.stopwatch.now() + wait;
            let mut shut = self.shut.write().unwrap_or_else(PoisonError::into_inner);
            shut.insert(key.clone(), until);
        }
    }

    /// Whether somebody does not have to wait.
    ///
    /// # Errors
    /// There was one too many a moment ago.
    pub fn check_open(&self, key: &K) -> Result<(), Limited> {
        if self.quota.is_none() {
            return Ok(());
        }
        let until = {
            let shut = self.shut.read().unwrap_or_else(PoisonError::into_inner);
            shut.get(key).copied()
        };
        let wait = until.and_then(|until| until.checked_sub(self.stopwatch.now()));
        match wait {
            Some(wait) if !wait.is_zero() => Err(Limited::new(self.limit, wait)),
            _ => Ok(()),
        }
    }

    /// Forgets whoever has been quiet for so long that it makes no difference.
    pub fn tidy(&self) {
        let now = self.stopwatch.now();
        {
            let mut shut = self.shut.write().unwrap_or_else(PoisonError::into_inner);
            shut.retain(|_, until| *until > now);
            shut.shrink_to_fit();
        }
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(buckets) = &*buckets {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }

    /// How many callers are remembered.
    pub fn len(&self) -> usize {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let shut = self.shut.read().unwrap_or_else(PoisonError::into_inner);
        buckets.as_ref().map_or(0, Buckets::len).max(shut.len())
    }

    /// Takes one out of a bucket; how long to wait where there is none.
    fn take(&self, key: &K) -> Result<(), Duration> {
        if self.quota.is_none() {
            return Ok(());
        }
        if self.counts.fetch_add(1, Ordering::Relaxed) % LOOK_EVERY == LOOK_EVERY - 1 {
            self.bound();
        }
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.as_ref().map(|buckets| buckets.check_key(key));
        match taken {
            Some(Err(until)) => Err(until.wait_time_from(self.stopwatch.now())),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn bound(&self) {
        if self.len() <= KEYS_MAX {
            return;
        }
        self.tidy();
        if self.len() > KEYS_MAX {
            tracing::warn!(
                limit = self.limit.label(),
                "more callers than a limit remembers; all of them start anew"
            );
            self.start_anew();
        }
    }

    fn start_anew(&self) {
        let buckets = self.quota.map(|quota| {
            let clock = self.stopwatch.clone();
            RateLimiter::hashmap_with_clock(quota, clock)
        });
        *self.buckets.write().unwrap_or_else(PoisonError::into_inner) = buckets;
        let mut shut = self.shut.write().unwrap_or_else(PoisonError::into_inner);
        *shut = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn watch() -> (Stopwatch, impl Fn(Duration)) {
        let at = Arc::new(Mutex::new(Duration::ZERO));
        let shown = at.clone();
        let stopwatch = Stopwatch(Arc::new(move || *shown.lock().unwrap()));
        (stopwatch, move |by| *at.lock().unwrap() += by)
    }

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let (stopwatch, pass) = watch();
        let meter = Meter::new(Limit::Merchant, Pace::per_second(2, 3), &stopwatch);
        for _ in 0..3 {
            meter.count(&"a").unwrap();
        }
        let limited = meter.count(&"a").unwrap_err();
        assert_eq!((limited.limit, limited.retry_after_s), (Limit::Merchant, 1));
        assert_eq!(
            limited.message(),
            "too many requests of this merchant; come again in 1 s"
        );
        meter.count(&"b").unwrap();
        pass(Duration::from_millis(499));
        assert!(meter.count(&"a").is_err());
        pass(Duration::from_millis(1));
        meter.count(&"a").unwrap();
        assert!(meter.count(&"a").is_err());
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_rounded_up() {
        let (stopwatch, pass) = watch();
        let meter = Meter::new(Limit::LoginName, Pace::per_minute(4), &stopwatch);
        for _ in 0..4 {
            meter.count(&1).unwrap();
        }
        assert_eq!(meter.count(&1).unwrap_err().retry_after_s, 15);
        pass(Duration::from_millis(100));
        assert_eq!(meter.count(&1).unwrap_err().retry_after_s, 15);
        pass(Duration::from_millis(14_000));
        assert_eq!(meter.count(&1).unwrap_err().retry_after_s, 1);
    }

    #[test]
    fn no_limit_counts_nobody() {
        let (stopwatch, _) = watch();
        for pace in [Pace::per_second(0, 1), Pace::per_minute(0)] {
            let meter = Meter::new(Limit::Address, pace, &stopwatch);
            for _ in 0..10_000 {
                meter.count(&1).unwrap();
                meter.shut_when_full(&1);
                meter.check_open(&1).unwrap();
            }
            assert_eq!(meter.len(), 0);
        }
    }

    #[test]
    fn what_is_counted_after_the_fact_shuts_until_the_next_is_due() {
        let (stopwatch, pass) = watch();
        let meter = Meter::new(Limit::Refused, Pace::per_minute(2), &stopwatch);
        for _ in 0..2 {
            meter.shut_when_full(&"a");
            meter.check_open(&"a").unwrap();
        }
        meter.shut_when_full(&"a");
        assert_eq!(meter.check_open(&"a").unwrap_err().retry_after_s, 30);
        meter.check_open(&"b").unwrap();
        pass(Duration::from_secs(30));
        meter.check_open(&"a").unwrap();
        // The one that was due is used up, the next one shuts again.
        meter.shut_when_full(&"a");
        meter.check_open(&"a").unwrap();
        meter.shut_when_full(&"a");
        assert!(meter.check_open(&"a").is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let (stopwatch, pass) = watch();
        let meter = Meter::new(Limit::Address, Pace::per_second(1, 1), &stopwatch);
        let many = u32::try_from(KEYS_MAX).unwrap();
        for key in 0..many {
            meter.count(&key).unwrap();
        }
        assert_eq!(meter.len(), KEYS_MAX);
        pass(Duration::from_secs(2));
        meter.tidy();
        assert_eq!(meter.len(), 0, "all of them have been quiet");
        for key in 0..3 * many {
            meter.count(&key).unwrap();
            meter.shut_when_full(&key);
        }
        let most = KEYS_MAX + usize::try_from(LOOK_EVERY).unwrap();
        assert!(meter.len() <= most, "{}", meter.len());
    }
}
