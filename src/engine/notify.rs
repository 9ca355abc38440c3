//! 通知: tells merchants what became of their orders: signed, in the order's own sequence, at least once.
//!
//! The outbox is the table. A notification is committed with the move that it tells of; whoever sends
//! takes it by a lease, writes the try down, sends, and writes back what was heard. A wake-up after a
//! commit only says "look now": if it is lost, the job looks a few seconds later. If the program dies
//! anywhere, the lease lapses and the same notification goes out again with the same id.
//!
//! How one could break this: by sending what the order is *now* instead of what the notification tells;
//! by waiting for one merchant's server with a place that belongs to all (`Lanes`); by signing another
//! URL than the one that is called; by taking the writer for a look that finds nothing to send.

use super::{Engine, EngineError};
use crate::domain::exception::later;
use crate::domain::notification::{
    GiveUpReason, Heard, Notification, NotificationState, NotificationTry, Retries, TryOutcome,
};
use crate::domain::order::Order;
use crate::domain::time::Instant;
use crate::storage::notifications::{LeaseRequest, claimable, merchants_due, not_sent_since};
use crate::storage::{Tell, Told, merchants, orders};
use crate::trust::{Request, Signer, sign_request};
use crate::upstream::{Post, Target};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lanes::Place;
use serde::Serialize;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

mod cry;
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
    /// It could not be written down, which was logged where it happened.
    Lost,
}

/// Tries that are on their way.
type UnderWay = FuturesUnordered<JoinHandle<Sent>>;

/// A run of the job begins no new tries after so long; the next run goes on.
const RUN_MAX: Duration = Duration::from_secs(60);
/// Wake-ups and ends of tries that come this close together share a look at the database.
const SHARED_LOOK: Duration = Duration::from_millis(20);

/// A notification with everything that it takes to send it.
struct Letter {
    notification: Notification,
    attempt: NotificationTry,
    order: Option<Order>,
    url: Option<String>,
    /// Since when it could not be sent, for a reason of the center's.
    not_sent_since: Option<Instant>,
    /// Given back when the try has ended.
    place: Option<Place>,
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
        self.cry_about_late_ones().await?;
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
            // A task that does not end is one that the runtime dropped while it shut down.
            report.count(ended.unwrap_or(Sent::Lost));
            while let Some(Some(ended)) = under_way.next().now_or_never() {
                report.count(ended.unwrap_or(Sent::Lost));
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

    /// Leases what is due, as far as there is room, and begins to send it. Without a key to sign with
    /// nothing is taken: it could only be put back.
    async fn begin_due(&self, under_way: &mut UnderWay) -> Result<(), EngineError> {
        let (now, has_key) = (self.now(), self.center_key().is_some());
        let (lanes, options) = (self.0.lanes.clone(), self.0.options.notify.clone());
        let look = move |c: &mut _| {
            let due = merchants_due(c, now)?;
            if !has_key {
                return Ok((due.len(), None));
            }
            let rooms = lanes.claim(due, &options);
            let ids = claimable(c, now, &rooms.sizes())?;
            Ok((0, Some((rooms, ids))))
        };
        let (waiting, found) = self.0.store.read(look).await?;
        self.cry_about_the_key(waiting, now);
        let Some((mut rooms, ids)) = found.filter(|(_, ids)| !ids.is_empty()) else {
            return Ok(());
        };
        let request = LeaseRequest {
            owner: self.0.options.instance.clone(),
            now,
            until: later(now, self.0.options.notify.lease),
            ids,
        };
        let lease = move |tx: &mut crate::storage::Tx<'_>| tx.lease_notifications(&request);
        let leased = self.0.store.solo(lease).await?;
        for mut letter in self.letters(leased).await? {
            // Never more than rooms: so many were asked for.
            letter.place = rooms.take(&letter.notification.merchant);
            let engine = self.clone();
            let task = async move { engine.send_or_log(letter).await };
            under_way.push(self.0.tasks.spawn(task));
        }
        Ok(())
    }

    /// Reads what it takes to send notifications that were leased.
    async fn letters(
        &self,
        leased: Vec<(Notification, NotificationTry)>,
    ) -> Result<Vec<Letter>, EngineError> {
        let numbers: Vec<_> = leased.iter().map(|(of, _)| of.order_no.clone()).collect();
        let codes: Vec<_> = leased.iter().map(|(of, _)| of.merchant.clone()).collect();
        // Who was never taken before has no earlier try.
        let again = leased.iter().filter(|(of, _)| of.fence > 1);
        let again: Vec<_> = again.map(|(_, attempt)| attempt.clone()).collect();
        let read = move |c: &mut _| {
            Ok((
                orders::find_readable(c, &numbers)?,
                merchants::notify_urls(c, &codes)?,
                not_sent_since(c, &again)?,
            ))
        };
        let (mut orders, urls, not_sent) = self.0.store.read(read).await?;
        let letters = leased.into_iter().map(|(notification, attempt)| Letter {
            order: orders.remove(&notification.order_no),
            url: urls.get(&notification.merchant).cloned(),
            not_sent_since: not_sent.get(&notification.notification_id).copied(),
            notification,
            attempt,
            place: None,
        });
        Ok(letters.collect())
    }

    /// A try whose end nobody may be waiting for: what goes wrong with it is logged here, once.
    async fn send_or_log(&self, letter: Letter) -> Sent {
        let of = letter.notification.clone();
        let why = match AssertUnwindSafe(self.send_one(letter)).catch_unwind().await {
            Ok(Ok(sent)) => return sent,
            Ok(Err(EngineError::Store(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::error!(
            order_no = %of.order_no,
            merchant = %of.merchant,
            notification_id = %of.notification_id,
            why,
            "what came of a notification could not be written down; it is sent again when its lease \
             has lapsed"
        );
        Sent::Lost
    }

    async fn send_one(&self, letter: Letter) -> Result<Sent, EngineError> {
        let started = std::time::Instant::now();
        let (heard, host) = self.try_once(&letter).await;
        metrics::histogram!("payhall_notification_seconds").record(started.elapsed());
        let now = self.now();
        let (before, outcome) = (&letter.notification, heard.outcome);
        let retries = &self.0.options.notify.retries;
        let began = letter.attempt.started_at;
        let (after, started_at) = match (&letter.url, outcome) {
            (None, _) => (before.clone().given_up(GiveUpReason::NoUrl, now), began),
            (_, TryOutcome::NotSent) => {
                let since = letter.not_sent_since.unwrap_or(began);
                (before.not_sent(since, now), since)
            }
            _ => (before.after(outcome, retries, rand::random(), now), began),
        };
        let attempt = NotificationTry {
            started_at,
            ended_at: Some(now),
            outcome,
            http_status: heard.http_status.map(i32::from),
            cause: heard.cause,
            host,
            ..letter.attempt.clone()
        };
        // What was not sent says nothing about the merchant's server; without a URL it was no try at all.
        if outcome != TryOutcome::NotSent {
            self.0.lanes.note(&before.merchant, outcome);
        }
        if letter.url.is_some() {
            metrics::counter!("payhall_notification_tries_total", "outcome" => outcome.as_str())
                .increment(1);
        }
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

    /// Looks at once at what is due, after somebody ordered something sent again.
    pub(super) fn wake_notifier(&self) {
        self.0.hub.announce_notifications();
    }
}

impl NotifyReport {
    fn count(&mut self, sent: Sent) {
        self.tried += 1;
        match sent {
            Sent::Written(NotificationState::Delivered) => self.delivered += 1,
            Sent::Written(NotificationState::GivenUp) => self.given_up += 1,
            Sent::Written(NotificationState::Pending) => {}
            Sent::Fenced => self.fenced += 1,
            Sent::Lost => self.failed += 1,
        }
    }
}
