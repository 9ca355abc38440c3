//! `payhall demo` as a newcomer meets it: it says where everything is, what it prints can be typed,
//! orders appear in all nine states, and Ctrl-C leaves nothing behind.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;
use support::client::{Client, http_client, nodes};
use support::process::{Process, command, free_address, run, wait_for};

const PATIENCE: Duration = Duration::from_secs(300);

const STATES: [&str; 9] = [
    "CLOSED",
    "CREATED",
    "FAILED",
    "MANUAL",
    "PAYING",
    "REVERSED",
    "REVERSING",
    "SUCCEEDED",
    "UNKNOWN",
];

/// A demo on ports of its own, whose temporary folders are made in `folder`.
struct Demo {
    process: Process,
    url: String,
}

impl Demo {
    async fn start(folder: &Path, flags: &[&str]) -> Self {
        let (listen, sim) = (free_address().to_string(), free_address().to_string());
        Self::start_on(folder, &listen, &sim, flags).await
    }

    async fn start_on(folder: &Path, listen: &str, sim: &str, flags: &[&str]) -> Self {
        let mut arguments: Vec<String> = ["demo", "--listen", listen, "--sim-listen", sim]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut command = command(&arguments);
        command.env("TMPDIR", folder);
        let mut process = Process::spawn("demo", folder, command);
        wait_for("the demo to say how it ends", PATIENCE, async || {
            assert!(process.has_ended().is_none(), "{}", process.log());
            process.log().contains("Ctrl-C").then_some(())
        })
        .await;
        let mut demo = Self {
            process,
            url: String::new(),
        };
        let graphql = demo.word_of("GraphQL");
        demo.url = graphql.trim_end_matches("/graphql").to_owned();
        demo
    }

    /// The last word of the line that begins so.
    fn word_of(&self, line: &str) -> String {
        let said = self.process.log();
        let found = said
            .lines()
            .map(str::trim)
            .find(|said| said.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("{line:?} is not in\n{said}"));
        found.split_whitespace().last().expect("a word").to_owned()
    }

    /// The commands that it prints.
    fn commands(&self) -> Vec<String> {
        let said = self.process.log();
        let mut commands: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in said.lines() {
            match commands.last_mut() {
                Some(last) if goes_on => last.push_str(&format!("\n{line}")),
                _ if line.trim_start().starts_with("curl ") => commands.push(line.to_owned()),
                _ => continue,
            }
            goes_on = line.ends_with('\\');
        }
        commands
    }

    async fn interrupt(mut self) -> String {
        self.process.signal("INT");
        let status = self.process.ended(PATIENCE).await;
        assert_eq!(status.code(), Some(0), "{}", self.process.log());
        self.process.log()
    }
}

/// That the printed commands are left out is said once.
static SAID: Once = Once::new();

/// Whether what is printed can be typed on this machine.
fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok();
    assert!(
        has || !is_ci(),
        "curl is not installed, and CI leaves nothing out"
    );
    if !has {
        SAID.call_once(|| {
            // Past the test runner, which keeps what passing tests print to itself.
            let _ = writeln!(
                std::io::stderr(),
                "left out: the commands that the demo prints (curl is not installed)"
            );
        });
    }
    has
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// The folders of demos that are in a folder.
fn demo_folders(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("a folder").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("payhall-demo"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_sees_everything_and_ctrl_c_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]).await;
    let own = demo_folders(folder.path());
    assert_eq!(own.len(), 1, "{own:?}");
    let playground = http_client().get(demo.word_of("Playground")).send().await;
    assert!(playground.expect("the playground").status().is_success());

    let commands = demo.commands();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let mut signed = 0;
    for command in commands.iter().filter(|_| has_curl()) {
        let output = Command::new("sh")
            .args(["-c", command])
            .output()
            .expect("sh");
        let said = String::from_utf8_lossy(&output.stdout);
        let answer: Value =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command}\n{said}{output:?}"));
        assert!(
            answer["data"].is_object() && answer["errors"].is_null(),
            "{command}\n{said}"
        );
        if command.contains("Signature-Input: ") {
            // The key alone proves who calls: there is no token in this one.
            let caller = &answer["data"]["serverInfo"]["caller"];
            assert_eq!(caller, "merchant:portal", "{command}\n{said}");
            assert!(!command.to_lowercase().contains("authorization"));
            signed += 1;
        }
    }
    assert_eq!(signed, usize::from(has_curl()), "one of them is signed");

    let ann = Client::new(http_client(), &demo.url, &demo.word_of("operator `ann`"));
    let mut seen = BTreeSet::new();
    wait_for("orders in all nine states", PATIENCE, async || {
        const ALL: &str = "{ orders(first: 100) { edges { node { state } } } }";
        let data = ann.ask(ALL, json!({})).await.expect("orders");
        let states = nodes(&data["orders"]).filter_map(|order| order["state"].as_str());
        seen.extend(states.map(str::to_owned));
        (seen.len() == STATES.len()).then_some(())
    })
    .await;
    assert!(seen.iter().map(String::as_str).eq(STATES), "{seen:?}");
    wait_for("the demo to say so", PATIENCE, async || {
        demo.process.log().contains("all nine states").then_some(())
    })
    .await;

    look_at_the_night(&ann, &demo).await;

    let url = demo.url.clone();
    demo.interrupt().await;
    assert_eq!(demo_folders(folder.path()), Vec::<String>::new());
    assert!(
        http_client().get(url).send().await.is_err(),
        "it still answers"
    );
}

/// Yesterday is closed, stated and reconciled: what was made wrong on purpose is found, what the bank's file
/// proves is settled, and the merchant can fetch its statement by the link that it is given.
async fn look_at_the_night(ann: &Client, demo: &Demo) {
    const FOUND: &str = "{ discrepancies(first: 100) { edges { node { class rule } } } }";
    let found = wait_for("the night to be made up for", PATIENCE, async || {
        let data = ann.ask(FOUND, json!({})).await.expect("discrepancies");
        let words = |one: &Value| format!("{} {}", one["class"], one["rule"]).replace('"', "");
        let mut found: Vec<String> = nodes(&data["discrepancies"]).map(words).collect();
        found.sort_unstable();
        (!found.is_empty()).then_some(found)
    })
    .await;
    let wanted = [
        "AMOUNT AMOUNT_DIFFERS",
        "SHORT BANK_MISSING",
        "STATUS BANK_SAYS_YES",
    ];
    assert_eq!(found, wanted);
    const LINK: &str = "{ statements(first: 1) { edges { node { file { link } } } } }";
    let portal = Client::new(http_client(), &demo.url, &demo.word_of("merchant `portal`"));
    let link = wait_for("a statement of the merchant's", PATIENCE, async || {
        let data = portal.ask(LINK, json!({})).await.expect("statements");
        let first = nodes(&data["statements"]).next()?;
        first["file"]["link"].as_str().map(str::to_owned)
    })
    .await;
    let url = format!("{}{link}", demo.url);
    let file = http_client().get(url).send().await.expect("an answer");
    assert!(file.status().is_success(), "{}", file.status());
    let text = file.text().await.expect("a text");
    assert!(text.lines().count() > 10, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_folder_stays_and_holds_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let demo = Demo::start(folder.path(), &["--dir", &kept.display().to_string()]).await;
    let said = demo.interrupt().await;
    assert!(said.contains(&kept.display().to_string()), "{said}");
    for name in ["payhall.toml", "payhall.db"] {
        assert!(kept.join(name).exists(), "{name}");
    }
    let settings = kept.join("payhall.toml").display().to_string();
    let checked = run(&["--config".into(), settings, "config".into(), "check".into()]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_that_helps() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()))
        .expect("an address");
    let (_listener, address) = taken;
    let free = free_address().to_string();
    for (flag, other) in [("--listen", "--sim-listen"), ("--sim-listen", "--listen")] {
        let arguments = ["demo", flag, &address, other, &free].map(str::to_owned);
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(flag) && said.contains(&address), "{said}");
    }
}

/// Runs a demo that cannot start; what it says.
fn refused(temporary: &Path, flags: &[&str]) -> String {
    let mut arguments = vec!["demo".to_owned()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let output = command(&arguments).env("TMPDIR", temporary).output();
    let output = output.expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_free_port_is_told_and_the_folder_of_a_running_demo_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept").display().to_string();
    let free = "127.0.0.1:0";
    let demo = Demo::start_on(folder.path(), free, free, &["--dir", &kept]).await;
    assert!(!demo.url.ends_with(":0"), "{}", demo.url);
    let file = Path::new(&kept).join("payhall.toml");
    let settings = std::fs::read_to_string(&file).expect("settings");
    assert!(settings.contains(&format!("listen = \"{}\"", &demo.url[7..])));
    let mode = std::fs::metadata(&file).expect("settings").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    let any = ["--listen", free, "--sim-listen", free, "--dir", &kept];
    let said = refused(folder.path(), &any);
    assert!(said.contains("--dir") && said.contains(&kept), "{said}");
    let now = std::fs::read_to_string(&file).expect("settings");
    assert_eq!(now, settings);
    demo.interrupt().await;

    // Somebody changes the settings: no demo writes over them.
    let theirs = format!("{settings}# mine\n");
    std::fs::write(&file, &theirs).expect("settings");
    let said = refused(folder.path(), &any);
    assert!(said.contains("payhall.toml was changed"), "{said}");
    let now = std::fs::read_to_string(&file).expect("settings");
    assert_eq!(now, theirs);
}

#[test]
fn a_demo_that_cannot_start_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = free_address().to_string();
    let said = refused(folder.path(), &["--listen", &one, "--sim-listen", &one]);
    assert!(said.contains("the same address"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = refused(folder.path(), &["--listen", &one, "--sim-listen", &address]);
    assert!(said.contains("--sim-listen"), "{said}");
    assert_eq!(demo_folders(folder.path()), Vec::<String>::new());
}
