//! The rules of the house as plain functions over source text: each takes a path and a text and says
//! what is wrong, so that each can be shown something wrong.

pub mod floors;
pub mod habits;
pub mod promises;
pub mod text;

use std::path::{Path, PathBuf};

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path from the top of the project, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The top of the project.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder whose name ends so, in order of their paths.
pub fn files(folder: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&top().join(folder), &mut found);
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found.into_iter().map(read).collect()
}

/// Every Rust file of the project.
pub fn all_rust() -> Vec<Source> {
    ["src", "tests", "benches"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
        .collect()
}

fn read(path: PathBuf) -> Source {
    let from_top = path.strip_prefix(top()).expect("it lies below the top");
    Source {
        path: from_top.to_string_lossy().replace('\\', "/"),
        text: std::fs::read_to_string(&path).expect("a file in UTF-8"),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}
