//! Notifies merchants of what is due; see `engine/notify.rs` for what that means.

use super::{Job, JobContext};
use crate::engine::NotifyReport;
use anyhow::Context;

/// Sends every notification that is due.
pub struct SendNotifications;

impl Job for SendNotifications {
    const NAME: &'static str = "send_notifications";
    type Report = NotifyReport;

    async fn run(&self, context: JobContext) -> anyhow::Result<NotifyReport> {
        let report = context.engine.send_notifications().await;
        report.context("merchants could not be notified")
    }
}
