//! The embedded migrations, run under a guard: ten replicas may start at once, one migrates, the
//! others wait. The guard is a row with a lease, so that a replica that dies in the middle does not
//! lock the others out; diesel's own migrations take no lock at all.

use super::connection::{self, AnyConnection};
use super::error::StoreError;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::time::{Duration, Instant};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// How long a replica may hold the guard without a sign of life.
const LEASE_S: i64 = 60;
/// How long the others wait for it.
const WAIT: Duration = Duration::from_secs(120);

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = diesel::sql_types::Text)]
    owner: String,
}

/// Brings the schema up to date; returns the names of the migrations that were run.
pub fn migrate(c: &mut AnyConnection, owner: &str) -> Result<Vec<String>, StoreError> {
    create_guard(c)?;
    let begun = Instant::now();
    while !take_guard(c, owner)? {
        if begun.elapsed() > WAIT {
            return Err(StoreError::Unavailable(
                "another replica has been migrating for two minutes; if none is, wait a minute and \
                 start again"
                    .to_owned(),
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let run = run_pending(c);
    release_guard(c, owner)?;
    run
}

/// The migrations that are not run yet.
pub fn pending(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let names = match c {
        AnyConnection::Postgres(c) => names(c.pending_migrations(POSTGRES)),
        AnyConnection::Sqlite(c) => names(c.pending_migrations(SQLITE)),
    };
    names.map_err(failed)
}

#[derive(QueryableByName)]
struct Ran {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

/// The migrations that are not run yet, found without writing: [`pending`] makes diesel's own table
/// where there is none.
pub fn lacking(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let ran = diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load::<Ran>(c);
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) if is_no_table(&error) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let names = match c {
        AnyConnection::Postgres(_) => all_names::<Pg>(&POSTGRES),
        AnyConnection::Sqlite(_) => all_names::<Sqlite>(&SQLITE),
    };
    let mut names = names.map_err(failed)?;
    names.retain(|(version, _)| ran.iter().all(|one| one.version != *version));
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

fn is_no_table(error: &diesel::result::Error) -> bool {
    let message = error.to_string();
    message.contains("no such table") || message.contains("does not exist")
}

/// The version and the name of each migration.
fn all_names<DB: diesel::backend::Backend>(
    source: &impl MigrationSource<DB>,
) -> Result<Vec<(String, String)>, Boxed> {
    let names = source.migrations()?.into_iter().map(|migration| {
        let name = migration.name();
        (name.version().to_string(), name.to_string())
    });
    Ok(names.collect())
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn names<DB: diesel::backend::Backend>(
    migrations: Result<Vec<Box<dyn Migration<DB>>>, Boxed>,
) -> Result<Vec<String>, Boxed> {
    Ok(migrations?
        .iter()
        .map(|migration| migration.name().to_string())
        .collect())
}

fn run_pending(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    fn texts(versions: Vec<MigrationVersion<'_>>) -> Vec<String> {
        versions.iter().map(ToString::to_string).collect()
    }
    match c {
        AnyConnection::Postgres(c) => {
            let c: &mut PgConnection = c;
            c.run_pending_migrations(POSTGRES)
                .map(texts)
                .map_err(failed)
        }
        AnyConnection::Sqlite(c) => {
            let c: &mut SqliteConnection = c;
            c.run_pending_migrations(SQLITE).map(texts).map_err(failed)
        }
    }
}

fn failed(error: Boxed) -> StoreError {
    StoreError::Unavailable(format!("a migration failed: {error}"))
}

/// Makes the guard's table. Two replicas that make it at the same moment can collide inside
/// PostgreSQL although both say IF NOT EXISTS; the one that lost sees it a moment later.
fn create_guard(c: &mut AnyConnection) -> Result<(), StoreError> {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS migration_guard (id INTEGER PRIMARY KEY, \
                         owner TEXT NOT NULL, lease_until BIGINT NOT NULL)";
    let mut last = Ok(());
    for _ in 0..20 {
        last = c.batch_execute(TABLE);
        if last.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    last.map_err(StoreError::from)
}

/// Takes the guard if it is free or lapsed, by the database's own clock.
fn take_guard(c: &mut AnyConnection, owner: &str) -> Result<bool, StoreError> {
    let now = match c {
        AnyConnection::Postgres(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)",
        AnyConnection::Sqlite(_) => "CAST(strftime('%s', 'now') AS INTEGER)",
    };
    let take = format!(
        "INSERT INTO migration_guard (id, owner, lease_until) VALUES (1, '{owner}', {now} + {LEASE_S}) \
         ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until \
         WHERE migration_guard.lease_until <= {now}"
    );
    connection::begin(c)?;
    let taken = c
        .batch_execute(&take)
        .and_then(|()| diesel::sql_query("SELECT owner FROM migration_guard WHERE id = 1").load(c));
    let taken: Vec<Taken> = match taken {
        Ok(taken) => taken,
        Err(error) => {
            connection::rollback(c)?;
            return if StoreError::is_repeatable(&error) {
                Ok(false)
            } else {
                Err(error.into())
            };
        }
    };
    connection::commit(c)?;
    Ok(taken.iter().any(|row| row.owner == owner))
}

fn release_guard(c: &mut AnyConnection, owner: &str) -> Result<(), StoreError> {
    c.batch_execute(&format!(
        "UPDATE migration_guard SET lease_until = 0 WHERE id = 1 AND owner = '{owner}'"
    ))?;
    Ok(())
}
