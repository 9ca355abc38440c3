//! One connection type over SQLite and PostgreSQL, and how each is opened.
//!
//! The backend is chosen by the URL alone. (diesel's own `establish` for such an enum tries every
//! backend in turn, so that an unreachable PostgreSQL would silently become a SQLite file.)

use super::error::StoreError;
use super::redact::redacted;
use backon::{BlockingRetryable, ConstantBuilder};
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ManageConnection, R2D2Connection};
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// Which database the settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A PostgreSQL URL, as libpq takes it.
    Postgres(String),
    /// A SQLite file.
    Sqlite(String),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Statements that find each of their rows by key, again and again: group commit, group read.
    /// What they commit is on disk before it is told (law 6), whatever the server does by default.
    /// PostgreSQL plans them once. A plan that was made while a table was small must not scan it
    /// when it has grown, so scans and joins by hash or merge are ruled out.
    Keys,
    /// Any other question; PostgreSQL plans as it thinks best.
    Queries,
}

/// What every connection is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one statement may run on PostgreSQL.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock (on SQLite: for the write lock).
    pub lock_timeout: Duration,
}

/// The oldest SQLite that is free of the WAL-reset corruption.
const SQLITE_OLDEST: i32 = 3_051_003;

impl Target {
    /// Reads `postgres://…`, `postgresql://…` or `sqlite:PATH`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Target::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Target::Sqlite(path.to_owned())),
            _ => Err(StoreError::Settings(
                "storage.url has to begin with postgres:// or be sqlite:PATH".to_owned(),
            )),
        }
    }

    /// Whether it is SQLite, which has exactly one writer.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Target::Sqlite(_))
    }

    /// Opens a connection and sets it up.
    pub fn connect(&self, limits: Limits, purpose: Purpose) -> Result<AnyConnection, StoreError> {
        match self {
            Target::Postgres(url) => connect_postgres(url, limits, purpose),
            Target::Sqlite(path) => connect_sqlite(path, limits),
        }
    }
}

fn connect_postgres(
    url: &str,
    limits: Limits,
    purpose: Purpose,
) -> Result<AnyConnection, StoreError> {
    let planner = match purpose {
        Purpose::Keys => {
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
             SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        }
        Purpose::Queries => "SET plan_cache_mode = auto",
    };
    let url = with_deadlines(url);
    let mut connection = PgConnection::establish(&url).map_err(|error| {
        let told = redacted(&error.to_string(), &url);
        StoreError::Unavailable(format!("no connection to PostgreSQL (storage.url): {told}"))
    })?;
    connection.batch_execute(&format!(
        "SET TIME ZONE 'UTC'; SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET client_min_messages = warning; \
         {planner}",
        limits.statement_timeout.as_millis(),
        limits.lock_timeout.as_millis(),
        limits.statement_timeout.as_millis().saturating_mul(2),
    ))?;
    Ok(AnyConnection::Postgres(connection))
}

/// The URL with deadlines for what the network may do, where it names none: a server that falls silent
/// is noticed within half a minute and not when TCP gives up.
fn with_deadlines(url: &str) -> String {
    const DEADLINES: [(&str, &str); 5] = [
        ("connect_timeout", "5"),
        ("keepalives_idle", "15"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "30000"),
    ];
    let mut full = url.to_owned();
    for (name, value) in DEADLINES {
        let given = full.split_once('?').map_or("", |(_, given)| given);
        let is_given = given
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name));
        if !is_given {
            let joint = if full.contains('?') { '&' } else { '?' };
            full = format!("{full}{joint}{name}={value}");
        }
    }
    full
}

/// Between two tries to set a connection to SQLite up.
const SETUP_PAUSE: Duration = Duration::from_millis(10);

fn connect_sqlite(path: &str, limits: Limits) -> Result<AnyConnection, StoreError> {
    let mut connection =
        SqliteConnection::establish(path).map_err(|error| not_opened(path, &error.to_string()))?;
    // The switch to the write-ahead log does not wait for others that are at the same: SQLite refuses
    // it at once, whatever the busy time-out says.
    let times = limits.lock_timeout.as_millis() / SETUP_PAUSE.as_millis();
    let pauses = ConstantBuilder::default()
        .with_delay(SETUP_PAUSE)
        .with_max_times(usize::try_from(times).unwrap_or(usize::MAX));
    let set_up = || set_up_sqlite(&mut connection, limits);
    let gave_way = |error: &StoreError| matches!(error, StoreError::GaveWay(_));
    match set_up.retry(pauses).when(gave_way).call() {
        Ok(()) => Ok(AnyConnection::Sqlite(connection)),
        Err(StoreError::Unavailable(why)) => Err(not_opened(path, &why)),
        Err(error) => Err(error),
    }
}

fn set_up_sqlite(connection: &mut SqliteConnection, limits: Limits) -> Result<(), StoreError> {
    // Before anything else: even asking for the version can meet another connection that is just
    // opening the write-ahead log, and has to wait for it.
    let timeout_ms = limits.lock_timeout.as_millis();
    connection.batch_execute(&format!("PRAGMA busy_timeout = {timeout_ms}"))?;
    check_sqlite_version(connection)?;
    connection.batch_execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000",
    )?;
    Ok(())
}

/// SQLite's own reason, with the file and what can be done about it.
fn not_opened(path: &str, why: &str) -> StoreError {
    let folder = Path::new(path)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !path.starts_with("file:"));
    let hint = match folder {
        _ if Path::new(path).is_dir() => "it is a folder; name a file in it".to_owned(),
        Some(folder) if !folder.exists() => {
            format!("there is no folder {}; make it", folder.display())
        }
        _ if why.contains("not a database") => {
            "name a file that payhall made, or one that is not there yet".to_owned()
        }
        _ => "may this user write the file and its folder?".to_owned(),
    };
    StoreError::Unavailable(format!(
        "SQLite cannot use {path:?} (storage.url): {why}; {hint}"
    ))
}

#[derive(diesel::QueryableByName)]
struct Version {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

fn check_sqlite_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: Version =
        diesel::sql_query("SELECT sqlite_version() AS version").get_result(connection)?;
    let number = found.version.split('.').try_fold(0_i32, |sum, part| {
        part.parse::<i32>()
            .ok()
            .and_then(|part| sum.checked_mul(1000)?.checked_add(part))
    });
    match number {
        Some(number) if number >= SQLITE_OLDEST => Ok(()),
        _ => Err(StoreError::Settings(format!(
            "SQLite {} can corrupt its write-ahead log; 3.51.3 or newer is needed",
            found.version
        ))),
    }
}

/// Begins a transaction that writes: on SQLite it takes the write lock at once, so that it cannot
/// fail half-way for having read too early.
pub fn begin(connection: &mut AnyConnection) -> diesel::QueryResult<()> {
    match connection {
        AnyConnection::Postgres(pg) => pg.batch_execute("BEGIN"),
        AnyConnection::Sqlite(sqlite) => sqlite.batch_execute("BEGIN IMMEDIATE"),
    }
}

/// Ends a transaction well.
pub fn commit(connection: &mut AnyConnection) -> diesel::QueryResult<()> {
    connection.batch_execute("COMMIT")
}

/// Ends a transaction without a trace.
pub fn rollback(connection: &mut AnyConnection) -> diesel::QueryResult<()> {
    connection.batch_execute("ROLLBACK")
}

/// Opens connections.
#[derive(Clone, Debug)]
pub struct Opener {
    /// Where to.
    pub target: Target,
    /// With which limits.
    pub limits: Limits,
    /// For what.
    pub purpose: Purpose,
}

impl ManageConnection for Opener {
    type Connection = AnyConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        self.target.connect(self.limits, self.purpose)
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        connection
            .batch_execute("SELECT 1")
            .map_err(StoreError::from)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        connection.is_broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_added_where_none_are_given() {
        let bare = with_deadlines("postgres://h/db");
        assert!(
            bare.starts_with("postgres://h/db?connect_timeout=5&keepalives_idle=15&"),
            "{bare}"
        );
        let own = with_deadlines("postgres://h/db?sslmode=require&connect_timeout=60");
        assert!(
            own.contains("&connect_timeout=60&keepalives_idle=15"),
            "{own}"
        );
        assert_eq!(own.matches("connect_timeout").count(), 1, "{own}");
        assert_eq!(with_deadlines(&own), own);
    }
}
