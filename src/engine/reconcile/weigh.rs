//! Walks along every number once: its class, its line of the result file, its place in the sums, and what
//! has to be remembered of it.

use super::CompareFault;
use super::carried::CarriedOver;
use super::plan::Plan;
use crate::domain::reconciled::{Counted, SideSum};
use crate::domain::reconciliation::{
    Class, Compared, RESULT_HEAD, Row, RowState, Rule, Rules, Side, Sides, Sum, Tally, Verdict,
    Waited, classify, write_result,
};
use crate::upstream::ScratchFile;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

/// More differences than this are no day's differences: one of the files is not what it should be.
const DIFFERENCES_MAX: usize = 200_000;

/// A number that is not plainly matched.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub flow_no: String,
    pub ours: Vec<Row>,
    pub bank: Vec<Row>,
    pub biller: Vec<Row>,
    pub verdict: Verdict,
}

/// What came out.
#[derive(Debug)]
pub(super) struct Weighed {
    pub sums: Vec<SideSum>,
    /// Not MATCHED, by number.
    pub differences: Vec<Found>,
    /// Where a line of the bank says something final about a flow that we are undecided about, or says that
    /// money moved for one that we took for failed.
    pub proofs: Vec<Found>,
    /// What was carried over and has a class from this date on, by number.
    pub ended: BTreeMap<String, (Class, Rule)>,
    pub carried: CarriedOver,
    pub flows: i64,
    pub result_hash: String,
    pub file: ScratchFile,
    pub file_sha256: String,
    pub file_bytes: i64,
}

type Sums = BTreeMap<(Counted, u8, Class, &'static str), Tally>;

struct Walk<'a> {
    plan: &'a Plan,
    waits: &'a BTreeMap<String, Waited>,
    rules: Vec<Rules>,
    sums: Sums,
    differences: Vec<Found>,
    proofs: Vec<Found>,
    ended: BTreeMap<String, (Class, Rule)>,
    flows: i64,
    to: BufWriter<std::fs::File>,
    line: Vec<u8>,
    result: Sha256,
    whole: Sha256,
    bytes: i64,
}

/// Weighs everything; blocks.
pub(super) fn weigh(
    plan: &Plan,
    compared: &Compared,
    carried: &CarriedOver,
    waits: &BTreeMap<String, Waited>,
) -> Result<Weighed, CompareFault> {
    let disk = |error: std::io::Error| CompareFault::File(error.into());
    let (scratch, file) = ScratchFile::try_new().map_err(disk)?;
    let mut walk = Walk {
        plan,
        waits,
        rules: plan.rules(),
        sums: Sums::new(),
        differences: Vec::new(),
        proofs: Vec::new(),
        ended: BTreeMap::new(),
        flows: 0,
        to: BufWriter::new(file),
        line: Vec::new(),
        result: Sha256::new(),
        whole: Sha256::new(),
        bytes: 0,
    };
    walk.line.extend_from_slice(RESULT_HEAD.as_bytes());
    walk.write().map_err(disk)?;
    compared.each(|flow_no, sides, verdict| walk.see(flow_no, sides, verdict))?;
    walk.to.flush().map_err(disk)?;
    Ok(Weighed {
        sums: sums_of(plan, walk.sums)?,
        differences: walk.differences,
        proofs: walk.proofs,
        ended: walk.ended,
        carried: carried.clone(),
        flows: walk.flows,
        result_hash: crate::domain::audit::hex(&walk.result.finalize()),
        file: scratch,
        file_sha256: crate::domain::audit::hex(&walk.whole.finalize()),
        file_bytes: walk.bytes,
    })
}

impl Walk<'_> {
    fn see(
        &mut self,
        flow_no: &str,
        sides: Sides<'_>,
        verdict: &Verdict,
    ) -> Result<(), CompareFault> {
        let mut verdict = *verdict;
        if let Some(stranger) = self.stranger(sides) {
            verdict = stranger;
        } else if let Some(waited) = self.waits.get(flow_no) {
            verdict = classify(sides, &self.rules, *waited);
            let is_new = |row: &Row| !self.plan.is_carried(row);
            if verdict.class == Class::Expected && !sides.rows().any(is_new) {
                // Nothing has come, and it may wait on: it stays where it is.
                return Ok(());
            }
            let end = (verdict.class, verdict.rule);
            self.ended.insert(flow_no.to_owned(), end);
        }
        self.flows += 1;
        self.count(sides, &verdict)?;
        self.line.clear();
        write_result(&mut self.line, flow_no, sides, &verdict);
        self.result.update(&self.line);
        self.write()
            .map_err(|error| CompareFault::File(error.into()))?;
        let found = || Found {
            flow_no: flow_no.to_owned(),
            ours: sides.ours.to_vec(),
            bank: sides.bank.to_vec(),
            biller: sides.biller.to_vec(),
            verdict,
        };
        let undecided = |row: &&Row| row.state == RowState::Pending;
        let is_proof = verdict.proves.is_some() && sides.ours.iter().any(|row| undecided(&row));
        if is_proof || verdict.rule == Rule::BankSaysYes {
            self.proofs.push(found());
        }
        if verdict.class != Class::Matched {
            self.differences.push(found());
        }
        if self.differences.len().max(self.proofs.len()) > DIFFERENCES_MAX {
            return Err(CompareFault::Odd(format!(
                "more than {DIFFERENCES_MAX} flows of {} differ: one of the files is not what it should be \
                 ({})",
                self.plan.date,
                self.files()
            )));
        }
        Ok(())
    }

    /// A bank's line proves nothing about a flow that went to another bank, and hides nothing of it.
    fn stranger(&self, sides: Sides<'_>) -> Option<Verdict> {
        let ours = sides.ours.first()?;
        let whose = self.plan.whose(ours);
        let is_its = |row: &Row| ours.asked.bank() && self.plan.whose(row) == whose;
        let is_strange = sides.bank.iter().any(|row| !is_its(row));
        is_strange.then_some(Verdict {
            class: Class::Status,
            rule: Rule::OtherBank,
            at_risk: ours.amount,
            proves: None,
        })
    }

    fn files(&self) -> String {
        let paths = self
            .plan
            .parties
            .iter()
            .map(|party| party.file.path.as_str());
        paths.collect::<Vec<_>>().join(", ")
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.whole.update(&self.line);
        self.bytes += i64::try_from(self.line.len()).unwrap_or(0);
        self.to.write_all(&self.line)
    }

    /// Counts the rows that are today's own; those that were carried over were counted on their day.
    fn count(&mut self, sides: Sides<'_>, verdict: &Verdict) -> Result<(), CompareFault> {
        let sides = [
            (Side::Ours, sides.ours),
            (Side::Bank, sides.bank),
            (Side::Biller, sides.biller),
        ];
        for (side, rows) in sides {
            for row in rows.iter().filter(|row| !self.plan.is_carried(row)) {
                let state = match side {
                    Side::Ours => verdict.proves.unwrap_or(row.state),
                    Side::Bank | Side::Biller => row.state,
                };
                let one = Sum {
                    count: 1,
                    minor: i128::from(row.amount.amount_minor),
                };
                let code = row.amount.currency.code();
                let key = (Counted::Rows(side), row.rules, verdict.class, code);
                let tally = self.sums.entry(key).or_default();
                tally.count(row.kind, state, one).map_err(overflow)?;
            }
        }
        let at_risk = verdict.at_risk;
        let key = (
            Counted::Flows,
            u8::MAX,
            verdict.class,
            at_risk.currency.code(),
        );
        let tally = self.sums.entry(key).or_default();
        let one = Sum {
            count: 1,
            minor: i128::from(at_risk.amount_minor),
        };
        tally.paid = tally.paid.plus(one).map_err(overflow)?;
        Ok(())
    }
}

fn overflow(error: crate::domain::reconciliation::Overflow) -> CompareFault {
    CompareFault::Matching(error.into())
}

fn sums_of(plan: &Plan, sums: Sums) -> Result<Vec<SideSum>, CompareFault> {
    let named = |((counted, place, class, code), tally): ((Counted, u8, Class, &str), Tally)| {
        let currency = crate::domain::money::Currency::try_new(code);
        let party = plan.parties.get(usize::from(place));
        Ok(SideSum {
            partner: match (&counted, party) {
                (Counted::Rows(_), Some(party)) => party.partner.name.to_string(),
                _ => String::new(),
            },
            counted,
            class,
            currency: currency.map_err(|error| CompareFault::Odd(error.to_string()))?,
            tally,
        })
    };
    sums.into_iter().map(named).collect()
}
