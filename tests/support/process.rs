//! The program under test as processes: started with a log file of its own, signalled by id, ended
//! with the value; and ended by the system should the test runner itself be killed.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_payhall");

/// How much of a log is shown when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// Where `setpriv` is installed, the system kills a process together with the thread that started
/// it. So processes are to be started by the test's own thread, which `#[tokio::test]` is.
static HAS_SETPRIV: LazyLock<bool> = LazyLock::new(|| {
    let asked = Command::new("setpriv").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
});

/// The program with these arguments, freed of the settings that the surroundings may hold.
pub fn command(arguments: &[String]) -> Command {
    let mut command = if *HAS_SETPRIV {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", PROGRAM]);
        command
    } else {
        Command::new(PROGRAM)
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PAYHALL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[String]) -> Output {
    command(arguments).output().expect("the program starts")
}

/// A running process.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts the program; what it says is added to `NAME.log` in the folder.
    pub fn start(name: &str, folder: &Path, arguments: &[String]) -> Self {
        Self::spawn(name, folder, command(arguments))
    }

    /// Starts a command in the same way.
    pub fn spawn(name: &str, folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        command
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file);
        let child = command.spawn().expect("the program starts");
        Self {
            child,
            name: name.to_owned(),
            log,
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it and its forerunners of the same name have said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "{signal} to {}",
            self.name
        );
    }

    /// Kills it as the system does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("the end of {name}"), patience, async || {
            self.has_ended()
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!(
                "--- the end of {}:\n{}",
                self.log.display(),
                lines[shown..].join("\n")
            );
        }
    }
}

/// Looks again and again until there is something to see; fails the test when that takes too long.
pub async fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            since.elapsed() < patience,
            "waited {patience:?} in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// An address that is free and stays so: below the ports that the system gives to connections, so
/// that a killed daemon finds its own again, and never the same one twice in this run.
pub fn free_address() -> SocketAddr {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().expect("no test panics here");
    loop {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() && given.insert(port) {
            return address;
        }
    }
}
