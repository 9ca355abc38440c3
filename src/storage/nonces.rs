//! What signed requests were made unique by. In the database, not in the cache: a Redis that is
//! emptied must not open the door to what was sent before, and every replica has to know.

use super::apply::Failure;
use super::change::{Admission, Admitted, Denied};
use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::micros;
use super::schema::nonces;
use crate::domain::key::Key;
use crate::domain::time::Instant;
use diesel::prelude::*;

/// Lets one request in, if its key counts and its nonce is new.
pub(super) fn admit(c: &mut AnyConnection, admission: &Admission) -> Result<Admitted, Failure> {
    if !counts(c, admission)? {
        return Ok(Admitted::Denied(Denied::KeyCountsNoMore(
            admission.key_id.clone(),
        )));
    }
    let (key_id, nonce) = (admission.key_id.as_str(), admission.nonce.as_str());
    let row = (
        nonces::key_id.eq(key_id),
        nonces::nonce.eq(nonce),
        nonces::forget_at.eq(micros(admission.forget_at)),
        nonces::tag.eq(admission.tag),
    );
    let written = super::either!(c, |c| diesel::insert_into(nonces::table)
        .values(row)
        .on_conflict((nonces::key_id, nonces::nonce))
        .do_nothing()
        .execute(c))?;
    Ok(if written == 1 || is_own(c, admission)? {
        Admitted::Done
    } else {
        Admitted::Denied(Denied::Replayed)
    })
}

/// Whether the nonce was used up by this very request: by a change whose commit lost its answer, or by
/// one that the caller did not wait for.
fn is_own(c: &mut AnyConnection, admission: &Admission) -> QueryResult<bool> {
    let row = (admission.key_id.as_str(), admission.nonce.as_str());
    let tag: Option<i64> = nonces::table
        .find(row)
        .select(nonces::tag)
        .first(c)
        .optional()?;
    Ok(tag == Some(admission.tag))
}

/// Whether the key counts: what [`Key::counts`] says, asked of the row as it is now.
fn counts(c: &mut AnyConnection, admission: &Admission) -> Result<bool, StoreError> {
    let key = super::keys::find(c, &admission.key_id)?;
    Ok(key.is_some_and(|key: Key| key.counts(admission.now)))
}

/// Forgets nonces that cannot be sent again, so many at a time; tells how many went.
pub(super) fn forget(c: &mut AnyConnection, now: Instant, limit: i64) -> QueryResult<usize> {
    let last = nonces::table
        .filter(nonces::forget_at.le(micros(now)))
        .order(nonces::forget_at)
        .offset(limit.saturating_sub(1).max(0))
        .limit(1)
        .select(nonces::forget_at)
        .load::<i64>(c)?;
    let upto = last.first().copied().unwrap_or(micros(now));
    diesel::delete(nonces::table.filter(nonces::forget_at.le(upto))).execute(c)
}
