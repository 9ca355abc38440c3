//! A manual clock that knows who sleeps on it, so that a test can move time exactly to the next
//! thing that waits for it, without ever guessing whether the engine is ready.

use futures_util::future::BoxFuture;
use payhall::domain::exception::later;
use payhall::domain::time::Instant;
use payhall::engine::{Clock, ManualClock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The millisecond by which a caller's wait for its answer is told from a pause between two tries,
/// which is whole seconds. (Their lengths do not tell: a caller may have little time left.)
pub const MARK: Duration = Duration::from_millis(1);

/// The clock. A clone is a handle to the same one.
#[derive(Clone)]
pub struct TestClock {
    time: ManualClock,
    sleepers: Arc<Mutex<Sleepers>>,
    changed: watch::Sender<u64>,
    ahead: Duration,
}

#[derive(Default)]
struct Sleepers {
    next_id: u64,
    by_id: BTreeMap<u64, Sleeper>,
}

#[derive(Clone, Copy)]
struct Sleeper {
    due: Instant,
    wait: Duration,
}

impl Sleeper {
    fn is_try(&self) -> bool {
        self.wait.subsec_millis() == 0
    }
}

impl TestClock {
    /// A clock that stands at an instant.
    pub fn new(at: Instant) -> Self {
        Self {
            time: ManualClock::new(at),
            sleepers: Arc::default(),
            changed: watch::Sender::new(0),
            ahead: Duration::ZERO,
        }
    }

    /// The same clock as a machine shows it that is ahead.
    pub fn ahead_by(&self, ahead: Duration) -> Self {
        Self {
            ahead,
            ..self.clone()
        }
    }

    /// Moves time forward and wakes whoever slept long enough. Nobody lies down meanwhile, so that
    /// what a sleeper waits for and what is written down about it are the same instant.
    pub fn advance(&self, by: Duration) {
        let _nobody_lies_down = self.sleepers.lock().unwrap();
        self.time.advance(by);
    }

    /// Moves time forward to an instant; nothing happens if it has passed already.
    pub fn advance_to(&self, at: Instant) {
        if let Ok(by) = (at - self.now()).to_std() {
            self.advance(by);
        }
    }

    /// When the next pause between two tries ends, of those that have not ended yet.
    pub fn next_try(&self) -> Option<Instant> {
        self.earliest(Sleeper::is_try)
    }

    /// When the next caller has to be answered.
    pub fn next_answer(&self) -> Option<Instant> {
        self.earliest(|sleeper| !sleeper.is_try())
    }

    /// How many pauses between two tries have not ended yet.
    pub fn tries_asleep(&self) -> usize {
        self.asleep(Sleeper::is_try)
    }

    /// How many callers wait for their answer.
    pub fn answers_asleep(&self) -> usize {
        self.asleep(|sleeper| !sleeper.is_try())
    }

    fn asleep(&self, counts: impl Fn(&Sleeper) -> bool) -> usize {
        let now = self.time.now();
        let sleepers = self.sleepers.lock().unwrap();
        let asleep = |s: &&Sleeper| counts(s) && s.due > now;
        sleepers.by_id.values().filter(asleep).count()
    }

    /// Changes whenever somebody falls asleep or wakes up.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn earliest(&self, counts: impl Fn(&Sleeper) -> bool) -> Option<Instant> {
        let now = self.now();
        let sleepers = self.sleepers.lock().unwrap();
        let waiting = sleepers.by_id.values().filter(|s| s.due > now && counts(s));
        waiting.map(|sleeper| sleeper.due).min()
    }

    fn lie_down(&self, wait: Duration) -> (BoxFuture<'static, ()>, Bed) {
        let mut sleepers = self.sleepers.lock().unwrap();
        let id = sleepers.next_id;
        sleepers.next_id += 1;
        let due = later(self.time.now(), wait);
        sleepers.by_id.insert(id, Sleeper { due, wait });
        let sleep = self.time.sleep(wait);
        drop(sleepers);
        self.changed.send_modify(|count| *count += 1);
        let clock = self.clone();
        (sleep, Bed { clock, id })
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        later(self.time.now(), self.ahead)
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let (sleep, bed) = self.lie_down(wait);
        Box::pin(async move {
            sleep.await;
            drop(bed);
        })
    }
}

/// The place of a sleeper; free again when it wakes or is dropped.
struct Bed {
    clock: TestClock,
    id: u64,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.clock.sleepers.lock().unwrap().by_id.remove(&self.id);
        self.clock.changed.send_modify(|count| *count += 1);
    }
}
