//! 日切: closes the business dates that are over, each once and in order.
//!
//! A flow belongs to the date on which it started: its number says which, and that is decided before it is
//! committed. So a date is not closed at its cut-off but a grace later, which is longer than a commit may
//! take and a replica's clock may be late. A flow that slips in later still is not lost: for some nights each
//! closed day is counted again, and after that whenever something of it can have changed: while a flow is
//! undecided, and when a case is decided. What statements and reconciliation do, they do again where the
//! count has changed.
//!
//! Crash here: a day is one row, and its sums come with it in one transaction. What is not closed is closed
//! by the next run. Two replicas that close the same day meet at the row; one of them finds it there.

use super::{Actor, Alarm, AlarmKind, Engine, EngineError};
use crate::domain::audit::AuditEntry;
use crate::domain::business_day::{ClosedDay, FlowSum};
use crate::domain::exception::AlarmLevel;
use crate::domain::progress::Progress;
use crate::domain::time::BusinessDate;
use crate::storage::{Tx, business_days};
use chrono::{Days, TimeDelta};
use serde::Serialize;
use std::time::Duration;

/// The rules of closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingRules {
    /// How long after its cut-off a date is closed.
    pub grace: Duration,
    /// For how many days a closed day is counted again each night, whatever happened.
    pub recount_days: u32,
}

impl Default for ClosingRules {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(300),
            recount_days: 7,
        }
    }
}

/// What a run closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloseReport {
    /// The days that were closed, in order.
    pub closed: Vec<BusinessDate>,
    /// The days whose count has changed since they were last counted.
    pub changed: Vec<BusinessDate>,
}

impl Engine {
    /// Closes each date that is over and not closed yet, and counts again those that may have changed.
    ///
    /// # Errors
    /// Storage failed; what is closed stays closed, and the next run goes on from there.
    pub async fn close_days(
        &self,
        actor: &Actor,
        progress: &dyn Progress,
    ) -> Result<CloseReport, EngineError> {
        let mut report = CloseReport::default();
        let missed = self.days_to_close().await?;
        let total = u64::try_from(missed.len()).ok();
        for (done, date) in (1..).zip(missed) {
            if self.close_day(date, actor).await? {
                report.closed.push(date);
            }
            progress.at(done, total);
        }
        report.changed = self.count_again(actor, &report.closed).await?;
        Ok(report)
    }

    /// The dates that are over and not closed, in order, wherever they lie between those that are. The first
    /// of all is the date of the first flow, which may have been brought in after later days were closed; a
    /// center without flows begins with the last date that is over.
    async fn days_to_close(&self) -> Result<Vec<BusinessDate>, EngineError> {
        let grace = TimeDelta::from_std(self.0.options.closing.grace).unwrap_or(TimeDelta::MAX);
        let Some(last) = self.0.options.day.last_ended_before(self.now(), grace) else {
            return Ok(Vec::new());
        };
        let read = move |c: &mut _| {
            let firsts = [
                business_days::first_flow(c)?,
                business_days::first_closed(c)?,
            ];
            let first = firsts.into_iter().flatten().min().unwrap_or(last);
            Ok((first, business_days::closed_dates(c, first, last)?))
        };
        let (first, closed) = self.0.store.read(read).await?;
        let missed = dates_of(first, last).filter(|date| !closed.contains(date));
        Ok(missed.collect())
    }

    /// Closes one date; false where somebody else has.
    async fn close_day(&self, date: BusinessDate, actor: &Actor) -> Result<bool, EngineError> {
        let sums = self.count_day(date).await?;
        let day = ClosedDay::closing(date, self.now(), self.instance(), &sums);
        let entry = self.told(&day, actor, "DAY_CLOSED");
        let close = move |tx: &mut Tx<'_>| tx.close_day(&day, &sums, entry.clone());
        let is_new = self.0.store.solo(close).await?;
        if is_new {
            tracing::info!(business_date = %date, "a business day is closed");
        }
        Ok(is_new)
    }

    /// Counts closed days again; tells which have changed.
    async fn count_again(
        &self,
        actor: &Actor,
        just_closed: &[BusinessDate],
    ) -> Result<Vec<BusinessDate>, EngineError> {
        let today = self.0.options.day.date_of(self.now());
        let back = Days::new(self.0.options.closing.recount_days.into());
        let from = today.0.checked_sub_days(back).unwrap_or(today.0);
        let grace = self.0.options.closing.grace;
        let due = move |c: &mut _| business_days::to_count_again(c, BusinessDate(from), grace);
        let mut changed = Vec::new();
        for day in self.0.store.browse(due).await? {
            if just_closed.contains(&day.date) {
                continue;
            }
            if self.recount(&day, actor).await? {
                changed.push(day.date);
            }
        }
        Ok(changed)
    }

    async fn recount(&self, day: &ClosedDay, actor: &Actor) -> Result<bool, EngineError> {
        // The time is taken before the count: what is decided in between is counted once more.
        let now = self.now();
        let sums = self.count_day(day.date).await?;
        let date = day.date;
        let before = move |c: &mut _| business_days::sums_of(c, date);
        let is_changed = self.0.store.read(before).await? != sums;
        let again = day.counted_again(now, &sums);
        let came_late = again.late - day.late;
        let entry = self.told(&again, actor, "DAY_COUNTED_AGAIN");
        let counted_at = day.counted_at;
        let entry = is_changed.then_some(entry);
        let write = move |tx: &mut Tx<'_>| tx.recount_day(counted_at, &again, &sums, entry.clone());
        let is_ours = self.0.store.solo(write).await?;
        if is_ours && came_late > 0 {
            self.0.alarms.raise(Alarm {
                level: AlarmLevel::Warn,
                kind: AlarmKind::LateFlow,
                order_no: None,
                message: format!(
                    "{came_late} flows of {date} were committed after that day was closed: its \
                     statements are made again. A replica's clock is late, or commits took longer than \
                     statements.close_grace_s"
                ),
            });
        }
        Ok(is_ours && is_changed)
    }

    async fn count_day(&self, date: BusinessDate) -> Result<Vec<FlowSum>, EngineError> {
        let count = move |c: &mut _| business_days::count(c, date);
        Ok(self.0.store.scan(count).await?)
    }

    fn told(&self, day: &ClosedDay, actor: &Actor, action: &str) -> AuditEntry {
        AuditEntry {
            subject_kind: "BUSINESS_DAY",
            subject: day.date.to_string(),
            detail: Some(format!(
                "{} flows, {} undecided, {} late",
                day.flows, day.undecided, day.late
            )),
            ..self.audit(day.counted_at, actor, action)
        }
    }
}

/// The dates from one to another, both included.
fn dates_of(from: BusinessDate, to: BusinessDate) -> impl Iterator<Item = BusinessDate> {
    from.0
        .iter_days()
        .take_while(move |date| *date <= to.0)
        .map(BusinessDate)
}
