//! Checks the invariants from outside: our database against the simulated world's own ledger.
//!
//! The checker is a reader of two witnesses and shares no logic with the engine. It uses the
//! domain's nouns, but writes down once more which moves are allowed and what the bank's codes
//! mean, so that a mistake in the engine's rules is a finding here and not an agreement. It asks
//! nobody, writes nothing, and judges a database of a million orders page by page; only the
//! ledger's sums are held in memory, some 300 bytes an order.
//!
//! It may be run while the center works: the database is seen as it stood at one instant, and an
//! order that the bank is busy with at that instant is judged by its ceiling only. The copies in the
//! cache (I9) are judged where a Redis is named. What cannot be seen from outside is not judged:
//! copies in the memory of a process, and whether an answer that a caller got was durable, except
//! that what is left of a lost order gives it away (I10).
//!
//! How one could break it: by asking the engine, or `domain::order::next`, whether something is
//! right.

mod account;
mod attention;
mod calls;
mod cases;
mod copies;
mod days;
mod dossier;
mod flows;
mod history;
mod money;
mod number;
mod reconciled;
mod report;
mod requests;
mod statements;
mod tally;
mod trail;
mod witness;
mod words;

pub use report::{CallFigures, Figures, Finding, Invariant, Known, Report, StateFigures};
pub use trail::{TrailFault, TrailFigures, TrailFinding, TrailReport, VerifyOptions, verify};

use crate::cache::CacheSettings;
use crate::domain::time::Instant;
use crate::output::Objects;
use crate::sim::ledger::LedgerError;
use crate::storage::View;
use crate::storage::told::Versioned;
use anyhow::Context;
use calls::Calls;
use copies::Copies;
use dossier::{Dossier, Dossiers};
use number::Number;
use report::Findings;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tally::Tally;
use trail::Pins;
use witness::{Reach, Witness};

/// What is checked, and how strictly.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The database, as `storage.url` names it.
    pub database_url: String,
    /// The simulated world's ledger.
    pub ledger: PathBuf,
    /// Where statements and results of reconciling are kept; where that is nowhere, no file is read.
    pub files: Option<Objects>,
    /// The cache that the center uses; where it names no Redis, no copies are judged.
    pub cache: CacheSettings,
    /// Now, by the center's clock.
    pub now: Instant,
    /// How long an order may stand still before somebody has to be at work on it.
    pub grace: Duration,
    /// Whether faults are over and every order has to be settled or with people (I14).
    pub settled: bool,
    /// How far the ledger's clock may be behind the center's.
    pub clock_tolerance: Duration,
    /// How many findings are kept; all are counted.
    pub findings_max: usize,
}

impl CheckOptions {
    /// The usual strictness.
    pub fn new(database_url: impl Into<String>, ledger: impl Into<PathBuf>, now: Instant) -> Self {
        Self {
            database_url: database_url.into(),
            ledger: ledger.into(),
            files: None,
            cache: CacheSettings::default(),
            now,
            grace: Duration::from_secs(60),
            settled: false,
            clock_tolerance: Duration::from_millis(5),
            findings_max: 1_000,
        }
    }
}

/// Checks everything. Blocks, for a few seconds per hundred thousand orders.
///
/// # Errors
/// The database, the ledger or the cache cannot be read, or a line of the ledger is not what the simulated
/// world writes. What is wrong with the money is not an error but a finding.
pub fn run(options: &CheckOptions) -> anyhow::Result<Report> {
    let before_bytes = length(&options.ledger)?;
    let mut view = View::open(&options.database_url).context("cannot open the database")?;
    let reach = Reach {
        before_bytes,
        after_bytes: length(&options.ledger)?,
    };
    let witness = read_ledger(&options.ledger, reach)?;
    let mut check = Check {
        options,
        copies: Copies::open(options)?,
        witness,
        findings: Findings::new(options.findings_max),
        tally: Tally::default(),
    };
    check.judge_orders(&mut view)?;
    check.judge_unclaimed();
    requests::judge_all(&mut view, &mut check.findings)?;
    check.judge_trail(&mut view)?;
    cases::judge(&mut view, &mut check.findings)?;
    days::judge(&mut view, &mut check.findings)?;
    let files = options.files.as_ref();
    reconciled::judge(&mut view, files, &mut check.findings)?;
    statements::judge(&mut view, files, &mut check.findings)?;
    let mut figures = check.tally.finish(&check.witness);
    figures.copies = check.copies.map(|copies| copies.judged);
    Ok(check.findings.report(figures))
}

/// Checks the statements and what is settled alone, of a center whose simulated world is not at hand.
///
/// # Errors
/// The database cannot be read.
pub fn check_statements(database_url: &str, files: Option<&Objects>) -> anyhow::Result<Report> {
    let mut view = View::open(database_url).context("cannot open the database")?;
    let mut findings = Findings::new(1_000);
    statements::judge(&mut view, files, &mut findings)?;
    Ok(findings.report(Figures::default()))
}

fn read_ledger(path: &Path, reach: Reach) -> anyhow::Result<Witness> {
    let what_it_is = || {
        format!(
            "{} is not a ledger; name the file that `payhall sim --ledger FILE` writes, or the demo",
            path.display()
        )
    };
    let witness = match Witness::read(path, reach) {
        Err(error @ LedgerError::Line { line: 1, .. }) => {
            return Err(error).with_context(what_it_is);
        }
        read => read.context("cannot read the ledger")?,
    };
    // A torn end is a line that was being written; a text without any line never was a ledger.
    let is_torn_only = witness.counts.is_torn && witness.counts.lines == 0;
    if is_torn_only && !std::fs::read(path)?.starts_with(b"{\"seq\":") {
        anyhow::bail!(what_it_is());
    }
    Ok(witness)
}

fn length(path: &Path) -> anyhow::Result<u64> {
    let data = std::fs::metadata(path);
    let data = data.with_context(|| format!("cannot read the ledger {}", path.display()))?;
    Ok(data.len())
}

/// What is found on the audit trail, as findings of this check.
struct Trail<'a> {
    figures: &'a mut Figures,
    findings: &'a mut Findings,
}

impl trail::Listener for Trail<'_> {
    fn found(&mut self, finding: TrailFinding) {
        let (problem, evidence) = (finding.problem, finding.evidence);
        self.findings.general(Invariant::Audit, problem, evidence);
    }

    fn is_at(&mut self, progress: trail::Progress) {
        self.figures.audit_streams = progress.streams;
        self.figures.audit_rows = progress.rows;
    }
}

/// A check under way.
struct Check<'a> {
    options: &'a CheckOptions,
    copies: Option<Copies<'a>>,
    witness: Witness,
    findings: Findings,
    tally: Tally,
}

impl Check<'_> {
    fn judge_orders(&mut self, view: &mut View) -> anyhow::Result<()> {
        let mut dossiers = Dossiers::new();
        while let Some(page) = dossiers.next(view, &mut self.findings)? {
            for dossier in &page {
                self.judge_order(dossier);
            }
            if let Some(copies) = &mut self.copies {
                copies.judge(&page, &mut self.findings)?;
            }
        }
        Ok(())
    }

    /// The other half of I8. Orders and cases are not counted here: their whole lives are replayed.
    fn judge_trail(&mut self, view: &mut View) -> anyhow::Result<()> {
        let figures = &mut self.tally.figures;
        let findings = &mut self.findings;
        trail::judge_chains(view, &mut Pins::default(), &mut Trail { figures, findings })?;
        let kinds = [Versioned::Merchant, Versioned::Key, Versioned::Operator];
        trail::judge_told(view, &kinds, &mut |one| {
            findings.general(Invariant::Audit, one.problem, one.evidence);
        })?;
        Ok(())
    }

    fn judge_order(&mut self, dossier: &Dossier) {
        let numbers = dossier.payments().map(|flow| flow.flow_no.as_str());
        let mut numbers = numbers.filter_map(Number::parse);
        let stray = numbers.find_map(|number| self.witness.claim_stray(number));
        self.witness.claim(dossier.order.order_no.as_str());
        let account = self.witness.find(dossier.order.order_no.as_str());
        let findings = &mut self.findings;
        money::judge(dossier, account, &self.witness.billers, findings);
        flows::judge(dossier, findings);
        let has_calls = self.witness.counts.has_calls();
        let calls = Calls {
            dossier,
            account,
            stray,
            answers: has_calls.then_some(&self.witness.answers),
            tolerance: self.options.clock_tolerance,
        };
        calls.judge(findings);
        attention::judge(dossier, self.options, findings);
        history::judge(dossier, findings);
        requests::judge(dossier, findings);
        self.tally.take(dossier, account, stray);
    }

    /// What the ledger knows and our database does not.
    fn judge_unclaimed(&mut self) {
        let witness = &self.witness;
        let findings = &mut self.findings;
        for account in witness.unclaimed().filter(|account| !account.is_moving) {
            let line = account
                .instructions
                .iter()
                .map(|one| one.first_seq)
                .find(|seq| *seq > 0);
            let evidence = format!(
                "ledger line {}: bank {}, biller {}",
                line.unwrap_or(0),
                account.bank.balance_minor,
                account.biller.balance_minor
            );
            let (invariant, problem) = if account.has_effects() {
                (
                    Invariant::Money,
                    "money was moved for an order that is not in our database",
                )
            } else {
                (
                    Invariant::OneEffect,
                    "the bank was called for an order that is not in our database",
                )
            };
            findings.about(account.order_no, invariant, problem, evidence);
        }
        for (number, stray) in witness.unclaimed_strays().filter(|(_, one)| !one.is_moving) {
            let problem = "the bank was asked about a number that is no payment of ours";
            let evidence = format!("number {number}, first in ledger line {}", stray.first_seq);
            findings.general(Invariant::OneEffect, problem, evidence);
        }
        if witness.foreign_total > 0 {
            let problem = "the ledger has numbers that ours never look like";
            let evidence = format!(
                "{} lines, such as {:?}",
                witness.foreign_total, witness.foreign
            );
            findings.general(Invariant::OneEffect, problem, evidence);
        }
    }
}
