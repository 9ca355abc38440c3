//! Things against their rows: each change of an order, a case, a merchant, a key and an operator has one
//! audit row, and its making one. That holds for the newest rows as well, of which no published head can
//! tell yet.

use super::report::{TrailFault, TrailFinding};
use crate::storage::told::{Versioned, changes, merchants_without_making, versions};
use crate::storage::walk::Stretch;
use crate::storage::{StoreError, View};
use std::collections::{HashMap, HashSet};

/// How many things are held at once.
const PAGE: i64 = 5_000;

/// Judges every thing of these kinds; how many there are.
pub fn judge(
    view: &mut View,
    kinds: &[Versioned],
    found: &mut impl FnMut(TrailFinding),
) -> Result<u64, StoreError> {
    let mut count = 0;
    for &kind in kinds {
        count += judge_kind(view, kind, found)?;
    }
    Ok(count)
}

fn judge_kind(
    view: &mut View,
    kind: Versioned,
    found: &mut impl FnMut(TrailFinding),
) -> Result<u64, StoreError> {
    let without_making = match kind {
        Versioned::Merchant => merchants_without_making(view.connection())?,
        _ => HashSet::new(),
    };
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let things = versions(view.connection(), kind, after.as_deref(), PAGE)?;
        let is_last = i64::try_from(things.len()).unwrap_or(i64::MAX) < PAGE;
        let last = things.last().map(|(name, _)| name.clone());
        let names = Stretch {
            after: after.as_deref(),
            upto: last.as_deref().filter(|_| !is_last),
        };
        let rows = changes(view.connection(), kind, names)?;
        let mut rows: HashMap<String, i64> = rows.into_iter().collect();
        for (name, version) in things {
            count += 1;
            let making = i64::from(!without_making.contains(&name));
            let compared = Compared {
                version,
                rows: rows.remove(&name).unwrap_or(0),
                making,
            };
            if let Some(finding) = compared.finding(kind, &name) {
                found(finding);
            }
        }
        let mut left: Vec<(String, i64)> = rows.into_iter().collect();
        left.sort();
        for (name, rows) in left {
            let evidence = format!("{} {name}: {rows} audit rows", word(kind));
            let problem = "audit rows are about a thing that is not in the database";
            found(TrailFinding::general(TrailFault::Unfounded, problem, evidence).about(&name));
        }
        if is_last {
            return Ok(count);
        }
        after = last;
    }
}

struct Compared {
    version: i32,
    rows: i64,
    making: i64,
}

impl Compared {
    fn finding(&self, kind: Versioned, name: &str) -> Option<TrailFinding> {
        let wanted = i64::from(self.version) + self.making;
        let fault = match self.rows.cmp(&wanted) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Less => TrailFault::Untold,
            std::cmp::Ordering::Greater => TrailFault::Unfounded,
        };
        let evidence = format!(
            "{} {name}: {} changes, {} audit rows",
            word(kind),
            self.version,
            self.rows
        );
        let problem = "a thing has one audit row for each of its changes and one for its making";
        Some(TrailFinding::general(fault, problem, evidence).about(name))
    }
}

fn word(kind: Versioned) -> String {
    kind.as_str().to_ascii_lowercase()
}
