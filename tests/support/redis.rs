//! A Redis server of the tests' own: started in a temporary folder, reached by a Unix socket (or
//! a port, for a cluster of one), killed when dropped. It speaks the protocol by itself, so that a
//! test can look at Redis past the code that it tests.
//!
//! Where no `redis-server` is installed, tests that need one say what they leave out and pass;
//! with `CI=true` they fail.

#![allow(dead_code, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// How long a server may take to come up or go down before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Text(String),
    Number(i64),
    Nothing,
    Error(String),
    List(Vec<Answer>),
}

/// How many ports are tried for a cluster.
const PORTS_TRIED: u32 = 10;

/// What became of a start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Up,
    /// It ended at once, as when its port is taken.
    Ended,
    NotInstalled,
}

/// That Redis is left out is said once.
static SAID: Once = Once::new();

/// A running server, or one that was stopped for a while.
pub struct PrivateRedis {
    folder: tempfile::TempDir,
    port: Option<u16>,
    child: Option<Child>,
}

impl PrivateRedis {
    /// Starts a server on a Unix socket; `None` if none is installed.
    pub fn start(what_is_left_out: &str) -> Option<Self> {
        Self::start_on(|| None, what_is_left_out)
    }

    /// Starts a cluster of one server, which listens on a port because clusters have to.
    pub fn start_cluster(what_is_left_out: &str) -> Option<Self> {
        let server = Self::start_on(|| Some(free_port()), what_is_left_out)?;
        let answer = server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        assert_eq!(answer, Answer::Text("OK".to_owned()));
        wait_until("the cluster is up", || {
            matches!(server.ask(&["CLUSTER", "INFO"]), Answer::Text(info)
                if info.contains("cluster_state:ok"))
        });
        Some(server)
    }

    fn start_on(port: fn() -> Option<u16>, what_is_left_out: &str) -> Option<Self> {
        for _ in 0..PORTS_TRIED {
            let mut server = Self {
                folder: tempfile::tempdir().unwrap(),
                port: port(),
                child: None,
            };
            match server.try_up() {
                Start::Up => return Some(server),
                Start::Ended => {}
                Start::NotInstalled => break,
            }
        }
        assert!(
            !is_ci(),
            "redis-server is not installed or does not start, and CI leaves nothing out"
        );
        SAID.call_once(|| {
            // Past the test runner, which keeps what passing tests print to itself.
            let _ = writeln!(
                std::io::stderr(),
                "left out: what needs a Redis, as {what_is_left_out} (redis-server is not installed)"
            );
        });
        None
    }

    /// Starts it again after `kill`, empty, at the same address.
    pub fn up(&mut self) {
        assert!(self.try_up() == Start::Up, "redis-server went away");
    }

    fn try_up(&mut self) -> Start {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new("redis-server");
        command
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(["--enable-debug-command", "yes"]);
        match self.port {
            None => command
                .args(["--port", "0", "--unixsocket"])
                .arg(self.socket()),
            Some(port) => command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--cluster-enabled", "yes"])
                .args(["--cluster-port", &free_port().to_string()]),
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = child else {
            return Start::NotInstalled;
        };
        // Somebody else may have taken its port by now, and answer there.
        let itself = format!("process_id:{}\r", child.id());
        let answers = || {
            let told = self.try_ask(&["INFO", "server"]);
            matches!(told, Ok(Answer::Text(info)) if info.contains(&itself))
        };
        let (mut is_up, mut has_ended) = (false, false);
        wait_until("the server answers", || {
            has_ended = child.try_wait().unwrap().is_some();
            is_up = !has_ended && answers();
            is_up || has_ended
        });
        self.child = Some(child).filter(|_| is_up);
        if is_up { Start::Up } else { Start::Ended }
    }

    /// Kills it as a machine dies: without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        match self.port {
            None => format!("redis+unix://{}", self.socket().display()),
            Some(port) => format!("redis-cluster://127.0.0.1:{port}"),
        }
    }

    /// Sends one command over a connection of its own and panics if there is no answer.
    pub fn ask(&self, words: &[&str]) -> Answer {
        self.try_ask(words).unwrap()
    }

    fn try_ask(&self, words: &[&str]) -> std::io::Result<Answer> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        match self.port {
            None => exchange(UnixStream::connect(self.socket())?, &request),
            Some(port) => exchange(TcpStream::connect(("127.0.0.1", port))?, &request),
        }
    }

    /// The file by which it is reached.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("r.sock")
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The URL of a server that the tests may share, if one was named.
pub fn shared_url() -> Option<String> {
    variable("PAYHALL_TEST_REDIS_URL")
}

/// A port that is free: below those that the system gives to connections, of which one might take it
/// before the server does.
fn free_port() -> u16 {
    loop {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value == "true")
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests are told about their surroundings by variables"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    answer(&mut BufReader::new(stream))
}

fn answer(from: &mut impl BufRead) -> std::io::Result<Answer> {
    let broken = || std::io::Error::other("the server broke off");
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(broken)?;
    let number = || rest.parse::<i64>().map_err(|_| broken());
    Ok(match kind {
        "+" => Answer::Text(rest.to_owned()),
        "-" => Answer::Error(rest.to_owned()),
        ":" => Answer::Number(number()?),
        "$" => match usize::try_from(number()?) {
            Err(_) => Answer::Nothing,
            Ok(length) => {
                let mut text = vec![0; length + 2];
                from.read_exact(&mut text)?;
                text.truncate(length);
                Answer::Text(String::from_utf8_lossy(&text).into_owned())
            }
        },
        "*" => {
            let count = number()?.max(0);
            Answer::List((0..count).map(|_| answer(from)).collect::<Result<_, _>>()?)
        }
        _ => return Err(broken()),
    })
}
