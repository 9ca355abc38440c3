//! 人工处理: one person proposes with evidence, another approves or rejects.

use super::settle::{Settled, Step};
use super::{Actor, Engine, EngineError};
use crate::domain::case::{Case, CaseError, CaseKind, Decision, Proposal};
use crate::domain::exception::{Exception, Phase};
use crate::domain::flow::{Flow, FlowKind, FlowState};
use crate::domain::ids::CaseNo;
use crate::domain::order::{Order, OrderEvent, Transition, next};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::{CaseMove, ExceptionMove, StoreError, cases, flows, orders};

impl Engine {
    /// Proposes a decision.
    ///
    /// # Errors
    /// A refusal when the case is closed or has a proposal, the evidence is missing, or the decision
    /// does not fit the order's state.
    pub async fn case_propose(
        &self,
        case_no: &CaseNo,
        decision: Decision,
        evidence: &str,
        maker: &Actor,
    ) -> Result<Case, EngineError> {
        let (case, order) = self.case_and_order(case_no).await?;
        let now = self.now();
        let proposal = Proposal {
            decision,
            evidence: evidence.to_owned(),
            maker: maker.who.clone(),
            proposed_at: now,
        };
        let proposed = case.propose(proposal).map_err(refusal)?;
        check_fit(decision, &case, order.as_ref())?;
        let audit = self.case_audit(now, maker, &proposed, "PROPOSED", Some(case.state));
        self.replace_case(proposed, audit).await
    }

    /// Rejects the proposal of the version that the checker read; the case is open again.
    ///
    /// # Errors
    /// A refusal when the case has changed since, there is no proposal, or the checker is its maker.
    pub async fn case_reject(
        &self,
        case_no: &CaseNo,
        version: i32,
        reason: &str,
        checker: &Actor,
    ) -> Result<Case, EngineError> {
        let (case, _) = self.case_and_order(case_no).await?;
        check_version(&case, version)?;
        let rejected = case.reject(&checker.who).map_err(refusal)?;
        let mut audit =
            self.case_audit(self.now(), checker, &rejected, "REJECTED", Some(case.state));
        audit.detail = Some(reason.to_owned());
        self.replace_case(rejected, audit).await
    }

    /// Approves the proposal of the version that the checker read: the case closes and the decision
    /// takes effect, in one transaction.
    ///
    /// # Errors
    /// A refusal when the case has changed since, there is no proposal, the checker is its maker,
    /// somebody else was first, or the order has moved so that the decision no longer fits.
    pub async fn case_approve(
        &self,
        case_no: &CaseNo,
        version: i32,
        checker: &Actor,
    ) -> Result<(Case, Option<Order>), EngineError> {
        let done = self.approve_as_read(case_no, version, checker).await;
        if let Err(EngineError::Refused(refusal)) = &done
            && refusal.code == RefusalCode::DecisionDoesNotFit
        {
            // Of two checkers at once the first has moved the order. The second is told of the first,
            // not that the decision does not fit the order which it has just made.
            let (case, _) = self.case_and_order(case_no).await?;
            check_version(&case, version)?;
        }
        done
    }

    async fn approve_as_read(
        &self,
        case_no: &CaseNo,
        version: i32,
        checker: &Actor,
    ) -> Result<(Case, Option<Order>), EngineError> {
        let (case, order) = self.case_and_order(case_no).await?;
        check_version(&case, version)?;
        let (closed, decision) = case.approve(&checker.who, self.now()).map_err(refusal)?;
        check_fit(decision, &case, order.as_ref())?;
        let (Some(event), Some(order)) = (decision.event(), order.clone()) else {
            let audit = self.case_audit(self.now(), checker, &closed, "APPROVED", Some(case.state));
            return Ok((self.replace_case(closed, audit).await?, order));
        };
        let number = order.order_no.clone();
        let flows = self
            .0
            .store
            .read(move |c| flows::of_orders(c, &[number]))
            .await?;
        let mut step = Step::new(event, checker);
        step.reason = Some(format!("DECIDED_{decision}"));
        step.case = CaseMove::Replace(closed.clone());
        match event {
            OrderEvent::ReversalOrdered => self.order_reversal(&order, &flows, &mut step)?,
            OrderEvent::DecidedReversed => step.start = self.undone_elsewhere(&flows),
            _ => {}
        }
        match self.settle(order, flows, step).await? {
            Settled::Moved(order) => Ok((closed, Some(order))),
            Settled::OpenPayment(first) => Err(Refusal::new(
                RefusalCode::PaymentInProgress,
                format!("order {first} is paying the same bill; decide when it is settled"),
            )
            .see(first)
            .into()),
            Settled::AlreadyThere(order) | Settled::NotAllowed(order) => {
                Err(does_not_fit(decision, &order).into())
            }
            Settled::Overtaken | Settled::Stale | Settled::DayIsFull => {
                Err(case_changed(case_no).into())
            }
        }
    }

    /// What undid a payment that the center has not undone: a reversal that nobody was told to make, so that
    /// statements and settlement take away what came back. None where a reversal of the center's is there to be it.
    fn undone_elsewhere(&self, flows: &[Flow]) -> Option<Flow> {
        let is_ours = |flow: &Flow| {
            flow.kind == FlowKind::Reversal
                && matches!(flow.state, FlowState::Started | FlowState::Succeeded)
        };
        if flows.iter().any(is_ours) {
            return None;
        }
        let payment = flows.iter().find(|flow| flow.kind == FlowKind::Payment)?;
        let reversal = self.reversal_flow(payment, flows);
        Some(Flow {
            state: FlowState::Succeeded,
            concluded_at: Some(reversal.started_at),
            ..reversal
        })
    }

    /// A decided reversal: an open reversal flow is repeated with its number, else a new one starts.
    fn order_reversal(
        &self,
        order: &Order,
        flows: &[Flow],
        step: &mut Step,
    ) -> Result<(), EngineError> {
        let payment = flows.iter().find(|flow| flow.kind == FlowKind::Payment);
        let payment = payment.ok_or_else(|| StoreError::Corrupt {
            table: "orders",
            key: order.order_no.to_string(),
            why: "it has no payment flow".to_owned(),
        })?;
        let adapter = self
            .0
            .upstreams
            .get(&payment.adapter)
            .cloned()
            .ok_or_else(|| {
                let message = format!("adapter {} is not in the settings", payment.adapter);
                Refusal::new(RefusalCode::AdapterMissing, message).later()
            })?;
        if !adapter.rules.can_reverse {
            let message = format!("adapter {} cannot reverse a payment", adapter.name);
            return Err(Refusal::new(RefusalCode::DecisionDoesNotFit, message).into());
        }
        let is_open =
            |flow: &&Flow| flow.kind == FlowKind::Reversal && flow.state == FlowState::Started;
        let reversal_flow_no = match flows.iter().find(is_open) {
            Some(open) => open.flow_no.clone(),
            None => {
                let flow = self.reversal_flow(payment, flows);
                let number = flow.flow_no.clone();
                step.start = Some(flow);
                number
            }
        };
        let doubt = self.doubt(order, payment, &adapter);
        step.exception = ExceptionMove::Open(Exception {
            phase: Phase::Reverse,
            reversal_flow_no: Some(reversal_flow_no),
            next_at: doubt.opened_at,
            ..doubt
        });
        Ok(())
    }

    pub(super) async fn case_and_order(
        &self,
        case_no: &CaseNo,
    ) -> Result<(Case, Option<Order>), EngineError> {
        let number = case_no.clone();
        let found = self
            .0
            .store
            .read(move |c| {
                let Some(case) = cases::find(c, &number)? else {
                    return Ok(None);
                };
                let Some(number) = &case.order_no else {
                    return Ok(Some((case, None)));
                };
                let order = orders::find(c, number)?;
                Ok(order.map(|order| (case, Some(order))))
            })
            .await?;
        found.ok_or_else(|| {
            let message = format!("there is no case {case_no}");
            Refusal::new(RefusalCode::CaseNotFound, message)
                .on("caseNo")
                .into()
        })
    }

    pub(super) async fn replace_case(
        &self,
        case: Case,
        audit: crate::domain::audit::AuditEntry,
    ) -> Result<Case, EngineError> {
        let new = case.clone();
        let written = self
            .0
            .store
            .solo(move |tx| {
                let written = tx.replace_case(&new)?;
                if written {
                    tx.audit(audit.clone())?;
                }
                Ok(written)
            })
            .await?;
        if written {
            return Ok(case);
        }
        Err(case_changed(&case.case_no).into())
    }
}

fn case_changed(case_no: &CaseNo) -> Refusal {
    let message = format!("case {case_no} was changed by somebody else; read it again");
    Refusal::new(RefusalCode::CaseChanged, message).on("caseNo")
}

/// Nobody decides about a proposal that they have not seen: another one may stand there by now.
pub(super) fn check_version(case: &Case, version: i32) -> Result<(), Refusal> {
    if case.version == version {
        return Ok(());
    }
    let message = format!(
        "case {} is not at version {version} any more; read it again and decide about what stands \
         there now, with its version",
        case.case_no
    );
    Err(Refusal::new(RefusalCode::CaseChanged, message).on("version"))
}

/// Refuses a decision that the order's state does not take, one that would close a case of doubt while
/// the doubt remains, and one that would move an order where there is none.
pub(super) fn check_fit(
    decision: Decision,
    case: &Case,
    order: Option<&Order>,
) -> Result<(), Refusal> {
    let Some(order) = order else {
        return match decision.event() {
            None => Ok(()),
            Some(_) => Err(refusal(CaseError::NoOrder {
                decision,
                case_no: case.case_no.clone(),
            })),
        };
    };
    let fits = match decision.event() {
        None => case.kind != CaseKind::Doubt,
        Some(event) => matches!(next(order.state, event), Ok(Transition::To(_))),
    };
    if fits {
        Ok(())
    } else {
        Err(does_not_fit(decision, order))
    }
}

fn does_not_fit(decision: Decision, order: &Order) -> Refusal {
    refusal(CaseError::DoesNotFit {
        decision,
        state: order.state,
    })
}

pub(super) fn refusal(error: CaseError) -> Refusal {
    let (code, field) = match &error {
        CaseError::Closed(_) => (RefusalCode::CaseClosed, "caseNo"),
        CaseError::AlreadyProposed(_) => (RefusalCode::CaseAlreadyProposed, "caseNo"),
        CaseError::NotProposed(_) => (RefusalCode::CaseNotProposed, "caseNo"),
        CaseError::MakerIsChecker { .. } => (RefusalCode::MakerIsChecker, "caseNo"),
        CaseError::Evidence(_) | CaseError::EvidenceControl => {
            (RefusalCode::EvidenceInvalid, "evidence")
        }
        CaseError::DoesNotFit { .. } | CaseError::NoOrder { .. } => {
            (RefusalCode::DecisionDoesNotFit, "decision")
        }
        CaseError::Comment => (RefusalCode::InvalidArgument, "body"),
    };
    Refusal::new(code, error.to_string()).on(field)
}
