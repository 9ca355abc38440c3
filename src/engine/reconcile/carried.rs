//! Flows of earlier days that a date looks at once more: what waits in the pool, and what a file of the date
//! lists although its day is over. Whether a line is the one that was lacking or one too many is told by what
//! earlier dates found, and by whose files went into their results.
//!
//! How one could break it: by taking a day that has no result yet for one on which everything matched.

use super::CompareFault;
use super::plan::date_in;
use crate::domain::partner::{Covers, PartnerName};
use crate::domain::reconciled::{Discrepancy, Ended};
use crate::domain::reconciliation::{Asked, Class, Edge, Row, RowState, Side};
use crate::domain::time::BusinessDate;
use crate::engine::Engine;
use crate::storage::reconciliations::OurFlow;
use crate::storage::{AnyConnection, reconciliations};
use std::collections::{BTreeMap, BTreeSet};

/// What was carried over from an earlier day, by number.
pub(super) type CarriedOver = BTreeMap<String, Carried>;

/// A flow of an earlier day that is looked at once more.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// What an earlier day found and none has set right since; none where it had matched, or where its day has
    /// no result yet.
    pub origin: Option<Discrepancy>,
    /// The day that it is from.
    pub since: BusinessDate,
    /// Whose lines have matched with it by now, so that another one is one too many.
    pub matched: Asked,
    /// Whose files of today list it.
    pub listed: Asked,
}

impl Carried {
    /// Of an earlier day's finding.
    pub fn found(origin: Discrepancy) -> Self {
        Self {
            since: since(&origin),
            origin: Some(origin),
            matched: Asked::Nobody,
            listed: Asked::Nobody,
        }
    }

    /// Nothing is known of it but what its number says.
    pub fn of(since: BusinessDate) -> Self {
        Self {
            origin: None,
            since,
            matched: Asked::Nobody,
            listed: Asked::Nobody,
        }
    }
}

impl Engine {
    /// The results of the days that flows are from of which nothing was found: whose files went into them.
    pub(super) async fn results_of(
        &self,
        carried: &CarriedOver,
    ) -> Result<BTreeMap<BusinessDate, Vec<PartnerName>>, CompareFault> {
        let unfound = carried.values().filter(|one| one.origin.is_none());
        let dates: BTreeSet<BusinessDate> = unfound.map(|one| one.since).collect();
        let read = move |c: &mut AnyConnection| {
            let mut results = BTreeMap::new();
            for date in dates {
                if let Some(run) = reconciliations::current(c, date)? {
                    let files = run.inputs.files.into_iter().map(|file| file.partner);
                    results.insert(date, files.collect());
                }
            }
            Ok(results)
        };
        Ok(self.0.store.browse(read).await?)
    }

    /// The sides that speak for a flow of ours, of those partners that take part.
    fn sides_of(&self, flow: &OurFlow, takes_part: impl Fn(&PartnerName) -> bool) -> Asked {
        let links = self.0.upstreams.partners().iter();
        let partners = links.map(|link| &link.partner);
        let mut sides = Asked::Nobody;
        for partner in partners.filter(|partner| takes_part(&partner.name)) {
            match &partner.covers {
                Covers::Adapter(one) if one.as_str() == flow.adapter => {
                    sides = with(sides, Side::Bank);
                }
                Covers::Billers(codes) if codes.iter().any(|one| one.as_str() == flow.biller) => {
                    sides = with(sides, Side::Biller);
                }
                Covers::Adapter(_) | Covers::Billers(_) => {}
            }
        }
        sides
    }

    /// Who has to list a flow of ours, by the settings.
    pub(super) fn asked_by_settings(&self, flow: &OurFlow) -> Asked {
        self.sides_of(flow, |_| true)
    }

    /// Whose lines a flow of which nothing is left has matched with; none where that is no question: it moved no
    /// money, by a result that is there.
    pub(super) fn matched_with(
        &self,
        one: &Carried,
        flow: &OurFlow,
        row: &Row,
        result: Option<&Vec<PartnerName>>,
    ) -> Option<Asked> {
        match (row.state, one.matched, result) {
            (RowState::Succeeded, Asked::Nobody, Some(files)) => {
                // Those whose files went into the result of its own day.
                Some(self.sides_of(flow, |name| files.contains(name)))
            }
            (RowState::Succeeded, Asked::Nobody, None) => Some(Asked::Nobody),
            (RowState::Succeeded, _, _) => Some(self.asked_by_settings(flow)),
            (_, _, None) => Some(Asked::Nobody),
            (_, _, Some(_)) => None,
        }
    }
}

/// These, and whoever speaks for a side.
pub(super) fn with(asked: Asked, side: Side) -> Asked {
    union(asked, Asked::of(side == Side::Bank, side == Side::Biller))
}

/// Both of two.
pub(super) fn union(one: Asked, other: Asked) -> Asked {
    Asked::of(one.bank() || other.bank(), one.biller() || other.biller())
}

/// What an earlier day found; that it had matched, where a day between it and this one has set it right.
pub(super) fn known_from(found: Discrepancy, date: BusinessDate) -> Carried {
    let is_right = |ended: &Ended| ended.on < date && ended.class == Class::Matched;
    match found.ended.as_ref().is_some_and(is_right) {
        true => Carried {
            matched: Asked::Both,
            ..Carried::of(since(&found))
        },
        false => Carried::found(found),
    }
}

/// From which day on something waits.
fn since(one: &Discrepancy) -> BusinessDate {
    date_in(&one.flow_no)
        .filter(|date| *date <= one.business_date)
        .unwrap_or(one.business_date)
}

/// What waits because it lay near to an edge goes on waiting for that reason.
pub(super) fn edge_of(origin: Option<&Discrepancy>) -> Edge {
    let is_waiting = origin.is_some_and(|one| one.due_on.is_some());
    if is_waiting { Edge::Near } else { Edge::Far }
}
