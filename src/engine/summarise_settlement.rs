//! 结算汇总: sums up what is settled between each merchant and biller of a closed day, flow by flow with the
//! same fees as the statements, so that the two balance to the last unit.

use super::partner_files::with_causes;
use super::statements::{RenderError, StatementError};
use super::{Actor, Engine, EngineError, Listing, Scope};
use crate::domain::audit::AuditEntry;
use crate::domain::business_day::ClosedDay;
use crate::domain::progress::Progress;
use crate::domain::settlement::SettlementSummary;
use crate::domain::time::{BusinessDate, Instant};
use crate::storage::day_flows::{self, DayFlows, Interrupted};
use crate::storage::settlement_summaries::{self, Filter, Place};
use crate::storage::{AnyConnection, Tx, business_days, catalogue, contracts};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// What the night calls this work.
pub(super) const WORK: &str = "SETTLEMENT";
/// How many closed days are looked at in one run.
const DAYS_MAX: i64 = 1_000;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SettlementReport {
    /// The days that were summed up, in order.
    pub days: Vec<BusinessDate>,
    /// Summaries that are new or others than before.
    pub changed: u64,
}

type Summaries = Vec<SettlementSummary>;

impl Engine {
    /// Sums up the closed days that are not summed up yet, or whose count has changed. A day that cannot be
    /// summed up is left, and the others are summed up.
    ///
    /// # Errors
    /// Whatever stops it, or else the first thing that was left; what is written stays written, and the next run
    /// goes on from there.
    pub async fn summarise_settlement(
        &self,
        actor: &Actor,
        (progress, stop): (&dyn Progress, &CancellationToken),
    ) -> Result<SettlementReport, StatementError> {
        let mut report = SettlementReport::default();
        let due = move |c: &mut _| business_days::to_work_on(c, WORK, DAYS_MAX);
        let due = self.0.store.read(due).await?;
        let total = u64::try_from(due.len()).ok();
        let mut left = None;
        for (done, day) in (1..).zip(due) {
            if stop.is_cancelled() {
                break;
            }
            match self.summarise(&day, actor).await {
                Ok(changed) => {
                    report.changed += changed;
                    report.days.push(day.date);
                }
                Err(error) if error.concerns_all() => return Err(error),
                Err(error) => {
                    let why = with_causes(&error);
                    tracing::error!(business_date = %day.date, error = why, "a day was not summed up");
                    left.get_or_insert(error);
                }
            }
            progress.at(done, total);
        }
        match left {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    async fn summarise(&self, day: &ClosedDay, actor: &Actor) -> Result<u64, StatementError> {
        let (date, now) = (day.date, self.now());
        let read = move |c: &mut AnyConnection| {
            let version = catalogue::version(c)?;
            Ok((version, sum_up(c, date, now)))
        };
        let (version, summed) = self.0.store.scan(read).await?;
        let sums = summed.map_err(|error| match error {
            RenderError::Store(error) => StatementError::Store(error),
            error => StatementError::Settlement(date, Box::new(error)),
        })?;
        let entry = AuditEntry {
            subject_kind: "BUSINESS_DAY",
            subject: date.to_string(),
            ..self.audit(now, actor, "SETTLEMENT_SUMMARISED")
        };
        let day = day.clone();
        let write = move |tx: &mut Tx<'_>| {
            // The next run sums up what is there by then.
            let Some(changed) = tx.keep_summaries(&day, version, sums.clone())? else {
                return Ok(0);
            };
            if changed > 0 {
                tx.audit(AuditEntry {
                    detail: Some(format!("{} summaries, {changed} changed", sums.len())),
                    ..entry.clone()
                })?;
            }
            tx.day_worked(&day, (WORK, version), now)?;
            Ok(changed)
        };
        Ok(self.0.store.solo(write).await?)
    }

    /// A page of summaries, newest day first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn settlement_summaries(
        &self,
        filter: Filter,
        after: Option<Place>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Listing<SettlementSummary>, EngineError> {
        let filter = match scope {
            Scope::All => filter,
            Scope::Merchant(own) => match &filter.merchant {
                Some(asked) if asked != own.as_str() => {
                    return Ok(Listing::cut(Vec::new(), limit, false));
                }
                _ => Filter {
                    merchant: Some(own.to_string()),
                    ..filter
                },
            },
        };
        let read =
            move |c: &mut _| settlement_summaries::list(c, &filter, after.as_ref(), limit + 1);
        let rows = self.0.store.browse(read).await?;
        Ok(Listing::cut(rows, limit, false))
    }
}

fn sum_up(
    c: &mut AnyConnection,
    date: BusinessDate,
    now: Instant,
) -> Result<Summaries, RenderError> {
    let contracts = contracts::load(c)?;
    let mut sums: BTreeMap<(String, String, &'static str), SettlementSummary> = BTreeMap::new();
    let all = DayFlows::All(date);
    let mut take = |flow: &crate::domain::statement::DayFlow<'_>| {
        let too_large = |error| RenderError::Fee(flow.flow_no.to_owned(), error);
        let between = (flow.merchant, flow.biller);
        let fee = contracts
            .fee(
                between,
                flow.currency,
                flow.paid_on(date),
                flow.amount_minor,
            )
            .map_err(too_large)?;
        let key = (
            flow.merchant.to_owned(),
            flow.biller.to_owned(),
            flow.currency.code(),
        );
        let sum = sums
            .entry(key)
            .or_insert_with(|| SettlementSummary::empty(date, flow, now));
        sum.add(flow, fee).map_err(too_large)
    };
    let passed: Result<u64, Interrupted<RenderError>> = day_flows::each(c, &all, &mut take);
    passed?;
    Ok(sums.into_values().collect())
}
