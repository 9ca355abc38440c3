//! Cases: what a person works on.

use crate::domain::case;
use crate::domain::time::Instant;
use crate::engine;
use crate::storage::case_batches;
use async_graphql::{Description, Enum, Object, SimpleObject};

/// Why a case was opened.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "case::CaseKind")]
pub enum CaseKind {
    /// Neither asking nor undoing brought an answer.
    Doubt,
    /// The bank reports success of an order that is at rest without being paid.
    LateSuccess,
    /// Our record and a partner's file do not say the same of a flow.
    Discrepancy,
}

/// Where a case stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "case::CaseState")]
pub enum CaseState {
    /// Waits for a proposal.
    Open,
    /// Waits for the second person.
    Proposed,
    /// Decided by two people, or settled by the bank's own answer.
    Closed,
}

/// What is to be done with the order.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "case::Decision")]
pub enum Decision {
    /// It was paid.
    Succeeded,
    /// It was not paid.
    Failed,
    /// It was undone.
    Reversed,
    /// Have the payment undone now.
    Reverse,
    /// Leave the order as it stands; only the case is closed.
    Keep,
}

/// A proposed decision that waits for the second person, or was approved.
#[derive(Description)]
pub struct Proposal(case::Proposal);

#[Object(use_type_description)]
impl Proposal {
    /// What is proposed.
    async fn decision(&self) -> Decision {
        self.0.decision.into()
    }

    /// The evidence in words.
    async fn evidence(&self) -> &str {
        &self.0.evidence
    }

    /// Who proposes (经办).
    async fn maker(&self) -> &str {
        &self.0.maker
    }

    /// When it was proposed.
    async fn proposed_at(&self) -> Instant {
        self.0.proposed_at
    }
}

/// A case (人工处理): a payment that a person has to find out about. One person proposes a decision
/// with evidence, another approves or rejects it.
#[derive(Description)]
pub struct Case(pub case::Case);

#[Object(use_type_description)]
impl Case {
    /// Its number: 24 digits, beginning with the business date.
    async fn case_no(&self) -> &str {
        self.0.case_no.as_str()
    }

    /// The order it is about; none for a flow in a partner's file that is no order's.
    async fn order_no(&self) -> Option<&str> {
        self.0.order_no.as_ref().map(|number| number.as_str())
    }

    /// Of a difference: the flow's number as it stands in the files.
    async fn flow_no(&self) -> Option<&str> {
        self.0.flow_no.as_deref()
    }

    /// Who looks after it, where somebody does.
    async fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// Why it was opened.
    async fn kind(&self) -> CaseKind {
        self.0.kind.into()
    }

    /// Where it stands.
    async fn state(&self) -> CaseState {
        self.0.state.into()
    }

    /// What led here, in words.
    async fn cause(&self) -> &str {
        &self.0.cause
    }

    /// When it was opened.
    async fn opened_at(&self) -> Instant {
        self.0.opened_at
    }

    /// When it should be decided.
    async fn due_at(&self) -> Instant {
        self.0.due_at
    }

    /// The proposal, from the moment there is one.
    async fn proposal(&self) -> Option<Proposal> {
        self.0.proposal.clone().map(Proposal)
    }

    /// Who approved (复核).
    async fn checker(&self) -> Option<&str> {
        self.0.checker.as_deref()
    }

    /// When it was closed.
    async fn closed_at(&self) -> Option<Instant> {
        self.0.closed_at
    }

    /// How it ended, in words.
    async fn resolution(&self) -> Option<&str> {
        self.0.resolution.as_deref()
    }

    /// Counts its changes. Who approves or rejects says which version was read.
    async fn version(&self) -> i32 {
        self.0.version
    }
}

/// Where a file of decisions stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "case::BatchState", name = "CaseBatchState")]
pub enum BatchState {
    /// Waits for the second person.
    Proposed,
    /// The second person agreed, and its decisions are taking effect one by one. Where that broke off, `caseBatchApply` goes on.
    Applying,
    /// Every decision in it took effect, but for those whose cases had changed.
    Applied,
    /// The second person did not want it.
    Rejected,
}

/// What somebody wrote about a case.
#[derive(Description)]
pub struct CaseComment(pub case::Comment);

#[Object(use_type_description)]
impl CaseComment {
    /// Its id, a UUID.
    async fn comment_id(&self) -> String {
        self.0.comment_id.to_string()
    }

    /// The case.
    async fn case_no(&self) -> &str {
        self.0.case_no.as_str()
    }

    /// Who wrote it.
    async fn author(&self) -> &str {
        &self.0.author
    }

    /// What.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// When.
    async fn written_at(&self) -> Instant {
        self.0.written_at
    }
}

/// A line of a file of decisions.
#[derive(SimpleObject)]
pub struct CaseBatchLine {
    /// Which line, counted from 1; the first case is in line 2.
    line: i32,
    /// The case, as it is written there.
    case_no: String,
    /// The decision, as it is written there.
    decision: String,
    /// What it does, in words; none where it cannot be done.
    does: Option<String>,
    /// Why it cannot be done; none where it can.
    problem: Option<String>,
}

impl From<engine::BatchLine> for CaseBatchLine {
    fn from(line: engine::BatchLine) -> Self {
        Self {
            line: i32::try_from(line.line).unwrap_or(i32::MAX),
            case_no: line.case_no,
            decision: line.decision,
            does: line.does,
            problem: line.problem,
        }
    }
}

/// A file of decisions: proposed by one person, applied or rejected by another.
#[derive(Description)]
pub struct CaseBatch(pub case_batches::CaseBatch);

#[Object(use_type_description)]
impl CaseBatch {
    /// Its id, a UUID.
    async fn batch_id(&self) -> String {
        self.0.batch_id.to_string()
    }

    /// SHA-256 of the file, hexadecimal: what is approved.
    async fn content_hash(&self) -> &str {
        &self.0.content_hash
    }

    /// The file.
    async fn csv(&self) -> &str {
        &self.0.content
    }

    /// Where it stands.
    async fn state(&self) -> BatchState {
        self.0.state.into()
    }

    /// Who proposed it (经办).
    async fn maker(&self) -> &str {
        &self.0.maker
    }

    /// When it was proposed.
    async fn proposed_at(&self) -> Instant {
        self.0.proposed_at
    }

    /// Who applied or rejected it (复核).
    async fn checker(&self) -> Option<&str> {
        self.0.checker.as_deref()
    }

    /// When it was applied or rejected.
    async fn decided_at(&self) -> Option<Instant> {
        self.0.decided_at
    }
}
