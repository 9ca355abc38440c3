//! How files look: their size and their names, and what is left out of them.

use super::floors::is_test;
use super::text::code_of;

/// The longest that a file may be.
pub const LINES_MAX: usize = 600;
/// The longest that a function may be.
pub const FUNCTION_LINES_MAX: usize = 70;

/// The only places of a test in which anything sleeps: loops that look again until something is so,
/// each with a deadline, and what is about time itself. With how often, and why.
const MAY_SLEEP: &[(&str, usize, &str)] = &[
    (
        "src/cache/tests_redis.rs",
        1,
        "until a cache serves again; 60 s",
    ),
    (
        "tests/faults_crash.rs",
        2,
        "a caller's pause between two tries; the moment of a kill",
    ),
    (
        "tests/support/bank/clock.rs",
        2,
        "the manual clock, on which the engine sleeps",
    ),
    (
        "tests/night/missed.rs",
        1,
        "how long a daemon lives before it is killed: the moment is the dice's",
    ),
    (
        "tests/support/bank/time.rs",
        1,
        "until the engine is at rest; 30 s",
    ),
    (
        "tests/support/process.rs",
        1,
        "until a process shows what is waited for; a deadline",
    ),
    (
        "tests/support/redis.rs",
        1,
        "until a server is up or down; 30 s",
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

/// Functions that are a list of one thing under the other, and no shorter in two.
const MAY_BE_LONG: &[(&str, usize)] = &[
    // What a number in the settings may be.
    ("src/config/check.rs", 77),
    // Everything that a center is made of, in the sequence in which it starts.
    ("src/daemon.rs", 75),
];

/// A function that is too long; tables of tests may be as long as they are.
pub fn functions(path: &str, text: &str) -> Vec<String> {
    if is_test(path) {
        return Vec::new();
    }
    let may = MAY_BE_LONG.iter().find(|(place, _)| *place == path);
    let lines_max = may.map_or(FUNCTION_LINES_MAX, |(_, lines)| *lines);
    let code = code_of(
        text.split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or(text),
    );
    let lines: Vec<&str> = code.lines().collect();
    let mut wrong = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        if !line.split_whitespace().any(|word| word == "fn") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        // Its head ends with a brace, or there is no body here to measure.
        let head = lines[place..]
            .iter()
            .position(|l| l.ends_with(['{', ';', '}']));
        let has_body = head.is_some_and(|head| lines[place + head].ends_with('{'));
        let end = lines[place..].iter().position(|l| *l == closing);
        let length = end.map_or(0, |end| end + 1);
        if has_body && length > lines_max {
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

/// A test that sleeps where, or more often than, it may.
pub fn sleeps(path: &str, text: &str) -> Vec<String> {
    let is_test = path.starts_with("tests/") || path.contains("test");
    let allowed = MAY_SLEEP.iter().find(|(place, ..)| *place == path);
    let allowed = allowed.map_or(0, |(_, times, _)| *times);
    let code = code_of(text);
    let begins = |place: usize| code[..place].ends_with(['.', ':', ' ', '(']);
    let times = code
        .match_indices("sleep(")
        .filter(|(place, _)| begins(*place))
        .count();
    if !is_test || times <= allowed {
        return Vec::new();
    }
    vec![format!(
        "{path} sleeps {times} times, and may {allowed} times"
    )]
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
