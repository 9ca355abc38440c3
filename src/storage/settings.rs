//! The settings as they were last written down, so that a start can tell what has changed since.
//!
//! Who compares takes the one row of `settings_version` first: of two replicas that start at once, the
//! second waits, and then sees what the first has written.

use super::Tx;
use super::connection::AnyConnection;
use super::error::StoreError;
use super::schema::{settings_in_force, settings_version};
use diesel::prelude::*;

/// One setting, as it was written down.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = settings_in_force)]
pub struct KnownSetting {
    /// Where it stands, such as `polling.batch`; of what is a replica's own, with the value behind it.
    pub path: String,
    /// What may be shown of its value.
    pub shown: String,
    /// Of a secret: by which master key it is marked.
    pub master: Option<String>,
    /// Of a secret: the mark.
    pub mark: Option<Vec<u8>>,
}

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSettings {
    /// Counts how often that changed.
    pub version: i64,
    /// All of them, by path.
    pub settings: Vec<KnownSetting>,
}

/// What is written down now.
pub fn load(c: &mut AnyConnection) -> Result<KnownSettings, StoreError> {
    let version = settings_version::table
        .select(settings_version::version)
        .first(c)?;
    let settings = settings_in_force::table
        .order(settings_in_force::path)
        .load::<KnownSetting>(c)?;
    Ok(KnownSettings { version, settings })
}

impl Tx<'_> {
    /// Takes what is written down: nobody else takes it before this transaction has ended.
    pub fn take_settings(&mut self) -> Result<KnownSettings, StoreError> {
        // The row is locked before anything is read: a read from before the lock could be an old one.
        diesel::update(settings_version::table)
            .set(settings_version::version.eq(settings_version::version))
            .execute(self.c)?;
        load(self.c)
    }

    /// Counts a change of the settings.
    pub fn count_settings(&mut self) -> Result<(), StoreError> {
        diesel::update(settings_version::table)
            .set(settings_version::version.eq(settings_version::version + 1))
            .execute(self.c)?;
        Ok(())
    }

    /// Writes one setting down, new or not.
    pub fn keep_setting(&mut self, setting: &KnownSetting) -> Result<(), StoreError> {
        self.forget_setting(&setting.path)?;
        diesel::insert_into(settings_in_force::table)
            .values(setting)
            .execute(self.c)?;
        Ok(())
    }

    /// Forgets a setting that there is no more.
    pub fn forget_setting(&mut self, path: &str) -> Result<(), StoreError> {
        diesel::delete(settings_in_force::table.find(path)).execute(self.c)?;
        Ok(())
    }
}
