//! The simulated world's clock. It shows the real time until somebody sets it over the back door: then
//! it goes on from there, or stands still, so that one run can play several business dates.
//!
//! A restart shows the real time again.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::now;

/// What a clock does after it has been set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Pace {
    #[default]
    Runs,
    Stands,
}

/// How the clock is to be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockSpec {
    now: DateTime<Utc>,
    #[serde(default)]
    pace: Pace,
}

#[derive(Clone, Copy)]
enum Setting {
    /// So much ahead of the real time.
    Ahead(TimeDelta),
    At(DateTime<Utc>),
}

/// A clock that can be set.
pub(super) struct Clock {
    setting: RwLock<Setting>,
    set: watch::Sender<()>,
}

impl Clock {
    /// One that shows the real time.
    pub fn new() -> Self {
        Self {
            setting: RwLock::new(Setting::Ahead(TimeDelta::zero())),
            set: watch::Sender::new(()),
        }
    }

    /// What it shows.
    pub fn now(&self) -> DateTime<Utc> {
        match self.setting() {
            Setting::At(at) => at,
            Setting::Ahead(by) => {
                let now = now();
                now.checked_add_signed(by).unwrap_or(now)
            }
        }
    }

    /// Whether it goes on.
    pub fn pace(&self) -> Pace {
        match self.setting() {
            Setting::Ahead(_) => Pace::Runs,
            Setting::At(_) => Pace::Stands,
        }
    }

    /// Sets it.
    pub fn set(&self, spec: &ClockSpec) {
        self.replace(match spec.pace {
            Pace::Runs => Setting::Ahead(spec.now - now()),
            Pace::Stands => Setting::At(spec.now),
        });
    }

    /// Lets it show the real time again.
    pub fn reset(&self) {
        self.replace(Setting::Ahead(TimeDelta::zero()));
    }

    /// Returns when it shows `due` or later.
    pub async fn until(&self, due: DateTime<Utc>) {
        let mut set = self.set.subscribe();
        loop {
            let left = (due - self.now()).to_std().unwrap_or_default();
            if left.is_zero() {
                return;
            }
            let wait = match self.pace() {
                Pace::Runs => left,
                Pace::Stands => Duration::MAX,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // It cannot end: the sender is in `self`.
                _ = set.changed() => {}
            }
        }
    }

    fn setting(&self) -> Setting {
        *self.setting.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, setting: Setting) {
        *self.setting.write().unwrap_or_else(PoisonError::into_inner) = setting;
        self.set.send_replace(());
    }
}
