//! `docs/SECURITY.md`: each promise names the tests that hold it, and they are there.

use std::collections::BTreeSet;

/// How many promises there are.
const PROMISES: usize = 20;

/// What is wrong with a page, given whether a test of a file is there.
pub fn promises(page: &str, is_there: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| S")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (name, held_by) = (cells[1], cells[cells.len().saturating_sub(2)]);
        if !seen.insert(name) {
            wrong.push(format!("{name} stands there twice"));
        }
        let tests: Vec<_> = held_by
            .split('`')
            .filter_map(|word| word.split_once("::"))
            .collect();
        if tests.is_empty() {
            wrong.push(format!("{name} names no test"));
        }
        for (file, test) in tests {
            if !is_there(file, test) {
                wrong.push(format!("{name}: {file} has no test {test}"));
            }
        }
    }
    for number in 1..=PROMISES {
        if !seen.contains(format!("S{number}").as_str()) {
            wrong.push(format!("S{number} has no row"));
        }
    }
    wrong
}

/// Whether a text has a test of this name: a function with an attribute of tests right above it.
pub fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    let before = text[..at].trim_end_matches("async ").trim_end();
    let last = before.rsplit('\n').next().unwrap_or_default().trim();
    last.starts_with("#[test]") || last.starts_with("#[tokio::test")
}
