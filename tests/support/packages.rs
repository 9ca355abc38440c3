//! Programs that nobody here wrote, and the packages that they stand on: installed once, under the target
//! folder, by their pinned versions, and found there again without a network.
//!
//! Where a program is not installed, the test says what it leaves out and passes; with `CI=true` it
//! fails.

use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const CACHE: &str = env!("CARGO_TARGET_TMPDIR");

/// Python with the packages of the `requirements.txt` that lies in a folder.
pub fn python(what: &str, folder: &Path) -> Option<Command> {
    let wanted = folder.join("requirements.txt");
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
        succeed(pip.arg("--requirement").arg(&wanted))
    };
    let folder = cached((what, "python"), std::slice::from_ref(&wanted), install)?;
    Some(Command::new(folder.join("bin/python")))
}

/// The folder in which packages were installed, now or earlier; its name holds what was asked for.
pub fn cached(
    (what, name): (&str, &str),
    files: &[PathBuf],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(std::fs::read(file).unwrap());
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
        return leave_out(what, &why);
    }
    let half = half.keep();
    if std::fs::rename(&half, &folder).is_err() {
        // Another run was quicker.
        std::fs::remove_dir_all(&half).unwrap();
    }
    Some(folder)
}

/// Runs a command to its end; what it said where it failed.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Err(error) => Err(format!("{name} does not start: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", text(&output))),
    }
}

/// What a program said.
pub fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Says what is left out, and why.
#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
pub fn leave_out<T>(what: &str, why: &str) -> Option<T> {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !is_ci,
        "{what}: {why}; CI leaves nothing out: run `make servers`"
    );
    // Past the test runner, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stderr(), "left out: {what} ({why})");
    None
}
