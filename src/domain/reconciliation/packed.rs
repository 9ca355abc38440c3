//! A row in twenty bytes. Ten million of them lie in memory at once when two files of five million lines
//! are compared, and every byte of them is read several times.
//!
//! A flow number of 24 digits is less than 2^80, so it needs ten bytes, exactly, and their order is the
//! order of the numbers. The rest of a row fits into six bytes if its amount is below 2^33 minor units
//! (some 85 million yuan), its currency is a usual one and its bill is ours; of a row that does not fit, the six bytes say
//! where it is kept whole. Nothing is ever cut or hashed.

use super::row::{Asked, Bill, Edge, Row, RowState};
use crate::domain::flow::FlowKind;
use crate::domain::ids::NUMBER_DIGITS;
use crate::domain::money::{Currency, Money};
use std::sync::LazyLock;

/// A flow number of 24 digits, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u128);

impl Number {
    /// Reads 24 digits; none for everything else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let digits: &[u8; NUMBER_DIGITS] = text.try_into().ok()?;
        let eight = |at| eight_digits(digits, at).map(u64::from);
        let low = eight(8)? * 100_000_000 + eight(16)?;
        let number = u128::from(eight(0)?) * 10_000_000_000_000_000 + u128::from(low);
        Some(Self(number))
    }

    /// Writes the 24 digits.
    pub(super) fn digits(self) -> [u8; NUMBER_DIGITS] {
        let mut digits = [b'0'; NUMBER_DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        digits
    }

    /// Which of 256 parts the number is in: numbers that follow each other are in different ones.
    pub(super) fn part(self) -> u8 {
        let (top, low) = self.split();
        let mixed = (top ^ u64::from(low).rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 56) as u8
    }

    /// The upper 64 and the lower 16 bits.
    fn split(self) -> (u64, u16) {
        ((self.0 >> 16) as u64, self.0 as u16)
    }
}

/// Eight digits at once: each byte is checked and weighed in parallel inside one word.
fn eight_digits(text: &[u8; NUMBER_DIGITS], at: usize) -> Option<u32> {
    let bytes: [u8; 8] = text[at..at + 8].try_into().ok()?;
    let word = u64::from_le_bytes(bytes);
    let above = word.wrapping_add(0x4646_4646_4646_4646);
    let below = word.wrapping_sub(0x3030_3030_3030_3030);
    if (above | below) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = below.wrapping_mul(10).wrapping_add(below >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) as u32)
}

/// The currencies that a packed row may have, by their place.
static USUAL: LazyLock<[Currency; 16]> = LazyLock::new(|| {
    const CODES: [&str; 16] = [
        "CNY", "HKD", "MOP", "TWD", "USD", "EUR", "GBP", "JPY", "KRW", "SGD", "AUD", "CAD", "CHF",
        "THB", "MYR", "RUB",
    ];
    CODES.map(|code| Currency::try_new(code).unwrap_or(Currency::CNY))
});

/// The place of a currency among the usual ones.
fn place_of(currency: Currency) -> Option<u64> {
    let place = USUAL.iter().position(|usual| *usual == currency)?;
    u64::try_from(place).ok()
}

const AMOUNT_BITS: u32 = 33;
const CURRENCY_AT: u32 = AMOUNT_BITS;
const RULES_AT: u32 = CURRENCY_AT + 4;
const ASKED_AT: u32 = RULES_AT + 3;
const EDGE_AT: u32 = ASKED_AT + 2;
const KIND_AT: u32 = EDGE_AT + 1;
const STATE_AT: u32 = KIND_AT + 2;
const SPILLED_AT: u32 = STATE_AT + 2;
const VALUE_BITS: u32 = SPILLED_AT + 1;
const _: () = assert!(VALUE_BITS == 48);

/// What a row says about money: its amount, currency, kind and state. Rows that agree in these bits say
/// the same.
const WORDS: u64 = (mask(4) << CURRENCY_AT) | mask(AMOUNT_BITS) | (mask(4) << KIND_AT);

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Six bytes: a row without its number and line, or the place where it is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(u64);

impl Value {
    /// Packs a row, if it fits.
    pub(super) fn of(row: &Row) -> Option<Self> {
        let amount = u64::try_from(row.amount.amount_minor).ok()?;
        let is_odd = row.bill == Bill::Other;
        if is_odd || amount > mask(AMOUNT_BITS) || u64::from(row.rules) > mask(3) {
            return None;
        }
        let asked = match row.asked {
            Asked::Both => 0,
            Asked::Bank => 1,
            Asked::Biller => 2,
            Asked::Nobody => 3,
        };
        let edge = match row.edge {
            Edge::Far => 0,
            Edge::Near => 1,
        };
        let kind = match row.kind {
            None => 0,
            Some(FlowKind::Payment) => 1,
            Some(FlowKind::Reversal) => 2,
        };
        let state = match row.state {
            RowState::Succeeded => 0,
            RowState::Failed => 1,
            RowState::Pending => 2,
        };
        let value = amount
            | (place_of(row.amount.currency)? << CURRENCY_AT)
            | (u64::from(row.rules) << RULES_AT)
            | (asked << ASKED_AT)
            | (edge << EDGE_AT)
            | (kind << KIND_AT)
            | (state << STATE_AT);
        Some(Self(value))
    }

    /// A row that is kept whole: in which lot, and as which of its rows.
    pub(super) fn kept(lot: u16, place: u32) -> Self {
        Self((1 << SPILLED_AT) | (u64::from(lot & 0x7FFF) << 32) | u64::from(place))
    }

    /// Where the row is kept whole; none of a packed one.
    pub(super) fn place(self) -> Option<(usize, usize)> {
        let is_kept = self.bits(SPILLED_AT, 1) == 1;
        is_kept.then(|| (self.bits(32, 15) as usize, self.bits(0, 32) as usize))
    }

    /// The row of a packed value.
    pub(super) fn row(self, line: u32) -> Row {
        Row {
            kind: self.kind(),
            state: match self.bits(STATE_AT, 2) {
                0 => RowState::Succeeded,
                1 => RowState::Failed,
                _ => RowState::Pending,
            },
            amount: Money::new(self.amount_minor().cast_signed(), self.currency()),
            edge: match self.bits(EDGE_AT, 1) {
                0 => Edge::Far,
                _ => Edge::Near,
            },
            asked: match self.bits(ASKED_AT, 2) {
                0 => Asked::Both,
                1 => Asked::Bank,
                2 => Asked::Biller,
                _ => Asked::Nobody,
            },
            bill: Bill::Agrees,
            rules: self.bits(RULES_AT, 3) as u8,
            line,
        }
    }

    /// Whether two packed rows say the same about money, and that it moved.
    pub(super) fn both_moved(self, other: Value) -> bool {
        let state_and_kept = mask(3) << STATE_AT;
        (self.0 ^ other.0) & WORDS == 0 && (self.0 | other.0) & state_and_kept == 0
    }

    /// Whether the biller has to list it, of a row of ours.
    pub(super) fn asks_biller(self) -> bool {
        self.bits(ASKED_AT, 1) == 0
    }

    /// A small number for the kind and currency: rows that agree in it are summed up together.
    pub(super) fn purse(self) -> usize {
        (self.bits(CURRENCY_AT, 4) | (self.bits(KIND_AT, 2) << 4)) as usize
    }

    /// The kind.
    pub(super) fn kind(self) -> Option<FlowKind> {
        match self.bits(KIND_AT, 2) {
            1 => Some(FlowKind::Payment),
            2 => Some(FlowKind::Reversal),
            _ => None,
        }
    }

    /// The currency.
    pub(super) fn currency(self) -> Currency {
        USUAL[self.bits(CURRENCY_AT, 4) as usize]
    }

    /// The amount in minor units.
    pub(super) fn amount_minor(self) -> u64 {
        self.bits(0, AMOUNT_BITS)
    }

    fn bits(self, at: u32, bits: u32) -> u64 {
        (self.0 >> at) & mask(bits)
    }
}

/// How many different purses there are.
pub(super) const PURSES: usize = 64;

/// A row in memory. Of words of four bytes, because one of eight would round it up to 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    top: [u32; 2],
    rest: [u32; 2],
    line: u32,
}

impl Packed {
    /// Room for a row.
    pub(super) const NOTHING: Packed = Packed {
        top: [0; 2],
        rest: [0; 2],
        line: 0,
    };

    pub(super) fn new(number: Number, value: Value, line: u32) -> Self {
        let (top, low) = number.split();
        Self {
            top: halves(top),
            rest: halves((u64::from(low) << VALUE_BITS) | value.0),
            line,
        }
    }

    /// Number and line in one: rows are sorted by it.
    pub(super) fn key(&self) -> u128 {
        (self.number().0 << 32) | u128::from(self.line)
    }

    /// The number.
    pub(super) fn number(&self) -> Number {
        let low = whole(self.rest) >> VALUE_BITS;
        Number((u128::from(whole(self.top)) << 16) | u128::from(low))
    }

    /// The rest.
    pub(super) fn value(&self) -> Value {
        Value(whole(self.rest) & mask(VALUE_BITS))
    }

    /// The line.
    pub(super) fn line(&self) -> u32 {
        self.line
    }
}

fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}

fn whole([upper, lower]: [u32; 2]) -> u64 {
    (u64::from(upper) << 32) | u64::from(lower)
}

#[cfg(test)]
pub(super) use tests::any_row;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packed_row_has_twenty_bytes() {
        assert_eq!(size_of::<Packed>(), 20);
    }

    #[test]
    fn only_24_digits_are_a_number() {
        for text in [
            "",
            "1",
            "20261122000000000000000",
            "2026112200000000000000000",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
        let digits = *b"202611220000000000000000";
        for place in 0..NUMBER_DIGITS {
            for byte in 0..=u8::MAX {
                let mut text = digits;
                text[place] = byte;
                let number = Number::parse(&text);
                assert_eq!(number.is_some(), byte.is_ascii_digit(), "{byte} at {place}");
                assert!(number.is_none_or(|number| number.digits() == text));
            }
        }
        let largest = Number::parse(&[b'9'; NUMBER_DIGITS]).unwrap();
        assert_eq!(largest.digits(), [b'9'; NUMBER_DIGITS]);
        assert!(largest.0 < 1 << 80);
    }

    #[test]
    fn numbers_that_follow_each_other_are_spread() {
        let mut counts = [0_u32; 256];
        for place in 0..256_000_u32 {
            let text = format!("20261122{:016}", place);
            counts[usize::from(Number::parse(text.as_bytes()).unwrap().part())] += 1;
        }
        assert!(
            counts.iter().all(|count| (500..2_000).contains(count)),
            "{counts:?}"
        );
    }

    /// Any row that there can be.
    pub fn any_row() -> impl Strategy<Value = Row> {
        let state = prop_oneof![
            4 => Just(RowState::Succeeded),
            1 => Just(RowState::Failed),
            1 => Just(RowState::Pending),
        ];
        let kind = prop_oneof![
            4 => Just(Some(FlowKind::Payment)),
            1 => Just(Some(FlowKind::Reversal)),
            1 => Just(None),
        ];
        let amount = prop_oneof![
            8 => 0..4_i64,
            1 => (1_i64 << AMOUNT_BITS) - 2..(1 << AMOUNT_BITS) + 2,
            1 => 0..1_000_000_000_000_000_000_i64,
        ];
        let currency = prop_oneof![8 => Just("CNY"), 1 => Just("USD"), 1 => Just("ISK")];
        let asked = prop_oneof![
            Just(Asked::Both),
            Just(Asked::Bank),
            Just(Asked::Biller),
            Just(Asked::Nobody),
        ];
        let edge = prop_oneof![4 => Just(Edge::Far), 1 => Just(Edge::Near)];
        let rules = prop_oneof![4 => 0..3_u8, 1 => 6..10_u8];
        let bill = prop_oneof![8 => Just(Bill::Agrees), 1 => Just(Bill::Other)];
        (state, kind, amount, currency, asked, edge, rules, bill).prop_map(
            |(state, kind, minor, code, asked, edge, rules, bill)| Row {
                kind,
                state,
                amount: Money::new(minor, Currency::try_new(code).unwrap()),
                edge,
                asked,
                bill,
                rules,
                line: 0,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_as_it_was(
            row in any_row(),
            line in any::<u32>(),
            digits in "[0-9]{24}",
        ) {
            let number = Number::parse(digits.as_bytes()).unwrap();
            if let Some(value) = Value::of(&row) {
                let packed = Packed::new(number, value, line);
                prop_assert_eq!(packed.value().place(), None);
                prop_assert_eq!(packed.value().row(packed.line()), row.at_line(line));
                prop_assert_eq!(&packed.number().digits()[..], digits.as_bytes());
                prop_assert_eq!(value.asks_biller(), row.asked.biller());
            } else {
                let fits = row.amount.amount_minor < 1 << AMOUNT_BITS
                    && row.rules < 8
                    && row.bill == Bill::Agrees
                    && row.amount.currency.code() != "ISK";
                prop_assert!(!fits);
            }
        }

        #[test]
        fn a_kept_row_says_where_it_is(lot in 0..0x8000_u16, place in any::<u32>()) {
            let value = Value::kept(lot, place);
            prop_assert_eq!(value.place(), Some((usize::from(lot), place as usize)));
        }

        #[test]
        fn rows_sort_like_their_numbers(one in "[0-9]{24}", other in "[0-9]{24}") {
            let packed = |text: &str, line| {
                let number = Number::parse(text.as_bytes()).unwrap();
                Packed::new(number, Value::kept(0, 0), line)
            };
            let (a, b) = (packed(&one, 1), packed(&other, 0));
            prop_assert_eq!(a.key().cmp(&b.key()), (&one, 1).cmp(&(&other, 0)));
        }
    }
}
