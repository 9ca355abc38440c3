//! `payhall operator`: the people of the center, from the command line of the machine that holds the
//! database. The first administrator is made here; everything else can be done by the API as well.
//!
//! A password is never an argument, which every user of the machine could read: it is asked for on
//! the terminal without being shown, or is the first line of a file or of standard input.

use crate::config::Config;
use crate::daemon;
use crate::domain::ids::OperatorName;
use crate::domain::operator::Role;
use crate::engine::{Actor, EngineError, NewOperator, Operators};
use crate::storage::Store;
use anyhow::Context;
use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What is done with operators.
#[derive(Debug, Subcommand)]
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
pub async fn run(config: &Config, command: &OperatorCommand) -> anyhow::Result<String> {
    let password = match command {
        OperatorCommand::Add { password_file, .. }
        | OperatorCommand::Reset { password_file, .. } => {
            Some(read_password(password_file.as_deref()).await?)
        }
        OperatorCommand::List
        | OperatorCommand::Disable { .. }
        | OperatorCommand::Enable { .. } => None,
    };
    let options = daemon::storage_options(config, &daemon::instance_name());
    Store::migrate(&options)?;
    let store = Store::open(&options, Arc::new(|_| ()))?;
    let operators = daemon::operators(&store)?;
    let done = carry_out(&operators, command, password).await;
    store.close().await;
    done.map_err(|error| match error {
        EngineError::Refused(refusal) => anyhow::anyhow!(refusal.message),
        EngineError::Store(error) => error.into(),
    })
}

async fn carry_out(
    operators: &Operators,
    command: &OperatorCommand,
    password: Option<SecretString>,
) -> Result<String, EngineError> {
    let actor = Actor::system();
    let password = password.unwrap_or_default();
    match command {
        OperatorCommand::Add {
            name,
            role,
            display_name,
            ..
        } => {
            let new = NewOperator {
                name: name.clone(),
                display_name: display_name.clone().unwrap_or_else(|| name.to_string()),
                role: *role,
            };
            let added = operators.add_with_password(new, &password, &actor).await?;
            Ok(format!("added {name} as {}\n", added.role))
        }
        OperatorCommand::List => {
            let now = operators.now();
            let mut text = String::new();
            for one in operators.list().await? {
                let codes = if one.totp.is_some() {
                    "codes"
                } else {
                    "no codes"
                };
                let state = one.state(now);
                let Ok(()) = writeln!(text, "{} {} {state}, {codes}", one.name, one.role) else {
                    break;
                };
            }
            Ok(text)
        }
        OperatorCommand::Reset { name, .. } => {
            operators
                .reset_with_password(name, &password, &actor)
                .await?;
            Ok(format!("{name} has a new password and no one-time codes\n"))
        }
        OperatorCommand::Disable { name } => {
            operators.disable(name, &actor).await?;
            Ok(format!("{name} is switched off\n"))
        }
        OperatorCommand::Enable { name } => {
            operators.enable(name, &actor).await?;
            Ok(format!("{name} is switched on\n"))
        }
    }
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
