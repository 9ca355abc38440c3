//! Calls people when the holiday calendar lacks the year that is, or the one that comes, while somebody can
//! still do something about it: once a day, as rows say, until it has that year.
//!
//! The calendar counts the business days that a flow waits in the pool of the reconciliation, and nothing else.
//! So nobody is called where nothing is reconciled; the warning at start is for all.

use super::{Alarm, AlarmKind, Engine, EngineError};
use crate::domain::calendar::UnknownYear;
use crate::domain::exception::AlarmLevel;
use crate::storage::job_alarms::{self, About};

/// The job by which it is written down.
const JOB: &str = "watch_runs";

impl Engine {
    /// Tells of a year that the calendar lacks, unless somebody was told today; true when it raised the alarm.
    pub(super) async fn tell_unknown_year(&self) -> Result<bool, EngineError> {
        if self.0.upstreams.partners().is_empty() {
            return Ok(false);
        }
        let today = self.business_day().date_of(self.now());
        let Some(unknown) = self.calendar().unknown_year(today) else {
            return Ok(false);
        };
        let about = About::Calendar(today);
        let read = move |c: &mut _| job_alarms::was_raised(c, JOB, about);
        if self.0.store.read(read).await? {
            return Ok(false);
        }
        let level = match unknown {
            UnknownYear::Present { .. } => AlarmLevel::Critical,
            UnknownYear::Next { .. } => AlarmLevel::Warn,
        };
        let alarm = Alarm {
            level,
            kind: AlarmKind::Calendar,
            order_no: None,
            message: unknown.to_string(),
        };
        self.0.alarms.tell(alarm).await;
        self.keep_job_alarm(JOB, about).await?;
        Ok(true)
    }
}
