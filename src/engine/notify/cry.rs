//! Calls people when merchants are not told: given up, late, or nothing sent at all for want of a key.
//! Each cry is heard once an hour from each replica, whatever goes on meanwhile.

use super::lanes::Cry;
use crate::domain::exception::AlarmLevel;
use crate::domain::notification::{GiveUpReason, Notification, NotificationState};
use crate::domain::time::Instant;
use crate::engine::{Alarm, AlarmKind, Engine, EngineError};
use crate::storage::notifications::{Behind, merchants_behind};
use std::time::Duration;

/// The same is cried about again after so long.
const CRY_AGAIN_AFTER: Duration = Duration::from_hours(1);
/// A merchant is late whose oldest pending notification is older than this.
const LATE_AFTER: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// Late merchants are looked for so often: it reads all that is pending.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Engine {
    /// Counts and calls after the commit.
    pub(super) fn concluded(&self, after: &Notification, now: Instant) {
        if after.state == NotificationState::Pending {
            return;
        }
        metrics::counter!("payhall_notifications_total", "state" => after.state.as_str())
            .increment(1);
        let cry = Cry::GivenUp(after.merchant.clone());
        if after.reason != Some(GiveUpReason::TriesUsedUp)
            || !self.0.lanes.may_cry(cry, now, CRY_AGAIN_AFTER)
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

    /// Calls about merchants who have waited long: their tries have not come to an end, and where many
    /// notifications stand behind a server that hangs they will not for long.
    pub(super) async fn cry_about_late_ones(&self) -> Result<(), EngineError> {
        let now = self.now();
        let lanes = &self.0.lanes;
        // Without a key everybody waits, and that is cried about by itself.
        if self.center_key().is_none() || !lanes.may_cry(Cry::Looked, now, LOOK_AGAIN_AFTER) {
            return Ok(());
        }
        let read = move |c: &mut _| merchants_behind(c, now - LATE_AFTER);
        for behind in self.0.store.browse(read).await? {
            let Behind {
                merchant,
                count,
                oldest,
            } = behind;
            if !lanes.may_cry(Cry::Late(merchant.clone()), now, CRY_AGAIN_AFTER) {
                continue;
            }
            let minutes = (now - oldest).num_minutes();
            self.0.alarms.raise(Alarm {
                level: AlarmLevel::Warn,
                kind: AlarmKind::NotificationLate,
                order_no: None,
                message: format!(
                    "merchant {merchant} has not been told of {count} orders, of the oldest for \
                     {minutes} minutes; the tries of its notifications say what ails its server"
                ),
            });
        }
        Ok(())
    }

    /// Calls when something is due to so many merchants that cannot be signed; none are said where there
    /// is a key.
    pub(super) fn cry_about_the_key(&self, waiting: usize, now: Instant) {
        let stopped = f64::from(u8::from(waiting > 0));
        metrics::gauge!("payhall_notifications_stopped").set(stopped);
        if waiting == 0 || !self.0.lanes.may_cry(Cry::NoKey, now, CRY_AGAIN_AFTER) {
            return;
        }
        self.0.alarms.raise(Alarm {
            level: AlarmLevel::Warn,
            kind: AlarmKind::NotificationsStopped,
            order_no: None,
            message: format!(
                "nothing is sent to {waiting} merchants who are to be notified: the center has no key \
                 to sign with; set keys.master, and what waits is sent by itself"
            ),
        });
    }
}
