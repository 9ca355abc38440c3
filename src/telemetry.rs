//! What the running program tells about itself: logs for reading and searching, metrics for
//! watching.
//!
//! Logs go to standard error: coloured lines where a person looks, one JSON object a line where a
//! machine does. Metrics are kept in memory and rendered on demand in Prometheus' text form; there
//! is no listener of its own, the HTTP edge hands the text out.
//!
//! What logs never hold: bodies, names, accounts, keys, tokens, passwords. Our own code names the
//! fields it logs one by one (`docs/LOGGING.md`). Other people's crates may print what passes
//! through them once they are asked for details, so they are never heard below INFO, whatever the
//! filter says.
//!
//! How one could break it: by logging a whole struct with `?value` instead of its fields, or by a
//! metric whose label holds a number that is different for each order.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Coloured lines for people.
    Pretty,
}

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("the log filter cannot be read")]
    Filter(#[from] ParseError),
    /// Somebody else set logs up before.
    #[error("logs are set up already")]
    LogsTwice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Metrics could not be set up, or somebody else did before.
    #[error("metrics could not be set up")]
    Metrics(#[from] BuildError),
}

/// Whether a text is a filter, e.g. `info` or `info,payhall::engine=debug`.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    EnvFilter::try_new(filter)?;
    Ok(())
}

/// Sets up the logs of the whole process, once.
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let is_json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = Lines {
        is_json,
        is_coloured: std::io::stderr().is_terminal(),
    };
    let subscriber = subscriber(lines, filter, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}

/// The look of a line, decided.
#[derive(Clone, Copy)]
struct Lines {
    is_json: bool,
    is_coloured: bool,
}

fn subscriber<W>(
    lines: Lines,
    filter: &str,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let heard = EnvFilter::try_new(filter)?.and(filter_fn(is_fit_for_logs));
    Ok(Registry::default().with(layer(lines, writer).with_filter(heard)))
}

fn layer<S, W>(lines: Lines, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if lines.is_json {
        layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed()
    } else {
        layer.with_ansi(lines.is_coloured).boxed()
    }
}

/// Our own events all, those of other crates only from INFO up.
fn is_fit_for_logs(of: &Metadata<'_>) -> bool {
    let target = of.target();
    let is_ours = target == "payhall" || target.starts_with("payhall::");
    is_ours || *of.level() <= LevelFilter::INFO
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Only ever grows.
    Counter,
    /// Stands at a value.
    Gauge,
    /// Durations in seconds.
    Seconds,
    /// How many at once.
    Sizes,
}

/// Every metric of the house: name, kind, description. A test reads the sources and compares.
const METRICS: &[(&str, Kind, &str)] = &[
    (
        "payhall_alarms_total",
        Kind::Counter,
        "Alarms raised, by kind and level.",
    ),
    (
        "payhall_api_limited_total",
        Kind::Counter,
        "Limits on how often and how much at once that were met, by limit.",
    ),
    (
        "payhall_api_request_seconds",
        Kind::Seconds,
        "How long requests to the API took.",
    ),
    (
        "payhall_api_requests_total",
        Kind::Counter,
        "Requests to the API, by outcome.",
    ),
    (
        "payhall_api_signatures_refused_total",
        Kind::Counter,
        "Signed requests that were not let in, by the reason.",
    ),
    (
        "payhall_cache_mirror_dropped_total",
        Kind::Counter,
        "Snapshots that never reached Redis: its queue was full or it did not serve.",
    ),
    (
        "payhall_cache_reads_total",
        Kind::Counter,
        "Reads of the cache, by kind (order, flow, bill) and result (hit, miss, error).",
    ),
    (
        "payhall_cases_open",
        Kind::Gauge,
        "Cases that wait for people, by kind.",
    ),
    (
        "payhall_commit_batch_size",
        Kind::Sizes,
        "Changes that shared one commit.",
    ),
    (
        "payhall_discrepancies_total",
        Kind::Counter,
        "Flows that results found in a class other than MATCHED, by class.",
    ),
    (
        "payhall_exceptions_ladder_depth",
        Kind::Gauge,
        "How often the bank was asked about the open exception that was asked about most, by phase.",
    ),
    (
        "payhall_exceptions_oldest_age_seconds",
        Kind::Gauge,
        "How long the oldest open exception has been open, by phase.",
    ),
    (
        "payhall_exceptions_open",
        Kind::Gauge,
        "Open exceptions, by phase.",
    ),
    (
        "payhall_job_dates_late",
        Kind::Gauge,
        "Business dates of the last week that a job is late with.",
    ),
    (
        "payhall_job_last_success_timestamp_seconds",
        Kind::Gauge,
        "When a job last succeeded, in seconds since 1970.",
    ),
    (
        "payhall_job_run_seconds",
        Kind::Seconds,
        "How long runs of jobs took.",
    ),
    (
        "payhall_job_runs_total",
        Kind::Counter,
        "Runs of jobs that ended here, by state.",
    ),
    (
        "payhall_logins_total",
        Kind::Counter,
        "Operators' tries to log in or to prove again who they are, by outcome.",
    ),
    (
        "payhall_notification_seconds",
        Kind::Seconds,
        "How long tries to notify merchants took.",
    ),
    (
        "payhall_notification_tries_total",
        Kind::Counter,
        "Tries to notify merchants, by outcome.",
    ),
    (
        "payhall_notifications_oldest_age_seconds",
        Kind::Gauge,
        "How long the oldest pending notification has been pending.",
    ),
    (
        "payhall_notifications_pending",
        Kind::Gauge,
        "Notifications that are to be sent, or sent again.",
    ),
    (
        "payhall_notifications_stopped",
        Kind::Gauge,
        "Merchants who cannot be notified for want of a key to sign with.",
    ),
    (
        "payhall_notifications_total",
        Kind::Counter,
        "Notifications that were delivered or given up, by state.",
    ),
    (
        "payhall_orders_open",
        Kind::Gauge,
        "Orders with an open payment, by state.",
    ),
    (
        "payhall_orders_total",
        Kind::Counter,
        "Orders that were created or came to a state, by outcome.",
    ),
    (
        "payhall_partner_files_total",
        Kind::Counter,
        "Files of partners that came and were new, by state.",
    ),
    (
        "payhall_reconciled_days_total",
        Kind::Counter,
        "Results of reconciling a day that were published.",
    ),
    (
        "payhall_settled_by_line_total",
        Kind::Counter,
        "Orders that a line of a bank's file settled, by outcome.",
    ),
    (
        "payhall_upstream_calls_total",
        Kind::Counter,
        "Calls to banks and billers, by adapter, operation and outcome.",
    ),
    (
        "payhall_upstream_seconds",
        Kind::Seconds,
        "How long calls to banks and billers took, by adapter and operation.",
    ),
];

/// Upper bounds in seconds: from a fast answer on the same machine to the total time-out of a call
/// and the longest wait within a confirm.
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];
/// Upper bounds of sizes: powers of two up to the largest batch.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How often what nobody asked for is condensed, so that it does not grow.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The metrics of the process; a clone is a handle to the same ones.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Sets up the metrics of the whole process, once.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// All metrics in Prometheus' text form.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Runs for ever: condenses histograms that nobody renders.
    pub async fn keep(self) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    METRICS
        .iter()
        .try_fold(PrometheusBuilder::new(), |builder, (name, kind, _)| {
            let name = Matcher::Full((*name).to_owned());
            match kind {
                Kind::Counter | Kind::Gauge => Ok(builder),
                Kind::Seconds => builder.set_buckets_for_metric(name, &SECONDS),
                Kind::Sizes => builder.set_buckets_for_metric(name, &SIZES),
            }
        })
}

fn describe() {
    for (name, kind, description) in METRICS {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *description),
            Kind::Gauge => metrics::describe_gauge!(*name, *description),
            Kind::Seconds => {
                metrics::describe_histogram!(*name, metrics::Unit::Seconds, *description);
            }
            Kind::Sizes => {
                metrics::describe_histogram!(*name, metrics::Unit::Count, *description);
            }
        }
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
