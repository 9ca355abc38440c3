//! Who sends what: what is due is looked for by a reader, and leased by the writer.
//!
//! A lease moves `next_at` to its own end. So "due" is one comparison, the index over it holds what is
//! pending and nothing else, and a sender that died gives its work back by doing nothing.
//!
//! What the reader found is only a hint: the lease asks everything again. But the writer is not taken
//! for a look that finds nothing, nor for what waits behind an earlier one of its order.
//!
//! How one could break this: by leasing a notification while an earlier one of its order is pending, or
//! while any of them is being sent.

use super::super::connection::AnyConnection;
use super::super::error::StoreError;
use super::super::row::{RowOf, micros, readable};
use super::{NotificationRow, tries};
use crate::domain::ids::MerchantCode;
use crate::domain::notification::{Notification, NotificationTry};
use crate::domain::time::Instant;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use uuid::Uuid;

#[derive(QueryableByName)]
struct Code {
    #[diesel(sql_type = Text)]
    merchant: String,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    notification_id: String,
}

/// That `n` can be sent at an instant: it is due, no earlier one of its order is pending, and none of
/// the order is being sent.
fn can_be_sent(now: &str) -> String {
    format!(
        "n.state = 'PENDING' AND n.next_at <= {now} \
         AND NOT EXISTS (SELECT 1 FROM notifications o WHERE o.order_no = n.order_no \
         AND o.notification_id <> n.notification_id AND o.state = 'PENDING' \
         AND (o.order_version < n.order_version \
         OR (o.lease_owner IS NOT NULL AND o.next_at > {now})))"
    )
}

/// The merchants who have something that can be sent, by code. The index is jumped through from merchant
/// to merchant, so that one with a hundred thousand rows costs no more than one with a single row.
pub fn merchants_due(c: &mut AnyConnection, now: Instant) -> Result<Vec<MerchantCode>, StoreError> {
    let question = |now: &str| {
        format!(
            "WITH RECURSIVE m (merchant) AS (\
             SELECT (SELECT MIN(n.merchant) FROM notifications n WHERE n.state = 'PENDING') \
             UNION ALL SELECT (SELECT MIN(n.merchant) FROM notifications n \
             WHERE n.state = 'PENDING' AND n.merchant > m.merchant) \
             FROM m WHERE m.merchant IS NOT NULL) \
             SELECT m.merchant FROM m WHERE m.merchant IS NOT NULL AND EXISTS (\
             SELECT 1 FROM notifications n WHERE n.merchant = m.merchant AND {}) \
             ORDER BY m.merchant",
            can_be_sent(now)
        )
    };
    let codes: Vec<Code> = match c {
        AnyConnection::Postgres(c) => diesel::sql_query(question("$1"))
            .bind::<BigInt, _>(micros(now))
            .load(c)?,
        AnyConnection::Sqlite(c) => diesel::sql_query(question("?1"))
            .bind::<BigInt, _>(micros(now))
            .load(c)?,
    };
    let codes = codes.into_iter().map(|code| {
        let of = RowOf {
            table: "notifications",
            key: &code.merchant,
        };
        of.word(&code.merchant)
    });
    codes.collect()
}

/// What can be sent to merchants, so many to each, what has waited longest first.
pub fn claimable(
    c: &mut AnyConnection,
    now: Instant,
    rooms: &[(MerchantCode, i64)],
) -> Result<Vec<Uuid>, StoreError> {
    let ids: Vec<Id> = match c {
        AnyConnection::Postgres(c) => {
            let codes: Vec<&str> = rooms.iter().map(|(code, _)| code.as_str()).collect();
            let sizes: Vec<i64> = rooms.iter().map(|(_, room)| *room).collect();
            diesel::sql_query(format!(
                "SELECT found.notification_id FROM unnest($1, $2) AS r (merchant, room) \
                 CROSS JOIN LATERAL (SELECT n.notification_id FROM notifications n \
                 WHERE n.merchant = r.merchant AND {} ORDER BY n.next_at LIMIT r.room) found",
                can_be_sent("$3")
            ))
            .bind::<Array<Text>, _>(codes)
            .bind::<Array<BigInt>, _>(sizes)
            .bind::<BigInt, _>(micros(now))
            .load(c)?
        }
        // In the process: a statement more costs no journey.
        AnyConnection::Sqlite(c) => {
            let question = format!(
                "SELECT n.notification_id FROM notifications n WHERE n.merchant = ?1 AND {} \
                 ORDER BY n.next_at LIMIT ?3",
                can_be_sent("?2")
            );
            let mut ids = Vec::new();
            for (merchant, room) in rooms {
                let found: Vec<Id> = diesel::sql_query(&question)
                    .bind::<Text, _>(merchant.as_str())
                    .bind::<BigInt, _>(micros(now))
                    .bind::<BigInt, _>(*room)
                    .load(c)?;
                ids.extend(found);
            }
            ids
        }
    };
    let ids = ids.into_iter().map(|id| {
        let of = RowOf {
            table: "notifications",
            key: &id.notification_id,
        };
        of.word(&id.notification_id)
    });
    ids.collect()
}

/// Who leases what, from when, until when.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The replica.
    pub owner: String,
    /// Now.
    pub now: Instant,
    /// When the lease lapses.
    pub until: Instant,
    /// What was found; see [`claimable`]. What cannot be sent any more is not leased.
    pub ids: Vec<Uuid>,
}

fn lease_rows(c: &mut AnyConnection, request: &LeaseRequest) -> QueryResult<Vec<NotificationRow>> {
    const HEAD: &str = "UPDATE notifications SET fence = fence + 1, lease_owner = ";
    let ids: Vec<String> = request.ids.iter().map(Uuid::to_string).collect();
    match c {
        // An array is chosen once; see `exceptions::lease_due`.
        AnyConnection::Postgres(c) => diesel::sql_query(format!(
            "{HEAD}$1, next_at = $2 WHERE notification_id = ANY (ARRAY (\
             SELECT n.notification_id FROM notifications n WHERE n.notification_id = ANY ($3) \
             AND {} ORDER BY n.notification_id FOR UPDATE OF n SKIP LOCKED)) RETURNING *",
            can_be_sent("$4")
        ))
        .bind::<Text, _>(&request.owner)
        .bind::<BigInt, _>(micros(request.until))
        .bind::<Array<Text>, _>(ids)
        .bind::<BigInt, _>(micros(request.now))
        .load(c),
        AnyConnection::Sqlite(c) => {
            // What a UUID is written with needs no quoting.
            let listed = format!("'{}'", ids.join("', '"));
            diesel::sql_query(format!(
                "{HEAD}?1, next_at = ?2 WHERE notification_id IN (\
                 SELECT n.notification_id FROM notifications n \
                 WHERE n.notification_id IN ({listed}) AND {}) RETURNING *",
                can_be_sent("?3")
            ))
            .bind::<Text, _>(&request.owner)
            .bind::<BigInt, _>(micros(request.until))
            .bind::<BigInt, _>(micros(request.now))
            .load(c)
        }
    }
}

/// Leases what can still be sent and writes a row for each try that begins.
pub(super) fn lease(
    c: &mut AnyConnection,
    request: &LeaseRequest,
) -> Result<Vec<(Notification, NotificationTry)>, StoreError> {
    let rows = lease_rows(c, request)?;
    // Both statements would be for nothing.
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.notification_id.clone()).collect();
    tries::interrupt(c, &ids, request.now)?;
    let begin = |leased: Notification| {
        let begun = leased.begin(Uuid::now_v7(), request.now);
        (leased, begun)
    };
    let leased: Vec<_> = readable::<_, Notification>(rows)
        .into_iter()
        .map(begin)
        .collect();
    tries::begin(c, leased.iter().map(|(_, begun)| begun))?;
    Ok(leased)
}
