//! The program as somebody types it: what it says, what it leaves alone, and how it ends.

use chrono::Datelike;
use payhall::engine::{Clock, SystemClock};
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
fn the_check_of_settings_looks_at_the_calendar() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = "[center]\ncalendar = \"days.csv\"\n";
    std::fs::write(folder.join("payhall.toml"), settings).unwrap();
    let check = ["--config", "payhall.toml", "config", "check"];
    let said = refused(folder, &check);
    assert!(said.contains("center.calendar: days.csv"), "{said}");
    let days = |text: &str| {
        let text = format!("date,kind,name\n{text}");
        std::fs::write(folder.join("days.csv"), text).unwrap();
    };
    days("2026-13-01,HOLIDAY,x\n");
    let said = refused(folder, &check);
    assert!(said.contains("center.calendar: days.csv: line 2"), "{said}");
    let warned = || {
        let checked = run(folder, &check);
        assert!(checked.status.success(), "{checked:?}");
        let said = String::from_utf8(checked.stdout).unwrap();
        let line = said.lines().find(|line| line.contains("holiday calendar"));
        line.map(str::to_owned)
    };
    let year = SystemClock.now().year();
    days("1999-01-01,HOLIDAY,x\n");
    let line = warned().unwrap();
    // Where it is another year in Shanghai by now, that one.
    let named = |year: i32| line.contains(&format!("has no day of {year}: "));
    assert!(named(year) || named(year + 1), "{line}");
    assert!(line.contains("as center.calendar"), "{line}");
    let known = (year..year + 3).map(|year| format!("{year}-01-01,HOLIDAY,x\n"));
    days(&known.collect::<String>());
    assert_eq!(warned(), None);
}

#[test]
fn the_check_of_settings_looks_at_the_profiles_of_files_and_at_who_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let check = ["--config", "payhall.toml", "config", "check"];
    let bank = "[partners.first-bank]\nside = \"BANK\"\nadapter = \"bank\"\nfolder = \"in\"\n\
        file_name = \"{date}.csv\"\nprofile = \"rural\"\n";
    let demo = std::fs::read_to_string(format!("{FOLDER}/deploy/demo.toml")).unwrap();
    let write = |more: &str| {
        let text = format!("{demo}\n[files]\nprofiles_dir = \"profiles\"\n{more}");
        std::fs::write(folder.join("payhall.toml"), text).unwrap();
    };
    write("");
    let said = refused(folder, &check);
    assert!(said.contains("files.profiles_dir: profiles"), "{said}");
    std::fs::create_dir(folder.join("profiles")).unwrap();
    for (more, place) in [
        (
            "[statements]\nprofile = \"rural\"\n",
            "statements.profile: ",
        ),
        (
            "[statements.profiles]\n\"merchant:portal\" = \"rural\"\n",
            "statements.profiles.\"merchant:portal\": ",
        ),
        (bank, "partners.first-bank.profile: "),
    ] {
        write(more);
        let said = refused(folder, &check);
        let told = format!("{place}there is no profile \"rural\"; there are alipay");
        assert!(said.contains(&told), "{said}");
    }
    let own = folder.join("profiles/rural.toml");
    std::fs::write(&own, "encoding = \"EBCDIC\"\n").unwrap();
    let said = refused(folder, &check);
    assert!(said.contains("rural.toml:1"), "{said}");
    let text = std::fs::read_to_string(format!("{FOLDER}/deploy/profiles/pipe.toml")).unwrap();
    std::fs::write(&own, &text).unwrap();
    assert!(run(folder, &check).status.success());
    // What cannot say FAILED is read, and no statement is written by it.
    std::fs::write(&own, text.replace("FAILED = [\"0\"]\n", "")).unwrap();
    write(bank);
    assert!(run(folder, &check).status.success());
    for key in ["profile", "profiles.\"merchant:portal\""] {
        write(&format!("[statements]\n{key} = \"rural\"\n"));
        let said = refused(folder, &check);
        let told = format!("statements.{key}: the profile \"rural\" does not do for statements");
        assert!(said.contains(&told) && said.contains("word for FAILED"));
    }
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
fn the_check_of_settings_looks_at_the_place_for_files_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let check = ["--config", "payhall.toml", "config", "check"];
    let write = |url: &str| {
        let settings = format!("[files]\nurl = \"{url}\"\n");
        std::fs::write(folder.join("payhall.toml"), settings).unwrap();
    };
    for (url, told) in [
        ("ftp://host/files", "is no place for files"),
        (
            "file:payhall.toml",
            "the folder payhall.toml of files cannot be used",
        ),
    ] {
        write(url);
        let said = refused(folder, &check);
        assert!(
            said.contains("files.url: ") && said.contains(told),
            "{said}"
        );
    }
    write("s3://bucket/files");
    match cfg!(feature = "s3") {
        true => assert!(run(folder, &check).status.success()),
        false => assert!(refused(folder, &check).contains("without the feature s3")),
    }
    for url in ["", "file:files"] {
        write(url);
        assert!(run(folder, &check).status.success());
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "{url}");
    }
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

const OURS: &str = "flow_no,upstream_ref,order_no,amount_minor,status,finished_at\n";
const THEIRS: &str = "upstream_ref,flow_no,amount_minor,status,finished_at\n";

/// Two files: the first three flows agree; then one of each kind of difference.
fn two_files(folder: &Path) {
    let (mut ours, mut theirs) = (OURS.to_owned(), THEIRS.to_owned());
    let at = "2026-11-22T10:00:00+08:00";
    let number = |n: u32| format!("20261122{n:016}");
    for (n, our, their) in [
        (1, "100,SUCCEEDED", "100,1"),
        (2, "200,SUCCEEDED", "200,SUCCEEDED"),
        (3, "300,FAILED", ""),
        (4, "400,SUCCEEDED", ""),
        (5, "", "500,1"),
        (6, "600,SUCCEEDED", "601,1"),
        (7, "700,SUCCEEDED", "700,FAILED"),
        (8, "800,SUCCEEDED", "800,1 800,1"),
        (9, "900,PENDING", ""),
    ] {
        for row in our.split(' ').filter(|row| !row.is_empty()) {
            ours += &format!("{},U{n},{},{row},{at}\n", number(n), number(n));
        }
        for row in their.split(' ').filter(|row| !row.is_empty()) {
            theirs += &format!("U{n},{},{row},{at}\n", number(n));
        }
    }
    std::fs::write(folder.join("ours.csv"), ours).unwrap();
    std::fs::write(folder.join("theirs.csv"), theirs).unwrap();
}

const FILES: [&str; 6] = [
    "reconcile",
    "files",
    "--ours",
    "ours.csv",
    "--theirs",
    "theirs.csv",
];

#[test]
fn two_flow_files_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_files(folder);
    let output = run(folder, &FILES);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(output.stderr, b"", "nothing is shown to nobody");
    let said = String::from_utf8(output.stdout).unwrap();
    let flat: Vec<String> = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "ours ours.csv (8 rows)",
        "theirs theirs.csv (7 rows)",
        "MATCHED 3 3 6.00 2 3.00 0.00",
        "LONG 1 0 0.00 1 5.00 5.00",
        "SHORT 1 1 4.00 0 0.00 4.00",
        "AMOUNT 1 1 6.00 1 6.01 0.01",
        "STATUS 1 1 7.00 1 7.00 7.00",
        "DUPLICATE 1 1 8.00 2 16.00 8.00",
        "EXPECTED 1 1 9.00 0 0.00 9.00",
        "all 9 8 40.00 7 37.01 33.01",
        "202611220000000000000006 AMOUNT (AMOUNT_DIFFERS): ours SUCCEEDED 6.00 in line 6, theirs \
         SUCCEEDED 6.01 in line 5",
        "not every flow matches",
    ] {
        assert!(flat.iter().any(|said| said == line), "{line:?}: {said}");
    }
    let json = [&FILES[..], &["--json", "--tolerance-minor", "1"]].concat();
    let output = run(folder, &json);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["all_matched"], false);
    assert_eq!(told["classes"][0]["flows"], 4);
    assert_eq!(told["classes"][0]["theirs"]["minor"], "901");
    assert_eq!(told["classes"][3]["flows"], 0);
    let same = [
        "reconcile",
        "files",
        "--ours",
        "ours.csv",
        "--theirs",
        "ours.csv",
        "--json",
    ];
    let output = run(folder, &same);
    assert_eq!(
        output.status.code(),
        Some(3),
        "who is undecided on both sides waits"
    );
}

#[test]
fn the_result_of_a_comparison_has_a_line_for_every_flow() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_files(folder);
    let out = [&FILES[..], &["--out", "result.csv"]].concat();
    let first = run(folder, &out);
    assert_eq!(first.status.code(), Some(3), "{first:?}");
    let result = std::fs::read_to_string(folder.join("result.csv")).unwrap();
    let numbers: Vec<&str> = result.lines().skip(1).map(|line| &line[..24]).collect();
    assert!(numbers.len() == 9 && numbers.is_sorted(), "{result}");
    assert!(
        result.contains("0008,DUPLICATE,LISTED_TWICE,800,CNY,"),
        "{result}"
    );
    // The same rows in another sequence are the same result, to the last byte.
    let theirs = std::fs::read_to_string(folder.join("theirs.csv")).unwrap();
    let mut lines: Vec<&str> = theirs.lines().skip(1).collect();
    lines.reverse();
    let turned = format!("{THEIRS}{}\n", lines.join("\n"));
    std::fs::write(folder.join("theirs.csv"), turned).unwrap();
    let second = run(folder, &out);
    let digest = |output: &Output| {
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        said.split("SHA-256 ").nth(1).unwrap()[..64].to_owned()
    };
    assert_eq!(digest(&first), digest(&second));
    assert_eq!(
        std::fs::read_to_string(folder.join("result.csv")).unwrap(),
        result
    );
    let same = [
        "reconcile",
        "files",
        "--ours",
        "theirs.csv",
        "--theirs",
        "theirs.csv",
    ];
    let output = run(folder, &same);
    assert_eq!(
        output.status.code(),
        Some(3),
        "a number that is listed twice is one on both sides"
    );
    std::fs::write(folder.join("theirs.csv"), format!("{THEIRS}U1,x,1,1,\n")).unwrap();
    let output = run(folder, &same);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_wrong_file_is_refused_as_a_whole_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_files(folder);
    let right = std::fs::read_to_string(folder.join("theirs.csv")).unwrap();
    let out = [&FILES[..], &["--out", "result.csv"]].concat();
    for (from, to, told) in [
        (
            ",601,",
            ",6.01,",
            "theirs.csv is refused as a whole: line 5: amount_minor: \"6.01\"",
        ),
        (",601,1,", ",601,9,", "line 5: status: \"9\""),
        (
            "upstream_ref,flow_no",
            "flow_no,flow_no",
            "two columns are called",
        ),
        (
            "upstream_ref,flow_no",
            "upstream_ref,flow",
            "no column holds FLOW_NO",
        ),
        (
            "U5,",
            "U5,5,",
            "line 4: the line has 6 cells; the profile has 5 columns",
        ),
    ] {
        assert!(right.contains(from), "{from}");
        std::fs::write(folder.join("theirs.csv"), right.replacen(from, to, 1)).unwrap();
        let said = refused(folder, &out);
        assert!(
            said.contains("theirs.csv") && said.contains(told),
            "{told}: {said}"
        );
        assert!(!folder.join("result.csv").exists(), "nothing of it counts");
    }
    std::fs::write(folder.join("theirs.csv"), &right[..right.len() - 1]).unwrap();
    assert!(refused(folder, &out).contains("line 8: the last line has no line end"));
    let profile = [&FILES[..], &["--theirs-profile", "pipes"]].concat();
    assert!(refused(folder, &profile).contains("there is no profile \"pipes\""));
    let gone = [
        "reconcile",
        "files",
        "--ours",
        "gone.csv",
        "--theirs",
        "theirs.csv",
    ];
    assert!(refused(folder, &gone).contains("cannot read gone.csv"));
    let settings = [&["--config", "x"][..], &FILES].concat();
    assert!(refused(folder, &settings).contains("`payhall reconcile files`"));
}

/// What a profile says is read by it: here the center's own files, with their trailer.
#[test]
fn files_of_a_profile_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_files(folder);
    let profile = "encoding = \"GBK\"\nline_end = \"CRLF\"\nlayout = \"DELIMITED\"\ndelimiter = \"|\"\n\
        names = \"NONE\"\nunit = \"MAJOR\"\nreversals = \"NEGATIVE\"\ntimes = \"LOCAL\"\n\
        trailer = [\"END|{rows}|{date}\"]\nfile_name = \"a_{date}.txt\"\n[states]\nSUCCEEDED = [\"OK\"]\n\
        [[columns]]\nname = \"n\"\nfield = \"FLOW_NO\"\n[[columns]]\nname = \"a\"\nfield = \"AMOUNT\"\n\
        [[columns]]\nname = \"s\"\nfield = \"STATUS\"\n";
    std::fs::write(folder.join("bank.toml"), profile).unwrap();
    let line = |n: u32, amount: &str| format!("20261122{n:016}|{amount}|OK\r\n");
    let theirs = line(2, "2.00") + &line(1, "1.00") + "END|2|20261122\r\n";
    std::fs::write(folder.join("theirs.csv"), theirs).unwrap();
    let by_profile = [&FILES[..], &["--theirs-profile", "bank.toml"]].concat();
    assert!(refused(folder, &by_profile).contains("add --date"));
    let dated = [&by_profile[..], &["--date", "2026-11-22", "--json"]].concat();
    let output = run(folder, &dated);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["theirs"]["rows"], 2, "{output:?}");
    // 1, 2 and 3, of which nobody says that it was paid.
    assert_eq!(told["classes"][0]["flows"], 3);
    let other = [&by_profile[..], &["--date", "2026-11-23"]].concat();
    assert!(refused(folder, &other).contains("line 3"));
}
