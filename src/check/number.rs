//! A number of 24 digits in ten bytes: a million of them are looked up while two witnesses are
//! compared.

use std::fmt;

const DIGITS: usize = 24;

/// An order or flow number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Number([u8; 10]);

impl Number {
    /// Packs a number; none where the text is not 24 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let value: u128 = digits.then(|| text.parse().ok())??;
        let mut bytes = [0; 10];
        // 24 digits need 80 bits: the upper six bytes of the sixteen are zero.
        bytes.copy_from_slice(value.to_be_bytes().get(6..)?);
        Some(Self(bytes))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self
            .0
            .iter()
            .fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
        write!(f, "{value:024}")
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn a_number_survives_packing() {
        for text in [
            "202611220123456789012345",
            "000000000000000000000000",
            "999999999999999999999999",
        ] {
            assert_eq!(Number::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_24_digits_is_none() {
        for text in [
            "",
            "123",
            "20261122012345678901234x",
            "+02611220123456789012345",
        ] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }
}
