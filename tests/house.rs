//! The rules of the house, held by reading its sources: arrows only downwards, one door for each
//! foreign crate, no file past comfort, no room without a name. Each rule is a function that is
//! also shown a source that breaks it.

use std::path::{Path, PathBuf};

/// Which rooms a room may know. What is not listed here (the daemon, the demo, the command line)
/// may know every room.
const MAY_KNOW: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("storage", &["domain"]),
    ("cache", &["domain"]),
    ("upstream", &["domain"]),
    ("engine", &["domain", "storage", "cache", "upstream"]),
    ("api", &["domain", "storage", "engine"]),
    ("jobs", &["domain", "storage", "engine"]),
    ("sim", &[]),
    ("check", &["domain", "storage", "sim"]),
    ("config", &["domain", "cache", "upstream", "telemetry"]),
];

/// Where a foreign crate may be named.
const DOORS: [(&str, &[&str]); 7] = [
    ("diesel", &["storage"]),
    ("redis", &["cache"]),
    ("moka", &["cache"]),
    ("reqwest", &["upstream"]),
    ("recloser", &["upstream"]),
    ("tokio_cron_scheduler", &["jobs"]),
    ("async_graphql", &["api"]),
];

/// The longest file, in lines.
const LINES_MAX: usize = 600;

/// Words that are no name for a room.
const NO_NAMES: [&str; 3] = ["util", "helpers", "common"];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 10, "the sources of {folder} are there");
    found
}

/// The room of a file: the name behind `src/`.
fn room(path: &Path) -> String {
    let name = path
        .components()
        .nth(1)
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    name.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str().to_string_lossy().contains("test"))
}

/// The code of a file without its comments and without its test module.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = body
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Rooms that a source names and may not know.
fn forbidden_arrows(room: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
        return Vec::new();
    };
    let named = code(text);
    let named = named.split("crate::").skip(1).map(|rest| {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect::<String>()
    });
    let known = |other: &String| other == room || allowed.contains(&other.as_str());
    let is_room = |other: &String| MAY_KNOW.iter().any(|(name, _)| name == other);
    named
        .filter(|other| is_room(other) && !known(other))
        .collect()
}

/// Foreign crates that a source names outside their door.
fn wrong_doors(room: &str, text: &str) -> Vec<&'static str> {
    let code = code(text);
    let names = |krate: &str| {
        code.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with(&format!("use {krate}::")) || line.contains(&format!(" {krate}::"))
        })
    };
    let wrong = DOORS
        .iter()
        .filter(|(krate, rooms)| !rooms.contains(&room) && names(krate));
    wrong.map(|(krate, _)| *krate).collect()
}

#[test]
fn arrows_lead_only_downwards() {
    for (path, text) in sources("src") {
        if !is_test(&path) {
            let wrong = forbidden_arrows(&room(&path), &text);
            assert!(
                wrong.is_empty(),
                "{} must not know {wrong:?}",
                path.display()
            );
        }
    }
    assert_eq!(
        forbidden_arrows("storage", "use crate::engine::Engine;"),
        ["engine"]
    );
    assert_eq!(
        forbidden_arrows("api", "use crate::jobs::Driver;"),
        ["jobs"]
    );
    assert!(forbidden_arrows("engine", "use crate::storage::Store;").is_empty());
}

#[test]
fn a_foreign_crate_has_one_door() {
    for (path, text) in sources("src") {
        if !is_test(&path) {
            let wrong = wrong_doors(&room(&path), &text);
            assert!(wrong.is_empty(), "{} names {wrong:?}", path.display());
        }
    }
    assert_eq!(wrong_doors("engine", "use diesel::prelude::*;"), ["diesel"]);
    assert!(wrong_doors("storage", "use diesel::prelude::*;").is_empty());
}

#[test]
fn no_file_is_past_comfort_and_every_room_has_a_name() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
            for part in path.with_extension("").components() {
                let name = part.as_os_str().to_string_lossy().into_owned();
                assert!(
                    !NO_NAMES.contains(&name.as_str()),
                    "{}: no name",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn nothing_is_pretended() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
    ];
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for mark in marks {
            assert!(!text.contains(mark), "{} holds {mark}", path.display());
        }
    }
}
