//! `payhall operator`: the people of the center, from the command line of the machine that holds the
//! database. The first administrator is made here; everything else can be done by the API as well.
//!
//! A password is never an argument, which every user of the machine could read: it is asked for on
//! the terminal without being shown, or is the first line of a file or of standard input.

use crate::config::Config;
use crate::daemon;
use crate::domain::ids::OperatorName;
use crate::domain::operator::{Operator, Role};
use crate::engine::{Actor, Clock, EngineError, NewOperator, Operators, SystemClock};
use crate::storage::{self, Store, View};
use anyhow::Context;
use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What is done with operators.
#[derive(Clone, Debug, Subcommand)]
pub enum OperatorCommand {
    /// Adds an operator; asks for the password.
    Add {
        /// The name to log in with: lower-case letters, digits, '-', '_' or '.'.
        name: OperatorName,
        /// What the person is for: viewer, operator, reviewer, auditor or admin.
        #[arg(long, value_parser = role)]
        role: Role,
        /// The person's own name; the login name where it is not given.
        #[arg(long)]
        display_name: Option<String>,
        /// A file whose first line is the password; without it, it is asked for on the terminal, or
        /// read from standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Every operator, by name.
    List,
    /// Gives an operator a new password; one-time codes, a lock and sessions end.
    Reset {
        /// Who.
        name: OperatorName,
        /// A file whose first line is the password; without it, it is asked for on the terminal, or
        /// read from standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Switches an operator's account off; sessions end.
    Disable {
        /// Who.
        name: OperatorName,
    },
    /// Switches an operator's account on again; a lock ends too.
    Enable {
        /// Who.
        name: OperatorName,
    },
}

fn role(text: &str) -> Result<Role, String> {
    let known = Role::ALL.iter().find(|role| {
        let word = role.as_str().to_ascii_lowercase();
        word == text
    });
    known
        .copied()
        .ok_or_else(|| "viewer, operator, reviewer, auditor or admin is expected".to_owned())
}

/// Does it; what is to be said on standard output.
///
/// # Errors
/// A database that cannot be used, a password that cannot be read, or what was refused, in its words.
pub async fn run(config: &Config, command: OperatorCommand) -> anyhow::Result<String> {
    match command {
        OperatorCommand::List => list(config),
        OperatorCommand::Add {
            name,
            role,
            display_name,
            password_file,
        } => {
            let password = read_password(password_file.as_deref()).await?;
            let said = format!("added {name} as {role}\n");
            let display_name = display_name.unwrap_or_else(|| name.to_string());
            let new = NewOperator {
                name,
                display_name,
                role,
            };
            change(config, async |desk, actor| {
                desk.add_with_password(new, &password, actor).await
            })
            .await?;
            Ok(said)
        }
        OperatorCommand::Reset {
            name,
            password_file,
        } => {
            let password = read_password(password_file.as_deref()).await?;
            change(config, async |desk, actor| {
                desk.reset_with_password(&name, &password, actor).await
            })
            .await?;
            Ok(format!("{name} has a new password and no one-time codes\n"))
        }
        OperatorCommand::Disable { name } => {
            change(config, async |desk, actor| desk.disable(&name, actor).await).await?;
            Ok(format!("{name} is switched off\n"))
        }
        OperatorCommand::Enable { name } => {
            change(config, async |desk, actor| desk.enable(&name, actor).await).await?;
            Ok(format!("{name} is switched on\n"))
        }
    }
}

/// Only looks: the database is neither made nor migrated.
fn list(config: &Config) -> anyhow::Result<String> {
    let mut view = View::open(config.storage.url.expose_secret())?;
    let now = SystemClock.now();
    let mut text = String::new();
    for one in storage::operators::list(view.connection())? {
        let codes = if one.totp.is_some() {
            "codes"
        } else {
            "no codes"
        };
        writeln!(
            text,
            "{} {} {}, {codes}",
            one.name,
            one.role,
            one.state(now)
        )?;
    }
    Ok(text)
}

/// Changes an account in the database of the settings.
async fn change(
    config: &Config,
    work: impl AsyncFnOnce(&Operators, &Actor) -> Result<Operator, EngineError>,
) -> anyhow::Result<()> {
    let options = daemon::storage_options(config, &daemon::instance_name());
    Store::migrate(&options)?;
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let done = match daemon::operators(&store, config) {
        Ok(desk) => work(&desk, &Actor::system())
            .await
            .map_err(|error| match error {
                EngineError::Refused(refusal) => anyhow::anyhow!(refusal.message),
                fault => fault.into(),
            }),
        Err(error) => Err(error),
    };
    store.close().await;
    done.map(drop)
}

/// The password: out of a file, from the terminal, where it is asked for twice, or from standard input.
async fn read_password(file: Option<&Path>) -> anyhow::Result<SecretString> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(first_line(&text));
    }
    if !std::io::stdin().is_terminal() {
        return read_line();
    }
    let quiet = Quiet::try_new()?;
    let asked = tokio::task::spawn_blocking(|| {
        let first = ask("New password: ")?;
        let again = ask("Once more: ")?;
        anyhow::Ok((first, again))
    });
    let (first, again) = tokio::select! {
        asked = asked => asked??,
        _ = tokio::signal::ctrl_c() => {
            drop(quiet);
            // The thread that reads still waits for a line.
            std::process::exit(130);
        }
    };
    drop(quiet);
    anyhow::ensure!(
        first.expose_secret() == again.expose_secret(),
        "the two are not the same; nothing was done"
    );
    Ok(first)
}

fn ask(question: &str) -> anyhow::Result<SecretString> {
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question}").and_then(|()| terminal.flush())?;
    let line = read_line();
    let _ = writeln!(terminal);
    line
}

fn read_line() -> anyhow::Result<SecretString> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    Ok(first_line(&line))
}

fn first_line(text: &str) -> SecretString {
    SecretString::from(text.lines().next().unwrap_or_default())
}

/// A terminal that does not show what is typed, until the value goes.
struct Quiet;

impl Quiet {
    fn try_new() -> anyhow::Result<Self> {
        anyhow::ensure!(
            stty("-echo"),
            "the terminal cannot be told not to show the password; use --password-file"
        );
        Ok(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(word: &str) -> bool {
    let mut command = Command::new("stty");
    command.arg(word).stdin(Stdio::inherit());
    command.status().is_ok_and(|status| status.success())
}
