//! How an entry looks on its line: one flat JSON object, keys in a fixed order.
//!
//! Flat and borrowed, because the line is written on the way of every call and must cost little.
//! A tagged enum would read nicer here, but serde buffers such a value before it decodes it, which
//! makes the start on a long ledger slow.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{BankName, CallRecord, Entry, Event, Fact, Movement, Op, Undo};

/// What a CALL line says, before it is written.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Called<'a> {
    pub op: Op,
    pub flow_no: Option<&'a str>,
    pub payment_flow_no: Option<&'a str>,
    pub order_no: Option<&'a str>,
    pub biller: Option<&'a str>,
    pub bill_no: Option<&'a str>,
    pub answer: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Debit,
    Credit,
    Reversal,
    CreditBack,
    Tombstone,
    Refusal,
    Held,
    Call,
}

/// An amount, as a string of digits.
#[derive(Clone, Copy, Debug)]
struct Minor(i64);

impl Serialize for Minor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom("amount_minor is not a whole number"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    seq: u64,
    #[serde(borrow)]
    at: Cow<'a, str>,
    event: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bank: Option<BankName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<Op>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow_no: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_flow_no: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_no: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    biller: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bill_no: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount_minor: Option<Minor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effect_at: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Cow<'a, str>>,
}

/// A time as the ledger writes it.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Appends the lines of one request to `buffer` and returns how many there are.
pub(super) fn write_lines(
    buffer: &mut Vec<u8>,
    first_seq: u64,
    at: DateTime<Utc>,
    bank: Option<BankName>,
    (fact, call): (Option<&Fact>, Option<&Called<'_>>),
) -> serde_json::Result<u64> {
    let at = stamp(at);
    let mut seq = first_seq;
    let mut put = |mut line: Line<'_>| {
        line.seq = seq;
        line.bank = bank;
        seq += 1;
        serde_json::to_writer(&mut *buffer, &line)?;
        buffer.push(b'\n');
        serde_json::Result::Ok(())
    };
    match fact {
        None => {}
        Some(Fact::Paid(movement)) => {
            put(Line::moved(&at, Kind::Debit, movement))?;
            put(Line::moved(&at, Kind::Credit, movement))?;
        }
        Some(Fact::Undone(undo)) => {
            put(Line::undone(&at, Kind::Reversal, undo))?;
            put(Line::undone(&at, Kind::CreditBack, undo))?;
        }
        Some(Fact::Tombstoned(undo)) => put(Line::undone(&at, Kind::Tombstone, undo))?,
        Some(Fact::Refused(movement, code)) => {
            put(Line {
                code: Some(*code),
                ..Line::moved(&at, Kind::Refusal, movement)
            })?;
        }
        Some(Fact::Held(movement, due)) => {
            let effect_at = due.map(|due| Cow::Owned(stamp(due)));
            put(Line {
                effect_at,
                ..Line::moved(&at, Kind::Held, movement)
            })?;
        }
    }
    if let Some(call) = call {
        put(Line::called(&at, call))?;
    }
    Ok(seq - first_seq)
}

impl<'a> Line<'a> {
    fn blank(at: &'a str, event: Kind) -> Self {
        Self {
            seq: 0,
            at: Cow::Borrowed(at),
            event,
            bank: None,
            op: None,
            flow_no: None,
            payment_flow_no: None,
            order_no: None,
            biller: None,
            bill_no: None,
            amount_minor: None,
            currency: None,
            code: None,
            effect_at: None,
            answer: None,
        }
    }

    fn moved(at: &'a str, event: Kind, movement: &'a Movement) -> Self {
        Self {
            flow_no: Some(Cow::Borrowed(&movement.flow_no)),
            order_no: Some(Cow::Borrowed(&movement.order_no)),
            biller: Some(Cow::Borrowed(&movement.biller)),
            bill_no: Some(Cow::Borrowed(&movement.bill_no)),
            amount_minor: Some(Minor(movement.amount_minor)),
            currency: Some(Cow::Borrowed(&movement.currency)),
            ..Self::blank(at, event)
        }
    }

    fn undone(at: &'a str, event: Kind, undo: &'a Undo) -> Self {
        Self {
            flow_no: Some(Cow::Borrowed(&undo.flow_no)),
            payment_flow_no: Some(Cow::Borrowed(&undo.payment_flow_no)),
            order_no: Some(Cow::Borrowed(&undo.order_no)),
            biller: undo.biller.as_deref().map(Cow::Borrowed),
            bill_no: Some(Cow::Borrowed(&undo.bill_no)),
            amount_minor: Some(Minor(undo.amount_minor)),
            currency: Some(Cow::Borrowed(&undo.currency)),
            ..Self::blank(at, event)
        }
    }

    fn called(at: &'a str, call: &Called<'a>) -> Self {
        Self {
            op: Some(call.op),
            flow_no: call.flow_no.map(Cow::Borrowed),
            payment_flow_no: call.payment_flow_no.map(Cow::Borrowed),
            order_no: call.order_no.map(Cow::Borrowed),
            biller: call.biller.map(Cow::Borrowed),
            bill_no: call.bill_no.map(Cow::Borrowed),
            answer: Some(Cow::Borrowed(call.answer)),
            ..Self::blank(at, Kind::Call)
        }
    }
}

/// Reads one line, without its end.
pub(super) fn parse(bytes: &[u8]) -> Result<Entry, String> {
    let mut line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let event = match line.event {
        Kind::Debit => Event::Debit(line.movement()?),
        Kind::Credit => Event::Credit(line.movement()?),
        Kind::Reversal => Event::Reversal(line.undo()?),
        Kind::CreditBack => Event::CreditBack(line.undo()?),
        Kind::Tombstone => Event::Tombstone(line.undo()?),
        Kind::Refusal => Event::Refusal {
            movement: line.movement()?,
            code: line.code.take().ok_or("code is missing")?,
        },
        Kind::Held => Event::Held {
            movement: line.movement()?,
            effect_at: line
                .effect_at
                .take()
                .map(|at| parse_time(&at))
                .transpose()?,
        },
        Kind::Call => Event::Call(line.call()?),
    };
    let bank_needed = !matches!(&event, Event::Call(call) if call.op == Op::Lookup);
    if bank_needed != line.bank.is_some() {
        return Err("bank is for everything but a lookup".into());
    }
    line.nothing_left()?;
    Ok(Entry {
        seq: line.seq,
        at: parse_time(&line.at)?,
        bank: line.bank,
        event,
    })
}

impl Line<'_> {
    fn movement(&mut self) -> Result<Movement, String> {
        Ok(Movement {
            flow_no: text(&mut self.flow_no, "flow_no")?,
            order_no: text(&mut self.order_no, "order_no")?,
            biller: text(&mut self.biller, "biller")?,
            bill_no: text(&mut self.bill_no, "bill_no")?,
            amount_minor: self.amount_minor.take().ok_or("amount_minor is missing")?.0,
            currency: text(&mut self.currency, "currency")?,
        })
    }

    fn undo(&mut self) -> Result<Undo, String> {
        Ok(Undo {
            flow_no: text(&mut self.flow_no, "flow_no")?,
            payment_flow_no: text(&mut self.payment_flow_no, "payment_flow_no")?,
            order_no: text(&mut self.order_no, "order_no")?,
            biller: self.biller.take().map(Cow::into_owned),
            bill_no: text(&mut self.bill_no, "bill_no")?,
            amount_minor: self.amount_minor.take().ok_or("amount_minor is missing")?.0,
            currency: text(&mut self.currency, "currency")?,
        })
    }

    fn call(&mut self) -> Result<CallRecord, String> {
        Ok(CallRecord {
            op: self.op.take().ok_or("op is missing")?,
            flow_no: self.flow_no.take().map(Cow::into_owned),
            payment_flow_no: self.payment_flow_no.take().map(Cow::into_owned),
            order_no: self.order_no.take().map(Cow::into_owned),
            biller: self.biller.take().map(Cow::into_owned),
            bill_no: self.bill_no.take().map(Cow::into_owned),
            answer: text(&mut self.answer, "answer")?,
        })
    }

    /// Every field must have been taken by the event: one that is left does not belong to it.
    fn nothing_left(&self) -> Result<(), String> {
        let texts = [
            ("flow_no", &self.flow_no),
            ("payment_flow_no", &self.payment_flow_no),
            ("order_no", &self.order_no),
            ("biller", &self.biller),
            ("bill_no", &self.bill_no),
            ("currency", &self.currency),
            ("effect_at", &self.effect_at),
            ("answer", &self.answer),
        ];
        let others = [
            ("op", self.op.is_some()),
            ("amount_minor", self.amount_minor.is_some()),
            ("code", self.code.is_some()),
        ];
        let text = texts
            .into_iter()
            .find(|(_, value)| value.is_some())
            .map(|(name, _)| name);
        let other = others
            .into_iter()
            .find(|(_, there)| *there)
            .map(|(name, _)| name);
        match text.or(other) {
            None => Ok(()),
            Some(name) => Err(format!("{name} does not belong to this event")),
        }
    }
}

fn text(value: &mut Option<Cow<'_, str>>, name: &str) -> Result<String, String> {
    value
        .take()
        .map(Cow::into_owned)
        .ok_or_else(|| format!("{name} is missing"))
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| format!("time {text:?}: {error}"))
}
