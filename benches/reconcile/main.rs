//! Two flow files of a large day compared from the command line, beside the same comparison in an
//! analytical database: time and memory of the whole process, from its start to its end, and the same
//! counts and sums.
//!
//!     make bench                               with everything else
//!     make bench BENCH="--flows 100000"        smaller
//!
//! Both run by turns, three times each, on files that lie in the operating system's cache; the best time
//! of each counts, so that what else the machine does in the meantime counts as little as can be. Of the
//! memory, our most and the database's least are compared.

#![allow(clippy::float_arithmetic, reason = "figures, not money")]

mod files;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_payhall");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/reconcile");
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const ROUNDS: u32 = 3;

/// Flows, our sum and their sum of each class that has any.
type Classes = BTreeMap<String, (u64, String, String)>;

/// One run of a program.
struct Run {
    seconds: f64,
    peak_mb: f64,
    classes: Classes,
}

fn main() -> anyhow::Result<()> {
    let flows = flows()?;
    let python = python()?;
    let folder = tempfile::tempdir_in(TARGET)?;
    println!("making two files of {flows} flows");
    files::write_files(folder.path(), flows)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let joined = joined(&python, folder.path())?;
        let compared = compared(&python, folder.path())?;
        println!(
            "round {round}: {:6.2} s, {:4.0} MB; in one join of DuckDB {:6.2} s, {:4.0} MB",
            compared.seconds, compared.peak_mb, joined.seconds, joined.peak_mb
        );
        if compared.classes != joined.classes {
            bail!(
                "the classes differ: {:?}, and in DuckDB {:?}",
                compared.classes,
                joined.classes
            );
        }
        ours.push(compared);
        theirs.push(joined);
    }
    for (class, (flows, our_minor, their_minor)) in &ours[0].classes {
        println!("{class:<10} {flows:>10} flows, {our_minor} and {their_minor} minor units");
    }
    let best = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).fold(f64::MAX, f64::min);
    let most = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    report(&[
        (
            "reconcile_5m",
            best(&ours, |run| run.seconds),
            "s",
            best(&theirs, |run| run.seconds),
        ),
        (
            "reconcile_5m_memory",
            most(&ours, |run| run.peak_mb),
            "MB",
            best(&theirs, |run| run.peak_mb),
        ),
    ])
}

/// `--flows N` of each file; cargo's own arguments are passed over.
fn flows() -> anyhow::Result<u32> {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--flows" {
            let flows = arguments.next().and_then(|n| n.parse().ok());
            return flows.context("--flows takes a number");
        }
    }
    Ok(5_000_000)
}

/// Our program on both files; the time is that of the whole process.
fn compared(python: &Path, folder: &Path) -> anyhow::Result<Run> {
    let files = ["ours.csv", "theirs.csv"].map(|name| folder.join(name));
    let mut command = measured(python);
    command.args([PROGRAM, "reconcile", "files", "--json", "--ours"]);
    command.arg(&files[0]).arg("--theirs").arg(&files[1]);
    let measured = run(&mut command)?;
    let mut classes = Classes::new();
    for class in measured.said["classes"].as_array().context("classes")? {
        let minor = |side: &str| -> anyhow::Result<String> {
            Ok(class[side]["minor"].as_str().context("minor")?.to_owned())
        };
        let flows = class["flows"].as_u64().context("flows")?;
        if flows > 0 {
            let name = class["class"].as_str().context("class")?.to_owned();
            classes.insert(name, (flows, minor("ours")?, minor("theirs")?));
        }
    }
    Ok(Run {
        seconds: measured.seconds,
        peak_mb: measured.peak_mb,
        classes,
    })
}

/// The database's join of both files; the time is that of the query alone.
fn joined(python: &Path, folder: &Path) -> anyhow::Result<Run> {
    let mut command = measured(python);
    command
        .arg(python)
        .arg(format!("{HERE}/join.py"))
        .arg(folder);
    let measured = run(&mut command)?;
    Ok(Run {
        seconds: measured.said["seconds"].as_f64().context("seconds")?,
        peak_mb: measured.peak_mb,
        classes: serde_json::from_value(measured.said["classes"].clone())?,
    })
}

/// A command that measures the one behind it, ours and the database's alike.
fn measured(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(format!("{HERE}/measure.py"));
    command
}

/// What a measured program printed, and what it took.
struct Measured {
    said: Value,
    seconds: f64,
    peak_mb: f64,
}

fn run(command: &mut Command) -> anyhow::Result<Measured> {
    let output = command.output()?;
    let told: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let printed = told["printed"].as_str().context("printed")?;
    let said = serde_json::from_str(printed);
    let said = said.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    // In megabytes of 1,000,000 bytes, like everything in the report.
    let peak_mb = told["peak_kib"].as_f64().context("peak_kib")? * 1_024.0 / 1e6;
    Ok(Measured {
        said,
        seconds: told["seconds"].as_f64().context("seconds")?,
        peak_mb,
    })
}

/// A Python with the database's library, installed once, under the target folder.
fn python() -> anyhow::Result<PathBuf> {
    let requirements = format!("{HERE}/requirements.txt");
    let version = std::fs::read_to_string(&requirements)?;
    let version = version.rsplit("==").next().context("a version")?.trim();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("duckdb-{version}"));
    let python = folder.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    println!("installing DuckDB {version}");
    let half = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    succeed(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(half.path()),
    )?;
    let mut pip = Command::new(half.path().join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    succeed(pip.arg("--requirement").arg(&requirements))?;
    std::fs::rename(half.keep(), &folder)?;
    Ok(python)
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{}: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Prints the figures and writes them down, beside those of the other benchmarks.
fn report(figures: &[(&str, f64, &str, f64)]) -> anyhow::Result<()> {
    let file = Path::new(TARGET).join("bench.json");
    let others = std::fs::read_to_string(&file);
    let mut all: serde_json::Map<String, Value> = match others {
        Ok(others) => serde_json::from_str(&others).context("target/bench.json")?,
        Err(_) => serde_json::Map::new(),
    };
    let rounded = |number: f64| (number * 1_000.0).round() / 1_000.0;
    println!(
        "\n{:<24} {:>12} {:<10} {:>12} {:>7}",
        "figure", "value", "unit", "baseline", "ratio"
    );
    for (name, value, unit, baseline) in figures {
        let ratio = value / baseline;
        println!("{name:<24} {value:>12.2} {unit:<10} {baseline:>12.2} {ratio:>7.2}   (DuckDB)");
        all.insert(
            (*name).to_owned(),
            json!({
                "value": rounded(*value),
                "unit": unit,
                "baseline": rounded(*baseline),
                "ratio": rounded(ratio),
            }),
        );
    }
    std::fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\nwritten to {}", file.display());
    Ok(())
}
