//! What a comparison of two files has to say, for people and for programs.

use crate::domain::money::Currency;
use crate::domain::reconciliation::{Class, Compared, Difference, Row, Side, Sum, Totals};
use serde_json::{Value, json};
use std::fmt;

/// So many differences are shown to people; `--out` has them all.
const SHOWN_MAX: usize = 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct FileRead {
    pub(super) side: Side,
    pub(super) name: String,
    pub(super) rows: u64,
}

/// A result that was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) flows: u64,
    pub(super) sha256: String,
}

/// What came out.
#[derive(Debug)]
pub struct FilesReport {
    files: [FileRead; 2],
    currency: Currency,
    totals: Totals,
    differences: Vec<Difference>,
    differences_all: u64,
    written: Option<Written>,
}

impl FilesReport {
    pub(super) fn new(
        files: [FileRead; 2],
        currency: Currency,
        compared: Compared,
        written: Option<Written>,
    ) -> Self {
        let Compared {
            totals,
            differences,
            differences_all,
            ..
        } = compared;
        Self {
            files,
            currency,
            totals,
            differences,
            differences_all,
            written,
        }
    }

    /// Whether every flow matches.
    pub fn all_matched(&self) -> bool {
        self.totals.all_matched()
    }

    /// Counts and sums as JSON; sums as texts, because they may be larger than JSON's numbers are read
    /// by some.
    ///
    /// # Errors
    /// The text cannot be written.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let code = self.currency.code();
        let side = |side, class| {
            let sum = self.listed(side, class);
            json!({ "rows": sum.count, "minor": sum.minor.to_string() })
        };
        let classes: Vec<Value> = Class::ALL
            .iter()
            .map(|class| {
                json!({
                    "class": class,
                    "flows": self.totals.flows(*class),
                    "ours": side(Side::Ours, *class),
                    "theirs": side(Side::Bank, *class),
                    "at_risk_minor": self.totals.at_risk(*class, code).to_string(),
                })
            })
            .collect();
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({ "file": file.name, "rows": file.rows }))
            .collect();
        let written = self.written.as_ref().map(|written| {
            json!({ "file": written.name, "flows": written.flows, "sha256": written.sha256 })
        });
        serde_json::to_string_pretty(&json!({
            "all_matched": self.all_matched(),
            "currency": code,
            "flows": self.totals.all_flows(),
            "ours": files[0],
            "theirs": files[1],
            "classes": classes,
            "out": written,
        }))
    }

    /// What a side lists in a class. That it can be held was looked at when it was compared.
    fn listed(&self, side: Side, class: Class) -> Sum {
        let tally = self.totals.of(side, class, self.currency.code());
        tally.listed().unwrap_or_default()
    }

    fn money(&self, minor: i128) -> String {
        let exponent = self.currency.exponent();
        let unit = 10_u128.pow(exponent);
        let sign = if minor < 0 { "-" } else { "" };
        let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
        match exponent as usize {
            0 => format!("{sign}{whole}"),
            width => format!("{sign}{whole}.{rest:0width$}"),
        }
    }

    fn line(
        &self,
        f: &mut fmt::Formatter<'_>,
        (name, flows): (&str, u64),
        [ours, theirs]: [Sum; 2],
        at_risk: i128,
    ) -> fmt::Result {
        let (our_sum, their_sum) = (self.money(ours.minor), self.money(theirs.minor));
        writeln!(
            f,
            "{name:<10} {flows:>10} {:>10} {our_sum:>20} {:>10} {their_sum:>20} {:>16}",
            ours.count,
            theirs.count,
            self.money(at_risk)
        )
    }

    fn difference(&self, f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
        let verdict = &difference.verdict;
        let rows = |rows: &[Row]| match rows {
            [] => "nothing".to_owned(),
            rows => {
                let rows = rows.iter().map(|row| {
                    let amount = self.money(i128::from(row.amount.amount_minor));
                    format!("{} {amount} in line {}", row.state, row.line)
                });
                rows.collect::<Vec<_>>().join(" and ")
            }
        };
        writeln!(
            f,
            "{} {} ({}): ours {}, theirs {}",
            difference.flow_no,
            verdict.class,
            verdict.rule,
            rows(&difference.ours),
            rows(&difference.bank)
        )
    }
}

impl fmt::Display for FilesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            let whose = if file.side == Side::Ours {
                "ours"
            } else {
                "theirs"
            };
            writeln!(f, "{whose:<7} {} ({} rows)", file.name, file.rows)?;
        }
        writeln!(
            f,
            "\n{:<10} {:>10} {:>10} {:>20} {:>10} {:>20} {:>16}",
            "class",
            "flows",
            "ours",
            self.currency.code(),
            "theirs",
            self.currency.code(),
            "at risk"
        )?;
        let (mut sums, mut at_risk) = ([Sum::default(); 2], 0);
        for class in Class::ALL {
            let sides = [Side::Ours, Side::Bank].map(|side| self.listed(side, *class));
            let risk = self.totals.at_risk(*class, self.currency.code());
            let flows = self.totals.flows(*class);
            self.line(f, (class.as_str(), flows), sides, risk)?;
            for (sum, more) in sums.iter_mut().zip(sides) {
                *sum = sum.plus(more).unwrap_or_default();
            }
            at_risk += risk;
        }
        self.line(f, ("all", self.totals.all_flows()), sums, at_risk)?;
        if !self.differences.is_empty() {
            writeln!(f)?;
        }
        for difference in self.differences.iter().take(SHOWN_MAX) {
            self.difference(f, difference)?;
        }
        if self.differences_all > SHOWN_MAX as u64 {
            let more = self.differences_all - SHOWN_MAX as u64;
            writeln!(
                f,
                "and {more} more; --out FILE writes a line for every flow"
            )?;
        }
        if let Some(written) = &self.written {
            let Written {
                name,
                flows,
                sha256,
            } = written;
            writeln!(f, "\nwritten to {name}: {flows} flows, SHA-256 {sha256}")?;
        }
        match self.all_matched() {
            true => write!(f, "\nevery flow matches"),
            false => write!(f, "\nnot every flow matches"),
        }
    }
}
