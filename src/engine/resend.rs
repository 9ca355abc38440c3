//! Orders notifications sent again: one, or all that fit a filter. Each leaves an audit row in the
//! transaction that changes it; what is due anyway, or is being sent, is left as it is.

use super::{Actor, Engine, EngineError, Scope};
use crate::domain::audit::AuditEntry;
use crate::domain::notification::Notification;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::storage::notifications::{self, Filter};
use crate::storage::{StoreError, Tx};
use uuid::Uuid;

/// How often a lost race is looked at again. Each round somebody else has begun to send it.
const ROUNDS_MAX: u32 = 8;
/// How many are changed in one transaction.
const AT_ONCE: i64 = 100;

/// What ordering many sent again did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManyResent {
    /// How many are sent again.
    pub count: u32,
    /// Whether there are more that fit.
    pub has_more: bool,
}

impl Engine {
    /// Orders a notification sent again, at once. One that is due anyway stays as it is.
    ///
    /// # Errors
    /// A refusal where there is no such notification or it is not the caller's.
    pub async fn notification_resend(
        &self,
        id: Uuid,
        scope: &Scope,
        actor: &Actor,
    ) -> Result<Notification, EngineError> {
        for _ in 0..ROUNDS_MAX {
            let found = self.notification(id, scope).await?;
            let before = found.ok_or_else(|| not_found(id))?;
            let now = self.now();
            let Some(after) = before.resent(now) else {
                return Ok(before);
            };
            let audit = self.resend_audit(&before, &after, actor, now);
            let (old, new) = (before.clone(), after.clone());
            let written = self.0.store.solo(move |tx| {
                let written = tx.resend_notification(&old, &new)?;
                if written {
                    tx.audit(audit.clone())?;
                }
                Ok(written)
            });
            if written.await? {
                self.wake_notifier();
                return Ok(after);
            }
        }
        Err(StoreError::GaveWay(format!("notification {id} changes all the time")).into())
    }

    /// Orders the notifications of a filter sent again, oldest first, so many at most.
    ///
    /// # Errors
    /// Storage failed; what is done stays done.
    pub async fn notifications_resend(
        &self,
        filter: Filter,
        most: u32,
        scope: &Scope,
        actor: &Actor,
    ) -> Result<ManyResent, EngineError> {
        let mut done = ManyResent {
            count: 0,
            has_more: false,
        };
        let Some(filter) = scope.narrow_notifications(filter) else {
            return Ok(done);
        };
        // What is sent again and fails at once would fit again: only what stood so at the beginning.
        let now = self.now();
        loop {
            let left = i64::from(most - done.count);
            let (limit, filter) = (left.min(AT_ONCE), filter.clone());
            let (engine, actor) = (self.clone(), actor.clone());
            let step = move |tx: &mut Tx<'_>| {
                let found = notifications::resendable(tx.c, &filter, now, limit + 1)?;
                let take = usize::try_from(limit).unwrap_or(0);
                let has_more = found.len() > take;
                let mut count = 0;
                for before in found.into_iter().take(take) {
                    let Some(after) = before.resent(now) else {
                        continue;
                    };
                    if tx.resend_notification(&before, &after)? {
                        tx.audit(engine.resend_audit(&before, &after, &actor, now))?;
                        count += 1;
                    }
                }
                Ok((count, has_more))
            };
            let (count, has_more): (u32, bool) = self.0.store.solo(step).await?;
            done.count += count;
            done.has_more = has_more;
            if !has_more || count == 0 || done.count >= most {
                break;
            }
        }
        if done.count > 0 {
            self.wake_notifier();
        }
        Ok(done)
    }

    fn resend_audit(
        &self,
        before: &Notification,
        after: &Notification,
        actor: &Actor,
        at: Instant,
    ) -> AuditEntry {
        AuditEntry {
            subject_kind: "NOTIFICATION",
            subject: before.notification_id.to_string(),
            before: Some(before.state.as_str().to_owned()),
            after: Some(after.state.as_str().to_owned()),
            detail: Some(format!(
                "order {} version {}, series {}",
                before.order_no, before.order_version, after.series
            )),
            ..self.audit(at, actor, "RESENT")
        }
    }
}

fn not_found(id: Uuid) -> Refusal {
    let message = format!(
        "there is no notification {id}; take its id from `notifications` or `orderTimeline`"
    );
    Refusal::new(RefusalCode::NotificationNotFound, message).on("id")
}
