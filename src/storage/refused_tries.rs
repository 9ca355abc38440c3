//! Refused tries to log in that changed nothing: so many in a stretch of time have audit rows of their
//! own, the others are counted in one row, so that nobody fills the disk by knocking.
//!
//! Every such try writes to that row, whether it gets an audit row or not: a try that wrote nothing
//! would come back sooner, and tell that way that the name is nobody's.

use super::Tx;
use super::error::StoreError;
use super::row::micros;
use super::schema::refused_tries;
use crate::domain::time::Instant;
use chrono::TimeDelta;
use diesel::prelude::*;

/// How a stretch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When it began, in microseconds.
    begun_at: i64,
    /// Tries in it that have audit rows.
    told: i32,
    /// Tries in it that were only counted.
    only_count: i64,
}

/// What a try is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Whether it gets an audit row of its own.
    pub is_told: bool,
    /// How many were only counted in the stretch that has ended; 0 where none has, or none were.
    pub left_over: i64,
}

impl Tx<'_> {
    /// Counts a refused try: the first `most` of a stretch of this length are told.
    pub fn count_refused_try(
        &mut self,
        now: Instant,
        stretch: TimeDelta,
        most: i32,
    ) -> Result<Counted, StoreError> {
        let before = self.take_stretch()?;
        let (left_over, current) = before.at(micros(now), stretch);
        let is_told = current.told < most;
        self.keep_stretch(Stretch {
            told: current.told + i32::from(is_told),
            only_count: current.only_count + i64::from(!is_told),
            ..current
        })?;
        Ok(Counted { is_told, left_over })
    }

    /// Ends a stretch whose time is over; how many tries were only counted in it.
    pub fn end_refused_tries(
        &mut self,
        now: Instant,
        stretch: TimeDelta,
    ) -> Result<i64, StoreError> {
        let before = self.take_stretch()?;
        let (left_over, current) = before.at(micros(now), stretch);
        self.keep_stretch(current)?;
        Ok(left_over)
    }

    /// Takes the row: nobody else reads it before this transaction has ended.
    fn take_stretch(&mut self) -> Result<Stretch, StoreError> {
        diesel::update(refused_tries::table)
            .set(refused_tries::told.eq(refused_tries::told))
            .execute(self.c)?;
        let (begun_at, told, only_count) = refused_tries::table
            .select((
                refused_tries::begun_at,
                refused_tries::told,
                refused_tries::only_count,
            ))
            .first(self.c)?;
        Ok(Stretch {
            begun_at,
            told,
            only_count,
        })
    }

    fn keep_stretch(&mut self, stretch: Stretch) -> Result<(), StoreError> {
        diesel::update(refused_tries::table)
            .set((
                refused_tries::begun_at.eq(stretch.begun_at),
                refused_tries::told.eq(stretch.told),
                refused_tries::only_count.eq(stretch.only_count),
            ))
            .execute(self.c)?;
        Ok(())
    }
}

impl Stretch {
    /// How many tries of the stretch before were only counted, and the stretch that runs now. A clock
    /// that was set back begins a new one.
    fn at(self, now: i64, length: TimeDelta) -> (i64, Stretch) {
        let length = length.num_microseconds().unwrap_or(i64::MAX);
        if (self.begun_at..self.begun_at.saturating_add(length)).contains(&now) {
            return (0, self);
        }
        let begun = Stretch {
            begun_at: now,
            told: 0,
            only_count: 0,
        };
        (self.only_count, begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_ends_after_its_time_and_when_the_clock_goes_back() {
        let minute = TimeDelta::minutes(1);
        let full = Stretch {
            begun_at: 1_000,
            told: 20,
            only_count: 7,
        };
        let last = 1_000 + 60_000_000 - 1;
        assert_eq!(full.at(1_000, minute), (0, full));
        assert_eq!(full.at(last, minute), (0, full));
        for now in [last + 1, 999] {
            let (left_over, current) = full.at(now, minute);
            assert_eq!((left_over, current.told, current.only_count), (7, 0, 0));
            assert_eq!(current.begun_at, now);
        }
    }
}
