//! Merchants: one person registers and submits (经办), another verifies and approves (复核).

use super::overview::forward;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::{Problem, outcome};
use crate::api::paging::{Kind, MerchantConnection, cost};
use crate::api::types::merchant::{CheckItem, Merchant, MerchantKind, MerchantState};
use crate::api::types::refusal::UserError;
use crate::api::types::{invalid, parse};
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::{self, Account, Contact, CreditCode, Dossier, Limits, MerchantVerb};
use crate::domain::money::{Currency, Money};
use crate::domain::refusal::Refusal;
use crate::domain::region::RegionCode;
use crate::engine::{Actor, Onboarding};
use crate::storage::merchants;
use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

/// What a merchant is and may do.
#[derive(InputObject)]
pub struct MerchantProfileInput {
    /// Chinese name, 1 to 100 characters.
    name_zh: String,
    /// English name, 1 to 100 characters.
    name_en: String,
    /// Unified social credit code (统一社会信用代码), 18 characters by GB 32100-2015; a channel company has
    /// to have one.
    credit_code: Option<String>,
    /// Who speaks for it.
    contact: MerchantContactInput,
    /// Where its money is settled; a channel company has to have one.
    account: Option<MerchantAccountInput>,
    /// Where it is told of final states: a URL with https (in a sandbox also http). None where it asks
    /// by itself.
    notify_url: Option<String>,
    /// The codes of the items that it may sell; empty is all of them.
    #[graphql(default)]
    items: Vec<String>,
    /// The codes of the regions that it may sell in, each with what is below it; empty is all of them.
    #[graphql(default)]
    regions: Vec<String>,
    /// The currency of its limits, ISO 4217. Where there is a limit, orders in another currency are
    /// refused.
    #[graphql(default_with = "String::from(\"CNY\")")]
    limit_currency: String,
    /// The most that one order may be over, in minor units as digits; none where there is no limit.
    order_limit_minor: Option<String>,
    /// The most that may be confirmed on a business date, in minor units as digits; none where there is
    /// no limit.
    day_limit_minor: Option<String>,
}

/// Who speaks for a merchant.
#[derive(InputObject)]
pub struct MerchantContactInput {
    /// The person's name, 1 to 100 characters.
    name: String,
    /// The telephone number: 5 to 24 digits, spaces and hyphens, with a `+` before them or not.
    phone: String,
    /// The e-mail address.
    email: String,
}

/// Where a merchant's money is settled.
#[derive(InputObject)]
pub struct MerchantAccountInput {
    /// The bank's code (联行号), twelve digits.
    bank_code: String,
    /// The account's number, 6 to 34 digits and capital letters.
    account_no: String,
    /// Whose account it is, 1 to 100 characters.
    holder: String,
}

/// Writes the input of a mutation and its payload.
macro_rules! mutation {
    ($input:ident, $about:literal, $payload:ident, $what:literal, { $($(#[$meta:meta])* $field:ident: $kind:ty,)+ }) => {
        #[doc = $about]
        #[derive(InputObject)]
        pub struct $input {
            /// The merchant's code: 1 to 64 letters, digits, `-`, `_` or `.`.
            code: String,
            $($(#[$meta])* $field: $kind,)+
        }

        #[doc = $what]
        #[derive(SimpleObject)]
        pub struct $payload {
            /// The merchant as it stands now; none if it was refused.
            merchant: Option<Merchant>,
            /// Why it was refused; empty if it was not.
            user_errors: Vec<UserError>,
        }

        impl $payload {
            fn new(done: Result<Dossier, Problem>) -> Result<Self> {
                let (merchant, user_errors) = outcome(done)?;
                Ok(Self {
                    merchant: merchant.map(Merchant),
                    user_errors,
                })
            }
        }
    };
}

mutation!(
    MerchantRegisterInput, "A merchant that is entered for the first time.",
    MerchantRegisterPayload, "What became of `merchantRegister`.", {
        /// What kind it is; this never changes.
        kind: MerchantKind,
        /// What it is and may do.
        profile: MerchantProfileInput,
    }
);
mutation!(
    MerchantUpdateInput, "Another profile of a merchant, whole.",
    MerchantUpdatePayload, "What became of `merchantUpdate`.", {
        /// The version of the merchant that was read. If it has changed since, this is refused with
        /// MERCHANT_CHANGED: read it again.
        version: i32,
        /// What it is and may do.
        profile: MerchantProfileInput,
    }
);
mutation!(
    MerchantSubmitInput, "Which draft goes to the checkers.",
    MerchantSubmitPayload, "What became of `merchantSubmit`.", {
        /// The version of the merchant that was read. If it has changed since, this is refused with
        /// MERCHANT_CHANGED: read it again.
        version: i32,
    }
);
mutation!(
    MerchantCheckInput, "What was verified.",
    MerchantCheckPayload, "What became of `merchantCheck`.", {
        /// The `contentHash` of the proposed profile as it was read.
        content_hash: String,
        /// Which item of the checklist.
        item: CheckItem,
        /// What was seen, 1 to 1000 characters; no control characters besides line ends and tabs.
        note: String,
    }
);
mutation!(
    MerchantApproveInput, "Which profile is approved.",
    MerchantApprovePayload, "What became of `merchantApprove`.", {
        /// The `contentHash` of the proposed profile as it was read. If it was edited since, this is
        /// refused with MERCHANT_CONTENT_CHANGED: read it again.
        content_hash: String,
    }
);
mutation!(
    MerchantRejectInput, "Which profile is rejected, and why.",
    MerchantRejectPayload, "What became of `merchantReject`.", {
        /// The `contentHash` of the proposed profile as it was read. If it was edited since, this is
        /// refused with MERCHANT_CONTENT_CHANGED: read it again.
        content_hash: String,
        /// Why, 1 to 1000 characters; no control characters besides line ends and tabs.
        reason: String,
    }
);
mutation!(
    MerchantActivateInput, "Which merchant goes into operation.",
    MerchantActivatePayload, "What became of `merchantActivate`.", {
        /// Why now, 1 to 1000 characters; no control characters besides line ends and tabs.
        reason: String,
    }
);
mutation!(
    MerchantSuspendInput, "Which merchant is suspended, and why.",
    MerchantSuspendPayload, "What became of `merchantSuspend`.", {
        /// Why, 1 to 1000 characters; no control characters besides line ends and tabs.
        reason: String,
    }
);
mutation!(
    MerchantResumeInput, "Which merchant may make orders again, and why.",
    MerchantResumePayload, "What became of `merchantResume`.", {
        /// Why, 1 to 1000 characters; no control characters besides line ends and tabs.
        reason: String,
    }
);
mutation!(
    MerchantCloseInput, "Which merchant is closed, and why.",
    MerchantClosePayload, "What became of `merchantClose`.", {
        /// Why, 1 to 1000 characters; no control characters besides line ends and tabs.
        reason: String,
    }
);

#[derive(Default)]
pub struct MerchantQuery;

#[Object]
impl MerchantQuery {
    /// One merchant. A merchant sees itself only.
    #[graphql(complexity = "5 + child_complexity")]
    async fn merchant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 64 letters, digits, `-`, `_` or `.`.")] code: String,
    ) -> Result<Option<Merchant>> {
        let desk = Desk::open(ctx, Right::MerchantRead)?;
        let code = parse("code", &code).map_err(Problem::from)?;
        let found = desk.engine.merchant(&code, &desk.scope()?).await;
        Ok(found.map_err(Problem::from)?.map(Merchant))
    }

    /// Merchants by code; operators only.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn merchants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only merchants in these states.")] states: Option<Vec<MerchantState>>,
        #[graphql(desc = "Only merchants of this kind.")] kind: Option<MerchantKind>,
        #[graphql(desc = "So many: 1 to 100, 20 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<MerchantConnection> {
        let desk = Desk::open(ctx, Right::Oversee)?;
        let page = forward(Kind::Merchant, first, after)?;
        let after = page.after.as_deref().map(|code| parse("after", code));
        let after = after.transpose().map_err(Problem::from)?;
        let states = states.unwrap_or_default().into_iter();
        let mut states: Vec<_> = states.map(merchant::MerchantState::from).collect();
        states.sort_unstable();
        states.dedup();
        let filter = merchants::Filter {
            states,
            kind: kind.map(merchant::MerchantKind::from),
        };
        let listing = desk.engine.merchants(filter, after, page.limit).await;
        Ok(MerchantConnection::new(
            &page,
            listing.map_err(Problem::from)?,
        ))
    }
}

#[derive(Default)]
pub struct MerchantMutation;

#[Object]
impl MerchantMutation {
    /// Enters a merchant with its first profile, as a draft.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The merchant.")] input: MerchantRegisterInput,
    ) -> Result<MerchantRegisterPayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantEdit, &input.code)?;
            let profile = input.profile.read()?;
            Ok(desk
                .register(&code, input.kind.into(), profile, &actor)
                .await?)
        };
        MerchantRegisterPayload::new(done.await)
    }

    /// Writes another profile of a merchant, as a draft. What is approved stays in force until the
    /// other one is approved as well. A submitted profile is taken back by this.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The profile.")] input: MerchantUpdateInput,
    ) -> Result<MerchantUpdatePayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantEdit, &input.code)?;
            let profile = input.profile.read()?;
            Ok(desk.edit(&code, input.version, profile, &actor).await?)
        };
        MerchantUpdatePayload::new(done.await)
    }

    /// Hands the draft to the checkers.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_submit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which draft.")] input: MerchantSubmitInput,
    ) -> Result<MerchantSubmitPayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantEdit, &input.code)?;
            Ok(desk.submit(&code, input.version, &actor).await?)
        };
        MerchantSubmitPayload::new(done.await)
    }

    /// Ticks an item of the checklist for the content that was read. Not by who wrote or submitted it.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_check(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was verified.")] input: MerchantCheckInput,
    ) -> Result<MerchantCheckPayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantReview, &input.code)?;
            let tick = (input.item.into(), input.note.as_str());
            Ok(desk.check(&code, &input.content_hash, tick, &actor).await?)
        };
        MerchantCheckPayload::new(done.await)
    }

    /// Approves a profile whose checklist is complete: it is in force from now on. Not by who wrote or
    /// submitted it.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_approve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which profile.")] input: MerchantApproveInput,
    ) -> Result<MerchantApprovePayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantReview, &input.code)?;
            Ok(desk.approve(&code, &input.content_hash, &actor).await?)
        };
        MerchantApprovePayload::new(done.await)
    }

    /// Rejects a profile. Not by who wrote or submitted it.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which profile, and why.")] input: MerchantRejectInput,
    ) -> Result<MerchantRejectPayload> {
        let done = async {
            let (desk, actor, code) = open(ctx, Right::MerchantReview, &input.code)?;
            let (hash, reason) = (&input.content_hash, &input.reason);
            Ok(desk.reject(&code, hash, reason, &actor).await?)
        };
        MerchantRejectPayload::new(done.await)
    }

    /// Takes an approved merchant into operation.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_activate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which merchant.")] input: MerchantActivateInput,
    ) -> Result<MerchantActivatePayload> {
        let right = Right::MerchantOperate;
        let done = switch(
            ctx,
            right,
            MerchantVerb::Activate,
            &input.code,
            &input.reason,
        );
        MerchantActivatePayload::new(done.await)
    }

    /// Suspends a merchant: from now on it makes no order and starts no payment. What it has open is
    /// still settled.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_suspend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which merchant, and why.")] input: MerchantSuspendInput,
    ) -> Result<MerchantSuspendPayload> {
        let right = Right::MerchantSuspend;
        let done = switch(
            ctx,
            right,
            MerchantVerb::Suspend,
            &input.code,
            &input.reason,
        );
        MerchantSuspendPayload::new(done.await)
    }

    /// Lets a suspended merchant make orders again.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_resume(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which merchant, and why.")] input: MerchantResumeInput,
    ) -> Result<MerchantResumePayload> {
        let right = Right::MerchantOperate;
        let done = switch(ctx, right, MerchantVerb::Resume, &input.code, &input.reason);
        MerchantResumePayload::new(done.await)
    }

    /// Closes a suspended merchant for good.
    #[graphql(complexity = "10 + child_complexity")]
    async fn merchant_close(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which merchant, and why.")] input: MerchantCloseInput,
    ) -> Result<MerchantClosePayload> {
        let right = Right::MerchantOperate;
        let done = switch(ctx, right, MerchantVerb::Close, &input.code, &input.reason);
        MerchantClosePayload::new(done.await)
    }
}

/// The desk where merchants come in, for a caller with the right, and whom it is about.
fn open(
    ctx: &Context<'_>,
    right: Right,
    code: &str,
) -> Result<(Onboarding, Actor, MerchantCode), Problem> {
    let desk = Desk::open(ctx, right)?;
    let code = parse("code", code)?;
    Ok((desk.engine.onboarding(), desk.actor(), code))
}

async fn switch(
    ctx: &Context<'_>,
    right: Right,
    verb: MerchantVerb,
    code: &str,
    reason: &str,
) -> Result<Dossier, Problem> {
    let (desk, actor, code) = open(ctx, right, code)?;
    Ok(desk.switch(&code, verb, reason, &actor).await?)
}

impl MerchantProfileInput {
    /// The profile, as far as its words are of their kinds; its rules are the domain's.
    fn read(self) -> Result<merchant::Profile, Refusal> {
        let region = |code: &String| {
            RegionCode::try_new(code)
                .map_err(|_| invalid("regions", "regions has to hold codes of six digits"))
        };
        let code = |code: &String| {
            CreditCode::try_new(code)
                .map_err(|error| invalid("creditCode", format!("creditCode is refused: {error}")))
        };
        let currency = Currency::try_new(&self.limit_currency);
        let contact = self.contact;
        Ok(merchant::Profile {
            credit_code: self.credit_code.as_ref().map(code).transpose()?,
            contact: Contact {
                name: contact.name,
                phone: contact.phone,
                email: contact.email,
            },
            account: self.account.map(|account| Account {
                bank_code: account.bank_code,
                account_no: account.account_no,
                holder: account.holder,
            }),
            items: self
                .items
                .iter()
                .map(|item| parse("items", item))
                .collect::<Result<_, _>>()?,
            regions: self.regions.iter().map(region).collect::<Result<_, _>>()?,
            limits: Limits {
                currency: currency.map_err(|_| {
                    invalid(
                        "limitCurrency",
                        "limitCurrency has to be an ISO 4217 code such as CNY",
                    )
                })?,
                order_minor: limit("orderLimitMinor", self.order_limit_minor)?,
                day_minor: limit("dayLimitMinor", self.day_limit_minor)?,
            },
            name_zh: self.name_zh,
            name_en: self.name_en,
            notify_url: self.notify_url,
        })
    }
}

fn limit(field: &'static str, minor: Option<String>) -> Result<Option<i64>, Refusal> {
    let rule = format!("{field} has to be a whole number of minor units: 1 to 18 digits");
    let read = minor.map(|minor| Money::parse_minor(&minor)).transpose();
    read.map_err(|_| invalid(field, rule))
}
