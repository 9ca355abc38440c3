//! The program as somebody types it: what it says, what it leaves alone, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Runs the program in a folder, freed of the settings that the surroundings may hold.
fn payhall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_payhall"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PAYHALL_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    payhall(folder, arguments).output().unwrap()
}

/// Runs the program, which has to refuse; what it says.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn commands_that_look_make_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = format!("{FOLDER}/deploy/demo.toml");
    let items = format!("{FOLDER}/deploy/catalogue/items.csv");
    let import = ["--config", &demo, "catalog", "import", "--dry-run", &items];
    for look in [&["jobs", "history"][..], &import, &["operator", "list"]] {
        let said = refused(folder, look);
        assert!(said.contains("there is no file \"payhall.db\""), "{said}");
        assert!(said.contains("payhall migrate"), "{said}");
        assert!(!folder.join("payhall.db").exists(), "{look:?}");
    }
    std::fs::write(folder.join("payhall.db"), "").unwrap();
    let said = refused(folder, &["jobs", "history"]);
    assert!(said.contains("is empty"), "{said}");
    assert_eq!(std::fs::read(folder.join("payhall.db")).unwrap(), b"");
    let migrated = run(folder, &["migrate"]);
    assert!(migrated.status.success(), "{migrated:?}");
    let history = run(folder, &["jobs", "history"]);
    assert!(history.status.success(), "{history:?}");
    let said = refused(folder, &["jobs", "history", "expire_order"]);
    assert!(said.contains("expire_keys, expire_orders"), "{said}");
}

#[test]
fn what_is_no_database_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("notes.txt"), "not a database\n".repeat(100)).unwrap();
    let said = refused(folder, &["--database-url", "sqlite:notes.txt", "migrate"]);
    assert!(said.contains("\"notes.txt\""), "{said}");
    let missing = ["--database-url", "sqlite:data/payhall.db"];
    let said = refused(folder, &[missing[0], missing[1], "migrate"]);
    assert!(said.contains("there is no folder data"), "{said}");
    let said = refused(folder, &[missing[0], missing[1], "config", "check"]);
    assert!(said.contains("storage.url: there is no folder"), "{said}");
    assert!(run(folder, &["migrate"]).status.success());
    let said = refused(folder, &["check", "--ledger", "notes.txt"]);
    assert!(said.contains("notes.txt is not a ledger"), "{said}");
}

#[test]
fn the_check_of_settings_looks_at_what_serve_reads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = std::fs::read_to_string(format!("{FOLDER}/deploy/demo.toml")).unwrap();
    let check = ["--config", "payhall.toml", "config", "check"];
    let write = |text: &str| std::fs::write(folder.join("payhall.toml"), text).unwrap();
    write(&demo);
    assert!(run(folder, &check).status.success());
    for (master, told) in [
        ("canary", "32 random bytes"),
        ("file:nowhere.key", "nowhere.key"),
    ] {
        write(&format!("{demo}\n[keys]\nmaster = \"{master}\"\n"));
        let said = refused(folder, &check);
        assert!(
            said.contains("keys: keys.master") && said.contains(told),
            "{said}"
        );
        assert!(!said.contains("canary"), "{said}");
    }
    let secured = demo.replacen(
        "url = \"http:",
        "ca_pem_file = \"ca.pem\"\nurl = \"https:",
        1,
    );
    write(&format!("{secured}\n[jobs]\ndir = \"jobs\"\n"));
    let said = refused(folder, &check);
    for place in [
        "adapters.bank: ca.pem cannot be read",
        "jobs.dir: jobs cannot be read",
    ] {
        assert!(said.contains(place), "{said}");
    }
    std::fs::write(folder.join("ca.pem"), "rubbish").unwrap();
    std::fs::create_dir(folder.join("jobs")).unwrap();
    std::fs::write(folder.join("jobs/expire_orders.toml"), "\nschedule = 1\n").unwrap();
    let said = refused(folder, &check);
    assert!(
        said.contains("ca.pem does not hold a certificate"),
        "{said}"
    );
    assert!(said.contains("jobs/expire_orders.toml:2"), "{said}");
}

#[test]
fn a_flag_that_would_mean_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (command, flag) in [
        ("demo", "--database-url"),
        ("sim", "--redis-url"),
        ("schema", "--config"),
        ("sign --key a.pem --key-id a --query {a}", "--config"),
    ] {
        let words: Vec<_> = [flag, "x"].into_iter().chain(command.split(' ')).collect();
        let told = refused(folder.path(), &words);
        let name = format!("`payhall {}`", words[2]);
        assert!(told.contains(flag) && told.contains(&name), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_that_hangs_up_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["schema"][..],
        &["config", "template"],
        &["jobs", "next", "poll_exceptions", "--count", "1000"],
    ] {
        let mut command = payhall(folder.path(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, b"");
    }
    let many = ["jobs", "next", "poll_exceptions", "--count", "1001"];
    let refused = run(folder.path(), &many);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

/// Runs the program with something on its standard input.
fn run_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = payhall(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The first administrator comes from the command line; the password is never an argument.
#[test]
fn operators_are_looked_after_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let add = ["operator", "add", "ann", "--role", "admin"];
    let weak = run_with_input(folder, &add, "password1234\n");
    assert_eq!(weak.status.code(), Some(1), "{weak:?}");
    let words = String::from_utf8(weak.stderr).unwrap();
    assert!(words.contains("tried first"), "{words}");
    assert!(!words.contains("password1234"), "{words}");

    let added = run_with_input(folder, &add, "correct horse battery\n");
    assert_eq!(said(added), "added ann as ADMIN\n");
    let twice = run_with_input(folder, &add, "correct horse battery\n");
    let words = String::from_utf8(twice.stderr).unwrap();
    assert!(
        words.contains("there is an operator ann already"),
        "{words}"
    );
    let list = || said(run(folder, &["operator", "list"]));
    assert_eq!(list(), "ann ADMIN ACTIVE, no codes\n");

    std::fs::write(folder.join("secret"), "another long phrase\nsecond line\n").unwrap();
    let file = ["--password-file", "secret"];
    let reset = [&["operator", "reset", "ann"][..], &file].concat();
    assert!(said(run(folder, &reset)).contains("has a new password"));
    let missing = refused(
        folder,
        &["operator", "reset", "ann", "--password-file", "gone"],
    );
    assert!(missing.contains("cannot read gone"), "{missing}");
    let last = refused(folder, &["operator", "disable", "ann"]);
    assert!(last.contains("the last administrator"), "{last}");
    let reset = [&["operator", "reset", "nobody"][..], &file].concat();
    assert!(refused(folder, &reset).contains("no operator nobody"));

    let bob = [
        "operator",
        "add",
        "bob",
        "--role",
        "viewer",
        "--display-name",
        "Bob Li",
    ];
    said(run(folder, &[&bob[..], &file].concat()));
    said(run(folder, &["operator", "disable", "bob"]));
    assert!(list().contains("bob VIEWER DISABLED"), "{}", list());
    said(run(folder, &["operator", "enable", "bob"]));
    assert!(list().contains("bob VIEWER ACTIVE"), "{}", list());
    for wrong in [
        &["operator", "add", "Ann", "--role", "viewer"][..],
        &["operator", "add", "eve", "--role", "VIEWER"],
        &["operator", "add", "eve"],
        &[
            "operator",
            "add",
            "eve",
            "--role",
            "viewer",
            "--password",
            "x",
        ],
    ] {
        let output = run(folder, wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

#[test]
fn the_table_of_rights_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["rights"]);
    let page = std::fs::read_to_string(format!("{FOLDER}/docs/RIGHTS.md")).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), page);
    assert!(refused(folder.path(), &["--config", "x", "rights"]).contains("--config"));
}
