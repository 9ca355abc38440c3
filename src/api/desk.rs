//! Where a resolver begins: who calls, whether the caller may, and the engine behind it.

use super::auth::{Principal, Right};
use super::errors::Problem;
use super::limits::{CallLimits, CallerAddress};
use super::request_id::RequestId;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::engine::{Actor, Engine, JobBook, Operators, Pass, Scope, Visit};
use async_graphql::Context;
use std::sync::Arc;

/// Who calls, put into every request's context by the edge.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// The session, for who came with one.
    pub visit: Option<Arc<Visit>>,
    /// Which request it is.
    pub request_id: RequestId,
    /// What lets a signed request in with the change that it asks for; none for what was let in before.
    pub pass: Option<Pass>,
    /// Where it comes from.
    pub address: CallerAddress,
}

impl Caller {
    /// The caller of a request, whatever it may do.
    ///
    /// # Errors
    /// A fault where the edge forgot to say who calls.
    pub fn of<'a>(ctx: &Context<'a>) -> Result<&'a Caller, Problem> {
        ctx.data_opt::<Caller>().ok_or(Problem::NotWired)
    }

    /// Who did something, as the caller may read it: the names of operators are for operators.
    pub fn reads<'a>(&self, actor: &'a str) -> &'a str {
        if matches!(*self.principal, Principal::Operator { .. }) {
            return actor;
        }
        match actor.split_once(':') {
            Some(("operator", _)) => "operator",
            _ => actor,
        }
    }
}

/// A caller that may do what it asks for, and the engine to do it.
pub(super) struct Desk<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Who does it.
    pub engine: &'a Engine,
    /// The scheduled jobs.
    pub jobs: &'a Arc<dyn JobBook>,
    /// Who looks after operators.
    pub operators: &'a Operators,
    /// How often it may be done.
    pub limits: &'a CallLimits,
}

impl<'a> Desk<'a> {
    /// Opens the desk to a caller that has the right.
    ///
    /// # Errors
    /// `Unauthenticated` for a caller that nobody knows, `Forbidden` for one without the right; a refusal
    /// where the session has to do something else first.
    pub fn open(ctx: &Context<'a>, right: Right) -> Result<Self, Problem> {
        let caller = Caller::of(ctx)?;
        let engine = ctx.data_opt::<Engine>().ok_or(Problem::NotWired)?;
        let operators = ctx.data_opt::<Operators>().ok_or(Problem::NotWired)?;
        let jobs = ctx.data_opt::<Arc<dyn JobBook>>();
        let jobs = jobs.ok_or(Problem::NotWired)?;
        let limits = ctx.data_opt::<CallLimits>().ok_or(Problem::NotWired)?;
        if !caller.principal.may(right) {
            return Err(match *caller.principal {
                Principal::Anonymous => Problem::Unauthenticated,
                Principal::Merchant { .. } | Principal::Operator { .. } => {
                    Problem::Forbidden(right)
                }
            });
        }
        if let Some(visit) = &caller.visit {
            check_session(visit, right, operators)?;
        }
        Ok(Self {
            caller,
            engine,
            jobs,
            operators,
            limits,
        })
    }

    /// The caller's session; a bearer token has none.
    pub fn visit(&self) -> Result<&'a Visit, Problem> {
        self.caller.visit.as_deref().ok_or_else(|| {
            let words =
                "this is for people who logged in by operatorLogin; a bearer token has no session";
            Refusal::new(RefusalCode::SessionNeeded, words).into()
        })
    }

    /// Counts a try to prove who an operator is.
    pub fn count_login(&self, name: &str) -> Result<(), Problem> {
        let counted = self.limits.log_in(self.caller.address, name);
        counted.map_err(Problem::Limited)
    }

    /// Whether the caller has a further right.
    pub fn may(&self, right: Right) -> bool {
        self.caller.principal.may(right)
    }

    /// Whose things the caller may see.
    pub fn scope(&self) -> Result<Scope, Problem> {
        self.caller
            .principal
            .scope()
            .ok_or(Problem::Unauthenticated)
    }

    /// The caller as the audit rows name it.
    pub fn actor(&self) -> Actor {
        self.caller.principal.actor(self.caller.request_id.as_str())
    }
}

/// Refuses what a session has to do something else for first.
fn check_session(visit: &Visit, right: Right, operators: &Operators) -> Result<(), Refusal> {
    if visit.operator.password_is_temporary && !right.fits_temporary_password() {
        let words = "your password is a temporary one: change it by operatorChangePassword first";
        return Err(Refusal::new(RefusalCode::PasswordChangeNeeded, words));
    }
    if right.needs_fresh() && !visit.session.is_fresh(operators.now()) {
        let words = "this needs a proof of who you are from the last five minutes: call \
                     operatorReauthenticate, then this again";
        return Err(Refusal::new(RefusalCode::ReauthenticationNeeded, words));
    }
    Ok(())
}
