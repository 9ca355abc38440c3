//! Decisions of many cases at once, from a file: looked at first, proposed by one person, applied by another.
//!
//! The file is CSV: `case_no,decision,evidence`, a line a case. A look says what each line would do and names
//! every mistake by its line; nothing happens. What is proposed is the file with its hash, and what another
//! person applies is the file with that very hash. Whoever applies it takes it first, so that nobody rejects what
//! is half done. Applying is deciding case by case, each in its own transaction, by the two people of the file: a
//! case that has changed meanwhile is left out and named, in the answer and in the audit trail, and needs another
//! file. Death in the middle leaves a file that is being applied: applying once more finds what is done and goes
//! on.

mod lines;

use self::lines::{Wanted, read_lines};
use super::decide::{check_fit, refusal};
use super::{Actor, Engine, EngineError};
use crate::domain::audit::{AuditEntry, hex};
use crate::domain::case::{BatchState, Case, CaseState, Decision, Proposal};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::case_batches::{self, CaseBatch};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A line of a file, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// Which line, counted from 1; the first case is in line 2.
    pub line: u64,
    /// The case, as it is written.
    pub case_no: String,
    /// The decision, as it is written.
    pub decision: String,
    /// What it does, in words; none where it is wrong.
    pub does: Option<String>,
    /// What is wrong with it; none where it can be done.
    pub problem: Option<String>,
}

/// A file that was looked at.
#[derive(Clone, Debug)]
pub struct BatchPreview {
    /// SHA-256 of the file, hex: what is approved.
    pub content_hash: String,
    /// Every line.
    pub lines: Vec<BatchLine>,
    /// The proposal, where there is one.
    pub batch: Option<CaseBatch>,
}

impl BatchPreview {
    /// Whether every line can be done.
    pub fn is_right(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.problem.is_none())
    }
}

impl Engine {
    /// Says what a file would do; nothing happens.
    ///
    /// # Errors
    /// It is no such file at all, or storage failed.
    pub async fn batch_preview(&self, content: &str) -> Result<BatchPreview, EngineError> {
        let mut lines = Vec::new();
        let mut seen = BTreeSet::new();
        for (line, read) in read_lines(content)? {
            let told = match read {
                Ok(wanted) => {
                    let mut told = self.look(&wanted).await?;
                    if !seen.insert(wanted.case_no.clone()) {
                        told.problem = Some("this case is in an earlier line already".to_owned());
                        told.does = None;
                    }
                    told
                }
                Err((case_no, decision, problem)) => BatchLine {
                    line,
                    case_no,
                    decision,
                    does: None,
                    problem: Some(problem),
                },
            };
            lines.push(told);
        }
        Ok(BatchPreview {
            content_hash: hash(content),
            lines,
            batch: None,
        })
    }

    async fn look(&self, wanted: &Wanted) -> Result<BatchLine, EngineError> {
        let found = self.case_and_order(&wanted.case_no).await;
        let (does, problem) = match found {
            Err(EngineError::Refused(refused)) => (None, Some(refused.message)),
            Err(fault) => return Err(fault),
            Ok((case, order)) => {
                let proposed = propose(&case, wanted, "preview", self.now());
                let fits = proposed.and_then(|_| check_fit(wanted.decision, &case, order.as_ref()));
                match fits {
                    Err(refused) => (None, Some(refused.message)),
                    Ok(()) => (Some(does(wanted.decision, &case)), None),
                }
            }
        };
        Ok(BatchLine {
            line: wanted.line,
            case_no: wanted.case_no.to_string(),
            decision: wanted.decision.as_str().to_owned(),
            does,
            problem,
        })
    }

    /// Proposes a file of which every line can be done.
    ///
    /// # Errors
    /// A refusal where a line cannot be done.
    pub async fn batch_propose(
        &self,
        content: &str,
        maker: &Actor,
    ) -> Result<BatchPreview, EngineError> {
        let mut preview = self.batch_preview(content).await?;
        if !preview.is_right() {
            let wrong = preview.lines.iter().filter(|line| line.problem.is_some());
            let message = format!(
                "{} of {} lines cannot be done; look at them, and hand in a file that can",
                wrong.count(),
                preview.lines.len()
            );
            return Err(Refusal::new(RefusalCode::BatchInvalid, message)
                .on("csv")
                .into());
        }
        let batch = CaseBatch {
            batch_id: Uuid::now_v7(),
            content_hash: preview.content_hash.clone(),
            content: content.to_owned(),
            line_count: i64::try_from(preview.lines.len()).unwrap_or(i64::MAX),
            state: BatchState::Proposed,
            maker: maker.who.clone(),
            proposed_at: self.now(),
            checker: None,
            decided_at: None,
        };
        let entry = self.batch_audit(&batch, maker, "BATCH_PROPOSED");
        let new = batch.clone();
        let write = move |tx: &mut crate::storage::Tx<'_>| {
            tx.insert_case_batch(&new)?;
            tx.audit(entry.clone())
        };
        self.0.store.solo(write).await?;
        preview.batch = Some(batch);
        Ok(preview)
    }

    /// Applies a file that another person proposed: case by case, by both names.
    ///
    /// # Errors
    /// A refusal where there is none, it is another than the checker read, or the checker is its maker.
    pub async fn batch_apply(
        &self,
        batch_id: Uuid,
        content_hash: &str,
        checker: &Actor,
    ) -> Result<BatchPreview, EngineError> {
        let batch = self
            .batch_to_decide(batch_id, content_hash, checker)
            .await?;
        let batch = match batch.state {
            BatchState::Proposed => {
                let taken = self.move_batch(&batch, BatchState::Applying, (checker, None));
                taken.await?
            }
            _ => batch,
        };
        let maker = Actor {
            who: batch.maker.clone(),
            request_id: checker.request_id.clone(),
        };
        let mut lines = Vec::new();
        for (line, read) in read_lines(&batch.content)? {
            // Only files of which every line could be read are proposed.
            if let Ok(wanted) = read {
                lines.push(self.apply_line(line, &wanted, (&maker, checker)).await?);
            }
        }
        let left_out = lines.iter().filter(|line| line.problem.is_some());
        let left_out: Vec<&str> = left_out.map(|line| line.case_no.as_str()).collect();
        let told = match left_out.as_slice() {
            [] => "all are decided".to_owned(),
            some => format!("left out: {}", some.join(", ")),
        };
        let applied = self.end_batch(&batch, (checker, told)).await?;
        Ok(BatchPreview {
            content_hash: batch.content_hash.clone(),
            lines,
            batch: Some(applied),
        })
    }

    /// Ends a file all of whose lines were gone through. Who called at the same time may have ended it already.
    async fn end_batch(
        &self,
        batch: &CaseBatch,
        (checker, told): (&Actor, String),
    ) -> Result<CaseBatch, EngineError> {
        let moved = self.move_batch(batch, BatchState::Applied, (checker, Some(told)));
        match moved.await {
            Err(EngineError::Refused(refused)) => {
                let found = self.case_batch(batch.batch_id).await?;
                let ended = found.filter(|found| found.state == BatchState::Applied);
                ended.ok_or(EngineError::Refused(refused))
            }
            moved => moved,
        }
    }

    /// Rejects a file that another person proposed.
    ///
    /// # Errors
    /// As [`Engine::batch_apply`].
    pub async fn batch_reject(
        &self,
        batch_id: Uuid,
        content_hash: &str,
        checker: &Actor,
    ) -> Result<CaseBatch, EngineError> {
        let batch = self
            .batch_to_decide(batch_id, content_hash, checker)
            .await?;
        if batch.state == BatchState::Applying {
            let message =
                "this file of decisions is being applied; apply it again to go on with it";
            return Err(changed(message).into());
        }
        self.move_batch(&batch, BatchState::Rejected, (checker, None))
            .await
    }

    async fn apply_line(
        &self,
        line: u64,
        wanted: &Wanted,
        (maker, checker): (&Actor, &Actor),
    ) -> Result<BatchLine, EngineError> {
        let mut told = BatchLine {
            line,
            case_no: wanted.case_no.to_string(),
            decision: wanted.decision.as_str().to_owned(),
            does: None,
            problem: None,
        };
        let mut done = self.decide_line(wanted, (maker, checker)).await;
        // Whoever applies the file at the same time may have been first with either step of this line.
        for _ in 0..2 {
            let Err(EngineError::Refused(_)) = &done else {
                break;
            };
            let (case, _) = self.case_and_order(&wanted.case_no).await?;
            if case.state == CaseState::Open || !is_of_line(&case, wanted, maker) {
                break;
            }
            done = self.decide_line(wanted, (maker, checker)).await;
        }
        match done {
            Ok(case) => told.does = case.resolution,
            Err(EngineError::Refused(refused)) => told.problem = Some(refused.message),
            Err(fault) => return Err(fault),
        }
        Ok(told)
    }

    /// Has a case decided as a line says: what was done of it before counts.
    async fn decide_line(
        &self,
        wanted: &Wanted,
        (maker, checker): (&Actor, &Actor),
    ) -> Result<Case, EngineError> {
        let (case, _) = self.case_and_order(&wanted.case_no).await?;
        if case.state == CaseState::Closed && is_of_line(&case, wanted, maker) {
            return Ok(case);
        }
        // A death between the two steps leaves the proposal of this very line.
        let proposed = match case.state {
            CaseState::Proposed if is_of_line(&case, wanted, maker) => case,
            _ => {
                let of = (wanted.decision, wanted.evidence.as_str());
                let proposed = self.case_propose(&wanted.case_no, of.0, of.1, maker);
                proposed.await?
            }
        };
        let approved = self.case_approve(&wanted.case_no, proposed.version, checker);
        Ok(approved.await?.0)
    }

    async fn batch_to_decide(
        &self,
        batch_id: Uuid,
        content_hash: &str,
        checker: &Actor,
    ) -> Result<CaseBatch, EngineError> {
        let read = move |c: &mut _| case_batches::find(c, batch_id);
        let Some(batch) = self.0.store.read(read).await? else {
            let message = format!("there is no file of decisions {batch_id}");
            return Err(Refusal::new(RefusalCode::BatchNotFound, message)
                .on("batchId")
                .into());
        };
        if batch.maker == checker.who {
            let message = format!(
                "{} proposed this file; another person has to check it",
                checker.who
            );
            return Err(Refusal::new(RefusalCode::MakerIsChecker, message)
                .on("batchId")
                .into());
        }
        if batch.content_hash != content_hash {
            let message = "this is not the hash of the file that was proposed; read it again";
            let refusal = Refusal::new(RefusalCode::BatchChanged, message).on("contentHash");
            return Err(refusal.into());
        }
        match batch.state {
            BatchState::Proposed | BatchState::Applying => Ok(batch),
            BatchState::Applied | BatchState::Rejected => {
                let message = format!("this file of decisions is {} already", batch.state);
                Err(changed(message).into())
            }
        }
    }

    /// Moves a file on, unless somebody has moved it since it was read.
    async fn move_batch(
        &self,
        batch: &CaseBatch,
        to: BatchState,
        (checker, told): (&Actor, Option<String>),
    ) -> Result<CaseBatch, EngineError> {
        let moved = CaseBatch {
            state: to,
            checker: Some(checker.who.clone()),
            decided_at: Some(self.now()),
            ..batch.clone()
        };
        let action = match to {
            BatchState::Proposed => "BATCH_PROPOSED",
            BatchState::Applying => "BATCH_TAKEN",
            BatchState::Applied => "BATCH_APPLIED",
            BatchState::Rejected => "BATCH_REJECTED",
        };
        let mut entry = self.batch_audit(&moved, checker, action);
        if let (Some(detail), Some(told)) = (entry.detail.as_mut(), told) {
            detail.push_str("; ");
            detail.push_str(&told);
        }
        let (new, from) = (moved.clone(), batch.state);
        let write = move |tx: &mut crate::storage::Tx<'_>| {
            let written = tx.move_case_batch(&new, from)?;
            if written {
                tx.audit(entry.clone())?;
            }
            Ok(written)
        };
        if self.0.store.solo(write).await? {
            return Ok(moved);
        }
        let message = "somebody else decided this file of decisions first; read it again";
        Err(changed(message).into())
    }

    fn batch_audit(&self, batch: &CaseBatch, actor: &Actor, action: &str) -> AuditEntry {
        AuditEntry {
            subject_kind: "CASE_BATCH",
            subject: batch.batch_id.to_string(),
            after: Some(batch.state.as_str().to_owned()),
            detail: Some(format!(
                "{} cases, sha256 {}",
                batch.line_count, batch.content_hash
            )),
            ..self.audit(self.now(), actor, action)
        }
    }

    /// A file of decisions.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn case_batch(&self, batch_id: Uuid) -> Result<Option<CaseBatch>, EngineError> {
        let read = move |c: &mut _| case_batches::find(c, batch_id);
        Ok(self.0.store.read(read).await?)
    }
}

fn changed(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::BatchChanged, message).on("batchId")
}

/// Whether what is proposed, or was decided, about a case is what a line says, by the file's maker.
fn is_of_line(case: &Case, wanted: &Wanted, maker: &Actor) -> bool {
    case.proposal.as_ref().is_some_and(|proposal| {
        proposal.maker == maker.who
            && proposal.decision == wanted.decision
            && proposal.evidence == wanted.evidence
    })
}

fn hash(content: &str) -> String {
    hex(&Sha256::digest(content.as_bytes()))
}

fn propose(
    case: &Case,
    wanted: &Wanted,
    maker: &str,
    now: crate::domain::time::Instant,
) -> Result<Case, Refusal> {
    let proposal = Proposal {
        decision: wanted.decision,
        evidence: wanted.evidence.clone(),
        maker: maker.to_owned(),
        proposed_at: now,
    };
    case.propose(proposal).map_err(refusal)
}

fn does(decision: Decision, case: &Case) -> String {
    let about = case.about();
    match decision {
        Decision::Keep => format!("closes the case; {about} stays as it is"),
        Decision::Reverse => format!("has the payment of {about} undone"),
        Decision::Succeeded | Decision::Failed | Decision::Reversed => {
            format!("{about} becomes {decision}")
        }
    }
}
