//! Cancels an order before it is paid, and closes the orders that nobody confirmed in time.

use super::confirm::not_found;
use super::poll::ExpireReport;
use super::settle::{Settled, Step};
use super::{Actor, Engine, EngineError, Scope};
use crate::domain::ids::OrderNo;
use crate::domain::order::{Order, OrderEvent};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::orders;

/// How many expired orders are closed between two looks at the stop sign.
const EXPIRE_BATCH: i64 = 500;

impl Engine {
    /// Cancels an order that was not confirmed. Cancelling it again answers with the closed order.
    pub async fn cancel(
        &self,
        order_no: &OrderNo,
        scope: &Scope,
        actor: &Actor,
    ) -> Result<Order, EngineError> {
        let order = self.order_stored(order_no, scope).await?;
        let order = order.ok_or_else(|| not_found(order_no))?;
        let mut step = Step::new(OrderEvent::Cancelled, actor);
        step.reason = Some("CANCELLED".to_owned());
        match self.settle(order, Vec::new(), step).await? {
            Settled::Moved(order) | Settled::AlreadyThere(order) => Ok(order),
            Settled::NotAllowed(order) => Err(Refusal::new(
                RefusalCode::OrderStateConflict,
                format!(
                    "order {order_no} is {} and cannot be cancelled",
                    order.state
                ),
            )
            .on("orderNo")
            .see(order.order_no)
            .into()),
            Settled::OpenPayment(_) | Settled::Overtaken | Settled::Stale | Settled::DayIsFull => {
                Err(not_found(order_no).into())
            }
        }
    }

    /// Closes every order whose time to be confirmed is over.
    pub async fn expire_orders(&self, actor: &Actor) -> Result<ExpireReport, EngineError> {
        let mut report = ExpireReport::default();
        while !self.0.stop.is_cancelled() {
            let now = self.now();
            let due = self
                .0
                .store
                .read(move |c| orders::expired(c, now, EXPIRE_BATCH))
                .await?;
            if due.is_empty() {
                break;
            }
            let closing = due.into_iter().map(|order| {
                let mut step = Step::new(OrderEvent::Expired, actor);
                step.reason = Some("EXPIRED".to_owned());
                self.settle(order, Vec::new(), step)
            });
            for settled in futures_util::future::join_all(closing).await {
                match settled? {
                    Settled::Moved(_) => report.closed += 1,
                    _ => report.moved_meanwhile += 1,
                }
            }
        }
        Ok(report)
    }
}
