//! Tells whoever listens that an order or a run of a job moved (the subscriptions of the API, the driver of
//! the jobs), and the sender of notifications that there is something to look for.

use crate::domain::job::JobRun;
use crate::domain::order::Order;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast};

/// How many moves a slow listener may lag behind before it has to look at the order itself.
const LAG_MAX: usize = 4_096;
/// The same, of runs of jobs.
const RUNS_LAG_MAX: usize = 256;

/// A place where moves of orders are announced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    moves: broadcast::Sender<Order>,
    runs: broadcast::Sender<JobRun>,
    notifications: Arc<Notify>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            moves: broadcast::Sender::new(LAG_MAX),
            runs: broadcast::Sender::new(RUNS_LAG_MAX),
            notifications: Arc::default(),
        }
    }
}

impl Hub {
    /// Announces orders as they now stand; nobody may be listening.
    pub fn announce(&self, orders: &[Order]) {
        if self.moves.receiver_count() > 0 {
            for order in orders {
                let _ = self.moves.send(order.clone());
            }
        }
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Order> {
        self.moves.subscribe()
    }

    /// Announces a run of a job as it now stands; nobody may be listening.
    pub fn announce_run(&self, run: &JobRun) {
        if self.runs.receiver_count() > 0 {
            let _ = self.runs.send(run.clone());
        }
    }

    /// Listens to runs from now on.
    pub fn listen_runs(&self) -> broadcast::Receiver<JobRun> {
        self.runs.subscribe()
    }

    /// Says that a commit brought notifications. Said many times before somebody looks, it counts once;
    /// said while nobody waits, it is kept.
    pub fn announce_notifications(&self) {
        self.notifications.notify_one();
    }

    /// Completes when notifications were announced since the last time.
    pub async fn notified(&self) {
        self.notifications.notified().await;
    }
}
