//! Times and dates as digits and back, in a zone.
//!
//! A row has up to two times, and asking the zone's table for each would cost more than the rest of the
//! row. Offsets change at full quarters of an hour; so what the table said of a quarter is kept, in a
//! small table of its own that holds a day.

use super::profile::{DateFormat, TimeFormat};
use crate::domain::time::{BusinessDate, Instant};
use chrono::offset::Offset;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// Quarters of an hour that are kept: more than a day has.
const KEPT: usize = 128;
const QUARTER_S: i64 = 900;
const DAY_S: i64 = 86_400;

/// What a zone said of quarters of an hour.
#[derive(Clone, Debug)]
struct Quarters {
    kept: Box<[(i64, Option<i32>); KEPT]>,
}

impl Quarters {
    fn new() -> Self {
        let nothing = (i64::MIN, None);
        Self {
            kept: Box::new([nothing; KEPT]),
        }
    }

    fn get(&mut self, second: i64, ask: impl FnOnce() -> Option<i32>) -> Option<i32> {
        let quarter = second.div_euclid(QUARTER_S);
        let place = quarter.rem_euclid(KEPT as i64) as usize;
        if self.kept[place].0 != quarter {
            self.kept[place] = (quarter, ask());
        }
        self.kept[place].1
    }
}

/// How a file writes times.
#[derive(Clone, Debug)]
pub(super) struct TimeForm {
    format: TimeFormat,
    zone: Tz,
    /// The file's own date, which tells the year of times that have none.
    date: NaiveDate,
    of_instants: Quarters,
    of_local: Quarters,
    /// The day that was written last, since 1970, and its eight digits.
    written: (i64, [u8; 8]),
    /// The date that was read last, and the second at which it begins in UTC.
    read: ([u8; 10], i64),
}

impl TimeForm {
    pub fn new(format: TimeFormat, zone: Tz, date: BusinessDate) -> Self {
        Self {
            format,
            zone,
            date: date.0,
            of_instants: Quarters::new(),
            of_local: Quarters::new(),
            written: (i64::MIN, [b'0'; 8]),
            read: ([0; 10], 0),
        }
    }

    /// Writes a time behind what is there.
    pub fn push(&mut self, out: &mut Vec<u8>, at: Instant) {
        let zone = self.zone;
        let ask = || {
            let offset = zone.offset_from_utc_datetime(&at.naive_utc());
            Some(offset.fix().local_minus_utc())
        };
        let offset_s = self.of_instants.get(at.timestamp(), ask).unwrap_or(0);
        let local = at.timestamp() + i64::from(offset_s);
        let [y, e, a, r, m, n, d, t] = self.digits_of(local.div_euclid(DAY_S));
        let second = local.rem_euclid(DAY_S).unsigned_abs() as u32;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let time_mark = match self.format {
            TimeFormat::Rfc3339 | TimeFormat::Local => {
                let middle = if self.format == TimeFormat::Local {
                    b' '
                } else {
                    b'T'
                };
                out.extend_from_slice(&[y, e, a, r, b'-', m, n, b'-', d, t, middle]);
                Some(b':')
            }
            TimeFormat::Compact => {
                out.extend_from_slice(&[y, e, a, r, m, n, d, t]);
                None
            }
            TimeFormat::MonthFirst => {
                out.extend_from_slice(&[m, n, d, t]);
                None
            }
        };
        push_two(out, hour);
        out.extend(time_mark);
        push_two(out, minute);
        out.extend(time_mark);
        push_two(out, second);
        if self.format == TimeFormat::Rfc3339 {
            let minutes = offset_s.unsigned_abs() / 60;
            out.push(if offset_s < 0 { b'-' } else { b'+' });
            push_two(out, minutes / 60);
            out.push(b':');
            push_two(out, minutes % 60);
        }
    }

    /// The eight digits of a day, counted since 1970. Most rows of a file are of one day.
    fn digits_of(&mut self, day: i64) -> [u8; 8] {
        if self.written.0 != day {
            let at = DateTime::from_timestamp(day * DAY_S, 0);
            let mut digits = Vec::with_capacity(8);
            push_date(&mut digits, at.unwrap_or_default().date_naive(), None);
            self.written = (day, digits.try_into().unwrap_or([b'0'; 8]));
        }
        self.written.1
    }

    /// Reads a time with its offset as it is mostly written: without fractions, on the day of the last
    /// one. Gives nothing for any other text, right or wrong.
    fn read_quickly(&mut self, text: &str) -> Option<Instant> {
        let bytes: &[u8; 25] = text.as_bytes().try_into().ok()?;
        let marks = [bytes[10], bytes[13], bytes[16], bytes[22]];
        if marks != *b"T:::" {
            return None;
        }
        if bytes[..10] != self.read.0 {
            let start = read_date(text.get(..10)?, Some(b'-'))?.and_time(chrono::NaiveTime::MIN);
            self.read.1 = start.and_utc().timestamp();
            self.read.0.copy_from_slice(&bytes[..10]);
        }
        let two = |at: usize| {
            let (ten, one) = (
                bytes[at].wrapping_sub(b'0'),
                bytes[at + 1].wrapping_sub(b'0'),
            );
            (ten <= 9 && one <= 9).then(|| i64::from(ten) * 10 + i64::from(one))
        };
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        let (hours, minutes) = (two(20)?, two(23)?);
        if hour > 23 || minute > 59 || second > 59 || hours > 23 || minutes > 59 {
            return None;
        }
        let offset_s = match bytes[19] {
            b'+' => hours * 3_600 + minutes * 60,
            b'-' => -(hours * 3_600 + minutes * 60),
            _ => return None,
        };
        let local = self.read.1 + hour * 3_600 + minute * 60 + second;
        DateTime::from_timestamp(local - offset_s, 0)
    }

    /// Reads a time.
    pub fn read(&mut self, text: &str) -> Result<Instant, &'static str> {
        match self.format {
            TimeFormat::Rfc3339 => self
                .read_quickly(text)
                .or_else(|| read_rfc3339(text))
                .ok_or("a time is expected with its offset, as 2026-11-22T10:00:00+08:00"),
            TimeFormat::Local => {
                let local = read_local(text, Some(b' '));
                self.instant(local.ok_or("a time is expected, as 2026-11-22 10:00:00")?)
            }
            TimeFormat::Compact => {
                let local = read_compact(text);
                self.instant(local.ok_or("a time is expected, as 20261122100000")?)
            }
            TimeFormat::MonthFirst => {
                let local = self.read_month_first(text);
                self.instant(local.ok_or("a time is expected, as 1122100000")?)
            }
        }
    }

    /// The instant of a local time; the earlier one of an hour that the zone repeats.
    fn instant(&mut self, local: NaiveDateTime) -> Result<Instant, &'static str> {
        let second = local.and_utc().timestamp();
        let zone = self.zone;
        let ask = || {
            let offset = zone.offset_from_local_datetime(&local).earliest()?;
            Some(offset.fix().local_minus_utc())
        };
        let offset_s = self.of_local.get(second, ask);
        let offset_s = offset_s.ok_or("the clocks of the file's zone never showed this time")?;
        DateTime::from_timestamp(second - i64::from(offset_s), 0).ok_or("this is no time")
    }

    /// The year that brings the time nearest to the file's date.
    fn read_month_first(&self, text: &str) -> Option<NaiveDateTime> {
        let (date, time) = text.split_at_checked(4)?;
        let (month, day) = (two(date, 0)?, two(date, 2)?);
        let time = read_time(time, None)?;
        let near = (self.date.year() - 1)..=(self.date.year() + 1);
        let dates = near.filter_map(|year| NaiveDate::from_ymd_opt(year, month, day));
        let nearest = dates.min_by_key(|date| (*date - self.date).num_days().abs())?;
        Some(nearest.and_time(time))
    }
}

/// Writes a date behind what is there.
pub(super) fn push_business_date(out: &mut Vec<u8>, date: BusinessDate, format: DateFormat) {
    let mark = match format {
        DateFormat::Dashed => Some(b'-'),
        DateFormat::Compact => None,
    };
    push_date(out, date.0, mark);
}

/// Reads a date.
pub(super) fn read_business_date(
    text: &str,
    format: DateFormat,
) -> Result<BusinessDate, &'static str> {
    let (read, expected) = match format {
        DateFormat::Dashed => (
            read_date(text, Some(b'-')),
            "a date is expected, as 2026-11-22",
        ),
        DateFormat::Compact => (read_date(text, None), "a date is expected, as 20261122"),
    };
    read.map(BusinessDate).ok_or(expected)
}

fn push_two(out: &mut Vec<u8>, number: u32) {
    out.push(b'0' + (number / 10 % 10) as u8);
    out.push(b'0' + (number % 10) as u8);
}

fn push_date(out: &mut Vec<u8>, date: NaiveDate, mark: Option<u8>) {
    let year = date.year().clamp(0, 9_999).unsigned_abs();
    push_two(out, year / 100);
    push_two(out, year % 100);
    out.extend(mark);
    push_two(out, date.month());
    out.extend(mark);
    push_two(out, date.day());
}

/// Two digits at some place of a text.
fn two(text: &str, at: usize) -> Option<u32> {
    let digits = text.as_bytes().get(at..at + 2)?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    Some(digit(digits[0])? * 10 + digit(digits[1])?)
}

/// Whether a mark stands where it has to; where none has to, nothing is looked at.
fn has(text: &str, at: usize, mark: Option<u8>) -> bool {
    mark.is_none_or(|mark| text.as_bytes().get(at) == Some(&mark))
}

/// A date of four, two and two digits, from which the whole text is made.
fn read_date(text: &str, mark: Option<u8>) -> Option<NaiveDate> {
    let wide = usize::from(mark.is_some());
    let (month_at, day_at) = (4 + wide, 6 + 2 * wide);
    if text.len() != day_at + 2 || !has(text, 4, mark) || !has(text, 6 + wide, mark) {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let year = i32::try_from(year).ok().filter(|year| *year >= 1_970)?;
    NaiveDate::from_ymd_opt(year, two(text, month_at)?, two(text, day_at)?)
}

/// A time of two, two and two digits, from which the whole text is made.
fn read_time(text: &str, mark: Option<u8>) -> Option<chrono::NaiveTime> {
    let wide = usize::from(mark.is_some());
    let (minute_at, second_at) = (2 + wide, 4 + 2 * wide);
    if text.len() != second_at + 2 || !has(text, 2, mark) || !has(text, 4 + wide, mark) {
        return None;
    }
    let (hour, minute, second) = (two(text, 0)?, two(text, minute_at)?, two(text, second_at)?);
    chrono::NaiveTime::from_hms_opt(hour, minute, second)
}

fn read_local(text: &str, middle: Option<u8>) -> Option<NaiveDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    if !has(rest, 0, middle) {
        return None;
    }
    let time = rest.get(1..)?;
    Some(read_date(date, Some(b'-'))?.and_time(read_time(time, Some(b':'))?))
}

fn read_compact(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = text.split_at_checked(8)?;
    Some(read_date(date, None)?.and_time(read_time(time, None)?))
}

/// A time with its offset; fractions of a second may stand there and are cut to microseconds.
fn read_rfc3339(text: &str) -> Option<Instant> {
    let (local, rest) = text.split_at_checked(19)?;
    let local = read_local(local, Some(b'T'))?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.split_at_checked(end)
                .filter(|_| (1..=9).contains(&end))?
        }
    };
    let offset_s = match offset.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), ..] if offset.len() == 6 && has(offset, 3, Some(b':')) => {
            let (hours, minutes) = (two(offset, 1)?, two(offset, 4)?);
            let seconds = (hours < 24 && minutes < 60).then(|| hours * 3_600 + minutes * 60)?;
            let seconds = i64::from(seconds);
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    DateTime::from_timestamp(local.and_utc().timestamp() - offset_s, micros * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(format: TimeFormat, zone: Tz) -> TimeForm {
        let date = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        TimeForm::new(format, zone, BusinessDate(date))
    }

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_written_and_read_alike() {
        for (format, text) in [
            (TimeFormat::Rfc3339, "2025-12-31T23:59:58+08:00"),
            (TimeFormat::Local, "2025-12-31 23:59:58"),
            (TimeFormat::Compact, "20251231235958"),
            (TimeFormat::MonthFirst, "1231235958"),
        ] {
            let mut form = form(format, Tz::Asia__Shanghai);
            let time = at("2025-12-31T15:59:58Z");
            let mut out = Vec::new();
            form.push(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            assert_eq!(form.read(text), Ok(time));
            for bad in [
                "",
                "2025",
                "2025-13-01 00:00:00",
                "20251301000000",
                "1301000000",
                "1231240000",
                "２０２５-12-31 23:59:58",
                "2025-12-31T23:59:58",
                "2025-12-31 23:59:58 ",
            ] {
                assert!(form.read(bad).is_err(), "{format} {bad:?}");
            }
        }
    }

    #[test]
    fn rfc_3339_knows_any_offset_and_fractions() {
        let mut form = form(TimeFormat::Rfc3339, Tz::Asia__Shanghai);
        let time = at("2026-11-22T02:00:00.123456Z");
        for text in [
            "2026-11-22T02:00:00.123456Z",
            "2026-11-22T10:00:00.1234567+08:00",
            "2026-11-21T20:30:00.123456-05:30",
        ] {
            assert_eq!(form.read(text), Ok(time), "{text}");
        }
        for bad in [
            "2026-11-22T02:00:00.Z",
            "2026-11-22T02:00:00+0800",
            "2026-11-22T02:00:00+24:00",
        ] {
            assert!(form.read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clocks_that_are_put_forward_and_back() {
        let mut form = form(TimeFormat::Local, Tz::Europe__Berlin);
        assert_eq!(
            form.read("2026-10-25 02:30:00"),
            Ok(at("2026-10-25T00:30:00Z"))
        );
        assert_eq!(
            form.read("2026-10-25 03:30:00"),
            Ok(at("2026-10-25T02:30:00Z"))
        );
        assert!(
            form.read("2026-03-29 02:30:00")
                .unwrap_err()
                .contains("never")
        );
        let mut out = Vec::new();
        for time in ["2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z"] {
            form.push(&mut out, at(time));
        }
        assert_eq!(out, b"2026-10-25 02:59:592026-10-25 02:00:00");
    }
}
