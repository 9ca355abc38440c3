//! The settings in force, written down at each start: what has changed since the last one leaves an audit
//! row each, with the value before and after.
//!
//! All of it is one transaction, which takes the known settings before it reads them: replicas that start
//! at once come one after the other, however many they are. To compare first and to write only where
//! nobody else had written meanwhile was tried: of ten replicas the last lost every time.
//!
//! What is a replica's own, such as the address that it listens on, is another one at each of them. It is
//! compared with all that any replica ever had: a value that none had before has its row, and replicas
//! that start in turn tell nothing new of each other.
//!
//! Of a secret only what may be shown is written, and a mark by the master key that tells whether it is
//! another one; nobody who reads the database can try what fits. Without a master key there are no marks,
//! and of secrets only what may be shown is compared.

use crate::domain::audit::AuditEntry;
use crate::domain::time::Instant;
use crate::storage::settings::{KnownSetting, KnownSettings};
use crate::storage::{Store, StoreError, Tx};
use crate::trust::Masters;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// Whose a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The center's: all replicas should have the same.
    Center,
    /// A replica's own: others have others.
    Replica,
}

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct SettingInForce {
    /// Where it stands, such as `polling.batch`; no other has the same.
    pub path: String,
    /// What may be shown of its value.
    pub shown: String,
    /// The value, where it is not shown whole.
    pub secret: Option<SecretString>,
    /// Whose it is.
    pub whose: Whose,
}

/// Writes the settings down; how many have changed. `instance` is the run of the program that has them.
///
/// # Errors
/// Storage failed.
pub async fn record_settings(
    store: &Store,
    masters: &Masters,
    in_force: Vec<SettingInForce>,
    (instance, now): (&str, Instant),
) -> Result<usize, StoreError> {
    let marked = |setting| Marked::new(setting, masters);
    let in_force: Vec<Marked> = in_force.into_iter().map(marked).collect();
    let instance = instance.to_owned();
    let work = move |tx: &mut Tx<'_>| {
        let changes = compare(tx.take_settings()?, &in_force);
        write(tx, &changes, (&instance, now))
    };
    store.solo(work).await
}

/// Writes the changes; how many are told.
fn write(
    tx: &mut Tx<'_>,
    changes: &[Change],
    (instance, now): (&str, Instant),
) -> Result<usize, StoreError> {
    if changes.is_empty() {
        return Ok(0);
    }
    tx.count_settings()?;
    let mut told = 0;
    for change in changes {
        match &change.after {
            Some(setting) => tx.keep_setting(setting)?,
            None => tx.forget_setting(&change.subject)?,
        }
        if let Some(entry) = change.entry(instance, now) {
            tx.audit(entry)?;
            told += 1;
        }
    }
    Ok(told)
}

/// A setting in force, and the marks that each master key makes of its secret: the current one's first,
/// none where there is no secret. The secret itself goes no further.
#[derive(Clone, Debug)]
struct Marked {
    path: String,
    shown: String,
    whose: Whose,
    is_secret: bool,
    marks: Vec<(String, Vec<u8>)>,
}

impl Marked {
    fn new(setting: SettingInForce, masters: &Masters) -> Self {
        let marks = setting.secret.as_ref().map(|secret| {
            let marks = masters.marks(&setting.path, secret.expose_secret().as_bytes());
            let owned = |(master, mark): (&str, [u8; 32])| (master.to_owned(), mark.to_vec());
            marks.into_iter().map(owned).collect()
        });
        Self {
            is_secret: setting.secret.is_some(),
            path: setting.path,
            shown: setting.shown,
            whose: setting.whose,
            marks: marks.unwrap_or_default(),
        }
    }

    /// What it is known by: a replica's own by its value as well, so that each value is there once.
    fn known_as(&self) -> String {
        match self.whose {
            Whose::Center => self.path.clone(),
            Whose::Replica => format!("{}{}", self.own_prefix(), self.shown),
        }
    }

    /// What a replica's own is known by begins with this; no path has a place within such a one.
    fn own_prefix(&self) -> String {
        format!("{} = ", self.path)
    }

    /// Whether something that is known is a value of this one at another replica.
    fn is_elsewhere(&self, known_as: &str) -> bool {
        self.whose == Whose::Replica && known_as.starts_with(&self.own_prefix())
    }
}

/// What has become of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// The setting's path.
    subject: String,
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
            subject: self.subject.clone(),
            before: self.before.clone(),
            after: self.after.as_ref().map(|setting| setting.shown.clone()),
            detail: Some(words.collect::<Vec<_>>().join("; ")),
            request_id: None,
        })
    }
}

fn compare(known: KnownSettings, in_force: &[Marked]) -> Vec<Change> {
    let known = known.settings.into_iter();
    let mut known: BTreeMap<String, KnownSetting> =
        known.map(|one| (one.path.clone(), one)).collect();
    let mut changes: Vec<Change> = in_force
        .iter()
        .filter_map(|setting| {
            let before = known.remove(&setting.known_as());
            change(before.as_ref(), setting)
        })
        .collect();
    let is_gone = |one: &KnownSetting| !in_force.iter().any(|own| own.is_elsewhere(&one.path));
    let gone = known.into_values().filter(is_gone);
    changes.extend(gone.map(|gone| Change {
        subject: gone.path,
        action: Some("REMOVED"),
        before: Some(gone.shown),
        after: None,
        words: None,
    }));
    changes
}

fn change(before: Option<&KnownSetting>, setting: &Marked) -> Option<Change> {
    let current = setting.marks.first();
    let after = KnownSetting {
        path: setting.known_as(),
        shown: setting.shown.clone(),
        master: current.map(|(master, _)| master.clone()),
        mark: current.map(|(_, mark)| mark.clone()),
    };
    let Some(before) = before else {
        return Some(Change {
            subject: setting.path.clone(),
            action: Some("SET"),
            before: None,
            after: Some(after),
            words: (setting.whose == Whose::Replica).then_some("no replica had it before"),
        });
    };
    let words = secret_change(before, setting);
    let action = (before.shown != after.shown || words.is_some()).then_some("CHANGED");
    (*before != after).then(|| Change {
        subject: setting.path.clone(),
        action,
        before: Some(before.shown.clone()),
        after: Some(after),
        words,
    })
}

/// What is to be said of a secret that is not the one that was marked.
fn secret_change(before: &KnownSetting, setting: &Marked) -> Option<&'static str> {
    let (master, mark) = before.master.as_ref().zip(before.mark.as_ref())?;
    if !setting.is_secret {
        return None;
    }
    match setting.marks.iter().find(|(name, _)| name == master) {
        Some((_, same)) if same == mark => None,
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
            whose: Whose::Center,
        }
    }

    fn own(path: &str, shown: &str) -> SettingInForce {
        SettingInForce {
            whose: Whose::Replica,
            ..plain(path, shown)
        }
    }

    fn secret(path: &str, value: &str) -> SettingInForce {
        SettingInForce {
            secret: Some(SecretString::from(value)),
            ..plain(path, "***")
        }
    }

    fn changes(known: KnownSettings, in_force: &[SettingInForce], by: &[u8]) -> Vec<Change> {
        let masters = masters(by);
        let marked = |one: &SettingInForce| Marked::new(one.clone(), &masters);
        let in_force: Vec<Marked> = in_force.iter().map(marked).collect();
        compare(known, &in_force)
    }

    /// What was written down by a center with these settings and master keys.
    fn known(in_force: &[SettingInForce], by: &[u8]) -> KnownSettings {
        let nothing = KnownSettings {
            version: 0,
            settings: Vec::new(),
        };
        let changes = changes(nothing, in_force, by).into_iter();
        KnownSettings {
            version: 1,
            settings: changes.filter_map(|change| change.after).collect(),
        }
    }

    /// What is told of a start with other settings: path, action, words.
    fn told(known: KnownSettings, in_force: &[SettingInForce], by: &[u8]) -> Vec<String> {
        let changes = changes(known, in_force, by).into_iter();
        let told = changes.filter_map(|change| {
            let words = change.words.unwrap_or_default();
            Some(format!("{} {} {words}", change.subject, change.action?))
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
        assert_eq!(changes(known(&before, &[]), &other, &[1]).len(), 1);
    }

    #[test]
    fn a_replica_s_own_is_told_where_no_replica_had_it_before() {
        let both = [own("l", "1"), own("l", "2"), plain("a", "1")];
        let one = [own("l", "1"), plain("a", "1")];
        assert_eq!(told(known(&both, &[]), &one, &[]), [""; 0]);
        assert_eq!(told(known(&one, &[]), &one, &[]), [""; 0]);
        let two = [own("l", "2"), plain("a", "1")];
        let first_time = ["l SET no replica had it before"];
        assert_eq!(told(known(&one, &[]), &two, &[]), first_time);
        // What stands below another path is another setting.
        let longer = [plain("l 2", "1"), plain("a", "1")];
        let gone = told(known(&longer, &[]), &one, &[]);
        assert!(gone.contains(&"l 2 REMOVED ".to_owned()), "{gone:?}");
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
