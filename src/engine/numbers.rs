//! Order, flow and case numbers: business date (8), microsecond of that day (11), tag of this run of
//! the program (5). Strictly increasing within the run; two replicas with one tag (1 in 100,000)
//! would also have to meet in one microsecond, and then the database's unique index refuses one.

use crate::domain::ids::{CaseNo, FlowNo, OrderNo};
use crate::domain::time::{BusinessDate, BusinessDay, Instant};
use std::sync::{Mutex, PoisonError};

/// The microsecond values that fit into the number; a day of 25 hours still does.
const MICROS_MAX: i64 = 99_999_999_999;

/// Makes numbers.
#[derive(Debug)]
pub struct Numbers {
    day: BusinessDay,
    tag: u32,
    last: Mutex<(BusinessDate, i64)>,
}

impl Numbers {
    /// A maker for this run of the program; `random` gives the tag.
    pub fn new(day: BusinessDay, random: u32) -> Self {
        let never = BusinessDate(chrono::NaiveDate::MIN);
        Self {
            day,
            tag: random % 100_000,
            last: Mutex::new((never, 0)),
        }
    }

    /// The business date of an instant and a number that begins with it.
    fn next(&self, at: Instant) -> (BusinessDate, String) {
        let (date, micros) = (self.day.date_of(at), self.day.micros_of_day(at));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let place = if date == last.0 {
            micros.max(last.1 + 1).min(MICROS_MAX)
        } else {
            micros
        };
        *last = (date, place);
        (date, format!("{}{place:011}{:05}", date.digits(), self.tag))
    }

    /// The number of an order that is made now, and its business date.
    pub fn order(&self, at: Instant) -> (BusinessDate, OrderNo) {
        let (date, number) = self.next(at);
        (date, expect_number(OrderNo::try_new(number)))
    }

    /// The number of a flow that starts now, and its business date.
    pub fn flow(&self, at: Instant) -> (BusinessDate, FlowNo) {
        let (date, number) = self.next(at);
        (date, expect_number(FlowNo::try_new(number)))
    }

    /// The number of a case that is opened now.
    pub fn case(&self, at: Instant) -> CaseNo {
        expect_number(CaseNo::try_new(self.next(at).1))
    }
}

/// 8 + 11 + 5 digits are a number by construction; years beyond 9999 are not on any clock.
#[expect(
    clippy::expect_used,
    reason = "a number is made of digits only, three lines above"
)]
fn expect_number<T>(number: Result<T, crate::domain::ids::BadId>) -> T {
    number.expect("a number has 24 digits by construction")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_begin_with_the_business_date_and_grow() {
        let numbers = Numbers::new(BusinessDay::SHANGHAI, 1_234_567);
        let noon = at("2026-11-22T04:00:00.000001Z");
        let (date, first) = numbers.order(noon);
        assert_eq!(date.to_string(), "2026-11-22");
        assert_eq!(first.as_str(), "202611224320000000134567");
        let (_, second) = numbers.order(noon);
        assert!(second > first, "the clock stood still: {first} {second}");
        let (_, third) = numbers.order(at("2026-11-22T03:59:00Z"));
        assert!(third > second, "the clock went back: {second} {third}");
        let (date, next_day) = numbers.order(at("2026-11-22T16:00:00Z"));
        assert_eq!(
            (date.digits().as_str(), &next_day.as_str()[..8]),
            ("20261123", "20261123")
        );
    }

    #[test]
    fn a_hundred_thousand_numbers_differ() {
        let numbers = Numbers::new(BusinessDay::SHANGHAI, 7);
        let noon = at("2026-11-22T04:00:00Z");
        let made: std::collections::HashSet<_> =
            (0..100_000).map(|_| numbers.flow(noon).1).collect();
        assert_eq!(made.len(), 100_000);
    }
}
