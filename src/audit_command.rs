//! `payhall audit`: the audit trail, looked at from outside. Needs the database, and nothing that runs.

use crate::check::{TrailReport, VerifyOptions, verify};
use crate::config::Config;
use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What is done with the audit trail.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Looks for rows that were edited, deleted, exchanged or cut off: exit code 0 fine, 3 findings.
    Verify(VerifyArgs),
}

/// What is looked at.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The folder of published heads; output.dir where it is not given.
    #[arg(long, value_name = "FOLDER")]
    heads: Option<PathBuf>,
    /// The center's public key in PEM, kept where the database's administrator cannot exchange it. May be
    /// given several times; without it the database's own key checks the signatures.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A long look says this often how far it is, in rows.
const TOLD_EVERY: u64 = 100_000;

impl VerifyArgs {
    /// Whether JSON is wanted.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Looks; blocks.
///
/// # Errors
/// The database, the folder or a key cannot be read.
pub fn run(config: &Config, args: &VerifyArgs) -> anyhow::Result<TrailReport> {
    let keys = args.key.iter().map(|path| {
        let what = || format!("cannot read {}", path.display());
        std::fs::read_to_string(path).with_context(what)
    });
    let options = VerifyOptions {
        heads: args
            .heads
            .clone()
            .or_else(|| config.output.folder().map(Path::to_owned)),
        keys: keys.collect::<anyhow::Result<_>>()?,
        ..VerifyOptions::new(config.storage.url.expose_secret())
    };
    let mut progress = Progress::new();
    let report = verify(&options, |streams, rows| progress.say(streams, rows));
    progress.end();
    report
}

/// How far a long look is, for somebody who sits before a terminal.
struct Progress {
    is_seen: bool,
    told: u64,
}

impl Progress {
    fn new() -> Self {
        let is_seen = std::io::stderr().is_terminal();
        Self { is_seen, told: 0 }
    }

    fn say(&mut self, streams: u64, rows: u64) {
        if self.is_seen && rows >= self.told + TOLD_EVERY {
            self.told = rows;
            let _ = write!(std::io::stderr(), "\r{rows} rows, chain {streams}");
        }
    }

    fn end(&self) {
        if self.told > 0 {
            let _ = writeln!(std::io::stderr());
        }
    }
}
