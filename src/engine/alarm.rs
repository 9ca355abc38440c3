//! Alarms: a log line, a metric and a webhook for each, so that no single deaf ear loses one.

use crate::domain::exception::AlarmLevel;
use crate::domain::ids::OrderNo;
use crate::upstream::Webhook;
use serde::Serialize;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmKind {
    /// A payment has been in doubt for long.
    OldException,
    /// A person has to decide.
    CaseOpened,
    /// The bank answered about something else.
    Mismatch,
    /// The bank reports success of an order that is at rest without being paid.
    LateSuccess,
    /// A scheduled run is late or failed.
    Job,
    /// The cache shows something that the database does not say.
    CacheDrift,
    /// A key's life ends soon.
    KeyEnding,
    /// The audit trail, or what was published of it, is not what it should be.
    AuditTrail,
    /// A merchant could not be notified.
    NotificationGivenUp,
    /// A merchant has waited long to be notified.
    NotificationLate,
    /// Flows were committed on a business day that was closed.
    LateFlow,
    /// A partner's file is not there, or is refused.
    PartnerFile,
    /// A day could not be reconciled.
    Reconciliation,
    /// The holiday calendar lacks the year that is, or the one that comes.
    Calendar,
    /// No merchant is notified: there is no key to sign with.
    NotificationsStopped,
}

/// An alarm.
#[derive(Clone, Debug, Serialize)]
pub struct Alarm {
    /// How loud.
    pub level: AlarmLevel,
    /// About what.
    pub kind: AlarmKind,
    /// Which order, where it is one.
    pub order_no: Option<OrderNo>,
    /// What happened and what to do, for people.
    pub message: String,
}

/// Where alarms go.
#[derive(Clone)]
pub struct Alarms {
    webhook: Option<Arc<Webhook>>,
    tasks: TaskTracker,
}

impl Alarms {
    /// Alarms go to the log, the metrics and, where there is one, the webhook.
    pub fn new(webhook: Option<Webhook>, tasks: TaskTracker) -> Self {
        Self {
            webhook: webhook.map(Arc::new),
            tasks,
        }
    }

    /// Raises an alarm; never waits and never fails.
    pub fn raise(&self, alarm: Alarm) {
        alarm.shout();
        if self.webhook.is_some() {
            let alarms = self.clone();
            self.tasks.spawn(async move { alarms.post(&alarm).await });
        }
    }

    /// Raises an alarm and returns when it has left this program, or was given up: for whoever writes
    /// down afterwards that it was raised.
    pub async fn tell(&self, alarm: Alarm) {
        alarm.shout();
        self.post(&alarm).await;
    }

    async fn post(&self, alarm: &Alarm) {
        let Some(webhook) = &self.webhook else {
            return;
        };
        match serde_json::to_value(alarm) {
            Ok(body) => webhook.post(&body).await,
            Err(error) => tracing::error!(%error, "an alarm could not be written as JSON"),
        }
    }
}

impl Alarm {
    /// To the log and the metrics.
    fn shout(&self) {
        let alarm = self;
        let kind = serde_json::to_value(alarm.kind).ok();
        let kind = kind
            .as_ref()
            .and_then(|kind| kind.as_str())
            .unwrap_or("UNKNOWN")
            .to_owned();
        let order_no = alarm
            .order_no
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        match alarm.level {
            AlarmLevel::Critical => {
                tracing::error!(alarm = kind, order_no, "alarm: {}", alarm.message);
            }
            AlarmLevel::Warn | AlarmLevel::None => {
                tracing::warn!(alarm = kind, order_no, "alarm: {}", alarm.message);
            }
        }
        metrics::counter!("payhall_alarms_total", "kind" => kind, "level" => alarm.level.as_str())
            .increment(1);
    }
}
