//! Times of a plain file, read as quickly as they repeat.

use super::moment::TimeForm;
use crate::domain::time::Instant;
use chrono::{NaiveDate, NaiveTime, TimeDelta, Timelike};

/// Times of a file: nearly all are of one date and one offset, and many follow each other within one
/// second.
pub(super) struct Times {
    form: TimeForm,
    /// The latest time, as it stood there.
    pub(super) latest: [u8; 25],
    latest_at: Instant,
    /// `2026-11-22T` and `+08:00` of the latest time.
    date: [u8; 11],
    offset: [u8; 6],
    /// When that date began: the date in UTC, the one after it, and the second of the former.
    dates: [NaiveDate; 2],
    second: u32,
}

const DAY_S: u32 = 86_400;

impl Times {
    pub(super) fn new(form: TimeForm) -> Self {
        // No time looks like this, so that the first one is read in full.
        Self {
            form,
            latest: [0; 25],
            latest_at: Instant::UNIX_EPOCH,
            date: [0; 11],
            offset: [0; 6],
            dates: [NaiveDate::MIN; 2],
            second: 0,
        }
    }

    /// Reads a time; an empty cell is no time.
    #[inline]
    pub(super) fn read(&mut self, value: &str) -> Option<Option<Instant>> {
        if value.is_empty() {
            return Some(None);
        }
        let at = match <&[u8; 25]>::try_from(value.as_bytes()) {
            Ok(bytes) if *bytes == self.latest => self.latest_at,
            Ok(bytes) => {
                let at = self.of_the_same_date(bytes);
                let at = at.or_else(|| self.in_full(value, bytes))?;
                (self.latest, self.latest_at) = (*bytes, at);
                at
            }
            Err(_) => self.form.read(value).ok()?,
        };
        Some(Some(at))
    }

    fn of_the_same_date(&self, value: &[u8; 25]) -> Option<Instant> {
        if value[..11] != self.date || value[19..] != self.offset {
            return None;
        }
        let second = self.second + second_of_day(&value[11..19])?;
        let (date, second) = match second.checked_sub(DAY_S) {
            None => (self.dates[0], second),
            Some(second) => (self.dates[1], second),
        };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?;
        Some(date.and_time(time).and_utc())
    }

    #[cold]
    fn in_full(&mut self, value: &str, bytes: &[u8; 25]) -> Option<Instant> {
        let at = self.form.read(value).ok()?;
        let second = second_of_day(&bytes[11..19])?;
        let begins_at = at - TimeDelta::seconds(i64::from(second));
        self.date.copy_from_slice(&bytes[..11]);
        self.offset.copy_from_slice(&bytes[19..]);
        self.dates = [begins_at.date_naive(), begins_at.date_naive().succ_opt()?];
        self.second = begins_at.num_seconds_from_midnight();
        Some(at)
    }
}

/// `10:00:00` as seconds; none for anything that is no time of a day.
fn second_of_day(value: &[u8]) -> Option<u32> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = value else {
        return None;
    };
    let two = |one: u8, other: u8| {
        let (one, other) = (one.wrapping_sub(b'0'), other.wrapping_sub(b'0'));
        (one <= 9 && other <= 9).then(|| u32::from(one) * 10 + u32::from(other))
    };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    (hour < 24 && minute < 60 && second < 60).then(|| hour * 3_600 + minute * 60 + second)
}
