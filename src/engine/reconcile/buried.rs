//! Payments that were reversed and that the bank never made.
//!
//! A reversal of a payment that has not arrived is answered like any other: it is undone. Nobody can tell from
//! the answer whether money went out and came back, or never moved. Our record then has a payment that is
//! REVERSED and a reversal that SUCCEEDED, which come to nothing together; the bank's file may have both, or
//! neither. So the two are compared as the bank's file of the payment's day has the payment: where it does not
//! say that the payment moved money, both of ours count as flows that moved none. A bank that lists such a
//! reversal all the same then says something else than we do, and is found.
//!
//! The bank may have written the payment into the file of the day before or after, and that one may come later,
//! or be corrected: it went into the result like the day's own files, and a result is looked at again when it
//! changes.
//!
//! How one could break it: by taking the reversal for granted without looking at the payment's line. A bank
//! that debited and never paid back would go unseen.

use super::CompareFault;
use super::plan::{Party, Plan, date_in, input_of};
use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::partner::Covers;
use crate::domain::reconciled::InputBeside;
use crate::domain::time::BusinessDate;
use crate::engine::Engine;
use crate::engine::partner_files::blocking;
use crate::files::LineStatus;
use crate::storage::reconciliations::{self, OurFlow};
use crate::storage::{AnyConnection, StoreError, partner_files};
use chrono::Days;
use std::collections::{BTreeMap, BTreeSet};

/// Flows are looked up so many at a time.
const LOOK_UP: usize = 500;

/// The payment and the reversals of one order that was undone.
#[derive(Clone, Debug)]
pub(super) struct Undone {
    payment: OurFlow,
    reversals: Vec<String>,
}

impl Undone {
    /// The dates in whose files the bank may list the payment: its own, and those beside it.
    fn dates(&self) -> impl Iterator<Item = BusinessDate> {
        let own = date_in(&self.payment.flow_no).map(|date| date.0);
        let before = own.and_then(|date| date.checked_sub_days(Days::new(1)));
        let after = own.and_then(|date| date.checked_add_days(Days::new(1)));
        [before, own, after].into_iter().flatten().map(BusinessDate)
    }
}

impl Engine {
    /// The plan with what was undone, among the flows of its date and the given ones of earlier dates, and with
    /// the files of other dates that say whether money moved.
    pub(super) async fn with_undone(
        &self,
        mut plan: Plan,
        earlier: Vec<String>,
    ) -> Result<Plan, StoreError> {
        let date = plan.date;
        let orders = move |c: &mut AnyConnection| {
            let mut orders: BTreeSet<String> = reconciliations::undone_on(c, date)?;
            for numbers in earlier.chunks(LOOK_UP) {
                let flows = reconciliations::flows_by_number(c, numbers)?;
                orders.extend(flows.into_iter().map(|flow| flow.order_no));
            }
            let mut undone = Vec::new();
            let orders: Vec<String> = orders.into_iter().collect();
            for orders in orders.chunks(LOOK_UP) {
                undone.extend(pairs(reconciliations::flows_of_orders(c, orders)?));
            }
            Ok(undone)
        };
        plan.undone = self.0.store.scan(orders).await?;
        let dates: BTreeSet<BusinessDate> = plan.undone.iter().flat_map(Undone::dates).collect();
        plan.beside.clear();
        for on in dates.into_iter().filter(|on| *on != date) {
            let mut parties = self.parties_on(on).await?;
            let is_asked = |party: &Party| {
                let is_its = |one: &Undone| {
                    carries(party, &BTreeSet::from([one.payment.adapter.as_str()]))
                        && one.dates().any(|date| date == on)
                };
                plan.undone.iter().any(is_its)
            };
            parties.retain(is_asked);
            plan.beside.insert(on, parties);
        }
        let beside = plan.beside.iter().flat_map(|(date, parties)| {
            let file = |party| InputBeside {
                date: *date,
                file: input_of(party),
            };
            parties.iter().map(file)
        });
        plan.inputs.beside = beside.collect();
        Ok(plan)
    }

    /// The numbers of the flows that count as such that moved no money, of what a plan knows to be undone.
    pub(super) async fn buried(&self, plan: &Plan) -> Result<BTreeSet<String>, CompareFault> {
        let mut buried = BTreeSet::new();
        for (date, undone) in by_date(&plan.undone) {
            let moved = self.moved_on(date, plan, &undone).await?;
            let Some(moved) = moved else { continue };
            for one in undone {
                if !moved.contains(&one.payment.flow_no) {
                    buried.insert(one.payment.flow_no.clone());
                    buried.extend(one.reversals.iter().cloned());
                }
            }
        }
        Ok(buried)
    }

    /// Those of the payments of a date that a bank's file of that date, or of the dates beside it, does not
    /// list as failed; none where a bank's file of the date has not come.
    async fn moved_on(
        &self,
        date: BusinessDate,
        plan: &Plan,
        undone: &[&Undone],
    ) -> Result<Option<BTreeSet<String>>, CompareFault> {
        let adapters: BTreeSet<&str> = undone
            .iter()
            .map(|one| one.payment.adapter.as_str())
            .collect();
        let wanted: BTreeSet<String> = undone
            .iter()
            .map(|one| one.payment.flow_no.clone())
            .collect();
        let mut moved = BTreeSet::new();
        let dates: BTreeSet<BusinessDate> = undone.iter().flat_map(|one| one.dates()).collect();
        for on in dates {
            let parties = match on == plan.date {
                true => &plan.parties,
                false => match plan.beside.get(&on) {
                    Some(parties) => parties,
                    None => continue,
                },
            };
            let banks: Vec<&Party> = parties
                .iter()
                .filter(|party| carries(party, &adapters))
                .collect();
            if on == date && banks.len() < adapters.len() {
                return Ok(None);
            }
            for party in banks {
                moved.extend(self.listed_in(party, wanted.clone()).await?);
            }
        }
        Ok(Some(moved))
    }

    /// Whose files count on a date.
    async fn parties_on(&self, date: BusinessDate) -> Result<Vec<Party>, StoreError> {
        let read = move |c: &mut AnyConnection| partner_files::that_count(c, date);
        let files = self.0.store.read(read).await?;
        let links = self.0.upstreams.partners().iter();
        let partners: Vec<_> = links.map(|link| link.partner.clone()).collect();
        Ok(super::plan::parties_of(&partners, files))
    }

    /// The wanted numbers that a file lists as anything but failed.
    async fn listed_in(
        &self,
        party: &Party,
        wanted: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, CompareFault> {
        let shelved = self.shelved(party)?;
        let search = move || {
            let mut listed = BTreeSet::new();
            let read = shelved.each(|line| {
                if line.row.status != LineStatus::Failed && wanted.contains(line.row.flow_no) {
                    listed.insert(line.row.flow_no.to_owned());
                }
                Ok(())
            });
            Ok(read.map(|()| listed))
        };
        blocking(search).await?
    }
}

/// Whether a partner is the bank of one of these adapters.
fn carries(party: &Party, adapters: &BTreeSet<&str>) -> bool {
    matches!(&party.partner.covers, Covers::Adapter(adapter) if adapters.contains(adapter.as_str()))
}

/// The payments that were reversed, each with what reversed it. One whose reversal turned out to have moved nothing
/// is paid until another one has.
fn pairs(flows: Vec<OurFlow>) -> Vec<Undone> {
    let is = |flow: &OurFlow, kind: FlowKind, state: FlowState| {
        flow.kind == kind.as_str() && flow.state == state.as_str()
    };
    let mut reversals: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut payments = Vec::new();
    for flow in flows {
        if is(&flow, FlowKind::Reversal, FlowState::Succeeded) {
            let of_order = reversals.entry(flow.order_no).or_default();
            of_order.push(flow.flow_no);
        } else if is(&flow, FlowKind::Payment, FlowState::Reversed) {
            payments.push(flow);
        }
    }
    let undone = payments.into_iter().filter_map(|payment| {
        Some(Undone {
            reversals: reversals.remove(&payment.order_no)?,
            payment,
        })
    });
    undone.collect()
}

fn by_date(undone: &[Undone]) -> BTreeMap<BusinessDate, Vec<&Undone>> {
    let mut dates: BTreeMap<BusinessDate, Vec<&Undone>> = BTreeMap::new();
    for one in undone {
        if let Some(date) = date_in(&one.payment.flow_no) {
            dates.entry(date).or_default().push(one);
        }
    }
    dates
}
