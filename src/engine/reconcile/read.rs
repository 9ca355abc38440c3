//! Results, read: runs, their counts and sums, their flows.

use crate::domain::reconciled::{Discrepancy, ReconciliationRun, SideSum};
use crate::domain::time::BusinessDate;
use crate::engine::{Engine, EngineError, Listing};
use crate::storage::{discrepancies, reconciliations};
use uuid::Uuid;

impl Engine {
    /// A page of results, newest first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn reconciliations(
        &self,
        filter: reconciliations::Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Listing<ReconciliationRun>, EngineError> {
        let read = move |c: &mut _| reconciliations::list(c, &filter, after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// The result of a date: the one that counts, or a version of it.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn reconciliation(
        &self,
        date: BusinessDate,
        version: Option<i32>,
    ) -> Result<Option<ReconciliationRun>, EngineError> {
        let read = move |c: &mut _| match version {
            None => reconciliations::current(c, date),
            Some(version) => {
                let all = reconciliations::of(c, date)?;
                Ok(all.into_iter().find(|run| run.version == version))
            }
        };
        Ok(self.0.store.read(read).await?)
    }

    /// The counts and sums of a result.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn reconciliation_sums(&self, run_id: Uuid) -> Result<Vec<SideSum>, EngineError> {
        let read = move |c: &mut _| reconciliations::sums_of(c, run_id);
        Ok(self.0.store.read(read).await?)
    }

    /// A page of flows that are not matched, newest first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn discrepancies(
        &self,
        filter: discrepancies::Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Listing<Discrepancy>, EngineError> {
        let read = move |c: &mut _| discrepancies::list(c, &filter, after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }
}
