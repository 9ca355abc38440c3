//! 通知: tells merchants what became of their orders: signed, in the order's own sequence, at least once.
//!
//! The outbox is the table. A notification is committed with the move that it tells of; whoever sends
//! takes it by a lease, writes the try down, sends, and writes back what was heard. A wake-up after a
//! commit only says "look now": if it is lost, the job looks a few seconds later. If the program dies
//! anywhere, the lease lapses and the same notification goes out again with the same id.
//!
//! How one could break this: by sending what the order is *now* instead of what the notification tells;
//! by waiting for one merchant's server with a place that belongs to all (`Lanes`); by signing another
//! URL than the one that is called.

use super::{Alarm, AlarmKind, Engine, EngineError};
use crate::domain::exception::{AlarmLevel, later};
use crate::domain::notification::{
    GiveUpReason, Heard, Notification, NotificationState, NotificationTry, Retries, TryOutcome,
};
use crate::domain::order::Order;
use crate::domain::time::Instant;
use crate::storage::notifications::{LeaseRequest, merchants_due};
use crate::storage::{StoreError, Tell, Told, merchants, orders};
use crate::trust::{Request, Signer, sign_request};
use crate::upstream::{Post, Target};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lanes::Place;
use serde::Serialize;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

mod lanes;
mod letter;

pub(super) use lanes::Lanes;
use letter::body_of;

/// How notifications are sent; the section `[notifications]` of the settings.
#[derive(Clone, Debug)]
pub struct NotifyOptions {
    /// How many are on their way at once.
    pub parallel: usize,
    /// How many of one merchant are; of one whose last try failed, one.
    pub parallel_per_merchant: usize,
    /// How long a lease on a notification holds.
    pub lease: Duration,
    /// When a failed one is sent again.
    pub retries: Retries,
}

impl Default for NotifyOptions {
    /// The defaults of the settings, for tests.
    fn default() -> Self {
        Self {
            parallel: 256,
            parallel_per_merchant: 32,
            lease: Duration::from_secs(60),
            retries: Retries::standard(),
        }
    }
}

/// What a run did. The default value is the report of a run that found nothing due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotifyReport {
    /// Tries that were made.
    pub tried: u32,
    /// Notifications that arrived.
    pub delivered: u32,
    /// Notifications that were given up.
    pub given_up: u32,
    /// Tries whose lease was lost meanwhile.
    pub fenced: u32,
    /// Tries that could not be written down.
    pub failed: u32,
}

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Written(NotificationState),
    Fenced,
}

/// Tries that are on their way.
type UnderWay = FuturesUnordered<JoinHandle<Result<Sent, EngineError>>>;

/// A run of the job begins no new tries after so long; the next run goes on.
const RUN_MAX: Duration = Duration::from_secs(60);
/// Wake-ups and ends of tries that come this close together share a look at the database.
const SHARED_LOOK: Duration = Duration::from_millis(20);
/// A merchant whose notifications are given up is cried about once in so long.
const CRY_AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// A notification with everything that it takes to send it.
struct Letter {
    notification: Notification,
    attempt: NotificationTry,
    order: Option<Order>,
    url: Option<String>,
    _place: Place,
}

impl Engine {
    /// What the merchant is told of an order that has just moved; none where it still moves, or the
    /// merchant does not want to be told.
    pub(super) fn notification_of(&self, after: &Order) -> Option<Notification> {
        if !after.state.is_terminal() {
            return None;
        }
        let catalogue = self.catalogue();
        let profile = catalogue.merchant(&after.merchant)?.profile.as_ref()?;
        profile.notify_url.as_ref()?;
        Some(Notification::of(after, Uuid::now_v7()))
    }

    /// Sends whatever is due, until nothing is.
    ///
    /// # Errors
    /// Storage failed. What is on its way ends by itself.
    pub async fn send_notifications(&self) -> Result<NotifyReport, EngineError> {
        let mut report = NotifyReport::default();
        let mut under_way = UnderWay::new();
        let end = later(self.now(), RUN_MAX);
        loop {
            if self.now() < end && !self.0.stop.is_cancelled() {
                self.begin_due(&mut under_way).await?;
            }
            let Some(ended) = under_way.next().await else {
                return Ok(report);
            };
            report.count(ended.unwrap_or_else(|lost| Err(lost_task(&lost))));
            while let Some(Some(ended)) = under_way.next().now_or_never() {
                report.count(ended.unwrap_or_else(|lost| Err(lost_task(&lost))));
            }
        }
    }

    /// Sends right after each commit that brought a notification, until the program stops. The table
    /// says what is due; this is only told when to look.
    pub async fn keep_notifying(self) {
        let mut under_way = UnderWay::new();
        while !self.0.stop.is_cancelled() {
            if let Err(error) = self.begin_due(&mut under_way).await {
                tracing::warn!(%error, "what is due to merchants cannot be read");
            }
            tokio::select! {
                () = self.0.stop.cancelled() => break,
                () = self.0.hub.notified() => {}
                Some(_) = under_way.next(), if !under_way.is_empty() => {}
            }
            tokio::select! {
                () = self.0.stop.cancelled() => break,
                () = self.0.clock.sleep(SHARED_LOOK) => {}
            }
            while let Some(Some(_)) = under_way.next().now_or_never() {}
        }
    }

    /// Leases what is due, as far as there is room, and begins to send it.
    async fn begin_due(&self, under_way: &mut UnderWay) -> Result<(), EngineError> {
        let now = self.now();
        let due = self.0.store.read(move |c| merchants_due(c, now)).await?;
        let mut rooms = self.0.lanes.claim(due, &self.0.options.notify);
        if rooms.is_empty() {
            return Ok(());
        }
        let request = LeaseRequest {
            owner: self.0.options.instance.clone(),
            now,
            until: later(now, self.0.options.notify.lease),
            rooms: rooms.sizes(),
        };
        let lease = move |tx: &mut crate::storage::Tx<'_>| tx.lease_notifications(&request);
        let leased = self.0.store.solo(lease).await?;
        let numbers: Vec<_> = leased.iter().map(|(of, _)| of.order_no.clone()).collect();
        let codes: Vec<_> = leased.iter().map(|(of, _)| of.merchant.clone()).collect();
        let read = move |c: &mut _| {
            Ok((
                orders::find_readable(c, &numbers)?,
                merchants::notify_urls(c, &codes)?,
            ))
        };
        let (mut orders, urls) = self.0.store.read(read).await?;
        for (notification, attempt) in leased {
            let Some(place) = rooms.take(&notification.merchant) else {
                continue;
            };
            let letter = Letter {
                order: orders.remove(&notification.order_no),
                url: urls.get(&notification.merchant).cloned(),
                notification,
                attempt,
                _place: place,
            };
            let engine = self.clone();
            let task = async move { engine.send_one(letter).await };
            under_way.push(self.0.tasks.spawn(task));
        }
        Ok(())
    }

    async fn send_one(&self, letter: Letter) -> Result<Sent, EngineError> {
        let started = std::time::Instant::now();
        let (heard, host) = self.try_once(&letter).await;
        metrics::histogram!("payhall_notification_seconds").record(started.elapsed());
        let now = self.now();
        let before = &letter.notification;
        let after = if letter.url.is_none() {
            before.clone().given_up(GiveUpReason::NoUrl, now)
        } else {
            let retries = &self.0.options.notify.retries;
            before.after(heard.outcome, retries, rand::random(), now)
        };
        let outcome = heard.outcome;
        let attempt = NotificationTry {
            ended_at: Some(now),
            outcome,
            http_status: heard.http_status.map(i32::from),
            cause: heard.cause,
            host,
            ..letter.attempt.clone()
        };
        self.0.lanes.note(&before.merchant, outcome);
        metrics::counter!("payhall_notification_tries_total", "outcome" => outcome.as_str())
            .increment(1);
        self.log(&after, &attempt);
        let tell = Tell {
            notification: after.clone(),
            attempt,
        };
        if self.0.store.tell(tell).await? == Told::Fenced {
            return Ok(Sent::Fenced);
        }
        self.concluded(&after, now);
        Ok(Sent::Written(after.state))
    }

    /// One try: what was heard, and the host that was called.
    async fn try_once(&self, letter: &Letter) -> (Heard, Option<String>) {
        let not_sent = |why: &str| (Heard::nothing(TryOutcome::NotSent, why), None);
        let Some(url) = &letter.url else {
            return not_sent("the merchant has no notify URL any more");
        };
        let Some(order) = &letter.order else {
            return not_sent("the order cannot be read");
        };
        let target = match self.0.notifier.target(url) {
            Ok(target) => target,
            Err(heard) => return (heard, None),
        };
        let body = body_of(&letter.notification, order);
        let headers = match self.sign(letter, &target, &body) {
            Ok(headers) => headers,
            Err(why) => return not_sent(&why),
        };
        let post = Post {
            target: &target,
            headers: &headers,
            body: &body,
        };
        let heard = self.0.notifier.post(&post).await;
        (heard, Some(target.authority().to_owned()))
    }

    /// The headers of a try. The key is the center's active one at this moment, the nonce the try's own
    /// id: what is sent again is signed again, and never a replay.
    fn sign(
        &self,
        letter: &Letter,
        target: &Target,
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, String> {
        let Some(key) = self.center_key() else {
            return Err("the center has no key to sign with; set keys.master".to_owned());
        };
        let of = &letter.notification;
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("payhall-notification-id", of.notification_id.to_string()),
            ("payhall-order-version", of.order_version.to_string()),
        ];
        let plain: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let request = Request {
            method: "POST",
            scheme: target.scheme(),
            authority: target.authority(),
            path: target.path(),
            query: target.query(),
            headers: &plain,
            body,
        };
        let signer = Signer {
            key: &key.private,
            key_id: key.key_id.as_str(),
            nonce: &letter.attempt.try_id.to_string(),
            created: self.now(),
        };
        let signed = sign_request(&request, &signer).map_err(|fault| fault.to_string())?;
        headers.extend(signed);
        Ok(headers)
    }

    fn log(&self, after: &Notification, attempt: &NotificationTry) {
        if attempt.outcome == TryOutcome::Delivered {
            tracing::debug!(
                order_no = %after.order_no,
                merchant = %after.merchant,
                notification_id = %after.notification_id,
                "a merchant was notified"
            );
            return;
        }
        tracing::info!(
            order_no = %after.order_no,
            merchant = %after.merchant,
            notification_id = %after.notification_id,
            outcome = %attempt.outcome,
            number = attempt.number,
            host = attempt.host,
            cause = attempt.cause,
            "a merchant could not be notified"
        );
    }

    /// Counts and calls after the commit.
    fn concluded(&self, after: &Notification, now: Instant) {
        if after.state == NotificationState::Pending {
            return;
        }
        metrics::counter!("payhall_notifications_total", "state" => after.state.as_str())
            .increment(1);
        if after.reason != Some(GiveUpReason::TriesUsedUp)
            || !self.0.lanes.may_cry(&after.merchant, now, CRY_AGAIN_AFTER)
        {
            return;
        }
        let Notification {
            notification_id,
            merchant,
            order_no,
            tries,
            ..
        } = after;
        self.0.alarms.raise(Alarm {
            level: AlarmLevel::Warn,
            kind: AlarmKind::NotificationGivenUp,
            order_no: Some(order_no.clone()),
            message: format!(
                "merchant {merchant} could not be notified in {tries} tries (notification \
                 {notification_id}); find out what ails its server, then send again what was given \
                 up, which may be more than this one: notificationsResend"
            ),
        });
    }

    /// Looks at once at what is due, after somebody ordered something sent again.
    pub(super) fn wake_notifier(&self) {
        self.0.hub.announce_notifications();
    }
}

impl NotifyReport {
    fn count(&mut self, sent: Result<Sent, EngineError>) {
        self.tried += 1;
        match sent {
            Ok(Sent::Written(NotificationState::Delivered)) => self.delivered += 1,
            Ok(Sent::Written(NotificationState::GivenUp)) => self.given_up += 1,
            Ok(Sent::Written(NotificationState::Pending)) => {}
            Ok(Sent::Fenced) => self.fenced += 1,
            Err(error) => {
                tracing::error!(%error, "what came of a notification could not be written down");
                self.failed += 1;
            }
        }
    }
}

fn lost_task(lost: &tokio::task::JoinError) -> EngineError {
    StoreError::Refused(format!("a try ended in the middle: {lost}")).into()
}
