//! Looks keys through: writes down which are at their end, gives notice of those that will be, and
//! forgets the nonces of requests that are too old to be sent again.

use super::{Actor, Alarm, AlarmKind, Engine, EngineError};
use crate::domain::exception::{AlarmLevel, later};
use crate::domain::key::{Key, NOTICE_DAYS};
use crate::storage::keys;
use serde::Serialize;
use std::time::Duration;

/// More keys than this do not end within a month.
const LOOKED_AT: i64 = 10_000;
/// How many nonces are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// What a look through the keys did. What came of the nonces is not in it: they come and go with every
/// request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeysReport {
    /// Keys that were written down as expired.
    pub expired: u32,
    /// Notices that were given.
    pub notices: u32,
    /// Keys that somebody else changed meanwhile; they are looked at again next time.
    pub changed_meanwhile: u32,
}

impl Engine {
    /// Looks the keys through.
    ///
    /// # Errors
    /// Storage failed; what is done stays done.
    pub async fn tend_keys(&self, actor: &Actor) -> Result<KeysReport, EngineError> {
        let mut report = KeysReport::default();
        let now = self.now();
        let month = Duration::from_secs(NOTICE_DAYS[0].unsigned_abs().into()) * 86_400;
        let read = move |c: &mut _| keys::ending(c, later(now, month), LOOKED_AT);
        for key in self.0.store.read(read).await? {
            let is_done = match (key.expire(now), key.notice_due(now)) {
                (Some(expired), _) => self.write_expired(&key, expired, actor, &mut report).await,
                (None, Some(days)) => self.give_notice(&key, days, actor, &mut report).await,
                (None, None) => continue,
            };
            match is_done {
                Ok(()) => {}
                Err(EngineError::Refused(_)) => report.changed_meanwhile += 1,
                Err(error) => return Err(error),
            }
        }
        self.forget_nonces().await?;
        Ok(report)
    }

    async fn write_expired(
        &self,
        key: &Key,
        expired: Key,
        actor: &Actor,
        report: &mut KeysReport,
    ) -> Result<(), EngineError> {
        let audit = self.key_audit(actor, &expired, "EXPIRED", Some(key.state));
        self.replace_keys(vec![(audit, expired)]).await?;
        report.expired += 1;
        Ok(())
    }

    /// The notice is written down before it is given, so that it is given once.
    async fn give_notice(
        &self,
        key: &Key,
        days: i32,
        actor: &Actor,
        report: &mut KeysReport,
    ) -> Result<(), EngineError> {
        let noticed = key.noticed(days);
        let audit = self.key_audit(actor, &noticed, "NOTICED", Some(key.state));
        self.replace_keys(vec![(audit, noticed)]).await?;
        let level = if days == 1 {
            AlarmLevel::Critical
        } else {
            AlarmLevel::Warn
        };
        self.0.alarms.raise(Alarm {
            level,
            kind: AlarmKind::KeyEnding,
            order_no: None,
            message: format!(
                "key {} of {} ends at {}, within {days} days: rotate it",
                key.key_id,
                key.owner,
                key.ends_at()
            ),
        });
        report.notices += 1;
        Ok(())
    }

    async fn forget_nonces(&self) -> Result<(), EngineError> {
        let now = self.now();
        while !self.0.stop.is_cancelled() {
            let forget =
                move |tx: &mut crate::storage::Tx<'_>| tx.forget_nonces(now, FORGOTTEN_AT_ONCE);
            let gone = self.0.store.solo(forget).await?;
            if i64::try_from(gone).unwrap_or(i64::MAX) < FORGOTTEN_AT_ONCE {
                break;
            }
        }
        Ok(())
    }
}
