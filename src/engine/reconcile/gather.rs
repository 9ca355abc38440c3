//! Brings the rows together: ours from the database, the partners' from their files, and what earlier days
//! left in the pool.

use super::CompareFault;
use super::bills::{self, Bills};
use super::carried::{Carried, CarriedOver, edge_of, known_from, union, with};
use super::lines::Shelved;
use super::plan::{Party, Plan, date_in};
use super::weigh::{Weighed, weigh};
use crate::domain::flow::FlowKind;
use crate::domain::money::Money;
use crate::domain::partner::PartnerSide;
use crate::domain::progress::Progress;
use crate::domain::reconciled::{Discrepancy, PartnerRow};
use crate::domain::reconciliation::{Asked, Bill, Edge, Lot, Matching, Row, RowState, Rule, Side};
use crate::engine::Engine;
use crate::engine::partner_files::blocking;
use crate::files::{Line, LineStatus};
use crate::storage::{AnyConnection, StoreError, discrepancies, reconciliations};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Our flows are read so many at a time.
const PAGE: i64 = 10_000;
/// A file that lists more flows of other days is the file of another day.
const ELSEWHERE_MAX: usize = 200_000;
/// Numbers are looked up so many at a time.
const LOOK_UP: usize = 500;

/// A line of today about a flow of an earlier day of ours.
#[derive(Clone, Debug)]
struct Elsewhere {
    flow_no: String,
    bill_no: String,
    side: Side,
    row: Row,
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
        let (ours, bills) = self.our_lot(plan, buried.clone(), lot).await?;
        let bills = Arc::new(bills);
        let listed: i64 = plan.parties.iter().map(|party| party.file.row_count).sum();
        let total = u64::try_from(plan.inputs.flows + listed).ok();
        let mut done = ours.rows();
        progress.at(done, total);
        matching.add(ours)?;
        let mut elsewhere = Vec::new();
        for (place, party) in (0_u8..).zip(&plan.parties) {
            let lot = matching.lot(side_of(party))?;
            let read = self.partner_lot(plan, (place, party), lot, &bills);
            let (lot, lines) = read.await?;
            done += lot.rows() + u64::try_from(lines.len()).unwrap_or(0);
            progress.at(done, total);
            matching.add(lot)?;
            elsewhere.extend(lines);
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

    /// Our flows of the day, page by page, and their bills.
    async fn our_lot(
        &self,
        plan: &Plan,
        buried: BTreeSet<String>,
        mut lot: Lot,
    ) -> Result<(Lot, Bills), CompareFault> {
        let are_named = self.bills_are_named(plan)?;
        let plan = plan.clone();
        let read = move |c: &mut AnyConnection| {
            let mut bills = Bills::default();
            let (mut line, mut after) = (0, None::<String>);
            loop {
                let page = reconciliations::flows_of(c, plan.date, after.as_deref(), PAGE)?;
                let Some(last) = page.last() else {
                    return Ok(Ok((lot, bills)));
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
                    if are_named {
                        bills.push(&flow.flow_no, &flow.bill_no);
                    }
                    if let Err(overflow) = lot.push(&flow.flow_no, row) {
                        return Ok(Err(CompareFault::Matching(overflow.into())));
                    }
                }
            }
        };
        self.0.store.scan(read).await?
    }

    /// The rows of a partner's file, and beside them those that are about earlier days of ours.
    async fn partner_lot(
        &self,
        plan: &Plan,
        (place, party): (u8, &Party),
        lot: Lot,
        bills: &Arc<Bills>,
    ) -> Result<(Lot, Vec<Elsewhere>), CompareFault> {
        let (plan, shelved) = (plan.clone(), self.shelved(party)?);
        let bills = bills.clone();
        let read = move || Ok(fill(&plan, (place, &shelved), lot, &bills));
        blocking(read).await?
    }

    /// Puts what earlier days left, and earlier flows that a file of today lists, beside today's rows.
    async fn carry_over(
        &self,
        plan: &Plan,
        (elsewhere, buried): (Vec<Elsewhere>, &BTreeSet<String>),
        matching: &mut Matching,
    ) -> Result<CarriedOver, CompareFault> {
        let mut carried: CarriedOver = BTreeMap::new();
        for one in &plan.pool {
            carried.insert(one.flow_no.clone(), Carried::found(one.clone()));
        }
        let numbers: BTreeSet<&String> = elsewhere.iter().map(|line| &line.flow_no).collect();
        let unknown: Vec<String> = numbers
            .into_iter()
            .filter(|number| !carried.contains_key(*number))
            .cloned()
            .collect();
        for numbers in unknown.chunks(LOOK_UP) {
            let numbers = numbers.to_vec();
            let read = move |c: &mut AnyConnection| discrepancies::of_numbers(c, &numbers);
            for one in self.0.store.read(read).await? {
                // The latest of a number comes last.
                if one.business_date < plan.date {
                    carried.insert(one.flow_no.clone(), known_from(one, plan.date));
                }
            }
        }
        for number in unknown {
            if let Some(since) = date_in(&number) {
                let nothing = Carried::of(since);
                carried.entry(number).or_insert(nothing);
            }
        }
        for line in &elsewhere {
            if let Some(one) = carried.get_mut(&line.flow_no) {
                one.listed = with(one.listed, line.side);
            }
        }
        let rows = self.carried_rows(plan, (&mut carried, buried), matching);
        let bills = rows.await?;
        for side in [Side::Bank, Side::Biller] {
            let mut lot = matching.lot(side)?;
            for line in elsewhere.iter().filter(|line| line.side == side) {
                let ours = bills.get(&line.flow_no).map(String::as_str);
                let row = Row {
                    bill: bills::hold(ours, &line.bill_no),
                    ..line.row
                };
                lot.push(&line.flow_no, row).map_err(overflow)?;
            }
            matching.add(lot)?;
        }
        Ok(carried)
    }

    /// Puts down the rows of what is carried over, and gives the bills of those flows of ours.
    async fn carried_rows(
        &self,
        plan: &Plan,
        (carried, buried): (&mut CarriedOver, &BTreeSet<String>),
        matching: &mut Matching,
    ) -> Result<BTreeMap<String, String>, CompareFault> {
        let mut ours = matching.lot(Side::Ours)?;
        let mut bank = matching.lot(Side::Bank)?;
        let mut biller = matching.lot(Side::Biller)?;
        let numbers: Vec<String> = carried.keys().cloned().collect();
        let results = self.results_of(carried).await?;
        let mut known = BTreeMap::new();
        for numbers in numbers.chunks(LOOK_UP) {
            let numbers = numbers.to_vec();
            let read = move |c: &mut AnyConnection| reconciliations::flows_by_number(c, &numbers);
            for flow in self.0.store.read(read).await? {
                let is_today = date_in(&flow.flow_no) == Some(plan.date);
                if is_today {
                    continue;
                }
                let Some(one) = carried.get(&flow.flow_no) else {
                    continue;
                };
                let mut row = plan.our_row(&flow, 0)?;
                let place = plan.carried_bank(&flow.adapter);
                row.rules = place.unwrap_or(plan.carried(0));
                if buried.contains(&flow.flow_no) {
                    row.state = RowState::Failed;
                }
                // What lay near to an edge of its own day does so no more on this one.
                row.edge = edge_of(one.origin.as_ref());
                known.insert(flow.flow_no.clone(), flow.bill_no.clone());
                let result = results.get(&one.since);
                if one.origin.is_some() {
                    // Whoever has to list it has to, whether or not a file of today has come.
                    row.asked = self.asked_by_settings(&flow);
                } else if let Some(matched) = self.matched_with(one, &flow, &row, result) {
                    row.asked = union(matched, one.listed);
                    // The partners' rows of then are what ours says.
                    let before = Row {
                        asked: Asked::Both,
                        ..row
                    };
                    for (lot, has) in [(&mut bank, matched.bank()), (&mut biller, matched.biller())]
                    {
                        if has {
                            lot.push(&flow.flow_no, before).map_err(overflow)?;
                        }
                    }
                }
                ours.push(&flow.flow_no, row).map_err(overflow)?;
            }
        }
        carried.retain(|number, one| one.origin.is_some() || known.contains_key(number));
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
        Ok(known)
    }
}

/// The side that a party's file speaks for.
fn side_of(party: &Party) -> Side {
    match party.partner.covers.side() {
        PartnerSide::Bank => Side::Bank,
        PartnerSide::Biller => Side::Biller,
    }
}

fn overflow(error: crate::domain::reconciliation::Overflow) -> CompareFault {
    CompareFault::Matching(error.into())
}

/// A partner's row of an earlier day, as it was kept.
fn stored_row(plan: &Plan, origin: &Discrepancy, row: &PartnerRow) -> Result<Row, CompareFault> {
    let named = row.file.split('/').nth(1).unwrap_or_default();
    let place = plan.carried_party(named).unwrap_or(plan.carried(0));
    // The day that it is of may have found that a line was about another bill. It did not say which of both
    // lines, and it is so whichever it was.
    let bill = match origin.rule {
        Rule::OtherBill => Bill::Other,
        _ => Bill::Agrees,
    };
    Ok(Row {
        kind: origin.kind.parse::<FlowKind>().ok(),
        state: row.status,
        amount: Money::new(row.amount_minor, origin.currency),
        edge: edge_of(Some(origin)),
        asked: Asked::Both,
        bill,
        rules: place,
        line: u32::try_from(row.line).unwrap_or(0),
    })
}

/// Fills a lot with the lines of a file. Those about earlier days of ours are laid beside: their bills are not
/// among those of the day.
fn fill(
    plan: &Plan,
    (place, shelved): (u8, &Shelved),
    mut lot: Lot,
    bills: &Bills,
) -> Result<(Lot, Vec<Elsewhere>), CompareFault> {
    let party = shelved.party();
    let mut unknown = 0_usize;
    let mut elsewhere = Vec::new();
    shelved.each(|line| {
        let flow_no = line.row.flow_no;
        let mut row = row_of(plan, (place, party), line);
        let date = date_in(flow_no);
        unknown += usize::from(date.is_none_or(|date| date > plan.date));
        // A text that is no number of ours is kept as it is: so many are no day's differences.
        if elsewhere.len().max(unknown) > ELSEWHERE_MAX {
            return Err(of_another_day(party, elsewhere.len().max(unknown)));
        }
        if date.is_some_and(|date| date < plan.date) {
            elsewhere.push(Elsewhere {
                flow_no: flow_no.to_owned(),
                bill_no: line.row.bill_no.to_owned(),
                side: side_of(party),
                row,
            });
            return Ok(());
        }
        row.bill = bills.hold(flow_no, line.row.bill_no);
        lot.push(flow_no, row).map_err(overflow)
    })?;
    Ok((lot, elsewhere))
}

fn of_another_day(party: &Party, many: usize) -> CompareFault {
    CompareFault::Odd(format!(
        "{} lists {many} flows or more that are none of its day: it looks like the file of another day",
        party.file.path
    ))
}

/// A partner's line as a row, with nothing to hold its bill against.
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
        bill: Bill::Agrees,
        rules: place,
        line: u32::try_from(line.line).unwrap_or(u32::MAX),
    }
}
