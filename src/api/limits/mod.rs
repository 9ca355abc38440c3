//! How often somebody may call: by address, by merchant, by operator, and for logging in.
//!
//! The address is counted first, before the body is read and before any proof is looked at, so that
//! who floods costs next to nothing. A refused proof (a token that nobody has, a signature that does
//! not count, a ticket that is none) is counted a second time, against a limit that is far lower: who
//! guesses has to wait, who makes a mistake does not. The merchant or the operator is counted when it
//! is known, before the document is executed.
//!
//! The limits are each replica's own. To share them, every request would have to ask Redis before it
//! does anything, and a Redis that is down would have to mean "no limits" or "no service". What they
//! protect is this process; a bound over all replicas is the load balancer's to hold.
//!
//! How one could break it: by an address that its caller chooses (`address.rs`), or by a key that
//! grows with what somebody sends.

mod address;
mod meter;
mod seats;

pub(super) use address::{CallerAddress, is_trusted};
pub(super) use meter::Limited;
pub(super) use seats::{Seat, Seats};

use super::auth::Principal;
use crate::domain::ids::MerchantCode;
use meter::{Meter, Pace};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often one caller of a kind may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second that can be kept up; 0 is no limit.
    pub per_s: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

/// What the limits count time by: how long it has been since a moment that does not matter. It never
/// goes back, as the time of the day does.
#[derive(Clone)]
pub struct Stopwatch(pub Arc<dyn Fn() -> Duration + Send + Sync>);

impl Default for Stopwatch {
    fn default() -> Self {
        let begun = Instant::now();
        Self(Arc::new(move || begun.elapsed()))
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopwatch").field(&(self.0)()).finish()
    }
}

/// How often somebody may call.
#[derive(Clone, Debug)]
pub struct LimitOptions {
    /// Requests from one address, whoever calls.
    pub address: Rate,
    /// Requests of one merchant.
    pub merchant: Rate,
    /// Requests of one operator.
    pub operator: Rate,
    /// Proofs from one address that may be refused in a minute; 0 is no limit.
    pub refused_per_min: u32,
    /// Tries to log in from one address in a minute; 0 is no limit.
    pub logins_per_address_per_min: u32,
    /// Tries to log in under one name in a minute; 0 is no limit.
    pub logins_per_name_per_min: u32,
    /// What time is counted by.
    pub stopwatch: Stopwatch,
}

impl Default for LimitOptions {
    /// What the compiled-in settings file says.
    fn default() -> Self {
        let rate = |per_s, burst| Rate { per_s, burst };
        Self {
            address: rate(4_000, 8_000),
            merchant: rate(2_000, 4_000),
            operator: rate(50, 200),
            refused_per_min: 300,
            logins_per_address_per_min: 60,
            logins_per_name_per_min: 10,
            stopwatch: Stopwatch::default(),
        }
    }
}

impl LimitOptions {
    /// No limits at all.
    pub fn off() -> Self {
        let none = Rate { per_s: 0, burst: 1 };
        Self {
            address: none,
            merchant: none,
            operator: none,
            refused_per_min: 0,
            logins_per_address_per_min: 0,
            logins_per_name_per_min: 0,
            stopwatch: Stopwatch::default(),
        }
    }
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Requests from one address.
    Address,
    /// Refused proofs from one address.
    Refused,
    /// Requests of one merchant.
    Merchant,
    /// Requests of one operator.
    Operator,
    /// Tries to log in from one address.
    LoginAddress,
    /// Tries to log in under one name.
    LoginName,
    /// Connections of one address.
    Connections,
    /// WebSockets of one address.
    WebSockets,
}

impl Limit {
    /// The label of the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Limit::Address => "address",
            Limit::Refused => "refused",
            Limit::Merchant => "merchant",
            Limit::Operator => "operator",
            Limit::LoginAddress => "login_address",
            Limit::LoginName => "login_name",
            Limit::Connections => "connections",
            Limit::WebSockets => "websockets",
        }
    }

    /// What there was too much of, for people.
    pub fn words(self) -> &'static str {
        match self {
            Limit::Address => "too many requests from this address",
            Limit::Refused => "too many refused tokens, signatures or tickets from this address",
            Limit::Merchant => "too many requests of this merchant",
            Limit::Operator => "too many requests of this operator",
            Limit::LoginAddress => "too many tries to log in from this address",
            Limit::LoginName => "too many tries to log in under this name",
            Limit::Connections => "too many connections from this address",
            Limit::WebSockets => "too many WebSockets from this address",
        }
    }

    /// Counts that it was met.
    pub fn met(self) {
        metrics::counter!("payhall_api_limited_total", "limit" => self.label()).increment(1);
    }
}

/// The limits of this replica. Cheap to clone.
#[derive(Clone)]
pub(super) struct CallLimits(Arc<Inner>);

struct Inner {
    addresses: Meter<CallerAddress>,
    refused: Meter<CallerAddress>,
    merchants: Meter<MerchantCode>,
    operators: Meter<String>,
    login_addresses: Meter<CallerAddress>,
    login_names: Meter<u64>,
    /// Names are counted by their hash: what is typed as a name may be a password, and may be long.
    names: RandomState,
}

impl CallLimits {
    /// Limits that nobody has used yet.
    pub fn new(options: &LimitOptions) -> Self {
        let by_second = |rate: Rate| Pace::per_second(rate.per_s, rate.burst);
        let watch = &options.stopwatch;
        Self(Arc::new(Inner {
            addresses: Meter::new(Limit::Address, by_second(options.address), watch),
            refused: Meter::new(
                Limit::Refused,
                Pace::per_minute(options.refused_per_min),
                watch,
            ),
            merchants: Meter::new(Limit::Merchant, by_second(options.merchant), watch),
            operators: Meter::new(Limit::Operator, by_second(options.operator), watch),
            login_addresses: Meter::new(
                Limit::LoginAddress,
                Pace::per_minute(options.logins_per_address_per_min),
                watch,
            ),
            login_names: Meter::new(
                Limit::LoginName,
                Pace::per_minute(options.logins_per_name_per_min),
                watch,
            ),
            names: RandomState::new(),
        }))
    }

    /// Counts a request, or a message of a WebSocket, by where it comes from.
    ///
    /// # Errors
    /// The address has called too often, or too many of its proofs were refused.
    pub fn arrive(&self, address: CallerAddress) -> Result<(), Limited> {
        self.0.refused.check_open(&address)?;
        self.0.addresses.count(&address)
    }

    /// Counts a proof that was refused. Past the limit the address waits until the next one is due.
    pub fn refuse(&self, address: CallerAddress) {
        self.0.refused.shut_when_full(&address);
    }

    /// Counts a request by who calls.
    ///
    /// # Errors
    /// The merchant or the operator has called too often.
    pub fn call(&self, principal: &Principal) -> Result<(), Limited> {
        match principal {
            Principal::Anonymous => Ok(()),
            Principal::Merchant { code, .. } => self.0.merchants.count(code),
            Principal::Operator { name, .. } => self.0.operators.count(name),
        }
    }

    /// Counts a try to prove who an operator is. Whether anybody has the name plays no part, so that
    /// an answer tells nothing about that.
    ///
    /// # Errors
    /// There were too many from this address, or under this name.
    pub fn log_in(&self, address: CallerAddress, name: &str) -> Result<(), Limited> {
        self.log_in_from(address)?;
        let name = self.0.names.hash_one(name.trim().to_lowercase());
        self.0.login_names.count(&name)
    }

    /// Counts a try to log in whose name is not known yet: a way back from the identity provider.
    ///
    /// # Errors
    /// There were too many from this address, by whichever way in.
    pub fn log_in_from(&self, address: CallerAddress) -> Result<(), Limited> {
        self.0.login_addresses.count(&address)
    }

    /// Forgets whoever has not called for so long that it makes no difference.
    pub fn tidy(&self) {
        self.0.addresses.tidy();
        self.0.refused.tidy();
        self.0.merchants.tidy();
        self.0.operators.tidy();
        self.0.login_addresses.tidy();
        self.0.login_names.tidy();
    }
}
