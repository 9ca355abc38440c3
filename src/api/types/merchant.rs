//! Merchants: where they stand, and what is approved and proposed for them.

use super::money::Money;
use crate::api::auth::Right;
use crate::api::desk::Desk;
use crate::api::errors::Problem;
use crate::domain::merchant::{self, Shown};
use crate::domain::money;
use crate::domain::time::Instant;
use async_graphql::{Context, Description, Enum, Object, Result, SimpleObject};

/// The kind of a merchant.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "merchant::MerchantKind")]
pub enum MerchantKind {
    /// A channel company that resells bill payment.
    Channel,
    /// The bank's own app.
    Own,
}

/// Where a merchant stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(remote = "merchant::MerchantState")]
pub enum MerchantState {
    /// Its first profile is being written.
    Draft,
    /// Its first profile waits for the second person.
    Submitted,
    /// Approved, and not in operation yet.
    Approved,
    /// May make orders.
    Active,
    /// New orders are refused; open ones are still settled.
    Suspended,
    /// The second person refused its first profile; it may be edited and submitted again.
    Rejected,
    /// It has left for good.
    Closed,
}

/// Where a revision of a profile stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(name = "MerchantStage", remote = "merchant::Stage")]
pub enum Stage {
    /// Written, not handed in.
    Draft,
    /// Waits for the second person.
    Submitted,
    /// In force.
    Approved,
    /// Refused by the second person.
    Rejected,
    /// Another revision took its place.
    Replaced,
}

/// What has to be verified before a profile is approved.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[graphql(name = "MerchantCheckItem", remote = "merchant::CheckItem")]
pub enum CheckItem {
    /// The business licence was seen and is valid (营业执照).
    Licence,
    /// The unified social credit code is the licence's, by the public register (统一社会信用代码).
    CreditCode,
    /// The contact was reached and speaks for the company (联系人).
    Contact,
    /// The settlement account is the company's own (结算账户).
    SettlementAccount,
    /// The notify URL belongs to the company, or there is none on purpose (通知地址).
    NotifyUrl,
    /// Items, regions and limits are those of the contract (权限与限额).
    Terms,
}

/// Who speaks for a merchant. Masked for callers without the right to see it in clear.
#[derive(SimpleObject)]
pub struct MerchantContact {
    /// The person's name.
    name: String,
    /// The telephone number.
    phone: String,
    /// The e-mail address.
    email: String,
}

/// Where a merchant's money is settled (结算账户). Number and holder are masked for callers without the
/// right to see them in clear.
#[derive(SimpleObject)]
pub struct MerchantAccount {
    /// The bank's code (联行号), twelve digits.
    bank_code: String,
    /// The account's number.
    account_no: String,
    /// Whose account it is.
    holder: String,
}

/// An item of the checklist that somebody has verified.
#[derive(SimpleObject)]
pub struct MerchantTick {
    /// Which item.
    item: CheckItem,
    /// Who verified it.
    checked_by: String,
    /// What was seen, in words.
    note: String,
    /// When.
    checked_at: Instant,
}

/// A merchant's profile as somebody wrote it once. An edit makes another revision.
#[derive(Description)]
pub struct MerchantRevision {
    revision: merchant::Revision,
    content_hash: String,
}

#[Object(use_type_description)]
impl MerchantRevision {
    /// Its number, from 1.
    async fn number(&self) -> i32 {
        self.revision.number
    }

    /// Where it stands.
    async fn stage(&self) -> Stage {
        self.revision.stage.into()
    }

    /// SHA-256 over the whole content, in hexadecimal digits. Who checks, approves or rejects names it,
    /// so that nobody decides about what was not read.
    async fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// Chinese name.
    async fn name_zh(&self) -> &str {
        &self.revision.profile.name_zh
    }

    /// English name.
    async fn name_en(&self) -> &str {
        &self.revision.profile.name_en
    }

    /// Unified social credit code (统一社会信用代码), by GB 32100-2015.
    async fn credit_code(&self) -> Option<&str> {
        let code = self.revision.profile.credit_code.as_ref();
        code.map(merchant::CreditCode::as_str)
    }

    /// Who speaks for it.
    async fn contact(&self, ctx: &Context<'_>) -> Result<MerchantContact> {
        let merchant::Contact { name, phone, email } = self.shown(ctx)?.contact;
        Ok(MerchantContact { name, phone, email })
    }

    /// Where its money is settled.
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<MerchantAccount>> {
        let account = |account: merchant::Account| MerchantAccount {
            bank_code: account.bank_code,
            account_no: account.account_no,
            holder: account.holder,
        };
        Ok(self.shown(ctx)?.account.map(account))
    }

    /// Where it is told of final states; none where it asks by itself.
    async fn notify_url(&self) -> Option<&str> {
        self.revision.profile.notify_url.as_deref()
    }

    /// The codes of the items that it may sell; empty is all of them.
    async fn items(&self) -> Vec<&str> {
        let items = &self.revision.profile.items;
        items.iter().map(|item| item.as_str()).collect()
    }

    /// The codes of the regions that it may sell in, each with what is below it; empty is all of them.
    async fn regions(&self) -> Vec<String> {
        let regions = &self.revision.profile.regions;
        regions.iter().map(ToString::to_string).collect()
    }

    /// The most that one order may be over; none where there is no limit.
    async fn order_limit(&self) -> Option<Money> {
        self.limit(self.revision.profile.limits.order_minor)
    }

    /// The most that may be confirmed on a business date; none where there is no limit. What was
    /// confirmed counts, whatever became of it.
    async fn day_limit(&self) -> Option<Money> {
        self.limit(self.revision.profile.limits.day_minor)
    }

    /// Who wrote it (经办); for operators only, none for others.
    async fn maker(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(staff(ctx)?.then_some(self.revision.maker.as_str()))
    }

    /// When it was written.
    async fn made_at(&self) -> Instant {
        self.revision.made_at
    }

    /// Who submitted it; for operators only, none for others.
    async fn submitter(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let is_staff = staff(ctx)?;
        Ok(self.revision.submitter.as_deref().filter(|_| is_staff))
    }

    /// When it was submitted.
    async fn submitted_at(&self) -> Option<Instant> {
        self.revision.submitted_at
    }

    /// Who approved or rejected it (复核); for operators only, none for others.
    async fn checker(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let is_staff = staff(ctx)?;
        Ok(self.revision.checker.as_deref().filter(|_| is_staff))
    }

    /// When it was approved or rejected.
    async fn decided_at(&self) -> Option<Instant> {
        self.revision.decided_at
    }

    /// Why it was rejected.
    async fn reason(&self) -> Option<&str> {
        self.revision.reason.as_deref()
    }

    /// What was verified, oldest first; for operators only, empty for others.
    async fn ticks(&self, ctx: &Context<'_>) -> Result<Vec<MerchantTick>> {
        let tick = |tick: &merchant::Tick| MerchantTick {
            item: tick.item.into(),
            checked_by: tick.by.clone(),
            note: tick.note.clone(),
            checked_at: tick.at,
        };
        let is_staff = staff(ctx)?;
        let ticks = self.revision.ticks.iter().filter(|_| is_staff);
        Ok(ticks.map(tick).collect())
    }
}

impl MerchantRevision {
    fn new(dossier: &merchant::Dossier, revision: &merchant::Revision) -> Self {
        Self {
            content_hash: dossier.hash_of(revision),
            revision: revision.clone(),
        }
    }

    /// The profile as the caller may see it.
    fn shown(&self, ctx: &Context<'_>) -> Result<merchant::Profile, Problem> {
        let desk = Desk::open(ctx, Right::MerchantRead)?;
        let to = if desk.may(Right::MerchantPrivate) {
            Shown::InClear
        } else {
            Shown::Masked
        };
        Ok(self.revision.profile.shown(to))
    }

    fn limit(&self, minor: Option<i64>) -> Option<Money> {
        let currency = self.revision.profile.limits.currency;
        minor.map(|minor| Money(money::Money::new(minor, currency)))
    }
}

/// Whether the caller is of the center: who at the center did what is its own affair.
fn staff(ctx: &Context<'_>) -> Result<bool, Problem> {
    Ok(Desk::open(ctx, Right::MerchantRead)?.may(Right::Oversee))
}

/// Who sells bill payment to people (渠道商户). Its profile is written by one person and approved by
/// another; so is every change of it.
#[derive(Description)]
pub struct Merchant(pub merchant::Dossier);

#[Object(use_type_description)]
impl Merchant {
    /// The code by which it is named everywhere.
    async fn code(&self) -> &str {
        self.0.code.as_str()
    }

    /// Chinese name: the approved one, or the proposed one while nothing is approved.
    async fn name_zh(&self) -> Option<&str> {
        self.revision()
            .map(|revision| revision.profile.name_zh.as_str())
    }

    /// English name: the approved one, or the proposed one while nothing is approved.
    async fn name_en(&self) -> Option<&str> {
        self.revision()
            .map(|revision| revision.profile.name_en.as_str())
    }

    /// What kind it is.
    async fn kind(&self) -> MerchantKind {
        self.0.kind.into()
    }

    /// Where it stands.
    async fn state(&self) -> MerchantState {
        self.0.state.into()
    }

    /// Why it was rejected, suspended or closed.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// When it was registered.
    async fn registered_at(&self) -> Instant {
        self.0.registered_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> Instant {
        self.0.updated_at
    }

    /// Counts its changes. Who edits or submits says which version was read.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The profile that is in force.
    async fn approved(&self) -> Option<MerchantRevision> {
        let approved = self.0.approved.as_ref();
        approved.map(|revision| MerchantRevision::new(&self.0, revision))
    }

    /// The profile that is being written or waits for the second person, or the one rejected last.
    async fn proposed(&self) -> Option<MerchantRevision> {
        let proposed = self.0.proposed.as_ref();
        proposed.map(|revision| MerchantRevision::new(&self.0, revision))
    }
}

impl Merchant {
    fn revision(&self) -> Option<&merchant::Revision> {
        self.0.approved.as_ref().or(self.0.proposed.as_ref())
    }
}
