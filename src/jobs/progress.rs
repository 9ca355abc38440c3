//! How far a run has come, kept until the lease is renewed and it can be written with it.

use crate::domain::job::RunProgress;
use crate::domain::progress::Progress;
use crate::domain::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing was told yet, or nobody knows the total.
const UNKNOWN: u64 = u64::MAX;

/// The last that a run told. Costs two stores a call, so a job may call it for every row.
#[derive(Debug)]
pub struct KeptProgress {
    since: Instant,
    done: AtomicU64,
    total: AtomicU64,
}

impl KeptProgress {
    /// Of a run that its holder begins at an instant.
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            done: AtomicU64::new(UNKNOWN),
            total: AtomicU64::new(UNKNOWN),
        }
    }

    /// How far it has come by an instant; none where nothing was told.
    pub(super) fn by(&self, at: Instant) -> Option<RunProgress> {
        let known = |count: &AtomicU64| {
            Some(count.load(Ordering::Relaxed)).filter(|count| *count != UNKNOWN)
        };
        Some(RunProgress {
            done: known(&self.done)?,
            total: known(&self.total),
            since: self.since,
            at,
        })
    }
}

impl Progress for KeptProgress {
    fn at(&self, done: u64, total: Option<u64>) {
        self.total
            .store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }
}
