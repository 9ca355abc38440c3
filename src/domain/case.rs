//! 人工处理: what a person works on when neither polling nor reversal brought an answer.
//!
//! One person proposes with evidence, another approves or rejects. Maker ≠ checker is checked here
//! and again by the database.

use super::ids::{CaseNo, OrderNo};
use super::named_enum;
use super::order::OrderEvent;
use super::time::Instant;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

named_enum! {
    /// Why a case was opened.
    pub enum CaseKind {
        /// Neither polling nor reversal brought an answer.
        Doubt = "DOUBT",
        /// The bank reports success of an order that is at rest without being paid.
        LateSuccess = "LATE_SUCCESS",
        /// Our record and a partner's file do not say the same of a flow.
        Discrepancy = "DISCREPANCY",
    }
}

named_enum! {
    /// Where a case stands.
    pub enum CaseState {
        /// Waits for a proposal.
        Open = "OPEN",
        /// Waits for the second person.
        Proposed = "PROPOSED",
        /// Decided by two people, or settled by the bank's own answer.
        Closed = "CLOSED",
    }
}

named_enum! {
    /// What the maker proposes to do with the order.
    pub enum Decision {
        /// It was paid.
        Succeeded = "SUCCEEDED",
        /// It was not paid.
        Failed = "FAILED",
        /// It was undone.
        Reversed = "REVERSED",
        /// Have the payment undone now.
        Reverse = "REVERSE",
        /// Leave the order as it stands; only the case is closed. Not for a case of doubt, which ends with
        /// the doubt.
        Keep = "KEEP",
    }
}

impl Decision {
    /// What the decision does to the order; `Keep` does nothing.
    pub fn event(self) -> Option<OrderEvent> {
        match self {
            Decision::Succeeded => Some(OrderEvent::DecidedSucceeded),
            Decision::Failed => Some(OrderEvent::DecidedFailed),
            Decision::Reversed => Some(OrderEvent::DecidedReversed),
            Decision::Reverse => Some(OrderEvent::ReversalOrdered),
            Decision::Keep => None,
        }
    }
}

/// A proposal that waits for its second person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What is proposed.
    pub decision: Decision,
    /// The evidence in words.
    pub evidence: String,
    /// Who proposes.
    pub maker: String,
    /// When.
    pub proposed_at: Instant,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its number.
    pub case_no: CaseNo,
    /// The order it is about; none for a flow in a partner's file that is no order's.
    pub order_no: Option<OrderNo>,
    /// Of a difference: the flow's number as it stands in the files.
    pub flow_no: Option<String>,
    /// Why it was opened.
    pub kind: CaseKind,
    /// Where it stands.
    pub state: CaseState,
    /// What led here, in words.
    pub cause: String,
    /// When it was opened.
    pub opened_at: Instant,
    /// When it should be decided.
    pub due_at: Instant,
    /// Who looks after it, where somebody does.
    pub owner: Option<String>,
    /// The proposal, from the moment there is one.
    pub proposal: Option<Proposal>,
    /// Who approved.
    pub checker: Option<String>,
    /// When it was closed.
    pub closed_at: Option<Instant>,
    /// How it ended, in words.
    pub resolution: Option<String>,
    /// Counts the changes; compare-and-set goes by it.
    pub version: i32,
}

named_enum! {
    /// Where a file of decisions stands.
    pub enum BatchState {
        /// Waits for the second person.
        Proposed = "PROPOSED",
        /// The second person agreed, and its decisions are taking effect one by one. Where that broke off,
        /// applying it once more goes on.
        Applying = "APPLYING",
        /// Its decisions took effect, but for cases that had changed meanwhile.
        Applied = "APPLIED",
        /// The second person did not want it.
        Rejected = "REJECTED",
    }
}

/// What somebody wrote down about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// UUID v7.
    pub comment_id: Uuid,
    /// Which case.
    pub case_no: CaseNo,
    /// Who.
    pub author: String,
    /// What.
    pub body: String,
    /// When.
    pub written_at: Instant,
}

/// How long a comment may be.
pub const COMMENT_CHARS_MAX: usize = 2_000;

/// How long evidence may be.
pub const EVIDENCE_CHARS_MAX: usize = 4_000;

/// Why a step of a case is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// The case is closed.
    #[error("case {0} is closed")]
    Closed(CaseNo),
    /// There is a proposal already.
    #[error("case {0} has a proposal already; it has to be approved or rejected first")]
    AlreadyProposed(CaseNo),
    /// There is nothing to approve or reject.
    #[error("case {0} has no proposal yet")]
    NotProposed(CaseNo),
    /// The same person on both sides.
    #[error("{who} proposed this decision; another person has to check it")]
    MakerIsChecker {
        /// The person.
        who: String,
    },
    /// Evidence is missing or too long.
    #[error("evidence has to be 1 to {EVIDENCE_CHARS_MAX} characters, and is {0}")]
    Evidence(usize),
    /// Evidence holds what no keyboard writes.
    #[error("evidence may hold no control characters besides line ends and tabs")]
    EvidenceControl,
    /// There is no order that could move.
    #[error("{decision} is not possible: case {case_no} is about no order of ours; KEEP closes it")]
    NoOrder {
        /// What was proposed.
        decision: Decision,
        /// The case.
        case_no: CaseNo,
    },
    /// A comment is empty, too long, or holds what no keyboard writes.
    #[error(
        "a comment has to be 1 to {COMMENT_CHARS_MAX} characters, without control characters besides \
         line ends and tabs"
    )]
    Comment,
    /// The decision does not fit the order's state.
    #[error("{decision} is not possible for an order that is {state}")]
    DoesNotFit {
        /// What was proposed.
        decision: Decision,
        /// Where the order stands.
        state: super::order::OrderState,
    },
}

/// Whether a text that people wrote holds no control characters besides line ends and tabs.
pub fn is_plain(text: &str) -> bool {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    !text.contains(is_control)
}

impl Case {
    /// What it is about, in two words.
    pub fn about(&self) -> String {
        match (&self.order_no, &self.flow_no) {
            (Some(order_no), None) => format!("order {order_no}"),
            (Some(order_no), Some(flow_no)) => format!("order {order_no}, flow {flow_no}"),
            (None, Some(flow_no)) => format!("flow {flow_no}"),
            (None, None) => "nothing".to_owned(),
        }
    }

    /// Another person looks after it from now on.
    ///
    /// # Errors
    /// It is closed.
    pub fn hand_to(&self, owner: Option<String>) -> Result<Case, CaseError> {
        if self.state == CaseState::Closed {
            return Err(CaseError::Closed(self.case_no.clone()));
        }
        Ok(Case {
            owner,
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// One person proposes.
    pub fn propose(&self, proposal: Proposal) -> Result<Case, CaseError> {
        let length = proposal.evidence.trim().chars().count();
        if length == 0 || length > EVIDENCE_CHARS_MAX {
            return Err(CaseError::Evidence(length));
        }
        if !is_plain(&proposal.evidence) {
            return Err(CaseError::EvidenceControl);
        }
        match self.state {
            CaseState::Closed => Err(CaseError::Closed(self.case_no.clone())),
            CaseState::Proposed => Err(CaseError::AlreadyProposed(self.case_no.clone())),
            CaseState::Open => Ok(Case {
                state: CaseState::Proposed,
                proposal: Some(proposal),
                version: self.version + 1,
                ..self.clone()
            }),
        }
    }

    /// Another person approves: the case closes and the decision takes effect.
    pub fn approve(&self, checker: &str, now: Instant) -> Result<(Case, Decision), CaseError> {
        let proposal = self.checked_proposal(checker)?;
        let closed = Case {
            state: CaseState::Closed,
            checker: Some(checker.to_owned()),
            closed_at: Some(now),
            resolution: Some(format!("decided: {}", proposal.decision)),
            version: self.version + 1,
            ..self.clone()
        };
        Ok((closed, proposal.decision))
    }

    /// Another person rejects: the case is open again.
    pub fn reject(&self, checker: &str) -> Result<Case, CaseError> {
        self.checked_proposal(checker)?;
        Ok(Case {
            state: CaseState::Open,
            proposal: None,
            version: self.version + 1,
            ..self.clone()
        })
    }

    fn checked_proposal(&self, checker: &str) -> Result<&Proposal, CaseError> {
        match (&self.state, &self.proposal) {
            (CaseState::Closed, _) => Err(CaseError::Closed(self.case_no.clone())),
            (CaseState::Proposed, Some(proposal)) if proposal.maker == checker => {
                Err(CaseError::MakerIsChecker {
                    who: checker.to_owned(),
                })
            }
            (CaseState::Proposed, Some(proposal)) => Ok(proposal),
            _ => Err(CaseError::NotProposed(self.case_no.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Instant {
        Instant::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn case() -> Case {
        Case {
            case_no: CaseNo::try_new("1".repeat(24)).unwrap(),
            order_no: Some(OrderNo::try_new("2".repeat(24)).unwrap()),
            flow_no: None,
            owner: None,
            kind: CaseKind::Doubt,
            state: CaseState::Open,
            cause: "no answer".into(),
            opened_at: at(),
            due_at: at(),
            proposal: None,
            checker: None,
            closed_at: None,
            resolution: None,
            version: 0,
        }
    }

    fn proposal(evidence: &str) -> Proposal {
        Proposal {
            decision: Decision::Failed,
            evidence: evidence.into(),
            maker: "ann".into(),
            proposed_at: at(),
        }
    }

    #[test]
    fn two_people_decide() {
        let proposed = case()
            .propose(proposal("the bank's letter of today"))
            .unwrap();
        let (closed, decision) = proposed.approve("bob", at()).unwrap();
        assert_eq!(
            (closed.state, decision),
            (CaseState::Closed, Decision::Failed)
        );
        assert_eq!(closed.checker.as_deref(), Some("bob"));
    }

    #[test]
    fn the_maker_cannot_check() {
        let proposed = case().propose(proposal("letter")).unwrap();
        let refused = CaseError::MakerIsChecker { who: "ann".into() };
        assert_eq!(proposed.approve("ann", at()).unwrap_err(), refused);
        assert_eq!(proposed.reject("ann").unwrap_err(), refused);
    }

    #[test]
    fn a_rejected_proposal_opens_the_case_again() {
        let again = case()
            .propose(proposal("letter"))
            .unwrap()
            .reject("bob")
            .unwrap();
        assert_eq!(
            (again.state, again.proposal.is_none(), again.version),
            (CaseState::Open, true, 2)
        );
    }

    #[test]
    fn steps_out_of_turn_are_refused() {
        assert!(matches!(
            case().approve("bob", at()),
            Err(CaseError::NotProposed(_))
        ));
        let proposed = case().propose(proposal("letter")).unwrap();
        assert!(matches!(
            proposed.propose(proposal("x")),
            Err(CaseError::AlreadyProposed(_))
        ));
        let (closed, _) = proposed.approve("bob", at()).unwrap();
        assert!(matches!(
            closed.propose(proposal("x")),
            Err(CaseError::Closed(_))
        ));
        assert!(matches!(
            closed.approve("bob", at()),
            Err(CaseError::Closed(_))
        ));
        assert!(matches!(
            case().propose(proposal("  ")),
            Err(CaseError::Evidence(0))
        ));
        let long = "x".repeat(EVIDENCE_CHARS_MAX + 1);
        assert!(matches!(
            case().propose(proposal(&long)),
            Err(CaseError::Evidence(_))
        ));
        assert!(matches!(
            case().propose(proposal("a\0letter")),
            Err(CaseError::EvidenceControl)
        ));
    }

    #[test]
    fn evidence_may_have_lines_and_tabs() {
        assert!(case().propose(proposal("line 7:\r\n\tpaid\n来函")).is_ok());
        for odd in ["\0", "\u{1b}[2J", "\u{7f}", "\u{85}"] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
