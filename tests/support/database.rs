//! Fresh databases for tests: SQLite always, PostgreSQL where `PAYHALL_TEST_DATABASE_URL` names a
//! server (`make test` starts a private one). With `CI=true` a missing server fails the test.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use payhall::storage::StorageOptions;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;
use tempfile::TempDir;

/// A database of its own for one test; it goes away with the value.
pub struct TestDatabase {
    /// `sqlite` or `postgres`, for messages.
    pub kind: &'static str,
    /// As `storage.url` takes it.
    pub url: String,
    server: Option<(String, String)>,
    _folder: Option<TempDir>,
}

/// Databases in production sort as a language does, not by bytes: so do these.
const COLLATION: &str = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'zh-CN'";

/// That PostgreSQL is left out is said once.
static SAID: Once = Once::new();

/// Says what is left out, past the test runner, which keeps what passing tests print to itself.
fn say(what_is_left_out: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what_is_left_out}");
}

impl TestDatabase {
    /// A fresh SQLite file, in memory where the machine has a folder for that: a test loses nothing
    /// when the machine stops, and need not wait for its disk.
    pub fn sqlite() -> Self {
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        let folder = folder.expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("payhall.db").display());
        Self {
            kind: "sqlite",
            url,
            server: None,
            _folder: Some(folder),
        }
    }

    /// A fresh database on the PostgreSQL server of the environment; none where there is none.
    #[expect(
        clippy::disallowed_methods,
        reason = "the servers are named by tests/servers.sh"
    )]
    pub fn postgres() -> Option<Self> {
        let server = match std::env::var("PAYHALL_TEST_DATABASE_URL") {
            Ok(server) => server,
            Err(_) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("CI=true, but PAYHALL_TEST_DATABASE_URL is not set: run `make test`")
            }
            Err(_) => {
                SAID.call_once(|| say("PostgreSQL (PAYHALL_TEST_DATABASE_URL is not set)"));
                return None;
            }
        };
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::establish(&server).expect("the test server answers");
        admin
            .batch_execute(&format!("CREATE DATABASE {name} {COLLATION}"))
            .expect("a fresh database");
        let (base, query) = match server.split_once('?') {
            Some((base, query)) => (base.to_owned(), format!("?{query}")),
            None => (server.clone(), String::new()),
        };
        let (host, _) = base.rsplit_once('/').expect("a URL with a database");
        let url = format!("{host}/{name}{query}");
        Some(Self {
            kind: "postgres",
            url,
            server: Some((server, name)),
            _folder: None,
        })
    }

    /// A copy of it as it stands; nobody may be connected.
    pub fn copy(&self) -> Self {
        let Some((server, name)) = &self.server else {
            let copy = Self::sqlite();
            let path = |url: &str| url.trim_start_matches("sqlite:").to_owned();
            let (from, to) = (path(&self.url), path(&copy.url));
            for part in ["", "-wal"] {
                let from = format!("{from}{part}");
                if std::path::Path::new(&from).exists() {
                    std::fs::copy(&from, format!("{to}{part}")).expect("a copy");
                }
            }
            return copy;
        };
        let copy = format!("t{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::establish(server).expect("the test server answers");
        admin
            .batch_execute(&format!("CREATE DATABASE {copy} TEMPLATE {name}"))
            .expect("nobody is connected");
        Self {
            kind: self.kind,
            url: self.url.replace(name.as_str(), &copy),
            server: Some((server.clone(), copy)),
            _folder: None,
        }
    }

    /// Every kind of database that is there.
    pub fn all() -> Vec<Self> {
        std::iter::once(Self::sqlite())
            .chain(Self::postgres())
            .collect()
    }

    /// Options that suit a test.
    pub fn options(&self, instance: &str) -> StorageOptions {
        StorageOptions {
            url: self.url.clone(),
            readers: 4,
            writers: 2,
            batch_max: 64,
            queue_max: 20_000,
            // Nothing waits so long that a machine with too much to do could not have done it.
            pool_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(20),
            instance: instance.to_owned(),
        }
    }

    /// Runs statements against the database as an administrator would.
    pub fn execute(&self, statements: &str) -> Result<(), String> {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => diesel::SqliteConnection::establish(path)
                .map_err(|error| error.to_string())?
                .batch_execute(&format!("PRAGMA busy_timeout = 5000; {statements}"))
                .map_err(|error| error.to_string()),
            None => PgConnection::establish(&self.url)
                .map_err(|error| error.to_string())?
                .batch_execute(statements)
                .map_err(|error| error.to_string()),
        }
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

impl TestDatabase {
    /// Everything that the database holds: of SQLite the bytes of its files, of PostgreSQL every row of
    /// every table as text, in which bytes are hexadecimal digits.
    pub fn dump(&self) -> Vec<u8> {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let log = std::fs::read(format!("{path}-wal")).unwrap_or_default();
            return [std::fs::read(path).expect("the file"), log].concat();
        }
        let mut connection = PgConnection::establish(&self.url).expect("the database answers");
        let mut ask = |question: &str| -> Vec<String> {
            let lines: Vec<Line> = diesel::sql_query(question)
                .load(&mut connection)
                .expect("rows");
            lines.into_iter().map(|line| line.line).collect()
        };
        let tables =
            ask("SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public'");
        let rows = tables
            .iter()
            .flat_map(|table| ask(&format!("SELECT t::text AS line FROM {table} t")));
        rows.collect::<Vec<_>>().join("\n").into_bytes()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server
            && let Ok(mut admin) = PgConnection::establish(server)
        {
            let _ = admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}
