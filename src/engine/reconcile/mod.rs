//! 对账: lays our flows of a closed day beside the files of the bank and the billers, settles at once what a
//! line proves, and publishes the result as one transaction.
//!
//! A run takes no input: it looks at what is there (our flows, the files that count, the pool of the days
//! before) and what the newest result of the day was made of. Where that is the same nothing is done; else
//! the day is compared anew, and the new result takes the place of the old one, which is kept. So a corrected
//! file, a night that was missed, a crash and a second replica are one path.
//!
//! `plan.rs` says whether a day can be reconciled and by what; `gather.rs` brings the rows together, those of earlier
//! days too (`carried.rs`), and holds the bills that lines name against ours (`bills.rs`);
//! `weigh.rs` walks along them; `prove.rs` settles; `publish.rs` writes; `explain.rs` answers for one flow;
//! `download.rs` finds a result's file for whoever asks for it.
//!
//! Crash anywhere before the transaction: nothing was published. What was settled by a line stays settled,
//! and the next run comes to the same result, because a result writes such a flow as the line proves it.
//!
//! How one could break it: by a result that depends on when it was made; by settling by a line of a file that
//! was not checked whole; by moving an order here instead of in `settle`.

mod bills;
mod buried;
mod carried;
mod download;
mod explain;
mod gather;
mod lines;
mod plan;
mod prove;
mod publish;
mod read;
mod weigh;

pub use download::ResultName;
pub use explain::{Explained, Heard};
pub use prove::Proof;

use super::partner_files::{FileFault, with_causes};
use super::{Actor, Alarm, AlarmKind, Engine};
use crate::domain::exception::AlarmLevel;
use crate::domain::progress::Progress;
use crate::domain::reconciled::{Discrepancy, ReconciliationRun, SideSum};
use crate::domain::reconciliation::MatchingError;
use crate::domain::time::BusinessDate;
use crate::storage::{StoreError, business_days, reconciliations};
use chrono::Days;
use serde::Serialize;

/// Whether a run may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It settles and publishes.
    Publish,
    /// It shows what it would do.
    DryRun,
}

/// A result, published or only shown.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// The run.
    pub run: ReconciliationRun,
    /// Its counts and sums.
    pub sums: Vec<SideSum>,
    /// The flows that are not plainly matched.
    pub differences: Vec<Discrepancy>,
    /// What lines prove of flows that we are undecided about, or had taken for failed.
    pub proofs: Vec<Proof>,
}

/// What became of a day.
#[derive(Clone, Debug)]
pub enum DayOutcome {
    /// A new result.
    Published(Box<Reconciled>),
    /// The result that is there was made of the same.
    Same(Box<ReconciliationRun>),
    /// What would be published.
    Shown(Box<Reconciled>),
    /// It cannot be reconciled yet; what is lacking, in words.
    Waits(Vec<String>),
    /// Another replica was first.
    Overtaken,
}

/// What a run of the job did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileReport {
    /// Days with a new result, in order.
    pub published: Vec<BusinessDate>,
    /// Days that wait for files.
    pub waiting: Vec<BusinessDate>,
    /// Days that could not be reconciled; each raised an alarm.
    pub failed: Vec<BusinessDate>,
    /// Flows that are not matched, in all new results.
    pub differences: u64,
    /// Flows that a line settled.
    pub settled: u64,
}

/// Why a day could not be compared.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum CompareFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(transparent)]
    Matching(#[from] MatchingError),
    #[error("{0}")]
    Odd(String),
}

impl From<StoreError> for CompareFault {
    fn from(error: StoreError) -> Self {
        CompareFault::File(error.into())
    }
}

impl From<CompareFault> for FileFault {
    fn from(fault: CompareFault) -> Self {
        match fault {
            CompareFault::File(fault) => fault,
            other => FileFault::Store(StoreError::Refused(other.to_string())),
        }
    }
}

/// For how many days back results are looked at, however short the partners' own reach is.
const DAYS_BACK_MIN: u32 = 10;
/// So many older days that wait for a file are looked at in one run.
const LEFT_OPEN_MAX: i64 = 100;

impl Engine {
    /// Reconciles every closed day whose files are there and whose result is missing or was made of
    /// something else, in order.
    ///
    /// # Errors
    /// Storage failed. A day that cannot be compared raises an alarm and holds no other day up.
    pub async fn reconcile_days(
        &self,
        actor: &Actor,
        progress: &dyn Progress,
    ) -> Result<ReconcileReport, FileFault> {
        let mut report = ReconcileReport::default();
        if self.0.upstreams.partners().is_empty() {
            return Ok(report);
        }
        for date in self.days_in_reach().await? {
            if self.0.stop.is_cancelled() {
                break;
            }
            match self
                .reconcile_day(date, Mode::Publish, actor, progress)
                .await
            {
                Ok(DayOutcome::Published(done)) => {
                    report.published.push(date);
                    let found = done.run.difference_count;
                    report.differences += u64::try_from(found).unwrap_or(0);
                    report.settled += u64::try_from(done.proofs.len()).unwrap_or(0);
                }
                Ok(DayOutcome::Waits(_)) => report.waiting.push(date),
                Ok(DayOutcome::Same(_) | DayOutcome::Shown(_) | DayOutcome::Overtaken) => {}
                Err(FileFault::Store(error)) if error.is_transient() => return Err(error.into()),
                Err(fault) => {
                    report.failed.push(date);
                    self.cry_about_day(date, &fault);
                }
            }
        }
        Ok(report)
    }

    /// Reconciles one closed day.
    ///
    /// # Errors
    /// Storage, the store of files or a file failed, or what was compared cannot be a day's work.
    pub async fn reconcile_day(
        &self,
        date: BusinessDate,
        mode: Mode,
        actor: &Actor,
        progress: &dyn Progress,
    ) -> Result<DayOutcome, FileFault> {
        let plan = self.plan_day(date).await?;
        if !plan.lacking.is_empty() {
            return Ok(DayOutcome::Waits(plan.lacking));
        }
        if mode == Mode::Publish
            && let Some(current) = &plan.current
            && current.input_hash == plan.inputs.hash()
        {
            return Ok(DayOutcome::Same(Box::new(current.clone())));
        }
        let weighed = self.compare_day(&plan, progress).await?;
        let proofs = self.proofs_of(&plan, &weighed).await?;
        if mode == Mode::Publish {
            for proof in &proofs {
                self.settle_by_line(proof, actor).await?;
            }
        }
        self.publish_day(plan, weighed, proofs, (mode, actor)).await
    }

    /// Compares a day again although nothing that went in has changed: what comes out has to be the same.
    ///
    /// # Errors
    /// As [`Engine::reconcile_day`].
    pub async fn reconcile_again(
        &self,
        date: BusinessDate,
        actor: &Actor,
        progress: &dyn Progress,
    ) -> Result<DayOutcome, FileFault> {
        let plan = self.plan_day(date).await?;
        if !plan.lacking.is_empty() {
            return Ok(DayOutcome::Waits(plan.lacking));
        }
        let weighed = self.compare_day(&plan, progress).await?;
        let proofs = self.proofs_of(&plan, &weighed).await?;
        for proof in &proofs {
            self.settle_by_line(proof, actor).await?;
        }
        self.publish_day(plan, weighed, proofs, (Mode::Publish, actor))
            .await
    }

    /// The closed days whose results may change, and those from before that have files and no result: a file
    /// may come after any time.
    async fn days_in_reach(&self) -> Result<Vec<BusinessDate>, FileFault> {
        let partners = self.0.upstreams.partners().iter();
        let back = partners.map(|link| link.partner.days_back).max();
        let back = back.unwrap_or(0).max(DAYS_BACK_MIN);
        let today = self.0.options.day.date_of(self.now());
        let after = today.0.checked_sub_days(Days::new(u64::from(back) + 1));
        let after = after.map(BusinessDate);
        let read = move |c: &mut _| business_days::closed_after(c, after, i64::from(back) + 2);
        let days = self.0.store.read(read).await?;
        let mut dates = match after {
            Some(until) => {
                let read = move |c: &mut _| reconciliations::left_open(c, until, LEFT_OPEN_MAX);
                self.0.store.browse(read).await?
            }
            None => Vec::new(),
        };
        dates.extend(days.into_iter().map(|day| day.date));
        Ok(dates)
    }

    fn cry_about_day(&self, date: BusinessDate, fault: &FileFault) {
        let error = with_causes(fault);
        tracing::error!(business_date = %date, error, "a day could not be reconciled");
        self.0.alarms.raise(Alarm {
            level: AlarmLevel::Critical,
            kind: AlarmKind::Reconciliation,
            order_no: None,
            message: format!("{date} could not be reconciled: {error} (docs/RUNBOOK.md)"),
        });
    }
}
