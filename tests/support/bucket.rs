//! A bucket, in a server that speaks S3 and that nobody here wrote (moto, from PyPI).
//!
//! The program finds a bucket by the variables of AWS in its surroundings, and so do the tests: each runs
//! once more as a process of its own, which has them. The server listens on the loopback and ends with the
//! test binary, however that ends, because it reads what the binary would write to it.

use super::packages;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bucket");
/// Tells a test that it is the process that has a bucket, and which.
const BUCKET: &str = "PAYHALL_TEST_BUCKET";

struct Server {
    /// Holds the server's standard input, which ends it.
    _process: Child,
    port: u16,
}

/// One for all tests of a binary.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| {
    let folder = Path::new(HERE);
    let mut command = packages::python("files in a bucket", folder)?;
    command.arg(folder.join("server.py"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // It logs every request.
    command.stderr(Stdio::null());
    let mut process = command.spawn().expect("python starts");
    let said = process.stdout.take().expect("its standard output");
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).expect("its port");
    let port = line.trim().parse().expect("the server says its port");
    Some(Server {
        _process: process,
        port,
    })
});

/// Runs a test, which has this name, with a part of a bucket for itself. `more` are variables that say what
/// the bucket cannot do.
#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
pub fn in_a_bucket(test: &str, more: &[(&str, &str)], body: impl FnOnce(&str)) {
    if let Ok(url) = std::env::var(BUCKET) {
        return body(&url);
    }
    let Some(server) = SERVER.as_ref() else {
        return;
    };
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let part = test.replace("::", "-");
    command
        .env(BUCKET, format!("s3://payhall/{part}"))
        .env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", server.port))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "payhall")
        .env("AWS_SECRET_ACCESS_KEY", "payhall")
        .env("NO_PROXY", "127.0.0.1")
        .envs(more.iter().copied());
    let output = command.output().expect("this program starts");
    let text = packages::text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "there is no test {test}: {text}");
}
