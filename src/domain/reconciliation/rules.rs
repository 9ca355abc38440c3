//! Tolerance, cut-off window and pool: data of each partner.

use super::row::Edge;
use crate::domain::money::Currency;
use crate::domain::time::{BusinessDate, Instant};
use chrono::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is agreed with one partner about differences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How many minor units an amount may differ and still match, by the code of its currency. A currency
    /// that is not named here tolerates nothing.
    pub tolerance_minor: BTreeMap<String, i64>,
    /// A flow that one side lacks is not due yet if it lies this near to the day's beginning or end, in
    /// seconds.
    pub cutoff_window_s: u32,
    /// For how many business days what is not due yet waits.
    pub pool_days: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tolerance_minor: BTreeMap::new(),
            cutoff_window_s: 1_800,
            pool_days: 3,
        }
    }
}

/// The business date that is compared, from its first instant to that of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The date.
    pub date: BusinessDate,
    /// Its first instant.
    pub begins_at: Instant,
    /// The first instant of the next business date.
    pub ends_at: Instant,
}

/// How many business days have passed since the date that is compared: 0 in its own night, more for what
/// is in the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waited(pub u32);

impl Rules {
    /// What is tolerated of a currency, in minor units.
    pub fn tolerance(&self, currency: Currency) -> i64 {
        let named = self.tolerance_minor.get(currency.code());
        named.copied().unwrap_or(0)
    }

    /// Whether what happened between two instants (the same, where there is one only) lies near to an
    /// edge of the day. A payment that began in the evening and ended after midnight reaches over it.
    pub fn edge_of(&self, day: &Day, from: Instant, until: Instant) -> Edge {
        let window = Duration::seconds(i64::from(self.cutoff_window_s));
        let reaches = |edge: Instant| from - window <= edge && edge <= until + window;
        if reaches(day.begins_at) || reaches(day.ends_at) {
            Edge::Near
        } else {
            Edge::Far
        }
    }

    /// Whether what is not due yet may go on waiting.
    pub fn may_wait(&self, waited: Waited) -> bool {
        waited.0 < self.pool_days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_near_to_an_edge_is_told_by_the_window() {
        let day = Day {
            date: BusinessDate("2026-11-22".parse().unwrap()),
            begins_at: at("2026-11-21T16:00:00Z"),
            ends_at: at("2026-11-22T16:00:00Z"),
        };
        let rules = Rules::default();
        let alone = |text| rules.edge_of(&day, at(text), at(text));
        for (text, edge) in [
            ("2026-11-21T15:29:59.999999Z", Edge::Far),
            ("2026-11-21T15:30:00Z", Edge::Near),
            ("2026-11-21T16:30:00Z", Edge::Near),
            ("2026-11-21T16:30:00.000001Z", Edge::Far),
            ("2026-11-22T15:29:59Z", Edge::Far),
            ("2026-11-22T15:30:00Z", Edge::Near),
            ("2026-11-22T16:30:00Z", Edge::Near),
            ("2026-11-22T16:30:01Z", Edge::Far),
        ] {
            assert_eq!(alone(text), edge, "{text}");
        }
        let over = rules.edge_of(&day, at("2026-11-22T12:00:00Z"), at("2026-11-22T20:00:00Z"));
        assert_eq!(over, Edge::Near);
        let inside = rules.edge_of(&day, at("2026-11-22T04:00:00Z"), at("2026-11-22T05:00:00Z"));
        assert_eq!(inside, Edge::Far);
    }

    #[test]
    fn the_pool_ends() {
        let rules = Rules::default();
        assert!(rules.may_wait(Waited(0)) && rules.may_wait(Waited(2)));
        assert!(!rules.may_wait(Waited(3)));
    }

    #[test]
    fn a_currency_that_is_not_named_tolerates_nothing() {
        let rules: Rules = serde_json::from_str(r#"{"tolerance_minor":{"CNY":2}}"#).unwrap();
        assert_eq!(rules.tolerance(Currency::CNY), 2);
        assert_eq!(rules.tolerance(Currency::try_new("USD").unwrap()), 0);
        assert_eq!(rules.cutoff_window_s, 1_800);
        assert!(serde_json::from_str::<Rules>(r#"{"tolerence":{}}"#).is_err());
    }
}
