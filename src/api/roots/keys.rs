//! Keys: one person issues (经办), another approves (复核); a private key is handed out once.

use super::overview::forward;
use crate::api::auth::{Principal, Right};
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::paging::{KeyConnection, Kind, cost};
use crate::api::types::key::{Algorithm, Key, KeyState};
use crate::api::types::refusal::UserError;
use crate::api::types::{invalid, parse};
use crate::domain::ids::{KeyId, MerchantCode};
use crate::domain::key::{self, KeyOwner, OVERLAP};
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Instant;
use crate::engine::{Issued, KeyIssueInput as Issue, Scope};
use crate::storage::keys::Filter;
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use secrecy::ExposeSecret;
use std::time::Duration;

/// A key that is issued for a merchant.
#[derive(InputObject)]
pub struct KeyIssueInput {
    /// The merchant's code; a merchant issues for itself and leaves it out.
    merchant: Option<String>,
    /// What it is for.
    algorithm: Algorithm,
    /// The public key that the merchant made: SubjectPublicKeyInfo as PEM or as DER in Base64, or an
    /// ed25519 key's 32 bytes in Base64. Without it the center makes the pair, for an operator, and
    /// hands the private key out once.
    public_key: Option<String>,
    /// When its life ends, within two years; in a year if nothing is said.
    expires_at: Option<Instant>,
}

/// A key that takes the place of another one.
#[derive(InputObject)]
pub struct KeyRotateInput {
    /// The active key that is replaced.
    key_id: String,
    /// What the new one is for; as the old one if nothing is said.
    algorithm: Option<Algorithm>,
    /// The new public key, as in `keyIssue`; without it the center makes the pair.
    public_key: Option<String>,
    /// How many hours the old key counts after the new one was approved: 0 to 168, 24 if nothing is
    /// said.
    overlap_hours: Option<i32>,
    /// When its life ends, within two years; in a year if nothing is said.
    expires_at: Option<Instant>,
}

/// Which key is approved.
#[derive(InputObject)]
pub struct KeyApproveInput {
    /// The key.
    key_id: String,
    /// The version of the key that was read. If it has changed since, this is refused with KEY_CHANGED.
    version: i32,
}

/// Which key is rejected, and why.
#[derive(InputObject)]
pub struct KeyRejectInput {
    /// The key.
    key_id: String,
    /// The version of the key that was read. If it has changed since, this is refused with KEY_CHANGED.
    version: i32,
    /// Why, 1 to 1000 characters.
    reason: String,
}

/// Which key is taken back, and why.
#[derive(InputObject)]
pub struct KeyRevokeInput {
    /// The key.
    key_id: String,
    /// Why, 1 to 1000 characters.
    reason: String,
}

/// What a private key is handed out for.
#[derive(InputObject)]
pub struct KeyHandOutInput {
    /// The key.
    key_id: String,
    /// The ticket that `keyIssue` or `keyRotate` showed.
    ticket: String,
}

macro_rules! payload {
    ($name:ident, $about:literal { $($(#[$meta:meta])* $field:ident: $kind:ty,)* }) => {
        #[doc = $about]
        #[derive(SimpleObject)]
        pub struct $name {
            /// The key as it stands now; none if it was refused.
            key: Option<Key>,
            $($(#[$meta])* $field: $kind,)*
            /// Why it was refused; empty if it was not.
            user_errors: Vec<UserError>,
        }
    };
}

payload!(KeyIssuePayload, "What became of `keyIssue`." {
    /// Where the center made the pair: the ticket that the private key is handed out for, once, when the
    /// key is active. It is shown here and nowhere else.
    ticket: Option<String>,
});
payload!(KeyRotatePayload, "What became of `keyRotate`." {
    /// Where the center made the pair: the ticket that the private key is handed out for, once, when the
    /// key is active. It is shown here and nowhere else.
    ticket: Option<String>,
});
payload!(KeyApprovePayload, "What became of `keyApprove`." {});
payload!(KeyRejectPayload, "What became of `keyReject`." {});
payload!(KeyRevokePayload, "What became of `keyRevoke`." {});
payload!(KeyHandOutPayload, "What became of `keyHandOut`." {
    /// The private key: PKCS#8 as PEM. The center has forgotten it by now.
    private_key: Option<String>,
});

#[derive(Default)]
pub struct KeyQuery;

#[Object]
impl KeyQuery {
    /// One key; none where there is no such key or it is not the caller's. The center's own are
    /// everybody's to see who may ask.
    #[graphql(complexity = "2 + child_complexity")]
    async fn key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] key_id: String,
    ) -> Result<Option<Key>> {
        let desk = Desk::open(ctx, Right::KeyRead)?;
        let key_id: KeyId = parse("keyId", &key_id).map_err(Problem::from)?;
        let found = desk.engine.key(&key_id).await.map_err(Problem::from)?;
        let scope = desk.scope()?;
        Ok(found.filter(|key| sees(&scope, key)).map(Key))
    }

    /// Keys, newest first. A merchant sees its own only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only keys of this merchant.")] merchant: Option<String>,
        #[graphql(default, desc = "Only the center's own.")] center_only: bool,
        #[graphql(desc = "Only keys in these states.")] states: Option<Vec<KeyState>>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<KeyConnection> {
        let desk = Desk::open(ctx, Right::KeyRead)?;
        let page = forward(Kind::Key, first, after)?;
        let after = page.after.as_deref().map(|key_id| parse("after", key_id));
        let after = after.transpose().map_err(Problem::from)?;
        let asked = merchant.map(|code| parse::<MerchantCode>("merchant", &code));
        let asked = asked.transpose().map_err(Problem::from)?;
        let merchant = match (desk.scope()?, asked, center_only) {
            (_, asked, true) => asked,
            (Scope::All, asked, false) => asked,
            (Scope::Merchant(own), None, false) => Some(own),
            (Scope::Merchant(own), Some(asked), false) if own == asked => Some(own),
            (Scope::Merchant(_), Some(_), false) => {
                let refusal = invalid("merchant", "merchant has to be yourself, or left out");
                return Err(Problem::from(refusal).into());
            }
        };
        let states = states.unwrap_or_default().into_iter();
        let mut states: Vec<_> = states.map(key::KeyState::from).collect();
        states.sort_unstable();
        states.dedup();
        let filter = Filter {
            merchant,
            center_only,
            states,
        };
        let listing = desk.engine.keys(filter, after, page.limit).await;
        Ok(KeyConnection::new(&page, listing.map_err(Problem::from)?))
    }
}

#[derive(Default)]
pub struct KeyMutation;

#[Object]
impl KeyMutation {
    /// Issues a key for a merchant. It counts when another person has approved it.
    #[graphql(complexity = "20 + child_complexity")]
    async fn key_issue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] input: KeyIssueInput,
    ) -> Result<KeyIssuePayload> {
        let (issued, user_errors) = outcome(issue(ctx, input).await)?;
        let (key, ticket) = parts(issued);
        Ok(KeyIssuePayload {
            key,
            ticket,
            user_errors,
        })
    }

    /// Issues a key that takes the place of another one when it is approved. The center's own keys are
    /// rotated in the same way.
    #[graphql(complexity = "20 + child_complexity")]
    async fn key_rotate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new key, and which one it replaces.")] input: KeyRotateInput,
    ) -> Result<KeyRotatePayload> {
        let (issued, user_errors) = outcome(rotate(ctx, input).await)?;
        let (key, ticket) = parts(issued);
        Ok(KeyRotatePayload {
            key,
            ticket,
            user_errors,
        })
    }

    /// Approves a key: it counts from now on. Not by its maker.
    #[graphql(complexity = "10 + child_complexity")]
    async fn key_approve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] input: KeyApproveInput,
    ) -> Result<KeyApprovePayload> {
        let done = async {
            let desk = Desk::open(ctx, Right::KeyApprove)?;
            let key_id = parse("keyId", &input.key_id)?;
            let actor = desk.actor();
            let approved = desk.engine.key_approve(&key_id, input.version, &actor);
            Ok(approved.await?)
        };
        let (key, user_errors) = outcome(done.await)?;
        Ok(KeyApprovePayload {
            key: key.map(Key),
            user_errors,
        })
    }

    /// Rejects a key that waits for its approval. Not by its maker, who may revoke it.
    #[graphql(complexity = "10 + child_complexity")]
    async fn key_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key, and why.")] input: KeyRejectInput,
    ) -> Result<KeyRejectPayload> {
        let done = async {
            let desk = Desk::open(ctx, Right::KeyApprove)?;
            let key_id = parse("keyId", &input.key_id)?;
            let (version, reason) = (input.version, input.reason.as_str());
            let actor = desk.actor();
            let rejected = desk.engine.key_reject(&key_id, version, reason, &actor);
            Ok(rejected.await?)
        };
        let (key, user_errors) = outcome(done.await)?;
        Ok(KeyRejectPayload {
            key: key.map(Key),
            user_errors,
        })
    }

    /// Takes a key back: what it signs is refused from now on, everywhere. One person is enough, because
    /// waiting is what harms.
    #[graphql(complexity = "10 + child_complexity")]
    async fn key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key, and why.")] input: KeyRevokeInput,
    ) -> Result<KeyRevokePayload> {
        let done = async {
            let desk = Desk::open(ctx, Right::KeyRevoke)?;
            let key_id = parse("keyId", &input.key_id)?;
            own_key(&desk, &key_id).await?;
            let actor = desk.actor();
            Ok(desk
                .engine
                .key_revoke(&key_id, &input.reason, &actor)
                .await?)
        };
        let (key, user_errors) = outcome(done.await)?;
        Ok(KeyRevokePayload {
            key: key.map(Key),
            user_errors,
        })
    }

    /// Hands a private key out that the center made: once, to whoever has its ticket. A merchant has
    /// nothing yet to sign with, so it needs no login. Who is known has to have a right to the key
    /// besides: an operator may issue keys, a merchant has it as its own.
    #[graphql(complexity = "20 + child_complexity")]
    async fn key_hand_out(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key, and its ticket.")] input: KeyHandOutInput,
    ) -> Result<KeyHandOutPayload> {
        let done = async {
            let desk = Desk::open(ctx, Right::KeyHandOut)?;
            let key_id = parse("keyId", &input.key_id)?;
            // Who is not known has the ticket alone: that is how a merchant's first key reaches it.
            if let Principal::Merchant { .. } = &*desk.caller.principal {
                own_key(&desk, &key_id).await?;
            }
            let actor = desk.actor();
            let handed_out = desk.engine.key_hand_out(&key_id, &input.ticket, &actor);
            handed_out.await.map_err(|error| {
                let problem = Problem::from(error);
                if problem.is_refused(RefusalCode::KeyTicketInvalid) {
                    desk.limits.refuse(desk.caller.address);
                }
                problem
            })
        };
        let (done, user_errors) = outcome(done.await)?;
        let (key, private_key) = done.unzip();
        Ok(KeyHandOutPayload {
            key: key.map(Key),
            private_key: private_key.map(|pem: zeroize::Zeroizing<String>| (*pem).clone()),
            user_errors,
        })
    }
}

async fn issue(ctx: &Context<'_>, input: KeyIssueInput) -> Result<Issued, Problem> {
    let desk = Desk::open(ctx, Right::KeyIssue)?;
    let asked = input.merchant.map(|code| parse("merchant", &code));
    let asked: Option<MerchantCode> = asked.transpose()?;
    let merchant = match (&*desk.caller.principal, asked) {
        (Principal::Merchant { code, .. }, None) => code.clone(),
        (Principal::Merchant { code, .. }, Some(asked)) if *code == asked => asked,
        (Principal::Merchant { .. }, Some(_)) => {
            return Err(invalid("merchant", "merchant has to be yourself, or left out").into());
        }
        (_, Some(asked)) => asked,
        (_, None) => return Err(invalid("merchant", "say whose key it is to be").into()),
    };
    check_maker(&desk, input.public_key.as_deref())?;
    let issue = Issue {
        owner: KeyOwner::Merchant(merchant),
        algorithm: input.algorithm.into(),
        public_key: input.public_key,
        replaces: None,
        overlap: OVERLAP,
        expires_at: input.expires_at,
    };
    Ok(desk.engine.key_issue(issue, &desk.actor()).await?)
}

async fn rotate(ctx: &Context<'_>, input: KeyRotateInput) -> Result<Issued, Problem> {
    let desk = Desk::open(ctx, Right::KeyIssue)?;
    let key_id = parse("keyId", &input.key_id)?;
    let old = own_key(&desk, &key_id).await?;
    check_maker(&desk, input.public_key.as_deref())?;
    let hours = input.overlap_hours.unwrap_or(24);
    let hours = u64::try_from(hours)
        .map_err(|_| invalid("overlapHours", "overlapHours has to be 0 to 168"))?;
    let issue = Issue {
        owner: old.owner,
        algorithm: input.algorithm.map_or(old.algorithm, Into::into),
        public_key: input.public_key,
        replaces: Some(key_id),
        overlap: Duration::from_secs(hours * 3_600),
        expires_at: input.expires_at,
    };
    Ok(desk.engine.key_issue(issue, &desk.actor()).await?)
}

/// A merchant that can sign can make a pair as well: what the center makes goes by an operator's hand.
fn check_maker(desk: &Desk<'_>, public_key: Option<&str>) -> Result<(), Problem> {
    let is_merchant = matches!(*desk.caller.principal, Principal::Merchant { .. });
    if is_merchant && public_key.is_none() {
        return Err(invalid("publicKey", "make a pair and hand its public key in").into());
    }
    Ok(())
}

/// The key, if the caller may do something to it.
async fn own_key(desk: &Desk<'_>, key_id: &KeyId) -> Result<key::Key, Problem> {
    let found = desk.engine.key(key_id).await?;
    let own = match &*desk.caller.principal {
        Principal::Merchant { code, .. } => found.filter(|key| key.owner.merchant() == Some(code)),
        _ => found,
    };
    own.ok_or_else(|| Problem::from(crate::engine::key_not_found(key_id)))
}

/// Whether a caller may look at a key.
fn sees(scope: &Scope, key: &key::Key) -> bool {
    key.owner.merchant().is_none_or(|code| scope.sees(code))
}

fn parts(issued: Option<Issued>) -> (Option<Key>, Option<String>) {
    match issued {
        None => (None, None),
        Some(issued) => {
            let ticket = issued
                .ticket
                .map(|ticket| ticket.expose_secret().to_owned());
            (Some(Key(issued.key)), ticket)
        }
    }
}
