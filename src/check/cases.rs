//! Cases: their audit rows tell their lives as orders' rows do, and two people decided.

use super::history::{replay, tell};
use super::report::{Findings, Invariant};
use crate::domain::audit::AuditRow;
use crate::domain::case::Case;
use crate::storage::walk::{self, Stretch};
use crate::storage::{StoreError, View};
use std::collections::BTreeMap;

/// `(before, action, after)` of a case; nothing comes before it is opened.
const MOVES: &[(&str, &str, &str)] = &[
    ("", "OPENED", "OPEN"),
    ("OPEN", "PROPOSED", "PROPOSED"),
    ("PROPOSED", "REJECTED", "OPEN"),
    ("PROPOSED", "APPROVED", "CLOSED"),
    // The bank's own answer ends a case as well.
    ("OPEN", "SETTLED", "CLOSED"),
    ("PROPOSED", "SETTLED", "CLOSED"),
    // Its difference has become another one: whatever was proposed is to be thought over.
    ("OPEN", "CHANGED", "OPEN"),
    ("PROPOSED", "CHANGED", "OPEN"),
    // Another person looks after it.
    ("OPEN", "HANDED", "OPEN"),
    ("PROPOSED", "HANDED", "PROPOSED"),
];

/// How many cases are held at once.
const PAGE: i64 = 1_000;

/// Judges every case.
pub(super) fn judge(view: &mut View, findings: &mut Findings) -> Result<(), StoreError> {
    let mut after: Option<String> = None;
    loop {
        let c = view.connection();
        let cases = walk::cases_by_number(c, after.as_deref(), PAGE)?;
        let is_last = i64::try_from(cases.len()).unwrap_or(i64::MAX) < PAGE;
        let last = cases.last().map(|(number, _)| number.clone());
        let stretch = Stretch {
            after: after.as_deref(),
            upto: last.as_deref().filter(|_| !is_last),
        };
        let mut rows: BTreeMap<String, Vec<AuditRow>> = BTreeMap::new();
        // A row that cannot be read is reported by the chain that it stands in.
        for row in walk::audit_about(c, "CASE", stretch)?.into_iter().flatten() {
            rows.entry(row.entry.subject.clone()).or_default().push(row);
        }
        for (number, case) in cases {
            let own = rows.remove(&number).unwrap_or_default();
            // A case that cannot be read is reported with its order.
            if let Ok(case) = case {
                judge_one(&case, &own, findings);
            }
        }
        for (number, rows) in rows {
            let evidence = format!("case {number}: {} audit rows", rows.len());
            let problem = "a case is not in the database, but audit rows about it are";
            findings.general(Invariant::Durable, problem, evidence);
        }
        if is_last {
            return Ok(());
        }
        after = last;
    }
}

fn judge_one(case: &Case, rows: &[AuditRow], findings: &mut Findings) {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if count - 1 != i64::from(case.version) {
        about(
            findings,
            case,
            Invariant::Audit,
            "a case has one audit row for each of its moves and one for its opening",
            format!(
                "case {}: {} moves, {count} audit rows",
                case.case_no, case.version
            ),
        );
    }
    match replay(rows, judge_move) {
        Err((row, problem)) => {
            let evidence = format!("case {}: {}", case.case_no, tell(row));
            about(findings, case, Invariant::Audit, problem, evidence);
        }
        Ok(last) if last == case.state.as_str() => {}
        Ok(last) => {
            let evidence = format!("case {} {}, audit rows {last:?}", case.case_no, case.state);
            let problem = "the case is not where its audit rows lead";
            about(findings, case, Invariant::Audit, problem, evidence);
        }
    }
    let maker = case
        .proposal
        .as_ref()
        .map(|proposal| proposal.maker.as_str());
    if case.checker.is_some() && case.checker.as_deref() == maker {
        let evidence = format!("case {}: {maker:?} proposed and approved", case.case_no);
        let problem = "one person decided alone";
        about(findings, case, Invariant::TwoPeople, problem, evidence);
    }
}

/// A finding about the case's order, where it has one.
fn about(
    findings: &mut Findings,
    case: &Case,
    invariant: Invariant,
    problem: &str,
    evidence: String,
) {
    match &case.order_no {
        Some(order_no) => findings.about(order_no, invariant, problem, evidence),
        None => findings.general(invariant, problem, evidence),
    }
}

fn judge_move(row: &AuditRow) -> Result<(), &'static str> {
    let before = row.entry.before.as_deref().unwrap_or("");
    let after = row.entry.after.as_deref().unwrap_or("");
    if MOVES.contains(&(before, row.entry.action.as_str(), after)) {
        Ok(())
    } else {
        Err("there is no such move of a case")
    }
}
