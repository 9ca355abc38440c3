//! Polls the payments in doubt; see `engine/poll.rs` for what that means.

use super::{Job, JobContext};
use crate::engine::PollReport;
use anyhow::Context;

/// Asks about every open exception that is due.
pub struct PollExceptions;

impl Job for PollExceptions {
    const NAME: &'static str = "poll_exceptions";
    type Report = PollReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<PollReport> {
        let run = Some(context.run.run_id);
        let report = context.engine.poll(run, &context.actor).await;
        report.context("the open exceptions could not be polled")
    }
}
