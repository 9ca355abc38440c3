//! Strict reading of answers: a JSON object with few, known, plain fields.
//!
//! serde's derive is too friendly for money: it takes the last of two equal keys in some types,
//! turns numbers into floats, and its errors quote what they found. Here every value is first read
//! as what it *is* ([`Value`]), and then taken as what it has to be, with a defect that names the
//! field and never its content. Numbers that are no 64-bit integers, texts with control characters
//! (which PostgreSQL could not even store) or beyond their length, and fields that stand twice
//! make the whole answer malformed. Unknown fields are skipped, but not without being read.

use crate::domain::money::Money;
use crate::domain::outcome::{Cause, WireAnswer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// More fields than this are not an answer.
const FIELDS_MAX: usize = 64;
/// Numbers, codes and references.
const REFERENCE_CHARS_MAX: usize = 128;
/// Messages for people are cut here.
const MESSAGE_CHARS_MAX: usize = 200;

/// A lookup's answer: the fields as they stood there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LookupAnswer {
    pub status: Option<i64>,
    pub bill_no: Option<String>,
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub period: Option<String>,
    pub holder: Option<String>,
    pub bill_ref: Option<String>,
}

/// Reads the answer to a payment, a query or a reversal.
pub(super) fn read_payment(text: &str) -> Result<WireAnswer, Cause> {
    let mut fields = Fields::read(
        text,
        &[
            "status",
            "flow_no",
            "bill_no",
            "amount_minor",
            "currency",
            "upstream_ref",
            "message",
        ],
    )?;
    Ok(WireAnswer {
        status: fields.integer("status")?,
        flow_no: fields.reference("flow_no")?,
        bill_no: fields.reference("bill_no")?,
        amount_minor: fields.amount("amount_minor")?,
        currency: fields.reference("currency")?,
        upstream_ref: fields.reference("upstream_ref")?,
        message: fields.message("message")?,
    })
}

/// Reads the answer to a lookup.
pub(super) fn read_lookup(text: &str) -> Result<LookupAnswer, Cause> {
    let mut fields = Fields::read(
        text,
        &[
            "status",
            "bill_no",
            "amount_minor",
            "currency",
            "period",
            "holder",
            "bill_ref",
        ],
    )?;
    Ok(LookupAnswer {
        status: fields.integer("status")?,
        bill_no: fields.reference("bill_no")?,
        amount_minor: fields.amount("amount_minor")?,
        currency: fields.reference("currency")?,
        period: fields.reference("period")?,
        holder: fields.reference("holder")?,
        bill_ref: fields.reference("bill_ref")?,
    })
}

/// The known fields of an object that stand there and are not null.
struct Fields<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Fields<'a> {
    fn read(text: &'a str, known: &'static [&'static str]) -> Result<Self, Cause> {
        let malformed = |defect: String| Cause::Malformed(defect);
        if !text.trim_ascii_start().starts_with('{') {
            return Err(malformed("not a JSON object".to_owned()));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = Object { known }
            .deserialize(&mut json)
            .and_then(|fields| json.end().map(|()| fields));
        fields
            .map(Fields)
            .map_err(|error| malformed(format!("not the agreed JSON: {error}")))
    }

    fn take(&mut self, field: &str) -> Option<Value<'a>> {
        let place = self.0.iter().position(|(name, _)| *name == field)?;
        Some(self.0.swap_remove(place).1)
    }

    fn integer(&mut self, field: &str) -> Result<Option<i64>, Cause> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(other) => Err(defect(field, other.kind())),
        }
    }

    /// Minor units: a string of digits, or an integer that is not negative.
    fn amount(&mut self, field: &str) -> Result<Option<i64>, Cause> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Integer(minor)) if minor >= 0 => Ok(Some(minor)),
            Some(Value::Integer(_)) => Err(defect(field, "negative")),
            Some(Value::Text(digits)) => Money::parse_minor(&digits)
                .map(Some)
                .map_err(|_| defect(field, "not a string of digits")),
            Some(other) => Err(defect(field, other.kind())),
        }
    }

    fn reference(&mut self, field: &str) -> Result<Option<String>, Cause> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Text(text)) if text.chars().any(char::is_control) => {
                Err(defect(field, "a text with control characters"))
            }
            Some(Value::Text(text)) if text.chars().count() > REFERENCE_CHARS_MAX => {
                Err(defect(field, "too long"))
            }
            Some(Value::Text(text)) => Ok(Some(text.into_owned())),
            Some(other) => Err(defect(field, other.kind())),
        }
    }

    /// A message decides nothing, so it is cut and cleaned instead of refused.
    fn message(&mut self, field: &str) -> Result<Option<String>, Cause> {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        match self.take(field) {
            None => Ok(None),
            Some(Value::Text(text)) => {
                let text = text.chars().map(clean).take(MESSAGE_CHARS_MAX).collect();
                Ok(Some(text))
            }
            Some(other) => Err(defect(field, other.kind())),
        }
    }
}

fn defect(field: &str, what: &str) -> Cause {
    Cause::Malformed(format!("{field} is {what}"))
}

/// A JSON value as far as answers need it.
enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Other(&'static str),
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Integer(_) => "a number",
            Value::Text(_) => "a text",
            Value::Other(kind) => kind,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes every JSON value, so that no error of serde's own can quote one. What is inside lists and
/// objects is read through, which checks its syntax, its numbers and its depth.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other("a boolean"))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(number).map_or(Value::Other("too large"), Value::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other("not a 64-bit integer"))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        while list.next_element::<Value<'de>>()?.is_some() {}
        Ok(Value::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value<'de>, A::Error> {
        while object.next_entry::<Value<'de>, Value<'de>>()?.is_some() {}
        Ok(Value::Other("an object"))
    }
}

/// Reads the top level, refusing a field that stands twice even where it is unknown or null.
struct Object {
    known: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Vec<(&'static str, Value<'de>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Vec<(&'static str, Value<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut seen: Vec<Cow<'de, str>> = Vec::with_capacity(self.known.len());
        let mut found = Vec::with_capacity(self.known.len());
        while let Some((key, value)) = object.next_entry::<Value<'de>, Value<'de>>()? {
            let Value::Text(key) = key else {
                return Err(A::Error::custom("a key is not a text"));
            };
            let known = self.known.iter().copied().find(|name| *name == key);
            if seen.contains(&key) {
                let name = known.unwrap_or("an unknown field");
                return Err(A::Error::custom(format_args!("{name} stands twice")));
            }
            if seen.len() == FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            seen.push(key);
            match (known, value) {
                (None, _) | (Some(_), Value::Null) => {}
                (Some(name), value) => found.push((name, value)),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
