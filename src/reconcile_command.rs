//! `payhall reconcile`: reconciliation from the command line.
//!
//! `files` lays two flow files side by side without a database, as the night does with what it has and what
//! has come: the same profiles, the same table of classes, the same matching.

mod compare_files;
mod day;
mod explain;
mod report;
mod shown_progress;

pub use compare_files::compare_files;
pub use day::{DayArgs, day};
pub use explain::{ExplainArgs, explain};
pub use report::FilesReport;

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What is reconciled.
#[derive(Clone, Debug, Subcommand)]
pub enum ReconcileCommand {
    /// Compares two flow files: exit code 0 if every flow matches, 3 if one does not. Needs neither
    /// settings nor a database.
    Files(FilesArgs),
    /// Reconciles a closed business day once more: exit code 0 if every flow matches, 3 if one does not.
    Day(DayArgs),
    /// Says why one flow has its class: what each side says, in which line of which file.
    Explain(ExplainArgs),
}

/// Two files, and how they are laid out.
#[derive(Clone, Debug, Args)]
pub struct FilesArgs {
    /// Our flows.
    #[arg(long, value_name = "FILE")]
    ours: PathBuf,
    /// The other side's.
    #[arg(long, value_name = "FILE")]
    theirs: PathBuf,
    /// How our file is laid out: a profile's name, or a file `NAME.toml`. Without it the names in the first
    /// line tell, such as flow_no,amount_minor,status.
    #[arg(long, value_name = "PROFILE")]
    ours_profile: Option<String>,
    /// The same for the other side's file.
    #[arg(long, value_name = "PROFILE")]
    theirs_profile: Option<String>,
    /// The business date that the files are for, such as 2026-11-22. Needed where a profile's files say it
    /// themselves.
    #[arg(long, value_name = "DATE")]
    date: Option<chrono::NaiveDate>,
    /// The currency of all amounts.
    #[arg(long, value_name = "CODE", default_value = "CNY")]
    currency: String,
    /// How many minor units an amount may differ and still match.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    tolerance_minor: i64,
    /// Writes a line for every flow, with its class and what each side says, sorted by number.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl FilesArgs {
    /// Whether JSON is wanted.
    pub fn json(&self) -> bool {
        self.json
    }
}
