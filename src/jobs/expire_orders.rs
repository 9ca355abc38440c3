//! Closes the orders that nobody confirmed in time.

use super::{Job, JobContext};
use crate::engine::ExpireReport;
use anyhow::Context;

/// Closes every order whose time to be confirmed is over.
pub struct ExpireOrders;

impl Job for ExpireOrders {
    const NAME: &'static str = "expire_orders";
    type Report = ExpireReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<ExpireReport> {
        let report = context.engine.expire_orders(&context.actor).await;
        report.context("the orders that nobody confirmed could not be closed")
    }
}
