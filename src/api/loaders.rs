//! Reads for many rows at once: the flows of a hundred orders are one statement, not a hundred. One
//! loader serves all requests, so those of one moment share a statement too; it keeps nothing.

use super::errors::Problem;
use crate::domain::flow::Flow;
use crate::domain::ids::OrderNo;
use crate::engine::Engine;
use crate::storage::notifications::Tries;
use async_graphql::dataloader::{DataLoader, Loader};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// At most so many orders, or notifications, share a statement.
const BATCH_MAX: usize = 200;

/// The flows of orders, by order number.
pub(super) type Flows = DataLoader<FlowsOfOrders>;

/// Reads the flows of many orders. Whoever asks has been shown the order, so no rights are left to
/// be checked here.
pub(super) struct FlowsOfOrders(Engine);

impl Loader<OrderNo> for FlowsOfOrders {
    type Value = Vec<Flow>;
    type Error = Problem;

    async fn load(&self, keys: &[OrderNo]) -> Result<HashMap<OrderNo, Vec<Flow>>, Problem> {
        let mut found: HashMap<OrderNo, Vec<Flow>> = HashMap::with_capacity(keys.len());
        for flow in self.0.flows_of(keys.to_vec()).await? {
            found.entry(flow.order_no.clone()).or_default().push(flow);
        }
        Ok(found)
    }
}

/// The loader of an engine.
pub(super) fn flows(engine: Engine) -> Flows {
    DataLoader::new(FlowsOfOrders(engine), tokio::spawn)
        .delay(Duration::from_millis(1))
        .max_batch_size(BATCH_MAX)
}

/// The last tries of notifications, by the notification's id.
pub(super) type LastTries = DataLoader<TriesOfNotifications>;

/// Reads the last tries of many notifications, for whoever has been shown the notifications.
pub(super) struct TriesOfNotifications(Engine);

impl Loader<Uuid> for TriesOfNotifications {
    type Value = Tries;
    type Error = Problem;

    async fn load(&self, keys: &[Uuid]) -> Result<HashMap<Uuid, Tries>, Problem> {
        Ok(self.0.notification_tries(keys.to_vec()).await?)
    }
}

/// The loader of an engine.
pub(super) fn tries(engine: Engine) -> LastTries {
    DataLoader::new(TriesOfNotifications(engine), tokio::spawn)
        .delay(Duration::from_millis(1))
        .max_batch_size(BATCH_MAX)
}
