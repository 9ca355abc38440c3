//! Scalars of our own.

use crate::domain::time::BusinessDate;
use async_graphql::{
    Description, InputType, InputValueError, InputValueResult, Scalar, ScalarType, Value,
};
use chrono::NaiveDate;
use secrecy::SecretString;

/// A business date (账务日) as `YYYY-MM-DD`: the day on which something counts, in the center's zone
/// and by its cut-off. It is not always the calendar's day.
#[derive(Clone, Copy, Debug, Description)]
pub struct Date(pub BusinessDate);

#[Scalar(use_type_description)]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::custom("a string is expected"));
        };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map_err(|_| InputValueError::custom("a date as YYYY-MM-DD is expected"))?;
        Ok(Self(BusinessDate(date)))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Decimal degrees such as `31.2304`, as a string or a number. Answers are strings; no digit is lost
/// to floating point.
#[derive(Clone, Debug, Description)]
pub struct Degrees(pub String);

impl Degrees {
    /// Millionths of a degree as decimal degrees, without trailing zeros.
    pub fn from_micro(micro: i32) -> Self {
        let sign = if micro < 0 { "-" } else { "" };
        let whole = micro.unsigned_abs() / 1_000_000;
        let fraction = format!("{:06}", micro.unsigned_abs() % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() {
            return Self(format!("{sign}{whole}"));
        }
        Self(format!("{sign}{whole}.{fraction}"))
    }
}

#[Scalar(use_type_description)]
impl ScalarType for Degrees {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(InputValueError::custom("a string or a number is expected")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A password or token that the bank checks, 1 to 4096 characters. It is passed on to the bank and is
/// never stored, never logged and never part of an answer. Send it as a variable, not written into
/// the document.
#[derive(Debug, Description)]
pub struct Credential(pub SecretString);

const CREDENTIAL_BYTES_MAX: usize = 4_096;

/// Takes a secret out of an argument; what is wrong with it is said without repeating it.
fn secret<T: InputType>(value: Value) -> Result<SecretString, InputValueError<T>> {
    match value {
        Value::String(text) if (1..=CREDENTIAL_BYTES_MAX).contains(&text.len()) => {
            Ok(SecretString::from(text))
        }
        _ => Err(InputValueError::custom(
            "a string of 1 to 4096 characters is expected",
        )),
    }
}

#[Scalar(use_type_description)]
impl ScalarType for Credential {
    fn parse(value: Value) -> InputValueResult<Self> {
        secret(value).map(Self)
    }

    /// Never an answer; the schema has no field of this type.
    fn to_value(&self) -> Value {
        Value::Null
    }
}

/// An operator's password or one-time code, 1 to 4096 characters. It is checked here, and is never kept
/// in clear, never logged and never part of an answer. Send it as a variable, not written into the
/// document.
#[derive(Debug, Description)]
pub struct Password(pub SecretString);

#[Scalar(use_type_description)]
impl ScalarType for Password {
    fn parse(value: Value) -> InputValueResult<Self> {
        secret(value).map(Self)
    }

    /// Never an answer; the schema has no field of this type.
    fn to_value(&self) -> Value {
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_shown_without_floats() {
        for (micro, text) in [
            (31_230_400, "31.2304"),
            (-500_000, "-0.5"),
            (121_000_000, "121"),
            (1, "0.000001"),
            (0, "0"),
        ] {
            assert_eq!(Degrees::from_micro(micro).0, text);
        }
    }

    #[test]
    fn degrees_keep_the_digits_of_a_number() {
        let parsed = <Degrees as ScalarType>::parse(Value::from(31.2304)).unwrap();
        assert_eq!(parsed.0, "31.2304");
    }

    #[test]
    fn a_refused_credential_is_not_repeated() {
        let long = "s3cret".repeat(1_000);
        for bad in [Value::from(123_456), Value::from(long), Value::from("")] {
            let error = <Credential as ScalarType>::parse(bad).unwrap_err();
            let text = format!("{:?}", error.into_server_error(Default::default()));
            assert!(
                !text.contains("123456") && !text.contains("s3cret"),
                "{text}"
            );
        }
    }
}
