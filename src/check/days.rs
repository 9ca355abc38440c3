//! The days of merchants with a limit: what counts against a day is the sum of the payments that were
//! begun on it while a limit was in force, no less and no more.
//!
//! Whether the limit was in force is told by the profiles that were approved and when. A payment that was
//! begun within a minute of a change may have been let go by either profile: it is not judged.

use super::report::{Findings, Invariant};
use crate::storage::merchant_days::{self, Approved, DaySum};
use crate::storage::{StoreError, View};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// How near to a change a payment may have been let go by either profile: a confirm reads the merchant,
/// asks the biller for the bill, and begins the payment after that.
const SLACK_MICROS: i64 = 60_000_000;

/// By business date and currency: what was counted, and the least and most that may be.
type Days = BTreeMap<(NaiveDate, String), Day>;

#[derive(Clone, Copy, Default)]
struct Day {
    counted_minor: i64,
    least_minor: i64,
    most_minor: i64,
}

/// Judges every merchant that has or had a limit, and every one that has days.
pub(super) fn judge(view: &mut View, findings: &mut Findings) -> Result<(), StoreError> {
    let mut spells: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for merchant in merchant_days::merchants(view.connection())? {
        spells.insert(merchant, Vec::new());
    }
    let approved = merchant_days::approved(view.connection())?;
    let merchants: BTreeSet<&String> = approved.iter().map(|one| &one.merchant).collect();
    for merchant in merchants {
        let own = approved.iter().filter(|one| one.merchant == *merchant);
        spells.insert(merchant.clone(), limited(&own.collect::<Vec<_>>()));
    }
    for (merchant, spells) in spells {
        for ((date, currency), day) in days_of(view, &merchant, &spells)? {
            if (day.least_minor..=day.most_minor).contains(&day.counted_minor) {
                continue;
            }
            let begun = match day.least_minor == day.most_minor {
                true => day.least_minor.to_string(),
                false => format!("{} to {}", day.least_minor, day.most_minor),
            };
            let evidence = format!(
                "merchant {merchant} on {date}: counted {} {currency} minor units, begun {begun}",
                day.counted_minor
            );
            let problem = "what counts against a merchant's day is not what was confirmed on it";
            findings.general(Invariant::DayLimit, problem, evidence);
        }
    }
    Ok(())
}

/// The times in which a limit was in force, of one merchant's profiles in the order of their approval.
fn limited(approved: &[&Approved]) -> Vec<(i64, i64)> {
    let mut spells = Vec::new();
    for (place, profile) in approved.iter().enumerate() {
        let until = approved
            .get(place + 1)
            .map_or(i64::MAX, |next| next.decided_at);
        if profile.day_limit_minor.is_none() {
            continue;
        }
        match spells.last_mut() {
            Some((_, end)) if *end == profile.decided_at => *end = until,
            _ => spells.push((profile.decided_at, until)),
        }
    }
    spells
}

fn days_of(view: &mut View, merchant: &str, spells: &[(i64, i64)]) -> Result<Days, StoreError> {
    let mut days = Days::new();
    let c = view.connection();
    for (date, currency, sum) in merchant_days::counted(c, merchant)? {
        days.entry((date, currency)).or_default().counted_minor = sum;
    }
    let mut add = |sums: Vec<DaySum>, field: fn(&mut Day) -> &mut i64| {
        for (date, currency, sum) in sums {
            let total = field(days.entry((date, currency)).or_default());
            *total = total.saturating_add(sum);
        }
    };
    for (from, until) in spells {
        let within = |slack: i64| {
            let until = until.saturating_add(slack.saturating_neg());
            (from.saturating_add(slack), until)
        };
        let certain = merchant_days::begun(c, merchant, within(SLACK_MICROS))?;
        add(certain, |day| &mut day.least_minor);
        let possible = merchant_days::begun(c, merchant, within(-SLACK_MICROS))?;
        add(possible, |day| &mut day.most_minor);
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(decided_at: i64, day_limit_minor: Option<i64>) -> Approved {
        Approved {
            merchant: "portal".to_owned(),
            decided_at,
            day_limit_minor,
        }
    }

    #[test]
    fn limits_that_follow_each_other_are_one_spell() {
        let profiles = [
            profile(1, None),
            profile(2, Some(9)),
            profile(3, Some(8)),
            profile(4, None),
            profile(5, Some(7)),
        ];
        let all: Vec<&Approved> = profiles.iter().collect();
        assert_eq!(limited(&all), [(2, 4), (5, i64::MAX)]);
        assert_eq!(limited(&all[..1]), []);
    }
}
