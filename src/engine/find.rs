//! Reads orders, flows, exceptions, cases, notifications, merchants and job runs for whoever may see them: the cache first,
//! then the database. Nothing here decides about money.

use super::{Engine, EngineError};
use crate::cache::Snapshot;
use crate::domain::case::Case;
use crate::domain::exception::Exception;
use crate::domain::flow::{Attempt, Flow};
use crate::domain::ids::{CaseNo, FlowNo, MerchantCode, OrderNo};
use crate::domain::job::JobRun;
use crate::domain::merchant::Dossier;
use crate::domain::notification::Notification;
use crate::domain::order::Order;
use crate::storage::notifications::Tries;
use crate::storage::orders::{Filter, Page};
use crate::storage::{cases, exceptions, flows, job_runs, merchants, notifications, orders};
use std::collections::HashMap;
use uuid::Uuid;

/// Whose things a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's: an operator.
    All,
    /// One merchant's own.
    Merchant(MerchantCode),
}

impl Scope {
    /// Whether a thing of a merchant may be seen.
    pub fn sees(&self, merchant: &MerchantCode) -> bool {
        match self {
            Scope::All => true,
            Scope::Merchant(own) => own == merchant,
        }
    }

    /// A filter of notifications narrowed to what may be seen; none where nothing is left.
    pub(super) fn narrow_notifications(
        &self,
        filter: notifications::Filter,
    ) -> Option<notifications::Filter> {
        match self {
            Scope::All => Some(filter),
            Scope::Merchant(own) => match &filter.merchant {
                Some(asked) if asked != own => None,
                _ => Some(notifications::Filter {
                    merchant: Some(own.clone()),
                    ..filter
                }),
            },
        }
    }

    /// The filter narrowed to what may be seen.
    fn narrow(&self, filter: Filter) -> Option<Filter> {
        match self {
            Scope::All => Some(filter),
            Scope::Merchant(own) => match &filter.merchant {
                Some(asked) if asked != own.as_str() => None,
                _ => Some(Filter {
                    merchant: Some(own.to_string()),
                    ..filter
                }),
            },
        }
    }
}

/// One page of a listing, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// What is on the page.
    pub rows: Vec<T>,
    /// Whether there is more in the direction that was asked for.
    pub has_more: bool,
}

impl<T> Listing<T> {
    /// Cuts a page out of rows that were read with one to spare.
    pub(super) fn cut(mut rows: Vec<T>, limit: i64, backwards: bool) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let has_more = rows.len() > limit;
        if has_more && backwards {
            rows.remove(0);
        } else {
            rows.truncate(limit);
        }
        Self { rows, has_more }
    }
}

impl Engine {
    /// An order, from the cache or the database.
    pub async fn order(
        &self,
        order_no: &OrderNo,
        scope: &Scope,
    ) -> Result<Option<Order>, EngineError> {
        if let Some(order) = self.0.cache.order(order_no).await {
            return Ok(scope.sees(&order.merchant).then_some(order));
        }
        let Some(order) = self.0.store.find_order(order_no).await? else {
            return Ok(None);
        };
        self.0.cache.refill(Snapshot::Order(order.clone()));
        Ok(scope.sees(&order.merchant).then_some(order))
    }

    /// An order as the database has it, for those who watch it move or are about to move it: a
    /// decision about money never reads the cache.
    pub async fn order_stored(
        &self,
        order_no: &OrderNo,
        scope: &Scope,
    ) -> Result<Option<Order>, EngineError> {
        let order = self.0.store.find_order(order_no).await?;
        Ok(order.filter(|order| scope.sees(&order.merchant)))
    }

    /// An order by the merchant's own request number, from the database.
    pub async fn order_of_request(
        &self,
        merchant: &MerchantCode,
        request_no: &crate::domain::ids::RequestNo,
    ) -> Result<Option<Order>, EngineError> {
        let (merchant, request_no) = (merchant.clone(), request_no.clone());
        Ok(self
            .0
            .store
            .read(move |c| orders::find_by_request(c, &merchant, &request_no))
            .await?)
    }

    /// A flow, from the cache or the database.
    pub async fn flow(&self, flow_no: &FlowNo, scope: &Scope) -> Result<Option<Flow>, EngineError> {
        let flow = match self.0.cache.flow(flow_no).await {
            Some(flow) => flow,
            None => {
                let number = flow_no.clone();
                let found = self.0.store.read(move |c| flows::find(c, &number)).await?;
                let Some(flow) = found else { return Ok(None) };
                self.0.cache.refill(Snapshot::Flow(flow.clone()));
                flow
            }
        };
        // A flow does not carry its merchant: the order decides who may see it.
        let order = self.order(&flow.order_no, scope).await?;
        Ok(order.map(|_| flow))
    }

    /// The flows of many orders.
    pub async fn flows_of(&self, orders: Vec<OrderNo>) -> Result<Vec<Flow>, EngineError> {
        Ok(self
            .0
            .store
            .read(move |c| flows::of_orders(c, &orders))
            .await?)
    }

    /// A page of orders, newest first.
    pub async fn orders(
        &self,
        filter: Filter,
        page: Page,
        scope: &Scope,
    ) -> Result<Listing<Order>, EngineError> {
        let Some(filter) = scope.narrow(filter) else {
            return Ok(Listing::cut(vec![], 0, false));
        };
        let (limit, backwards) = (page.limit, is_backwards(&page));
        let page = Page {
            limit: limit + 1,
            ..page
        };
        let rows = self
            .0
            .store
            .browse(move |c| orders::list(c, &filter, &page))
            .await?;
        Ok(Listing::cut(rows, limit, backwards))
    }

    /// A page of flows, newest first.
    pub async fn flows(
        &self,
        filter: Filter,
        page: Page,
        scope: &Scope,
    ) -> Result<Listing<Flow>, EngineError> {
        let Some(filter) = scope.narrow(filter) else {
            return Ok(Listing::cut(vec![], 0, false));
        };
        let (limit, backwards) = (page.limit, is_backwards(&page));
        let page = Page {
            limit: limit + 1,
            ..page
        };
        let rows = self
            .0
            .store
            .browse(move |c| flows::list(c, &filter, &page))
            .await?;
        Ok(Listing::cut(rows, limit, backwards))
    }

    /// A page of exceptions, newest first.
    pub async fn exceptions(
        &self,
        filter: exceptions::Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Listing<Exception>, EngineError> {
        let read = move |c: &mut _| exceptions::list(c, &filter, after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// The exceptions of an order, oldest first.
    pub async fn exceptions_of(&self, order_no: &OrderNo) -> Result<Vec<Exception>, EngineError> {
        let number = order_no.clone();
        Ok(self
            .0
            .store
            .read(move |c| exceptions::of_order(c, &number))
            .await?)
    }

    /// The attempts about an order, oldest first.
    pub async fn attempts_of(&self, order_no: &OrderNo) -> Result<Vec<Attempt>, EngineError> {
        let number = order_no.clone();
        Ok(self
            .0
            .store
            .read(move |c| flows::attempts_of(c, &number))
            .await?)
    }

    /// One case.
    pub async fn case(&self, case_no: &CaseNo) -> Result<Option<Case>, EngineError> {
        let number = case_no.clone();
        Ok(self.0.store.read(move |c| cases::find(c, &number)).await?)
    }

    /// The cases of an order, oldest first.
    pub async fn cases_of(&self, order_no: &OrderNo) -> Result<Vec<Case>, EngineError> {
        let number = order_no.clone();
        Ok(self
            .0
            .store
            .read(move |c| cases::of_order(c, &number))
            .await?)
    }

    /// A page of cases, newest first.
    pub async fn cases(
        &self,
        filter: cases::Filter,
        after: Option<CaseNo>,
        limit: i64,
    ) -> Result<Listing<Case>, EngineError> {
        let read = move |c: &mut _| cases::list(c, &filter, after.as_ref(), limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// One notification.
    pub async fn notification(
        &self,
        id: Uuid,
        scope: &Scope,
    ) -> Result<Option<Notification>, EngineError> {
        let found = self.0.store.read(move |c| notifications::find(c, id));
        Ok(found.await?.filter(|found| scope.sees(&found.merchant)))
    }

    /// A page of notifications, newest first.
    pub async fn notifications(
        &self,
        filter: notifications::Filter,
        after: Option<Uuid>,
        limit: i64,
        scope: &Scope,
    ) -> Result<Listing<Notification>, EngineError> {
        let Some(filter) = scope.narrow_notifications(filter) else {
            return Ok(Listing::cut(vec![], 0, false));
        };
        let read = move |c: &mut _| notifications::list(c, &filter, after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// The last tries of notifications, and how many there are, by notification.
    pub async fn notification_tries(
        &self,
        of: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Tries>, EngineError> {
        let read = move |c: &mut _| notifications::tries_of(c, &of);
        Ok(self.0.store.read(read).await?)
    }

    /// A merchant with everything about it, from the database.
    pub async fn merchant(
        &self,
        code: &MerchantCode,
        scope: &Scope,
    ) -> Result<Option<Dossier>, EngineError> {
        if !scope.sees(code) {
            return Ok(None);
        }
        let code = code.clone();
        Ok(self
            .0
            .store
            .read(move |c| merchants::find(c, &code))
            .await?)
    }

    /// A page of merchants, by code.
    pub async fn merchants(
        &self,
        filter: merchants::Filter,
        after: Option<MerchantCode>,
        limit: i64,
    ) -> Result<Listing<Dossier>, EngineError> {
        let read = move |c: &mut _| merchants::list(c, &filter, after.as_ref(), limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// One run of a job.
    pub async fn job_run(&self, run_id: Uuid) -> Result<Option<JobRun>, EngineError> {
        Ok(self
            .0
            .store
            .read(move |c| job_runs::find(c, run_id))
            .await?)
    }

    /// The run of a job that was due last, whatever became of it.
    pub async fn last_job_run(&self, job: &str) -> Result<Option<JobRun>, EngineError> {
        let job = job.to_owned();
        Ok(self
            .0
            .store
            .read(move |c| job_runs::latest(c, &job))
            .await?)
    }

    /// A page of job runs, newest first; of one job, or of all.
    pub async fn job_runs(
        &self,
        job: Option<String>,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Listing<JobRun>, EngineError> {
        let read = move |c: &mut _| job_runs::list(c, job.as_deref(), after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }
}

fn is_backwards(page: &Page) -> bool {
    page.before.is_some() && page.after.is_none()
}
