//! I3 and I14: an order that is not settled is being worked on, by the poller or by people, and
//! once faults stop none is left in doubt.

use super::CheckOptions;
use super::dossier::Dossier;
use super::report::{Findings, Invariant};
use crate::domain::exception::{Exception, Phase, later};
use crate::domain::ids::FlowNo;
use crate::domain::order::OrderState;

/// Judges who works on one order.
pub(super) fn judge(dossier: &Dossier, options: &CheckOptions, findings: &mut Findings) {
    let mut tell = |problem: &str, evidence: String| {
        let order_no = &dossier.order.order_no;
        findings.about(order_no, Invariant::NothingLost, problem, evidence);
    };
    let open: Vec<&Exception> = dossier
        .exceptions
        .iter()
        .filter(|exception| exception.closed_at.is_none())
        .collect();
    if open.len() > 1 {
        tell(
            "more than one exception is open",
            format!("{} are", open.len()),
        );
    }
    let worked_on = open.iter().any(|exception| exception.phase != Phase::Watch);
    let has_case = dossier.open_cases().next().is_some();
    judge_state(dossier, options, (worked_on, has_case), &mut tell);
    for exception in &dossier.exceptions {
        judge_exception(dossier, exception, &mut tell);
    }
    let in_doubt = [
        OrderState::Unknown,
        OrderState::Paying,
        OrderState::Reversing,
    ];
    if options.settled && in_doubt.contains(&dossier.order.state) {
        findings.about(
            &dossier.order.order_no,
            Invariant::Progress,
            "the faults are over and the order is still in doubt",
            format!(
                "order {} since {}",
                dossier.order.state, dossier.order.updated_at
            ),
        );
    }
}

fn judge_state(
    dossier: &Dossier,
    options: &CheckOptions,
    (worked_on, has_case): (bool, bool),
    tell: &mut impl FnMut(&str, String),
) {
    let order = &dossier.order;
    let is_late = |at| options.now > later(at, options.grace);
    match order.state {
        OrderState::Created if is_late(order.expires_at) => tell(
            "the order should have been closed",
            format!("CREATED, to be confirmed by {}", order.expires_at),
        ),
        OrderState::Created => {}
        OrderState::Manual if !has_case => tell(
            "a person has to find out, but there is no open case",
            format!(
                "MANUAL since {}, {} cases",
                order.updated_at,
                dossier.cases.len()
            ),
        ),
        OrderState::Manual => {}
        OrderState::Paying | OrderState::Unknown | OrderState::Reversing => {
            if is_late(order.updated_at) && !worked_on && !has_case {
                tell(
                    "nobody works on the order",
                    format!(
                        "{} since {}, no open exception and no open case",
                        order.state, order.updated_at
                    ),
                );
            }
        }
        OrderState::Succeeded | OrderState::Failed | OrderState::Reversed | OrderState::Closed => {
            if worked_on {
                tell(
                    "the order is at rest, but its exception is open",
                    format!("order {}", order.state),
                );
            }
        }
    }
}

fn judge_exception(dossier: &Dossier, exception: &Exception, tell: &mut impl FnMut(&str, String)) {
    let name = || format!("exception {}", exception.exception_id);
    if exception.escalated && dossier.cases.is_empty() {
        tell("the exception called people, but there is no case", name());
    }
    if exception.closed_at.is_some() {
        return;
    }
    let is_there = |wanted: &FlowNo| dossier.flows.iter().any(|flow| flow.flow_no == *wanted);
    let reversal = exception.reversal_flow_no.as_ref();
    let lacks_reversal = exception.phase == Phase::Reverse && !reversal.is_some_and(is_there);
    if !is_there(&exception.payment_flow_no) || lacks_reversal {
        tell(
            "the poller cannot work on the exception: its flow is missing",
            format!(
                "{} in {}: payment {}, reversal {}",
                name(),
                exception.phase,
                exception.payment_flow_no,
                reversal.map_or("none", FlowNo::as_str),
            ),
        );
    }
}
