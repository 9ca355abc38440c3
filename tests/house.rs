//! The rules of the house, held by reading its source; each rule is also shown something wrong, so
//! that none of them can fall asleep.

#[path = "support/house/mod.rs"]
mod house;

use house::floors::{arrows, doors};
use house::habits::{functions, leftovers, names, size, sleeps, twins};
use house::promises::{has_test, promises};
use house::text::{code_of, next_words};
use house::{Source, all_rust, files, top};

/// Everything that a rule finds in these files.
fn holds(rule: fn(&str, &str) -> Vec<String>, files: Vec<Source>) {
    assert!(!files.is_empty(), "there is nothing to look at");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| rule(&file.path, &file.text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A rule finds something in a bad example, and nothing in a good one.
fn finds(rule: fn(&str, &str) -> Vec<String>, path: &str, bad: &str, good: &str) {
    assert!(!rule(path, bad).is_empty(), "{path}: it slept over {bad:?}");
    assert_eq!(
        rule(path, good),
        Vec::<String>::new(),
        "{path}: it blamed {good:?}"
    );
}

#[test]
fn arrows_go_downwards_only() {
    holds(arrows, files("src", ".rs"));
}

#[test]
fn an_arrow_upwards_or_sideways_is_found() {
    let below = "use crate::domain::order::Order;";
    finds(
        arrows,
        "src/domain/order.rs",
        "use crate::storage::Store;",
        below,
    );
    finds(
        arrows,
        "src/storage/orders.rs",
        "use crate::cache::Cache;",
        below,
    );
    finds(
        arrows,
        "src/cache/mod.rs",
        "use crate::{\n    domain::order::Order,\n    upstream::Adapter,\n};",
        below,
    );
    finds(
        arrows,
        "src/upstream/http.rs",
        "fn f() { crate::engine::poll() }",
        below,
    );
    finds(
        arrows,
        "src/engine/poll.rs",
        "use crate::api::Desk;",
        "use crate::storage::Store;",
    );
    finds(
        arrows,
        "src/engine/mod.rs",
        "use crate::daemon::Daemon;",
        below,
    );
    finds(
        arrows,
        "src/jobs/table.rs",
        "use crate::api::Desk;",
        "use crate::engine::Engine;",
    );
    finds(
        arrows,
        "src/api/desk.rs",
        "use crate::jobs::Table;",
        "use crate::engine::Engine;",
    );
    finds(
        arrows,
        "src/storage/mod.rs",
        "use super::engine::Engine;",
        "use super::domain::order::Order;",
    );
    finds(
        arrows,
        "src/storage/orders.rs",
        "use super::super::cache::Cache;",
        "use super::cache::Row;",
    );
    finds(
        arrows,
        "src/sim/bank.rs",
        "use crate::domain::money::Money;",
        "use super::books::Books;",
    );
    finds(
        arrows,
        "src/check/mod.rs",
        "use crate::sim::bank::Bank;",
        "use crate::sim::ledger::Line;",
    );
    finds(
        arrows,
        "src/check/mod.rs",
        "use crate::engine::Engine;",
        "use crate::storage::Store;",
    );
    assert!(
        !arrows("src/vault/mod.rs", "").is_empty(),
        "a room that nobody planned"
    );
    assert!(!arrows("src/vault.rs", "").is_empty(), "a file in no room");
}

#[test]
fn each_foreign_crate_has_one_door() {
    holds(doors, files("src", ".rs"));
}

#[test]
fn a_crate_that_comes_in_by_another_door_is_found() {
    let fine = "use std::sync::Arc; // diesel::prelude is not for us";
    finds(doors, "src/engine/poll.rs", "use diesel::prelude::*;", fine);
    finds(
        doors,
        "src/storage/orders.rs",
        "let c = redis::Client::open(url);",
        "use diesel::prelude::*;",
    );
    finds(doors, "src/engine/alarm.rs", "use reqwest::Client;", fine);
    finds(
        doors,
        "src/jobs/table.rs",
        "use tokio_cron_scheduler::Job;",
        fine,
    );
    finds(doors, "src/jobs/mod.rs", "use poem::{get, handler};", fine);
    finds(
        doors,
        "src/domain/order.rs",
        "#[derive(async_graphql::Enum)]",
        "#[derive(Clone)]",
    );
    finds(
        doors,
        "src/upstream/http.rs",
        "use hyper::Request;",
        "use reqwest::Client;",
    );
}

#[test]
fn no_file_is_too_long() {
    holds(size, all_rust());
    finds(size, "src/x.rs", &"\n".repeat(601), &"\n".repeat(600));
}

#[test]
fn no_function_is_too_long() {
    holds(functions, files("src", ".rs"));
    let function = |lines: usize| {
        format!(
            "impl A {{\n    fn f() {{\n{}    }}\n}}\n",
            "        g();\n".repeat(lines)
        )
    };
    finds(functions, "src/x.rs", &function(69), &function(68));
}

#[test]
fn every_file_has_a_name() {
    let named = |path: &str, _: &str| names(path);
    holds(named, all_rust());
    for path in [
        "src/util/mod.rs",
        "src/engine/helpers.rs",
        "tests/common/mod.rs",
    ] {
        assert!(!names(path).is_empty(), "{path}");
    }
}

#[test]
fn nothing_is_left_lying_about() {
    holds(leftovers, all_rust());
    finds(
        leftovers,
        "src/x.rs",
        "fn f() { todo!() }",
        "fn f() { g(\"todo!\") } // dbg!",
    );
    finds(
        leftovers,
        "src/x.rs",
        "fn f() { unimplemented!() }",
        "fn f() {}",
    );
    finds(
        leftovers,
        "tests/x.rs",
        "#[test]\n#[ignore]\nfn f() {}",
        "#[test]\nfn f() {}",
    );
    finds(leftovers, "tests/x.rs", "let x = dbg!(y);", "let x = y;");
}

#[test]
fn no_test_sleeps() {
    holds(sleeps, all_rust());
    finds(
        sleeps,
        "tests/x.rs",
        "std::thread::sleep(wait);",
        "clock.advance(wait);",
    );
    finds(
        sleeps,
        "tests/x.rs",
        "tokio::time::sleep(wait).await;",
        "// no sleep( here",
    );
    finds(
        sleeps,
        "src/engine/confirm_tests.rs",
        "clock.sleep(wait).await;",
        "fn is_asleep() {}",
    );
}

#[test]
fn every_migration_has_its_twin() {
    let names = |kind: &str| {
        let folder = format!("migrations/{kind}");
        let found: Vec<String> = files(&folder, ".sql")
            .into_iter()
            .map(|file| file.path.replace(&folder, ""))
            .collect();
        assert!(!found.is_empty(), "{kind} has migrations");
        found
    };
    assert_eq!(
        twins(&names("postgres"), &names("sqlite")),
        Vec::<String>::new()
    );
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(twins(&list(&["a", "b"]), &list(&["a"])).len(), 1);
    assert_eq!(twins(&list(&["a"]), &list(&["a", "c"])).len(), 1);
}

#[test]
fn only_code_is_read() {
    let text = "a(); // b()\n/* c() */ d(\"e()\", 'f', '\\'', r#\"g()\"#, b'h'); x::<'static>();\n";
    let code = code_of(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for hidden in ["b()", "c()", "e()", "f", "g()"] {
        assert!(!code.contains(hidden), "{hidden} is no code: {code}");
    }
    for shown in ["a();", "d(", "x::<'static>();"] {
        assert!(code.contains(shown), "{shown} is code: {code}");
    }
    assert_eq!(next_words("{a::b, c::{d, e}, f}"), ["a", "c", "f"]);
    assert_eq!(next_words("a::b"), ["a"]);
}

#[test]
fn every_promise_of_security_names_a_test_that_is_there() {
    let page = std::fs::read_to_string(top().join("docs/SECURITY.md")).expect("the page");
    let is_there = |file: &str, test: &str| {
        let text = std::fs::read_to_string(top().join(file));
        text.is_ok_and(|text| has_test(&text, test))
    };
    let wrong = promises(&page, &is_there);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_promise_without_its_test_is_found() {
    let row = |number: usize, held_by: &str| format!("| S{number} | a | b | {held_by} |\n");
    let good: String = (1..=20).map(|number| row(number, "`a.rs::b`")).collect();
    let look = |page: &str| promises(page, &|file, test| (file, test) == ("a.rs", "b"));
    assert_eq!(look(&good), Vec::<String>::new());
    for (from, to) in [
        ("| S7 | a | b | `a.rs::b` |", "| S7 | a | b | `a.rs::c` |"),
        ("| S7 | a | b | `a.rs::b` |", "| S7 | a | b | later |"),
        ("| S7 | a | b | `a.rs::b` |\n", ""),
        ("| S7 |", "| S8 |"),
    ] {
        assert!(!look(&good.replace(from, to)).is_empty(), "{to}");
    }
    let text =
        "#[test]\nfn a() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn b() {}\nfn c() {}\n";
    assert!(has_test(text, "a") && has_test(text, "b"));
    assert!(!has_test(text, "c") && !has_test(text, "d"));
}
