//! I4 and half of I8: each order's audit rows tell its whole life, one allowed move after another,
//! and that life ends where the order stands.
//!
//! The table of moves is written down a second time here. A checker that asked the state machine
//! would agree with it about every mistake; a test compares the two tables instead.

use super::dossier::Dossier;
use super::report::{Findings, Invariant};
use crate::domain::audit::AuditRow;
use crate::domain::case::{Case, CaseState, Decision};
use crate::domain::order::OrderState;

/// `(before, action, after)`; nothing comes before an order is made.
const MOVES: &[(&str, &str, &str)] = &[
    ("", "CREATED", "CREATED"),
    ("CREATED", "CONFIRMED", "PAYING"),
    ("CREATED", "CANCELLED", "CLOSED"),
    ("CREATED", "EXPIRED", "CLOSED"),
    ("PAYING", "PAYMENT_SUCCEEDED", "SUCCEEDED"),
    ("PAYING", "PAYMENT_REFUSED", "FAILED"),
    ("PAYING", "PAYMENT_NOT_SENT", "FAILED"),
    ("PAYING", "PAYMENT_UNKNOWN", "UNKNOWN"),
    ("UNKNOWN", "PAYMENT_SUCCEEDED", "SUCCEEDED"),
    ("UNKNOWN", "PAYMENT_REFUSED", "FAILED"),
    ("UNKNOWN", "PAYMENT_NOT_FOUND", "FAILED"),
    ("UNKNOWN", "REVERSAL_STARTED", "REVERSING"),
    ("UNKNOWN", "LADDER_USED_UP", "MANUAL"),
    ("REVERSING", "REVERSAL_SUCCEEDED", "REVERSED"),
    ("REVERSING", "PAYMENT_STANDS", "SUCCEEDED"),
    ("REVERSING", "LADDER_USED_UP", "MANUAL"),
    ("MANUAL", "PAYMENT_SUCCEEDED", "SUCCEEDED"),
    ("MANUAL", "PAYMENT_REFUSED", "FAILED"),
    ("MANUAL", "PAYMENT_NOT_FOUND", "FAILED"),
    ("MANUAL", "DECIDED_SUCCEEDED", "SUCCEEDED"),
    ("MANUAL", "DECIDED_FAILED", "FAILED"),
    ("MANUAL", "DECIDED_REVERSED", "REVERSED"),
    ("MANUAL", "REVERSAL_ORDERED", "REVERSING"),
    // Out of a terminal state leads only what two people decided.
    ("SUCCEEDED", "REVERSAL_ORDERED", "REVERSING"),
    ("FAILED", "REVERSAL_ORDERED", "REVERSING"),
    ("REVERSED", "REVERSAL_ORDERED", "REVERSING"),
    ("FAILED", "DECIDED_SUCCEEDED", "SUCCEEDED"),
    ("REVERSED", "DECIDED_SUCCEEDED", "SUCCEEDED"),
];

/// Whether people move an order by this action.
pub(super) fn is_decision(action: &str) -> bool {
    action.starts_with("DECIDED_") || action == "REVERSAL_ORDERED"
}

/// How an audit row is named in evidence.
pub(super) fn name_of(row: &AuditRow) -> String {
    format!("audit row {} {}", row.stream, row.seq)
}

/// Judges one order's life.
pub(super) fn judge(dossier: &Dossier, findings: &mut Findings) {
    let order = &dossier.order;
    let rows = i64::try_from(dossier.audit.len()).unwrap_or(i64::MAX);
    if rows - 1 != i64::from(order.version) {
        findings.about(
            &order.order_no,
            Invariant::Audit,
            "an order has one audit row for each of its moves and one for its making",
            format!("{} moves, {rows} audit rows", order.version),
        );
    }
    match replay(&dossier.audit, judge_move) {
        Err((row, problem)) => {
            let evidence = tell(row);
            findings.about(
                &order.order_no,
                Invariant::TerminalIsFinal,
                problem,
                evidence,
            );
        }
        Ok(last) if last == order.state.as_str() => judge_decisions(dossier, findings),
        Ok(last) => findings.about(
            &order.order_no,
            Invariant::TerminalIsFinal,
            "the order is not where its audit rows lead",
            format!("order {}, audit rows {last:?}", order.state),
        ),
    }
}

/// Goes through the rows about one thing, each of which has to begin where the last one ended, and
/// gives the state where they lead. Rows of one instant may come from several chains and have no
/// order among themselves: the one that fits comes first.
pub(super) fn replay(
    rows: &[AuditRow],
    judge: impl Fn(&AuditRow) -> Result<(), &'static str>,
) -> Result<&str, (&AuditRow, &'static str)> {
    let mut state = "";
    let mut left: Vec<&AuditRow> = rows.iter().collect();
    while let Some(first) = left.first().copied() {
        let fits = |row: &&AuditRow| row.entry.before.as_deref().unwrap_or("") == state;
        let now = left.iter().take_while(|row| row.entry.at == first.entry.at);
        let Some(place) = now.clone().position(fits) else {
            return Err((
                first,
                "an audit row does not begin where the one before it ended",
            ));
        };
        let row = left.remove(place);
        judge(row).map_err(|problem| (row, problem))?;
        state = row.entry.after.as_deref().unwrap_or("");
    }
    Ok(state)
}

fn judge_move(row: &AuditRow) -> Result<(), &'static str> {
    let entry = &row.entry;
    let before = entry.before.as_deref().unwrap_or("");
    let after = entry.after.as_deref().unwrap_or("");
    let is_terminal = OrderState::TERMINAL
        .iter()
        .any(|state| state.as_str() == before);
    let by_people = is_decision(&entry.action) && entry.actor.starts_with("operator:");
    if is_terminal && !by_people {
        return Err("the order left a terminal state without a decision of people");
    }
    if is_decision(&entry.action) && !by_people {
        return Err("only an operator can decide");
    }
    if !MOVES.contains(&(before, entry.action.as_str(), after)) {
        return Err("there is no such move");
    }
    Ok(())
}

/// Each decision about an order is the decision of a case of it, approved by who is said to have
/// decided.
fn judge_decisions(dossier: &Dossier, findings: &mut Findings) {
    let decisions = dossier.audit.iter();
    for row in decisions.filter(|row| is_decision(&row.entry.action)) {
        if !dossier.cases.iter().any(|case| decides(case, row)) {
            findings.about(
                &dossier.order.order_no,
                Invariant::TwoPeople,
                "there is no case in which this was decided",
                tell(row),
            );
        }
    }
}

fn decides(case: &Case, row: &AuditRow) -> bool {
    let action = case
        .proposal
        .as_ref()
        .map(|proposal| match proposal.decision {
            Decision::Succeeded => "DECIDED_SUCCEEDED",
            Decision::Failed => "DECIDED_FAILED",
            Decision::Reversed => "DECIDED_REVERSED",
            Decision::Reverse => "REVERSAL_ORDERED",
            Decision::Keep => "",
        });
    case.state == CaseState::Closed
        && case.checker.as_deref() == Some(row.entry.actor.as_str())
        && action == Some(row.entry.action.as_str())
}

/// A row in words.
pub(super) fn tell(row: &AuditRow) -> String {
    let entry = &row.entry;
    format!(
        "{}: {} took it from {} to {} by {}",
        name_of(row),
        entry.actor,
        entry.before.as_deref().unwrap_or("nothing"),
        entry.after.as_deref().unwrap_or("nothing"),
        entry.action,
    )
}

#[cfg(test)]
mod tests {
    use super::MOVES;
    use crate::domain::order::{OrderEvent, OrderState, Transition, next};

    #[test]
    fn the_state_machine_and_this_table_agree() {
        for &state in OrderState::ALL {
            for &event in OrderEvent::ALL {
                let here: Vec<&str> = MOVES
                    .iter()
                    .filter(|(before, action, _)| {
                        *before == state.as_str() && *action == event.as_str()
                    })
                    .map(|(_, _, after)| *after)
                    .collect();
                let there: Vec<&str> = match next(state, event) {
                    Ok(Transition::To(to)) => vec![to.as_str()],
                    Ok(Transition::AlreadyThere) | Err(_) => vec![],
                };
                assert_eq!(here, there, "{state} {event}");
            }
        }
    }
}
