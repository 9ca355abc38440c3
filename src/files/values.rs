//! What stands in the places of a template: the values of a file's head and what its rows add up to.

use super::amount::AmountForm;
use super::cell::needs_apostrophe;
use super::charset::push_encoded;
use super::profile::{Charset, Layout, Profile, Reversals};
use super::row::{LineStatus, Totals};
use super::statement::Head;
use super::template::{Part, Slot, Template};
use crate::domain::audit::hex;
use crate::domain::flow::FlowKind;
use crate::domain::money::Currency;
use crate::domain::time::BusinessDate;
use std::fmt::Write;

/// The values of a file.
#[derive(Clone, Debug)]
pub(super) struct Values {
    charset: Charset,
    amounts: AmountForm,
    business_date: BusinessDate,
    party: String,
    party_name: String,
    /// How many characters of the name were replaced by what is in `party_name`.
    replaced: u64,
    version: u32,
    currency: Currency,
    profile: String,
    reversals: Reversals,
    /// What the rows add up to, once that is known.
    pub totals: Option<Totals>,
    /// The digest of what was written so far.
    pub sha256: Option<[u8; 32]>,
}

impl Values {
    pub fn new(profile: &Profile, head: &Head<'_>) -> Self {
        let (party_name, replaced) = clean_name(profile.layout, head.party_name);
        Self {
            charset: profile.charset,
            amounts: AmountForm::new(profile.unit, head.currency),
            business_date: head.business_date,
            party: head.party.to_owned(),
            party_name,
            replaced,
            version: head.version,
            currency: head.currency,
            profile: profile.name.clone(),
            reversals: profile.reversals,
            totals: None,
            sha256: None,
        }
    }

    /// Writes a line of head or trailer, without its end, and says how many characters were replaced.
    pub fn push_line(&self, line: &Template, out: &mut Vec<u8>) -> Result<u64, String> {
        let named = line.slots().filter(|slot| *slot == Slot::PartyName).count() as u64;
        let replaced = push_encoded(self.charset, &self.text(line)?, out);
        Ok(replaced + named * self.replaced)
    }

    /// The name of a file.
    pub fn name(&self, template: &Template) -> Result<String, String> {
        if crate::domain::ids::MerchantCode::try_new(self.party.as_str()).is_err() {
            return Err(format!(
                "{:?} is no code, and cannot stand in a name",
                self.party
            ));
        }
        self.text(template)
    }

    fn text(&self, template: &Template) -> Result<String, String> {
        let mut text = String::new();
        for part in &template.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Place { slot, width } => {
                    let value = self.value(*slot)?;
                    let padding = width.saturating_sub(value.len());
                    let (sign, digits) = match value.strip_prefix('-') {
                        Some(digits) if padding > 0 => ("-", digits),
                        _ => ("", value.as_str()),
                    };
                    if *width > 0 && value.len() > *width {
                        return Err(format!("{{{slot}:{width}}} is too narrow for {value}"));
                    }
                    text.push_str(sign);
                    text.extend(std::iter::repeat_n('0', padding));
                    text.push_str(digits);
                }
            }
        }
        Ok(text)
    }

    /// The text of a value.
    fn value(&self, slot: Slot) -> Result<String, String> {
        Ok(match slot {
            Slot::Any => String::new(),
            Slot::BusinessDate => self.business_date.to_string(),
            Slot::Date => self.business_date.digits(),
            Slot::Party => self.party.clone(),
            Slot::PartyName => self.party_name.clone(),
            Slot::Version => self.version.to_string(),
            Slot::Currency => self.currency.code().to_owned(),
            Slot::Profile => self.profile.clone(),
            Slot::Sha256 => {
                let digest = self.sha256.ok_or("the digest is not known yet")?;
                hex(&digest)
            }
            counted => {
                let totals = self.totals.as_ref();
                let totals = totals.ok_or("what the rows add up to is not known yet")?;
                count(totals, counted, self.reversals, self.amounts)
            }
        })
    }
}

/// The text of a count or a sum.
fn count(totals: &Totals, slot: Slot, reversals: Reversals, amounts: AmountForm) -> String {
    match sum_of(totals, slot, reversals) {
        Counted::Rows(rows) => rows.to_string(),
        Counted::Minor(minor) => {
            let mut digits = Vec::new();
            amounts.push(&mut digits, minor);
            String::from_utf8_lossy(&digits).into_owned()
        }
    }
}

/// A count, or a sum in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Rows(u64),
    Minor(i128),
}

/// What a place for a count or a sum has to say.
pub(super) fn sum_of(totals: &Totals, slot: Slot, reversals: Reversals) -> Counted {
    let succeeded = |kind| totals.tally(kind, LineStatus::Succeeded);
    let minor = |minor: i64| Counted::Minor(i128::from(minor));
    let (payments, reversed) = (
        totals.amount(FlowKind::Payment),
        totals.amount(FlowKind::Reversal),
    );
    match slot {
        Slot::Payments => Counted::Rows(succeeded(FlowKind::Payment).rows),
        Slot::PaymentAmount => minor(succeeded(FlowKind::Payment).amount_minor),
        Slot::Reversals => Counted::Rows(succeeded(FlowKind::Reversal).rows),
        Slot::ReversalAmount => minor(succeeded(FlowKind::Reversal).amount_minor),
        Slot::Fee => minor(totals.fee_minor),
        Slot::Net => minor(totals.net_minor),
        Slot::Amount => Counted::Minor(match reversals {
            Reversals::Negative => payments - reversed,
            Reversals::Word => payments + reversed,
        }),
        _ => Counted::Rows(totals.rows()),
    }
}

/// A name that can stand in a line: it parts no cells, ends no line and begins no formula. Says how many
/// characters were replaced.
fn clean_name(layout: Layout, name: &str) -> (String, u64) {
    let parts = |c: char| match layout {
        Layout::Fixed => false,
        Layout::Delimited { delimiter, quote } => {
            c == char::from(delimiter) || quote.is_some_and(|quote| c == char::from(quote))
        }
    };
    let mut clean = String::new();
    if needs_apostrophe(name) {
        clean.push('\'');
    }
    let mut replaced = 0;
    for c in name.chars() {
        let is_bad = c.is_control() || parts(c);
        replaced += u64::from(is_bad);
        let _ = clean.write_char(if is_bad { '?' } else { c });
    }
    (clean, replaced)
}
