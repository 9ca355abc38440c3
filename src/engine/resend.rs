//! Orders notifications sent again: one, or all that fit a filter. Each leaves an audit row in the
//! transaction that changes it; what is due anyway, or is being sent, is left as it is.
//!
//! Many are looked for by a reader, which may walk over millions of rows, and changed a few at a time
//! between the payments of others. What was found is changed only if it is still as it was read.
//!
//! How one could break this: by looking on the writer, where payments wait meanwhile; by looking from the
//! beginning again, where what was sent again and has failed fits once more.

use super::{Actor, Engine, EngineError, Scope};
use crate::domain::audit::AuditEntry;
use crate::domain::ids::MerchantCode;
use crate::domain::notification::Notification;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Instant;
use crate::storage::notifications::{self, Filter};
use crate::storage::{StoreError, Tx};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How often a lost race is looked at again. Each round somebody else has begun to send it.
const ROUNDS_MAX: u32 = 8;
/// How many are changed in one transaction: payments wait behind it.
const AT_ONCE: usize = 20;
/// How many are looked for at once.
const PAGE: u32 = 200;

/// What ordering many sent again did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManyResent {
    /// How many are sent again.
    pub count: u32,
    /// Whether there are more that fit.
    pub has_more: bool,
}

/// Who is having many sent again at the moment, on this replica: a merchant, or the operators (none).
#[derive(Clone, Default)]
pub(super) struct Resends(Arc<Mutex<BTreeSet<Option<MerchantCode>>>>);

/// A turn at having many sent again; over when it is dropped.
struct Turn {
    resends: Resends,
    whose: Option<MerchantCode>,
}

impl Resends {
    fn under_way(&self) -> MutexGuard<'_, BTreeSet<Option<MerchantCode>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, scope: &Scope) -> Result<Turn, Refusal> {
        let whose = match scope {
            Scope::All => None,
            Scope::Merchant(code) => Some(code.clone()),
        };
        if !self.under_way().insert(whose.clone()) {
            let by = whose.map_or("operators".to_owned(), |code| format!("merchant {code}"));
            let message = format!(
                "notifications are being sent again for {by} already; wait for the answer of that \
                 call, then call again"
            );
            return Err(Refusal::new(RefusalCode::ResendInProgress, message).later());
        }
        Ok(Turn {
            resends: self.clone(),
            whose,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.resends.under_way().remove(&self.whose);
    }
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

    /// Orders the notifications of a filter sent again, oldest first, so many at most. A merchant, and
    /// the operators together, have one such call at a time on each replica.
    ///
    /// # Errors
    /// A refusal where one goes on already. Storage failed; what is done stays done.
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
        let _turn = self.0.resends.begin(scope)?;
        // What stood so at the beginning; and nothing twice, however it fares meanwhile.
        let (now, mut behind) = (self.now(), None);
        loop {
            let (filter, page) = (filter.clone(), (most - done.count).min(PAGE));
            let look = (behind, i64::from(page) + 1);
            let read = move |c: &mut _| notifications::resendable(c, &filter, now, look);
            let mut found = self.0.store.browse(read).await?;
            let page = usize::try_from(page).unwrap_or(0);
            done.has_more = found.len() > page;
            found.truncate(page);
            behind = found.last().map(|last| last.notification_id);
            for few in found.chunks(AT_ONCE) {
                done.count += self.resend_few(few.to_vec(), actor, now).await?;
            }
            if !done.has_more || done.count >= most {
                return Ok(done);
            }
        }
    }

    /// Orders a few sent again, those that are as they were read, and says how many.
    async fn resend_few(
        &self,
        few: Vec<Notification>,
        actor: &Actor,
        now: Instant,
    ) -> Result<u32, EngineError> {
        let again: Vec<_> = few
            .into_iter()
            .filter_map(|before| {
                let after = before.resent(now)?;
                let audit = self.resend_audit(&before, &after, actor, now);
                Some((before, after, audit))
            })
            .collect();
        let step = move |tx: &mut Tx<'_>| {
            let mut count = 0;
            for (before, after, audit) in &again {
                if tx.resend_notification(before, after)? {
                    tx.audit(audit.clone())?;
                    count += 1;
                }
            }
            Ok(count)
        };
        let count = self.0.store.solo(step).await?;
        if count > 0 {
            self.wake_notifier();
        }
        Ok(count)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_merchant_and_the_operators_have_one_turn_at_a_time() {
        let resends = Resends::default();
        let own = |code| Scope::Merchant(MerchantCode::try_new(code).unwrap());
        let portal = resends.begin(&own("portal")).unwrap();
        let refusal = resends.begin(&own("portal")).err().unwrap();
        assert_eq!(refusal.code, RefusalCode::ResendInProgress);
        assert_eq!(refusal.retry, crate::domain::refusal::Retry::Later);
        assert!(refusal.message.contains("merchant portal"));
        let _citylife = resends.begin(&own("citylife")).unwrap();
        let _operators = resends.begin(&Scope::All).unwrap();
        assert!(resends.begin(&Scope::All).is_err());
        drop(portal);
        assert!(resends.begin(&own("portal")).is_ok());
    }
}
