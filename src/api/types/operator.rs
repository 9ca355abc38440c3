//! Operators: people of the center.

use crate::api::auth::{Principal, Right};
use crate::domain::operator;
use crate::domain::time::Instant;
use crate::engine::Visit;
use async_graphql::{Description, Enum, Object, SimpleObject};

/// What an operator is for. `docs/RIGHTS.md` tells what each may do.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "operator::Role")]
pub enum Role {
    /// Reads.
    Viewer,
    /// 经办: proposes decisions and cancels orders.
    Operator,
    /// 复核: approves and rejects what others proposed.
    Reviewer,
    /// Reads everything, the operators included; changes nothing.
    Auditor,
    /// All of it, and the accounts of operators.
    Admin,
}

/// Where an operator's account stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "operator::OperatorState")]
pub enum OperatorState {
    /// May log in.
    Active,
    /// Too many wrong tries in a row; `lockedUntil` tells when the lock ends by itself.
    Locked,
    /// Switched off by an administrator.
    Disabled,
}

/// A person of the center who logs in.
#[derive(Description)]
pub struct Operator {
    /// The account.
    pub operator: operator::Operator,
    /// By which its state is told.
    pub now: Instant,
}

#[Object(use_type_description)]
impl Operator {
    /// The name to log in with; audit rows have it as `operator:NAME`.
    async fn name(&self) -> &str {
        self.operator.name.as_str()
    }

    /// The person's own name.
    async fn display_name(&self) -> &str {
        &self.operator.display_name
    }

    /// What the person is for.
    async fn role(&self) -> Role {
        self.operator.role.into()
    }

    /// Where the account stands.
    async fn state(&self) -> OperatorState {
        self.operator.state(self.now).into()
    }

    /// Whether logging in takes a one-time code.
    async fn has_codes(&self) -> bool {
        self.operator.totp.is_some()
    }

    /// Whether the password has to be changed before anything else.
    async fn password_is_temporary(&self) -> bool {
        self.operator.password_is_temporary
    }

    /// Until when nobody may log in, where the account is locked.
    async fn locked_until(&self) -> Option<Instant> {
        self.operator.locked_until.filter(|until| self.now < *until)
    }

    /// When the account was made.
    async fn created_at(&self) -> Instant {
        self.operator.created_at
    }

    /// When the person last logged in.
    async fn last_login_at(&self) -> Option<Instant> {
        self.operator.last_login_at
    }
}

/// A session of the caller's own.
#[derive(SimpleObject)]
pub struct Session {
    /// When the person logged in.
    created_at: Instant,
    /// When it ends unless it is used before; 15 minutes without use end it, and 8 hours in all.
    expires_at: Instant,
    /// Until when it may do what moves money or gives rights; `operatorReauthenticate` makes it fresh
    /// again.
    fresh_until: Instant,
}

/// Who the caller is.
#[derive(SimpleObject)]
pub struct Me {
    /// The name that audit rows have as `operator:NAME`.
    name: String,
    /// What the person is for.
    role: Role,
    /// What this role may do, in the words of `docs/RIGHTS.md`.
    rights: Vec<&'static str>,
    /// The account; none for a bearer token of the settings.
    operator: Option<Operator>,
    /// The session; none for a bearer token of the settings.
    session: Option<Session>,
}

impl Me {
    /// Somebody by name and role, with the session where there is one.
    pub fn new(name: &str, role: operator::Role, visit: Option<&Visit>, now: Instant) -> Self {
        let principal = Principal::Operator {
            name: name.to_owned(),
            role,
        };
        let rights = Right::ALL.iter().filter(|right| principal.may(**right));
        Self {
            name: name.to_owned(),
            role: role.into(),
            rights: rights.map(|right| right.as_str()).collect(),
            operator: visit.map(|visit| Operator {
                operator: visit.operator.clone(),
                now,
            }),
            session: visit.map(|visit| Session {
                created_at: visit.session.created_at,
                expires_at: visit.session.expires_at(),
                fresh_until: visit.session.fresh_until,
            }),
        }
    }

    /// Somebody who is logged in.
    pub fn of(visit: &Visit, now: Instant) -> Self {
        let operator = &visit.operator;
        Self::new(operator.name.as_str(), operator.role, Some(visit), now)
    }
}
