//! The holiday calendar: which days are business days of banks.
//!
//! A business *date* exists for every day, holidays too: payments are made on all of them, and each is
//! closed and stated. The calendar is for what waits, such as the pool of a reconciliation: "three business
//! days later". Saturdays and Sundays are no business days unless they are made up for, holidays are data.
//! Mainland China's are compiled in; another file can take their place.

use super::time::BusinessDate;
use chrono::{Datelike, NaiveDate, Weekday};
use std::collections::BTreeMap;
use std::fmt;

/// The calendar that is compiled in: mainland China, as the State Council fixes it for each year.
pub const CHINA: &str = include_str!("../../deploy/calendar/china.csv");

/// With fewer days of a year left than this, today among them, the next one should be known: its holidays are
/// published in November.
const DAYS_AHEAD: i64 = 60;

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

/// A year that a calendar knows nothing of, and that is here or near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownYear {
    /// The year that is: holidays pass for business days by now.
    Present {
        /// Which.
        year: i32,
    },
    /// The year that comes.
    Next {
        /// Which.
        year: i32,
        /// In how many days it begins.
        in_days: i64,
    },
}

impl fmt::Display for UnknownYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let year = match self {
            UnknownYear::Present { year } => {
                write!(
                    f,
                    "the holiday calendar has no day of {year}: every Monday to Friday of it counts as a \
                     business day, and no weekend does"
                )?;
                year
            }
            UnknownYear::Next { year, in_days } => {
                write!(
                    f,
                    "the holiday calendar has no day of {year}, which begins in {in_days} days: every Monday \
                     to Friday of it will count as a business day, and no weekend"
                )?;
                year
            }
        };
        write!(
            f,
            ". Name a file that has {year} as center.calendar (docs/RUNBOOK.md, \"Once a year: the holidays\")"
        )
    }
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

    /// The year that somebody has to bring in, as seen from a day: that day's own, or the next one once it is
    /// fewer than 60 days away.
    pub fn unknown_year(&self, today: BusinessDate) -> Option<UnknownYear> {
        let year = today.0.year();
        if !self.knows(year) {
            return Some(UnknownYear::Present { year });
        }
        let next = year + 1;
        let begin = NaiveDate::from_ymd_opt(next, 1, 1)?;
        let in_days = (begin - today.0).num_days();
        let is_near = in_days < DAYS_AHEAD;
        (is_near && !self.knows(next)).then_some(UnknownYear::Next {
            year: next,
            in_days,
        })
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
    fn a_year_that_is_not_known_is_named_before_it_begins() {
        let until_2026 = Calendar::china();
        let gap = format!("{CHINA}2028-01-01,HOLIDAY,x\n");
        let gap = Calendar::read(&gap).unwrap();
        let until_2027 = Calendar::read(&format!("{CHINA}2027-01-01,HOLIDAY,x\n")).unwrap();
        let present = |year| Some(UnknownYear::Present { year });
        let next = |year, in_days| Some(UnknownYear::Next { year, in_days });
        let table = [
            (&until_2026, "2025-12-31", present(2025)),
            (&until_2026, "2026-01-01", None),
            (&until_2026, "2026-11-02", None),
            (&until_2026, "2026-11-03", next(2027, 59)),
            (&until_2026, "2026-12-31", next(2027, 1)),
            (&until_2026, "2027-01-01", present(2027)),
            (&until_2027, "2026-12-31", None),
            (&until_2027, "2027-11-03", next(2028, 59)),
            (&gap, "2026-12-31", next(2027, 1)),
            (&gap, "2027-12-31", present(2027)),
        ];
        for (calendar, today, wanted) in table {
            assert_eq!(calendar.unknown_year(day(today)), wanted, "{today}");
        }
        for (unknown, wanted) in [
            (present(2027), "no day of 2027: every Monday"),
            (next(2027, 59), "no day of 2027, which begins in 59 days"),
        ] {
            let told = unknown.unwrap().to_string();
            assert!(told.contains(wanted), "{told}");
            assert!(
                told.contains("a file that has 2027 as center.calendar"),
                "{told}"
            );
        }
    }

    #[test]
    fn in_a_year_that_is_not_known_weekends_alone_are_no_business_days() {
        let china = Calendar::china();
        // New Year is a Friday, and passes for a business day.
        assert!(china.is_business_day(day("2027-01-01")));
        assert!(!china.is_business_day(day("2027-01-02")));
        assert!(!china.is_business_day(day("2027-01-03")));
        assert_eq!(
            china.add_business_days(day("2026-12-30"), 3),
            day("2027-01-04")
        );
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
