//! 日切: closes the business days that are over.

use super::{Job, JobContext};
use crate::domain::progress::Silent;
use crate::engine::CloseReport;
use anyhow::Context;

/// Closes each day that is over, once and in order, and counts again those that may have changed.
pub struct CloseDay;

impl Job for CloseDay {
    const NAME: &'static str = "close_day";
    type Report = CloseReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<CloseReport> {
        let closed = context.engine.close_days(&context.actor, &Silent).await;
        closed.context("the business days could not be closed")
    }
}
