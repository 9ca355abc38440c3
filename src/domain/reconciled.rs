//! What a reconciliation leaves behind: its run, its counts and sums, and the flows that are not plainly
//! matched. `reconciliation` compares; these are the facts that are kept of it.
//!
//! A run never changes, but that it may be known to hold for other files beside its own. Another run of the same
//! date takes its place where it came to something else, and both are kept. What a run found EXPECTED is the pool: a run of a later date ends it.

use super::ids::{CaseNo, OrderNo};
use super::money::Currency;
use super::named_enum;
use super::partner::PartnerName;
use super::reconciliation::{Class, RowState, Rule, Side, Tally};
use super::time::{BusinessDate, Instant};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

named_enum! {
    /// Whether a run is the one that counts.
    pub enum RunState {
        /// It is the result of its date.
        Current = "CURRENT",
        /// A later run came to something else.
        Replaced = "REPLACED",
    }
}

/// A file that went into a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputFile {
    /// Who sent it.
    pub partner: PartnerName,
    /// Which version of the date.
    pub version: i32,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// How many rows it has.
    pub rows: i64,
}

/// A bank's file of another date that says whether a payment that was undone moved money.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputBeside {
    /// The date that it is of.
    pub date: BusinessDate,
    /// The file.
    pub file: InputFile,
}

/// A run of an earlier date: what it found of a flow is where a later line of it goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputPool {
    /// The date.
    pub date: BusinessDate,
    /// Which result of it.
    pub version: i32,
}

/// Everything that went into a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// How many flows of ours the date has.
    pub flows: i64,
    /// How many of them have no outcome, and what the versions of those sum up to whose orders people were asked about:
    /// either is another one when a flow moves that may, another reason to look at a day again.
    #[serde(default)]
    pub movable: (i64, i64),
    /// The partners' files, by partner.
    pub files: Vec<InputFile>,
    /// The earlier dates' results, by date.
    pub pool: Vec<InputPool>,
    /// The rules of each partner, as text, by partner: tolerance, window, pool.
    pub rules: Vec<String>,
    /// The banks' files of other dates by which undone payments are looked at, by date and partner.
    pub beside: Vec<InputBeside>,
}

impl Inputs {
    /// Whether others are the same but for what only asks for another look: what is of other dates (their results,
    /// and the files beside the date's own), and what has moved since. Where it matters the result tells.
    pub fn are_of_the_same_day(&self, others: &Self) -> bool {
        let others = Self {
            movable: self.movable,
            pool: self.pool.clone(),
            beside: self.beside.clone(),
            ..others.clone()
        };
        *self == others
    }

    /// SHA-256 over all of it, hex: another hash, another run.
    pub fn hash(&self) -> String {
        // A struct of numbers and texts always has a JSON form.
        let text = serde_json::to_vec(self).unwrap_or_default();
        super::audit::hex(&Sha256::digest(text))
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationRun {
    /// UUID v7.
    pub run_id: Uuid,
    /// The date that was reconciled.
    pub business_date: BusinessDate,
    /// 1 for the first result of a date; each that comes to something else is one more.
    pub version: i32,
    /// Whether it counts.
    pub state: RunState,
    /// The run whose place it took.
    pub replaces: Option<Uuid>,
    /// What went in.
    pub inputs: Inputs,
    /// Their hash.
    pub input_hash: String,
    /// SHA-256 over every flow's line of the result, hex.
    pub result_hash: String,
    /// How many flow numbers were compared.
    pub flow_count: i64,
    /// How many of them are not MATCHED.
    pub difference_count: i64,
    /// Where the result file is kept.
    pub file_path: String,
    /// SHA-256 of it, hex.
    pub file_sha256: String,
    /// How long it is.
    pub file_bytes: i64,
    /// Who ran it.
    pub actor: String,
    /// When.
    pub made_at: Instant,
}

/// What a line of counts is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// The rows of a side.
    Rows(Side),
    /// The flow numbers themselves.
    Flows,
}

impl Counted {
    /// The stored name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Counted::Rows(side) => side.as_str(),
            Counted::Flows => "FLOWS",
        }
    }
}

/// Counts and sums of a run: the rows of one side, partner, class and currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideSum {
    /// What is counted.
    pub counted: Counted,
    /// Whose rows; of ours, the bank's that carried them. Empty of flow numbers.
    pub partner: String,
    /// The class of their flows.
    pub class: Class,
    /// The currency of the sums.
    pub currency: Currency,
    /// Counts and sums. Of flow numbers: `paid` counts them and sums what is at risk.
    pub tally: Tally,
}

/// A row of a partner's file, as it is kept with a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerRow {
    /// Where the file is kept.
    pub file: String,
    /// The line.
    pub line: i64,
    /// What it says became of the money.
    pub status: RowState,
    /// How much, in minor units.
    pub amount_minor: i64,
}

/// How a later date ended what was EXPECTED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The date.
    pub on: BusinessDate,
    /// The run.
    pub run_id: Uuid,
    /// The class that the flow has since; EXPECTED where it waits on, in that run's pool.
    pub class: Class,
    /// The rule that decided.
    pub rule: Rule,
}

/// A flow number of a run that is not plainly MATCHED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// UUID v7.
    pub discrepancy_id: Uuid,
    /// The run that found it.
    pub run_id: Uuid,
    /// The date that was reconciled.
    pub business_date: BusinessDate,
    /// The number, as it stands in the files.
    pub flow_no: String,
    /// PAYMENT or REVERSAL; empty where no side tells.
    pub kind: String,
    /// Our order, where there is one; so are the three below.
    pub order_no: Option<OrderNo>,
    /// Its merchant.
    pub merchant: Option<String>,
    /// Its biller.
    pub biller: Option<String>,
    /// Its adapter.
    pub adapter: Option<String>,
    /// The class.
    pub class: Class,
    /// The rule that decided.
    pub rule: Rule,
    /// The currency of the amounts.
    pub currency: Currency,
    /// What we say became of the money.
    pub our_state: Option<RowState>,
    /// How much.
    pub our_minor: Option<i64>,
    /// The bank's first row.
    pub bank: Option<PartnerRow>,
    /// The biller's first row.
    pub biller_row: Option<PartnerRow>,
    /// The amount at risk, in minor units.
    pub risk_minor: i64,
    /// Of one that is EXPECTED: the last date on which its other side may come.
    pub due_on: Option<BusinessDate>,
    /// How a later date ended it.
    pub ended: Option<Ended>,
    /// The case about it.
    pub case_no: Option<CaseNo>,
}

impl Discrepancy {
    /// The class that the flow has by now.
    pub fn class_now(&self) -> Class {
        self.ended.as_ref().map_or(self.class, |ended| ended.class)
    }

    /// Whether a person has to look at it: neither matched nor to be waited for.
    pub fn needs_person(&self) -> bool {
        !matches!(self.class_now(), Class::Matched | Class::Expected)
    }

    /// Whether another result found the same of the same flow, wherever the lines stand: a corrected file has them
    /// under another name.
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn said(row: &Option<PartnerRow>) -> Option<(RowState, i64)> {
            row.as_ref().map(|row| (row.status, row.amount_minor))
        }
        let found = |one: &Self| {
            let ended = one.ended.as_ref();
            let judged = ended.map_or((one.class, one.rule), |ended| (ended.class, ended.rule));
            (
                judged,
                one.currency,
                (one.our_state, one.our_minor),
                one.risk_minor,
            )
        };
        self.flow_no == other.flow_no
            && found(self) == found(other)
            && said(&self.bank) == said(&other.bank)
            && said(&self.biller_row) == said(&other.biller_row)
    }

    /// What happened, in a sentence: the cause of its case. The same difference, found again, has the same.
    pub fn sentence(&self) -> String {
        let row = |who: &str, row: &Option<PartnerRow>| match row {
            Some(row) => format!(
                "; {who} {} {} ({} line {})",
                row.status, row.amount_minor, row.file, row.line
            ),
            None => format!("; {who} nothing"),
        };
        let ours = match (self.our_state, self.our_minor) {
            (Some(state), Some(minor)) => format!("ours {state} {minor}"),
            _ => "ours nothing".to_owned(),
        };
        let (class, rule) = match &self.ended {
            Some(ended) => (ended.class, ended.rule),
            None => (self.class, self.rule),
        };
        format!(
            "{class} by {rule} on {}: {ours}{}{}; at risk {} {}",
            self.business_date,
            row("bank", &self.bank),
            row("biller", &self.biller_row),
            self.risk_minor,
            self.currency
        )
    }
}
