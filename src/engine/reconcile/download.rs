//! The address of a result's file, a link to it, and the file behind it.

use crate::domain::reconciled::ReconciliationRun;
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::document::{Document, Held};
use crate::engine::links::{LinkError, LinkedTo};
use crate::engine::partner_files::FileFault;
use crate::engine::{Engine, EngineError};
use std::fmt;
use std::io::{Error, ErrorKind};
use std::time::Duration;

/// What every address begins with.
const PREFIX: &str = "/reconciliations/";
/// What every address ends with.
const PART: &str = "file";
/// How long a link lives.
const LINK_LASTS: Duration = Duration::from_secs(300);

/// The address of a result's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultName {
    /// The date that was reconciled.
    pub date: BusinessDate,
    /// The version of its result; none for the one that counts.
    pub version: Option<i32>,
}

impl ResultName {
    /// The address of the file of a certain result.
    pub fn of(run: &ReconciliationRun) -> Self {
        Self {
            date: run.business_date,
            version: Some(run.version),
        }
    }

    /// Reads a path, such as `/reconciliations/2026-11-22/2/file`. The version may be `latest`.
    pub fn read(path: &str) -> Option<Self> {
        let steps: Vec<&str> = path.strip_prefix(PREFIX)?.split('/').collect();
        let [date, version, PART] = steps.as_slice() else {
            return None;
        };
        Some(Self {
            date: BusinessDate(date.parse().ok()?),
            version: match *version {
                "latest" => None,
                number => Some(number.parse().ok().filter(|number| *number > 0)?),
            },
        })
    }
}

impl fmt::Display for ResultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date;
        match self.version {
            None => write!(f, "{PREFIX}{date}/latest/{PART}"),
            Some(version) => write!(f, "{PREFIX}{date}/{version}/{PART}"),
        }
    }
}

impl Engine {
    /// A link to the file of a result, and until when it counts.
    ///
    /// # Errors
    /// There is no master key.
    pub fn result_link(&self, name: &ResultName) -> Result<(String, Instant), LinkError> {
        self.link(LinkedTo::Reconciliation, name, LINK_LASTS)
    }

    /// The file that an address names; none where there is no such result. Whether the caller may have it
    /// was asked before.
    ///
    /// # Errors
    /// The database failed; or there is a result, and its file cannot be read or is of another length.
    pub async fn result_document(&self, name: &ResultName) -> Result<Option<Document>, FileFault> {
        let found = self.reconciliation(name.date, name.version).await;
        let Some(run) = found.map_err(unread)? else {
            return Ok(None);
        };
        let objects = self.objects()?;
        let bytes = objects.length(&run.file_path).await?;
        if u64::try_from(run.file_bytes) != Ok(bytes) {
            let words = format!(
                "{} has {bytes} bytes, and its result says {}",
                run.file_path, run.file_bytes
            );
            return Err(Error::new(ErrorKind::InvalidData, words).into());
        }
        let (date, version) = (run.business_date, run.version);
        Ok(Some(Document {
            file_name: format!("reconciliation-{date}-v{version}.csv"),
            media_type: "text/csv; charset=utf-8".to_owned(),
            sha256: run.file_sha256,
            bytes,
            held: Held::Object(objects.clone(), run.file_path),
        }))
    }
}

fn unread(error: EngineError) -> FileFault {
    match error {
        EngineError::Store(error) => FileFault::Store(error),
        other => FileFault::Disk(Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for path in [
            "/reconciliations/2026-11-22/2/file",
            "/reconciliations/2026-11-22/latest/file",
        ] {
            assert_eq!(ResultName::read(path).unwrap().to_string(), path);
        }
        for path in [
            "/reconciliations/",
            "/reconciliations/2026-11-22/2",
            "/reconciliations/2026-11-22/2/file/more",
            "/reconciliations/2026-11-31/2/file",
            "/reconciliations/2026-11-22/0/file",
            "/reconciliations/2026-11-22/2/workbook",
            "/statements/2026-11-22/2/file",
        ] {
            assert_eq!(ResultName::read(path), None, "{path}");
        }
    }
}
