//! Who calls, and what a caller may do.
//!
//! A bearer token is looked up by its SHA-256 and becomes a [`Principal`]; whatever replaces tokens
//! later (signatures, sessions) has to make a `Principal` too, and nothing else changes. The table
//! of rights is one `match`, so that a new right cannot be forgotten for anybody.

use crate::domain::ids::MerchantCode;
use crate::domain::merchant::MerchantKind;
use crate::domain::named_enum;
use crate::domain::operator::Role;
use crate::engine::{Actor, Scope};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

named_enum! {
    /// What a field of the API needs.
    pub enum Right {
        /// Look at regions, billers and items.
        Browse = "BROWSE",
        /// Have a biller asked about a bill.
        Bill = "BILL",
        /// Read orders, flows and timelines, within the caller's scope.
        OrderRead = "ORDER_READ",
        /// Make orders.
        OrderCreate = "ORDER_CREATE",
        /// Confirm orders, which moves money.
        OrderConfirm = "ORDER_CONFIRM",
        /// Cancel orders that were not confirmed.
        OrderCancel = "ORDER_CANCEL",
        /// Read exceptions, cases, job runs and merchants: the center's own affairs.
        Oversee = "OVERSEE",
        /// Ask for runs of jobs.
        JobRun = "JOB_RUN",
        /// Read a merchant, within the caller's scope.
        MerchantRead = "MERCHANT_READ",
        /// See the persons and accounts of merchants in clear, not masked.
        MerchantPrivate = "MERCHANT_PRIVATE",
        /// 经办: register, edit and submit merchants.
        MerchantEdit = "MERCHANT_EDIT",
        /// 复核: tick the checklist, approve and reject.
        MerchantReview = "MERCHANT_REVIEW",
        /// Suspend merchants.
        MerchantSuspend = "MERCHANT_SUSPEND",
        /// Take merchants into operation, resume and close them.
        MerchantOperate = "MERCHANT_OPERATE",
        /// Read notifications, within the caller's scope.
        NotificationRead = "NOTIFICATION_READ",
        /// Order notifications sent again, within the caller's scope.
        NotificationResend = "NOTIFICATION_RESEND",
        /// Read statements and what is settled, within the caller's scope.
        StatementRead = "STATEMENT_READ",
        /// Issue a statement once more.
        StatementReissue = "STATEMENT_REISSUE",
        /// Look at keys: a merchant at its own.
        KeyRead = "KEY_READ",
        /// Issue and rotate keys.
        KeyIssue = "KEY_ISSUE",
        /// Approve and reject keys.
        KeyApprove = "KEY_APPROVE",
        /// Take keys back.
        KeyRevoke = "KEY_REVOKE",
        /// Have a private key handed out, for its ticket; an operator needs KEY_ISSUE as well, or to have
        /// issued the key.
        KeyHandOut = "KEY_HAND_OUT",
        /// Propose the decision of a case.
        CaseDecide = "CASE_DECIDE",
        /// Approve a proposed decision.
        CaseApprove = "CASE_APPROVE",
        /// Reject a proposed decision.
        CaseReject = "CASE_REJECT",
        /// Comment on cases, and say who looks after them.
        CaseNote = "CASE_NOTE",
        /// Have a day reconciled once more.
        Reconcile = "RECONCILE",
        /// Log in as an operator.
        Login = "LOGIN",
        /// Look after the own account and session.
        OwnAccount = "OWN_ACCOUNT",
        /// Set up one-time codes for the own account.
        OwnCodes = "OWN_CODES",
        /// Read who the operators are.
        OperatorRead = "OPERATOR_READ",
        /// Add operators, and change, reset and switch off accounts of others.
        OperatorManage = "OPERATOR_MANAGE",
    }
}

impl Right {
    /// Whether an operator's session has to be fresh for it: what moves money, and what gives rights.
    pub fn needs_fresh(self) -> bool {
        use Right as R;
        match self {
            R::Browse | R::Bill | R::OrderRead | R::OrderCreate | R::OrderConfirm => false,
            R::OrderCancel | R::Oversee | R::JobRun | R::CaseReject | R::CaseNote => false,
            R::Login | R::OwnAccount | R::OperatorRead => false,
            R::MerchantRead | R::MerchantPrivate | R::MerchantEdit | R::MerchantSuspend => false,
            R::NotificationRead | R::NotificationResend => false,
            R::StatementRead | R::StatementReissue => false,
            R::KeyRead | R::KeyIssue | R::KeyRevoke | R::KeyHandOut => false,
            R::KeyApprove | R::MerchantReview | R::MerchantOperate => true,
            R::CaseDecide | R::CaseApprove | R::OwnCodes | R::OperatorManage => true,
            R::Reconcile => true,
        }
    }

    /// Whether somebody with a temporary password may do it before changing that.
    pub fn fits_temporary_password(self) -> bool {
        matches!(self, Right::Browse | Right::Login | Right::OwnAccount)
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody that we know.
    Anonymous,
    /// A merchant: a channel company, or the bank's own app.
    Merchant {
        /// Its code.
        code: MerchantCode,
        /// What kind it is; both kinds have the same rights.
        kind: MerchantKind,
    },
    /// A person of the center.
    Operator {
        /// The name by which maker and checker are told apart.
        name: String,
        /// What the person is for.
        role: Role,
    },
}

impl Principal {
    /// Whose things the caller may see; none for a caller that nobody knows.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Principal::Anonymous => None,
            Principal::Merchant { code, .. } => Some(Scope::Merchant(code.clone())),
            Principal::Operator { .. } => Some(Scope::All),
        }
    }

    /// The caller as the audit rows name it.
    pub fn actor(&self, request_id: &str) -> Actor {
        let who = match self {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::Merchant { code, .. } => format!("merchant:{code}"),
            Principal::Operator { name, .. } => format!("operator:{name}"),
        };
        Actor {
            who,
            request_id: Some(request_id.to_owned()),
        }
    }

    /// Whether the caller may do something; the whole table of rights.
    pub fn may(&self, right: Right) -> bool {
        use Right as R;
        match self {
            Principal::Anonymous => {
                matches!(right, R::Browse | R::Login | R::KeyHandOut)
            }
            Principal::Merchant { .. } => match right {
                R::Browse | R::Bill | R::OrderRead => true,
                R::OrderCreate | R::OrderConfirm | R::OrderCancel | R::MerchantRead => true,
                R::MerchantPrivate | R::MerchantEdit | R::MerchantReview => false,
                R::MerchantSuspend | R::MerchantOperate => false,
                R::NotificationRead | R::NotificationResend => true,
                R::StatementRead => true,
                R::StatementReissue => false,
                R::KeyRead | R::KeyIssue | R::KeyRevoke | R::KeyHandOut => true,
                R::KeyApprove => false,
                R::Oversee | R::JobRun => false,
                R::CaseDecide | R::CaseApprove | R::CaseReject => false,
                R::CaseNote | R::Reconcile => false,
                R::Login | R::OwnAccount | R::OwnCodes => false,
                R::OperatorRead | R::OperatorManage => false,
            },
            Principal::Operator { role, .. } => match right {
                R::Browse | R::Bill | R::OrderRead | R::Oversee => true,
                R::OrderCreate | R::OrderConfirm => false,
                R::JobRun => matches!(role, Role::Operator | Role::Admin),
                R::OrderCancel | R::CaseDecide => matches!(role, Role::Operator | Role::Admin),
                R::CaseNote => !matches!(role, Role::Viewer | Role::Auditor),
                R::Reconcile => matches!(role, Role::Operator | Role::Admin),
                R::CaseApprove | R::CaseReject => matches!(role, Role::Reviewer | Role::Admin),
                R::Login | R::OwnAccount | R::OwnCodes => true,
                R::OperatorRead => matches!(role, Role::Auditor | Role::Admin),
                R::OperatorManage => matches!(role, Role::Admin),
                R::MerchantRead | R::KeyRead => true,
                R::NotificationRead | R::StatementRead => true,
                R::StatementReissue => matches!(role, Role::Operator | Role::Admin),
                R::NotificationResend => matches!(role, Role::Operator | Role::Admin),
                R::MerchantPrivate => *role != Role::Viewer,
                R::MerchantSuspend => !matches!(role, Role::Viewer | Role::Auditor),
                R::KeyIssue | R::KeyHandOut => matches!(role, Role::Operator | Role::Admin),
                R::KeyApprove => matches!(role, Role::Reviewer | Role::Admin),
                R::KeyRevoke => !matches!(role, Role::Viewer | Role::Auditor),
                R::MerchantEdit => matches!(role, Role::Operator | Role::Admin),
                R::MerchantReview | R::MerchantOperate => {
                    matches!(role, Role::Reviewer | Role::Admin)
                }
            },
        }
    }
}

/// Why a table of tokens is refused. No message holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// One token for two callers.
    #[error("{0} has the same token as somebody else")]
    Twice(String),
    /// Not a token that a header can carry.
    #[error("the token of {0} has to be 1 to 256 visible ASCII characters")]
    Malformed(String),
}

/// The table of tokens. It holds hashes only.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    by_prefix: HashMap<[u8; 8], Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: [u8; 32],
    principal: Arc<Principal>,
}

impl Tokens {
    /// Takes the table over; the tokens themselves are forgotten.
    ///
    /// # Errors
    /// A token that no header can carry, or that two callers share.
    pub fn try_new(
        entries: impl IntoIterator<Item = (SecretString, Principal)>,
    ) -> Result<Self, TokenError> {
        let mut by_prefix = HashMap::new();
        for (token, principal) in entries {
            let token = token.expose_secret();
            let name = principal.actor("").who;
            let is_visible = token.bytes().all(|b| b.is_ascii_graphic());
            if !is_visible || !(1..=256).contains(&token.len()) {
                return Err(TokenError::Malformed(name));
            }
            let hash = hash(token);
            let entry = Entry {
                hash,
                principal: Arc::new(principal),
            };
            if by_prefix.insert(prefix(&hash), entry).is_some() {
                return Err(TokenError::Twice(name));
            }
        }
        Ok(Self { by_prefix })
    }

    /// Whose token it is. The lookup goes by the beginning of the hash, so its time tells nothing
    /// about a token; the rest is compared in constant time.
    pub(super) fn resolve(&self, token: &str) -> Option<Arc<Principal>> {
        let hash = hash(token);
        let entry = self.by_prefix.get(&prefix(&hash))?;
        let is_same: bool = entry.hash.ct_eq(&hash).into();
        is_same.then(|| entry.principal.clone())
    }

    /// Whom an `Authorization` header names: nobody where there is none.
    pub(super) fn principal(
        &self,
        authorization: Option<&str>,
    ) -> Result<Arc<Principal>, Stranger> {
        let Some(authorization) = authorization else {
            return Ok(Arc::new(Principal::Anonymous));
        };
        let (scheme, token) = authorization.split_once(' ').ok_or(Stranger)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Stranger);
        }
        self.resolve(token.trim()).ok_or(Stranger)
    }
}

/// An `Authorization` header that names nobody we know; the same for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger;

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn prefix(hash: &[u8; 32]) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash[..8]);
    prefix
}

#[cfg(test)]
#[path = "tests/auth_tests.rs"]
mod tests;
