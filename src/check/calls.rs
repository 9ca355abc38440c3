//! What the bank was told against what we had written down: whose numbers they are (I2), when (I5),
//! what was asked before (I6), what was answered (I7), how often (BUDGET).

use super::account::{Account, Instruction};
use super::dossier::Dossier;
use super::number::Number;
use super::report::{Findings, Invariant};
use super::witness::Stray;
use super::words::Answers;
use crate::domain::audit::AuditRow;
use crate::domain::flow::{Flow, FlowKind, FlowState};
use crate::sim::ledger::BankName;
use std::time::Duration;

/// What one order's calls are judged by.
pub(super) struct Calls<'a> {
    pub dossier: &'a Dossier,
    /// What the ledger says about the order.
    pub account: Option<&'a Account>,
    /// Questions about its payment that the bank could not place.
    pub stray: Option<Stray>,
    /// The answers of the ledger; none where it keeps no calls.
    pub answers: Option<&'a Answers>,
    /// How far the clocks may be apart.
    pub tolerance: Duration,
}

impl Calls<'_> {
    /// Judges them.
    pub fn judge(&self, findings: &mut Findings) {
        if self.account.is_some_and(|account| account.is_moving) {
            return;
        }
        for instruction in self.account.iter().flat_map(|a| &a.instructions) {
            let is_its =
                |flow: &&Flow| Number::parse(flow.flow_no.as_str()) == Some(instruction.number);
            match self.dossier.flows.iter().find(is_its) {
                None => self.tell(
                    findings,
                    Invariant::OneEffect,
                    "the bank was called with a number that is no flow of the order",
                    format!("number {}{}", instruction.number, place(instruction)),
                ),
                Some(flow) => self.judge_instruction(flow, instruction, findings),
            }
        }
        for flow in &self.dossier.flows {
            self.judge_conclusion(flow, findings);
        }
    }

    fn judge_instruction(&self, flow: &Flow, told: &Instruction, findings: &mut Findings) {
        let name = format!("{} flow {}{}", flow.kind, flow.flow_no, place(told));
        let is_payment = flow.kind == FlowKind::Payment;
        let is_misused = if is_payment {
            told.undoes.is_some()
        } else {
            told.pays
        };
        if is_misused {
            let problem = "a flow's number was used for something else than the flow is";
            self.tell(findings, Invariant::OneEffect, problem, name.clone());
        }
        if told.effects > 1 || told.undone > 1 {
            let evidence = format!(
                "{name}: {} effects, undone {} times",
                told.effects, told.undone
            );
            let problem = "one number had more than one effect";
            self.tell(findings, Invariant::OneEffect, problem, evidence);
        }
        self.judge_time(flow, told, &name, findings);
        if !is_payment {
            self.judge_reversal(told, &name, findings);
        }
        if told.bank == Some(BankName::Legacy) && told.pay_calls > 1 {
            let evidence = format!("{name}: {} pay calls", told.pay_calls);
            let problem = "a payment was sent again to a bank that pays every time";
            self.tell(findings, Invariant::Budget, problem, evidence);
        }
    }

    /// I5: the flow was there when the bank was told.
    fn judge_time(&self, flow: &Flow, told: &Instruction, name: &str, findings: &mut Findings) {
        let Some(told_at) = told.first_at else {
            return;
        };
        let started_at = flow.started_at.timestamp_micros();
        if started_at > self.latest(told_at) {
            let early_us = started_at.saturating_sub(told_at);
            let evidence = format!("{name}: told {early_us} microseconds before it was started");
            let problem = "the bank was told before the flow was written down";
            self.tell(findings, Invariant::IntentFirst, problem, evidence);
        }
    }

    /// I6: who reverses has asked before, and has written down that the order is being reversed.
    fn judge_reversal(&self, told: &Instruction, name: &str, findings: &mut Findings) {
        let payment = self.dossier.payments().next();
        let payment = payment.and_then(|flow| Number::parse(flow.flow_no.as_str()));
        if told.undoes_several || told.undoes != payment {
            let problem = "a reversal names another payment than the order's";
            self.tell(findings, Invariant::Match, problem, name.to_owned());
        }
        if told.unasked_seq > 0 {
            let evidence = format!("{name}: ledger line {}", told.unasked_seq);
            let problem = "a reversal went out, and the payment had not been asked about";
            self.tell(findings, Invariant::ReverseLast, problem, evidence);
        }
        let Some(told_at) = told.first_at else {
            return;
        };
        let begins = |row: &&AuditRow| {
            matches!(
                row.entry.action.as_str(),
                "REVERSAL_STARTED" | "REVERSAL_ORDERED"
            )
        };
        let mut begun = self.dossier.audit.iter().filter(begins);
        let in_time = |row: &AuditRow| row.entry.at.timestamp_micros() <= self.latest(told_at);
        if !begun.any(in_time) {
            let problem = "a reversal went out before the order was being reversed";
            self.tell(findings, Invariant::ReverseLast, problem, name.to_owned());
        }
    }

    /// I7: what we believe of a flow is what the bank answered and did.
    fn judge_conclusion(&self, flow: &Flow, findings: &mut Findings) {
        let number = Number::parse(flow.flow_no.as_str());
        let told = number.and_then(|number| self.account?.find(number));
        let name = format!("{} flow {} {}", flow.kind, flow.flow_no, flow.state);
        if flow.kind == FlowKind::Payment && flow.state == FlowState::Succeeded {
            let debited_minor = told.map_or(0, |told| told.debited_minor);
            if debited_minor != flow.amount.amount_minor {
                let evidence = format!(
                    "{name}: {debited_minor} of {} debited",
                    flow.amount.amount_minor
                );
                let problem = "a payment is believed to have succeeded without its debit";
                self.tell(findings, Invariant::Match, problem, evidence);
            }
        }
        let foreign = flow.upstream_ref.as_deref().filter(|text| {
            let number = text.strip_prefix('B').and_then(Number::parse);
            number.is_some_and(|number| number.to_string() != flow.flow_no.as_str())
        });
        if let Some(foreign) = foreign {
            let evidence = format!("{name}: reference {foreign}");
            let problem = "a flow carries the bank's reference of another flow";
            self.tell(findings, Invariant::Match, problem, evidence);
        }
        let Some(code) = flow.code.as_deref() else {
            return;
        };
        if !self.dossier.was_decided() && !fits(flow, code) {
            let evidence = format!("{name}: code {code}");
            let problem = "the code does not mean what is believed of the flow";
            self.tell(findings, Invariant::Match, problem, evidence);
        }
        if let Some(answers) = self.answers {
            let stray = self.stray.map_or(Answers::NONE, |stray| stray.answers);
            let set = told.map_or(Answers::NONE, |told| told.answers) | stray;
            if !answers.may_hold(set, code) {
                let evidence = format!("{name}: code {code}, answered {}", answers.words(set));
                let problem = "a flow rests on an answer that the bank did not give";
                self.tell(findings, Invariant::Match, problem, evidence);
            }
        }
    }

    fn latest(&self, told_at: i64) -> i64 {
        let tolerance = i64::try_from(self.tolerance.as_micros()).unwrap_or(i64::MAX);
        told_at.saturating_add(tolerance)
    }

    fn tell(&self, findings: &mut Findings, rule: Invariant, problem: &str, evidence: String) {
        findings.about(&self.dossier.order.order_no, rule, problem, evidence);
    }
}

/// Where a number was first seen.
fn place(told: &Instruction) -> String {
    match told.first_seq {
        0 => String::new(),
        seq => format!(" (ledger line {seq})"),
    }
}

/// Whether a code of the simulated world's protocol can have concluded a flow so. Nothing else does
/// conclude one: not -1, not "pending", not "not found".
fn fits(flow: &Flow, code: &str) -> bool {
    const REFUSALS: [&str; 11] = [
        "5", "1001", "1002", "1003", "1004", "2001", "2002", "2003", "2004", "3001", "3002",
    ];
    match (flow.kind, flow.state) {
        (FlowKind::Payment, FlowState::Succeeded) => code == "1",
        (FlowKind::Payment, FlowState::Failed) => REFUSALS.contains(&code),
        (FlowKind::Payment, FlowState::Reversed) => code == "1",
        (FlowKind::Reversal, FlowState::Succeeded) => code == "1" || code == "5",
        (FlowKind::Reversal, FlowState::Failed) => code == "4001",
        (FlowKind::Reversal, FlowState::Reversed) | (_, FlowState::Started) => false,
    }
}
