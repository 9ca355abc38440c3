//! The addresses of a statement's files, and links to them.

use super::Engine;
use crate::domain::money::Currency;
use crate::domain::named_enum;
use crate::domain::statement::{Party, PartyKind, Statement, StatementKey};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::links::{LinkError, LinkedTo};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What every address begins with.
const PREFIX: &str = "/statements/";

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
        self.link(LinkedTo::Statement, name, lasts)
    }
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
