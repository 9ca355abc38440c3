//! What can go wrong in storage, told apart by what the caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A storage failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More work is queued than the database takes; nothing was written.
    #[error("the write queue is full")]
    Busy,
    /// No connection in time, the connection broke, the disk is full: nothing is known to be
    /// written; the same change may be handed in again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database gave way to another transaction; the same change may be run again at once.
    #[error("the database gave way to another transaction: {0}")]
    GaveWay(String),
    /// A rule of the database refused the change; nothing was written.
    #[error("the database refused the change: {0}")]
    Refused(String),
    /// A stored row cannot be read as what it should be.
    #[error("{table} row {key}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The settings name a database that this program cannot use.
    #[error("{0}")]
    Settings(String),
    /// The program is stopping.
    #[error("storage is closed")]
    Closed,
}

impl StoreError {
    /// The same error once more, for the next caller that it concerns.
    pub(super) fn again(&self) -> StoreError {
        match self {
            StoreError::Busy => StoreError::Busy,
            StoreError::Closed => StoreError::Closed,
            StoreError::Unavailable(cause) => StoreError::Unavailable(cause.clone()),
            StoreError::GaveWay(cause) => StoreError::GaveWay(cause.clone()),
            StoreError::Refused(cause) => StoreError::Refused(cause.clone()),
            StoreError::Settings(cause) => StoreError::Settings(cause.clone()),
            StoreError::Corrupt { table, key, why } => StoreError::Corrupt {
                table,
                key: key.clone(),
                why: why.clone(),
            },
        }
    }

    /// Whether the database is not there at the moment, whatever was asked of it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable(_) | StoreError::Closed | StoreError::GaveWay(_)
        )
    }

    /// Whether the same change may be run again at once: the database gave way to another one.
    pub fn is_repeatable(error: &DieselError) -> bool {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
            DieselError::DatabaseError(_, info) => {
                let message = info.message();
                message.contains("deadlock detected") || message.contains("database is locked")
            }
            _ => false,
        }
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        if StoreError::is_repeatable(&error) {
            return StoreError::GaveWay(error.to_string());
        }
        match &error {
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation,
                info,
            ) => {
                let place = info.constraint_name().or(info.table_name()).unwrap_or("");
                StoreError::Refused(format!("{} {place}", info.message()))
            }
            other => StoreError::Unavailable(other.to_string()),
        }
    }
}
