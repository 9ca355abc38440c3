//! Clients that nobody here wrote: their signatures are accepted, and they accept ours. Each is made
//! to sign with every algorithm, in both ways to name a target, and then has its body exchanged.

mod programs;
mod server;

use payhall::domain::key::Algorithm;
use payhall::trust::PrivateKey;
use programs::{node, python, shell};
use server::Server;
use std::fmt::Write;
use std::process::{Command, Output};

/// What a client prints that got through everything.
fn all_went_well() -> String {
    let mut lines = String::new();
    for algorithm in Algorithm::ALL {
        for number in 0..2 {
            for outcome in ["accepted", "refused"] {
                writeln!(lines, "{algorithm} {outcome} {number}").unwrap();
            }
        }
    }
    lines
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Runs a client against a center of its own.
async fn run(client: Option<Command>) {
    let Some(mut client) = client else {
        return;
    };
    let server = Server::start().await;
    client.arg(server.url()).arg(server.folder());
    let output = tokio::task::spawn_blocking(move || client.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), all_went_well());
    assert_eq!(server.accepted(), 2 * Algorithm::ALL.len());
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
    let server = Server::start().await;
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(*algorithm).unwrap();
        let key_id = format!("typed-{algorithm}");
        let file = server.folder().join(format!("{key_id}.private"));
        std::fs::write(&file, key.to_pem().unwrap()).unwrap();
        server.register(&key_id, &key.public_key().to_pem());
        let mut payhall = Command::new(env!("CARGO_BIN_EXE_payhall"));
        payhall.arg("sign").arg("--key").arg(&file);
        payhall.args(["--key-id", &key_id, "--url", &server.url()]);
        payhall.args(["--query", "{ order(orderNo: \"it's\") { state } }"]);
        payhall.args(["--variables", r#"{"name": "张"}"#]);
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
        assert_eq!(
            answer,
            format!("{{\"accepted\":\"{key_id}\"}}"),
            "{command}"
        );
    }
    assert_eq!(server.accepted(), Algorithm::ALL.len());
}
