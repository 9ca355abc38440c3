//! Files of decisions, and comments about cases, as rows.

use super::connection::AnyConnection;
use super::error::StoreError;
use super::row::{RowOf, micros};
use super::schema_night::{case_batches, case_comments};
use super::{Tx, either};
use crate::domain::case::{BatchState, Comment};
use crate::domain::ids::CaseNo;
use crate::domain::time::Instant;
use diesel::prelude::*;
use uuid::Uuid;

/// A file of decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseBatch {
    /// UUID v7.
    pub batch_id: Uuid,
    /// SHA-256 of the file, hex.
    pub content_hash: String,
    /// The file.
    pub content: String,
    /// How many cases it decides.
    pub line_count: i64,
    /// Where it stands.
    pub state: BatchState,
    /// Who proposed it.
    pub maker: String,
    /// When.
    pub proposed_at: Instant,
    /// Who decided about it.
    pub checker: Option<String>,
    /// When.
    pub decided_at: Option<Instant>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = case_batches)]
struct BatchRow {
    batch_id: String,
    content_hash: String,
    content: String,
    line_count: i64,
    state: String,
    maker: String,
    proposed_at: i64,
    checker: Option<String>,
    decided_at: Option<i64>,
}

/// A file of decisions by its id.
pub fn find(c: &mut AnyConnection, batch_id: Uuid) -> Result<Option<CaseBatch>, StoreError> {
    let row: Option<BatchRow> = case_batches::table
        .find(batch_id.to_string())
        .first::<BatchRow>(c)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let of = RowOf {
        table: "case_batches",
        key: &row.batch_id,
    };
    Ok(Some(CaseBatch {
        batch_id,
        state: of.word(&row.state)?,
        proposed_at: of.instant(row.proposed_at)?,
        decided_at: of.instant_opt(row.decided_at)?,
        content_hash: row.content_hash,
        content: row.content,
        line_count: row.line_count,
        maker: row.maker,
        checker: row.checker,
    }))
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = case_comments)]
struct CommentRow {
    comment_id: String,
    case_no: String,
    author: String,
    body: String,
    written_at: i64,
}

/// What was written about a case, oldest first.
pub fn comments_of(c: &mut AnyConnection, case_no: &CaseNo) -> Result<Vec<Comment>, StoreError> {
    let rows: Vec<CommentRow> = case_comments::table
        .filter(case_comments::case_no.eq(case_no.as_str()))
        .order((case_comments::written_at, case_comments::comment_id))
        .load::<CommentRow>(c)?;
    let read = |row: CommentRow| {
        let of = RowOf {
            table: "case_comments",
            key: &row.comment_id,
        };
        Ok(Comment {
            comment_id: of.word::<Uuid>(&row.comment_id)?,
            case_no: of.word(&row.case_no)?,
            written_at: of.instant(row.written_at)?,
            author: row.author,
            body: row.body,
        })
    };
    rows.into_iter().map(read).collect()
}

impl Tx<'_> {
    /// Writes a file of decisions that is proposed.
    pub fn insert_case_batch(&mut self, batch: &CaseBatch) -> Result<(), StoreError> {
        let row = BatchRow {
            batch_id: batch.batch_id.to_string(),
            content_hash: batch.content_hash.clone(),
            content: batch.content.clone(),
            line_count: batch.line_count,
            state: batch.state.as_str().to_owned(),
            maker: batch.maker.clone(),
            proposed_at: micros(batch.proposed_at),
            checker: batch.checker.clone(),
            decided_at: batch.decided_at.map(micros),
        };
        diesel::insert_into(case_batches::table)
            .values(row)
            .execute(self.c)?;
        Ok(())
    }

    /// Writes where a file stands now, if it still stands where it was.
    pub fn move_case_batch(
        &mut self,
        batch: &CaseBatch,
        from: BatchState,
    ) -> Result<bool, StoreError> {
        let of = case_batches::table
            .find(batch.batch_id.to_string())
            .filter(case_batches::state.eq(from.as_str()));
        let written = diesel::update(of)
            .set((
                case_batches::state.eq(batch.state.as_str()),
                case_batches::checker.eq(batch.checker.clone()),
                case_batches::decided_at.eq(batch.decided_at.map(micros)),
            ))
            .execute(self.c)?;
        Ok(written == 1)
    }

    /// Writes a comment down; one that is there already stays as it is.
    pub fn insert_case_comment(&mut self, comment: &Comment) -> Result<(), StoreError> {
        let row = CommentRow {
            comment_id: comment.comment_id.to_string(),
            case_no: comment.case_no.to_string(),
            author: comment.author.clone(),
            body: comment.body.clone(),
            written_at: micros(comment.written_at),
        };
        either!(self.c, |c| {
            diesel::insert_into(case_comments::table)
                .values(&row)
                .on_conflict(case_comments::comment_id)
                .do_nothing()
                .execute(c)
        })?;
        Ok(())
    }
}
