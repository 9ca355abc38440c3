//! Calls people: a case where neither polling nor reversal brought an answer, and alarms for doubt
//! that has lasted too long.

use super::poll::{Doubtful, Polled};
use super::settle::Step;
use super::{Alarm, AlarmKind, Engine, EngineError};
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::exception::{AlarmLevel, Exception, Progress, later};
use crate::domain::order::{Order, OrderEvent};
use crate::storage::{CaseMove, ExceptionMove, exceptions};

/// How many old exceptions are looked at in one go.
const ALARM_BATCH: i64 = 500;

impl Engine {
    /// The order becomes MANUAL and a case opens. While the bank can still be asked, polling goes on
    /// beside the case; an answer ends it without people.
    pub(super) async fn escalate(
        &self,
        doubtful: Doubtful,
        exception: Exception,
        step: Step,
        progress: Progress,
    ) -> Result<Polled, EngineError> {
        let last = exception
            .last_outcome
            .map_or("no answer", |outcome| outcome.as_str());
        let cause = match progress.next_at {
            Some(_) => format!("in doubt for long; the bank's last answer: {last}"),
            None if exception.tries == 0 => {
                format!("the reversal was held back for long; the bank's last answer: {last}")
            }
            None => format!(
                "{} reversal tries without a final answer; last: {last}",
                exception.tries
            ),
        };
        let case = self.new_case(&doubtful.order, CaseKind::Doubt, cause);
        let exception = match progress.next_at {
            Some(_) => ExceptionMove::Replace(Exception {
                escalated: true,
                lease_owner: None,
                lease_until: None,
                ..exception
            }),
            None => ExceptionMove::Close,
        };
        let step = Step {
            event: OrderEvent::LadderUsedUp,
            exception,
            case: CaseMove::Open(case),
            ..step
        };
        let settled = self.settle(doubtful.order, doubtful.flows, step).await?;
        Ok(Polled::after(&settled))
    }

    /// A new case about an order.
    pub(super) fn new_case(&self, order: &Order, kind: CaseKind, cause: String) -> Case {
        let now = self.now();
        Case {
            case_no: self.0.numbers.case(now),
            order_no: Some(order.order_no.clone()),
            flow_no: None,
            owner: None,
            kind,
            state: CaseState::Open,
            cause,
            opened_at: now,
            due_at: later(now, self.0.options.case_due),
            proposal: None,
            checker: None,
            closed_at: None,
            resolution: None,
            version: 0,
        }
    }

    /// Raises the alarms that the age of open exceptions calls for, each level once.
    pub(super) async fn raise_alarms(&self) -> Result<u32, EngineError> {
        let ages = self.0.options.alarm_ages;
        let mut raised = 0;
        for (level, age) in [
            (AlarmLevel::Critical, ages.critical),
            (AlarmLevel::Warn, ages.warn),
        ] {
            let before = self.now() - chrono::Duration::from_std(age).unwrap_or_default();
            let old = self
                .0
                .store
                .read(move |c| exceptions::quieter_than(c, level, before, ALARM_BATCH))
                .await?;
            for exception in old {
                raised += u32::from(self.raise_age_alarm(exception, level).await?);
            }
        }
        Ok(raised)
    }

    async fn raise_age_alarm(
        &self,
        exception: Exception,
        level: AlarmLevel,
    ) -> Result<bool, EngineError> {
        let marked = exception.clone();
        if !self
            .0
            .store
            .solo(move |tx| tx.raise_alarm(&marked, level))
            .await?
        {
            return Ok(false);
        }
        self.0.alarms.raise(Alarm {
            level,
            kind: AlarmKind::OldException,
            message: format!(
                "order {} has been in doubt since {}; next ask at {}",
                exception.order_no,
                exception.opened_at.to_rfc3339(),
                exception.next_at.to_rfc3339()
            ),
            order_no: Some(exception.order_no),
        });
        Ok(true)
    }
}
