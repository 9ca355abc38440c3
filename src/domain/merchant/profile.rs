//! What a merchant is and may do: names, people, account, items, regions, limits. A profile is checked
//! when it is written; one that is stored is believed.

use super::credit_code::CreditCode;
use super::{MerchantKind, Stage};
use crate::domain::audit::hex;
use crate::domain::ids::{ItemCode, MerchantCode};
use crate::domain::item::Item;
use crate::domain::money::{Currency, Money};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::region::RegionCode;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;

/// How long a name, a person's name or an account's holder may be, in characters.
const NAME_CHARS_MAX: usize = 100;
/// How long a notify URL may be, in bytes.
const URL_BYTES_MAX: usize = 500;
/// How many items or regions may be listed.
const LIST_MAX: usize = 500;

/// Who speaks for the merchant.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// The person's name.
    pub name: String,
    /// Digits with an optional `+`, spaces and hyphens.
    pub phone: String,
    /// An e-mail address.
    pub email: String,
}

/// 结算账户: where the merchant's money is settled.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// 联行号: twelve digits.
    pub bank_code: String,
    /// The account's number, 6 to 34 digits and capital letters.
    pub account_no: String,
    /// Whose account it is.
    pub holder: String,
}

/// How much a merchant may sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The currency of both limits. Where there is a limit, orders in another currency are refused.
    pub currency: Currency,
    /// The most that one order may be over, in minor units.
    pub order_minor: Option<i64>,
    /// The most that is confirmed in a business date, in minor units: what was confirmed counts,
    /// whatever became of it.
    pub day_minor: Option<i64>,
}

/// What a merchant is and may do.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// 统一社会信用代码; a channel company has to have one.
    pub credit_code: Option<CreditCode>,
    /// Who speaks for it.
    pub contact: Contact,
    /// Where its money is settled; a channel company has to have one.
    pub account: Option<Account>,
    /// Where it is told of final states; none where it asks by itself.
    pub notify_url: Option<String>,
    /// What it may sell; empty is everything.
    pub items: BTreeSet<ItemCode>,
    /// Where it may sell; empty is everywhere. A region allows what is below it.
    pub regions: BTreeSet<RegionCode>,
    /// How much it may sell.
    pub limits: Limits,
}

/// What is wrong with a profile: the field, by its name in the API, and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct ProfileError {
    /// The field's name.
    pub field: &'static str,
    /// What it has to be.
    pub rule: String,
}

/// Whom a profile is shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// To people who have to know persons and accounts.
    InClear,
    /// To everybody else.
    Masked,
}

impl Limits {
    /// No limit.
    pub const NONE: Limits = Limits {
        currency: Currency::CNY,
        order_minor: None,
        day_minor: None,
    };

    /// What stands against an order over an amount; the sum of the day is for the database to hold.
    pub(super) fn check_order(&self, amount: Money) -> Result<(), Refusal> {
        let (code, message) = match (self.order_minor, self.day_minor) {
            (None, None) => return Ok(()),
            _ if amount.currency != self.currency => (
                RefusalCode::OrderLimitExceeded,
                format!(
                    "the merchant's limits are in {}, and so have to be its orders",
                    self.currency
                ),
            ),
            (Some(most), _) if amount.amount_minor > most => (
                RefusalCode::OrderLimitExceeded,
                format!(
                    "an order of this merchant may be over {} at most",
                    Money::new(most, self.currency)
                ),
            ),
            (_, Some(most)) if amount.amount_minor > most => {
                return Err(self.day_is_full(most));
            }
            _ => return Ok(()),
        };
        Err(Refusal::new(code, message).on("amount"))
    }

    /// The refusal when an order does not fit into its day any more.
    pub fn day_is_full(&self, most: i64) -> Refusal {
        let message = format!(
            "the merchant may confirm {} a day at most, and this would be more; try again on the next \
             business date, or ask the bank for a higher limit",
            Money::new(most, self.currency)
        );
        Refusal::new(RefusalCode::DayLimitExceeded, message).later()
    }
}

impl Profile {
    /// Whether an item is sold somewhere that the merchant may sell in: one of the regions that the
    /// item is for is an allowed region, or lies below one.
    pub(super) fn allows_place_of(&self, item: &Item) -> bool {
        self.regions.is_empty()
            || item.coverage.iter().any(|region| {
                let up = region.with_ancestors();
                up.iter().any(|region| self.regions.contains(region))
            })
    }

    /// Checks a profile that somebody has written. `with_http` allows plain http in the notify URL,
    /// for a sandbox.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(&self, kind: MerchantKind, with_http: bool) -> Result<(), ProfileError> {
        name("nameZh", &self.name_zh)?;
        name("nameEn", &self.name_en)?;
        name("contactName", &self.contact.name)?;
        let phone = &self.contact.phone;
        let is_phone = (5..=24).contains(&phone.len())
            && phone.chars().filter(char::is_ascii_digit).count() >= 5
            && phone
                .strip_prefix('+')
                .unwrap_or(phone)
                .chars()
                .all(is_of_phone);
        rule(
            is_phone,
            "contactPhone",
            "has to be 5 to 24 digits, with spaces and hyphens, and a + before them",
        )?;
        rule(
            is_email(&self.contact.email),
            "contactEmail",
            "has to be an e-mail address",
        )?;
        let is_channel = kind == MerchantKind::Channel;
        rule(
            !is_channel || self.credit_code.is_some(),
            "creditCode",
            "is missing: a channel company has a unified social credit code",
        )?;
        rule(
            !is_channel || self.account.is_some(),
            "account",
            "is missing: a channel company has a settlement account",
        )?;
        if let Some(account) = &self.account {
            account.check()?;
        }
        if let Some(url) = &self.notify_url {
            let scheme = if with_http { "https or http" } else { "https" };
            rule(
                is_url(url, with_http),
                "notifyUrl",
                format!(
                    "has to be a URL with {scheme} and a host, without user and fragment, of at most {URL_BYTES_MAX} bytes"
                ),
            )?;
        }
        let short = format!("may hold {LIST_MAX} codes at most");
        rule(self.items.len() <= LIST_MAX, "items", short.clone())?;
        rule(self.regions.len() <= LIST_MAX, "regions", short)?;
        let is_limit = |minor: Option<i64>| minor.is_none_or(|minor| minor > 0);
        rule(
            is_limit(self.limits.order_minor),
            "orderLimitMinor",
            "has to be above zero",
        )?;
        rule(
            is_limit(self.limits.day_minor),
            "dayLimitMinor",
            "has to be above zero",
        )?;
        let is_wider = match (self.limits.order_minor, self.limits.day_minor) {
            (Some(order), Some(day)) => order <= day,
            _ => true,
        };
        rule(
            is_wider,
            "dayLimitMinor",
            "cannot be below the limit of one order",
        )
    }

    /// The content's SHA-256 in hexadecimal digits: over every field, each with its length in front, so
    /// that no two contents are one text. What a checker approves is named by it.
    pub fn content_hash(&self, code: &MerchantCode, kind: MerchantKind) -> String {
        let Self {
            name_zh,
            name_en,
            credit_code,
            contact: Contact { name, phone, email },
            account,
            notify_url,
            items,
            regions,
            limits:
                Limits {
                    currency,
                    order_minor,
                    day_minor,
                },
        } = self;
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| {
            let bytes = text.unwrap_or_default().as_bytes();
            hash.update([u8::from(text.is_some())]);
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        for text in [
            code.as_str(),
            kind.as_str(),
            name_zh,
            name_en,
            name,
            phone,
            email,
        ] {
            field(Some(text));
        }
        field(credit_code.as_ref().map(CreditCode::as_str));
        field(account.as_ref().map(|a| a.bank_code.as_str()));
        field(account.as_ref().map(|a| a.account_no.as_str()));
        field(account.as_ref().map(|a| a.holder.as_str()));
        field(notify_url.as_deref());
        field(Some(&items.len().to_string()));
        items.iter().for_each(|item| field(Some(item.as_str())));
        field(Some(&regions.len().to_string()));
        regions
            .iter()
            .for_each(|region| field(Some(&region.to_string())));
        field(Some(currency.code()));
        field(order_minor.map(|minor| minor.to_string()).as_deref());
        field(day_minor.map(|minor| minor.to_string()).as_deref());
        hex(&hash.finalize())
    }

    /// The profile as it is shown: persons and accounts in clear, or masked.
    pub fn shown(&self, to: Shown) -> Profile {
        let mut shown = self.clone();
        if to == Shown::Masked {
            let Contact { name, phone, email } = &mut shown.contact;
            for text in [name, phone, email] {
                *text = mask(text);
            }
            if let Some(account) = &mut shown.account {
                account.account_no = mask(&account.account_no);
                account.holder = mask(&account.holder);
            }
        }
        shown
    }
}

impl Account {
    fn check(&self) -> Result<(), ProfileError> {
        let is_bank =
            self.bank_code.len() == 12 && self.bank_code.bytes().all(|b| b.is_ascii_digit());
        rule(is_bank, "bankCode", "has to be twelve digits")?;
        let is_number = (6..=34).contains(&self.account_no.len())
            && self
                .account_no
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        rule(
            is_number,
            "accountNo",
            "has to be 6 to 34 digits and capital letters",
        )?;
        name("accountHolder", &self.holder)
    }
}

/// A text of which the first character and the last two stay, where there are enough of them.
pub fn mask(text: &str) -> String {
    let length = text.chars().count();
    let stays = |index: usize| {
        length > 6 && (index == 0 || index + 2 >= length) || length > 1 && index == 0
    };
    let masked = |(index, c)| if stays(index) { c } else { '*' };
    text.chars().enumerate().map(masked).collect()
}

fn rule(holds: bool, field: &'static str, rule: impl Into<String>) -> Result<(), ProfileError> {
    if holds {
        return Ok(());
    }
    Err(ProfileError {
        field,
        rule: rule.into(),
    })
}

fn name(field: &'static str, text: &str) -> Result<(), ProfileError> {
    let is_name = (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && text.trim() == text
        && !text.contains(char::is_control);
    let words = format!(
        "has to be 1 to {NAME_CHARS_MAX} characters, without space around and control characters"
    );
    rule(is_name, field, words)
}

fn is_of_phone(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, ' ' | '-')
}

fn is_email(text: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    text.len() <= 254
        && text
            .split_once('@')
            .is_some_and(|(who, host)| is_plain(who) && is_plain(host) && host.contains('.'))
}

/// Whether a text is an absolute URL that a notification may go to. Which address its host has is
/// looked at when it is called, not here: a name may lead elsewhere by then.
fn is_url(text: &str, with_http: bool) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://").filter(|_| with_http));
    let is_text = text.len() <= URL_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let is_host = |rest: &str| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let fits =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        host.bytes().next().is_some_and(|b| b != b':') && host.bytes().all(fits)
    };
    is_text && !text.contains(['#', '\\']) && rest.is_some_and(is_host)
}

/// Persons and accounts stay out of whatever prints a profile for developers.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name_en", &self.name_en)
            .field("items", &self.items)
            .field("regions", &self.regions)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// Whether a revision in this stage is still being worked on.
    pub fn is_open(self) -> bool {
        matches!(self, Stage::Draft | Stage::Submitted)
    }
}
