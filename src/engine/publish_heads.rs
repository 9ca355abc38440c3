//! 审计链头公布: the heads of all audit chains, written once a day into a folder that the database's
//! administrator cannot change, and signed by the center.
//!
//! What stood in a chain when its head was published cannot be changed afterwards without showing. So the
//! file is never written over: the same date has the same file, and where something else stands under
//! its name, the next version is published beside it and an alarm is raised.
//!
//! A clock that was ahead for a while publishes for dates that have not ended. When such a date has ended,
//! our own file has its name, and the next version is published beside that. It is known by more rows in
//! the file of an earlier date, which was published later then, or by the time of its reading, which is
//! still to come. One that is known by neither stands for its night, which is then like a missed one.
//!
//! A missed night needs no file of its own: the heads of the next night hold its rows too. What is behind
//! those that were published last has been cut off, and is told at once.

use super::operators::end_counting;
use super::{Actor, Alarm, AlarmKind, CenterKey, Engine, EngineError};
use crate::domain::audit::AuditEntry;
use crate::domain::audit_heads::{
    Head, Heads, HeadsFile, HeadsSignature, Previous, file_name, read, read_name, sha256, write,
};
use crate::domain::exception::AlarmLevel;
use crate::domain::time::BusinessDate;
use crate::output::{OutputError, OutputFolder, Published};
use crate::storage::{StoreError, audit};
use crate::trust::{PublicKey, SignatureFault, document_is_signed_by, sign_document};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// A file that was read so much later than now was read by a clock that was ahead.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// How often a name that was taken is looked at again.
const ROUNDS_MAX: u32 = 8;

/// What was published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeadsReport {
    /// The file; none where no folder is named (`output.dir`).
    pub file: Option<String>,
    /// Whether it was there already.
    pub was_there: bool,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// How many chains it tells of.
    pub streams: usize,
    /// How many rows they have.
    pub rows: i64,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is nothing to sign with.
    #[error("there is no key to sign with: name a master key (keys.master), or empty output.dir")]
    NoKey,
    /// The key cannot be used.
    #[error("the heads cannot be signed")]
    NotSigned(#[from] SignatureFault),
    /// The folder cannot be used.
    #[error("the folder of published files cannot be used (output.dir)")]
    Output(#[from] OutputError),
    /// Storage failed.
    #[error("storage failed")]
    Store(#[from] StoreError),
    /// A verb of the engine failed.
    #[error("the center's keys cannot be read")]
    Engine(#[from] EngineError),
    /// The heads cannot be written as text.
    #[error("the heads cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Others publish all the time.
    #[error("the file's name is taken whenever it is looked at")]
    Busy,
}

/// What a folder holds when it is looked at.
struct Found {
    /// The file that was published last, and its bytes.
    last: Option<(String, Vec<u8>)>,
    /// The last one of an earlier date.
    earlier: Option<(String, Vec<u8>)>,
    /// The version that a file of the date would have.
    next_version: u32,
}

/// What stands under the name of a date.
enum OfDate {
    /// Nothing, or what is not ours.
    None,
    /// Our file.
    Ours(HeadsReport),
    /// Our file, from before the date had ended.
    Early,
}

impl Engine {
    /// Publishes the heads under the business date that ended last, if that date has none yet. That it
    /// cannot be done is an alarm.
    ///
    /// # Errors
    /// There is no key, the folder cannot be used, or storage failed. It may be done again.
    pub async fn publish_heads(&self, actor: &Actor) -> Result<HeadsReport, PublishError> {
        let published = self.publish_due(actor).await;
        if let Err(error) = &published {
            self.alarm(format!(
                "the heads of the audit trail could not be published: {error}; until they are, whoever \
                 holds the database may cut off what came since the last ones"
            ));
        }
        published
    }

    async fn publish_due(&self, actor: &Actor) -> Result<HeadsReport, PublishError> {
        end_counting(&self.0.store, self.now()).await?;
        let Some(folder) = self.0.options.output.clone() else {
            tracing::warn!("the heads of the audit trail are not published: output.dir is empty");
            return Ok(HeadsReport::default());
        };
        self.refresh_center_key().await?;
        let key = self.center_key().ok_or(PublishError::NoKey)?;
        let today = self.0.options.day.date_of(self.now());
        let date = BusinessDate(today.0.pred_opt().unwrap_or(today.0));
        for _ in 0..ROUNDS_MAX {
            let mut found = look(&folder, date).await?;
            match self.of_date(date, &found).await? {
                OfDate::Ours(report) => {
                    self.tell_published(&report, actor).await?;
                    return Ok(report);
                }
                OfDate::Early => found.last = found.earlier.take(),
                OfDate::None => {}
            }
            if let Some(report) = self.publish(&folder, date, found, &key).await? {
                self.tell_published(&report, actor).await?;
                return Ok(report);
            }
        }
        Err(PublishError::Busy)
    }

    /// The file of this date, where it is there and ours. Another thing under its name is told of.
    async fn of_date(&self, date: BusinessDate, found: &Found) -> Result<OfDate, PublishError> {
        let Some((name, bytes)) = &found.last else {
            return Ok(OfDate::None);
        };
        if read_name(name).is_none_or(|(named, _)| named != date) {
            return Ok(OfDate::None);
        }
        let why = match read(bytes) {
            Ok(file) if file.heads.business_date != date => "it is about another date".to_owned(),
            Ok(file) if self.is_ours(&file).await? => {
                if self.is_early(&file.heads, found.earlier.as_ref()).await? {
                    tracing::warn!(
                        file = %name,
                        "a file of heads was published before its date had ended: a clock was ahead. It \
                         stays as it is, and another version is published beside it"
                    );
                    return Ok(OfDate::Early);
                }
                return Ok(OfDate::Ours(HeadsReport {
                    was_there: true,
                    ..report(name, bytes, &file.heads)
                }));
            }
            Ok(_) => "it is not signed by a key of this center".to_owned(),
            Err(error) => error.to_string(),
        };
        self.alarm(format!(
            "{name} is not what this center would publish: {why}. It stays as it is, and another \
             version is published beside it: find out who wrote it"
        ));
        Ok(OfDate::None)
    }

    /// Whether a file of ours was published by a clock that was ahead. Where rows were cut off, a file
    /// has fewer rows than those of earlier dates for another reason, and the next would have as few.
    async fn is_early(
        &self,
        heads: &Heads,
        earlier: Option<&(String, Vec<u8>)>,
    ) -> Result<bool, PublishError> {
        if heads.read_at > self.now() + AHEAD {
            return Ok(true);
        }
        let Some(Ok(earlier)) = earlier.map(|(_, bytes)| read(bytes)) else {
            return Ok(false);
        };
        if earlier.heads.rows <= heads.rows || !self.is_ours(&earlier).await? {
            return Ok(false);
        }
        let ends = self.0.store.browse(audit::ends).await?;
        let rows: i64 = ends.iter().map(|end| end.seq).sum();
        Ok(rows >= earlier.heads.rows)
    }

    async fn is_ours(&self, file: &HeadsFile) -> Result<bool, PublishError> {
        let Ok(signature) = STANDARD.decode(&file.signature.value) else {
            return Ok(false);
        };
        let keys = self.published_keys().await?.into_iter();
        let mut keys = keys.filter(|key| key.key_id.as_str() == file.signature.key_id);
        Ok(keys.any(|key| {
            let key = PublicKey::from_der(key.algorithm, &key.public_key);
            key.is_ok_and(|key| document_is_signed_by(&key, &file.payload, &signature))
        }))
    }

    /// Reads, signs and writes; none where somebody else took the name meanwhile.
    async fn publish(
        &self,
        folder: &OutputFolder,
        date: BusinessDate,
        found: Found,
        key: &Arc<CenterKey>,
    ) -> Result<Option<HeadsReport>, PublishError> {
        let ends = self.0.store.browse(audit::ends).await?;
        let rows = ends.iter().map(|end| end.seq).sum();
        let mut heads = Heads::new(date, self.now(), rows);
        heads.streams = ends.iter().map(Head::from).collect();
        heads.streams.sort_by(|a, b| a.stream.cmp(&b.stream));
        if let Some((name, bytes)) = &found.last {
            self.compare(name, bytes, &heads);
            heads.previous = Some(Previous {
                file: name.clone(),
                sha256: sha256(bytes),
            });
        }
        let payload = heads.payload()?;
        let signature = HeadsSignature {
            key_id: key.key_id.to_string(),
            algorithm: key.private.algorithm(),
            value: STANDARD.encode(sign_document(&key.private, &payload)?),
        };
        let bytes = write(&payload, &signature)?;
        let name = file_name(date, found.next_version);
        let report = report(&name, &bytes, &heads);
        let (folder, writer) = (folder.clone(), self.instance().to_owned());
        let published = on_disk(move || folder.publish(&name, &bytes, &writer)).await?;
        Ok(match published {
            Published::New | Published::Same => Some(report),
            Published::Taken => None,
        })
    }

    /// Tells of chains that are shorter than they were when they were published last, or other ones.
    fn compare(&self, name: &str, bytes: &[u8], heads: &Heads) {
        let Ok(last) = read(bytes) else {
            return;
        };
        let now: HashMap<&str, &Head> = heads
            .streams
            .iter()
            .map(|head| (head.stream.as_str(), head))
            .collect();
        let is_behind = |before: &&Head| match now.get(before.stream.as_str()) {
            Some(head) => {
                head.seq < before.seq || head.seq == before.seq && head.hash != before.hash
            }
            None => true,
        };
        let behind: Vec<&Head> = last.heads.streams.iter().filter(is_behind).collect();
        if let Some(first) = behind.first() {
            self.alarm(format!(
                "{} audit chains are not what {name} tells of them, the first is {}: rows were cut off \
                 or written anew; run `payhall audit verify`",
                behind.len(),
                first.stream
            ));
        }
    }

    /// The audit row of a file, once: also where the program ended between the file and its row.
    async fn tell_published(
        &self,
        report: &HeadsReport,
        actor: &Actor,
    ) -> Result<(), PublishError> {
        let Some(name) = report.file.clone() else {
            return Ok(());
        };
        let entry = AuditEntry {
            subject_kind: "AUDIT",
            subject: name.clone(),
            after: report.sha256.clone(),
            detail: Some(format!("{} chains, {} rows", report.streams, report.rows)),
            ..self.audit(self.now(), actor, audit::HEADS_PUBLISHED)
        };
        let told = move |tx: &mut crate::storage::Tx<'_>| {
            if audit::about(tx.c, &name)?.is_empty() {
                tx.audit(entry.clone())?;
            }
            Ok(())
        };
        Ok(self.0.store.solo(told).await?)
    }

    fn alarm(&self, message: String) {
        self.0.alarms.raise(Alarm {
            level: AlarmLevel::Critical,
            kind: AlarmKind::AuditTrail,
            order_no: None,
            message,
        });
    }
}

async fn look(folder: &OutputFolder, date: BusinessDate) -> Result<Found, PublishError> {
    let folder = folder.clone();
    let look = move || {
        let mut names = folder.names(|name| read_name(name).is_some())?;
        names.sort_by_key(|name| read_name(name));
        // What a clock that was ahead published for later dates is not before this one.
        names.retain(|name| read_name(name).is_some_and(|(named, _)| named <= date));
        let of_date = names.iter().filter_map(|name| read_name(name));
        let versions = of_date.filter(|(named, _)| *named == date);
        let next_version = versions.map(|(_, version)| version).max().unwrap_or(0) + 1;
        let is_earlier = |name: &&String| read_name(name).is_some_and(|(named, _)| named < date);
        let earlier = names.iter().rfind(is_earlier).cloned();
        let open = |name: String| folder.read(&name).map(|bytes| (name, bytes));
        Ok(Found {
            earlier: earlier.map(open).transpose()?,
            last: names.pop().map(open).transpose()?,
            next_version,
        })
    };
    on_disk(look).await
}

/// Does something with files, on a thread that may block.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OutputError> + Send + 'static,
) -> Result<T, PublishError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| StoreError::Unavailable(error.to_string()))??)
}

fn report(name: &str, bytes: &[u8], heads: &Heads) -> HeadsReport {
    HeadsReport {
        file: Some(name.to_owned()),
        was_there: false,
        sha256: Some(sha256(bytes)),
        streams: heads.streams.len(),
        rows: heads.rows,
    }
}
