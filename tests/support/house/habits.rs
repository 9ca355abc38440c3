//! How files look: their size and their names, and what is left out of them.

use super::text::code_of;

/// The longest that a file may be.
pub const LINES_MAX: usize = 600;
/// The longest that a function may be.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Loops that look again until something is so, each with a deadline, and the manual clock itself:
/// the only places of a test in which anything sleeps, and why.
const MAY_SLEEP: &[(&str, &str)] = &[
    (
        "tests/support/bank/clock.rs",
        "the manual clock, on which the engine sleeps",
    ),
    (
        "tests/support/bank/time.rs",
        "looks until the engine is at rest; 30 s",
    ),
];

/// A file that is too long.
pub fn size(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!("{path} has {lines} lines")]
}

/// A function that is too long.
pub fn functions(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let lines: Vec<&str> = code.lines().collect();
    let mut wrong = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let is_function = line.split_whitespace().any(|word| word == "fn");
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        if !is_function {
            continue;
        }
        let end = lines[place..]
            .iter()
            .position(|line| *line == closing || line.ends_with(';'));
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LINES_MAX && lines[place + length - 1] == closing {
            wrong.push(format!(
                "{path}:{}: a function of {length} lines",
                place + 1
            ));
        }
    }
    wrong
}

/// A name that says nothing.
pub fn names(path: &str) -> Vec<String> {
    let nothing = [
        "util",
        "utils",
        "helper",
        "helpers",
        "common",
        "misc",
        "shared_code",
    ];
    let parts = path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    let empty = parts.filter(|part| nothing.contains(part));
    empty
        .map(|part| format!("{path}: {part} is no name"))
        .collect()
}

/// What is not left in a file that others read.
pub fn leftovers(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let left = [
        "todo!",
        "unimplemented!",
        "dbg!",
        "#[ignore",
        "#[allow(clippy::all",
    ];
    let found = left.iter().filter(|word| code.contains(**word));
    found.map(|word| format!("{path}: {word}")).collect()
}

/// A test that sleeps.
pub fn sleeps(path: &str, text: &str) -> Vec<String> {
    let is_test = path.starts_with("tests/") || path.contains("test");
    let may = MAY_SLEEP.iter().any(|(allowed, _)| *allowed == path);
    let code = code_of(text);
    let sleeps = code.match_indices("sleep(").filter(|(place, _)| {
        let before = &code[..*place];
        before.ends_with('.') || before.ends_with(':') || before.ends_with(' ')
    });
    match (is_test && !may, sleeps.count()) {
        (true, times) if times > 0 => vec![format!("{path} sleeps {times} times")],
        _ => Vec::new(),
    }
}

/// Migrations of one database that the other one has not.
pub fn twins(postgres: &[String], sqlite: &[String]) -> Vec<String> {
    let only_in = |these: &[String], those: &[String], whose: &str| {
        let alone = these.iter().filter(|name| !those.contains(name));
        alone
            .map(|name| format!("{name} is there for {whose} only"))
            .collect::<Vec<_>>()
    };
    [
        only_in(postgres, sqlite, "PostgreSQL"),
        only_in(sqlite, postgres, "SQLite"),
    ]
    .concat()
}
