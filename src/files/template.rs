//! Lines that are no rows, and names: texts with places for values, as `{rows}|{amount}`.

use crate::domain::named_enum;

named_enum! {
    /// What may stand in a template's place.
    pub enum Slot {
        /// How many rows the file has.
        Rows = "rows",
        /// What the cells of AMOUNT add up to, as they stand in the file, signs included.
        Amount = "amount",
        /// How many payments succeeded.
        Payments = "payments",
        /// What they add up to.
        PaymentAmount = "payment_amount",
        /// How many reversals succeeded.
        Reversals = "reversals",
        /// What they add up to; never negative.
        ReversalAmount = "reversal_amount",
        /// What the fees add up to.
        Fee = "fee",
        /// What the net amounts add up to.
        Net = "net",
        /// The SHA-256 of all that stands before this line, before packing, in lower-case hexadecimal
        /// digits.
        Sha256 = "sha256",
        /// The business date, `2026-11-22`.
        BusinessDate = "business_date",
        /// The business date, `20261122`.
        Date = "date",
        /// The merchant's or biller's code.
        Party = "party",
        /// Its name.
        PartyName = "party_name",
        /// The version of the file for its day, from 1.
        Version = "version",
        /// The currency's three letters.
        Currency = "currency",
        /// The profile's name.
        Profile = "profile",
        /// Anything, which nobody reads; nothing, where it is written.
        Any = "any",
    }
}

impl Slot {
    /// Whether its value is known only when all rows are.
    pub fn counts(self) -> bool {
        match self {
            Slot::Rows
            | Slot::Amount
            | Slot::Payments
            | Slot::PaymentAmount
            | Slot::Reversals
            | Slot::ReversalAmount
            | Slot::Fee
            | Slot::Net => true,
            Slot::Sha256
            | Slot::BusinessDate
            | Slot::Date
            | Slot::Party
            | Slot::PartyName
            | Slot::Version
            | Slot::Currency
            | Slot::Profile
            | Slot::Any => false,
        }
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A text as it stands.
    Literal(String),
    /// A place for a value; a number is filled up with zeros to the width.
    Place { slot: Slot, width: usize },
}

/// A text with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Vec<Part>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(format!("{control:?} cannot stand in a line"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}');
            let close = open + close.ok_or_else(|| "a { has no }".to_owned())?;
            let place = read_place(&rest[open + 1..close])?;
            if matches!(parts.last(), Some(Part::Place { .. })) {
                let reason = "needs a text between itself and the place before it";
                return Err(format!("{{{}}} {reason}", &rest[open + 1..close]));
            }
            parts.push(place);
            rest = &rest[close + 1..];
        }
        if rest.contains('}') {
            return Err("a } has no {".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The places in it, from the left.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Place { slot, .. } => Some(*slot),
        })
    }

    /// Its texts, from the left.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Place { .. } => None,
        })
    }

    /// Whether it needs to know what the rows add up to.
    pub fn counts(&self) -> bool {
        self.slots().any(Slot::counts)
    }

    /// The text that it begins with; empty where a place stands first.
    pub fn start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }
}

/// Reads what stands between braces: a name, or a name, a colon and a width.
fn read_place(text: &str) -> Result<Part, String> {
    let (name, width) = match text.split_once(':') {
        None => (text, 0),
        Some((name, width)) => match width.parse() {
            Ok(width @ 1..=32) => (name, width),
            _ => return Err(format!("{{{text}}}: a width is a number from 1 to 32")),
        },
    };
    let names: Vec<&str> = Slot::ALL.iter().map(|slot| slot.as_str()).collect();
    let slot: Slot = name
        .parse()
        .map_err(|_| format!("{{{name}}} is not known; there are {}", names.join(", ")))?;
    if width > 0 && !slot.counts() && slot != Slot::Version {
        return Err(format!("{{{text}}}: only numbers have a width"));
    }
    Ok(Part::Place { slot, width })
}
