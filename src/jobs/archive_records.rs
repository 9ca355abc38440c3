//! Deletes records that are older than the settings keep; see `engine/archive_records.rs` for what stays.

use super::{Job, JobContext};
use crate::engine::ArchiveReport;
use anyhow::Context;

/// Deletes what nobody needs any more.
pub struct ArchiveRecords;

impl Job for ArchiveRecords {
    const NAME: &'static str = "archive_records";
    type Report = ArchiveReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<ArchiveReport> {
        let report = context
            .engine
            .archive_records(&*context.progress, &context.stop);
        report.await.context("old records could not be deleted")
    }
}
