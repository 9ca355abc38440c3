//! The addresses of a statement's files, and links to them that live for some minutes.
//!
//! A link carries a mark by the master key over the address and the time until which it counts. Nobody
//! without that key makes one, and a mark for one file opens no other.

use super::Engine;
use crate::domain::exception::later;
use crate::domain::money::Currency;
use crate::domain::named_enum;
use crate::domain::statement::{Party, PartyKind, Statement, StatementKey};
use crate::domain::time::{BusinessDate, Instant};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// What every address begins with.
const PREFIX: &str = "/statements/";
/// What the marks belong to.
const MARKED: &str = "statement-link";

named_enum! {
    /// Which of a statement's files.
    pub enum Part {
        /// The file for programs.
        File = "file",
        /// The workbook for people.
        Workbook = "workbook",
        /// The signed sidecar.
        Sidecar = "sidecar",
    }
}

/// The address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentName {
    /// Which statement.
    pub key: StatementKey,
    /// Its version; none for the last one.
    pub version: Option<i32>,
    /// Which of its files.
    pub part: Part,
}

/// Why there is no link, or a link does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is nothing to mark it with.
    #[error("there are no links without a master key (keys.master)")]
    NoMaster,
    /// Its time is over.
    #[error("the link's time is over; ask for another one")]
    Over,
    /// It is not a link of ours, or not for this file.
    #[error("the link is not right")]
    Wrong,
}

impl DocumentName {
    /// The address of a file of a certain version.
    pub fn of(statement: &Statement, part: Part) -> Self {
        Self {
            key: statement.key.clone(),
            version: Some(statement.version),
            part,
        }
    }

    /// Reads a path, such as `/statements/merchant/portal/2026-11-22/CNY/2/file`. The version may be
    /// `latest`.
    pub fn read(path: &str) -> Option<Self> {
        let steps: Vec<&str> = path.strip_prefix(PREFIX)?.split('/').collect();
        let [kind, code, date, currency, version, part] = steps.as_slice() else {
            return None;
        };
        let kind = match *kind {
            "merchant" => PartyKind::Merchant,
            "biller" => PartyKind::Biller,
            _ => return None,
        };
        Some(Self {
            key: StatementKey {
                party: Party {
                    kind,
                    code: (*code).to_owned(),
                },
                date: BusinessDate(date.parse().ok()?),
                currency: Currency::try_new(currency).ok()?,
            },
            version: match *version {
                "latest" => None,
                number => Some(number.parse().ok().filter(|number| *number > 0)?),
            },
            part: Part::from_str(part).ok()?,
        })
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StatementKey {
            party,
            date,
            currency,
        } = &self.key;
        let kind = party.kind.as_str().to_ascii_lowercase();
        let code = &party.code;
        let version = self.version.map(|number| number.to_string());
        let version = version.as_deref().unwrap_or("latest");
        write!(
            f,
            "{PREFIX}{kind}/{code}/{date}/{currency}/{version}/{}",
            self.part
        )
    }
}

impl Engine {
    /// A link to a file, and until when it counts.
    ///
    /// # Errors
    /// There is no master key.
    pub fn statement_link(&self, name: &DocumentName) -> Result<(String, Instant), LinkError> {
        let rules = self.0.options.statements.as_ref();
        let lasts = rules.map_or(Duration::ZERO, |rules| rules.link_lasts);
        let until = later(self.now(), lasts);
        let address = name.to_string();
        let marks = self
            .0
            .masters
            .marks(MARKED, &marked(&address, until.timestamp()));
        let (_, mark) = marks.first().ok_or(LinkError::NoMaster)?;
        let mark = crate::domain::audit::hex(mark);
        let seconds = until.timestamp();
        Ok((format!("{address}?until={seconds}&mark={mark}"), until))
    }

    /// Whether a link to an address counts; `query` is what stands behind the question mark.
    ///
    /// # Errors
    /// It does not.
    pub fn check_statement_link(&self, address: &str, query: &str) -> Result<(), LinkError> {
        let mut until = None;
        let mut mark = None;
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("until", value)) if until.is_none() => until = Some(value),
                Some(("mark", value)) if mark.is_none() => mark = Some(value),
                _ => return Err(LinkError::Wrong),
            }
        }
        let seconds: i64 = until
            .and_then(|until| until.parse().ok())
            .ok_or(LinkError::Wrong)?;
        let mark = mark.ok_or(LinkError::Wrong)?;
        let wanted = self.0.masters.marks(MARKED, &marked(address, seconds));
        // All of them are compared, each in the same time.
        let is_ours = wanted.iter().fold(false, |found, (_, wanted)| {
            let wanted = crate::domain::audit::hex(wanted);
            found | bool::from(wanted.as_bytes().ct_eq(mark.as_bytes()))
        });
        if !is_ours {
            return Err(LinkError::Wrong);
        }
        if self.now().timestamp() >= seconds {
            return Err(LinkError::Over);
        }
        Ok(())
    }
}

fn marked(address: &str, until: i64) -> Vec<u8> {
    format!("{until}\n{address}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for path in [
            "/statements/merchant/portal/2026-11-22/CNY/2/file",
            "/statements/biller/sh.power_1/2026-11-22/CNY/latest/sidecar",
            "/statements/merchant/../2026-11-22/CNY/1/workbook",
        ] {
            let name = DocumentName::read(path).unwrap();
            assert_eq!(name.to_string(), path);
        }
        for path in [
            "/statements/",
            "/statements/merchant/portal/2026-11-22/CNY/2",
            "/statements/merchant/portal/2026-11-22/CNY/2/file/more",
            "/statements/portal/portal/2026-11-22/CNY/2/file",
            "/statements/merchant/portal/2026-11-31/CNY/2/file",
            "/statements/merchant/portal/2026-11-22/XX/2/file",
            "/statements/merchant/portal/2026-11-22/CNY/0/file",
            "/statements/merchant/portal/2026-11-22/CNY/2/other",
        ] {
            assert_eq!(DocumentName::read(path), None, "{path}");
        }
    }
}
