//! Where partners' files come from: a URL, or a folder that somebody else drops them into.
//!
//! A source brings the bytes of one date, and the digest beside them, and nothing else: what they say, and
//! whether the two go together, is for `files` to read and for the engine to judge. "Not there yet" is an answer, not a failure. A file is brought into a scratch file on the
//! disk, piece by piece, so its size is nobody's memory; the digest is taken on the way.
//!
//! How one could break it: by bringing a file that is still being written; by taking a part for the whole
//! where a connection ended early; by letting a name from outside become a path of ours.

mod folder;
mod http;
mod scratch;
mod settings;

pub use scratch::ScratchFile;
pub use settings::PartnerSettings;

use crate::domain::partner::{Partner, PartnerName};
use crate::domain::time::BusinessDate;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file as a source brought it.
#[derive(Debug)]
pub struct Brought {
    /// As it is called there; only ever shown.
    pub name: String,
    /// Its bytes.
    pub file: ScratchFile,
    /// SHA-256 of them, hex.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
    /// What the source says of it (a tag, a size and a time), so that it is not brought twice.
    pub mark: Option<String>,
    /// The digest that lies beside it, where one does.
    pub beside: Option<Beside>,
}

/// A digest that lies beside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// As it is called there; only ever shown.
    pub name: String,
    /// What it says, in small letters; none where it is no digest at all.
    pub says: Option<String>,
}

impl Beside {
    /// Reads 64 hexadecimal digits, with a name behind them or not, as `sha256sum` writes them.
    pub fn read(name: impl Into<String>, text: &str) -> Self {
        let word = text.split_whitespace().next().unwrap_or_default();
        let is_digest = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
        Self {
            name: name.into(),
            says: is_digest.then(|| word.to_ascii_lowercase()),
        }
    }
}

impl Brought {
    /// What the digest beside it says against it, in words; none where it says nothing.
    pub fn contradiction(&self) -> Option<String> {
        let Beside { name, says } = self.beside.as_ref()?;
        let (file, found) = (&self.name, &self.sha256);
        let odd = match says {
            Some(says) if says == found => return None,
            Some(says) => format!("{name} says the SHA-256 {says}, and that of {file} is {found}"),
            None => format!(
                "{name} does not begin with 64 hexadecimal digits; the SHA-256 of {file} is {found}"
            ),
        };
        Some(format!(
            "{odd}: one of both is not whole or not the right one; whichever it is has to be sent again"
        ))
    }
}

/// What a source says of a date.
#[derive(Debug)]
pub enum Fetched {
    /// Here it is.
    File(Brought),
    /// There is none yet, or it is still being written.
    NotYet,
    /// It is the one that has this mark, which is known already; none where the source does not say which.
    Unchanged(Option<String>),
}

/// Why a source could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The other side did not give it.
    #[error("{0}")]
    Source(String),
    /// The other side gave no answer, or no whole one, and may have taken all of its time for that.
    #[error("{0}")]
    Silent(String),
    /// It is longer than any file may be.
    #[error("it is longer than {0} bytes (bytes_max)")]
    TooLong(u64),
    /// Our own disk failed.
    #[error("it cannot be kept on the disk")]
    Disk(#[source] std::io::Error),
}

/// A place that partners' files come from.
#[async_trait]
pub trait PartnerSource: Send + Sync {
    /// Looks for the file of a date, other than those that have one of the marks in `known`.
    async fn fetch(&self, date: BusinessDate, known: &[&str]) -> Result<Fetched, FetchError>;
}

/// A partner and where its files come from.
#[derive(Clone)]
pub struct PartnerLink {
    /// The partner.
    pub partner: Partner,
    /// Where its files come from; none where they are brought by hand only.
    pub source: Option<Arc<dyn PartnerSource>>,
}

/// All partners by name.
#[derive(Clone, Default)]
pub struct Partners(BTreeMap<PartnerName, PartnerLink>);

impl Partners {
    /// Takes partners over; each is found under its own name.
    pub fn new(links: impl IntoIterator<Item = PartnerLink>) -> Self {
        let named = links.into_iter();
        Self(named.map(|one| (one.partner.name.clone(), one)).collect())
    }

    /// The partners of the settings.
    ///
    /// # Errors
    /// The first whose HTTP client cannot be built.
    pub fn from_settings(
        settings: &BTreeMap<PartnerName, PartnerSettings>,
    ) -> Result<Self, super::UpstreamError> {
        let mut links = Vec::new();
        for (name, one) in settings {
            let source: Option<Arc<dyn PartnerSource>> = match (&one.url, &one.folder) {
                (Some(_), _) => Some(Arc::new(http::HttpSource::try_new(one)?)),
                (None, Some(folder)) => Some(Arc::new(folder::DropFolder::new(folder, one))),
                (None, None) => None,
            };
            links.push(PartnerLink {
                partner: one.partner(name.clone()),
                source,
            });
        }
        Ok(Self::new(links))
    }

    /// The partner of a name.
    pub fn get(&self, name: &PartnerName) -> Option<&PartnerLink> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PartnerLink> {
        self.0.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a date into a URL or the pattern of a name: `{date}` becomes `2026-11-22`, `{yyyymmdd}` becomes
/// `20261122`.
fn dated(text: &str, date: BusinessDate) -> String {
    text.replace("{date}", &date.to_string())
        .replace("{yyyymmdd}", &date.digits())
}

/// Whether a text has a place for the date.
fn has_date(text: &str) -> bool {
    text.contains("{date}") || text.contains("{yyyymmdd}")
}

#[cfg(test)]
mod tests;
