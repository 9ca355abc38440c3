//! Takes a file over, whichever way it came.

use super::FileFault;
use crate::domain::audit::AuditEntry;
use crate::domain::exception::AlarmLevel;
use crate::domain::partner::{
    FileSum, FileSums, Partner, PartnerFile, PartnerFileState, PartnerName,
};
use crate::domain::progress::{Progress, Silent};
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, Engine};
use crate::files::{Checked, Expect, Limits, Profile, Refusal, Verdict, check};
use crate::storage::partner_files::{self, Kept};
use crate::storage::{StoreError, Tx};
use crate::upstream::Brought;
use chrono_tz::Tz;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::sync::Arc;
use uuid::Uuid;

/// What became of a file that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is a new version.
    New(PartnerFile),
    /// Its very bytes came before.
    Same(PartnerFile),
}

impl Received {
    /// The file, whichever it is.
    pub fn file(&self) -> &PartnerFile {
        match self {
            Received::New(file) | Received::Same(file) => file,
        }
    }
}

/// The bytes of a file, all of them, and what their SHA-256 has to be.
#[derive(Debug)]
pub(in crate::engine) struct Whole {
    file: File,
    /// In hex.
    pub sha256: String,
}

impl Whole {
    /// Takes a file over that is open.
    pub fn new(file: File, sha256: String) -> Self {
        Self { file, sha256 }
    }

    /// The bytes, from the first one on; one reader at a time.
    ///
    /// # Errors
    /// The disk failed.
    pub fn rewound(&self) -> std::io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

/// How often another replica may be first with a version.
const ROUNDS_MAX: u32 = 8;
/// A name of somebody else's is kept so long.
const NAME_CHARS_MAX: usize = 100;

/// Opens a file for its reader.
pub(in crate::engine) fn expect<'a>(
    partner: &Partner,
    date: BusinessDate,
    zone: Tz,
    digest: Option<&'a str>,
) -> Expect<'a> {
    Expect {
        business_date: date,
        currency: partner.currency,
        zone,
        digest,
        limits: Limits::default(),
    }
}

/// Looks at a whole file; blocks.
pub(in crate::engine) fn check_file(
    profile: &Profile,
    expect: &Expect<'_>,
    file: File,
    progress: &dyn Progress,
) -> Result<Result<Checked, Refusal>, std::io::Error> {
    match check(profile, expect, BufReader::new(file), progress)? {
        Verdict::Checked(checked) => Ok(Ok(checked)),
        Verdict::Refused(refusal) => Ok(Err(refusal)),
    }
}

impl Engine {
    /// Keeps, checks, and writes down what became of it.
    pub(super) async fn receive(
        &self,
        name: &PartnerName,
        date: BusinessDate,
        brought: Brought,
        actor: &Actor,
    ) -> Result<Received, FileFault> {
        let partner = self.partner(name)?.partner.clone();
        let objects = self.objects()?;
        let known = {
            let name = name.clone();
            let read = move |c: &mut _| partner_files::of(c, &name, date);
            self.0.store.read(read).await?
        };
        // What counts already is the same. A partner that goes back to what it sent earlier has corrected its
        // correction: that is a version like any other.
        let accepted = |file: &&PartnerFile| file.state == PartnerFileState::Accepted;
        let counts = known.iter().rfind(accepted);
        if let Some(same) = counts.filter(|file| file.sha256 == brought.sha256) {
            self.mark_again(same, &brought).await?;
            return Ok(Received::Same(same.clone()));
        }
        let refused = known
            .iter()
            .rfind(|file| file.state == PartnerFileState::Refused && file.sha256 == brought.sha256);
        let brought = Arc::new(brought);
        let judged = self.judge_file(&partner, date, &brought).await?;
        // One that was refused may be right by now: because its profile was.
        if let Some(same) = refused
            && judged.is_err()
        {
            self.mark_again(same, &brought).await?;
            return Ok(Received::Same(same.clone()));
        }
        let mut version = known.iter().map(|file| file.version).max().unwrap_or(0) + 1;
        for _ in 0..ROUNDS_MAX {
            let file = self.row_of(&partner, (date, version), (&brought, &judged), actor);
            objects.keep(&file.path, brought.file.path()).await?;
            let entry = self.told_of(&file, actor);
            let new = file.clone();
            let keep = move |tx: &mut Tx<'_>| {
                let kept = tx.keep_partner_file(&new)?;
                if kept == Kept::New {
                    tx.audit(entry.clone())?;
                }
                Ok(kept)
            };
            match self.0.store.solo(keep).await? {
                Kept::New => {
                    self.say(&file);
                    return Ok(Received::New(file));
                }
                Kept::Same(same) => return Ok(Received::Same(*same)),
                Kept::Taken => version += 1,
            }
        }
        Err(StoreError::GaveWay(format!("files of {name} for {date} come all the time")).into())
    }

    /// Remembers what the source says of the file by now, so that it is not brought again for that.
    async fn mark_again(&self, same: &PartnerFile, brought: &Brought) -> Result<(), FileFault> {
        if brought.mark.is_none() || brought.mark == same.mark {
            return Ok(());
        }
        let (file_id, mark) = (same.file_id, brought.mark.clone());
        let write = move |tx: &mut Tx<'_>| tx.mark_partner_file(file_id, mark.as_deref());
        Ok(self.0.store.solo(write).await?)
    }

    async fn judge_file(
        &self,
        partner: &Partner,
        date: BusinessDate,
        brought: &Arc<Brought>,
    ) -> Result<Result<Checked, Refusal>, FileFault> {
        if let Some(reason) = brought.contradiction() {
            return Ok(Err(Refusal { line: 0, reason }));
        }
        let file = File::open(brought.file.path())?;
        let whole = Arc::new(Whole::new(file, brought.sha256.clone()));
        self.judge_whole(partner, date, &whole).await
    }

    /// Looks at a whole file, wherever it lies; nothing is written down.
    pub(super) async fn judge_whole(
        &self,
        partner: &Partner,
        date: BusinessDate,
        whole: &Arc<Whole>,
    ) -> Result<Result<Checked, Refusal>, FileFault> {
        let profile = self.0.options.profiles.get(&partner.profile)?;
        let zone = self.0.options.day.zone;
        let judged = {
            let (profile, partner, whole) = (profile.clone(), partner.clone(), whole.clone());
            let check = move || {
                let digest = digest_text(&whole.sha256);
                let expect = expect(&partner, date, zone, Some(&digest));
                Ok(check_file(&profile, &expect, whole.rewound()?, &Silent)?)
            };
            blocking(check).await?
        };
        let Ok(checked) = judged else {
            return Ok(judged);
        };
        let odd = self.of_another_day((partner, date), &profile, checked, whole);
        Ok(match odd.await? {
            None => Ok(checked),
            Some(refusal) => Err(refusal),
        })
    }

    fn row_of(
        &self,
        partner: &Partner,
        (date, version): (BusinessDate, i32),
        (brought, judged): (&Brought, &Result<Checked, Refusal>),
        actor: &Actor,
    ) -> PartnerFile {
        let (sums, rows) = match judged {
            Ok(checked) => (sums_of(partner, checked), checked.totals.rows()),
            Err(_) => (FileSums::new(), 0),
        };
        let refusal = judged.as_ref().err();
        let digits: String = brought.sha256.chars().take(8).collect();
        let plain = plain_name(&brought.name);
        PartnerFile {
            file_id: Uuid::now_v7(),
            partner: partner.name.clone(),
            business_date: date,
            version,
            side: partner.covers.side(),
            profile: partner.profile.clone(),
            name: brought.name.chars().take(NAME_CHARS_MAX).collect(),
            path: format!(
                "partner/{}/{date}/v{version}.{digits}.{plain}",
                partner.name
            ),
            sha256: brought.sha256.clone(),
            bytes: i64::try_from(brought.bytes).unwrap_or(i64::MAX),
            row_count: i64::try_from(rows).unwrap_or(i64::MAX),
            sums,
            state: match refusal {
                None => PartnerFileState::Accepted,
                Some(_) => PartnerFileState::Refused,
            },
            line: refusal
                .filter(|refusal| refusal.line > 0)
                .map(|refusal| i64::try_from(refusal.line).unwrap_or(i64::MAX)),
            reason: refusal.map(|refusal| refusal.reason.clone()),
            mark: brought.mark.clone(),
            actor: actor.who.clone(),
            received_at: self.now(),
        }
    }

    fn told_of(&self, file: &PartnerFile, actor: &Actor) -> AuditEntry {
        let action = match file.state {
            PartnerFileState::Accepted => "PARTNER_FILE_ACCEPTED",
            PartnerFileState::Refused => "PARTNER_FILE_REFUSED",
        };
        let detail = match file.complaint() {
            Some(complaint) => complaint,
            None => format!("{} rows, sha256 {}", file.row_count, file.sha256),
        };
        AuditEntry {
            subject_kind: "PARTNER_FILE",
            subject: file.path.clone(),
            after: Some(file.state.as_str().to_owned()),
            detail: Some(detail),
            ..self.audit(file.received_at, actor, action)
        }
    }

    fn say(&self, file: &PartnerFile) {
        let (partner, date) = (&file.partner, file.business_date);
        metrics::counter!("payhall_partner_files_total", "state" => file.state.as_str())
            .increment(1);
        match file.complaint() {
            None => {
                tracing::info!(
                    %partner,
                    business_date = %date,
                    version = file.version,
                    rows = file.row_count,
                    "a partner's file was accepted"
                );
            }
            Some(complaint) => self.cry_about_file(
                AlarmLevel::Critical,
                format!(
                    "the file of {partner} for {date} is refused as a whole, {complaint}; ask the partner for a \
                     corrected one (docs/RUNBOOK.md)"
                ),
            ),
        }
    }
}

/// The digest as a file beside it says it.
pub(in crate::engine) fn digest_text(sha256: &str) -> String {
    format!("{sha256}\n")
}

/// A name of somebody else's as a part of a path of ours.
fn plain_name(name: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c,
        '-' | '.' => c,
        _ => '_',
    };
    let name: String = name.chars().take(NAME_CHARS_MAX).map(plain).collect();
    match name.trim_matches('.') {
        "" => "file".to_owned(),
        name => name.to_owned(),
    }
}

fn sums_of(partner: &Partner, checked: &Checked) -> FileSums {
    let each = checked.totals.each();
    each.map(|(kind, status, tally)| {
        let sum = FileSum {
            count: tally.rows,
            sum_minor: tally.amount_minor,
        };
        (format!("{} {kind} {status}", partner.currency), sum)
    })
    .collect()
}

/// Works with files, on a thread that may block.
pub(in crate::engine) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileFault> + Send + 'static,
) -> Result<T, FileFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn a_name_from_outside_is_no_path() {
        for (name, wanted) in [
            ("bank-20261122.csv", "bank-20261122.csv"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "file"),
            ("", "file"),
            ("账单 1.csv", "___1.csv"),
            (".hidden", "hidden"),
        ] {
            assert_eq!(plain_name(name), wanted);
        }
        assert_eq!(plain_name(&"a".repeat(300)).len(), 100);
    }
}
