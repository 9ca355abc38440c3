//! The whole look at the audit trail, as `payhall audit verify` takes it.

use super::chain::{Listener, Progress, judge_chains};
use super::heads::{Checker, Pins, Published, read_all};
use super::report::{TrailFinding, TrailReport};
use super::told;
use crate::output::OutputFolder;
use crate::storage::View;
use crate::storage::told::Versioned;
use anyhow::Context;
use std::path::PathBuf;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The database, as `storage.url` names it.
    pub database_url: String,
    /// The folder of published heads, where there is one.
    pub heads: Option<PathBuf>,
    /// Public keys of the center in PEM, which the auditor keeps; without any the database's are taken.
    pub keys: Vec<String>,
    /// How many findings are kept; all are counted.
    pub findings_max: usize,
}

impl VerifyOptions {
    /// A look at a database alone.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            heads: None,
            keys: Vec::new(),
            findings_max: 1_000,
        }
    }
}

/// Looks at everything, and tells after each page of rows how far it is. Blocks, for a few seconds per
/// million rows.
///
/// # Errors
/// The database or the folder cannot be read, or a key is none. What is wrong with the trail is not an
/// error but a finding.
pub fn verify(options: &VerifyOptions, is_at: impl FnMut(u64, u64)) -> anyhow::Result<TrailReport> {
    let checker = Checker::try_new(options.keys.clone())?;
    let folder = options.heads.as_ref().map(OutputFolder::new);
    let published = folder.map(Published::list).transpose()?;
    let mut view = View::open(&options.database_url).context("cannot open the database")?;
    let mut look = Look {
        report: TrailReport::new(),
        most: options.findings_max,
        is_at,
    };
    let mut pins = Pins::default();
    if let Some(published) = &published {
        pins = read_all(&mut view, published, &checker, &mut |one| look.found(one))?;
        let figures = &mut look.report.figures;
        figures.heads_files = u64::try_from(published.files.len()).ok();
        figures.heads_last = published.files.last().cloned();
        figures.heads_key = Some(checker.words());
    }
    judge_chains(&mut view, &mut pins, &mut look)?;
    let subjects = told::judge(&mut view, Versioned::ALL, &mut |one| look.found(one))?;
    look.report.figures.subjects = subjects;
    Ok(look.report)
}

/// A look under way.
struct Look<F> {
    report: TrailReport,
    most: usize,
    is_at: F,
}

impl<F: FnMut(u64, u64)> Listener for Look<F> {
    fn found(&mut self, finding: TrailFinding) {
        self.report.take(finding, self.most);
    }

    fn is_at(&mut self, progress: Progress) {
        let figures = &mut self.report.figures;
        (figures.streams, figures.rows) = (progress.streams, progress.rows);
        (self.is_at)(progress.streams, progress.rows);
    }
}
