//! A read-only view of the whole database as it stood at one instant, for those who look at
//! everything and change nothing. The center may go on meanwhile: nothing of that is seen here.

use super::connection::{AnyConnection, Limits, Purpose, Target};
use super::error::StoreError;
use super::migrate;
use diesel::connection::SimpleConnection;
use std::path::Path;
use std::time::Duration;

/// A look at a million orders takes its time, and the view is idle while other sources are read.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1_800);
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The view. It ends when it is dropped.
pub struct View(AnyConnection);

impl View {
    /// Opens a view of the database that a `storage.url` names.
    ///
    /// # Errors
    /// There is no such database, it is not one of ours, or its schema is not up to date.
    pub fn open(url: &str) -> Result<View, StoreError> {
        let target = Target::parse(url)?;
        if let Target::Sqlite(path) = &target {
            // SQLite would make the file, and an empty database has no faults.
            let is_uri = path.starts_with("file:");
            let has_content = || std::fs::metadata(path).is_ok_and(|data| data.len() > 0);
            if !is_uri && !has_content() {
                let what = if Path::new(path).exists() {
                    format!("the file {path:?} is empty")
                } else {
                    format!("there is no file {path:?}")
                };
                let what = format!(
                    "{what}; run `payhall migrate` to make a database, or name another \
                     (storage.url)"
                );
                return Err(StoreError::Settings(what));
            }
        }
        let limits = Limits {
            statement_timeout: STATEMENT_TIMEOUT,
            lock_timeout: LOCK_TIMEOUT,
        };
        let mut connection = target.connect(limits, Purpose::Queries)?;
        let begin = match connection {
            AnyConnection::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            AnyConnection::Sqlite(_) => "PRAGMA query_only = ON; BEGIN",
        };
        // The first read, not BEGIN, fixes what the transaction sees.
        connection.batch_execute(begin)?;
        let lacking = migrate::lacking(&mut connection)?;
        if let Some(first) = lacking.first() {
            return Err(StoreError::Settings(format!(
                "the database lacks {} of its migrations, the first is {first}; run `payhall \
                 migrate`, or name another database (storage.url)",
                lacking.len()
            )));
        }
        connection.batch_execute("SELECT order_no FROM orders LIMIT 1")?;
        Ok(View(connection))
    }

    /// The connection, for reads.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}
