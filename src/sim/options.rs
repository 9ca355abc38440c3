//! How the simulated world is started.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What can be set about a simulated world.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The ledger; created where there is none, continued where there is one.
    pub ledger: PathBuf,
    /// How long a bank or a biller takes before it answers, after the effect.
    pub latency_ms: u64,
    /// How late the effect of a bill number ending in 9006 comes.
    pub late_success_ms: u64,
    /// Whether calls are written to the ledger as well, besides the movements of money.
    pub ledger_calls: bool,
    /// Whether payments are taken after their `valid_until`, for callers whose clock is not the
    /// real one.
    pub ignore_valid_until: bool,
    /// Where the dice of faults with `percent` start.
    pub seed: u64,
    /// Where partner files are written on request; none: a folder beside the ledger, named after it.
    pub drop_folder: Option<PathBuf>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8401)),
            ledger: PathBuf::from("./sim-ledger.jsonl"),
            latency_ms: 0,
            late_success_ms: 30_000,
            ledger_calls: true,
            ignore_valid_until: false,
            seed: 1,
            drop_folder: None,
        }
    }
}

/// The flags of `payhall sim`.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8401")]
    pub listen: SocketAddr,
    /// Ledger file; created if missing, continued if there.
    #[arg(long, value_name = "FILE", default_value = "./sim-ledger.jsonl")]
    pub ledger: PathBuf,
    /// Milliseconds that a bank or a biller takes to answer.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Milliseconds until the late success of a bill number ending in 9006.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub late_success_ms: u64,
    /// Write only movements of money to the ledger, not every call.
    #[arg(long)]
    pub no_ledger_calls: bool,
    /// Take payments after their `valid_until`, for callers whose clock is not the real one.
    #[arg(long)]
    pub ignore_valid_until: bool,
    /// Seed of the dice for faults that hit a part of the calls.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Folder into which partner files are written on request [default: beside the ledger].
    #[arg(long, value_name = "FOLDER")]
    pub drop_folder: Option<PathBuf>,
}

impl From<SimArgs> for SimOptions {
    fn from(args: SimArgs) -> Self {
        let SimArgs {
            listen,
            ledger,
            latency_ms,
            late_success_ms,
            no_ledger_calls,
            ignore_valid_until,
            seed,
            drop_folder,
        } = args;
        Self {
            listen,
            ledger,
            latency_ms,
            late_success_ms,
            ledger_calls: !no_ledger_calls,
            ignore_valid_until,
            seed,
            drop_folder,
        }
    }
}
