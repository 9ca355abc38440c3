//! What people write about a case, and who looks after it. Nothing here decides anything.

use super::decide::refusal;
use super::{Actor, Engine, EngineError};
use crate::domain::audit::AuditEntry;
use crate::domain::case::{COMMENT_CHARS_MAX, Case, CaseError, Comment, is_plain};
use crate::domain::ids::CaseNo;
use crate::storage::case_batches;
use uuid::Uuid;

impl Engine {
    /// Writes a comment.
    ///
    /// # Errors
    /// A refusal where there is no such case, or the comment is no text.
    pub async fn case_comment(
        &self,
        case_no: &CaseNo,
        body: &str,
        author: &Actor,
    ) -> Result<Comment, EngineError> {
        let (case, _) = self.case_and_order(case_no).await?;
        let body = body.trim();
        if !(1..=COMMENT_CHARS_MAX).contains(&body.chars().count()) || !is_plain(body) {
            return Err(refusal(CaseError::Comment).into());
        }
        let comment = Comment {
            comment_id: Uuid::now_v7(),
            case_no: case.case_no,
            author: author.who.clone(),
            body: body.to_owned(),
            written_at: self.now(),
        };
        // The chain tells that something was written, and not what: a comment is no move of the case.
        let entry = AuditEntry {
            subject_kind: "CASE_COMMENT",
            subject: comment.comment_id.to_string(),
            detail: Some(format!("case {}", comment.case_no)),
            ..self.audit(comment.written_at, author, "COMMENTED")
        };
        let new = comment.clone();
        let write = move |tx: &mut crate::storage::Tx<'_>| {
            tx.insert_case_comment(&new)?;
            tx.audit(entry.clone())
        };
        self.0.store.solo(write).await?;
        Ok(comment)
    }

    /// Says who looks after a case; nobody where there is no name.
    ///
    /// # Errors
    /// A refusal where there is no such case, it is closed, or it has changed since it was read.
    pub async fn case_hand(
        &self,
        case_no: &CaseNo,
        version: i32,
        owner: Option<String>,
        actor: &Actor,
    ) -> Result<Case, EngineError> {
        let (case, _) = self.case_and_order(case_no).await?;
        super::decide::check_version(&case, version)?;
        let handed = case.hand_to(owner).map_err(refusal)?;
        let mut audit = self.case_audit(self.now(), actor, &handed, "HANDED", Some(case.state));
        audit.detail = Some(match &handed.owner {
            Some(owner) => format!("looked after by {owner}"),
            None => "looked after by nobody".to_owned(),
        });
        self.replace_case(handed, audit).await
    }

    /// What was written about a case, oldest first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn case_comments(&self, case_no: &CaseNo) -> Result<Vec<Comment>, EngineError> {
        let number = case_no.clone();
        let read = move |c: &mut _| case_batches::comments_of(c, &number);
        Ok(self.0.store.read(read).await?)
    }
}
