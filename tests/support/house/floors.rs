//! Who may know whom: arrows go only downwards, rooms of one floor never meet, and each foreign crate
//! has one door.

use super::text::{code_of, next_words, paths};

/// The rooms, and which others each of them may know. Who is not listed here has no place in the
/// house yet; files at the top of `src` that are no room may know all.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("storage", &["domain"]),
    ("cache", &["domain"]),
    ("upstream", &["domain"]),
    // The folder that files are published into.
    ("output", &["domain"]),
    // Statements and partners' files, as bytes: profiles, encodings, packing.
    ("files", &["domain"]),
    // Signatures and keys: plain functions, for all who sign or check.
    ("trust", &["domain"]),
    (
        "engine",
        &[
            "domain", "storage", "cache", "upstream", "trust", "output", "files",
        ],
    ),
    ("jobs", &["domain", "storage", "engine"]),
    ("api", &["domain", "storage", "engine", "trust"]),
    // The simulated world shares nothing with the engine, so that it cannot share its mistakes.
    ("sim", &[]),
    // The checker compares what the sides say, the cache, and what was published: it knows neither the
    // engine nor how the world works.
    (
        "check",
        &["domain", "storage", "cache", "trust", "output", "sim"],
    ),
    // Settings: what the rooms below can be told.
    ("config", &["domain", "cache", "upstream", "telemetry"]),
    ("telemetry", &[]),
    // The roof, which no room knows.
    (
        "daemon",
        &[
            "cache", "config", "domain", "engine", "files", "output", "storage", "upstream",
        ],
    ),
    (
        "demo",
        &["config", "daemon", "domain", "engine", "trust", "upstream"],
    ),
    ("jobs_command", &[]),
    ("audit_command", &[]),
    ("operator_command", &[]),
    (
        "reconcile_command",
        &["config", "daemon", "domain", "engine", "files"],
    ),
    ("sign", &[]),
];

/// Files at the top of `src` that put the rooms together.
const ROOF: &[&str] = &[
    "audit_command.rs",
    "lib.rs",
    "main.rs",
    "daemon.rs",
    "demo.rs",
    "jobs_command.rs",
    "operator_command.rs",
    "partner_files_command.rs",
    "reconcile_command.rs",
    "sign.rs",
    "telemetry.rs",
    "telemetry_tests.rs",
];

/// Foreign crates, and the only places that may know them.
const DOORS: &[(&str, &[&str])] = &[
    ("diesel", &["src/storage/"]),
    ("diesel_migrations", &["src/storage/"]),
    ("libsqlite3_sys", &["src/storage/"]),
    ("pq_sys", &["src/storage/"]),
    ("redis", &["src/cache/"]),
    ("moka", &["src/cache/"]),
    // The simulated world is tested from outside, as the adapter sees it.
    ("reqwest", &["src/upstream/", "src/sim/tests/"]),
    ("recloser", &["src/upstream/"]),
    ("aws_lc_rs", &["src/trust/", "src/upstream/tls_tests.rs"]),
    ("sfv", &["src/trust/"]),
    ("sm2", &["src/trust/"]),
    ("jsonwebtoken", &["src/trust/"]),
    ("oauth2", &["src/upstream/"]),
    ("tokio_cron_scheduler", &["src/jobs/driver.rs"]),
    ("async_graphql", &["src/api/"]),
    ("poem", &["src/api/"]),
    ("governor", &["src/api/limits/"]),
    ("ipnet", &["src/api/", "src/config/"]),
    ("argon2", &["src/engine/operators/passwords.rs"]),
    ("totp_rs", &["src/engine/operators/codes.rs"]),
    ("object_store", &["src/output/"]),
    ("encoding_rs", &["src/files/", "src/sim/"]),
    ("flate2", &["src/files/"]),
    ("zip", &["src/files/", "src/sim/"]),
    ("rust_xlsxwriter", &["src/files/"]),
    ("indicatif", &["src/reconcile_command/"]),
    // Under poem, for the time-outs that poem does not have.
    ("hyper", &["src/sim/", "src/api/serve.rs"]),
    ("hyper_util", &["src/sim/", "src/api/serve.rs"]),
    ("http_body_util", &["src/sim/"]),
];

/// The room that a file is in; none for the roof.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    inside.split_once('/').map(|(room, _)| room)
}

/// Whether a file is there for tests only.
pub fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part.contains("tests.") || part.contains("tests_"))
}

/// Arrows that do not go downwards.
pub fn arrows(path: &str, text: &str) -> Vec<String> {
    let Some(room) = room_of(path) else {
        let is_roof = path
            .strip_prefix("src/")
            .is_none_or(|name| ROOF.contains(&name));
        return if is_roof {
            Vec::new()
        } else {
            vec![format!("{path} is in no room")]
        };
    };
    let Some((_, may_know)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{path}: the room {room} has no place in the house")];
    };
    // Who tests a room has to put together what it stands on.
    let below = |other: &str| {
        let floor = |name: &&str| {
            ROOMS
                .iter()
                .any(|(r, knows)| r == name && knows.contains(&other))
        };
        is_test(path) && may_know.iter().any(floor)
    };
    let mut wrong = Vec::new();
    for (other, tail) in rooms_known(path, &code_of(text)) {
        if other != room && !may_know.contains(&other.as_str()) && !below(&other) {
            wrong.push(format!("{path}: {room} knows {other}"));
        }
        if room == "check" && other == "sim" && !tail.starts_with("ledger") {
            wrong.push(format!(
                "{path}: of the world, the checker knows its ledger only"
            ));
        }
    }
    wrong
}

/// The rooms that a file names, by `crate::` or by climbing up with `super::`.
fn rooms_known(path: &str, code: &str) -> Vec<(String, String)> {
    let depth = depth_of(path);
    let mut known = Vec::new();
    for (head, tail) in paths(code) {
        let from_top = match head.as_str() {
            "crate" | "payhall" => tail,
            "super" => match climb(&tail, depth) {
                Some(from_top) => from_top,
                None => continue,
            },
            _ => continue,
        };
        let is_room = |word: &String| ROOMS.iter().any(|(room, _)| room == word);
        for word in next_words(&from_top).into_iter().filter(is_room) {
            let rest = from_top.trim_start_matches(&format!("{word}::")).to_owned();
            known.push((word, rest));
        }
    }
    known
}

/// How many modules lie above the code of a file: 1 for `src/storage/mod.rs`.
fn depth_of(path: &str) -> usize {
    let parts = path.split('/').count() - 1;
    if path.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    }
}

/// What is named from the top of the crate, if as many `super` stand there as lead to it. (A test
/// module inside a file lies one deeper, and so is never blamed wrongly.)
fn climb(tail: &str, depth: usize) -> Option<String> {
    let (mut rest, mut steps) = (tail, 1);
    while let Some(after) = rest.strip_prefix("super::") {
        rest = after;
        steps += 1;
    }
    (steps == depth).then(|| rest.to_owned())
}

/// Foreign crates that came in by another door.
pub fn doors(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (head, _) in paths(&code_of(text)) {
        let Some((name, doors)) = DOORS.iter().find(|(name, _)| *name == head) else {
            continue;
        };
        if !doors.iter().any(|door| path.starts_with(door)) {
            wrong.push(format!(
                "{path} knows {name}, whose door is {}",
                doors.join(" or ")
            ));
        }
    }
    wrong
}
