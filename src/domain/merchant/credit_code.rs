//! 统一社会信用代码: the number by which a company is known, by GB 32100-2015. Eighteen characters: who
//! registered it, what it is, where (six digits by GB/T 2260), its own number (nine), a check character.

use std::fmt;
use std::str::FromStr;

/// The alphabet: digits and capital letters without I, O, S, V and Z, which are easily misread. A
/// character's place is its value.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const LENGTH: usize = 18;
const MODULUS: usize = 31;

/// A unified social credit code whose check character is right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditCode(String);

/// A text that is no such code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCreditCode {
    /// Too short or too long.
    #[error("it has to be {LENGTH} characters by GB 32100-2015, and is {0}")]
    Length(usize),
    /// A character that the alphabet does not have.
    #[error(
        "character {place} is not in the alphabet of GB 32100-2015: digits, and capital letters \
         without I, O, S, V, Z; characters 3 to 8 are digits"
    )]
    Character {
        /// Counted from 1.
        place: usize,
    },
    /// The last character does not fit the others.
    #[error("its check character does not fit: a character is wrong, or two are exchanged")]
    Check,
}

impl CreditCode {
    /// Reads a code and checks it.
    ///
    /// # Errors
    /// What is wrong with it, by place.
    pub fn try_new(text: &str) -> Result<Self, BadCreditCode> {
        let length = text.chars().count();
        if length != LENGTH {
            return Err(BadCreditCode::Length(length));
        }
        let mut values = [0; LENGTH];
        for (index, (c, value)) in text.chars().zip(&mut values).enumerate() {
            let is_place = (2..8).contains(&index) && !c.is_ascii_digit();
            let found = ALPHABET.iter().position(|known| char::from(*known) == c);
            *value = found
                .filter(|_| !is_place)
                .ok_or(BadCreditCode::Character { place: index + 1 })?;
        }
        if values[LENGTH - 1] == check_value(&values[..LENGTH - 1]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadCreditCode::Check)
        }
    }

    /// The code itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of the check character: character i weighs 3^(i-1) mod 31.
fn check_value(values: &[usize]) -> usize {
    let weights = std::iter::successors(Some(1), |weight| Some(weight * 3 % MODULUS));
    let sum: usize = values.iter().zip(weights).map(|(v, w)| v * w).sum();
    (MODULUS - sum % MODULUS) % MODULUS
}

impl fmt::Display for CreditCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CreditCode {
    type Err = BadCreditCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A body with the check character that belongs to it.
    fn completed(body: &[usize]) -> String {
        let values = body.iter().copied().chain([check_value(body)]);
        values.map(|value| char::from(ALPHABET[value])).collect()
    }

    fn body() -> impl Strategy<Value = Vec<usize>> {
        let any = 0..MODULUS;
        (
            proptest::collection::vec(any.clone(), 2),
            proptest::collection::vec(0..10_usize, 6),
            proptest::collection::vec(any, 9),
        )
            .prop_map(|(head, place, own)| [head, place, own].concat())
    }

    /// The weights as the standard prints them.
    #[test]
    fn the_weights_are_those_of_the_standard() {
        let printed = [
            1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28,
        ];
        for (place, weight) in printed.into_iter().enumerate() {
            let mut values = [0; LENGTH - 1];
            values[place] = 1;
            assert_eq!(check_value(&values), MODULUS - weight, "place {place}");
        }
    }

    /// Codes that are public knowledge: three well-known companies.
    #[test]
    fn codes_of_real_companies_are_taken() {
        for real in [
            "91440300708461136T",
            "91110000802100433B",
            "91330100799655058B",
        ] {
            assert_eq!(CreditCode::try_new(real).map(|c| c.0), Ok(real.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn a_completed_body_is_a_code(body in body()) {
            let text = completed(&body);
            let code: CreditCode = text.parse().unwrap();
            prop_assert_eq!(code.as_str(), text.as_str());
        }

        /// Any one wrong character is found.
        #[test]
        fn one_wrong_character_is_found(body in body(), place in 0..LENGTH, by in 1..MODULUS) {
            let mut text = completed(&body).into_bytes();
            let old = ALPHABET.iter().position(|c| *c == text[place]).unwrap();
            text[place] = ALPHABET[(old + by) % MODULUS];
            let text = String::from_utf8(text).unwrap();
            prop_assert!(CreditCode::try_new(&text).is_err(), "{}", text);
        }

        /// Two neighbours that change places are found.
        #[test]
        fn exchanged_neighbours_are_found(body in body(), place in 0..LENGTH - 1) {
            let mut text = completed(&body).into_bytes();
            prop_assume!(text[place] != text[place + 1]);
            text.swap(place, place + 1);
            let text = String::from_utf8(text).unwrap();
            prop_assert!(CreditCode::try_new(&text).is_err(), "{}", text);
        }

        #[test]
        fn nothing_else_is_a_code(text in "\\PC{0,24}") {
            let is_code = CreditCode::try_new(&text).is_ok();
            prop_assert!(!is_code || text.len() == LENGTH);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = completed(&[9, 1, 3, 1, 0, 1, 1, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(
            CreditCode::try_new(&good[1..]),
            Err(BadCreditCode::Length(17))
        );
        for (place, odd) in [(1, 'I'), (2, 'a'), (4, 'A'), (12, 'Z'), (18, '－')] {
            let text: String = good
                .chars()
                .enumerate()
                .map(|(index, c)| if index + 1 == place { odd } else { c })
                .collect();
            assert_eq!(
                CreditCode::try_new(&text),
                Err(BadCreditCode::Character { place })
            );
        }
    }
}
