//! I1: the bank and the biller moved what the order's state says, and never more than its amount.

use super::account::{Account, Side};
use super::dossier::Dossier;
use super::report::{Findings, Invariant, Known};
use super::words::Billers;
use crate::domain::case::CaseKind;
use crate::domain::order::OrderState;

/// Judges one order's money.
pub(super) fn judge(
    dossier: &Dossier,
    account: Option<&Account>,
    billers: &Billers,
    findings: &mut Findings,
) {
    let nothing = Side::default();
    let (bank, biller) = account.map_or((&nothing, &nothing), |a| (&a.bank, &a.biller));
    judge_ceiling(dossier, "bank", bank, findings);
    judge_ceiling(dossier, "biller", biller, findings);
    if let Some(account) = account {
        judge_content(dossier, account, billers, findings);
    }
    if account.is_some_and(|account| account.is_moving) {
        return;
    }
    let Some(paid) = is_paid(dossier.order.state) else {
        if bank.balance_minor != biller.balance_minor {
            let problem = "the bank and the biller do not agree";
            report(dossier, problem, (bank, biller), findings);
        }
        return;
    };
    let expected_minor = if paid { dossier.amount_minor() } else { 0 };
    let is_right =
        |side: &Side| side.balance_minor == expected_minor && side.effects == i32::from(paid);
    if is_right(bank) && is_right(biller) {
        return;
    }
    if let Some(known) = late_success(dossier, bank, biller) {
        findings.known(known);
        return;
    }
    let problem = format!(
        "{} orders hold {expected_minor} at the bank and at the biller",
        dossier.order.state
    );
    report(dossier, &problem, (bank, biller), findings);
}

/// Whether money has moved once (or not at all) for an order in this state; none where that is
/// exactly what is not known yet.
fn is_paid(state: OrderState) -> Option<bool> {
    match state {
        OrderState::Succeeded => Some(true),
        OrderState::Created | OrderState::Closed | OrderState::Failed | OrderState::Reversed => {
            Some(false)
        }
        OrderState::Paying | OrderState::Unknown | OrderState::Reversing | OrderState::Manual => {
            None
        }
    }
}

/// Never more than the amount, never less than nothing, at any line.
fn judge_ceiling(dossier: &Dossier, name: &str, side: &Side, findings: &mut Findings) {
    let order_no = &dossier.order.order_no;
    if side.peak_minor > dossier.amount_minor() {
        findings.about(
            order_no,
            Invariant::Money,
            format!("more than the order's amount was moved at the {name}"),
            format!(
                "{} of {} after ledger line {}",
                side.peak_minor,
                dossier.amount_minor(),
                side.peak_seq
            ),
        );
    }
    if side.was_negative {
        findings.about(
            order_no,
            Invariant::Money,
            format!("more was moved back than had been moved at the {name}"),
            format!("balance {}, effects {}", side.balance_minor, side.effects),
        );
    }
}

/// The lines are about the order's own bill, biller, amount and currency.
fn judge_content(dossier: &Dossier, account: &Account, billers: &Billers, findings: &mut Findings) {
    let others = account.other_content.as_deref();
    for (seq, content) in account.content.iter().chain(others) {
        if let Some(difference) = content.difference(&dossier.order, billers) {
            findings.about(
                &dossier.order.order_no,
                Invariant::Money,
                "the bank was told to move something else than the order says",
                format!("ledger line {seq}: {difference}"),
            );
            return;
        }
    }
}

/// Money that moved once after the order had come to rest without it, with people at work on it.
fn late_success(dossier: &Dossier, bank: &Side, biller: &Side) -> Option<Known> {
    let at_rest = matches!(
        dossier.order.state,
        OrderState::Failed | OrderState::Reversed
    );
    let once = |side: &Side| side.effects == 1 && side.balance_minor == dossier.amount_minor();
    if !at_rest || !once(bank) || !once(biller) {
        return None;
    }
    let mut open = dossier.open_cases();
    let case = open.find(|case| case.kind == CaseKind::LateSuccess)?;
    Some(Known {
        order_no: dossier.order.order_no.to_string(),
        case_no: case.case_no.to_string(),
        amount_minor: bank.balance_minor,
    })
}

fn report(
    dossier: &Dossier,
    problem: &str,
    (bank, biller): (&Side, &Side),
    findings: &mut Findings,
) {
    let watched = dossier.exceptions.iter().any(|one| one.closed_at.is_none());
    let watched = if watched {
        "; an exception is open"
    } else {
        ""
    };
    let evidence = format!(
        "order {} of {}; bank {} in {} net effects; biller {} in {}{watched}",
        dossier.order.state,
        dossier.amount_minor(),
        bank.balance_minor,
        bank.effects,
        biller.balance_minor,
        biller.effects,
    );
    let order_no = &dossier.order.order_no;
    findings.about(order_no, Invariant::Money, problem, evidence);
}
