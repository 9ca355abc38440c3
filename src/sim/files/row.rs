//! What a partner's day holds, as the ledger tells it.
//!
//! A bank lists each debit, each reversal under its own number, and what it refused; a biller lists its
//! credits and what it gave back. A payment whose number was buried before it had an effect is listed
//! by the bank as a failed payment, on the day of the burial; the reversal that buried it moved no
//! money and has no line. What a bank only holds in its drawer has none either.

use std::collections::HashSet;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::partner::Partner;
use crate::sim::ledger::{Entry, Event, LedgerError, Movement, Part, Undo};

/// What a line is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    #[default]
    Payment,
    Reversal,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Status {
    Succeeded,
    #[default]
    Failed,
    Pending,
}

impl Kind {
    /// Its word in the layouts that have English words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payment => "PAYMENT",
            Self::Reversal => "REVERSAL",
        }
    }
}

impl Status {
    /// Its word in the layouts that have English words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Pending => "PENDING",
        }
    }
}

/// One line of a partner's file, before it has a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub at: DateTime<Utc>,
    pub kind: Kind,
    pub status: Status,
    pub flow_no: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_flow_no: Option<String>,
    pub order_no: String,
    pub biller: String,
    pub bill_no: String,
    #[serde(with = "minor")]
    pub amount_minor: i64,
    pub currency: String,
}

/// Amounts are strings in JSON, as everywhere in the simulated world.
mod minor {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(minor: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(minor)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom("amount_minor is not a whole number"))
    }
}

/// One day of one partner, in the order of the ledger.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// Money moved.
    pub moved: Vec<Row>,
    /// Asked for at the center, and no money moved.
    pub unmoved: Vec<Row>,
}

impl Day {
    /// Reads it from the part of the ledger that covers it.
    pub fn read(
        part: &Part,
        partner: Partner,
        times: &Range<DateTime<Utc>>,
    ) -> Result<Self, LedgerError> {
        let mut day = Self::default();
        part.read(|entry| {
            if times.contains(&entry.at) {
                day.take(partner, entry);
            }
        })?;
        let mut known: HashSet<String> = day.moved.iter().map(|row| row.flow_no.clone()).collect();
        day.unmoved.retain(|row| known.insert(row.flow_no.clone()));
        Ok(day)
    }

    fn take(&mut self, partner: Partner, entry: Entry) {
        let Entry {
            at, bank, event, ..
        } = entry;
        let (row, moved) = match event {
            Event::Debit(movement) => (Row::paid(at, movement, Status::Succeeded), true),
            Event::Reversal(undo) => (Row::undone(at, undo), true),
            Event::Refusal { movement, .. } => (Row::paid(at, movement, Status::Failed), false),
            Event::Tombstone(undo) => (Row::buried(at, undo), false),
            Event::Credit(_) | Event::CreditBack(_) | Event::Held { .. } | Event::Call(_) => return,
        };
        let is_his = match partner {
            Partner::Bank(name) => bank == Some(name),
            Partner::Biller(biller) => row.biller == biller.name,
        };
        if !is_his {
            return;
        }
        if moved {
            self.moved.push(row);
        } else {
            self.unmoved.push(row);
        }
    }
}

impl Row {
    fn paid(at: DateTime<Utc>, movement: Movement, status: Status) -> Self {
        let Movement {
            flow_no,
            order_no,
            biller,
            bill_no,
            amount_minor,
            currency,
        } = movement;
        Self {
            at,
            kind: Kind::Payment,
            status,
            flow_no,
            payment_flow_no: None,
            order_no,
            biller,
            bill_no,
            amount_minor,
            currency,
        }
    }

    fn undone(at: DateTime<Utc>, undo: Undo) -> Self {
        let Undo {
            flow_no,
            payment_flow_no,
            order_no,
            biller,
            bill_no,
            amount_minor,
            currency,
        } = undo;
        Self {
            at,
            kind: Kind::Reversal,
            status: Status::Succeeded,
            flow_no,
            payment_flow_no: Some(payment_flow_no),
            order_no,
            biller: biller.unwrap_or_default(),
            bill_no,
            amount_minor,
            currency,
        }
    }

    /// The payment that a tombstone is about.
    fn buried(at: DateTime<Utc>, undo: Undo) -> Self {
        let row = Self::undone(at, undo);
        Self {
            kind: Kind::Payment,
            status: Status::Failed,
            flow_no: row.payment_flow_no.unwrap_or_default(),
            payment_flow_no: None,
            ..row
        }
    }
}
