//! A result of reconciling and everything that goes with it, in one transaction.

use super::{StoreError, Tx, cases as case_rows, discrepancies, reconciliations};
use crate::domain::audit::AuditEntry;
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::reconciled::{Discrepancy, Ended, ReconciliationRun, SideSum};
use crate::domain::reconciliation::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// What is published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The run.
    pub run: ReconciliationRun,
    /// Its counts and sums.
    pub sums: Vec<SideSum>,
    /// The flows that are not matched.
    pub differences: Vec<Discrepancy>,
    /// What earlier days left, and how this run ends it.
    pub ends: Vec<(Discrepancy, Ended)>,
    /// A case for each flow that needs a person; one that has such a case already keeps it.
    pub cases: Vec<Case>,
    /// The audit row of the run.
    pub audit: AuditEntry,
    /// The form of the audit rows of its cases.
    pub case_audit: AuditEntry,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the result of its date.
    Done {
        /// How many cases were opened.
        cases: u32,
    },
    /// Another result was published meanwhile; nothing was written.
    Overtaken,
}

impl Tx<'_> {
    /// Publishes a result.
    pub fn publish_reconciliation(&mut self, what: &Publication) -> Result<Published, StoreError> {
        let run = &what.run;
        if !reconciliations::publish(self.c, run, &what.sums)? {
            return Ok(Published::Overtaken);
        }
        let mut before = Vec::new();
        if let Some(replaced) = run.replaces {
            before = discrepancies::of_run(self.c, replaced)?;
            discrepancies::open_again(self.c, replaced)?;
        }
        discrepancies::insert(self.c, &what.differences)?;
        for (origin, ended) in &what.ends {
            discrepancies::end(self.c, origin.discrepancy_id, ended)?;
        }
        let by_number = what
            .differences
            .iter()
            .map(|one| (one.flow_no.as_str(), one));
        let by_number: BTreeMap<&str, &Discrepancy> = by_number.collect();
        let mut opened = 0;
        for case in &what.cases {
            let its = case
                .flow_no
                .as_deref()
                .and_then(|number| by_number.get(number));
            if let Some(its) = its {
                opened += u32::from(self.case_about_difference(what, case, its)?);
            }
        }
        let still: BTreeSet<&str> = what
            .cases
            .iter()
            .filter_map(|case| case.flow_no.as_deref())
            .collect();
        let ended = what.ends.iter().map(|(origin, _)| origin);
        for one in before.iter().chain(ended) {
            if !still.contains(one.flow_no.as_str()) {
                self.settle_case_of(what, one)?;
            }
        }
        self.audit(what.audit.clone())?;
        Ok(Published::Done { cases: opened })
    }

    /// Gives a difference its case: the one that was opened about the very same, be it decided or not, or
    /// the one that is open, or a new one. True where it is new.
    fn case_about_difference(
        &mut self,
        what: &Publication,
        case: &Case,
        one: &Discrepancy,
    ) -> Result<bool, StoreError> {
        // A success that came late has a case of its own already: one is enough.
        if let Some(order_no) = &case.order_no
            && one.rule == Rule::BankSaysYes
        {
            let late = |case: &&Case| case.kind == CaseKind::LateSuccess;
            let of_order = case_rows::of_order(self.c, order_no)?;
            if let Some(late) = of_order.iter().rev().find(late) {
                discrepancies::give_case(self.c, one.discrepancy_id, &late.case_no)?;
                return Ok(false);
            }
        }
        let known = case_rows::of_flow(self.c, &one.flow_no)?;
        // What people decided stays decided; what the program closed comes up anew.
        let is_same = |one: &&Case| {
            one.state != CaseState::Closed || (one.cause == case.cause && one.checker.is_some())
        };
        let (number, is_new) = match known.iter().rev().find(is_same) {
            Some(same) => (same.case_no.clone(), false),
            None => {
                let opened = case_rows::open(self.c, case)?;
                if opened {
                    self.audit(AuditEntry {
                        subject_kind: "CASE",
                        subject: case.case_no.to_string(),
                        before: None,
                        after: Some(CaseState::Open.as_str().to_owned()),
                        detail: Some(format!("{}: {}", case.about(), case.cause)),
                        ..what.case_audit.clone()
                    })?;
                }
                (case.case_no.clone(), opened)
            }
        };
        discrepancies::give_case(self.c, one.discrepancy_id, &number)?;
        Ok(is_new)
    }

    /// What is no difference any more needs nobody: its case is closed by the evidence.
    fn settle_case_of(&mut self, what: &Publication, one: &Discrepancy) -> Result<(), StoreError> {
        let open: Vec<Case> = case_rows::of_flow(self.c, &one.flow_no)?
            .into_iter()
            // Another date's result may have a case of its own about the number, and stand.
            .filter(|case| one.case_no.as_ref() == Some(&case.case_no))
            .filter(|case| case.kind == CaseKind::Discrepancy && case.state != CaseState::Closed)
            .collect();
        for case in open {
            let run = &what.run;
            let closed = Case {
                state: CaseState::Closed,
                closed_at: Some(run.made_at),
                resolution: Some(format!(
                    "settled by evidence: version {} of {} has no such difference",
                    run.version, run.business_date
                )),
                version: case.version + 1,
                ..case.clone()
            };
            if case_rows::replace(self.c, &closed)? {
                self.audit(AuditEntry {
                    subject_kind: "CASE",
                    subject: case.case_no.to_string(),
                    action: "SETTLED".to_owned(),
                    before: Some(case.state.as_str().to_owned()),
                    after: Some(CaseState::Closed.as_str().to_owned()),
                    detail: closed.resolution.clone(),
                    ..what.case_audit.clone()
                })?;
            }
        }
        Ok(())
    }
}
