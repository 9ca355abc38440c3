//! Holds copies in the cache against the database, and calls for help where readers are shown what the
//! database does not say.
//!
//! A copy is read first and its row afterwards, so a copy that is ahead of its row is of a state that the
//! database has lost, or never had: a standby that took over without the last commits, a restored backup,
//! somebody at the tables. A copy that is behind is fine for as long as it lives; one of an open state lives
//! half a minute, so an order that has been at rest for longer and is still shown as open is drift. Nothing
//! decides about money by the cache, so nothing is mended here: it is reported, and the copies' lives end.

use super::{Alarm, AlarmKind, Engine, EngineError};
use crate::cache::OPEN_TTL_S_MAX;
use crate::domain::exception::{AlarmLevel, later};
use crate::domain::flow::{Flow, FlowState};
use crate::domain::ids::OrderNo;
use crate::domain::order::Order;
use crate::domain::progress::Progress;
use crate::domain::time::Instant;
use crate::storage::orders::{self, Filter, Page};
use crate::storage::{exceptions, flows};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// So many of the newest orders are looked at, and so many that are in doubt.
const NEWEST: i64 = 500;
const IN_DOUBT: i64 = 200;
/// So many are looked at in one go.
const AT_ONCE: usize = 100;
/// For a copy that was kept at the last moment of its state, and clocks that differ.
const GRACE: Duration = Duration::from_secs(30);
/// So many are named in an alarm.
const NAMED_MAX: usize = 3;

/// What a look at the copies brought. How many were looked at is told as progress: it says nothing about
/// what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheAuditReport {
    /// Copies of a version that the database does not have.
    pub ahead: u32,
    /// Copies that say something else than their row about the same version.
    pub different: u32,
    /// Copies of an open state, of what has been at rest for longer than they live.
    pub outlived: u32,
    /// Some of them, by number.
    pub named: Vec<String>,
}

/// What is wrong with a copy.
enum Drift {
    Ahead,
    Different,
    Outlived,
}

impl Engine {
    /// Looks at the copies of the newest orders, of those in doubt, and of their flows.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn audit_cache(
        &self,
        progress: &dyn Progress,
    ) -> Result<CacheAuditReport, EngineError> {
        let numbers = self.sampled().await?;
        let mut report = CacheAuditReport::default();
        let total = u64::try_from(numbers.len()).ok();
        let mut done = 0;
        for part in numbers.chunks(AT_ONCE) {
            if self.0.stop.is_cancelled() {
                break;
            }
            self.audit_orders(part, &mut report).await?;
            self.audit_flows(part, &mut report).await?;
            done += part.len() as u64;
            progress.at(done, total);
        }
        self.tell_drift(&report);
        Ok(report)
    }

    async fn sampled(&self) -> Result<Vec<OrderNo>, EngineError> {
        let read = |c: &mut _| {
            let page = Page {
                after: None,
                before: None,
                limit: NEWEST,
            };
            let newest = orders::list(c, &Filter::default(), &page)?;
            let filter = exceptions::Filter {
                open_only: true,
                ..exceptions::Filter::default()
            };
            let in_doubt = exceptions::list(c, &filter, None, IN_DOUBT)?;
            let newest = newest.into_iter().map(|order| order.order_no);
            Ok(newest
                .chain(in_doubt.into_iter().map(|doubt| doubt.order_no))
                .collect::<Vec<_>>())
        };
        let mut numbers = self.0.store.browse(read).await?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    async fn audit_orders(
        &self,
        numbers: &[OrderNo],
        report: &mut CacheAuditReport,
    ) -> Result<(), EngineError> {
        let mut copies = Vec::new();
        for number in numbers {
            copies.extend(self.0.cache.order(number).await);
        }
        let of: Vec<OrderNo> = copies.iter().map(|copy| copy.order_no.clone()).collect();
        let rows = self
            .0
            .store
            .read(move |c| orders::find_many(c, &of))
            .await?;
        let rows: HashMap<&str, &Order> = rows
            .iter()
            .map(|row| (row.order_no.as_str(), row))
            .collect();
        for copy in &copies {
            let row = rows.get(copy.order_no.as_str()).copied();
            let found = self.judge_order(copy, row);
            report.take(found, copy.order_no.as_str());
        }
        Ok(())
    }

    async fn audit_flows(
        &self,
        orders: &[OrderNo],
        report: &mut CacheAuditReport,
    ) -> Result<(), EngineError> {
        let of = orders.to_vec();
        let known = self.0.store.read(move |c| flows::of_orders(c, &of)).await?;
        let mut copies = Vec::new();
        for flow in &known {
            copies.extend(self.0.cache.flow(&flow.flow_no).await);
        }
        let of: Vec<OrderNo> = copies.iter().map(|copy| copy.order_no.clone()).collect();
        let rows = self.0.store.read(move |c| flows::of_orders(c, &of)).await?;
        let rows: HashMap<&str, &Flow> =
            rows.iter().map(|row| (row.flow_no.as_str(), row)).collect();
        for copy in &copies {
            let row = rows.get(copy.flow_no.as_str()).copied();
            let found = self.judge_flow(copy, row);
            report.take(found, copy.flow_no.as_str());
        }
        Ok(())
    }

    fn judge_order(&self, copy: &Order, row: Option<&Order>) -> Option<Drift> {
        match row {
            Some(row) if row.version == copy.version => (row != copy).then_some(Drift::Different),
            Some(row) if row.version > copy.version => {
                let is_open = !copy.state.is_terminal() && row.state.is_terminal();
                (is_open && self.has_outlived(row.updated_at)).then_some(Drift::Outlived)
            }
            _ => Some(Drift::Ahead),
        }
    }

    fn judge_flow(&self, copy: &Flow, row: Option<&Flow>) -> Option<Drift> {
        match row {
            Some(row) if row.version == copy.version => (row != copy).then_some(Drift::Different),
            Some(row) if row.version > copy.version => {
                let is_open = copy.state == FlowState::Started;
                let concluded_at = row.concluded_at.filter(|_| is_open)?;
                self.has_outlived(concluded_at).then_some(Drift::Outlived)
            }
            _ => Some(Drift::Ahead),
        }
    }

    /// Whether a copy of the open state before a change cannot live any more.
    fn has_outlived(&self, changed_at: Instant) -> bool {
        let life = Duration::from_secs(OPEN_TTL_S_MAX) + GRACE;
        self.now() > later(changed_at, life)
    }

    fn tell_drift(&self, report: &CacheAuditReport) {
        if *report == CacheAuditReport::default() {
            return;
        }
        let level = if report.ahead + report.different > 0 {
            AlarmLevel::Critical
        } else {
            AlarmLevel::Warn
        };
        self.0.alarms.raise(Alarm {
            level,
            kind: AlarmKind::CacheDrift,
            order_no: None,
            message: format!(
                "the cache shows what the database does not say: {} ahead of it, {} different, {} open \
                 that are at rest; such as {}",
                report.ahead,
                report.different,
                report.outlived,
                report.named.join(", ")
            ),
        });
    }
}

impl CacheAuditReport {
    fn take(&mut self, found: Option<Drift>, number: &str) {
        match found {
            None => return,
            Some(Drift::Ahead) => self.ahead += 1,
            Some(Drift::Different) => self.different += 1,
            Some(Drift::Outlived) => self.outlived += 1,
        }
        if self.named.len() < NAMED_MAX {
            self.named.push(number.to_owned());
        }
    }
}
