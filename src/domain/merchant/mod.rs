//! 渠道商户: who sells bill payment to people, and where each of them stands.
//!
//! [`next`] is the only table of a merchant's states, [`Stage::after`] the only one of what is proposed
//! for it. What a merchant is (names, account, limits) is a [`Profile`]; each edit makes a new
//! [`Revision`] of it, which nobody ever changes again, so that an approval can only mean what was
//! read. [`Dossier`] (`review.rs`) is all of that together, with the rule of two people.
//!
//! How one could break this: by changing a profile that stands in a revision, or by letting the order
//! desk believe a profile that is not approved.

mod credit_code;
mod profile;
mod review;

pub use credit_code::{BadCreditCode, CreditCode};
pub use profile::{Account, Contact, Limits, Profile, ProfileError, Shown, mask};
pub use review::{Dossier, ReviewError, Revision, Tick};

use super::ids::MerchantCode;
use super::item::Item;
use super::money::Money;
use super::named_enum;
use super::refusal::{Refusal, RefusalCode};

named_enum! {
    /// The kind of a merchant.
    pub enum MerchantKind {
        /// A channel company.
        Channel = "CHANNEL",
        /// The bank's own app.
        Own = "OWN",
    }
}

named_enum! {
    /// Where a merchant stands.
    pub enum MerchantState {
        /// Its first profile is being written.
        Draft = "DRAFT",
        /// Its first profile waits for the second person.
        Submitted = "SUBMITTED",
        /// Approved, and not in operation yet.
        Approved = "APPROVED",
        /// May make orders.
        Active = "ACTIVE",
        /// New orders are refused; open ones are still settled.
        Suspended = "SUSPENDED",
        /// The second person refused its first profile, with a reason; it may be edited.
        Rejected = "REJECTED",
        /// It has left for good.
        Closed = "CLOSED",
    }
}

named_enum! {
    /// What people do with a merchant.
    pub enum MerchantVerb {
        /// Enter it for the first time.
        Register = "REGISTER",
        /// Write another profile.
        Edit = "EDIT",
        /// Hand the profile to the second person.
        Submit = "SUBMIT",
        /// Tick an item of the checklist.
        Check = "CHECK",
        /// The second person agrees.
        Approve = "APPROVE",
        /// The second person does not.
        Reject = "REJECT",
        /// Take it into operation.
        Activate = "ACTIVATE",
        /// Stop its new orders.
        Suspend = "SUSPEND",
        /// Let it make orders again.
        Resume = "RESUME",
        /// End it for good.
        Close = "CLOSE",
    }
}

named_enum! {
    /// Where a revision of a profile stands.
    pub enum Stage {
        /// Written, not handed in.
        Draft = "DRAFT",
        /// Waits for the second person.
        Submitted = "SUBMITTED",
        /// In force.
        Approved = "APPROVED",
        /// Refused by the second person.
        Rejected = "REJECTED",
        /// Another revision took its place.
        Replaced = "REPLACED",
    }
}

named_enum! {
    /// What has to be verified before a profile is approved.
    pub enum CheckItem {
        /// 营业执照: the business licence was seen and is valid.
        Licence = "LICENCE",
        /// 统一社会信用代码: the code is the licence's, by the public register.
        CreditCode = "CREDIT_CODE",
        /// 联系人: the person was reached and speaks for the company.
        Contact = "CONTACT",
        /// 结算账户: the account is the company's own.
        SettlementAccount = "SETTLEMENT_ACCOUNT",
        /// 通知地址: the address belongs to the company, or there is none on purpose.
        NotifyUrl = "NOTIFY_URL",
        /// 权限与限额: items, regions and limits are those of the contract.
        Terms = "TERMS",
    }
}

/// Something that a state or a stage does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInThisState;

/// What a verb makes of a merchant's state; the whole table. A merchant that has been in operation
/// keeps its state while another profile is proposed for it: what is approved stays in force.
///
/// # Errors
/// The state does not take the verb. `REGISTER` is for a merchant that is not there yet.
pub fn next(state: MerchantState, verb: MerchantVerb) -> Result<MerchantState, NotInThisState> {
    use MerchantState as S;
    use MerchantVerb as V;
    match (state, verb) {
        (S::Draft | S::Submitted | S::Approved | S::Rejected, V::Edit) => Ok(S::Draft),
        (S::Draft, V::Submit) => Ok(S::Submitted),
        (S::Submitted, V::Check) => Ok(S::Submitted),
        (S::Submitted, V::Approve) => Ok(S::Approved),
        (S::Submitted, V::Reject) => Ok(S::Rejected),
        (S::Approved, V::Activate) => Ok(S::Active),
        (S::Active, V::Suspend) => Ok(S::Suspended),
        (S::Suspended, V::Resume) => Ok(S::Active),
        (S::Suspended, V::Close) => Ok(S::Closed),
        (S::Active | S::Suspended, V::Edit | V::Submit | V::Check | V::Approve | V::Reject) => {
            Ok(state)
        }
        (
            S::Draft
            | S::Submitted
            | S::Approved
            | S::Active
            | S::Suspended
            | S::Rejected
            | S::Closed,
            _,
        ) => Err(NotInThisState),
    }
}

impl Stage {
    /// What a verb makes of the proposed revision's stage; the whole table.
    ///
    /// # Errors
    /// The stage does not take the verb.
    pub fn after(self, verb: MerchantVerb) -> Result<Stage, NotInThisState> {
        use MerchantVerb as V;
        match (self, verb) {
            (Stage::Draft, V::Submit) => Ok(Stage::Submitted),
            (Stage::Submitted, V::Check) => Ok(Stage::Submitted),
            (Stage::Submitted, V::Approve) => Ok(Stage::Approved),
            (Stage::Submitted, V::Reject) => Ok(Stage::Rejected),
            (
                Stage::Draft
                | Stage::Submitted
                | Stage::Approved
                | Stage::Rejected
                | Stage::Replaced,
                _,
            ) => Err(NotInThisState),
        }
    }
}

/// A merchant as the order desk needs it: where it stands, and what is approved and in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// The code by which it is named everywhere.
    pub code: MerchantCode,
    /// What kind of merchant it is.
    pub kind: MerchantKind,
    /// Where it stands.
    pub state: MerchantState,
    /// What it may sell, where, and for how much. None while nothing was ever approved.
    pub profile: Option<Profile>,
    /// Grows with every change of the merchant. An order is made and confirmed only while this is
    /// still the version that was checked, so a change holds on every replica at once.
    pub version: i32,
}

impl Merchant {
    /// What stands against an order of this merchant: its state, the item, the region, the amount.
    /// The sum of a day is for the database to hold.
    ///
    /// # Errors
    /// The refusal for the caller.
    pub fn check_order(&self, item: &Item, amount: Money) -> Result<(), Refusal> {
        self.check_state()?;
        let Some(profile) = &self.profile else {
            return Err(self.not_active());
        };
        if !profile.items.is_empty() && !profile.items.contains(&item.code) {
            let message = format!(
                "merchant {} may not sell item {}; ask the bank to allow it",
                self.code, item.code
            );
            return Err(Refusal::new(RefusalCode::ItemNotAllowed, message).on("item"));
        }
        if !profile.allows_place_of(item) {
            let message = format!(
                "item {} is of no region that merchant {} may sell in; ask the bank to allow one",
                item.code, self.code
            );
            return Err(Refusal::new(RefusalCode::RegionNotAllowed, message).on("item"));
        }
        profile.limits.check_order(amount)
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.profile
            .as_ref()
            .map_or(Limits::NONE, |profile| profile.limits)
    }

    /// Whether it may make orders at all.
    ///
    /// # Errors
    /// The refusal for the caller.
    pub fn check_state(&self) -> Result<(), Refusal> {
        let code = &self.code;
        match self.state {
            MerchantState::Active => Ok(()),
            MerchantState::Suspended => Err(Refusal::new(
                RefusalCode::MerchantSuspended,
                format!("merchant {code} is suspended: it may not make new orders"),
            )
            .later()),
            MerchantState::Closed => Err(Refusal::new(
                RefusalCode::MerchantClosed,
                format!("merchant {code} is closed: it makes no orders any more"),
            )),
            MerchantState::Draft
            | MerchantState::Submitted
            | MerchantState::Approved
            | MerchantState::Rejected => Err(self.not_active()),
        }
    }

    fn not_active(&self) -> Refusal {
        let (code, state) = (&self.code, self.state);
        let message =
            format!("merchant {code} is {state}: it makes orders when it is in operation");
        Refusal::new(RefusalCode::MerchantNotActive, message).later()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
