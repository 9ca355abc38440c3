//! The center's own keys: what its answers and notifications are signed with, and what others check
//! them by.

use super::keys::{make, new_key};
use super::{Actor, Engine, EngineError};
use crate::domain::ids::KeyId;
use crate::domain::key::{Algorithm, Key, KeyOwner, KeyState};
use crate::storage::keys::{self, Filter};
use crate::trust::PrivateKey;
use std::sync::{Arc, PoisonError};

/// The key that the center signs with.
#[derive(Debug)]
pub struct CenterKey {
    /// Its id.
    pub key_id: KeyId,
    /// Its private part.
    pub private: PrivateKey,
}

/// More keys of the center are never in use at once.
const PUBLISHED_MAX: i64 = 100;

impl Engine {
    /// The key that the center signs with; none where it has no master key.
    pub fn center_key(&self) -> Option<Arc<CenterKey>> {
        self.0
            .center_key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The center's keys that count, or did until a moment ago, newest first: for those who check what
    /// it signed.
    pub async fn published_keys(&self) -> Result<Vec<Key>, EngineError> {
        let filter = Filter {
            merchant: None,
            center_only: true,
            states: vec![KeyState::Active, KeyState::Retiring],
        };
        let read = move |c: &mut _| keys::list(c, &filter, None, PUBLISHED_MAX);
        Ok(self.0.store.read(read).await?)
    }

    /// Takes over the center's active key, and makes the first one where there is none. Replicas that
    /// start at once make one between them.
    ///
    /// # Errors
    /// The private part cannot be opened: the master key is another one. Storage failed.
    pub async fn refresh_center_key(&self) -> Result<(), EngineError> {
        if self.0.masters.current().is_none() {
            return Ok(());
        }
        let mut active = self.active_center_key().await?;
        if active.is_none() {
            let made = self.make_center_key().await;
            active = self.active_center_key().await?;
            if active.is_none() {
                made?;
            }
        }
        let Some(key) = active else { return Ok(()) };
        if self
            .center_key()
            .is_some_and(|held| held.key_id == key.key_id)
        {
            return Ok(());
        }
        let number = key.key_id.clone();
        let secret = self.0.store.read(move |c| keys::secret(c, &number)).await?;
        let opened = match &secret {
            Some(secret) => self
                .open_secret(&key, secret)
                .map_err(|error| error.to_string()),
            None => Err("its private part is missing".to_owned()),
        };
        let private = opened.map_err(|why| crate::storage::StoreError::Corrupt {
            table: "keys",
            key: key.key_id.to_string(),
            why,
        })?;
        let held = Arc::new(CenterKey {
            key_id: key.key_id,
            private,
        });
        *self
            .0
            .center_key
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }

    async fn active_center_key(&self) -> Result<Option<Key>, EngineError> {
        let keys = self.published_keys().await?;
        let now = self.now();
        let is_active = |key: &Key| key.state == KeyState::Active && key.counts(now);
        Ok(keys.into_iter().find(is_active))
    }

    /// The first key is made by the program and needs nobody: there is nothing yet that it could be
    /// used against. Every later one takes two people.
    async fn make_center_key(&self) -> Result<(), EngineError> {
        let private = make(Algorithm::Ed25519).await?;
        let (system, now) = (Actor::system(), self.now());
        let public = private.public_key();
        let key = Key {
            state: KeyState::Active,
            active_at: Some(now),
            ..new_key(KeyOwner::Center, public, true, &system.who, now)
        };
        let secret = self.seal_secret(&key, &private, None)?;
        let audit = self.key_audit(&system, &key, "ISSUED", None);
        self.insert_key(&key, Some(secret), audit).await
    }
}
