//! Keys as rows, and their sealed private parts.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::{key_secrets, keys};
use crate::domain::ids::{KeyId, MerchantCode};
use crate::domain::key::{Key, KeyOwner, KeyState};
use crate::domain::time::Instant;
use diesel::prelude::*;
use std::time::Duration;

/// A row of `keys`.
#[derive(Clone, Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = keys, treat_none_as_null = true)]
struct KeyRow {
    key_id: String,
    merchant: Option<String>,
    algorithm: String,
    public_key: Vec<u8>,
    thumbprint: String,
    origin: String,
    state: String,
    replaces: Option<String>,
    overlap_s: i64,
    maker: String,
    checker: Option<String>,
    created_at: i64,
    active_at: Option<i64>,
    retires_at: Option<i64>,
    expires_at: i64,
    ended_at: Option<i64>,
    handed_out_at: Option<i64>,
    reason: Option<String>,
    noticed_days: Option<i32>,
    version: i32,
}

impl From<&Key> for KeyRow {
    fn from(key: &Key) -> Self {
        Self {
            key_id: key.key_id.to_string(),
            merchant: key.owner.merchant().map(ToString::to_string),
            algorithm: key.algorithm.as_str().to_owned(),
            public_key: key.public_key.clone(),
            thumbprint: key.thumbprint.clone(),
            origin: key.origin.as_str().to_owned(),
            state: key.state.as_str().to_owned(),
            replaces: key.replaces.as_ref().map(ToString::to_string),
            overlap_s: i64::try_from(key.overlap.as_secs()).unwrap_or(i64::MAX),
            maker: key.maker.clone(),
            checker: key.checker.clone(),
            created_at: micros(key.created_at),
            active_at: key.active_at.map(micros),
            retires_at: key.retires_at.map(micros),
            expires_at: micros(key.expires_at),
            ended_at: key.ended_at.map(micros),
            handed_out_at: key.handed_out_at.map(micros),
            reason: key.reason.clone(),
            noticed_days: key.noticed_days,
            version: key.version,
        }
    }
}

impl TryFrom<KeyRow> for Key {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "keys",
            key: &row.key_id,
        };
        let owner = match row.merchant {
            Some(code) => KeyOwner::Merchant(of.word(&code)?),
            None => KeyOwner::Center,
        };
        let overlap_s = u64::try_from(row.overlap_s);
        Ok(Key {
            key_id: of.word(&row.key_id)?,
            owner,
            algorithm: of.word(&row.algorithm)?,
            origin: of.word(&row.origin)?,
            state: of.word(&row.state)?,
            replaces: of.word_opt(row.replaces.as_deref())?,
            overlap: Duration::from_secs(overlap_s.map_err(|error| of.corrupt(error))?),
            created_at: of.instant(row.created_at)?,
            active_at: of.instant_opt(row.active_at)?,
            retires_at: of.instant_opt(row.retires_at)?,
            expires_at: of.instant(row.expires_at)?,
            ended_at: of.instant_opt(row.ended_at)?,
            handed_out_at: of.instant_opt(row.handed_out_at)?,
            public_key: row.public_key,
            thumbprint: row.thumbprint,
            maker: row.maker,
            checker: row.checker,
            reason: row.reason,
            noticed_days: row.noticed_days,
            version: row.version,
        })
    }
}

/// The private part of a key as it is kept: which master key wraps the data key, the wrapped data
/// key, and the private part under it.
#[derive(Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = key_secrets)]
pub struct KeySecret {
    /// The key.
    pub key_id: String,
    /// The name of the master key.
    pub master: String,
    /// The data key, wrapped by it.
    pub wrapped_key: Vec<u8>,
    /// The private part under the data key.
    pub secret: Vec<u8>,
    /// SHA-256 of the ticket that it is handed out for; none where nobody gets it.
    pub ticket_hash: Option<Vec<u8>>,
}

impl std::fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySecret")
            .field("key_id", &self.key_id)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// What a listing of keys is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only keys of this merchant.
    pub merchant: Option<MerchantCode>,
    /// Only the center's own.
    pub center_only: bool,
    /// These states only; any where there is none.
    pub states: Vec<KeyState>,
}

/// One key.
pub fn find(c: &mut AnyConnection, key_id: &KeyId) -> Result<Option<Key>, StoreError> {
    let row: Option<KeyRow> = keys::table
        .find(key_id.as_str())
        .first::<KeyRow>(c)
        .optional()?;
    row.map(Key::try_from).transpose()
}

/// The key with a thumbprint, whoever it belongs to.
pub fn find_thumbprint(c: &mut AnyConnection, thumbprint: &str) -> Result<Option<Key>, StoreError> {
    let row: Option<KeyRow> = keys::table
        .filter(keys::thumbprint.eq(thumbprint))
        .first::<KeyRow>(c)
        .optional()?;
    row.map(Key::try_from).transpose()
}

/// A page of keys, newest first.
pub fn list(
    c: &mut AnyConnection,
    filter: &Filter,
    after: Option<&KeyId>,
    limit: i64,
) -> Result<Vec<Key>, StoreError> {
    let mut query = keys::table.into_boxed();
    if let Some(merchant) = &filter.merchant {
        query = query.filter(keys::merchant.eq(merchant.to_string()));
    }
    if filter.center_only {
        query = query.filter(keys::merchant.is_null());
    }
    if !filter.states.is_empty() {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        query = query.filter(keys::state.eq_any(states));
    }
    if let Some(after) = after {
        query = query.filter(keys::key_id.lt(after.to_string()));
    }
    let rows: Vec<KeyRow> = query
        .order(keys::key_id.desc())
        .limit(limit)
        .load::<KeyRow>(c)?;
    rows.into_iter().map(Key::try_from).collect()
}

/// Keys that are not at their end and whose life ends at or before an instant, soonest first.
pub fn ending(c: &mut AnyConnection, at: Instant, limit: i64) -> Result<Vec<Key>, StoreError> {
    let at = micros(at);
    let rows: Vec<KeyRow> = keys::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "state IN ('PENDING', 'ACTIVE', 'RETIRING')",
        ))
        .filter(keys::expires_at.le(at).or(keys::retires_at.le(at)))
        .order((keys::expires_at, keys::key_id))
        .limit(limit)
        .load::<KeyRow>(c)?;
    rows.into_iter().map(Key::try_from).collect()
}

/// The sealed private part of a key, if it is still kept.
pub fn secret(c: &mut AnyConnection, key_id: &KeyId) -> Result<Option<KeySecret>, StoreError> {
    Ok(key_secrets::table
        .find(key_id.as_str())
        .first::<KeySecret>(c)
        .optional()?)
}

/// Private parts that another master key than this one wraps.
pub fn wrapped_by_others(
    c: &mut AnyConnection,
    master: &str,
    limit: i64,
) -> Result<Vec<KeySecret>, StoreError> {
    Ok(key_secrets::table
        .filter(key_secrets::master.ne(master))
        .order(key_secrets::key_id)
        .limit(limit)
        .load::<KeySecret>(c)?)
}

/// Writes a new key.
pub(super) fn insert(c: &mut AnyConnection, key: &Key) -> QueryResult<()> {
    diesel::insert_into(keys::table)
        .values(KeyRow::from(key))
        .execute(c)?;
    Ok(())
}

/// Writes a key's new values if nobody changed it since it was read.
pub(super) fn replace(c: &mut AnyConnection, key: &Key) -> QueryResult<bool> {
    let row = KeyRow::from(key);
    let (key_id, before) = (row.key_id.clone(), row.version - 1);
    let written = diesel::update(
        keys::table
            .filter(keys::key_id.eq(key_id))
            .filter(keys::version.eq(before)),
    )
    .set(row)
    .execute(c)?;
    Ok(written == 1)
}

/// Keeps a private part.
pub(super) fn keep_secret(c: &mut AnyConnection, secret: &KeySecret) -> QueryResult<()> {
    diesel::insert_into(key_secrets::table)
        .values(secret)
        .execute(c)?;
    Ok(())
}

/// Writes a private part's data key as another master key wraps it, if nobody did so before.
pub(super) fn rewrap(
    c: &mut AnyConnection,
    before: &KeySecret,
    after: &KeySecret,
) -> QueryResult<bool> {
    let written = diesel::update(
        key_secrets::table
            .filter(key_secrets::key_id.eq(&before.key_id))
            .filter(key_secrets::wrapped_key.eq(&before.wrapped_key)),
    )
    .set((
        key_secrets::master.eq(&after.master),
        key_secrets::wrapped_key.eq(&after.wrapped_key),
    ))
    .execute(c)?;
    Ok(written == 1)
}

/// Forgets a private part; false where there was none.
pub(super) fn forget_secret(c: &mut AnyConnection, key_id: &KeyId) -> QueryResult<bool> {
    let gone = diesel::delete(key_secrets::table.find(key_id.as_str())).execute(c)?;
    Ok(gone == 1)
}
