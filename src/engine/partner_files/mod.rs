//! Partners' files: fetched, kept as they came, checked whole, and then accepted or refused as a row.
//!
//! A file counts through its row and not before. The bytes are in the store before the row names them, so a
//! crash in between leaves a file that nobody speaks of, and the next look brings it again under the same
//! path. The same bytes are one file, however often and by whichever way they come. A refused file never takes
//! the place of an accepted one; a corrected one is the next version, and reconciling sees that by itself,
//! because the version is among its inputs.
//!
//! How one could break it: by reading rows of a file that was not checked to its end; by deciding by the
//! name or the time of a file whether it is another one.

mod another_day;
mod by_hand;
mod fetch;
mod receive;
mod refused_before;

pub use fetch::FetchReport;
pub use receive::Received;
pub(super) use receive::{Whole, blocking, check_file, digest_text, expect};

use super::{Alarm, AlarmKind, Engine, EngineError, Listing};
use crate::domain::exception::AlarmLevel;
use crate::domain::partner::{PartnerFile, PartnerName};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::files::{NoSuchProfile, ReadError};
use crate::output::{Objects, ObjectsError};
use crate::storage::partner_files::{self, Filter};
use crate::storage::{StoreError, partner_files as rows};
use crate::upstream::{FetchError, PartnerLink};
use uuid::Uuid;

/// Why something about files could not be done: a fault, of the disk, of the database, or of a setting.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// Storage failed.
    #[error("storage failed")]
    Store(#[from] StoreError),
    /// The store of files failed.
    #[error("the store of files failed (files.url)")]
    Objects(#[from] ObjectsError),
    /// A file could not be read.
    #[error("a partner's file cannot be read")]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error("a scratch file failed")]
    Disk(#[from] std::io::Error),
    /// A source failed.
    #[error("the file could not be fetched")]
    Fetch(#[from] FetchError),
    /// A partner's profile is not there.
    #[error("the profile of a partner cannot be used")]
    Profile(#[from] NoSuchProfile),
    /// There is nowhere to keep files.
    #[error("files are kept nowhere; name a place for them (files.url)")]
    NoStore,
    /// Nothing is known of such a partner.
    #[error("there is no partner {0} in the settings; see [partners.NAME]")]
    NoSuchPartner(PartnerName),
}

impl From<FileFault> for EngineError {
    fn from(fault: FileFault) -> Self {
        match fault {
            FileFault::Store(error) => EngineError::Store(error),
            FileFault::NoSuchPartner(_) | FileFault::NoStore => {
                let message = fault.to_string();
                EngineError::Refused(Refusal::new(RefusalCode::InvalidArgument, message))
            }
            other => {
                // One failure is logged once: whoever gets this only says that something failed.
                tracing::error!(error = %with_causes(&other), "files could not be worked on");
                EngineError::Store(StoreError::Refused(other.to_string()))
            }
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

impl Engine {
    /// A partner of the settings.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn partner(&self, name: &PartnerName) -> Result<&PartnerLink, FileFault> {
        let found = self.0.upstreams.partners().get(name);
        found.ok_or_else(|| FileFault::NoSuchPartner(name.clone()))
    }

    /// Where files are kept.
    ///
    /// # Errors
    /// Nowhere.
    pub(super) fn objects(&self) -> Result<&Objects, FileFault> {
        self.0.options.objects.as_ref().ok_or(FileFault::NoStore)
    }

    /// A page of partners' files, newest first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn partner_files(
        &self,
        filter: Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Listing<PartnerFile>, EngineError> {
        let read = move |c: &mut _| partner_files::list(c, &filter, after, limit + 1);
        Ok(Listing::cut(self.0.store.browse(read).await?, limit, false))
    }

    /// One file of a partner.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn partner_file(&self, file_id: Uuid) -> Result<Option<PartnerFile>, EngineError> {
        Ok(self.0.store.read(move |c| rows::find(c, file_id)).await?)
    }

    fn cry_about_file(&self, level: AlarmLevel, message: String) {
        self.0.alarms.raise(Alarm {
            level,
            kind: AlarmKind::PartnerFile,
            order_no: None,
            message,
        });
    }
}
