//! What a running center does besides, so that what it shows is fresh: it reads the catalogue again, and tells
//! the metrics what the database says. Each replica does it by itself, and all come to the same figures.

use crate::domain::case::CaseKind;
use crate::domain::exception::Phase;
use crate::domain::order::OrderState;
use crate::engine::{Engine, EngineError, JobBook};
use crate::storage::{StoreError, cases, exceptions, notifications, orders};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the catalogue is looked at for an import by somebody else.
const CATALOGUE_EVERY: Duration = Duration::from_secs(5);
/// How often the figures that come from the database are read.
const FIGURES_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked which business dates are late.
const LATE_EVERY: Duration = Duration::from_secs(60);

/// Work that only keeps things fresh: the catalogue, and the figures of the database.
pub(super) fn keep_fresh(
    engine: &Engine,
    book: Arc<dyn JobBook>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let catalogue = engine.clone();
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(CATALOGUE_EVERY).await;
            match catalogue.refresh_catalogue().await {
                Ok(true) => tracing::info!("the catalogue was read again"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the catalogue cannot be read"),
            }
            if let Err(error) = catalogue.refresh_center_key().await {
                tracing::error!(%error, "the center's own key cannot be read");
            }
        }
    }));
    let figures = engine.clone();
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
        loop {
            if let Err(error) = read_figures(&figures).await {
                tracing::warn!(%error, "the figures cannot be read");
            }
            tokio::time::sleep(FIGURES_EVERY).await;
        }
    }));
    let late = engine.clone();
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(LATE_EVERY).await;
            if let Err(error) = read_late(&late, &*book).await {
                tracing::warn!(%error, "the figures of the night cannot be read");
            }
        }
    }));
}

/// How many business dates each job of the night is late with, as gauges.
async fn read_late(engine: &Engine, book: &dyn JobBook) -> Result<(), EngineError> {
    for (job, dates) in engine.dates_late(book).await? {
        metrics::gauge!("payhall_job_dates_late", "job" => job).set(f64::from(dates));
    }
    Ok(())
}

/// Open exceptions with their oldest age, open payments by state, what is due to merchants, and what waits for
/// people, as gauges.
async fn read_figures(engine: &Engine) -> Result<(), StoreError> {
    let (open, states, due, waiting) = engine
        .store()
        .read(|c| {
            Ok((
                exceptions::open_figures(c)?,
                orders::count_by_state(c)?,
                notifications::pending_figures(c)?,
                cases::open_by_kind(c)?,
            ))
        })
        .await?;
    let now = engine.clock().now();
    for phase in Phase::ALL {
        let row = open.iter().find(|found| found.phase == *phase);
        let count = row.map_or(0, |row| row.count);
        let age = row.map_or(0, |row| (now - row.oldest).num_seconds().max(0));
        let depth = row.map_or(0, |row| i64::from(row.polls_max));
        let gauge = |name: &'static str| metrics::gauge!(name, "phase" => phase.as_str());
        gauge("payhall_exceptions_open").set(figure(count));
        gauge("payhall_exceptions_oldest_age_seconds").set(figure(age));
        gauge("payhall_exceptions_ladder_depth").set(figure(depth));
    }
    let age = due.oldest.map_or(0, |at| (now - at).num_seconds().max(0));
    metrics::gauge!("payhall_notifications_pending").set(figure(due.count));
    metrics::gauge!("payhall_notifications_oldest_age_seconds").set(figure(age));
    for state in OrderState::OPEN_PAYMENT {
        let count = states
            .iter()
            .find(|(name, _)| name == state.as_str())
            .map_or(0, |(_, n)| *n);
        metrics::gauge!("payhall_orders_open", "state" => state.as_str()).set(figure(count));
    }
    for kind in CaseKind::ALL {
        let found = waiting.iter().find(|(name, _)| name == kind.as_str());
        let count = found.map_or(0, |(_, n)| *n);
        metrics::gauge!("payhall_cases_open", "kind" => kind.as_str()).set(figure(count));
    }
    Ok(())
}

fn figure(number: i64) -> f64 {
    f64::from(i32::try_from(number).unwrap_or(i32::MAX))
}
