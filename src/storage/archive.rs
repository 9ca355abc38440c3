//! Deletes old records, so many at a time; which may go, and why, is written in
//! `engine/archive_records.rs`.

use super::Tx;
use super::error::StoreError;
use super::row::micros;
use super::schema::{job_alarms, job_runs, notification_tries, notifications, sessions};
use crate::domain::job::JobRunState;
use crate::domain::notification::NotificationState;
use crate::domain::time::Instant;
use diesel::prelude::*;

/// Where the UUIDs of an instant begin, which are of version 7: ids grow with time, so the key is walked
/// from its beginning, where the old ones are, and no further.
fn ids_of(at: Instant) -> String {
    let digits = format!("{:012x}", at.timestamp_millis().max(0));
    let (head, tail) = digits.split_at(8);
    format!("{head}-{tail}-")
}

/// Runs that were made before an instant and have ended, but of no job whose runs are evidence.
pub fn job_runs(
    tx: &mut Tx<'_>,
    before: Instant,
    (but, limit): (&[&str], i64),
) -> Result<usize, StoreError> {
    let ended = [
        JobRunState::Succeeded.as_str(),
        JobRunState::Failed.as_str(),
    ];
    let old: Vec<String> = job_runs::table
        .filter(job_runs::run_id.lt(ids_of(before)))
        .filter(job_runs::state.eq_any(ended))
        .filter(job_runs::job.ne_all(but.to_vec()))
        .order(job_runs::run_id)
        .select(job_runs::run_id)
        .limit(limit)
        .load(&mut *tx.c)?;
    let old = job_runs::table.filter(job_runs::run_id.eq_any(old));
    Ok(diesel::delete(old).execute(&mut *tx.c)?)
}

/// Notes that an alarm was raised before an instant.
pub fn job_alarms(tx: &mut Tx<'_>, before: Instant, limit: i64) -> Result<usize, StoreError> {
    let last: Vec<i64> = job_alarms::table
        .filter(job_alarms::raised_at.lt(micros(before)))
        .order(job_alarms::raised_at)
        .select(job_alarms::raised_at)
        .limit(limit)
        .load(&mut *tx.c)?;
    let Some(upto) = last.last() else {
        return Ok(0);
    };
    let old = job_alarms::table.filter(job_alarms::raised_at.le(upto));
    Ok(diesel::delete(old).execute(&mut *tx.c)?)
}

/// Notifications that were delivered or given up before an instant, with their tries.
pub fn notifications(tx: &mut Tx<'_>, before: Instant, limit: i64) -> Result<usize, StoreError> {
    let old: Vec<String> = notifications::table
        .filter(notifications::notification_id.lt(ids_of(before)))
        .filter(notifications::state.ne(NotificationState::Pending.as_str()))
        .filter(notifications::concluded_at.lt(micros(before)))
        .order(notifications::notification_id)
        .select(notifications::notification_id)
        .limit(limit)
        .load(&mut *tx.c)?;
    let tries =
        notification_tries::table.filter(notification_tries::notification_id.eq_any(old.clone()));
    diesel::delete(tries).execute(&mut *tx.c)?;
    let old = notifications::table.filter(notifications::notification_id.eq_any(old));
    Ok(diesel::delete(old).execute(&mut *tx.c)?)
}

/// Sessions that began before an instant: no session lasts that long.
pub fn sessions(tx: &mut Tx<'_>, before: Instant, limit: i64) -> Result<usize, StoreError> {
    let old: Vec<String> = sessions::table
        .filter(sessions::created_at.lt(micros(before)))
        .filter(sessions::seen_at.lt(micros(before)))
        .select(sessions::secret_hash)
        .limit(limit)
        .load(&mut *tx.c)?;
    let old = sessions::table.filter(sessions::secret_hash.eq_any(old));
    Ok(diesel::delete(old).execute(&mut *tx.c)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn ids_of_an_instant_come_after_those_before_it() {
        let now = Instant::from_timestamp_millis(1_795_320_003_123).unwrap();
        let id = |millis: u64| {
            let (seconds, nanos) = (millis / 1_000, (millis % 1_000) as u32 * 1_000_000);
            let at = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
            Uuid::new_v7(at).to_string()
        };
        assert!(id(1_795_320_003_122) < ids_of(now));
        assert!(id(1_795_320_003_123) > ids_of(now));
    }
}
