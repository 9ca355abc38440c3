//! Deciding cases: one person proposes (经办), another approves or rejects (复核).

use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::types::case::{Case, Decision};
use crate::api::types::order::Order;
use crate::api::types::refusal::UserError;
use crate::api::types::{invalid, parse};
use crate::domain::{case, order};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

/// How long the reason of a rejection may be, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// What is proposed for a case.
#[derive(InputObject)]
pub struct CaseDecideInput {
    /// The case's number.
    case_no: String,
    /// What is to be done with the order.
    decision: Decision,
    /// The evidence in words, 1 to 4000 characters: who at the bank said what, which statement line.
    /// No control characters besides line ends and tabs.
    evidence: String,
}

/// What became of `caseDecide`.
#[derive(SimpleObject)]
pub struct CaseDecidePayload {
    /// The case with its proposal; none if it was refused.
    case: Option<Case>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Which proposal is approved.
#[derive(InputObject)]
pub struct CaseApproveInput {
    /// The case's number.
    case_no: String,
    /// The version of the case that the checker read. If the case has changed since, so that another
    /// proposal may stand there, this is refused with CASE_CHANGED: read the case again.
    version: i32,
}

/// What became of `caseApprove`.
#[derive(SimpleObject)]
pub struct CaseApprovePayload {
    /// The case, closed; none if it was refused.
    case: Option<Case>,
    /// The order as the decision left it; none if it was refused, or where the case is about no order.
    order: Option<Order>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Which proposal is rejected, and why.
#[derive(InputObject)]
pub struct CaseRejectInput {
    /// The case's number.
    case_no: String,
    /// The version of the case that the checker read. If the case has changed since, so that another
    /// proposal may stand there, this is refused with CASE_CHANGED: read the case again.
    version: i32,
    /// Why, 1 to 1000 characters; no control characters besides line ends and tabs.
    reason: String,
}

/// What became of `caseReject`.
#[derive(SimpleObject)]
pub struct CaseRejectPayload {
    /// The case, open again; none if it was refused.
    case: Option<Case>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CaseMutation;

#[Object]
impl CaseMutation {
    /// Proposes the decision of a case. Nothing moves until another person approves it.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_decide(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is proposed.")] input: CaseDecideInput,
    ) -> Result<CaseDecidePayload> {
        let (case, user_errors) = outcome(decide(ctx, input).await)?;
        Ok(CaseDecidePayload {
            case: case.map(Case),
            user_errors,
        })
    }

    /// Approves a proposed decision: the case closes and the decision takes effect. Not by its maker.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_approve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which proposal.")] input: CaseApproveInput,
    ) -> Result<CaseApprovePayload> {
        let (done, user_errors) = outcome(approve(ctx, input).await)?;
        let (case, order) = done.unzip();
        Ok(CaseApprovePayload {
            case: case.map(Case),
            order: order.flatten().map(Order),
            user_errors,
        })
    }

    /// Rejects a proposed decision: the case is open again. Not by its maker.
    #[graphql(complexity = "10 + child_complexity")]
    async fn case_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which proposal, and why.")] input: CaseRejectInput,
    ) -> Result<CaseRejectPayload> {
        let (case, user_errors) = outcome(reject(ctx, input).await)?;
        Ok(CaseRejectPayload {
            case: case.map(Case),
            user_errors,
        })
    }
}

async fn decide(ctx: &Context<'_>, input: CaseDecideInput) -> Result<case::Case, Problem> {
    let desk = Desk::open(ctx, Right::CaseDecide)?;
    let case_no = parse("caseNo", &input.case_no)?;
    let decision = input.decision.into();
    let maker = desk.actor();
    let proposed = desk
        .engine
        .case_propose(&case_no, decision, &input.evidence, &maker)
        .await?;
    Ok(proposed)
}

async fn approve(
    ctx: &Context<'_>,
    input: CaseApproveInput,
) -> Result<(case::Case, Option<order::Order>), Problem> {
    let desk = Desk::open(ctx, Right::CaseApprove)?;
    let case_no = parse("caseNo", &input.case_no)?;
    let checker = desk.actor();
    Ok(desk
        .engine
        .case_approve(&case_no, input.version, &checker)
        .await?)
}

async fn reject(ctx: &Context<'_>, input: CaseRejectInput) -> Result<case::Case, Problem> {
    let desk = Desk::open(ctx, Right::CaseReject)?;
    let case_no = parse("caseNo", &input.case_no)?;
    let reason = input.reason.trim();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        let message = format!("reason has to be 1 to {REASON_CHARS_MAX} characters");
        return Err(invalid("reason", message).into());
    }
    if !case::is_plain(reason) {
        let message = "reason may hold no control characters besides line ends and tabs";
        return Err(invalid("reason", message).into());
    }
    let checker = desk.actor();
    Ok(desk
        .engine
        .case_reject(&case_no, input.version, reason, &checker)
        .await?)
}
