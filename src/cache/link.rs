//! The connection to Redis, and the judgement when not to use it.
//!
//! Three rules make a dead or slow Redis cost next to nothing:
//! 1. every command has a deadline of its own;
//! 2. after a failure Redis rests: for a second nobody asks it, then one caller goes ahead as a
//!    probe while the others stay out, until a probe succeeds;
//! 3. after a few failures in a row the connection is built anew. The library reconnects by itself
//!    when a socket breaks, but not when the peer is gone without a word, when a fail-over left us
//!    with a read-only server, or when the first hand-shake was refused ("loading").
//!
//! How one could break this: by handing the library's own connection out, past the gate.

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long Redis rests after a failure.
pub(super) const REST: Duration = Duration::from_secs(1);
/// How many failures in a row make the connection suspect.
const FAILURES_MAX: u32 = 3;
/// Longer than a command may take, because nobody waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many commands may stand in line for the socket.
const LINE_LENGTH: usize = 1024;

/// Why a URL names no Redis. The URL may hold a password, so it is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("is not the URL of a Redis server or cluster: {0}")]
pub struct BadUrl(String);

/// Where Redis is.
#[derive(Clone)]
pub(super) enum Target {
    /// Nowhere: the memory of the process.
    Memory,
    /// One server.
    Server(redis::Client),
    /// A cluster.
    Cluster(Box<ClusterClient>),
}

impl Target {
    /// Reads a URL; see `CacheSettings::url` for the forms.
    pub(super) fn parse(url: &str) -> Result<Self, BadUrl> {
        let refused = |error: RedisError| BadUrl(error.category().to_owned());
        if url.is_empty() {
            return Ok(Target::Memory);
        }
        let nodes = match url.strip_prefix("redis-cluster://") {
            Some(rest) => {
                let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
                let at = if login.is_empty() { "" } else { "@" };
                hosts
                    .split(',')
                    .map(|host| format!("redis://{login}{at}{host}"))
                    .collect()
            }
            None if !url.contains(',') => {
                return redis::Client::open(url)
                    .map(Target::Server)
                    .map_err(refused);
            }
            None => url.split(',').map(str::to_owned).collect::<Vec<_>>(),
        };
        ClusterClient::builder(nodes)
            .connection_timeout(CONNECT_TIMEOUT)
            .retries(1)
            .build()
            .map(|client| Target::Cluster(Box::new(client)))
            .map_err(refused)
    }
}

/// A connection as the library has it; a clone is a handle to the same one.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server: many commands go out together as a pipeline.
    Server(ConnectionManager),
    /// To a cluster: keys live on different servers, so each command goes out by itself.
    Cluster(ClusterConnection),
}

/// Why Redis gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It failed a moment ago and is left alone.
    #[error("Redis failed a moment ago and is not asked for a second")]
    Resting,
    /// Nothing came within the deadline.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// It or the way to it refused.
    #[error("Redis failed")]
    Failed(#[from] RedisError),
    /// The answer is not of the form that the command promises.
    #[error("Redis gave an answer of another form")]
    Garbage,
}

/// The way to Redis.
pub(super) struct Link {
    target: Target,
    connection: RwLock<Connection>,
    gate: Gate,
    failures: AtomicU32,
    deadline: Duration,
}

impl Link {
    /// Prepares a connection; it is made in the background, so Redis need not be there yet. Has to
    /// be called inside the runtime. `None` where the target is the memory of the process.
    pub(super) fn open(target: Target, deadline: Duration) -> Result<Option<Self>, BadUrl> {
        let Some(connection) =
            connect(&target).map_err(|error| BadUrl(error.category().to_owned()))?
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            target,
            connection: RwLock::new(connection),
            gate: Gate::new(REST),
            failures: AtomicU32::new(0),
            deadline,
        }))
    }

    /// Sends one command, unless Redis rests.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        self.pass()?;
        self.send(command).await
    }

    /// Sends one command even while Redis rests: for health checks.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Trouble> {
        let exchange = async {
            match self.connection() {
                Connection::Server(mut server) => {
                    let answer = server.req_packed_command(command).await?;
                    Ok(vec![answer.extract_error()])
                }
                Connection::Cluster(mut cluster) => {
                    let answer = cluster.req_packed_command(command).await;
                    Ok(vec![answer.and_then(Value::extract_error)])
                }
            }
        };
        let mut answers = self.judged(exchange).await?;
        answers
            .pop()
            .ok_or(Trouble::Garbage)?
            .map_err(Trouble::Failed)
    }

    /// Sends many commands that do not depend on each other, in one round trip where Redis is one
    /// server. Each gets its own answer; the whole fails only where the way to Redis does.
    pub(super) async fn ask_all(
        &self,
        commands: Vec<Cmd>,
    ) -> Result<Vec<RedisResult<Value>>, Trouble> {
        self.pass()?;
        let exchange = async {
            match self.connection() {
                Connection::Server(mut server) => {
                    let count = commands.len();
                    let mut pipeline = Pipeline::with_capacity(count);
                    for command in commands {
                        pipeline.add_command(command);
                    }
                    let answers = server.req_packed_commands(&pipeline, 0, count).await?;
                    Ok(answers.into_iter().map(Value::extract_error).collect())
                }
                Connection::Cluster(cluster) => {
                    let each = commands.into_iter().map(|command| {
                        let mut cluster = cluster.clone();
                        async move {
                            let answer = cluster.req_packed_command(&command).await;
                            answer.and_then(Value::extract_error)
                        }
                    });
                    Ok(futures_util::future::join_all(each).await)
                }
            }
        };
        self.judged(exchange).await
    }

    fn pass(&self) -> Result<(), Trouble> {
        if self.gate.may_pass(Instant::now()) {
            Ok(())
        } else {
            Err(Trouble::Resting)
        }
    }

    /// Waits for the answers within the deadline and draws the conclusion for the gate.
    async fn judged(
        &self,
        exchange: impl Future<Output = RedisResult<Vec<RedisResult<Value>>>>,
    ) -> Result<Vec<RedisResult<Value>>, Trouble> {
        let answers = match tokio::time::timeout(self.deadline, exchange).await {
            Err(_) => {
                self.failed("no answer in time", Verdict::Down);
                return Err(Trouble::TimedOut);
            }
            Ok(Err(error)) => {
                self.failed(error.category(), Verdict::of(&error).max(Verdict::Down));
                return Err(Trouble::Failed(error));
            }
            Ok(Ok(answers)) => answers,
        };
        let worst = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .max_by_key(|error| Verdict::of(error));
        match worst {
            Some(error) if Verdict::of(error) > Verdict::Key => {
                self.failed(error.category(), Verdict::of(error));
                Err(Trouble::Failed(error.clone()))
            }
            _ => {
                self.failures.store(0, Ordering::Relaxed);
                if self.gate.open() {
                    tracing::info!("Redis answers again");
                }
                Ok(answers)
            }
        }
    }

    fn failed(&self, why: &str, verdict: Verdict) {
        if self.gate.close(Instant::now()) {
            tracing::warn!(why, "Redis does not serve; the database answers instead");
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if verdict == Verdict::Stale || failures >= FAILURES_MAX {
            self.failures.store(0, Ordering::Relaxed);
            self.renew();
        }
    }

    fn renew(&self) {
        if let Ok(Some(fresh)) = connect(&self.target) {
            *self
                .connection
                .write()
                .unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    fn connection(&self) -> Connection {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What an error says about Redis as a whole; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// One key or one command is refused; Redis serves.
    Key,
    /// Redis does not serve now.
    Down,
    /// This connection will never serve again: a fail-over made its server a follower.
    Stale,
}

impl Verdict {
    fn of(error: &RedisError) -> Self {
        use ServerErrorKind as Server;
        match error.kind() {
            ErrorKind::Server(Server::ReadOnly | Server::MasterDown) => Verdict::Stale,
            ErrorKind::Server(Server::BusyLoading | Server::ClusterDown)
            | ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::AuthenticationFailed
            | ErrorKind::ClusterConnectionNotFound => Verdict::Down,
            _ if error.code() == Some("NOAUTH") => Verdict::Stale,
            _ => Verdict::Key,
        }
    }
}

/// Prepares a connection and sets it going; nobody waits for it here.
fn connect(target: &Target) -> RedisResult<Option<Connection>> {
    match target {
        Target::Memory => Ok(None),
        Target::Server(client) => {
            let settings = ConnectionManagerConfig::new()
                .set_number_of_retries(0)
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(None)
                .set_pipeline_buffer_size(LINE_LENGTH);
            let server = ConnectionManager::new_lazy_with_config(client.clone(), settings)?;
            // The library connects only while somebody waits for an answer, and callers give up
            // after their deadline; this one does not.
            let mut first = server.clone();
            tokio::spawn(async move {
                let _ = first.send_packed_command(&redis::cmd("PING")).await;
            });
            Ok(Some(Connection::Server(server)))
        }
        Target::Cluster(client) => Ok(Some(Connection::Cluster(
            client.get_pending_async_connection_with_config(ClusterConfig::new()),
        ))),
    }
}

/// Keeps callers away from a Redis that failed a moment ago.
struct Gate {
    start: Instant,
    rest: Duration,
    /// Nanoseconds after `start` until which nobody passes; 0 while all do.
    shut_until: AtomicU64,
}

impl Gate {
    fn new(rest: Duration) -> Self {
        Self {
            start: Instant::now(),
            rest,
            shut_until: AtomicU64::new(0),
        }
    }

    /// Whether this caller may ask. When a rest is over, one caller passes and the rest begins
    /// again for all others.
    fn may_pass(&self, now: Instant) -> bool {
        let until = self.shut_until.load(Ordering::Acquire);
        if until == 0 {
            return true;
        }
        self.nanos(now) >= until
            && self
                .shut_until
                .compare_exchange(
                    until,
                    self.nanos(now + self.rest),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
    }

    /// Begins a rest; true if all could pass before.
    fn close(&self, now: Instant) -> bool {
        self.shut_until
            .swap(self.nanos(now + self.rest), Ordering::AcqRel)
            == 0
    }

    /// Ends the rest; true if there was one.
    fn open(&self) -> bool {
        self.shut_until.load(Ordering::Acquire) != 0
            && self.shut_until.swap(0, Ordering::AcqRel) != 0
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rest_one_caller_goes_ahead() {
        let (gate, now) = (Gate::new(REST), Instant::now());
        assert!(gate.may_pass(now) && gate.may_pass(now));
        assert!(gate.close(now), "all could pass before");
        assert!(!gate.close(now), "it rests already");
        assert!(!gate.may_pass(now + REST / 2));

        let over = now + REST;
        assert!(gate.may_pass(over), "the probe");
        assert!(!gate.may_pass(over), "the others stay out");
        assert!(gate.may_pass(over + REST), "the next probe");

        assert!(gate.open(), "the probe succeeded");
        assert!(!gate.open(), "it was open already");
        assert!(gate.may_pass(over) && gate.may_pass(over));
    }

    #[test]
    fn a_url_names_memory_a_server_or_a_cluster() {
        let kind = |url: &str| match Target::parse(url) {
            Ok(Target::Memory) => "memory",
            Ok(Target::Server(_)) => "server",
            Ok(Target::Cluster(_)) => "cluster",
            Err(_) => "refused",
        };
        let table = [
            ("", "memory"),
            ("redis://127.0.0.1:6379/0", "server"),
            ("redis+unix:///run/redis.sock", "server"),
            ("redis-cluster://a:6379", "cluster"),
            ("redis-cluster://u:p@a:6379,b:6379", "cluster"),
            ("redis://a:6379,redis://b:6379", "cluster"),
            ("postgres://a/b", "refused"),
            ("localhost:6379", "refused"),
            ("redis://a:6379,postgres://b:6379", "refused"),
        ];
        for (url, expected) in table {
            assert_eq!(kind(url), expected, "{url:?}");
        }
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        let error = Target::parse("http://user:canary-word@host").err().unwrap();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
