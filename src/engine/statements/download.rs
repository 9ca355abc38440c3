//! Finds the file that somebody asks for. A file that is not there yet is another answer than one that there
//! will never be: it has a time at which to ask again.

use super::links::Part;
use super::{DocumentName, Engine, StatementError, work_of};
use crate::domain::statement::Statement;
use crate::engine::document::{Document, Held};
use crate::storage::{business_days, statements};
use chrono::TimeDelta;

/// How long to wait where a file is late.
const LATE_S: i64 = 600;

/// What was found.
#[derive(Debug)]
pub enum FoundDocument {
    /// The file.
    There(Box<Document>),
    /// Not yet; ask again after so many seconds.
    NotReady {
        /// From now on.
        retry_after_s: u64,
    },
    /// There is none.
    None,
}

impl Engine {
    /// The file that an address names. Whether the caller may have it was asked before.
    ///
    /// # Errors
    /// The database or the store of files failed.
    pub async fn statement_document(
        &self,
        name: &DocumentName,
    ) -> Result<FoundDocument, StatementError> {
        let (key, version) = (name.key.clone(), name.version);
        let read = move |c: &mut _| statements::find(c, &key, version);
        match self.0.store.read(read).await? {
            Some(statement) => self.document_of(statement, name.part).await,
            None => self.none_of(name).await,
        }
    }

    async fn document_of(
        &self,
        statement: Statement,
        part: Part,
    ) -> Result<FoundDocument, StatementError> {
        let objects = self.statement_rules()?.objects.clone();
        let kept = match part {
            Part::File => statement.file,
            Part::Workbook => match statement.xlsx {
                Some(workbook) => workbook,
                None => return Ok(FoundDocument::None),
            },
            Part::Sidecar => {
                let bytes = objects.read(&statement.sidecar_object).await?;
                return Ok(FoundDocument::There(Box::new(Document {
                    file_name: last_step(&statement.sidecar_object),
                    media_type: "application/json".to_owned(),
                    sha256: statement.sidecar_sha256,
                    bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                    held: Held::Here(bytes),
                })));
            }
        };
        let media_type = match part {
            Part::Workbook => {
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet".to_owned()
            }
            Part::File | Part::Sidecar => statement.media_type,
        };
        Ok(FoundDocument::There(Box::new(Document {
            file_name: last_step(&kept.object),
            media_type,
            sha256: kept.sha256,
            bytes: u64::try_from(kept.bytes).unwrap_or(0),
            held: Held::Object(objects, kept.object),
        })))
    }

    /// Whether a file that is not there will be. Nobody is told of a day that is still to come, nor of a
    /// version that is.
    async fn none_of(&self, name: &DocumentName) -> Result<FoundDocument, StatementError> {
        let (date, kind) = (name.key.date, name.key.party.kind);
        let now = self.now();
        if date > self.0.options.day.date_of(now) || name.version.is_some_and(|number| number > 1) {
            return Ok(FoundDocument::None);
        }
        let read = move |c: &mut _| {
            let is_worked = business_days::is_worked(c, date, work_of(kind))?;
            Ok((business_days::first_closed(c)?, is_worked))
        };
        let (first_closed, is_worked) = self.0.store.read(read).await?;
        if is_worked || first_closed.is_some_and(|first| date < first) {
            return Ok(FoundDocument::None);
        }
        let ready_at = self.statement_rules()?.ready_at;
        let since_midnight = ready_at - chrono::NaiveTime::MIN;
        let ready = self.0.options.day.end_of(date) + since_midnight;
        let wait = (ready - now).max(TimeDelta::seconds(LATE_S)).num_seconds();
        Ok(FoundDocument::NotReady {
            retry_after_s: u64::try_from(wait).unwrap_or(0),
        })
    }
}

fn last_step(object: &str) -> String {
    object.rsplit('/').next().unwrap_or(object).to_owned()
}
