//! Time as the engine sees it: handed in from outside, so that a test runs a day in a second.

use crate::domain::time::{Instant, to_micros};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A clock that tells the time and wakes sleepers.
pub trait Clock: Send + Sync {
    /// Now, in UTC with microseconds.
    fn now(&self) -> Instant;
    /// Completes when so much time has passed on this clock.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one door to the machine's clock"
    )]
    fn now(&self) -> Instant {
        to_micros(chrono::Utc::now())
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// A clock that stands still until it is moved. Sleepers wake when it has moved past their time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<Instant>>,
    moved: watch::Sender<Instant>,
}

impl ManualClock {
    /// A clock that stands at an instant.
    pub fn new(at: Instant) -> Self {
        Self {
            now: Arc::new(Mutex::new(at)),
            moved: watch::Sender::new(at),
        }
    }

    /// Sets the clock, forward or back, and wakes whoever slept long enough.
    pub fn set(&self, at: Instant) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = at;
        self.moved.send_replace(at);
    }

    /// Moves the clock forward and wakes whoever slept long enough.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = crate::domain::exception::later(*now, by);
            *now
        };
        self.moved.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let due = crate::domain::exception::later(self.now(), wait);
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // The sender lives in the clock; if it is gone, nobody will move time again.
            let _ = moved.wait_for(|now| *now >= due).await;
        })
    }
}
