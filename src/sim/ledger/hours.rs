//! Where in the ledger each hour's lines are, so that a day can be read without reading the years.
//!
//! A few numbers an hour, kept while the ledger is written and rebuilt while it is opened. An hour can
//! lie in several places: the world's clock can be set back.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};

const HOUR_SECONDS: i64 = 3_600;

/// The places of all lines, by the hour in which they were written.
#[derive(Debug, Default)]
pub(super) struct Hours {
    end: u64,
    places: BTreeMap<i64, Vec<Range<u64>>>,
}

impl Hours {
    /// The next `bytes` bytes of the ledger were written at `at`.
    pub fn add(&mut self, at: DateTime<Utc>, bytes: u64) {
        let start = self.end;
        self.end += bytes;
        let places = self.places.entry(hour(at)).or_default();
        match places.last_mut() {
            Some(last) if last.end == start => last.end = self.end,
            _ => places.push(start..self.end),
        }
    }

    /// The places of the hours that `times` touches, in the order of the file, none of them twice.
    pub fn touching(&self, times: &Range<DateTime<Utc>>) -> Vec<Range<u64>> {
        if times.is_empty() {
            return Vec::new();
        }
        let mut places: Vec<Range<u64>> = self
            .places
            .range(hour(times.start)..=hour(times.end))
            .flat_map(|(_, places)| places.iter().cloned())
            .collect();
        places.sort_unstable_by_key(|place| place.start);
        places.dedup_by(|next, last| {
            let joined = last.end == next.start;
            if joined {
                last.end = next.end;
            }
            joined
        });
        places
    }
}

fn hour(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(HOUR_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour)
    }

    #[test]
    fn an_hour_is_found_wherever_it_was_written() {
        let mut hours = Hours::default();
        for (hour, bytes) in [(5, 10), (5, 10), (6, 5), (2, 7), (5, 3), (7, 1)] {
            hours.add(at(hour), bytes);
        }
        for (from, to, places) in [
            (5, 5, vec![]),
            (2, 3, vec![(25, 32)]),
            (5, 6, vec![(0, 25), (32, 35)]),
            (2, 8, vec![(0, 36)]),
            (8, 9, vec![]),
        ] {
            let found = hours.touching(&(at(from)..at(to)));
            let found: Vec<_> = found.iter().map(|place| (place.start, place.end)).collect();
            assert_eq!(found, places, "{from} to {to}");
        }
    }
}
