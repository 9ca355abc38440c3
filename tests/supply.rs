//! What comes in from elsewhere: from crates.io and with its checksum, under licences that go with ours,
//! and without the crates that `deny.toml` bans. It reads what cargo knows already, so it needs no
//! network and no further tool; known flaws in crates are for `cargo deny check advisories`.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

fn toml(name: &str) -> toml::Table {
    let text = std::fs::read_to_string(format!("{FOLDER}/{name}")).expect(name);
    text.parse().expect(name)
}

/// The words of a list in `deny.toml`.
fn listed(table: &toml::Table, section: &str, list: &str) -> BTreeSet<String> {
    let words = table[section][list].as_array().expect(list).iter();
    let words = words.map(|word| word.get("crate").unwrap_or(word).as_str());
    words.map(|word| word.expect("a word").to_owned()).collect()
}

/// Every package in the lock file: its name, its version, where it comes from, its checksum.
fn locked() -> Vec<toml::Table> {
    let lock = toml("Cargo.lock");
    let packages = lock["package"].as_array().expect("packages").iter();
    packages
        .map(|package| package.as_table().expect("a table").clone())
        .collect()
}

#[test]
fn everything_comes_from_crates_io_with_its_checksum() {
    let allowed = listed(&toml("deny.toml"), "sources", "allow-registry");
    let allowed: Vec<String> = allowed
        .iter()
        .map(|url| format!("registry+{url}"))
        .collect();
    let mut foreign = 0;
    for package in locked() {
        let name = package["name"].as_str().expect("a name");
        let Some(source) = package.get("source").and_then(|source| source.as_str()) else {
            assert_eq!(name, "payhall", "{name} is built from a folder");
            continue;
        };
        assert!(
            allowed.iter().any(|allowed| allowed == source),
            "{name} comes from {source}"
        );
        assert!(package.contains_key("checksum"), "{name} has no checksum");
        foreign += 1;
    }
    assert!(foreign > 100, "{foreign}");
}

#[test]
fn nothing_that_is_banned_comes_in() {
    let banned = listed(&toml("deny.toml"), "bans", "deny");
    assert!(banned.contains("rsa"));
    for package in locked() {
        let name = package["name"].as_str().expect("a name");
        assert!(
            !banned.contains(name),
            "{name} is banned by deny.toml: `cargo tree -i {name}` says who brings it"
        );
    }
}

#[test]
fn every_licence_goes_with_ours() {
    let allowed = listed(&toml("deny.toml"), "licenses", "allow");
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(FOLDER)
        .output()
        .expect("cargo");
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str();
        let licence = licence.unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(
            Terms::read(licence).allow(&allowed),
            "{name} is under {licence:?}, which deny.toml does not allow"
        );
    }
}

/// The terms of a licence, as SPDX writes them: `MIT OR (Apache-2.0 AND ISC)`.
struct Terms<'a> {
    words: Vec<&'a str>,
    place: usize,
}

impl<'a> Terms<'a> {
    fn read(text: &'a str) -> Self {
        let apart = |c: char| c == '(' || c == ')' || c == '/';
        let mut words = Vec::new();
        for mut rest in text.split_whitespace() {
            while let Some(at) = rest.find(apart) {
                words.extend([&rest[..at], &rest[at..=at]]);
                rest = &rest[at + 1..];
            }
            words.push(rest);
        }
        words.retain(|word| !word.is_empty());
        Self { words, place: 0 }
    }

    fn allow(mut self, allowed: &BTreeSet<String>) -> bool {
        let answer = self.either(allowed);
        answer && self.place == self.words.len()
    }

    fn next_is(&mut self, wanted: &[&str]) -> bool {
        let is_it = self
            .words
            .get(self.place)
            .is_some_and(|word| wanted.contains(word));
        self.place += usize::from(is_it);
        is_it
    }

    fn either(&mut self, allowed: &BTreeSet<String>) -> bool {
        let mut answer = self.both(allowed);
        while self.next_is(&["OR", "/"]) {
            answer |= self.both(allowed);
        }
        answer
    }

    fn both(&mut self, allowed: &BTreeSet<String>) -> bool {
        let mut answer = self.one(allowed);
        while self.next_is(&["AND"]) {
            answer &= self.one(allowed);
        }
        answer
    }

    fn one(&mut self, allowed: &BTreeSet<String>) -> bool {
        if self.next_is(&["("]) {
            let answer = self.either(allowed);
            return self.next_is(&[")"]) && answer;
        }
        let name = self.words.get(self.place).copied().unwrap_or_default();
        self.place += 1;
        if self.next_is(&["WITH"]) {
            let exception = self.words.get(self.place).copied().unwrap_or_default();
            self.place += 1;
            return allowed.contains(&format!("{name} WITH {exception}"));
        }
        allowed.contains(name)
    }
}

#[test]
fn terms_are_read_as_they_are_written() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "A WITH B"].map(str::to_owned).into();
    for (terms, is_allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(GPL-3.0 OR MIT) AND X", false),
        ("A WITH B", true),
        ("A", false),
        ("MIT AND", false),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(Terms::read(terms).allow(&allowed), is_allowed, "{terms}");
    }
}

/// `forbid` cannot be taken back by an `allow` further down, so one line holds all of our code.
#[test]
fn unsafe_code_is_forbidden() {
    let manifest = toml("Cargo.toml");
    let lint = manifest["lints"]["rust"]["unsafe_code"].as_str();
    assert_eq!(lint, Some("forbid"));
}
