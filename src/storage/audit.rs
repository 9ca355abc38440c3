//! The audit rows. Only added to; nothing in this program updates or deletes one.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema::audit;
use crate::domain::audit::{AuditEntry, AuditRow, ChainHead};
use diesel::dsl::min;
use diesel::prelude::*;

/// The kinds of things that audit rows are about.
pub const SUBJECT_KINDS: [&str; 16] = [
    "ORDER",
    "CASE",
    "CATALOGUE",
    "JOB",
    "MERCHANT",
    "KEY",
    "OPERATOR",
    "NOTIFICATION",
    "SETTING",
    "AUDIT",
    "BUSINESS_DAY",
    "STATEMENT",
    "PARTNER_FILE",
    "RECONCILIATION",
    "CASE_COMMENT",
    "CASE_BATCH",
];

/// The action of a row about a file of heads that was published.
pub const HEADS_PUBLISHED: &str = "HEADS_PUBLISHED";

/// A row of `audit`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit)]
pub(super) struct AuditRecord {
    pub stream: String,
    pub seq: i64,
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject_kind: String,
    pub subject: String,
    pub before_state: Option<String>,
    pub after_state: Option<String>,
    pub detail: Option<String>,
    pub request_id: Option<String>,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        Self {
            stream: row.stream,
            seq: row.seq,
            at: micros(row.entry.at),
            actor: row.entry.actor,
            action: row.entry.action,
            subject_kind: row.entry.subject_kind.to_owned(),
            subject: row.entry.subject,
            before_state: row.entry.before,
            after_state: row.entry.after,
            detail: row.entry.detail,
            request_id: row.entry.request_id,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

impl TryFrom<AuditRecord> for AuditRow {
    type Error = StoreError;

    fn try_from(row: AuditRecord) -> Result<Self, StoreError> {
        let key = format!("{} {}", row.stream, row.seq);
        let of = RowOf {
            table: "audit",
            key: &key,
        };
        let subject_kind = SUBJECT_KINDS
            .iter()
            .find(|kind| **kind == row.subject_kind)
            .ok_or_else(|| of.corrupt(format!("unknown kind {:?}", row.subject_kind)))?;
        Ok(AuditRow {
            entry: AuditEntry {
                at: of.instant(row.at)?,
                actor: row.actor,
                action: row.action,
                subject_kind,
                subject: row.subject,
                before: row.before_state,
                after: row.after_state,
                detail: row.detail,
                request_id: row.request_id,
            },
            stream: row.stream,
            seq: row.seq,
            prev_hash: row.prev_hash,
            hash: row.hash,
        })
    }
}

/// The audit rows about one thing, oldest first.
pub fn about(c: &mut AnyConnection, subject: &str) -> Result<Vec<AuditRow>, StoreError> {
    let rows: Vec<AuditRecord> = audit::table
        .filter(audit::subject.eq(subject))
        .order((audit::at, audit::stream, audit::seq))
        .load::<AuditRecord>(c)?;
    rows.into_iter().map(AuditRow::try_from).collect()
}

/// The name of the chain after another, in the order of the database; of the first, without one. Whoever
/// goes through all chains asks for one after the other, and each answer is one look into the index,
/// however long the chains are.
pub fn next_stream(
    c: &mut AnyConnection,
    after: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let mut query = audit::table.select(min(audit::stream)).into_boxed();
    if let Some(after) = after {
        query = query.filter(audit::stream.gt(after.to_owned()));
    }
    Ok(query.first(c)?)
}

/// The names of all chains.
pub fn streams(c: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let mut streams: Vec<String> = Vec::new();
    while let Some(next) = next_stream(c, streams.last().map(String::as_str))? {
        streams.push(next);
    }
    Ok(streams)
}

/// The ends of all chains.
pub fn ends(c: &mut AnyConnection) -> Result<Vec<ChainHead>, StoreError> {
    let streams = streams(c)?.into_iter();
    Ok(streams
        .map(|stream| head(c, &stream))
        .collect::<QueryResult<_>>()?)
}

/// How many rows about published heads are handed out at once.
const PUBLISHED_AT_ONCE: i64 = 1_000;

/// Files of heads that were published, after a name, each with the hash that its audit row tells.
pub fn published_heads(
    c: &mut AnyConnection,
    after: &str,
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    Ok(audit::table
        .filter(audit::subject_kind.eq("AUDIT"))
        .filter(audit::action.eq(HEADS_PUBLISHED))
        .filter(audit::subject.gt(after))
        .filter(audit::subject.like("audit-heads-%"))
        .order(audit::subject)
        .limit(PUBLISHED_AT_ONCE)
        .select((audit::subject, audit::after_state))
        .load(c)?)
}

/// A stretch of one chain after a place, in order.
pub fn stretch(
    c: &mut AnyConnection,
    stream: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditRow>, StoreError> {
    let rows: Vec<AuditRecord> = audit::table
        .filter(audit::stream.eq(stream))
        .filter(audit::seq.gt(after))
        .order(audit::seq)
        .limit(limit)
        .load::<AuditRecord>(c)?;
    rows.into_iter().map(AuditRow::try_from).collect()
}

/// The end of a chain as the database has it.
pub(super) fn head(c: &mut AnyConnection, stream: &str) -> QueryResult<ChainHead> {
    let last: Option<(i64, Vec<u8>)> = audit::table
        .filter(audit::stream.eq(stream))
        .order(audit::seq.desc())
        .select((audit::seq, audit::hash))
        .first(c)
        .optional()?;
    Ok(match last {
        Some((seq, hash)) => ChainHead {
            stream: stream.to_owned(),
            seq,
            hash,
        },
        None => ChainHead::start(stream),
    })
}

/// Links an entry to the chain and writes it.
pub(super) fn append(
    c: &mut AnyConnection,
    chain: &mut ChainHead,
    entry: AuditEntry,
) -> QueryResult<()> {
    let record = AuditRecord::from(chain.link(entry));
    diesel::insert_into(audit::table)
        .values(record)
        .execute(c)?;
    Ok(())
}
