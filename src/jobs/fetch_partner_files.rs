//! Looks for the partners' files that should be there.

use super::{Job, JobContext};
use crate::engine::FetchReport;
use anyhow::Context;

/// Fetches what is there, and calls people about what is not.
pub struct FetchPartnerFiles;

impl Job for FetchPartnerFiles {
    const NAME: &'static str = "fetch_partner_files";
    type Report = FetchReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<FetchReport> {
        let engine = &context.engine;
        let fetched = engine
            .fetch_partner_files(&context.actor, &*context.progress)
            .await;
        fetched.context("the partners' files could not be looked for")
    }
}
