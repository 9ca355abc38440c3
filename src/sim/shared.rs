//! What all tasks of one simulated world share: the world under its lock, counters, and the end.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::files::Desk;
use super::late::Late;
use super::world::World;

/// What all connections of one simulated world share.
pub(super) struct Shared {
    world: Mutex<World>,
    pub clock: Clock,
    pub files: Desk,
    pub latency_ms: AtomicU64,
    pub connections: AtomicUsize,
    pub late_pending: AtomicUsize,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    /// Around a world that nobody has called yet.
    pub fn new(world: World, files: Desk, latency_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(world),
            clock: Clock::new(),
            files,
            latency_ms: AtomicU64::new(latency_ms),
            connections: AtomicUsize::new(0),
            late_pending: AtomicUsize::new(0),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The world, for a moment: nothing may be awaited while it is held.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task until it ends or the simulated world stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Lets a late effect happen when it is due.
    pub fn expect(self: &Arc<Self>, late: Late) {
        let shared = Arc::clone(self);
        self.late_pending.fetch_add(1, Ordering::SeqCst);
        self.spawn(async move {
            shared.clock.until(late.due).await;
            let now = shared.clock.now();
            // A ledger that cannot be written has been complained about already.
            let _ = shared.world().happen(&late.effect, now);
            shared.late_pending.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Tells all tasks to end.
    pub fn cancel(&self) {
        self.stopping.cancel();
    }

    /// Tells all tasks to end, and returns when they have.
    pub async fn stop(&self) {
        self.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Counts a connection for as long as it lives.
pub(super) struct Connected(Arc<Shared>);

impl Connected {
    /// Counts one more.
    pub fn new(shared: Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl std::ops::Deref for Connected {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
