//! `payhall partner-files`: files of banks and billers, brought by hand and listed.

use crate::config::Config;
use crate::daemon::Bare;
use crate::domain::partner::{PartnerFile, PartnerFileState, PartnerName};
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, Received};
use crate::storage::{View, partner_files};
use clap::{Args, Subcommand, value_parser};
use secrecy::ExposeSecret;
use std::fmt::Write;
use std::path::PathBuf;

/// What is done with partners' files.
#[derive(Clone, Debug, Subcommand)]
pub enum PartnerFilesCommand {
    /// Takes a file over: it is checked whole, kept, and counts if it is right.
    Add(AddArgs),
    /// The latest files, newest first.
    List(ListArgs),
}

/// Whose file, for which date.
#[derive(Clone, Debug, Args)]
pub struct AddArgs {
    /// The partner, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    partner: PartnerName,
    /// The business date that the file is about, such as 2026-11-22.
    #[arg(long, value_name = "DATE")]
    date: chrono::NaiveDate,
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which files.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Of this partner only.
    #[arg(long, value_name = "NAME")]
    partner: Option<PartnerName>,
    /// Of this business date only.
    #[arg(long, value_name = "DATE")]
    date: Option<chrono::NaiveDate>,
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=1_000))]
    count: u32,
}

/// Runs it; gives what is said.
///
/// # Errors
/// The file is refused, or something failed.
pub async fn run(config: &Config, command: &PartnerFilesCommand) -> anyhow::Result<String> {
    match command {
        PartnerFilesCommand::Add(args) => add(config, args).await,
        PartnerFilesCommand::List(args) => list(config, args),
    }
}

async fn add(config: &Config, args: &AddArgs) -> anyhow::Result<String> {
    let desk = Bare::for_command(config).await?;
    let of = (&args.partner, BusinessDate(args.date));
    let actor = Actor::system();
    let added = desk.engine.add_partner_file(of, &args.file, &actor).await;
    desk.stop().await;
    let added = added?;
    let file = added.file();
    if file.state == PartnerFileState::Refused {
        let complaint = file.complaint().unwrap_or_default();
        anyhow::bail!("the file is refused as a whole, {complaint}");
    }
    Ok(match &added {
        Received::New(file) => format!(
            "accepted as version {}: {} rows, sha256 {}; the next run of reconcile_day takes it\n",
            file.version, file.row_count, file.sha256
        ),
        Received::Same(file) => format!("it is version {} already\n", file.version),
    })
}

fn list(config: &Config, args: &ListArgs) -> anyhow::Result<String> {
    let mut view = View::open(config.storage.url.expose_secret())?;
    let date = args.date.map(BusinessDate);
    let filter = partner_files::Filter {
        partner: args.partner.clone(),
        from: date,
        to: date,
        state: None,
    };
    let files = partner_files::list(view.connection(), &filter, None, i64::from(args.count))?;
    Ok(files.iter().map(line).collect())
}

fn line(file: &PartnerFile) -> String {
    let mut line = format!(
        "{} {} v{} {} {} rows {}",
        file.business_date, file.partner, file.version, file.state, file.row_count, file.name
    );
    if let Some(complaint) = file.complaint() {
        // Writing into memory does not fail.
        let _ = write!(line, " {complaint}");
    }
    line.push('\n');
    line
}
