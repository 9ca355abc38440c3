//! Private parts under a new master key, while the center works.

use super::keys::{belongs_to, fault, of_row, to_row};
use super::{Actor, EngineError};
use crate::domain::audit::AuditEntry;
use crate::domain::ids::KeyId;
use crate::domain::time::Instant;
use crate::storage::keys::{self, KeySecret};
use crate::storage::{Store, StoreError, Tx};
use crate::trust::{Masters, SealError};

/// What became of a change of the master key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewrapReport {
    /// Private parts that the current master key wraps now and did not before.
    pub rewrapped: usize,
}

/// Wraps every private part's data key with the current master key: under load, in small steps, as
/// often as it is asked for. The private parts themselves are not touched, and neither are the keys: the
/// audit row of each tells of its private part.
///
/// # Errors
/// There is no master key; a private part is wrapped by one that is not among ours, or was altered
/// (its key is named); storage failed.
pub async fn rewrap_keys(
    store: &Store,
    masters: &Masters,
    (actor, now): (&Actor, Instant),
) -> Result<RewrapReport, EngineError> {
    let current = masters
        .current()
        .ok_or(SealError::NoMaster)
        .map_err(fault)?;
    let mut report = RewrapReport::default();
    loop {
        let name = current.to_owned();
        let old = store.read(move |c| keys::wrapped_by_others(c, &name, REWRAPPED_AT_ONCE));
        let old = old.await?;
        if old.is_empty() {
            return Ok(report);
        }
        for before in old {
            report.rewrapped +=
                usize::from(rewrap_one(store, masters, (actor, now), before).await?);
        }
    }
}

/// How many private parts are read at once.
const REWRAPPED_AT_ONCE: i64 = 100;

async fn rewrap_one(
    store: &Store,
    masters: &Masters,
    (actor, now): (&Actor, Instant),
    before: KeySecret,
) -> Result<bool, EngineError> {
    let corrupt = |why: String| StoreError::Corrupt {
        table: "key_secrets",
        key: before.key_id.clone(),
        why,
    };
    let key_id = before.key_id.parse::<KeyId>();
    let key_id = key_id.map_err(|error| corrupt(error.to_string()))?;
    let key = store.read(move |c| keys::find(c, &key_id)).await?;
    let key = key.ok_or_else(|| corrupt("its key is missing".to_owned()))?;
    let sealed = masters.rewrap(&belongs_to(&key), &of_row(&before));
    let Some(sealed) = sealed.map_err(|error| corrupt(error.to_string()))? else {
        return Ok(false);
    };
    let after = to_row(&key.key_id, sealed, before.ticket_hash.clone());
    // Somebody else may have wrapped it, or handed it out, in the meantime: then it is not ours to do.
    let audit = AuditEntry {
        at: now,
        actor: actor.who.clone(),
        action: "REWRAPPED".to_owned(),
        subject_kind: "KEY",
        subject: key.key_id.to_string(),
        before: Some(before.master.clone()),
        after: Some(after.master.clone()),
        detail: Some("the private part, from master key to master key".to_owned()),
        request_id: actor.request_id.clone(),
    };
    let write = move |tx: &mut Tx<'_>| {
        let written = tx.rewrap_key_secret(&before, &after)?;
        if written {
            tx.audit(audit.clone())?;
        }
        Ok(written)
    };
    Ok(store.solo(write).await?)
}
