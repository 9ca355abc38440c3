//! Python's own libraries read what is written here, and what they write is read here. Where Python is
//! not installed, the test says so and passes; with `CI=true` it fails.

use super::sample::{as_in, changed, each_line, profile, rows, write};
use super::workbook;
use payhall::files::Row;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Runs the script on a folder; none where there is no Python.
fn python(verb: &str, folder: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/client.py");
    match Command::new("python3")
        .arg(script)
        .arg(verb)
        .arg(folder)
        .output()
    {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            Some(serde_json::from_slice(&output.stdout).unwrap())
        }
        Err(error) => leave_out(&error.to_string()),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
fn leave_out<T>(why: &str) -> Option<T> {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "python3: {why}; CI leaves nothing out");
    // Past the test runner, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stderr(), "left out: files read by Python ({why})");
    None
}

#[test]
fn python_reads_what_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    for name in ["payhall-csv", "pipe", "wechat-like", "alipay-like"] {
        save(name, &write(&profile(name), &rows()).0);
    }
    let to = "\"GB18030\"\npacking = \"GZIP\"";
    let gzip = changed("payhall-csv", "\"UTF-8\"", to);
    save("gzip", &write(&gzip, &rows()).0);
    save("xlsx", &workbook::write(&rows()).1);
    let Some(found) = python("read", folder.path()) else {
        return;
    };
    let all = rows();
    let flows: Vec<&str> = all.iter().map(|row| row.flow_no).collect();
    let minor = json!([["12345", "1", "-12345"], flows]);
    let major = json!([["123.45", "0.01", "-123.45"], flows]);
    let unsigned = json!([["123.45", "0.01", "123.45"], flows]);
    assert_eq!(found["payhall-csv"], minor);
    assert_eq!(found["gzip"], minor);
    assert_eq!(found["pipe"], minor);
    assert_eq!(found["wechat-like"], unsigned);
    assert_eq!(found["alipay-like"], major);
    assert_eq!(
        found["notes"],
        json!(["東區水費|飢", "燃气", "東區水費|飢"])
    );
    assert_eq!(found["xlsx"][0], json!(["123.45", "0.01", "123.45"]));
    assert_eq!(found["xlsx"][1], json!(flows));
    // A text stays a text; there is no formula anywhere.
    assert_eq!(found["xlsx"][2], json!(["=S12345678", "S9", "=S12345678"]));
    assert_eq!(found["formulas"], 0);
    assert_eq!(found["entry_time"], json!([1980, 1, 1, 0, 0, 0]));
}

#[test]
fn what_python_writes_is_read_here() {
    let folder = tempfile::tempdir().unwrap();
    if python("write", folder.path()).is_none() {
        return;
    }
    for name in ["payhall-csv", "wechat", "alipay", "unionpay-zm"] {
        let profile = profile(name);
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        let mut found = Vec::new();
        each_line(&profile, &bytes, |_, row| {
            let undoes = row.payment_flow_no.to_owned();
            found.push((row.flow_no.to_owned(), row.amount_minor, row.kind, undoes));
        });
        let expected: Vec<_> = rows()
            .iter()
            .map(|row: &Row<'_>| {
                let row = as_in(&profile, row);
                let undoes = row.payment_flow_no.to_owned();
                (row.flow_no.to_owned(), row.amount_minor, row.kind, undoes)
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
