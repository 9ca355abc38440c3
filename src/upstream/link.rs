//! A link: one way to one far side, with a bulkhead and a circuit breaker around every call.
//!
//! Payments of an adapter share one link, and each biller's lookups have a link of their own: a
//! biller that hangs fills its own places and opens its own breaker, and nobody else waits. Both
//! guards refuse *before* anything is sent, so a refusal by them is a known "not sent".
//!
//! What counts for the breaker is whether the far side can be talked to, not what it says: a
//! refusal, a "-1" or a mismatch is a healthy line. The window counts calls, not seconds, so that
//! a quiet biller is judged by its last calls however long ago they were.
//!
//! How one could break it: by sharing one link between billers; by taking the guard's refusal
//! after the call was polled for the first time; by counting refusals of money as failures, which
//! would let payers without funds shut the bank out.

use super::settings::{AdapterSettings, BreakerSettings};
use crate::domain::outcome::{Cause, Delivery};
use recloser::{AsyncRecloser, Error, Recloser};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// A call that brought no well-formed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not one byte of the request left.
    NotSent(String),
    /// Something may have left.
    Broken(Cause),
}

impl Failure {
    /// Malformed, with the defect in words; never a part of the body.
    pub(super) fn malformed(defect: impl Into<String>) -> Self {
        Failure::Broken(Cause::Malformed(defect.into()))
    }

    /// Whether it speaks against the far side's health. A 4xx answer does not: the line works and
    /// the far side is able to answer, except when it says that it is overrun (429).
    pub(super) fn is_sick(&self) -> bool {
        match self {
            Failure::NotSent(_) => true,
            Failure::Broken(Cause::HttpStatus(status)) => *status >= 500 || *status == 429,
            Failure::Broken(Cause::TimedOut | Cause::ConnectionLost(_) | Cause::Malformed(_)) => {
                true
            }
            Failure::Broken(
                Cause::Mismatch(_)
                | Cause::SaidUnknown(_)
                | Cause::UnmappedCode(_)
                | Cause::NoCode
                | Cause::OutOfPlace(_),
            ) => false,
        }
    }
}

impl From<Failure> for Delivery {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(cause) => Delivery::NotSent(cause),
            Failure::Broken(cause) => Delivery::Broken(cause),
        }
    }
}

/// How a link stands at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// `payments`, or the biller's code.
    pub link: String,
    /// Calls under way.
    pub in_flight: usize,
    /// How many may be under way at once.
    pub places: usize,
    /// Whether the breaker refused a call and no call has gone well since.
    pub refusing: bool,
}

/// One way to one far side.
pub(super) struct Link {
    adapter: String,
    link: String,
    places: Semaphore,
    places_max: usize,
    wait: Duration,
    breaker: AsyncRecloser,
    refusing: AtomicBool,
}

/// What a link allows.
struct Bounds<'a> {
    places: u32,
    wait_ms: u64,
    breaker: &'a BreakerSettings,
}

impl Link {
    /// The link that carries an adapter's payments, queries and reversals.
    pub(super) fn for_payments(adapter: &str, settings: &AdapterSettings) -> Self {
        let bounds = Bounds {
            places: settings.concurrency_max,
            wait_ms: settings.concurrency_wait_ms,
            breaker: &settings.breaker,
        };
        Self::new(adapter, "payments", &bounds)
    }

    /// The link that carries the lookups at one biller.
    pub(super) fn for_biller(adapter: &str, biller: &str, settings: &AdapterSettings) -> Self {
        let bounds = Bounds {
            places: settings.lookup_concurrency_max,
            wait_ms: settings.concurrency_wait_ms,
            breaker: &settings.lookup_breaker,
        };
        Self::new(adapter, biller, &bounds)
    }

    fn new(adapter: &str, link: &str, bounds: &Bounds<'_>) -> Self {
        let places_max = usize::try_from(bounds.places).map_or(Semaphore::MAX_PERMITS, |places| {
            places.min(Semaphore::MAX_PERMITS)
        });
        Self {
            adapter: adapter.to_owned(),
            link: link.to_owned(),
            places: Semaphore::new(places_max),
            places_max,
            wait: Duration::from_millis(bounds.wait_ms),
            breaker: breaker(bounds.breaker),
            refusing: AtomicBool::new(false),
        }
    }

    /// Carries one call: waits for a place, asks the breaker, runs the call, and remembers how it
    /// went. A call that is dropped half-way gives its place back and is not counted.
    pub(super) async fn carry<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let Some(_place) = self.place().await else {
            return Err(Failure::NotSent("too many calls are under way".to_owned()));
        };
        match self.breaker.call_with(Failure::is_sick, call).await {
            Ok(answer) => {
                self.went_well();
                Ok(answer)
            }
            Err(Error::Inner(failure)) => {
                if !failure.is_sick() {
                    self.went_well();
                }
                Err(failure)
            }
            Err(Error::Rejected) => {
                self.refused();
                Err(Failure::NotSent("the circuit breaker is open".to_owned()))
            }
        }
    }

    /// How the link stands now.
    pub(super) fn stats(&self) -> LinkStats {
        LinkStats {
            link: self.link.clone(),
            in_flight: self
                .places_max
                .saturating_sub(self.places.available_permits()),
            places: self.places_max,
            refusing: self.refusing.load(Ordering::Relaxed),
        }
    }

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        match self.places.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => timeout(self.wait, self.places.acquire()).await.ok()?.ok(),
        }
    }

    fn refused(&self) {
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                adapter = self.adapter,
                link = self.link,
                "the circuit breaker is open: calls are refused before they are sent"
            );
        }
    }

    fn went_well(&self) {
        if self.refusing.load(Ordering::Relaxed) && self.refusing.swap(false, Ordering::Relaxed) {
            tracing::info!(
                adapter = self.adapter,
                link = self.link,
                "the far side answers again: calls are let through"
            );
        }
    }
}

fn breaker(settings: &BreakerSettings) -> AsyncRecloser {
    let size = |calls: u32| usize::try_from(calls.max(1)).unwrap_or(usize::MAX);
    #[expect(clippy::float_arithmetic, reason = "a rate of failures, no money")]
    let rate = f32::from(settings.failures_percent) / 100.0;
    Recloser::custom()
        .error_rate(rate)
        .closed_len(size(settings.window_calls))
        .half_open_len(size(settings.trial_calls))
        .open_wait(Duration::from_millis(settings.open_ms))
        .build()
        .into()
}
