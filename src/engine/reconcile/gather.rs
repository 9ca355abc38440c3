//! Brings the rows together: ours from the database, the partners' from their files, and what earlier days
//! left in the pool.

use super::CompareFault;
use super::lines::Shelved;
use super::plan::{Party, Plan, date_in};
use super::weigh::{Weighed, weigh};
use crate::domain::flow::FlowKind;
use crate::domain::money::Money;
use crate::domain::partner::{Covers, PartnerSide};
use crate::domain::progress::Progress;
use crate::domain::reconciled::{Discrepancy, PartnerRow};
use crate::domain::reconciliation::{Asked, Edge, Lot, Matching, Row, RowState, Side};
use crate::domain::time::BusinessDate;
use crate::engine::Engine;
use crate::engine::partner_files::blocking;
use crate::files::{Line, LineStatus};
use crate::storage::reconciliations::OurFlow;
use crate::storage::{AnyConnection, StoreError, discrepancies, reconciliations};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// Our flows are read so many at a time.
const PAGE: i64 = 10_000;
/// A file that lists more flows of other days is the file of another day.
const ELSEWHERE_MAX: usize = 200_000;
/// So many flows of other days, where they are more than half of a file, are no payments around midnight.
const ELSEWHERE_ODD: usize = 100;
/// Numbers are looked up so many at a time.
const LOOK_UP: usize = 500;

/// What was carried over from an earlier day, by number.
pub(super) type CarriedOver = BTreeMap<String, Carried>;

/// A flow of an earlier day that is looked at once more.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// What an earlier day found; none where it had matched.
    pub origin: Option<Discrepancy>,
    /// The day that it is from.
    pub since: BusinessDate,
}

impl Engine {
    /// Compares a day.
    pub(super) async fn compare_day(
        &self,
        plan: &Plan,
        progress: &dyn Progress,
    ) -> Result<Weighed, CompareFault> {
        let mut matching = Matching::new(plan.rules());
        let buried = self.buried(plan).await?;
        let lot = matching.lot(Side::Ours)?;
        let ours = self.our_lot(plan, buried.clone(), lot).await?;
        let listed: i64 = plan.parties.iter().map(|party| party.file.row_count).sum();
        let total = u64::try_from(plan.inputs.flows + listed).ok();
        let mut done = ours.rows();
        progress.at(done, total);
        matching.add(ours)?;
        let mut elsewhere = BTreeSet::new();
        for (place, party) in (0_u8..).zip(&plan.parties) {
            let side = match party.partner.covers.side() {
                PartnerSide::Bank => Side::Bank,
                PartnerSide::Biller => Side::Biller,
            };
            let lot = matching.lot(side)?;
            let read = self.partner_lot(plan, (place, party), lot).await?;
            done += read.0.rows();
            progress.at(done, total);
            matching.add(read.0)?;
            elsewhere.extend(read.1);
        }
        let carry = self.carry_over(plan, (elsewhere, &buried), &mut matching);
        let carried = carry.await?;
        let waits = carried
            .iter()
            .map(|(number, one)| (number.clone(), self.waited(one.since, plan.date)))
            .collect();
        let plan = plan.clone();
        let weighed = tokio::task::spawn_blocking(move || {
            let compared = matching.compare(NonZeroUsize::MIN, &crate::domain::progress::Silent)?;
            weigh(&plan, &compared, &carried, &waits)
        });
        weighed
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Our flows of the day, page by page.
    async fn our_lot(
        &self,
        plan: &Plan,
        buried: BTreeSet<String>,
        mut lot: Lot,
    ) -> Result<Lot, CompareFault> {
        let plan = plan.clone();
        let read = move |c: &mut AnyConnection| {
            let (mut line, mut after) = (0, None::<String>);
            loop {
                let page = reconciliations::flows_of(c, plan.date, after.as_deref(), PAGE)?;
                let Some(last) = page.last() else {
                    return Ok(Ok(lot));
                };
                after = Some(last.flow_no.clone());
                for flow in &page {
                    line += 1;
                    let mut row = match plan.our_row(flow, line) {
                        Ok(row) => row,
                        Err(fault) => return Ok(Err(fault)),
                    };
                    if buried.contains(&flow.flow_no) {
                        row.state = RowState::Failed;
                    }
                    if let Err(overflow) = lot.push(&flow.flow_no, row) {
                        return Ok(Err(CompareFault::Matching(overflow.into())));
                    }
                }
            }
        };
        self.0.store.scan(read).await?
    }

    /// The rows of a partner's file, and the numbers among them that are of earlier days of ours.
    async fn partner_lot(
        &self,
        plan: &Plan,
        (place, party): (u8, &Party),
        lot: Lot,
    ) -> Result<(Lot, BTreeSet<String>), CompareFault> {
        let (plan, shelved) = (plan.clone(), self.shelved(party)?);
        let read = move || Ok(fill(&plan, place, &shelved, lot));
        blocking(read).await?
    }

    /// Puts what earlier days left, and earlier flows that a file of today lists, beside today's rows.
    async fn carry_over(
        &self,
        plan: &Plan,
        (elsewhere, buried): (BTreeSet<String>, &BTreeSet<String>),
        matching: &mut Matching,
    ) -> Result<CarriedOver, CompareFault> {
        let mut carried: CarriedOver = BTreeMap::new();
        for one in &plan.pool {
            let origin = Some(one.clone());
            let since = since(one);
            carried.insert(one.flow_no.clone(), Carried { origin, since });
        }
        let unknown: Vec<String> = elsewhere
            .into_iter()
            .filter(|number| !carried.contains_key(number))
            .collect();
        for numbers in unknown.chunks(LOOK_UP) {
            let numbers = numbers.to_vec();
            let read = move |c: &mut AnyConnection| discrepancies::of_numbers(c, &numbers);
            for one in self.0.store.read(read).await? {
                // The latest of a number comes last.
                if one.business_date < plan.date {
                    let since = since(&one);
                    let origin = Some(one.clone());
                    carried.insert(one.flow_no, Carried { origin, since });
                }
            }
        }
        for number in unknown {
            if let Some(since) = date_in(&number) {
                let matched = Carried {
                    origin: None,
                    since,
                };
                carried.entry(number).or_insert(matched);
            }
        }
        let rows = self.carried_rows(plan, (&mut carried, buried), matching);
        rows.await?;
        Ok(carried)
    }

    /// Who has to list a flow of ours, by the settings.
    fn asked_by_settings(&self, flow: &OurFlow) -> Asked {
        let partners = || self.0.upstreams.partners().iter();
        let is_bank = |covers: &Covers| matches!(covers, Covers::Adapter(one) if one.as_str() == flow.adapter);
        let is_biller = |covers: &Covers| matches!(covers, Covers::Billers(codes) if codes.iter().any(|one| one.as_str() == flow.biller));
        let has_bank = partners().any(|link| is_bank(&link.partner.covers));
        let has_biller = partners().any(|link| is_biller(&link.partner.covers));
        Asked::of(has_bank, has_biller)
    }

    async fn carried_rows(
        &self,
        plan: &Plan,
        (carried, buried): (&mut CarriedOver, &BTreeSet<String>),
        matching: &mut Matching,
    ) -> Result<(), CompareFault> {
        let mut ours = matching.lot(Side::Ours)?;
        let mut bank = matching.lot(Side::Bank)?;
        let mut biller = matching.lot(Side::Biller)?;
        let numbers: Vec<String> = carried.keys().cloned().collect();
        let mut known = BTreeSet::new();
        for numbers in numbers.chunks(LOOK_UP) {
            let numbers = numbers.to_vec();
            let read = move |c: &mut AnyConnection| reconciliations::flows_by_number(c, &numbers);
            for flow in self.0.store.read(read).await? {
                let is_today = date_in(&flow.flow_no) == Some(plan.date);
                if is_today {
                    continue;
                }
                let mut row = plan.our_row(&flow, 0)?;
                row.rules = plan.carried(row.rules);
                if buried.contains(&flow.flow_no) {
                    row.state = RowState::Failed;
                }
                // What lay near to an edge of its own day does so no more on this one.
                let origin = carried
                    .get(&flow.flow_no)
                    .and_then(|one| one.origin.as_ref());
                row.edge = edge_of(origin);
                known.insert(flow.flow_no.clone());
                if origin.is_some() {
                    // Whoever has to list it has to, whether or not a file of today has come.
                    row.asked = self.asked_by_settings(&flow);
                } else if row.state == RowState::Succeeded {
                    // It had matched: the bank's row of then is what ours says.
                    let before = Row {
                        asked: Asked::Both,
                        ..row
                    };
                    row.asked = Asked::Bank;
                    bank.push(&flow.flow_no, before).map_err(overflow)?;
                }
                ours.push(&flow.flow_no, row).map_err(overflow)?;
            }
        }
        carried.retain(|number, one| one.origin.is_some() || known.contains(number));
        for (number, one) in carried.iter() {
            let Some(origin) = &one.origin else { continue };
            for (lot, row) in [(&mut bank, &origin.bank), (&mut biller, &origin.biller_row)] {
                if let Some(row) = row {
                    let row = stored_row(plan, origin, row)?;
                    lot.push(number, row).map_err(overflow)?;
                }
            }
        }
        for lot in [ours, bank, biller] {
            matching.add(lot)?;
        }
        Ok(())
    }
}

fn overflow(error: crate::domain::reconciliation::Overflow) -> CompareFault {
    CompareFault::Matching(error.into())
}

/// From which day on something waits.
fn since(one: &Discrepancy) -> BusinessDate {
    date_in(&one.flow_no)
        .filter(|date| *date <= one.business_date)
        .unwrap_or(one.business_date)
}

/// What waits because it lay near to an edge goes on waiting for that reason.
fn edge_of(origin: Option<&Discrepancy>) -> Edge {
    let is_waiting = origin.is_some_and(|one| one.due_on.is_some());
    if is_waiting { Edge::Near } else { Edge::Far }
}

/// A partner's row of an earlier day, as it was kept.
fn stored_row(plan: &Plan, origin: &Discrepancy, row: &PartnerRow) -> Result<Row, CompareFault> {
    let named = row.file.split('/').nth(1).unwrap_or_default();
    let place = plan
        .parties
        .iter()
        .position(|party| party.partner.name.as_str() == named);
    let place = u8::try_from(place.unwrap_or(0)).unwrap_or(0);
    Ok(Row {
        kind: origin.kind.parse::<FlowKind>().ok(),
        state: row.status,
        amount: Money::new(row.amount_minor, origin.currency),
        edge: edge_of(Some(origin)),
        asked: Asked::Both,
        rules: plan.carried(place),
        line: u32::try_from(row.line).unwrap_or(0),
    })
}

/// Fills a lot with the lines of a file.
fn fill(
    plan: &Plan,
    place: u8,
    shelved: &Shelved,
    mut lot: Lot,
) -> Result<(Lot, BTreeSet<String>), CompareFault> {
    let party = shelved.party();
    let (mut rows, mut unknown) = (0_usize, 0_usize);
    let mut elsewhere = BTreeSet::new();
    shelved.each(|line| {
        let flow_no = line.row.flow_no;
        rows += 1;
        match date_in(flow_no) {
            Some(date) if date < plan.date => drop(elsewhere.insert(flow_no.to_owned())),
            Some(date) if date == plan.date => {}
            _ => unknown += 1,
        }
        // A text that is no number of ours is kept as it is: so many are no day's differences.
        if elsewhere.len().max(unknown) > ELSEWHERE_MAX {
            return Err(of_another_day(party, elsewhere.len().max(unknown)));
        }
        let row = row_of(plan, (place, party), line);
        lot.push(flow_no, row).map_err(overflow)
    })?;
    if elsewhere.len() >= ELSEWHERE_ODD && elsewhere.len() > rows / 2 {
        return Err(of_another_day(party, elsewhere.len()));
    }
    Ok((lot, elsewhere))
}

fn of_another_day(party: &Party, many: usize) -> CompareFault {
    CompareFault::Odd(format!(
        "{} lists {many} flows or more that are none of its day: it looks like the file of another day",
        party.file.path
    ))
}

/// A partner's line as a row.
pub(super) fn row_of(plan: &Plan, (place, party): (u8, &Party), line: &Line<'_>) -> Row {
    let row = &line.row;
    let times = (row.started_at, row.concluded_at);
    let (from, until) = match times {
        (Some(from), Some(until)) => (Some(from), Some(until.max(from))),
        (Some(at), None) | (None, Some(at)) => (Some(at), Some(at)),
        (None, None) => (plan.time_in(row.flow_no), plan.time_in(row.flow_no)),
    };
    let edge = match (from, until) {
        (Some(from), Some(until)) => party.partner.edge_of(&plan.day, from, until),
        _ => Edge::Far,
    };
    Row {
        kind: Some(row.kind),
        state: match row.status {
            LineStatus::Succeeded => RowState::Succeeded,
            LineStatus::Failed => RowState::Failed,
            LineStatus::Pending => RowState::Pending,
        },
        amount: Money::new(row.amount_minor, row.currency),
        edge,
        asked: Asked::Both,
        rules: place,
        line: u32::try_from(line.line).unwrap_or(u32::MAX),
    }
}
