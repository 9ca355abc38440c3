//! Makes the statements of billers for the days that are closed.

use super::{Job, JobContext};
use crate::domain::statement::PartyKind;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::{Engine, Standing, StatementError, StatementsReport};
use crate::storage::StoreError;
use anyhow::Context;

/// Makes what is missing of the statements of billers, and again what has changed.
pub struct MakeBillerStatements;

impl Job for MakeBillerStatements {
    const NAME: &'static str = "make_biller_statements";
    type Report = StatementsReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<StatementsReport> {
        let kind = PartyKind::Biller;
        let JobContext {
            engine,
            actor,
            stop,
            progress,
            ..
        } = &context;
        match engine
            .make_statements(kind, actor, (progress.clone(), stop))
            .await
        {
            Ok(report) => Ok(report),
            // A center that keeps no statements has none to make.
            Err(StatementError::NoStore) => Ok(StatementsReport::default()),
            Err(error) => Err(error).context("the statements of billers could not be made"),
        }
    }

    async fn standing(engine: &Engine, date: BusinessDate) -> Result<Standing, StoreError> {
        engine.statements_of(PartyKind::Biller, date).await
    }

    fn ready_from(engine: &Engine, date: BusinessDate) -> Instant {
        engine.closable_from(date)
    }
}
