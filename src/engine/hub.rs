//! Tells whoever listens that an order moved (the subscription of the API), and the sender of
//! notifications that there is something to look for.

use crate::domain::order::Order;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast};

/// How many moves a slow listener may lag behind before it has to look at the order itself.
const LAG_MAX: usize = 4_096;

/// A place where moves of orders are announced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    moves: broadcast::Sender<Order>,
    notifications: Arc<Notify>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            moves: broadcast::Sender::new(LAG_MAX),
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
