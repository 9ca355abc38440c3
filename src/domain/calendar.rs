//! The holiday calendar: which days are business days of banks.
//!
//! A business *date* exists for every day, holidays too: payments are made on all of them, and each is
//! closed and stated. The calendar is for what waits, such as the pool of a reconciliation: "three business
//! days later". Saturdays and Sundays are no business days unless they are made up for, holidays are data.
//! Mainland China's are compiled in; another file can take their place.

use super::time::BusinessDate;
use chrono::{Datelike, NaiveDate, Weekday};
use std::collections::BTreeMap;

/// The calendar that is compiled in: mainland China, as the State Council fixes it for each year.
pub const CHINA: &str = include_str!("../../deploy/calendar/china.csv");

/// The first line of a calendar's file.
const HEADER: &str = "date,kind,name";

/// Days that differ from their week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// By date: whether it is a business day against its week.
    days: BTreeMap<NaiveDate, bool>,
}

/// A line of a calendar that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadCalendar {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub what: String,
}

impl Calendar {
    /// Reads a calendar: a header, then a line for each day that differs from its week, such as
    /// `2026-10-01,HOLIDAY,国庆节` or `2026-10-10,WORKDAY,国庆节`.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn read(text: &str) -> Result<Self, BadCalendar> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut days = BTreeMap::new();
        for (place, line) in text.lines().enumerate() {
            let bad = |what: String| BadCalendar {
                line: place + 1,
                what,
            };
            if place == 0 {
                if line.trim() != HEADER {
                    return Err(bad(format!("{line:?} is not the header {HEADER}")));
                }
                continue;
            }
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut cells = line.splitn(3, ',').map(str::trim);
            let (date, kind) = (
                cells.next().unwrap_or_default(),
                cells.next().unwrap_or_default(),
            );
            let date: NaiveDate = date
                .parse()
                .map_err(|_| bad(format!("{date:?} is not a date such as 2026-10-01")))?;
            let is_business_day = match kind {
                "HOLIDAY" => false,
                "WORKDAY" => true,
                _ => return Err(bad(format!("{kind:?} is neither HOLIDAY nor WORKDAY"))),
            };
            if days.insert(date, is_business_day).is_some() {
                return Err(bad(format!("{date} is there twice")));
            }
        }
        Ok(Self { days })
    }

    /// Mainland China's calendar.
    #[expect(
        clippy::expect_used,
        reason = "the file is compiled in, and a test reads it"
    )]
    pub fn china() -> Self {
        Self::read(CHINA).expect("the calendar that is compiled in can be read")
    }

    /// Whether banks work on this day.
    pub fn is_business_day(&self, date: BusinessDate) -> bool {
        match self.days.get(&date.0) {
            Some(is_business_day) => *is_business_day,
            None => !matches!(date.0.weekday(), Weekday::Sat | Weekday::Sun),
        }
    }

    /// The day that is so many business days later; the day itself for none. A year that the calendar
    /// says nothing about has the days of its weeks.
    pub fn add_business_days(&self, date: BusinessDate, days: u32) -> BusinessDate {
        let (mut day, mut left) = (date, days);
        while left > 0 {
            let Some(next) = day.0.succ_opt() else {
                return day;
            };
            day = BusinessDate(next);
            if self.is_business_day(day) {
                left -= 1;
            }
        }
        day
    }

    /// Whether the calendar knows any day of a year. Where it does not, holidays of that year pass for
    /// business days.
    pub fn knows(&self, year: i32) -> bool {
        self.days.keys().any(|date| date.year() == year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDate {
        BusinessDate(text.parse().unwrap())
    }

    #[test]
    fn the_compiled_in_calendar_has_the_holidays_of_2026() {
        let china = Calendar::china();
        let table = [
            ("2026-01-01", false),
            ("2026-01-04", true),
            ("2026-02-14", true),
            ("2026-02-16", false),
            ("2026-02-24", true),
            ("2026-10-07", false),
            ("2026-10-08", true),
            ("2026-10-10", true),
            ("2026-10-11", false),
            ("2026-11-28", false),
            ("2026-11-30", true),
        ];
        for (date, wanted) in table {
            assert_eq!(china.is_business_day(day(date)), wanted, "{date}");
        }
        assert!(china.knows(2026));
        assert!(!china.knows(2036));
    }

    #[test]
    fn business_days_are_counted_over_weekends_holidays_and_made_up_days() {
        let china = Calendar::china();
        let table = [
            ("2026-11-25", 0, "2026-11-25"),
            ("2026-11-25", 3, "2026-11-30"),
            ("2026-09-30", 1, "2026-10-08"),
            ("2026-09-30", 3, "2026-10-10"),
            ("2026-02-14", 1, "2026-02-24"),
            // A Saturday counts from itself.
            ("2026-11-28", 1, "2026-11-30"),
        ];
        for (from, days, wanted) in table {
            assert_eq!(
                china.add_business_days(day(from), days),
                day(wanted),
                "{from} + {days}"
            );
        }
    }

    #[test]
    fn a_calendar_that_cannot_be_read_is_refused_by_its_line() {
        let table = [
            ("", ""),
            ("day,kind,name\n", "line 1: \"day,kind,name\" is not"),
            (
                "date,kind,name\n2026-13-01,HOLIDAY,x\n",
                "line 2: \"2026-13-01\"",
            ),
            (
                "date,kind,name\n\n2026-12-01,FREE,x\n",
                "line 3: \"FREE\" is",
            ),
            (
                "date,kind,name\n2026-12-01,HOLIDAY,x\n2026-12-01,WORKDAY,x\n",
                "line 3: 2026-12-01 is there twice",
            ),
        ];
        for (text, wanted) in table {
            match Calendar::read(text) {
                Ok(calendar) => assert_eq!((calendar, wanted), (Calendar::default(), "")),
                Err(error) => assert!(error.to_string().starts_with(wanted), "{error}"),
            }
        }
        let bom = Calendar::read("\u{feff}date,kind,name\n2026-12-01,HOLIDAY,冬\n").unwrap();
        assert!(!bom.is_business_day(day("2026-12-01")));
    }
}
