//! The far side: the bank's payment system and the billers' bill lookups, behind two traits; and the
//! merchants' servers, which are told what became of their orders (`notifier`).
//!
//! An adapter turns a call into bytes and bytes into a [`Reply`]; what a reply means for an order
//! is decided in `domain`, what happens next in `engine`. Tests and the engine know only the
//! traits, so another wire format is another adapter and nothing else changes.
//!
//! How one could break it: by answering anything but `Unknown` where a byte may have left and no
//! matching answer came back; by sending a request twice on its own account (every further try is
//! the engine's decision, with the same number); by putting a credential, a body or a name into a
//! log line, a cause or an error.

mod address;
mod answer;
mod exchange;
mod http;
mod link;
mod lookup;
mod notifier;
mod partner;
#[cfg(feature = "oidc")]
mod provider;
mod request;
mod settings;
mod webhook;

pub use address::Reach;
pub use http::{HttpAdapter, UpstreamError};
pub use link::LinkStats;
pub use notifier::{HttpNotifier, Names, Notifier, Post, SystemNames, Target};
pub use partner::{
    Beside, Brought, FetchError, Fetched, PartnerLink, PartnerSettings, PartnerSource, Partners,
    ScratchFile,
};
#[cfg(feature = "oidc")]
pub use provider::{
    Provider, ProviderFault, ProviderSettings, Question, Tokens, Transport, error_name,
};
pub use settings::{AdapterSettings, BreakerSettings, Finding, check_webhook_url};
pub use webhook::Webhook;

use crate::domain::bill::{Bill, LookupError};
use crate::domain::exception::DoubtRules;
use crate::domain::ids::{AdapterName, BillNo, BillerCode, FlowNo, ItemCode, OrderNo};
use crate::domain::money::{Currency, Money};
use crate::domain::outcome::Reply;
use crate::domain::time::Instant;
use async_trait::async_trait;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is sent to pay a bill. The debug form shows the credential as redacted.
#[derive(Clone, Copy, Debug)]
pub struct PayCall<'a> {
    /// The order that is paid.
    pub order_no: &'a OrderNo,
    /// The payment's number: all tries carry the same one.
    pub flow_no: &'a FlowNo,
    /// What is paid.
    pub item: &'a ItemCode,
    /// Who is paid.
    pub biller: &'a BillerCode,
    /// Which bill.
    pub bill_no: &'a BillNo,
    /// The lookup's reference that binds bill and amount together, where there is one.
    pub bill_ref: Option<&'a str>,
    /// How much.
    pub amount: Money,
    /// The payer's password or token: passed on, never stored and never logged.
    pub credential: Option<&'a SecretString>,
    /// The bank refuses a request that arrives after this instant.
    pub valid_until: Instant,
}

/// What is sent to ask what became of a payment.
#[derive(Clone, Copy, Debug)]
pub struct QueryCall<'a> {
    /// The payment's number.
    pub flow_no: &'a FlowNo,
    /// The bill that the answer must name.
    pub bill_no: &'a BillNo,
    /// The amount and currency that the answer must name.
    pub amount: Money,
}

/// What is sent to undo a payment.
#[derive(Clone, Copy, Debug)]
pub struct ReverseCall<'a> {
    /// The order whose payment is undone.
    pub order_no: &'a OrderNo,
    /// The reversal's own number: all tries carry the same one.
    pub flow_no: &'a FlowNo,
    /// The payment's number.
    pub payment_flow_no: &'a FlowNo,
    /// The bill that the answer must name.
    pub bill_no: &'a BillNo,
    /// The amount and currency that the answer must name.
    pub amount: Money,
}

/// A system that moves money.
///
/// No method fails: whatever happens is a [`Reply`]. `NotSent` is answered only when not one byte
/// of the request can have left.
#[async_trait]
pub trait PaymentSystem: Send + Sync {
    /// Tells the bank to pay.
    async fn pay(&self, call: &PayCall<'_>) -> Reply;

    /// Asks what became of a payment. Moves no money, may be repeated at will.
    async fn query(&self, call: &QueryCall<'_>) -> Reply;

    /// Tells the bank to undo a payment.
    async fn reverse(&self, call: &ReverseCall<'_>) -> Reply;

    /// The links of this system as they stand now, for operators. None where there is nothing to
    /// show.
    fn stats(&self) -> Vec<LinkStats> {
        Vec::new()
    }
}

/// A way to ask billers about bills.
#[async_trait]
pub trait BillerLink: Send + Sync {
    /// Asks a biller what is due under a number. Moves no money.
    ///
    /// The bill that comes back is about this number, in this currency, and more than zero.
    async fn lookup(
        &self,
        biller: &BillerCode,
        bill_no: &BillNo,
        currency: Currency,
    ) -> Result<Bill, LookupError>;
}

/// One way to a bank and its billers, with the rules by which the engine uses it.
#[derive(Clone)]
pub struct Adapter {
    /// The name that billers and flows refer to.
    pub name: AdapterName,
    /// Where money is moved.
    pub payments: Arc<dyn PaymentSystem>,
    /// Where bills are looked up.
    pub billers: Arc<dyn BillerLink>,
    /// How doubt is settled.
    pub rules: DoubtRules,
    /// Whether a repeated `pay` with one number has one effect. Only then may a payment that the
    /// bank does not know be sent again.
    pub idempotent: bool,
    /// The waits before each further try within a confirm.
    pub tries: Vec<Duration>,
    /// How long after the start of a payment its request may still leave, and how long the bank
    /// may accept it.
    pub send_within: Duration,
    /// Whether the bank checks the amount against the lookup's `bill_ref`.
    pub lookup_binds: bool,
}

impl Adapter {
    /// An adapter that speaks HTTP and JSON, as the settings say.
    ///
    /// # Errors
    /// A URL that is none, a PEM file that cannot be read or used, or a client that cannot be
    /// built. [`AdapterSettings::check`] finds contradictions between settings before.
    pub fn http(name: AdapterName, settings: &AdapterSettings) -> Result<Self, UpstreamError> {
        let http = Arc::new(HttpAdapter::try_new(&name, settings)?);
        Ok(Self {
            name,
            payments: http.clone(),
            billers: http,
            rules: settings.doubt_rules(),
            idempotent: settings.idempotent,
            tries: settings.tries(),
            send_within: settings.send_within(),
            lookup_binds: settings.lookup_binds,
        })
    }
}

/// All adapters by name. Made once at start, shared by everything that calls the far side.
#[derive(Clone, Default)]
pub struct Upstreams {
    adapters: BTreeMap<AdapterName, Arc<Adapter>>,
    partners: Partners,
}

impl Upstreams {
    /// Takes adapters over; each is found under its own name, the last of one name wins.
    pub fn new(adapters: impl IntoIterator<Item = Adapter>) -> Self {
        let adapters = adapters
            .into_iter()
            .map(|adapter| (adapter.name.clone(), Arc::new(adapter)))
            .collect();
        Self {
            adapters,
            partners: Partners::default(),
        }
    }

    /// The same with partners whose files are reconciled.
    pub fn with_partners(self, partners: Partners) -> Self {
        Self { partners, ..self }
    }

    /// The partners whose files are reconciled.
    pub fn partners(&self) -> &Partners {
        &self.partners
    }

    /// An HTTP adapter for every entry of the settings.
    ///
    /// # Errors
    /// The first adapter that cannot be built, by name.
    pub fn from_settings(
        settings: &BTreeMap<AdapterName, AdapterSettings>,
    ) -> Result<Self, UpstreamError> {
        let adapters = settings
            .iter()
            .map(|(name, settings)| Adapter::http(name.clone(), settings))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(adapters))
    }

    /// The adapter of a name.
    pub fn get(&self, name: &AdapterName) -> Option<&Arc<Adapter>> {
        self.adapters.get(name)
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &AdapterName> {
        self.adapters.keys()
    }
}

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod far_side;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod wire_tests;
