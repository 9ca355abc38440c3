//! Holds copies in the cache against the database; see `engine/audit_cache.rs` for what is drift.

use super::{Job, JobContext};
use crate::engine::CacheAuditReport;
use anyhow::Context;

/// Looks at the copies of the newest orders and of those in doubt.
pub struct AuditCache;

impl Job for AuditCache {
    const NAME: &'static str = "audit_cache";
    type Report = CacheAuditReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<CacheAuditReport> {
        let report = context.engine.audit_cache(&*context.progress).await;
        report.context("the copies in the cache could not be held against the database")
    }
}
