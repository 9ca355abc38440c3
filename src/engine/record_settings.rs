//! The settings in force, written down at each start: what has changed since the last one leaves an audit
//! row each, with the value before and after.
//!
//! Of a secret only what may be shown is written, and a mark by the master key that tells whether it is
//! another one; nobody who reads the database can try what fits. Without a master key there are no marks,
//! and of secrets only what may be shown is compared.

use crate::domain::audit::AuditEntry;
use crate::domain::time::Instant;
use crate::storage::settings::{self, KnownSetting, KnownSettings};
use crate::storage::{Store, StoreError, Tx};
use crate::trust::Masters;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct SettingInForce {
    /// Where it stands, such as `polling.batch`; no other has the same.
    pub path: String,
    /// What may be shown of its value.
    pub shown: String,
    /// The value, where it is not shown whole.
    pub secret: Option<SecretString>,
}

/// How often a lost race is looked at again. Each round another replica has written its own down.
const ROUNDS_MAX: u32 = 8;

/// Writes the settings down; how many have changed. `instance` is the run of the program that has them.
///
/// # Errors
/// Storage failed, or other replicas write theirs all the time.
pub async fn record_settings(
    store: &Store,
    masters: &Masters,
    in_force: Vec<SettingInForce>,
    (instance, now): (&str, Instant),
) -> Result<usize, StoreError> {
    for _ in 0..ROUNDS_MAX {
        let known = store.read(settings::load).await?;
        let version = known.version;
        let changes = compare(known, &in_force, masters);
        let count = changes
            .iter()
            .filter(|change| change.action.is_some())
            .count();
        if changes.is_empty() {
            return Ok(0);
        }
        let entry = |change: &Change| change.entry(instance, now);
        let steps: Vec<_> = changes
            .into_iter()
            .map(|change| (entry(&change), change))
            .collect();
        let steps = Arc::new(steps);
        let written = store.solo(move |tx| write(tx, version, &steps)).await?;
        if written {
            return Ok(count);
        }
    }
    let words = "other replicas write their settings down all the time";
    Err(StoreError::GaveWay(words.to_owned()))
}

fn write(
    tx: &mut Tx<'_>,
    version: i64,
    steps: &[(Option<AuditEntry>, Change)],
) -> Result<bool, StoreError> {
    if !tx.take_settings(version)? {
        return Ok(false);
    }
    for (entry, change) in steps {
        match &change.after {
            Some(setting) => tx.keep_setting(setting)?,
            None => tx.forget_setting(&change.path)?,
        }
        if let Some(entry) = entry {
            tx.audit(entry.clone())?;
        }
    }
    Ok(true)
}

/// What has become of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    path: String,
    /// What is said of it; none where only the mark is made anew.
    action: Option<&'static str>,
    before: Option<String>,
    after: Option<KnownSetting>,
    words: Option<&'static str>,
}

impl Change {
    fn entry(&self, instance: &str, now: Instant) -> Option<AuditEntry> {
        let by = format!("by {instance}");
        let words = self.words.map(str::to_owned).into_iter().chain([by]);
        Some(AuditEntry {
            at: now,
            actor: "system".to_owned(),
            action: self.action?.to_owned(),
            subject_kind: "SETTING",
            subject: self.path.clone(),
            before: self.before.clone(),
            after: self.after.as_ref().map(|setting| setting.shown.clone()),
            detail: Some(words.collect::<Vec<_>>().join("; ")),
            request_id: None,
        })
    }
}

fn compare(known: KnownSettings, in_force: &[SettingInForce], masters: &Masters) -> Vec<Change> {
    let known = known.settings.into_iter();
    let mut known: BTreeMap<String, KnownSetting> =
        known.map(|one| (one.path.clone(), one)).collect();
    let mut changes: Vec<Change> = in_force
        .iter()
        .filter_map(|setting| {
            let before = known.remove(&setting.path);
            change(before.as_ref(), setting, masters)
        })
        .collect();
    changes.extend(known.into_values().map(|gone| Change {
        path: gone.path,
        action: Some("REMOVED"),
        before: Some(gone.shown),
        after: None,
        words: None,
    }));
    changes
}

fn change(
    before: Option<&KnownSetting>,
    setting: &SettingInForce,
    masters: &Masters,
) -> Option<Change> {
    let marks = match &setting.secret {
        Some(secret) => masters.marks(&setting.path, secret.expose_secret().as_bytes()),
        None => Vec::new(),
    };
    let current = marks.first();
    let after = KnownSetting {
        path: setting.path.clone(),
        shown: setting.shown.clone(),
        master: current.map(|(master, _)| (*master).to_owned()),
        mark: current.map(|(_, mark)| mark.to_vec()),
    };
    let Some(before) = before else {
        return Some(Change {
            path: after.path.clone(),
            action: Some("SET"),
            before: None,
            after: Some(after),
            words: None,
        });
    };
    let words = secret_change(before, setting, &marks);
    let action = (before.shown != after.shown || words.is_some()).then_some("CHANGED");
    (*before != after).then(|| Change {
        path: after.path.clone(),
        action,
        before: Some(before.shown.clone()),
        after: Some(after),
        words,
    })
}

/// What is to be said of a secret that is not the one that was marked.
fn secret_change(
    before: &KnownSetting,
    setting: &SettingInForce,
    marks: &[(&str, [u8; 32])],
) -> Option<&'static str> {
    let (master, mark) = before.master.as_ref().zip(before.mark.as_ref())?;
    setting.secret.as_ref()?;
    match marks.iter().find(|(name, _)| name == master) {
        Some((_, same)) if same.as_slice() == mark.as_slice() => None,
        Some(_) => Some("the secret in it is another one"),
        None => Some("the secret in it cannot be compared: the master key that marked it is gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn masters(bytes: &[u8]) -> Masters {
        let texts: Vec<String> = bytes
            .iter()
            .map(|byte| STANDARD.encode([*byte; 32]))
            .collect();
        Masters::read(texts.iter().map(String::as_str)).unwrap()
    }

    fn plain(path: &str, shown: &str) -> SettingInForce {
        SettingInForce {
            path: path.to_owned(),
            shown: shown.to_owned(),
            secret: None,
        }
    }

    fn secret(path: &str, value: &str) -> SettingInForce {
        SettingInForce {
            secret: Some(SecretString::from(value)),
            ..plain(path, "***")
        }
    }

    /// What was written down by a center with these settings and master keys.
    fn known(in_force: &[SettingInForce], by: &[u8]) -> KnownSettings {
        let nothing = KnownSettings {
            version: 0,
            settings: Vec::new(),
        };
        let changes = compare(nothing, in_force, &masters(by)).into_iter();
        KnownSettings {
            version: 1,
            settings: changes.filter_map(|change| change.after).collect(),
        }
    }

    /// What is told of a start with other settings: path, action, words.
    fn told(known: KnownSettings, in_force: &[SettingInForce], by: &[u8]) -> Vec<String> {
        let changes = compare(known, in_force, &masters(by)).into_iter();
        let told = changes.filter_map(|change| {
            let words = change.words.unwrap_or_default();
            Some(format!("{} {} {words}", change.path, change.action?))
        });
        told.collect()
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_and_nothing_else() {
        let before = [plain("a", "1"), plain("b", "2"), plain("c", "3")];
        assert_eq!(told(known(&before, &[]), &before, &[]), [""; 0]);
        let after = [plain("a", "1"), plain("b", "4"), plain("d", "5")];
        let told = told(known(&before, &[]), &after, &[]);
        assert_eq!(told, ["b CHANGED ", "d SET ", "c REMOVED "]);
    }

    #[test]
    fn another_secret_is_told_whatever_became_of_the_master_key() {
        let before = [secret("t", "one")];
        let other = [secret("t", "two")];
        let changed = ["t CHANGED the secret in it is another one"];
        assert_eq!(told(known(&before, &[1]), &before, &[1]), [""; 0]);
        assert_eq!(told(known(&before, &[1]), &other, &[1]), changed);
        // Rotated, with the one before at hand.
        assert_eq!(told(known(&before, &[1]), &before, &[2, 1]), [""; 0]);
        assert_eq!(told(known(&before, &[1]), &other, &[2, 1]), changed);
        // Exchanged.
        let gone = told(known(&before, &[1]), &before, &[2]);
        assert!(gone[0].contains("cannot be compared"), "{gone:?}");
        // There was none; from now on there is.
        assert_eq!(told(known(&before, &[]), &other, &[1]), [""; 0]);
        assert_eq!(
            compare(known(&before, &[]), &other, &masters(&[1])).len(),
            1
        );
    }

    #[test]
    fn nothing_that_is_written_down_holds_a_secret() {
        let value = "canary-4711-secret";
        let known = known(&[secret("t", value)], &[1]);
        assert!(!format!("{known:?}").contains(value));
        let mark = known.settings[0].mark.clone().unwrap();
        assert!(
            !mark
                .windows(4)
                .any(|four| value.as_bytes().windows(4).any(|v| v == four))
        );
    }
}
