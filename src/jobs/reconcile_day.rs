//! 对账: reconciles the closed days whose files are there.

use super::{Job, JobContext};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Engine, ReconcileReport, Standing};
use crate::storage::StoreError;
use anyhow::Context;

/// Reconciles what has no result yet, or one that was made of something else.
pub struct ReconcileDay;

impl Job for ReconcileDay {
    const NAME: &'static str = "reconcile_day";
    type Report = ReconcileReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<ReconcileReport> {
        let engine = &context.engine;
        let done = engine
            .reconcile_days(&context.actor, &*context.progress)
            .await;
        done.context("the days could not be reconciled")
    }

    async fn standing(engine: &Engine, date: BusinessDate) -> Result<Standing, StoreError> {
        engine.reconciling_of(date).await
    }

    fn ready_from(engine: &Engine, date: BusinessDate) -> Instant {
        engine.comparable_from(date)
    }
}
