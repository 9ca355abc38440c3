//! Clients that nobody here wrote call a real center: their signatures are accepted, and they accept
//! ours. Each signs with every algorithm, in both ways to name a target, and then has its body
//! exchanged.

mod center;
mod programs;
#[path = "../support/mod.rs"]
mod support;

use center::Center;
use payhall::domain::key::Algorithm;
use payhall::trust::built;
use programs::{node, python, shell};
use serde_json::Value;
use std::fmt::Write;
use std::process::Command;
use support::packages::text;

/// What a client prints that got through everything.
fn all_went_well() -> String {
    let mut lines = String::new();
    // Libraries for RFC 9421 know what the registry has.
    let registered = Algorithm::ALL.iter().filter(|a| a.feature().is_none());
    for algorithm in registered {
        for number in 0..2 {
            for outcome in ["accepted", "refused"] {
                writeln!(lines, "{algorithm} {outcome} {number}").unwrap();
            }
        }
    }
    lines
}

/// Runs a client against a center of its own.
async fn run(client: Option<Command>) {
    let Some(mut client) = client else {
        return;
    };
    let center = Center::start().await;
    client.arg(center.url()).arg(center.folder());
    let output = tokio::task::spawn_blocking(move || client.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), all_went_well());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_python() {
    run(python("client.py")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_javascript() {
    run(node("client.cjs")).await;
}

/// What `payhall sign` prints is pasted into a shell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printed_command() {
    let center = Center::start().await;
    for algorithm in built() {
        let (file, key_id) = center.key(algorithm);
        let mut payhall = Command::new(env!("CARGO_BIN_EXE_payhall"));
        payhall.arg("sign").arg("--key").arg(&file);
        payhall.args(["--key-id", &key_id, "--url", &center.url()]);
        let query = "query($so: Boolean!) { serverInfo { caller } it: serverInfo @skip(if: $so) \
                     { caller } } # it's";
        payhall.args(["--query", query]);
        payhall.args(["--variables", r#"{"so": true, "whatever": "it's 张"}"#]);
        payhall.args(["--algorithm", algorithm.as_str()]);
        let printed = payhall.output().unwrap();
        assert!(printed.status.success(), "{}", text(&printed));
        let command = String::from_utf8(printed.stdout).unwrap();
        assert!(!command.contains("PRIVATE"), "{command}");
        let Some(mut shell) = shell() else {
            return;
        };
        shell.args(["-c", &command]);
        let pasted = tokio::task::spawn_blocking(move || shell.output());
        let answer = text(&pasted.await.unwrap().unwrap());
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        let caller = &answer["data"]["serverInfo"]["caller"];
        assert_eq!(caller, "merchant:portal", "{command}\n{answer}");
    }
}
