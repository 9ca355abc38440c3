//! The simulated world: the bank's payment system and several billers, over real HTTP.
//!
//! It is a program of its own that happens to live in the same binary (`payhall sim`). It imports
//! nothing from the rest of the crate, writes the protocol down a second time, and keeps its own
//! ledger: so it can be a witness against the center, not an echo of it. Rejected: a mock inside
//! the tests, which never sees a cut cable, and a shared protocol module, which would hide every
//! mistake that both sides make.
//!
//! What can be tried: well-known bill numbers ([`endings`]), faults scripted per call over
//! `/admin` ([`faults`], [`admin`]), the wire itself going bad ([`wire`]), and the partners' files of
//! each day, with differences planted on request ([`files`]). What really happened
//! to the money is in the [`ledger`].
//!
//! To break it: move money without a line in the ledger, or hold the lock of [`world`] while
//! waiting for anything.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

mod admin;
mod bank;
mod billers;
mod body;
mod books;
mod clock;
mod decode;
mod endings;
mod faults;
mod files;
mod inbox;
mod late;
pub mod ledger;
mod options;
mod protocol;
mod reply;
mod server;
mod shared;
#[cfg(test)]
mod tests;
mod wire;
mod world;

pub use options::{SimArgs, SimOptions};

/// A running simulated world. Dropping it stops it, without waiting for the end.
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<shared::Shared>,
}

impl Sim {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as the beginning of a URL: `http://127.0.0.1:8401`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Cuts all connections, forgets the effects that are still to come (the ledger remembers
    /// them), closes the ledger, and returns when nothing of it runs any more.
    pub async fn stop(self) {
        self.shared.stop().await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.shared.cancel();
    }
}

/// Opens the ledger, takes the port, and serves in the background.
///
/// # Errors
/// The address cannot be taken, or the ledger cannot be read or opened.
pub async fn start(options: SimOptions) -> anyhow::Result<Sim> {
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; choose another address with --listen ADDRESS:PORT")
    })?;
    let addr = listener
        .local_addr()
        .context("the listener has no address")?;
    let (world, promised) = world::World::open(&options).with_context(|| {
        let path = options.ledger.display();
        format!("cannot open the ledger {path}; choose another file with --ledger FILE")
    })?;
    let files = files::Desk::open(&options)?;
    let shared = shared::Shared::new(world, files, options.latency_ms);
    for late in promised {
        shared.expect(late);
    }
    shared.spawn(server::accept(listener, Arc::clone(&shared)));
    Ok(Sim { addr, shared })
}

/// Runs a simulated world until `shutdown` completes. Says on standard output where it listens, so
/// that a caller who asked for port 0 learns it: `listening on http://127.0.0.1:40123`.
///
/// # Errors
/// As for [`start`].
pub async fn run(options: SimOptions, shutdown: impl Future) -> anyhow::Result<()> {
    let sim = start(options).await?;
    // Who has closed standard output does not want to know.
    let _ = writeln!(std::io::stdout(), "listening on {}", sim.url());
    shutdown.await;
    sim.stop().await;
    Ok(())
}

/// The real time, read in this one place; what the world takes it to be says its [`clock`].
#[allow(
    clippy::disallowed_methods,
    reason = "a program of its own has a clock of its own"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Stirs a number so that near numbers come out far apart (the finaliser of SplitMix64).
fn stir(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
