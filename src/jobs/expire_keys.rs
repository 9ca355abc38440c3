//! Ends keys whose time is over, tells of those that end soon, and forgets old nonces.

use super::{Job, JobContext};
use crate::engine::KeysReport;
use anyhow::Context;

/// Writes down which keys are at their end, and speaks of those that will be.
pub struct ExpireKeys;

impl Job for ExpireKeys {
    const NAME: &'static str = "expire_keys";
    type Report = KeysReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<KeysReport> {
        let report = context.engine.tend_keys(&context.actor).await;
        report.context("the keys could not be looked through")
    }
}
