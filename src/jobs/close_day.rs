//! 日切: closes the business days that are over.

use super::{Job, JobContext};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{CloseReport, Engine, Standing};
use crate::storage::StoreError;
use anyhow::Context;

/// Closes each day that is over, once and in order, and counts again those that may have changed.
pub struct CloseDay;

impl Job for CloseDay {
    const NAME: &'static str = "close_day";
    type Report = CloseReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<CloseReport> {
        let JobContext {
            engine,
            actor,
            progress,
            ..
        } = context;
        let closed = engine.close_days(&actor, &*progress).await;
        closed.context("the business days could not be closed")
    }

    async fn standing(engine: &Engine, date: BusinessDate) -> Result<Standing, StoreError> {
        engine.closing_of(date).await
    }

    fn ready_from(engine: &Engine, date: BusinessDate) -> Instant {
        engine.closable_from(date)
    }
}
