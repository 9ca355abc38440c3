//! 结算汇总: sums up what is settled for the days that are closed.

use super::{Job, JobContext};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Engine, SettlementReport, Standing};
use crate::storage::StoreError;
use anyhow::Context;

/// Sums up what is settled between merchants and billers.
pub struct SummariseSettlement;

impl Job for SummariseSettlement {
    const NAME: &'static str = "summarise_settlement";
    type Report = SettlementReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<SettlementReport> {
        let JobContext {
            engine,
            actor,
            stop,
            progress,
            ..
        } = &context;
        let done = engine
            .summarise_settlement(actor, (&**progress, stop))
            .await;
        done.context("the settlement could not be summed up")
    }

    async fn standing(engine: &Engine, date: BusinessDate) -> Result<Standing, StoreError> {
        engine.settlement_of(date).await
    }

    fn ready_from(engine: &Engine, date: BusinessDate) -> Instant {
        engine.closable_from(date)
    }
}
