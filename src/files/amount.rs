//! Amounts as digits and back. Nothing here knows floats; every digit is looked at.

use super::profile::Unit;
use crate::domain::money::Currency;

/// How a file writes amounts: in minor units, or with so many decimals behind a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AmountForm {
    decimals: usize,
}

impl AmountForm {
    pub fn new(unit: Unit, currency: Currency) -> Self {
        let decimals = match unit {
            Unit::Minor => 0,
            Unit::Major => currency.exponent() as usize,
        };
        Self { decimals }
    }

    /// Writes an amount behind what is there.
    pub fn push(self, out: &mut Vec<u8>, minor: i128) {
        // 39 digits of 128 bits, sign and point.
        let mut digits = [0; 48];
        let mut at = digits.len();
        let (mut rest, mut written) = (minor.unsigned_abs(), 0);
        // Dividing 128 bits is slow, and amounts have 64.
        while rest > u128::from(u64::MAX) {
            put(&mut digits, &mut at, (rest % 10) as u8);
            rest /= 10;
            written += 1;
            if written == self.decimals {
                at -= 1;
                digits[at] = b'.';
            }
        }
        let mut rest = rest as u64;
        while rest > 0 || written <= self.decimals {
            put(&mut digits, &mut at, (rest % 10) as u8);
            rest /= 10;
            written += 1;
            if written == self.decimals {
                at -= 1;
                digits[at] = b'.';
            }
        }
        if minor < 0 {
            at -= 1;
            digits[at] = b'-';
        }
        out.extend_from_slice(&digits[at..]);
    }

    /// Reads an amount; a `-` before it makes it negative.
    pub fn read(self, text: &str) -> Result<i64, &'static str> {
        let (is_negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let (whole, decimals) = digits.split_at(digits.len().saturating_sub(self.decimals));
        let whole = match (self.decimals, whole) {
            (0, whole) => whole,
            (_, [whole @ .., b'.']) => whole,
            _ => return Err(self.expected()),
        };
        if whole.is_empty() {
            return Err(self.expected());
        }
        // 18 digits always fit.
        if whole.len() + decimals.len() <= 18 {
            let mut minor: i64 = 0;
            for digit in whole.iter().chain(decimals) {
                let value = digit.wrapping_sub(b'0');
                if value > 9 {
                    return Err(self.expected());
                }
                minor = minor * 10 + i64::from(value);
            }
            return Ok(if is_negative { -minor } else { minor });
        }
        let mut minor: i64 = 0;
        for digit in whole.iter().chain(decimals) {
            if !digit.is_ascii_digit() {
                return Err(self.expected());
            }
            let next = minor.checked_mul(10);
            let next = next.and_then(|minor| minor.checked_add(i64::from(digit - b'0')));
            minor = next.ok_or("this is larger than an amount can be")?;
        }
        Ok(if is_negative { -minor } else { minor })
    }

    /// What an amount of this form looks like.
    fn expected(self) -> &'static str {
        match self.decimals {
            0 => "an amount is expected in minor units, as 12345: digits only",
            2 => "an amount is expected with two decimals, as 123.45",
            _ => "an amount is expected with the decimals of its currency, and no other sign",
        }
    }
}

fn put(digits: &mut [u8], at: &mut usize, digit: u8) {
    *at -= 1;
    digits[*at] = b'0' + digit;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(decimals: usize) -> AmountForm {
        AmountForm { decimals }
    }

    #[test]
    fn amounts_are_written_and_read_alike() {
        let edge = i128::from(i64::MAX);
        for (decimals, minor, text) in [
            (0, 0, "0"),
            (0, 12_345, "12345"),
            (2, 0, "0.00"),
            (2, 5, "0.05"),
            (2, -150, "-1.50"),
            (2, 12_345, "123.45"),
            (3, 1, "0.001"),
            (0, edge, "9223372036854775807"),
            (2, -edge, "-92233720368547758.07"),
        ] {
            let mut out = Vec::new();
            form(decimals).push(&mut out, minor);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            assert_eq!(form(decimals).read(text).map(i128::from), Ok(minor));
        }
        let mut out = Vec::new();
        form(2).push(&mut out, i128::from(u64::MAX) * 100);
        assert_eq!(out, b"18446744073709551615.00");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in [
            "", "-", ".", "+1", "1e3", "1,000", " 1", "1 ", "1.0", "１２", "0x1", "--1", "1-",
        ] {
            assert!(form(0).read(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "", "1", "1.0", "1.000", ".00", "-.01", "1,000.00", "1.0０", "1e3.00", "+1.00", "1.-1",
            " 1.00", "1.00 ", "12345", "1..00",
        ] {
            assert!(form(2).read(bad).is_err(), "{bad:?}");
        }
        let above = "9223372036854775808";
        assert!(form(0).read(above).unwrap_err().contains("larger"));
    }
}
