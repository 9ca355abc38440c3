//! The file of another day under a date's name. A profile whose files say their date (in the head, in the trailer or
//! in each line) finds it alone. In all others the numbers of the flows tell, because they begin with their date: a
//! file most of whose lines are of another day is refused, with the first of those lines. They are looked at in
//! every file: one that says its date may have been written over the lines of another.
//!
//! A line of another day alone is no fault: a payment around midnight, or one that took effect late, stands in the
//! file of the day on which the partner did it. So a file that small is refused only where the partner has sent
//! the very same bytes for another date.
//!
//! How one could break it: by forgetting that a partner's day may end at another time than ours.

use super::FileFault;
use super::receive::{Whole, blocking, digest_text, expect};
use crate::domain::partner::Partner;
use crate::domain::time::{BusinessDate, BusinessDay};
use crate::engine::Engine;
use crate::files::{Checked, Lines, Profile, Refusal, Row};
use crate::storage::partner_files;
use chrono::TimeDelta;
use std::io::BufReader;
use std::sync::Arc;

/// So many lines of other days, where they are more than half of a file, are no payments around midnight.
const ELSEWHERE_ODD: u64 = 100;

/// The lines of a file, told apart by the dates of their numbers.
#[derive(Debug)]
struct Count {
    /// From which instant to which a flow may start whose line is in its place.
    from: crate::domain::time::Instant,
    until: crate::domain::time::Instant,
    rows: u64,
    elsewhere: u64,
    /// The first line of another day.
    first: Option<(u64, BusinessDate)>,
}

impl Count {
    fn new(partner: &Partner, date: BusinessDate) -> Self {
        let window = TimeDelta::seconds(i64::from(partner.rules.cutoff_window_s));
        Self {
            from: partner.day.begin_of(date) - window,
            until: partner.day.end_of(date) + window,
            rows: 0,
            elsewhere: 0,
            first: None,
        }
    }

    fn see(&mut self, day: &BusinessDay, line: u64, row: &Row<'_>) {
        self.rows += 1;
        let Some((date, micros)) = BusinessDate::and_micros_of_number(row.flow_no) else {
            return;
        };
        let at = day.begin_of(date) + TimeDelta::microseconds(micros);
        if at < self.from || self.until < at {
            self.elsewhere += 1;
            self.first.get_or_insert((line, date));
        }
    }

    fn most_are_elsewhere(&self) -> bool {
        self.elsewhere > self.rows / 2
    }
}

impl Engine {
    /// Why a file that is whole and right is the file of another day.
    pub(super) async fn of_another_day(
        &self,
        (partner, date): (&Partner, BusinessDate),
        profile: &Arc<Profile>,
        checked: Checked,
        whole: &Arc<Whole>,
    ) -> Result<Option<Refusal>, FileFault> {
        let (zone, day) = (self.0.options.day.zone, self.0.options.day);
        let count = {
            let (partner, profile, whole) = (partner.clone(), profile.clone(), whole.clone());
            let count = move || {
                let digest = digest_text(&whole.sha256);
                let expect = expect(&partner, date, zone, Some(&digest));
                let file = BufReader::new(whole.rewound()?);
                let mut lines = Lines::open(&profile, &expect, &checked, file)?;
                let mut count = Count::new(&partner, date);
                while let Some(line) = lines.next()? {
                    count.see(&day, line.line, &line.row);
                }
                Ok(count)
            };
            blocking(count).await?
        };
        let Some((line, of)) = count.first.filter(|_| count.most_are_elsewhere()) else {
            return Ok(None);
        };
        let so_are = format!(
            "the line is of {of}, and the file is of {date}; {} of its {} lines are of other days",
            count.elsewhere, count.rows
        );
        if count.elsewhere >= ELSEWHERE_ODD {
            let reason = format!("flow_no: {so_are}");
            return Ok(Some(Refusal { line, reason }));
        }
        let (name, sha256) = (partner.name.clone(), whole.sha256.clone());
        let read = move |c: &mut _| partner_files::same_bytes_on(c, &name, &sha256, date);
        let same = self.0.store.read(read).await?;
        Ok(same.map(|other| Refusal {
            line,
            reason: format!("flow_no: {so_are}, and it is the very file of {other}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AdapterName;
    use crate::domain::money::Currency;
    use crate::domain::partner::{Covers, PartnerName};
    use crate::domain::reconciliation::Rules;

    fn elsewhere(cutoff: &str, numbers: &[&str]) -> Count {
        let day = BusinessDay {
            cutoff: cutoff.parse().unwrap(),
            ..BusinessDay::SHANGHAI
        };
        let partner = Partner {
            name: PartnerName::try_new("bank").unwrap(),
            covers: Covers::Adapter(AdapterName::try_new("bank").unwrap()),
            profile: String::new(),
            day,
            currency: Currency::CNY,
            rules: Rules::default(),
            expected_from_s: 0,
            critical_at_s: 0,
            days_back: 1,
        };
        let date = BusinessDate("2026-11-22".parse().unwrap());
        let mut count = Count::new(&partner, date);
        for (line, number) in (2..).zip(numbers) {
            let row = Row::payment(number, 1, Currency::CNY);
            count.see(&BusinessDay::SHANGHAI, line, &row);
        }
        count
    }

    #[test]
    fn a_line_is_of_the_partner_s_day_and_of_what_lies_near_to_it() {
        // The microseconds of 00:00, 23:20, 23:40 and 00:20.
        let own = ["202611220000000000011111", "202611228400000000011111"];
        let near = ["202611218520000000011111", "202611230120000000011111"];
        let far = ["202611218400000000011111", "202611234320000000011111"];
        for numbers in [own, near] {
            assert_eq!(elsewhere("00:00:00", &numbers).elsewhere, 0, "{numbers:?}");
        }
        let count = elsewhere("00:00:00", &[own[0], "not-ours", far[0], far[1]]);
        assert_eq!((count.rows, count.elsewhere), (4, 2));
        let date = BusinessDate("2026-11-21".parse().unwrap());
        assert_eq!(count.first, Some((4, date)));
        assert!(!count.most_are_elsewhere());
        assert!(elsewhere("00:00:00", &[own[0], far[0], far[1]]).most_are_elsewhere());
        // A partner whose day ends at ten in the evening has the last two hours of ours on its next one.
        assert_eq!(elsewhere("22:00:00", &[far[0], own[0]]).elsewhere, 0);
        assert_eq!(elsewhere("22:00:00", &[own[1]]).elsewhere, 1);
    }
}
