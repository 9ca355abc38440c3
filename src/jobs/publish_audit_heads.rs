//! Publishes the heads of the audit chains, so that nobody can take back what stood in them.

use super::{Job, JobContext};
use crate::engine::HeadsReport;
use anyhow::Context;

/// Writes the heads into the folder of published files.
pub struct PublishAuditHeads;

impl Job for PublishAuditHeads {
    const NAME: &'static str = "publish_audit_heads";
    type Report = HeadsReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<HeadsReport> {
        let report = context.engine.publish_heads(&context.actor).await;
        let report = report.context("the heads of the audit chains could not be published")?;
        // What an earlier run of the night has done is nothing to do.
        let done = (!report.was_there).then_some(report);
        Ok(done.unwrap_or_default())
    }
}
