//! Watches over the runs of all jobs; see `engine/watch_runs.rs` for what is told.

use super::{Job, JobContext};
use crate::engine::WatchReport;
use anyhow::Context;

/// Tells of runs that failed and of business dates that are late.
pub struct WatchRuns;

impl Job for WatchRuns {
    const NAME: &'static str = "watch_runs";
    type Report = WatchReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<WatchReport> {
        let report = context.engine.watch_runs(&context.table).await;
        report.context("the runs of the jobs could not be looked over")
    }
}
