//! Tries as rows, each written down before its first byte leaves. A notification may be ordered sent
//! again for ever, so readers take the last ones only and are told how many there are.
//!
//! How one could break this: by keeping a row for each try that was not sent. Such a try does not count
//! and comes again for ever, so there is one row for all of them at one place of a series.

use super::super::connection::AnyConnection;
use super::super::error::StoreError;
use super::super::row::{RowOf, micros};
use super::super::schema::notification_tries;
use crate::domain::notification::{NotificationTry, TryOutcome};
use crate::domain::time::Instant;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::collections::HashMap;
use uuid::Uuid;

/// How many tries of a notification are read at most: the last ones. Three series of the standard
/// retries fit.
pub const TRIES_SHOWN: i64 = 50;

/// A row of `notification_tries`. Every column is named when rows are inserted, so that SQLite takes many
/// in one statement; else Diesel would begin a transaction of its own around them.
#[derive(Clone, Debug, QueryableByName, Insertable, AsChangeset)]
#[diesel(table_name = notification_tries, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
struct TryRow {
    try_id: String,
    notification_id: String,
    series: i32,
    number: i32,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: String,
    http_status: Option<i32>,
    host: Option<String>,
    cause: Option<String>,
}

impl From<&NotificationTry> for TryRow {
    fn from(of: &NotificationTry) -> Self {
        Self {
            try_id: of.try_id.to_string(),
            notification_id: of.notification_id.to_string(),
            series: of.series,
            number: of.number,
            started_at: micros(of.started_at),
            ended_at: of.ended_at.map(micros),
            outcome: of.outcome.as_str().to_owned(),
            http_status: of.http_status,
            host: of.host.clone(),
            cause: of.cause.clone(),
        }
    }
}

impl TryFrom<TryRow> for NotificationTry {
    type Error = StoreError;

    fn try_from(row: TryRow) -> Result<Self, StoreError> {
        let of = RowOf {
            table: "notification_tries",
            key: &row.try_id,
        };
        Ok(NotificationTry {
            try_id: of.word::<Uuid>(&row.try_id)?,
            notification_id: of.word::<Uuid>(&row.notification_id)?,
            started_at: of.instant(row.started_at)?,
            ended_at: of.instant_opt(row.ended_at)?,
            outcome: of.word(&row.outcome)?,
            series: row.series,
            number: row.number,
            http_status: row.http_status,
            host: row.host,
            cause: row.cause,
        })
    }
}

/// The last tries of a notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// In the order in which they began, [`TRIES_SHOWN`] at most.
    pub last: Vec<NotificationTry>,
    /// How many there are in all.
    pub total: i64,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(embed)]
    attempt: TryRow,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The last tries of notifications, by notification; one without a try is not there.
pub fn tries_of(c: &mut AnyConnection, of: &[Uuid]) -> Result<HashMap<Uuid, Tries>, StoreError> {
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    // What a UUID is written with needs no quoting.
    let ids: Vec<String> = of.iter().map(|id| format!("'{id}'")).collect();
    let question = format!(
        "SELECT * FROM (SELECT t.*, \
         ROW_NUMBER() OVER (PARTITION BY t.notification_id ORDER BY t.try_id DESC) AS place, \
         COUNT(*) OVER (PARTITION BY t.notification_id) AS total \
         FROM notification_tries t WHERE t.notification_id IN ({})) AS found \
         WHERE found.place <= {TRIES_SHOWN} ORDER BY found.notification_id, found.try_id",
        ids.join(", ")
    );
    let rows: Vec<Counted> = diesel::sql_query(question).load(c)?;
    let mut found: HashMap<Uuid, Tries> = HashMap::with_capacity(of.len());
    for Counted { attempt, total } in rows {
        let one = NotificationTry::try_from(attempt)?;
        let tries = found.entry(one.notification_id).or_default();
        tries.total = total;
        tries.last.push(one);
    }
    Ok(found)
}

/// Since when notifications could not be sent at the place of their series where the tries given here
/// stand; those that could are not there.
pub fn not_sent_since(
    c: &mut AnyConnection,
    tries: &[NotificationTry],
) -> Result<HashMap<Uuid, Instant>, StoreError> {
    if tries.is_empty() {
        return Ok(HashMap::new());
    }
    let ids = tries.iter().map(|one| one.notification_id.to_string());
    let rows: Vec<(String, i32, i32, i64)> =
        super::super::either!(c, |c| notification_tries::table
            .filter(notification_tries::notification_id.eq_any(ids))
            .filter(notification_tries::outcome.eq(TryOutcome::NotSent.as_str()))
            .select((
                notification_tries::notification_id,
                notification_tries::series,
                notification_tries::number,
                notification_tries::started_at,
            ))
            .load(c))?;
    let mut since = HashMap::new();
    for one in tries {
        let own = one.notification_id.to_string();
        let here = rows
            .iter()
            .filter(|row| row.0 == own && (row.1, row.2) == (one.series, one.number));
        if let Some(first) = here.map(|row| row.3).min() {
            let of = RowOf {
                table: "notification_tries",
                key: &own,
            };
            since.insert(one.notification_id, of.instant(first)?);
        }
    }
    Ok(since)
}

/// Marks tries of an earlier lease that never ended.
pub(super) fn interrupt(c: &mut AnyConnection, of: &[String], now: Instant) -> QueryResult<()> {
    super::super::either!(c, |c| diesel::update(
        notification_tries::table
            .filter(notification_tries::notification_id.eq_any(of))
            .filter(notification_tries::outcome.eq(TryOutcome::Started.as_str())),
    )
    .set((
        notification_tries::outcome.eq(TryOutcome::Interrupted.as_str()),
        notification_tries::ended_at.eq(Some(micros(now))),
    ))
    .execute(c))?;
    Ok(())
}

/// Writes tries that begin.
pub(super) fn begin<'a>(
    c: &mut AnyConnection,
    begun: impl Iterator<Item = &'a NotificationTry>,
) -> QueryResult<()> {
    let rows: Vec<TryRow> = begun.map(TryRow::from).collect();
    super::super::either!(c, |c| diesel::insert_into(notification_tries::table)
        .values(&rows)
        .execute(c))?;
    Ok(())
}

/// Writes how a try ended. One that was not sent takes the place of those before it that were not sent
/// either.
pub(super) fn conclude(c: &mut AnyConnection, attempt: &NotificationTry) -> QueryResult<()> {
    let row = TryRow::from(attempt);
    if attempt.outcome == TryOutcome::NotSent {
        diesel::delete(
            notification_tries::table
                .filter(notification_tries::notification_id.eq(&row.notification_id))
                .filter(notification_tries::outcome.eq(TryOutcome::NotSent.as_str()))
                .filter(notification_tries::series.eq(row.series))
                .filter(notification_tries::number.eq(row.number))
                .filter(notification_tries::try_id.ne(&row.try_id)),
        )
        .execute(c)?;
    }
    diesel::update(notification_tries::table.find(row.try_id.clone()))
        .set(row)
        .execute(c)?;
    Ok(())
}
