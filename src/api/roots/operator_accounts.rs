//! The accounts of operators: who they are, and what administrators do with them.

use crate::api::auth::{Principal, Right};
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::types::operator::{Me, Operator, Role};
use crate::api::types::parse;
use crate::api::types::refusal::UserError;
use crate::domain::operator;
use crate::engine::{NewOperator, Temporary};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use secrecy::ExposeSecret;

/// Who is added.
#[derive(InputObject)]
pub struct OperatorAddInput {
    /// The name to log in with: 2 to 32 lower-case letters, digits, '-', '_' or '.', a letter first.
    name: String,
    /// The person's own name, 1 to 80 characters.
    display_name: String,
    /// What the person is for.
    role: Role,
}

/// What became of `operatorAdd`.
#[derive(SimpleObject)]
pub struct OperatorAddPayload {
    /// The account; none if it was refused.
    operator: Option<Operator>,
    /// A password to hand over, shown this once; the person has to change it before anything else.
    temporary_password: Option<String>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Who gets another role.
#[derive(InputObject)]
pub struct OperatorSetRoleInput {
    /// The name of the account; not the caller's own.
    name: String,
    /// What the person is for from now on.
    role: Role,
}

/// What became of `operatorSetRole`.
#[derive(SimpleObject)]
pub struct OperatorSetRolePayload {
    /// The account; none if it was refused.
    operator: Option<Operator>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Whose account is switched off.
#[derive(InputObject)]
pub struct OperatorDisableInput {
    /// The name of the account; not the caller's own.
    name: String,
}

/// What became of `operatorDisable`.
#[derive(SimpleObject)]
pub struct OperatorDisablePayload {
    /// The account; none if it was refused.
    operator: Option<Operator>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Whose account is switched on.
#[derive(InputObject)]
pub struct OperatorEnableInput {
    /// The name of the account; not the caller's own.
    name: String,
}

/// What became of `operatorEnable`.
#[derive(SimpleObject)]
pub struct OperatorEnablePayload {
    /// The account; none if it was refused.
    operator: Option<Operator>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Whose password is reset.
#[derive(InputObject)]
pub struct OperatorResetPasswordInput {
    /// The name of the account; not the caller's own.
    name: String,
}

/// What became of `operatorResetPassword`.
#[derive(SimpleObject)]
pub struct OperatorResetPasswordPayload {
    /// The account; none if it was refused.
    operator: Option<Operator>,
    /// A password to hand over, shown this once; the person has to change it before anything else.
    temporary_password: Option<String>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct OperatorsQuery;

#[Object]
impl OperatorsQuery {
    /// Every operator, by name.
    #[graphql(complexity = "20 + child_complexity")]
    async fn operators(&self, ctx: &Context<'_>) -> Result<Vec<Operator>> {
        let desk = Desk::open(ctx, Right::OperatorRead)?;
        let operators = desk.operators.list().await.map_err(Problem::from)?;
        let now = desk.operators.now();
        let told = operators.into_iter();
        Ok(told.map(|operator| Operator { operator, now }).collect())
    }

    /// Who the caller is: an operator by session, or by a bearer token of the settings.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<Me>> {
        let desk = Desk::open(ctx, Right::OwnAccount)?;
        let visit = desk.caller.visit.as_deref();
        Ok(match &*desk.caller.principal {
            Principal::Operator { name, role } => {
                Some(Me::new(name, *role, visit, desk.operators.now()))
            }
            Principal::Anonymous | Principal::Merchant { .. } => None,
        })
    }
}

#[derive(Default)]
pub struct OperatorMutation;

#[Object]
impl OperatorMutation {
    /// Adds an operator, who gets a temporary password.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who is added.")] input: OperatorAddInput,
    ) -> Result<OperatorAddPayload> {
        let (added, user_errors) = outcome(add(ctx, input).await)?;
        let (operator, temporary_password) = added.unzip();
        Ok(OperatorAddPayload {
            operator,
            temporary_password,
            user_errors,
        })
    }

    /// Gives another operator another role. It counts from their next request on.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_set_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and which role.")] input: OperatorSetRoleInput,
    ) -> Result<OperatorSetRolePayload> {
        let (operator, user_errors) = outcome(set_role(ctx, input).await)?;
        Ok(OperatorSetRolePayload {
            operator,
            user_errors,
        })
    }

    /// Switches another operator's account off; their sessions end.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_disable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: OperatorDisableInput,
    ) -> Result<OperatorDisablePayload> {
        let (operator, user_errors) = outcome(disable(ctx, input).await)?;
        Ok(OperatorDisablePayload {
            operator,
            user_errors,
        })
    }

    /// Switches another operator's account on again; a lock ends too.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_enable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: OperatorEnableInput,
    ) -> Result<OperatorEnablePayload> {
        let (operator, user_errors) = outcome(enable(ctx, input).await)?;
        Ok(OperatorEnablePayload {
            operator,
            user_errors,
        })
    }

    /// Gives another operator a temporary password. Their one-time codes, lock and sessions end.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: OperatorResetPasswordInput,
    ) -> Result<OperatorResetPasswordPayload> {
        let (reset, user_errors) = outcome(reset_password(ctx, input).await)?;
        let (operator, temporary_password) = reset.unzip();
        Ok(OperatorResetPasswordPayload {
            operator,
            temporary_password,
            user_errors,
        })
    }
}

/// An account as the schema shows it.
fn shown(desk: &Desk<'_>, operator: operator::Operator) -> Operator {
    Operator {
        operator,
        now: desk.operators.now(),
    }
}

/// An account with the password that is handed over.
fn handed_over(desk: &Desk<'_>, temporary: Temporary) -> (Operator, String) {
    let password = temporary.password.expose_secret().to_owned();
    (shown(desk, temporary.operator), password)
}

async fn add(ctx: &Context<'_>, input: OperatorAddInput) -> Result<(Operator, String), Problem> {
    let desk = Desk::open(ctx, Right::OperatorManage)?;
    let new = NewOperator {
        name: parse("name", &input.name)?,
        display_name: input.display_name,
        role: input.role.into(),
    };
    let added = desk.operators.add(new, &desk.actor()).await?;
    Ok(handed_over(&desk, added))
}

async fn set_role(ctx: &Context<'_>, input: OperatorSetRoleInput) -> Result<Operator, Problem> {
    let desk = Desk::open(ctx, Right::OperatorManage)?;
    let name = parse("name", &input.name)?;
    let role = input.role.into();
    let changed = desk.operators.set_role(&name, role, &desk.actor()).await?;
    Ok(shown(&desk, changed))
}

async fn disable(ctx: &Context<'_>, input: OperatorDisableInput) -> Result<Operator, Problem> {
    let desk = Desk::open(ctx, Right::OperatorManage)?;
    let name = parse("name", &input.name)?;
    let changed = desk.operators.disable(&name, &desk.actor()).await?;
    Ok(shown(&desk, changed))
}

async fn enable(ctx: &Context<'_>, input: OperatorEnableInput) -> Result<Operator, Problem> {
    let desk = Desk::open(ctx, Right::OperatorManage)?;
    let name = parse("name", &input.name)?;
    let changed = desk.operators.enable(&name, &desk.actor()).await?;
    Ok(shown(&desk, changed))
}

async fn reset_password(
    ctx: &Context<'_>,
    input: OperatorResetPasswordInput,
) -> Result<(Operator, String), Problem> {
    let desk = Desk::open(ctx, Right::OperatorManage)?;
    let name = parse("name", &input.name)?;
    let reset = desk.operators.reset_password(&name, &desk.actor()).await?;
    Ok(handed_over(&desk, reset))
}
