//! Beside the decisions of cases: comments, who looks after one, and decisions of many from a file.

use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::types::case::{Case, CaseBatch, CaseBatchLine, CaseComment};
use crate::api::types::refusal::UserError;
use crate::api::types::{invalid, parse};
use crate::domain::case;
use crate::engine::BatchPreview;
use crate::storage::case_batches;
use async_graphql::{Context, Enum, InputObject, Object, Result, SimpleObject};
use uuid::Uuid;

/// How long the name of who looks after a case may be.
const OWNER_CHARS_MAX: usize = 64;

/// A comment about a case.
#[derive(InputObject)]
pub struct CaseCommentInput {
    /// The case's number.
    case_no: String,
    /// 1 to 2000 characters; no control characters besides line ends and tabs.
    body: String,
}

/// What became of `caseComment`.
#[derive(SimpleObject)]
pub struct CaseCommentPayload {
    /// The comment; none if it was refused.
    comment: Option<CaseComment>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Who looks after a case from now on.
#[derive(InputObject)]
pub struct CaseHandInput {
    /// The case's number.
    case_no: String,
    /// The version of the case that was read.
    version: i32,
    /// The person's name; nobody if not given.
    owner: Option<String>,
}

/// What became of `caseHand`.
#[derive(SimpleObject)]
pub struct CaseHandPayload {
    /// The case; none if it was refused.
    case: Option<Case>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Whether a file of decisions is only looked at.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
pub enum CaseBatchMode {
    /// It is looked at: every line is told what it would do, and nothing happens.
    Preview,
    /// It is proposed, if every line can be done.
    Propose,
}

/// Decisions of many cases.
#[derive(InputObject)]
pub struct CaseBatchProposeInput {
    /// CSV with the columns case_no, decision and evidence, and a line for each case; 1000 at most.
    csv: String,
    /// Look, or propose.
    mode: CaseBatchMode,
}

/// What became of `caseBatchPropose`, and of `caseBatchApply`.
#[derive(SimpleObject)]
pub struct CaseBatchPayload {
    /// The file's SHA-256, which another person approves; none if it was refused.
    content_hash: Option<String>,
    /// Every line: what it does, or what is wrong with it.
    lines: Vec<CaseBatchLine>,
    /// The file as it is proposed or applied; none if it was only looked at, or refused.
    batch: Option<CaseBatch>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Which file of decisions, and that it is the one that was read.
#[derive(InputObject)]
pub struct CaseBatchDecideInput {
    /// Its id.
    batch_id: String,
    /// Its SHA-256, as the checker read it.
    content_hash: String,
}

/// What became of `caseBatchReject`.
#[derive(SimpleObject)]
pub struct CaseBatchRejectPayload {
    /// The file of decisions; none if it was refused.
    batch: Option<CaseBatch>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CaseNotesQuery;

#[Object]
impl CaseNotesQuery {
    /// What people wrote about a case, oldest first; operators only.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_comments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "24 digits.")] case_no: String,
    ) -> Result<Vec<CaseComment>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let case_no = parse("caseNo", &case_no).map_err(Problem::from)?;
        let found = desk.engine.case_comments(&case_no).await;
        let found = found.map_err(Problem::from)?.into_iter();
        Ok(found.map(CaseComment).collect())
    }

    /// A file of decisions, with what each line would do now; operators only.
    #[graphql(complexity = "100 + child_complexity")]
    async fn case_batch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] batch_id: String,
    ) -> Result<Option<CaseBatch>> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let batch_id = uuid("batchId", &batch_id)?;
        let found = desk.engine.case_batch(batch_id).await;
        Ok(found.map_err(Problem::from)?.map(CaseBatch))
    }
}

#[derive(Default)]
pub struct CaseNotesMutation;

#[Object]
impl CaseNotesMutation {
    /// Writes a comment about a case.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The comment.")] input: CaseCommentInput,
    ) -> Result<CaseCommentPayload> {
        let (comment, user_errors) = outcome(comment(ctx, input).await)?;
        Ok(CaseCommentPayload {
            comment: comment.map(CaseComment),
            user_errors,
        })
    }

    /// Says who looks after a case.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_hand(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which case, and who.")] input: CaseHandInput,
    ) -> Result<CaseHandPayload> {
        let (case, user_errors) = outcome(hand(ctx, input).await)?;
        Ok(CaseHandPayload {
            case: case.map(Case),
            user_errors,
        })
    }

    /// Looks at a file of decisions, or proposes it. Nothing moves until another person applies it.
    #[graphql(complexity = "100 + child_complexity")]
    async fn case_batch_propose(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: CaseBatchProposeInput,
    ) -> Result<CaseBatchPayload> {
        let (preview, user_errors) = outcome(propose(ctx, input).await)?;
        Ok(payload(preview, user_errors))
    }

    /// Applies a file of decisions: case by case. Not by its maker. A case that has changed meanwhile is left
    /// out, and its line says so.
    #[graphql(complexity = "100 + child_complexity")]
    async fn case_batch_apply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which file.")] input: CaseBatchDecideInput,
    ) -> Result<CaseBatchPayload> {
        let (applied, user_errors) = outcome(apply(ctx, input).await)?;
        Ok(payload(applied, user_errors))
    }

    /// Rejects a file of decisions: nothing of it happens. Not by its maker.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_batch_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which file.")] input: CaseBatchDecideInput,
    ) -> Result<CaseBatchRejectPayload> {
        let (batch, user_errors) = outcome(reject(ctx, input).await)?;
        Ok(CaseBatchRejectPayload {
            batch: batch.map(CaseBatch),
            user_errors,
        })
    }
}

fn payload(preview: Option<BatchPreview>, user_errors: Vec<UserError>) -> CaseBatchPayload {
    let (hash, lines, batch) = match preview {
        Some(preview) => (Some(preview.content_hash), preview.lines, preview.batch),
        None => (None, Vec::new(), None),
    };
    CaseBatchPayload {
        content_hash: hash,
        lines: lines.into_iter().map(CaseBatchLine::from).collect(),
        batch: batch.map(CaseBatch),
        user_errors,
    }
}

async fn comment(ctx: &Context<'_>, input: CaseCommentInput) -> Result<case::Comment, Problem> {
    let desk = Desk::open(ctx, Right::CaseNote)?;
    let case_no = parse("caseNo", &input.case_no)?;
    let author = desk.actor();
    Ok(desk
        .engine
        .case_comment(&case_no, &input.body, &author)
        .await?)
}

async fn hand(ctx: &Context<'_>, input: CaseHandInput) -> Result<case::Case, Problem> {
    let desk = Desk::open(ctx, Right::CaseNote)?;
    let case_no = parse("caseNo", &input.case_no)?;
    let is_name = |name: &String| {
        (1..=OWNER_CHARS_MAX).contains(&name.chars().count()) && !name.contains(char::is_control)
    };
    if input.owner.as_ref().is_some_and(|owner| !is_name(owner)) {
        let message = format!("owner has to be 1 to {OWNER_CHARS_MAX} characters");
        return Err(invalid("owner", message).into());
    }
    let actor = desk.actor();
    let handed = desk
        .engine
        .case_hand(&case_no, input.version, input.owner, &actor);
    Ok(handed.await?)
}

async fn propose(ctx: &Context<'_>, input: CaseBatchProposeInput) -> Result<BatchPreview, Problem> {
    let desk = Desk::open(ctx, Right::CaseDecide)?;
    let maker = desk.actor();
    Ok(match input.mode {
        CaseBatchMode::Preview => desk.engine.batch_preview(&input.csv).await?,
        CaseBatchMode::Propose => desk.engine.batch_propose(&input.csv, &maker).await?,
    })
}

async fn apply(ctx: &Context<'_>, input: CaseBatchDecideInput) -> Result<BatchPreview, Problem> {
    let desk = Desk::open(ctx, Right::CaseApprove)?;
    let batch_id = uuid("batchId", &input.batch_id)?;
    let checker = desk.actor();
    let applied = desk
        .engine
        .batch_apply(batch_id, &input.content_hash, &checker);
    Ok(applied.await?)
}

async fn reject(
    ctx: &Context<'_>,
    input: CaseBatchDecideInput,
) -> Result<case_batches::CaseBatch, Problem> {
    let desk = Desk::open(ctx, Right::CaseReject)?;
    let batch_id = uuid("batchId", &input.batch_id)?;
    let checker = desk.actor();
    let rejected = desk
        .engine
        .batch_reject(batch_id, &input.content_hash, &checker);
    Ok(rejected.await?)
}

fn uuid(field: &'static str, text: &str) -> Result<Uuid, Problem> {
    let id = Uuid::try_parse(text);
    Ok(id.map_err(|_| invalid(field, format!("{field} has to be a UUID")))?)
}
