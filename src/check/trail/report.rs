//! What a look at the audit trail found: for people, and for machines.

use crate::domain::named_enum;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

named_enum! {
    /// What is wrong.
    pub enum TrailFault {
        /// A row's fields are not those that its hash was made from.
        Edited = "EDITED",
        /// Rows inside a chain are missing.
        Deleted = "DELETED",
        /// A row stands in another's place.
        Reordered = "REORDERED",
        /// A row is sound in itself and not linked to the one before it.
        Unlinked = "UNLINKED",
        /// A row cannot be read.
        Unreadable = "UNREADABLE",
        /// Rows at the end of a chain are missing, which were there when its head was published.
        Truncated = "TRUNCATED",
        /// A chain is missing altogether, whose head was published.
        Vanished = "VANISHED",
        /// The row of a published head is another one: it, or rows before it, were written anew.
        Rewritten = "REWRITTEN",
        /// A thing has changed more often than its audit rows tell.
        Untold = "UNTOLD",
        /// Audit rows tell of changes that a thing does not have, or of a thing that is not there.
        Unfounded = "UNFOUNDED",
        /// A file of published heads is not as it was published.
        HeadsAltered = "HEADS_ALTERED",
        /// A file of published heads is missing.
        HeadsMissing = "HEADS_MISSING",
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrailFinding {
    /// What kind of fault.
    pub fault: TrailFault,
    /// The chain; none where it is about no single one.
    pub stream: Option<String>,
    /// The row's number in it, of several rows the first.
    pub seq: Option<i64>,
    /// What the row is about, or the thing that is compared with its rows.
    pub subject: Option<String>,
    /// The file of published heads, where it is about one.
    pub file: Option<String>,
    /// What is wrong, in a sentence.
    pub problem: &'static str,
    /// What shows it.
    pub evidence: String,
}

impl TrailFinding {
    /// A finding about a row, or about rows from there on.
    pub(super) fn row(
        fault: TrailFault,
        (stream, seq): (&str, i64),
        problem: &'static str,
        evidence: String,
    ) -> Self {
        Self {
            stream: Some(stream.to_owned()),
            seq: Some(seq),
            ..Self::general(fault, problem, evidence)
        }
    }

    /// A finding about a file of heads.
    pub(super) fn file(
        fault: TrailFault,
        file: &str,
        problem: &'static str,
        evidence: impl Into<String>,
    ) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::general(fault, problem, evidence.into())
        }
    }

    /// A finding about nothing that has a place.
    pub(super) fn general(fault: TrailFault, problem: &'static str, evidence: String) -> Self {
        Self {
            fault,
            stream: None,
            seq: None,
            subject: None,
            file: None,
            problem,
            evidence,
        }
    }

    /// The same about a thing.
    pub(super) fn about(self, subject: &str) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for TrailFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.fault, self.problem, self.evidence)
    }
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrailFigures {
    /// Chains.
    pub streams: u64,
    /// Rows.
    pub rows: u64,
    /// Things whose changes were compared with their rows.
    pub subjects: u64,
    /// Files of published heads; none where no folder was named.
    pub heads_files: Option<u64>,
    /// The last of them.
    pub heads_last: Option<String>,
    /// Where the key comes from that checked their signatures.
    pub heads_key: Option<&'static str>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct TrailReport {
    /// How many things are wrong.
    pub findings_total: u64,
    /// How many of each kind.
    pub findings_by_fault: BTreeMap<TrailFault, u64>,
    /// The first of them.
    pub findings: Vec<TrailFinding>,
    /// How much was looked at.
    pub figures: TrailFigures,
}

impl TrailReport {
    /// Nothing found yet.
    pub(super) fn new() -> Self {
        Self {
            findings_total: 0,
            findings_by_fault: BTreeMap::new(),
            findings: Vec::new(),
            figures: TrailFigures::default(),
        }
    }

    /// Counts a finding, and keeps it while there are not so many.
    pub(super) fn take(&mut self, finding: TrailFinding, most: usize) {
        self.findings_total += 1;
        *self.findings_by_fault.entry(finding.fault).or_default() += 1;
        if self.findings.len() < most {
            self.findings.push(finding);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    /// The report as a JSON object.
    ///
    /// # Errors
    /// None that this type can bring about; serde's signature asks for it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// How many findings people are shown.
const SHOWN_MAX: usize = 50;

impl fmt::Display for TrailReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        let (rows, streams, subjects) = (figures.rows, figures.streams, figures.subjects);
        writeln!(
            f,
            "looked at {rows} audit rows in {streams} chains, and at the changes of {subjects} things"
        )?;
        match (figures.heads_files, &figures.heads_last, figures.heads_key) {
            (Some(files), Some(last), Some(key)) => writeln!(
                f,
                "looked at {files} files of published heads, the last is {last}; their signatures \
                 were checked by {key}"
            )?,
            (Some(_), ..) => writeln!(f, "the folder holds no published heads")?,
            (None, ..) => writeln!(
                f,
                "no folder of published heads is named (--heads, output.dir): rows that were cut off \
                 at the end of a chain are found only where the things they are about tell of them"
            )?,
        }
        match self.findings_total {
            0 => return writeln!(f, "no findings"),
            1 => writeln!(f, "1 finding")?,
            many => writeln!(f, "{many} findings")?,
        }
        let counts = self.findings_by_fault.iter();
        let counts: Vec<String> = counts.map(|(kind, n)| format!("{kind} {n}")).collect();
        writeln!(f, "by kind: {}", counts.join(", "))?;
        for finding in self.findings.iter().take(SHOWN_MAX) {
            writeln!(f, "{finding}")?;
        }
        let shown = u64::try_from(self.findings.len().min(SHOWN_MAX)).unwrap_or(u64::MAX);
        match self.findings_total.saturating_sub(shown) {
            0 => Ok(()),
            more => writeln!(f, "... and {more} more"),
        }
    }
}
