//! The adapter for banks and billers that speak JSON over HTTP.
//!
//! It only joins the pieces: a body from `request`, carried over a `link` by an `exchange`, read
//! by `answer`, and classified by `domain::outcome` or `lookup`. It never repeats a call.

use super::answer::{read_lookup, read_payment};
use super::exchange::{Limits, client, exchange};
use super::link::{Failure, Link, LinkStats};
use super::lookup::{conclude, unavailable};
use super::request::{LookupBody, PayBody, QueryBody, ReverseBody};
use super::settings::{AdapterSettings, base_url};
use super::{BillerLink, PayCall, PaymentSystem, QueryCall, ReverseCall};
use crate::domain::bill::{Bill, LookupError};
use crate::domain::flow::Operation;
use crate::domain::ids::{AdapterName, BillNo, BillerCode};
use crate::domain::money::Currency;
use crate::domain::outcome::{Delivery, Expected, Reply, classify};
use async_trait::async_trait;
use metrics::SharedString;
use reqwest::{Client, Url};
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Why an adapter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A URL that cannot be used.
    #[error("{field} cannot be used: {problem}")]
    BadUrl {
        /// The field of the settings.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A PEM file that cannot be read.
    #[error("{} cannot be read", path.display())]
    UnreadablePem {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A PEM file without what is needed from it.
    #[error("{} does not hold {wanted} in PEM form", path.display())]
    BadPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The HTTP client could not be built, for example for want of a certificate store.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// One bank with its billers, over HTTP and JSON.
pub struct HttpAdapter {
    label: SharedString,
    settings: AdapterSettings,
    client: Client,
    pay_url: Url,
    query_url: Url,
    reverse_url: Url,
    biller_url: Url,
    payments: Link,
    /// Grows with the billers of the catalogue, which are few.
    billers: RwLock<HashMap<BillerCode, Arc<BillerWay>>>,
}

/// The way to one biller.
struct BillerWay {
    link: Link,
    url: Url,
}

impl HttpAdapter {
    /// Builds the client and the links. Sends nothing.
    ///
    /// # Errors
    /// A URL or a PEM file that cannot be used, or no TLS on this machine.
    pub fn try_new(name: &AdapterName, settings: &AdapterSettings) -> Result<Self, UpstreamError> {
        let url = |field, text| {
            base_url(text).map_err(|problem| UpstreamError::BadUrl { field, problem })
        };
        let bank = url("url", &settings.url)?;
        Ok(Self {
            label: SharedString::from_shared(Arc::from(name.as_str())),
            client: client(settings)?,
            pay_url: below(&bank, &["pay"]),
            query_url: below(&bank, &["query"]),
            reverse_url: below(&bank, &["reverse"]),
            biller_url: url("biller_url", &settings.biller_url)?,
            payments: Link::for_payments(name.as_str(), settings),
            billers: RwLock::default(),
            settings: settings.clone(),
        })
    }

    /// Sends an instruction or a question about money, and classifies what comes back.
    async fn ask(&self, url: &Url, body: &impl Serialize, expected: &Expected<'_>) -> Reply {
        let started = Instant::now();
        let delivery = match serde_json::to_vec(body) {
            Ok(body) => {
                let call = async {
                    let limits = self.limits(self.settings.total_timeout());
                    let text = exchange(&self.client, url, body, limits).await?;
                    read_payment(&text).map_err(Failure::Broken)
                };
                match self.payments.carry(call).await {
                    Ok(answer) => Delivery::Answered(answer),
                    Err(failure) => failure.into(),
                }
            }
            Err(_) => Delivery::NotSent("the request cannot be written as JSON".to_owned()),
        };
        let reply = classify(&self.settings.codes, expected, delivery);
        let sent = !matches!(reply, Reply::NotSent(_));
        let outcome = reply.outcome().as_str();
        self.count(
            expected.operation.as_str(),
            outcome,
            sent.then_some(started),
        );
        reply
    }

    async fn find_bill(
        &self,
        biller: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError> {
        let Some(way) = self.way_to(biller) else {
            return Err(unavailable("the biller's code cannot stand in a URL"));
        };
        let body = serde_json::to_vec(&LookupBody::of(bill_no))
            .map_err(|_| unavailable("the request cannot be written as JSON"))?;
        let call = async {
            let limits = self.limits(self.settings.lookup_timeout());
            let text = exchange(&self.client, &way.url, body, limits).await?;
            read_lookup(&text).map_err(Failure::Broken)
        };
        match way.link.carry(call).await {
            Ok(answer) => conclude(&self.settings.codes, bill_no, currency, answer),
            Err(Failure::NotSent(cause)) => Err(unavailable(cause)),
            Err(Failure::Broken(cause)) => Err(unavailable(cause.to_string())),
        }
    }

    /// The link to a biller, made at its first lookup. None for the codes `.` and `..`, which a
    /// URL would take as steps and so lead to another place.
    fn way_to(&self, biller: &BillerCode) -> Option<Arc<BillerWay>> {
        if matches!(biller.as_str(), "." | "..") {
            return None;
        }
        let known = self.billers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = known.get(biller) {
            return Some(way.clone());
        }
        drop(known);
        let mut known = self.billers.write().unwrap_or_else(PoisonError::into_inner);
        let way = known.entry(biller.clone()).or_insert_with(|| {
            Arc::new(BillerWay {
                link: Link::for_biller(&self.label, biller.as_str(), &self.settings),
                url: below(&self.biller_url, &[biller.as_str(), "lookup"]),
            })
        });
        Some(way.clone())
    }

    fn limits(&self, deadline: Duration) -> Limits {
        Limits {
            deadline,
            body_bytes_max: self.settings.body_bytes_max,
        }
    }

    /// Counts a call; the time is that of calls which left, waiting for a place included.
    fn count(&self, operation: &'static str, outcome: &'static str, started: Option<Instant>) {
        metrics::counter!(
            "payhall_upstream_calls_total",
            "adapter" => self.label.clone(),
            "operation" => operation,
            "outcome" => outcome,
        )
        .increment(1);
        if let Some(started) = started {
            metrics::histogram!(
                "payhall_upstream_seconds",
                "adapter" => self.label.clone(),
                "operation" => operation,
            )
            .record(started.elapsed());
        }
    }
}

#[async_trait]
impl PaymentSystem for HttpAdapter {
    async fn pay(&self, call: &PayCall<'_>) -> Reply {
        let expected = Expected {
            operation: Operation::Pay,
            flow_no: call.flow_no,
            bill_no: call.bill_no,
            amount: call.amount,
        };
        self.ask(&self.pay_url, &PayBody::of(call), &expected).await
    }

    async fn query(&self, call: &QueryCall<'_>) -> Reply {
        if !self.settings.can_query {
            return Reply::NotSent("this bank cannot be asked".to_owned());
        }
        let expected = Expected {
            operation: Operation::Query,
            flow_no: call.flow_no,
            bill_no: call.bill_no,
            amount: call.amount,
        };
        let body = QueryBody::of(call);
        self.ask(&self.query_url, &body, &expected).await
    }

    async fn reverse(&self, call: &ReverseCall<'_>) -> Reply {
        if !self.settings.can_reverse {
            return Reply::NotSent("this bank cannot reverse".to_owned());
        }
        let expected = Expected {
            operation: Operation::Reverse,
            flow_no: call.flow_no,
            bill_no: call.bill_no,
            amount: call.amount,
        };
        let body = ReverseBody::of(call);
        self.ask(&self.reverse_url, &body, &expected).await
    }

    fn stats(&self) -> Vec<LinkStats> {
        let billers = self.billers.read().unwrap_or_else(PoisonError::into_inner);
        let mut stats: Vec<_> = billers.values().map(|way| way.link.stats()).collect();
        stats.sort_by(|a, b| a.link.cmp(&b.link));
        stats.insert(0, self.payments.stats());
        stats
    }
}

#[async_trait]
impl BillerLink for HttpAdapter {
    async fn lookup(
        &self,
        biller: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError> {
        let started = Instant::now();
        let found = self.find_bill(biller, bill_no, currency).await;
        let outcome = match &found {
            Ok(_) => "FOUND",
            Err(LookupError::NotFound) => "NOT_FOUND",
            Err(LookupError::AlreadyPaid) => "ALREADY_PAID",
            Err(LookupError::Refused { .. }) => "REFUSED",
            Err(LookupError::Unavailable { .. }) => "UNAVAILABLE",
        };
        self.count("LOOKUP", outcome, Some(started));
        found
    }
}

/// A URL with further steps of its path.
fn below(base: &Url, steps: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(steps);
    }
    url
}
