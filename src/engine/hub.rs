//! Tells whoever listens that an order moved: the subscription of the API, and nobody else.

use crate::domain::order::Order;
use tokio::sync::broadcast;

/// How many moves a slow listener may lag behind before it has to look at the order itself.
const LAG_MAX: usize = 4_096;

/// A place where moves of orders are announced. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub(broadcast::Sender<Order>);

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::Sender::new(LAG_MAX))
    }
}

impl Hub {
    /// Announces orders as they now stand; nobody may be listening.
    pub fn announce(&self, orders: &[Order]) {
        if self.0.receiver_count() > 0 {
            for order in orders {
                let _ = self.0.send(order.clone());
            }
        }
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Order> {
        self.0.subscribe()
    }
}
