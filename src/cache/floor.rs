//! Which version this replica has committed and Redis may not have yet.
//!
//! The mirror writes to Redis a moment after the commit, and may lose a write. Without this list a
//! caller who was just told "succeeded" could ask again and be shown "paying". With it a cached
//! value below the version that this replica handed over counts as a miss, and the database
//! answers. Other replicas do not have the list; what they may show is bounded by the short life
//! of open states.
//!
//! The list holds numbers and versions only, and not for long: an entry goes when its write is
//! done, or when whatever older value Redis holds has run out. Should more writes be lost than it
//! can hold, it does not guess: Redis is not believed at all until the older values have run out.

use super::snapshot::Mark;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;
const SHARD_ENTRIES_MAX: usize = 4096;
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Handed {
    version: i32,
    /// `None` while the write is under way; a time from which on nothing older can be left.
    until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shard {
    handed: HashMap<Mark, Handed>,
    swept_at: Option<Instant>,
    blind_until: Option<Instant>,
}

/// The list.
#[derive(Debug)]
pub(super) struct Floor {
    shards: [Mutex<Shard>; SHARDS],
    entries_max: usize,
    life: Duration,
}

impl Floor {
    /// `life`: how long an older value can be left in Redis after a lost write.
    pub(super) fn new(life: Duration) -> Self {
        Self {
            shards: Default::default(),
            entries_max: SHARD_ENTRIES_MAX,
            life,
        }
    }

    /// A version was committed here; its write is under way.
    pub(super) fn hand_over(&self, mark: Mark, version: i32, now: Instant) {
        self.raise(mark, version, None, now);
    }

    /// Redis has this version, or a newer one.
    pub(super) fn written(&self, mark: Mark, version: i32) {
        let mut shard = self.shard(mark);
        if let Entry::Occupied(entry) = shard.handed.entry(mark)
            && entry.get().version <= version
        {
            entry.remove();
        }
    }

    /// The write of this version was given up.
    pub(super) fn lost(&self, mark: Mark, version: i32, now: Instant) {
        self.raise(mark, version, Some(now + self.life), now);
    }

    /// The version below which a value is older than what this replica committed; above every
    /// version where nothing is to be believed. To be asked *before* Redis is: the entry goes when
    /// the write is done, and a reader whose answer crossed that write would miss it.
    pub(super) fn least(&self, mark: Mark, now: Instant) -> i64 {
        let mut shard = self.shard(mark);
        if shard.blind_until.is_some_and(|until| now < until) {
            return i64::MAX;
        }
        match shard.handed.entry(mark) {
            Entry::Occupied(entry) if entry.get().until.is_some_and(|until| until <= now) => {
                entry.remove();
                i64::MIN
            }
            Entry::Occupied(entry) => i64::from(entry.get().version),
            Entry::Vacant(_) => i64::MIN,
        }
    }

    fn raise(&self, mark: Mark, version: i32, until: Option<Instant>, now: Instant) {
        let mut shard = self.shard(mark);
        if let Some(entry) = shard.handed.get_mut(&mark) {
            if entry.version < version {
                *entry = Handed { version, until };
            } else if entry.version == version {
                entry.until = until;
            }
            return;
        }
        if shard.handed.len() >= self.entries_max {
            let due = shard.swept_at.is_none_or(|at| at + SWEEP_EVERY <= now);
            if due {
                shard.swept_at = Some(now);
                shard
                    .handed
                    .retain(|_, entry| entry.until.is_none_or(|until| now < until));
            }
        }
        if shard.handed.len() >= self.entries_max {
            shard.blind_until = Some(now + self.life);
        } else {
            shard.handed.insert(mark, Handed { version, until });
        }
    }

    fn shard(&self, mark: Mark) -> MutexGuard<'_, Shard> {
        let index = mark.spread(SHARDS);
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(30);

    fn floor(entries_max: usize) -> Floor {
        Floor {
            entries_max,
            ..Floor::new(LIFE)
        }
    }

    impl Floor {
        fn hides(&self, mark: Mark, version: i32, now: Instant) -> bool {
            i64::from(version) < self.least(mark, now)
        }
    }

    #[test]
    fn what_was_handed_over_hides_older_values_until_it_is_written() {
        let (floor, now, mark) = (floor(9), Instant::now(), Mark::order("12"));
        assert!(!floor.hides(mark, 0, now), "nothing was handed over yet");
        floor.hand_over(mark, 3, now);
        assert!(floor.hides(mark, 2, now));
        assert!(!floor.hides(mark, 3, now));
        assert!(!floor.hides(mark, 4, now), "another replica went on");
        floor.written(mark, 2);
        assert!(floor.hides(mark, 2, now), "3 is still under way");
        floor.written(mark, 3);
        assert!(!floor.hides(mark, 2, now));
    }

    #[test]
    fn an_order_and_a_flow_of_one_number_are_two_things() {
        let (floor, now) = (floor(9), Instant::now());
        floor.hand_over(Mark::order("12"), 3, now);
        assert!(!floor.hides(Mark::flow("12"), 0, now));
    }

    #[test]
    fn a_lost_write_hides_older_values_until_they_have_run_out() {
        let (floor, now, mark) = (floor(9), Instant::now(), Mark::flow("7"));
        floor.hand_over(mark, 5, now);
        floor.lost(mark, 5, now);
        assert!(floor.hides(mark, 4, now + LIFE - Duration::from_millis(1)));
        assert!(!floor.hides(mark, 4, now + LIFE));
    }

    #[test]
    fn a_late_report_about_an_older_version_changes_nothing() {
        let (floor, now, mark) = (floor(9), Instant::now(), Mark::flow("7"));
        floor.hand_over(mark, 5, now);
        floor.lost(mark, 4, now);
        floor.hand_over(mark, 3, now);
        assert!(
            floor.hides(mark, 4, now + LIFE),
            "5 is under way without an end"
        );
    }

    #[test]
    fn a_full_list_believes_nothing_and_recovers() {
        let (floor, now) = (floor(2), Instant::now());
        let marks: Vec<Mark> = (0..64)
            .map(|number| Mark::order(&number.to_string()))
            .collect();
        for mark in &marks {
            floor.lost(*mark, 1, now);
        }
        let blind = marks.iter().all(|mark| floor.hides(*mark, 0, now));
        assert!(blind, "recorded or not, an older value is hidden");
        let blind = marks.iter().any(|mark| floor.hides(*mark, 9, now));
        assert!(blind, "where the list overflowed nothing is believed");

        let later = now + LIFE + SWEEP_EVERY;
        for mark in &marks {
            floor.hand_over(*mark, 2, later);
            floor.written(*mark, 2);
        }
        assert!(
            !marks.iter().any(|mark| floor.hides(*mark, 2, later)),
            "the list was swept and everything is written"
        );
    }
}
