//! A result of reconciling and everything that goes with it, in one transaction.

use super::{StoreError, Tx, cases as case_rows, discrepancies, reconciliations};
use crate::domain::audit::AuditEntry;
use crate::domain::case::{Case, CaseKind, CaseState};
use crate::domain::flow::FlowKind;
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
    /// A case for each flow that needs a person; one that has a case about the same already keeps it.
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
        /// How many cases were opened, or are about another difference than before.
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
                let former = before.iter().find(|one| one.flow_no == its.flow_no);
                opened += u32::from(self.case_about_difference(what, case, (its, former))?);
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

    /// Gives a difference its case: the one that was about the very same, be it decided or not, or the one that
    /// is open, or a new one. `former` is what the result before has found of the number. True where people have
    /// something new to look at.
    fn case_about_difference(
        &mut self,
        what: &Publication,
        case: &Case,
        (one, former): (&Discrepancy, Option<&Discrepancy>),
    ) -> Result<bool, StoreError> {
        let known = case_rows::of_flow(self.c, &one.flow_no)?;
        let same = match self.case_of_the_same(one, former)? {
            Some(same) => Some(same),
            None => self.open_late_case(one)?,
        };
        // What people decided stays decided; what the program closed comes up anew.
        let is_kept = |known: &&Case| known.cause == case.cause && !is_closed_by_program(known);
        let same = same.or_else(|| known.iter().rev().find(is_kept).cloned());
        let (number, is_new) = match same {
            Some(same) => (same.case_no, false),
            None => match known
                .iter()
                .rev()
                .find(|one| one.state != CaseState::Closed)
            {
                Some(open) => {
                    let is_its =
                        former.is_some_and(|was| was.case_no.as_ref() == Some(&open.case_no));
                    let is_new = is_its && self.ask_anew(what, open, &case.cause)?;
                    (open.case_no.clone(), is_new)
                }
                None => (case.case_no.clone(), self.ask(what, case)?),
            },
        };
        discrepancies::give_case(self.c, one.discrepancy_id, &number)?;
        Ok(is_new)
    }

    /// The case of what the result before has found, where it was the very same.
    fn case_of_the_same(
        &mut self,
        one: &Discrepancy,
        former: Option<&Discrepancy>,
    ) -> Result<Option<Case>, StoreError> {
        let same = former.filter(|former| former.says_the_same(one));
        let Some(number) = same.and_then(|former| former.case_no.as_ref()) else {
            return Ok(None);
        };
        let case = case_rows::find(self.c, number)?;
        Ok(case.filter(|case| !is_closed_by_program(case)))
    }

    /// The case of a success that came late: while it waits for people, what a file says of that payment is
    /// one thing more to decide it by.
    fn open_late_case(&mut self, one: &Discrepancy) -> Result<Option<Case>, StoreError> {
        let is_about_payment = one.kind == FlowKind::Payment.as_str();
        match &one.order_no {
            Some(order_no) if one.rule == Rule::BankSaysYes && is_about_payment => {
                Ok(case_rows::open_of(self.c, order_no, CaseKind::LateSuccess)?)
            }
            _ => Ok(None),
        }
    }

    fn ask(&mut self, what: &Publication, case: &Case) -> Result<bool, StoreError> {
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
        Ok(opened)
    }

    /// An open case whose difference has become another one: what was proposed was proposed about something else.
    fn ask_anew(
        &mut self,
        what: &Publication,
        open: &Case,
        cause: &str,
    ) -> Result<bool, StoreError> {
        let anew = Case {
            state: CaseState::Open,
            cause: cause.to_owned(),
            proposal: None,
            version: open.version + 1,
            ..open.clone()
        };
        let written = case_rows::replace(self.c, &anew)?;
        if written {
            self.audit(AuditEntry {
                subject_kind: "CASE",
                subject: open.case_no.to_string(),
                action: "CHANGED".to_owned(),
                before: Some(open.state.as_str().to_owned()),
                after: Some(anew.state.as_str().to_owned()),
                detail: Some(format!("{cause}; before: {}", open.cause)),
                ..what.case_audit.clone()
            })?;
        }
        Ok(written)
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

/// Whether a case was closed and nobody has decided it.
fn is_closed_by_program(case: &Case) -> bool {
    case.state == CaseState::Closed && case.checker.is_none()
}
