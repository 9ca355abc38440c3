//! Takes regions, billers and items over from CSV files: all of them or nothing.
//!
//! Two steps. [`read_catalogue`] turns the files into records and tells everything that is wrong
//! with them at once, each thing with file, line, column and reason; it touches no database.
//! [`import`] writes what came out of it in one transaction with one audit row. What a file does
//! not name stays as it is: nothing is deleted by leaving it out (an item is switched off by its
//! column `enabled`), so importing the same files again changes nothing.
//!
//! A file holds records of one kind, told by its column `kind`; a header row names the columns, in
//! any order. It is UTF-8, with or without a byte order mark, as a spreadsheet writes it.
//!
//! How one could break it: by a check in [`import`], where the first mistake would hide the others;
//! by writing a part of the records.

mod cells;
mod contracts;
mod items;
mod records;
mod regions;
mod sheet;
#[cfg(test)]
mod tests;

use super::Actor;
use crate::domain::audit::AuditEntry;
use crate::domain::catalogue::{Catalogue, CatalogueParts};
use crate::domain::ids::AdapterName;
use crate::domain::time::Instant;
use crate::storage::{Store, StoreError, catalogue};
use records::Reader;
use serde::Serialize;
use sheet::Problems;
use std::fmt;
use std::sync::Arc;

/// A file that is to be imported.
#[derive(Clone, Debug)]
pub struct ImportFile {
    /// How the file is called in messages.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// One thing that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportProblem {
    /// The file's name.
    pub file: String,
    /// The line, from 1, the header included; 0 where no file is meant.
    pub line: usize,
    /// The column; none where the whole line or file is meant.
    pub column: Option<String>,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}: ", self.file)?,
        }
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// Files that cannot be imported: everything that is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<ImportProblem>,
    /// How many problems there are beyond those that are listed.
    pub more: usize,
}

impl std::error::Error for ImportError {}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let line_break = if place > 0 { "\n" } else { "" };
            write!(f, "{line_break}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// What an import wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The version of the catalogue from now on.
    pub version: i64,
    /// Regions in the files.
    pub regions: usize,
    /// Billers in the files.
    pub billers: usize,
    /// Items in the files.
    pub items: usize,
    /// Contracts in the files.
    pub contracts: usize,
    /// Closed days on which other fees are in force than before. They are stated and summed up again.
    pub stated_again: usize,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            regions,
            billers,
            items,
            contracts,
            stated_again,
        } = self;
        write!(
            f,
            "catalogue version {version}: {regions} regions, {billers} billers, {items} items"
        )?;
        match contracts {
            0 => {}
            contracts => write!(f, ", {contracts} contracts")?,
        }
        match stated_again {
            0 => Ok(()),
            days => write!(f, "; {days} closed days are stated again, by other fees"),
        }
    }
}

/// Reads files as records. `known` is the catalogue as it is, `adapters` the names in the settings:
/// what the files refer to has to be in the files or there.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn read_catalogue(
    files: Vec<ImportFile>,
    known: &Catalogue,
    adapters: &[AdapterName],
) -> Result<CatalogueParts, ImportError> {
    let mut problems = Problems::default();
    if files.is_empty() {
        problems.add("import", 0, None, "there is no file to import");
    }
    let sheets: Vec<_> = files
        .iter()
        .map(|file| sheet::read(file, &mut problems))
        .collect();
    // Where a whole file is unreadable, everything that refers to it would only add noise.
    let all_are_readable = sheets.iter().all(Option::is_some);
    let mut reader = Reader::new(known, adapters, &mut problems);
    for sheet in sheets.iter().flatten() {
        reader.read(sheet);
    }
    let parts = reader.finish(all_are_readable);
    problems.into_result(parts)
}

/// Writes records over what is there, with one audit row: all or nothing.
///
/// # Errors
/// When storage fails; then nothing was written.
pub async fn import(
    store: &Store,
    parts: CatalogueParts,
    actor: &Actor,
    now: Instant,
) -> Result<ImportReport, StoreError> {
    let (parts, actor) = (Arc::new(parts), actor.clone());
    let write = move |tx: &mut crate::storage::Tx<'_>| {
        let before = catalogue::version(tx.c)?;
        let (version, stated_again) = tx.import_catalogue(&parts)?;
        let report = ImportReport {
            version,
            regions: parts.regions.len(),
            billers: parts.billers.len(),
            items: parts.items.len(),
            contracts: parts.contracts.len(),
            stated_again,
        };
        tx.audit(AuditEntry {
            at: now,
            actor: actor.who.clone(),
            action: "CATALOGUE_IMPORTED".to_owned(),
            subject_kind: "CATALOGUE",
            subject: "catalogue".to_owned(),
            before: Some(before.to_string()),
            after: Some(report.version.to_string()),
            detail: Some(report.to_string()),
            request_id: actor.request_id.clone(),
        })?;
        Ok(report)
    };
    store.solo(write).await
}
