//! Numbers and codes, each a type of its own, so that an order number can never be passed as a
//! flow number.
//!
//! Order and flow numbers are 24 digits: the business date (8), the microsecond of that day (11)
//! and a tag of the running instance (5). They sort by time and need no talk between replicas;
//! the database's unique index is the judge should two ever meet.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that is not a number or code of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {kind}: {rule}")]
pub struct BadId {
    /// What was expected.
    pub kind: &'static str,
    /// What was found.
    pub found: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// How many digits an order or flow number has.
pub const NUMBER_DIGITS: usize = 24;

fn is_number(text: &str) -> bool {
    text.len() == NUMBER_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $check:path, $rule:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text over after checking it.
            pub fn try_new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text))
                } else {
                    Err(BadId { kind: stringify!($name), found: text, rule: $rule })
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::try_new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::try_new(text)
            }
        }
    };
}

id!(
    /// The number of an order.
    OrderNo, is_number, "24 digits"
);
id!(
    /// The number of a flow: also the idempotency key at the far side.
    FlowNo, is_number, "24 digits"
);
id!(
    /// The number of a case.
    CaseNo, is_number, "24 digits"
);
id!(
    /// The code of a merchant.
    MerchantCode, is_code, "1 to 64 letters, digits, '-', '_' or '.'"
);
id!(
    /// The id of a key, by which a signature names it.
    KeyId, is_code, "1 to 64 letters, digits, '-', '_' or '.'"
);
id!(
    /// The code of a biller.
    BillerCode, is_code, "1 to 64 letters, digits, '-', '_' or '.'"
);
id!(
    /// The code of a payable item.
    ItemCode, is_code, "1 to 64 letters, digits, '-', '_' or '.'"
);
id!(
    /// The name of an upstream adapter, as in the settings.
    AdapterName, is_code, "1 to 64 letters, digits, '-', '_' or '.'"
);

fn is_operator_name(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
        })
}

id!(
    /// The name by which an operator logs in. Lower case only: `Ann` and `ann` must not be two people,
    /// who could then be maker and checker.
    OperatorName, is_operator_name,
    "2 to 32 lower-case letters, digits, '-', '_' or '.', a letter first"
);

fn is_request_no(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_bill_no(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

id!(
    /// The merchant's own number of a request; makes `orderCreate` idempotent.
    RequestNo, is_request_no, "1 to 64 visible ASCII characters"
);
id!(
    /// A biller's number of a bill, an account or a meter; the item's own rule is stricter.
    BillNo, is_bill_no, "1 to 64 visible ASCII characters"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_24_digits_and_nothing_else() {
        assert!(OrderNo::try_new("202611220123456789012345").is_ok());
        for bad in [
            "",
            "2026",
            "20261122012345678901234x",
            "２０２６11220123456789012345",
        ] {
            let error = OrderNo::try_new(bad).unwrap_err();
            assert_eq!(error.kind, "OrderNo");
            assert_eq!(error.found, bad);
        }
    }

    #[test]
    fn an_operator_s_name_has_one_spelling() {
        assert!(OperatorName::try_new("ann.lee-2").is_ok());
        for bad in ["", "a", "Ann", "2ann", ".ann", "ann lee", "安", "ａｎｎ"] {
            assert!(
                OperatorName::try_new(bad).is_err(),
                "{bad:?} must be refused"
            );
        }
        assert!(OperatorName::try_new("a".repeat(33)).is_err());
    }

    #[test]
    fn a_bill_number_holds_no_space_and_no_control_character() {
        assert!(BillNo::try_new("S12345678").is_ok());
        for bad in ["", "12 34", "12\n34", "12\u{0}34", "账单"] {
            assert!(BillNo::try_new(bad).is_err(), "{bad:?} must be refused");
        }
        assert!(BillNo::try_new("9".repeat(65)).is_err());
    }
}
