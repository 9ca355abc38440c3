//! Where a resolver begins: who calls, whether the caller may, and the engine behind it.

use super::auth::{Principal, Right};
use super::errors::Problem;
use super::request_id::RequestId;
use crate::engine::{Actor, Engine, Scope};
use async_graphql::Context;
use std::sync::Arc;

/// Who calls, put into every request's context by the edge.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Which request it is.
    pub request_id: RequestId,
}

/// A caller that may do what it asks for, and the engine to do it.
pub(super) struct Desk<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Who does it.
    pub engine: &'a Engine,
}

impl<'a> Desk<'a> {
    /// Opens the desk to a caller that has the right.
    ///
    /// # Errors
    /// `Unauthenticated` for a caller that nobody knows, `Forbidden` for one without the right.
    pub fn open(ctx: &Context<'a>, right: Right) -> Result<Self, Problem> {
        let caller = ctx.data_opt::<Caller>().ok_or(Problem::NotWired)?;
        let engine = ctx.data_opt::<Engine>().ok_or(Problem::NotWired)?;
        if caller.principal.may(right) {
            return Ok(Self { caller, engine });
        }
        Err(match *caller.principal {
            Principal::Anonymous => Problem::Unauthenticated,
            Principal::Merchant { .. } | Principal::Operator { .. } => Problem::Forbidden(right),
        })
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
