//! The programs that clients need, and the packages that they stand on: installed once, under the
//! target folder, by their pinned versions, and found there again without a network.
//!
//! Where a program is not installed, the test says what it leaves out and passes; with `CI=true` it
//! fails.

use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signatures_clients");
const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

/// Python with the packages of `requirements.txt`, about to run a script.
pub fn python(script: &str) -> Option<Command> {
    let install = |folder: &Path| {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        succeed(pip.arg("--requirement").arg(here("requirements.txt")))
    };
    let folder = cached("python", &["requirements.txt"], install)?;
    let mut command = Command::new(folder.join("bin/python"));
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
    let folder = cached("node", &FILES, install)?;
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

/// The folder in which packages were installed, now or earlier; its name holds what was asked for.
fn cached(
    name: &str,
    files: &[&str],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(std::fs::read(here(file)).unwrap());
    }
    let hash = hash.finalize();
    let folder = Path::new(CACHE).join(format!(
        "{name}-{:02x}{:02x}{:02x}",
        hash[0], hash[1], hash[2]
    ));
    if folder.is_dir() {
        return Some(folder);
    }
    // What is half installed never has the name that is looked for.
    let half = TempDir::with_prefix_in(format!("{name}-"), CACHE).unwrap();
    if let Err(why) = install(half.path()) {
        return leave_out(&format!("a client in {name}"), &why);
    }
    let half = half.keep();
    if std::fs::rename(&half, &folder).is_err() {
        // Another run was quicker.
        std::fs::remove_dir_all(&half).unwrap();
    }
    Some(folder)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Err(error) => Err(format!("{name} does not start: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", super::text(&output))),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
fn leave_out<T>(what: &str, why: &str) -> Option<T> {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !is_ci,
        "{what}: {why}; CI leaves nothing out: run `make servers`"
    );
    // Past the test runner, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stderr(), "left out: {what} ({why})");
    None
}
