//! The programs that clients need, and the packages that they stand on.

use crate::support::packages::{self, cached, leave_out, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signatures_clients");

/// Python with the packages of `requirements.txt`, about to run a script.
pub fn python(script: &str) -> Option<Command> {
    let mut command = packages::python("a client in python", Path::new(HERE))?;
    command.arg(here(script));
    Some(command)
}

/// Node with the packages of `package-lock.json`, about to run a script.
pub fn node(script: &str) -> Option<Command> {
    const FILES: [&str; 2] = ["package.json", "package-lock.json"];
    let install = |folder: &Path| {
        for file in FILES {
            let copied = std::fs::copy(here(file), folder.join(file));
            copied.map_err(|error| format!("{file}: {error}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        succeed(npm.current_dir(folder))
    };
    let folder = cached(("a client in node", "node"), &FILES.map(here), install)?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", folder.join("node_modules"));
    command.arg(here(script));
    Some(command)
}

/// A shell that knows curl.
pub fn shell() -> Option<Command> {
    match succeed(Command::new("curl").arg("--version")) {
        Ok(()) => Some(Command::new("sh")),
        Err(why) => leave_out("the printed command", &why),
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(HERE).join(file)
}
