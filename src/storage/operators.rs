//! Operators and their sessions as rows.
//!
//! Whoever changes an account reads it inside the transaction with [`Tx::operator`], which on
//! PostgreSQL locks its row: of many tries at once, each is judged after the one before it was counted.

use super::Tx;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros, readable};
use super::schema::{operators, sessions};
use crate::domain::ids::OperatorName;
use crate::domain::operator::{Operator, PasswordHash, Role, SESSION_LASTS, Sealed, Session};
use crate::domain::time::Instant;
use diesel::prelude::*;

/// A row of `operators`.
#[derive(Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = operators, treat_none_as_null = true)]
struct OperatorRow {
    name: String,
    display_name: String,
    role: String,
    disabled_at: Option<i64>,
    password_hash: String,
    password_is_temporary: bool,
    totp: Option<Vec<u8>>,
    totp_pending: Option<Vec<u8>>,
    totp_step: Option<i64>,
    failures: i32,
    locked_until: Option<i64>,
    created_at: i64,
    last_login_at: Option<i64>,
    version: i32,
}

impl From<&Operator> for OperatorRow {
    fn from(operator: &Operator) -> Self {
        let bytes = |sealed: &Option<Sealed>| sealed.as_ref().map(|sealed| sealed.0.clone());
        Self {
            name: operator.name.to_string(),
            display_name: operator.display_name.clone(),
            role: operator.role.as_str().to_owned(),
            disabled_at: operator.disabled_at.map(micros),
            password_hash: operator.password_hash.0.clone(),
            password_is_temporary: operator.password_is_temporary,
            totp: bytes(&operator.totp),
            totp_pending: bytes(&operator.totp_pending),
            totp_step: operator.totp_step,
            failures: i32::try_from(operator.failures).unwrap_or(i32::MAX),
            locked_until: operator.locked_until.map(micros),
            created_at: micros(operator.created_at),
            last_login_at: operator.last_login_at.map(micros),
            version: operator.version,
        }
    }
}

impl TryFrom<OperatorRow> for Operator {
    type Error = StoreError;

    fn try_from(row: OperatorRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "operators",
            key: &row.name,
        };
        Ok(Operator {
            name: of.word(&row.name)?,
            role: of.word(&row.role)?,
            disabled_at: of.instant_opt(row.disabled_at)?,
            failures: u32::try_from(row.failures).map_err(|error| of.corrupt(error))?,
            locked_until: of.instant_opt(row.locked_until)?,
            created_at: of.instant(row.created_at)?,
            last_login_at: of.instant_opt(row.last_login_at)?,
            display_name: row.display_name,
            password_hash: PasswordHash(row.password_hash),
            password_is_temporary: row.password_is_temporary,
            totp: row.totp.map(Sealed),
            totp_pending: row.totp_pending.map(Sealed),
            totp_step: row.totp_step,
            version: row.version,
        })
    }
}

/// A row of `sessions`.
#[derive(Clone, Queryable, Insertable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    secret_hash: String,
    operator: String,
    created_at: i64,
    seen_at: i64,
    fresh_until: i64,
    ended_at: Option<i64>,
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> Self {
        Self {
            secret_hash: session.secret_hash.clone(),
            operator: session.operator.to_string(),
            created_at: micros(session.created_at),
            seen_at: micros(session.seen_at),
            fresh_until: micros(session.fresh_until),
            ended_at: session.ended_at.map(micros),
        }
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "sessions",
            key: &row.operator,
        };
        Ok(Session {
            operator: of.word(&row.operator)?,
            created_at: of.instant(row.created_at)?,
            seen_at: of.instant(row.seen_at)?,
            fresh_until: of.instant(row.fresh_until)?,
            ended_at: of.instant_opt(row.ended_at)?,
            secret_hash: row.secret_hash,
        })
    }
}

/// One operator.
pub fn find(c: &mut AnyConnection, name: &OperatorName) -> Result<Option<Operator>, StoreError> {
    let row: Option<OperatorRow> = operators::table
        .find(name.as_str())
        .first::<OperatorRow>(c)
        .optional()?;
    row.map(Operator::try_from).transpose()
}

/// Every operator, by name. They are people of one center: there is no page of them.
pub fn list(c: &mut AnyConnection) -> Result<Vec<Operator>, StoreError> {
    let rows: Vec<OperatorRow> = operators::table
        .order(operators::name)
        .load::<OperatorRow>(c)?;
    Ok(readable(rows))
}

/// A session with its operator, whether it still holds or not.
pub fn session(
    c: &mut AnyConnection,
    secret_hash: &str,
) -> Result<Option<(Session, Operator)>, StoreError> {
    let found: Option<SessionRow> = sessions::table
        .find(secret_hash)
        .first::<SessionRow>(c)
        .optional()?;
    let Some(session) = found.map(Session::try_from).transpose()? else {
        return Ok(None);
    };
    let operator = find(c, &session.operator)?;
    Ok(operator.map(|operator| (session, operator)))
}

impl Tx<'_> {
    /// An operator who is about to be changed; nobody else changes the account until this transaction
    /// has ended.
    pub fn operator(&mut self, name: &OperatorName) -> Result<Option<Operator>, StoreError> {
        let query = operators::table.find(name.as_str());
        let row: Option<OperatorRow> = match self.c {
            AnyConnection::Postgres(c) => query.for_update().first::<OperatorRow>(c),
            AnyConnection::Sqlite(c) => query.first::<OperatorRow>(c),
        }
        .optional()?;
        row.map(Operator::try_from).transpose()
    }

    /// The administrators who are not switched off; none of them becomes anything else until this
    /// transaction has ended.
    pub fn administrators(&mut self) -> Result<Vec<OperatorName>, StoreError> {
        let query = operators::table
            .filter(operators::role.eq(Role::Admin.as_str()))
            .filter(operators::disabled_at.is_null())
            .order(operators::name)
            .select(operators::name);
        let names: Vec<String> = match self.c {
            AnyConnection::Postgres(c) => query.for_update().load(c),
            AnyConnection::Sqlite(c) => query.load(c),
        }?;
        let name = |name: &String| {
            let of = RowOf {
                table: "operators",
                key: name,
            };
            of.word(name)
        };
        names.iter().map(name).collect()
    }

    /// Adds an operator; false where somebody has the name already.
    pub fn add_operator(&mut self, operator: &Operator) -> Result<bool, StoreError> {
        let row = OperatorRow::from(operator);
        let added = super::either!(self.c, |c| {
            diesel::insert_into(operators::table)
                .values(&row)
                .on_conflict(operators::name)
                .do_nothing()
                .execute(c)
        })?;
        Ok(added == 1)
    }

    /// Writes an operator's new values, who was read by [`Tx::operator`] in this transaction.
    pub fn replace_operator(&mut self, operator: &Operator) -> Result<(), StoreError> {
        let row = OperatorRow::from(operator);
        let before = row.version - 1;
        let written = diesel::update(
            operators::table
                .filter(operators::name.eq(row.name.clone()))
                .filter(operators::version.eq(before)),
        )
        .set(row)
        .execute(self.c)?;
        if written == 1 {
            return Ok(());
        }
        let words = format!("operator {} is not at version {before}", operator.name);
        Err(StoreError::GaveWay(words))
    }

    /// Begins a session. Those of the same operator that nobody can use any more go: what happened in
    /// them is in the audit rows.
    pub fn begin_session(&mut self, session: &Session) -> Result<(), StoreError> {
        diesel::delete(
            sessions::table
                .filter(sessions::operator.eq(session.operator.as_str()))
                .filter(sessions::created_at.le(micros(session.created_at - SESSION_LASTS))),
        )
        .execute(self.c)?;
        diesel::insert_into(sessions::table)
            .values(SessionRow::from(session))
            .execute(self.c)?;
        Ok(())
    }

    /// Ends a session; false where it had ended already.
    pub fn end_session(&mut self, secret_hash: &str, at: Instant) -> Result<bool, StoreError> {
        let ended = diesel::update(
            sessions::table
                .filter(sessions::secret_hash.eq(secret_hash))
                .filter(sessions::ended_at.is_null()),
        )
        .set(sessions::ended_at.eq(micros(at)))
        .execute(self.c)?;
        Ok(ended == 1)
    }

    /// Ends every session of an operator.
    pub fn end_sessions(&mut self, name: &OperatorName, at: Instant) -> Result<(), StoreError> {
        diesel::update(
            sessions::table
                .filter(sessions::operator.eq(name.as_str()))
                .filter(sessions::ended_at.is_null()),
        )
        .set(sessions::ended_at.eq(micros(at)))
        .execute(self.c)?;
        Ok(())
    }

    /// Writes down that a session was used; never backwards, and not once it has ended.
    pub fn see_session(&mut self, secret_hash: &str, at: Instant) -> Result<(), StoreError> {
        diesel::update(
            sessions::table
                .filter(sessions::secret_hash.eq(secret_hash))
                .filter(sessions::ended_at.is_null())
                .filter(sessions::seen_at.lt(micros(at))),
        )
        .set(sessions::seen_at.eq(micros(at)))
        .execute(self.c)?;
        Ok(())
    }
}
