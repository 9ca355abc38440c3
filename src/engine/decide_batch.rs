//! Decisions of many cases at once, from a file: looked at first, proposed by one person, applied by another.
//!
//! The file is CSV: `case_no,decision,evidence`, a line a case. A look says what each line would do and names
//! every mistake by its line; nothing happens. What is proposed is the file with its hash, and what another
//! person applies is the file with that very hash. Applying is deciding case by case, each in its own
//! transaction, by the two people of the file: a case that has changed meanwhile is left out and named, and
//! applying once more does the rest.

use super::decide::{check_fit, refusal};
use super::{Actor, Engine, EngineError};
use crate::domain::audit::{AuditEntry, hex};
use crate::domain::case::{BatchState, Case, CaseState, Decision, Proposal};
use crate::domain::ids::CaseNo;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::storage::case_batches::{self, CaseBatch};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many lines a file may have.
pub const LINES_MAX: usize = 1_000;
/// The first line.
const HEADER: [&str; 3] = ["case_no", "decision", "evidence"];

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

/// A line that can be read.
struct Wanted {
    line: u64,
    case_no: CaseNo,
    decision: Decision,
    evidence: String,
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
        let applied = self
            .decide_batch(&batch, BatchState::Applied, checker)
            .await?;
        Ok(BatchPreview {
            content_hash: batch.content_hash.clone(),
            lines,
            batch: Some(applied),
        })
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
        self.decide_batch(&batch, BatchState::Rejected, checker)
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
        let done = async {
            let (case, _) = self.case_and_order(&wanted.case_no).await?;
            let is_its = |proposal: &Proposal| {
                proposal.maker == maker.who
                    && proposal.decision == wanted.decision
                    && proposal.evidence == wanted.evidence
            };
            // A death between the two steps leaves the proposal of this very line.
            let proposed = match &case.proposal {
                Some(proposal) if case.state == CaseState::Proposed && is_its(proposal) => case,
                _ => {
                    let of = (wanted.decision, wanted.evidence.as_str());
                    self.case_propose(&wanted.case_no, of.0, of.1, maker)
                        .await?
                }
            };
            self.case_approve(&wanted.case_no, proposed.version, checker)
                .await
        };
        match done.await {
            Ok((case, _)) => told.does = case.resolution,
            Err(EngineError::Refused(refused)) => told.problem = Some(refused.message),
            Err(fault) => return Err(fault),
        }
        Ok(told)
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
        if batch.state != BatchState::Proposed {
            let message = format!("this file of decisions is {} already", batch.state);
            return Err(Refusal::new(RefusalCode::BatchChanged, message)
                .on("batchId")
                .into());
        }
        Ok(batch)
    }

    async fn decide_batch(
        &self,
        batch: &CaseBatch,
        state: BatchState,
        checker: &Actor,
    ) -> Result<CaseBatch, EngineError> {
        let decided = CaseBatch {
            state,
            checker: Some(checker.who.clone()),
            decided_at: Some(self.now()),
            ..batch.clone()
        };
        let action = match state {
            BatchState::Rejected => "BATCH_REJECTED",
            BatchState::Proposed | BatchState::Applied => "BATCH_APPLIED",
        };
        let entry = self.batch_audit(&decided, checker, action);
        let new = decided.clone();
        let write = move |tx: &mut crate::storage::Tx<'_>| {
            let written = tx.decide_case_batch(&new)?;
            if written {
                tx.audit(entry.clone())?;
            }
            Ok(written)
        };
        if self.0.store.solo(write).await? {
            return Ok(decided);
        }
        let message = "somebody else decided this file of decisions first; read it again";
        Err(Refusal::new(RefusalCode::BatchChanged, message)
            .on("batchId")
            .into())
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

/// Why a line cannot be read: the case and the decision as they are written, and the reason.
type Unreadable = (String, String, String);

/// A line with its number, as far as it can be read.
type ReadLine = (u64, Result<Wanted, Unreadable>);

/// The lines of a file.
fn read_lines(content: &str) -> Result<Vec<ReadLine>, Refusal> {
    let bad = |message: String| Refusal::new(RefusalCode::BatchInvalid, message).on("csv");
    let text = content.strip_prefix('\u{feff}').unwrap_or(content);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| bad(format!("this is no CSV: {error}")))?;
    if header.iter().ne(HEADER) {
        return Err(bad(format!(
            "the first line has to be {}",
            HEADER.join(",")
        )));
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(format!("this is no CSV: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        lines.push((line, read_line(line, &record)));
        if lines.len() > LINES_MAX {
            return Err(bad(format!("a file may have {LINES_MAX} cases")));
        }
    }
    if lines.is_empty() {
        return Err(bad("there is no case in it".to_owned()));
    }
    Ok(lines)
}

fn read_line(line: u64, record: &csv::StringRecord) -> Result<Wanted, Unreadable> {
    let cell = |place: usize| record.get(place).unwrap_or_default().to_owned();
    let (number, word) = (cell(0), cell(1));
    let wrong = |problem: String| Err((number.clone(), word.clone(), problem));
    if record.len() != HEADER.len() {
        return wrong(format!(
            "it has {} cells, and needs {}",
            record.len(),
            HEADER.len()
        ));
    }
    let Ok(case_no) = CaseNo::try_new(number.clone()) else {
        return wrong("case_no has to be 24 digits".to_owned());
    };
    let Ok(decision) = word.parse::<Decision>() else {
        let words: Vec<&str> = Decision::ALL.iter().map(|one| one.as_str()).collect();
        return wrong(format!("decision has to be one of {}", words.join(", ")));
    };
    Ok(Wanted {
        line,
        case_no,
        decision,
        evidence: cell(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_by_its_line() {
        let number = "1".repeat(24);
        let text = format!(
            "case_no,decision,evidence\n{number},KEEP,\"a, letter\"\n12,KEEP,x\n{number},MAYBE,x\n\
             {number},KEEP\n"
        );
        let lines = read_lines(&text).unwrap();
        let told: Vec<(u64, Option<&str>)> = lines
            .iter()
            .map(|(line, read)| (*line, read.as_ref().err().map(|(.., why)| why.as_str())))
            .collect();
        assert_eq!(told[0], (2, None));
        assert_eq!(told[1], (3, Some("case_no has to be 24 digits")));
        assert!(
            told[2]
                .1
                .unwrap()
                .starts_with("decision has to be one of SUCCEEDED")
        );
        assert_eq!(told[3], (5, Some("it has 2 cells, and needs 3")));
    }

    #[test]
    fn what_is_no_such_file_is_refused_whole() {
        for text in [
            "",
            "case_no,decision\n",
            "case_no,decision,evidence\n",
            "a,b,c\n1,2,3\n",
        ] {
            let refused = read_lines(text).err().unwrap();
            assert_eq!(refused.code, RefusalCode::BatchInvalid, "{text:?}");
        }
    }
}
