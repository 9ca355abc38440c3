//! Logging in and out, and the own account.
//!
//! The session's secret leaves in a cookie and nowhere else: no field of the schema shows it.

use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::session::CookieRule;
use crate::api::types::operator::Me;
use crate::api::types::refusal::UserError;
use crate::api::types::scalars::Password;
use crate::domain::time::Instant;
use crate::engine::{CodesBegun, Credentials, LoggedIn};
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use secrecy::ExposeSecret;

/// The header that carries a session to the browser.
const SET_COOKIE: &str = "set-cookie";

/// Who logs in.
#[derive(InputObject)]
pub struct OperatorLoginInput {
    /// The name of the account.
    name: String,
    /// Its password.
    password: Password,
    /// The one-time code, six digits, where the account has codes. Each counts once.
    code: Option<Password>,
}

/// What became of `operatorLogin`.
#[derive(SimpleObject)]
pub struct OperatorLoginPayload {
    /// Who the caller is now; none if it was refused.
    me: Option<Me>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// Whose session ends.
#[derive(SimpleObject)]
pub struct OperatorLogoutPayload {
    /// Whether the session has ended.
    logged_out: bool,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// A new proof of who the caller is.
#[derive(InputObject)]
pub struct OperatorReauthenticateInput {
    /// The password of the account.
    password: Password,
    /// The one-time code, where the account has codes.
    code: Option<Password>,
}

/// What became of `operatorReauthenticate`.
#[derive(SimpleObject)]
pub struct OperatorReauthenticatePayload {
    /// Who the caller is, with the session fresh again; none if it was refused.
    me: Option<Me>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// A new password for the own account.
#[derive(InputObject)]
pub struct OperatorChangePasswordInput {
    /// The password until now.
    password: Password,
    /// The one-time code, where the account has codes.
    code: Option<Password>,
    /// The password from now on: 12 to 256 characters, not holding the name, none of the commonest.
    new_password: Password,
}

/// What became of `operatorChangePassword`.
#[derive(SimpleObject)]
pub struct OperatorChangePasswordPayload {
    /// Who the caller is; none if it was refused.
    me: Option<Me>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// A secret of one-time codes, shown this once.
#[derive(SimpleObject)]
pub struct OperatorTotpBeginPayload {
    /// The secret in Base32, to be typed into an authenticator app; none if it was refused.
    secret: Option<String>,
    /// The same as an `otpauth://` address, for a QR code; none if it was refused.
    address: Option<String>,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

/// The first code of a new secret.
#[derive(InputObject)]
pub struct OperatorTotpConfirmInput {
    /// Six digits, as the app shows them.
    code: Password,
}

/// What became of `operatorTotpConfirm`.
#[derive(SimpleObject)]
pub struct OperatorTotpConfirmPayload {
    /// Whether logging in takes a code from now on.
    confirmed: bool,
    /// Why it was refused; empty if it was not.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Logs an operator in. The session comes as a cookie that no script can read; requests with it have
    /// to carry the Origin of a page of this server. Every reason for a refusal has the same words.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who logs in.")] input: OperatorLoginInput,
    ) -> Result<OperatorLoginPayload> {
        let (me, user_errors) = outcome(login(ctx, input).await)?;
        Ok(OperatorLoginPayload { me, user_errors })
    }

    /// Ends the caller's session.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_logout(&self, ctx: &Context<'_>) -> Result<OperatorLogoutPayload> {
        let (done, user_errors) = outcome(logout(ctx).await)?;
        Ok(OperatorLogoutPayload {
            logged_out: done.is_some(),
            user_errors,
        })
    }

    /// Proves again who the caller is: for five minutes the session may do what moves money or gives
    /// rights.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_reauthenticate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof.")] input: OperatorReauthenticateInput,
    ) -> Result<OperatorReauthenticatePayload> {
        let (me, user_errors) = outcome(reauthenticate(ctx, input).await)?;
        Ok(OperatorReauthenticatePayload { me, user_errors })
    }

    /// Changes the caller's own password. Every other session of the account ends.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The old and the new password.")] input: OperatorChangePasswordInput,
    ) -> Result<OperatorChangePasswordPayload> {
        let (me, user_errors) = outcome(change_password(ctx, input).await)?;
        Ok(OperatorChangePasswordPayload { me, user_errors })
    }

    /// Makes a secret of one-time codes for the caller's account. It counts when its first code is
    /// confirmed by `operatorTotpConfirm`.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_totp_begin(&self, ctx: &Context<'_>) -> Result<OperatorTotpBeginPayload> {
        let (begun, user_errors) = outcome(totp_begin(ctx).await)?;
        let (secret, address) = begun.map(|begun| (begun.secret, begun.address)).unzip();
        let shown = |secret: secrecy::SecretString| secret.expose_secret().to_owned();
        Ok(OperatorTotpBeginPayload {
            secret: secret.map(shown),
            address: address.map(shown),
            user_errors,
        })
    }

    /// Confirms a secret of one-time codes by its first code: from now on logging in takes one.
    #[graphql(complexity = "10 + child_complexity")]
    async fn operator_totp_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first code.")] input: OperatorTotpConfirmInput,
    ) -> Result<OperatorTotpConfirmPayload> {
        let (done, user_errors) = outcome(totp_confirm(ctx, input).await)?;
        Ok(OperatorTotpConfirmPayload {
            confirmed: done.is_some(),
            user_errors,
        })
    }
}

/// What somebody shows, out of two arguments.
fn credentials(password: Password, code: Option<Password>) -> Credentials {
    Credentials {
        password: password.0,
        code: code.map(|code| code.0),
    }
}

/// Gives the browser its session and tells who the caller is now.
fn greet(ctx: &Context<'_>, logged_in: &LoggedIn, now: Instant) -> Result<Me, Problem> {
    let rule = ctx.data_opt::<CookieRule>().ok_or(Problem::NotWired)?;
    ctx.insert_http_header(SET_COOKIE, rule.given(&logged_in.secret));
    Ok(Me::of(&logged_in.visit, now))
}

async fn login(ctx: &Context<'_>, input: OperatorLoginInput) -> Result<Me, Problem> {
    let desk = Desk::open(ctx, Right::Login)?;
    desk.count_login(&input.name)?;
    let shown = credentials(input.password, input.code);
    let held = desk.caller.visit.as_deref();
    let operators = desk.operators;
    let logged_in = operators
        .login(&input.name, &shown, held, &desk.actor())
        .await?;
    greet(ctx, &logged_in, operators.now())
}

async fn logout(ctx: &Context<'_>) -> Result<(), Problem> {
    let desk = Desk::open(ctx, Right::OwnAccount)?;
    desk.operators.logout(desk.visit()?, &desk.actor()).await?;
    let rule = ctx.data_opt::<CookieRule>().ok_or(Problem::NotWired)?;
    ctx.insert_http_header(SET_COOKIE, rule.taken());
    Ok(())
}

async fn reauthenticate(
    ctx: &Context<'_>,
    input: OperatorReauthenticateInput,
) -> Result<Me, Problem> {
    let desk = Desk::open(ctx, Right::OwnAccount)?;
    let visit = desk.visit()?;
    desk.count_login(visit.operator.name.as_str())?;
    let shown = credentials(input.password, input.code);
    let operators = desk.operators;
    let logged_in = operators
        .reauthenticate(visit, &shown, &desk.actor())
        .await?;
    greet(ctx, &logged_in, operators.now())
}

async fn change_password(
    ctx: &Context<'_>,
    input: OperatorChangePasswordInput,
) -> Result<Me, Problem> {
    let desk = Desk::open(ctx, Right::OwnAccount)?;
    let visit = desk.visit()?;
    desk.count_login(visit.operator.name.as_str())?;
    let shown = credentials(input.password, input.code);
    let operators = desk.operators;
    let logged_in = operators
        .change_password(visit, &shown, &input.new_password.0, &desk.actor())
        .await?;
    greet(ctx, &logged_in, operators.now())
}

async fn totp_begin(ctx: &Context<'_>) -> Result<CodesBegun, Problem> {
    let desk = Desk::open(ctx, Right::OwnCodes)?;
    let visit = desk.visit()?;
    Ok(desk.operators.begin_codes(visit, &desk.actor()).await?)
}

async fn totp_confirm(ctx: &Context<'_>, input: OperatorTotpConfirmInput) -> Result<(), Problem> {
    let desk = Desk::open(ctx, Right::OwnCodes)?;
    let visit = desk.visit()?;
    let operators = desk.operators;
    operators
        .confirm_codes(visit, &input.code.0, &desk.actor())
        .await?;
    Ok(())
}
