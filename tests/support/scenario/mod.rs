//! Scenario files: a payment's story, one line a step, in words that a clerk of the bank can read
//! and write. `tests/scenarios/README.md` lists the sentences.

pub mod parse;
pub mod run;

use std::path::{Path, PathBuf};

/// A scenario file.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, without folder and ending.
    pub name: String,
    /// Its sentences, each with its line number.
    pub lines: Vec<(usize, String)>,
}

/// Every scenario of a folder, by name.
pub fn read_all(folder: &Path) -> Vec<Scenario> {
    let entries = std::fs::read_dir(folder).expect("the folder of the scenarios");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).expect("a scenario file");
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a plain file name");
    Scenario {
        name: name.to_owned(),
        lines: sentences(&text),
    }
}

/// The lines that say something.
pub fn sentences(text: &str) -> Vec<(usize, String)> {
    let numbered = text.lines().enumerate();
    let cleaned = numbered.map(|(place, line)| (place + 1, line.trim().to_owned()));
    cleaned
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect()
}
