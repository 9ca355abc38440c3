//! Whether a day can be reconciled, and by what.

use super::CompareFault;
use super::buried::Undone;
use crate::domain::flow::{FlowKind, FlowState};
use crate::domain::money::{Currency, Money};
use crate::domain::partner::{Covers, Partner, PartnerFile};
use crate::domain::reconciled::{Discrepancy, InputFile, InputPool, Inputs, ReconciliationRun};
use crate::domain::reconciliation::{Asked, Bill, Day, Edge, Row, RowState, Rules, Waited};
use crate::domain::time::{BusinessDate, Instant};
use crate::engine::Engine;
use crate::engine::partner_files::FileFault;
use crate::storage::reconciliations::OurFlow;
use crate::storage::{
    AnyConnection, StoreError, business_days, discrepancies, partner_files, reconciliations,
};
use chrono::{Days, TimeDelta};
use std::collections::BTreeMap;

/// More partners than this cannot be told apart by a row.
const PARTNERS_MAX: usize = 100;

/// A partner whose file takes part.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub partner: Partner,
    pub file: PartnerFile,
}

/// Everything that a run is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub date: BusinessDate,
    pub day: Day,
    /// By name. A row's rules are a place in this list; those of what was carried over from an earlier
    /// day are that far behind its end.
    pub parties: Vec<Party>,
    /// Those whose files take no part, because there are none. A row of theirs, carried over, has its rules
    /// behind all others.
    pub absent: Vec<Partner>,
    /// What earlier days found EXPECTED and nobody before this date has ended.
    pub pool: Vec<Discrepancy>,
    pub inputs: Inputs,
    pub current: Option<ReconciliationRun>,
    /// What the date still waits for, in words.
    pub lacking: Vec<String>,
    /// What was undone of the orders that are looked at.
    pub undone: Vec<Undone>,
    /// The banks' files of other dates that say whether an undone payment moved money.
    pub beside: BTreeMap<BusinessDate, Vec<Party>>,
    bank_of: BTreeMap<String, u8>,
    biller_of: BTreeMap<String, u8>,
}

impl Engine {
    /// Looks at what is there.
    pub(super) async fn plan_day(&self, date: BusinessDate) -> Result<Plan, FileFault> {
        let partners: Vec<Partner> = {
            let links = self.0.upstreams.partners().iter();
            links.map(|link| link.partner.clone()).collect()
        };
        if partners.len() > PARTNERS_MAX {
            let what = format!("there are more than {PARTNERS_MAX} partners");
            return Err(StoreError::Refused(what).into());
        }
        let reach = partners.iter().map(|one| one.rules.pool_days).max();
        let back = Days::new(u64::from(reach.unwrap_or(0)) * 2 + 14);
        let from = BusinessDate(date.0.checked_sub_days(back).unwrap_or(date.0));
        let to = BusinessDate(date.0.pred_opt().unwrap_or(date.0));
        let read = move |c: &mut _| {
            Ok((
                business_days::find(c, date)?,
                partner_files::that_count(c, date)?,
                pool_and_runs(c, from, to)?,
                reconciliations::current(c, date)?,
            ))
        };
        let (closed, files, (pool, earlier), current) = self.0.store.read(read).await?;
        let day = Day {
            date,
            begins_at: self.0.options.day.end_of(to),
            ends_at: self.0.options.day.end_of(date),
        };
        // Before the flows are looked at: what moves in between has the day looked at again.
        let used = move |c: &mut _| {
            let movable = reconciliations::movable(c, date, day.begins_at)?;
            let adapters = reconciliations::adapters_of(c, date)?;
            Ok((movable, adapters, reconciliations::billers_of(c, date)?))
        };
        let (movable, adapters, billers) = self.0.store.scan(used).await?;
        let mut lacking = Vec::new();
        let Some(closed) = closed else {
            lacking.push(format!("{date} is not closed yet"));
            return Ok(Plan::empty(date, day, lacking));
        };
        lacking.extend(self.lacking(date, &partners, &files, (&adapters, &billers)));
        let parties = parties_of(&partners, files);
        let inputs = Inputs {
            flows: closed.flows,
            movable,
            files: parties.iter().map(input_of).collect(),
            pool: earlier
                .iter()
                .map(|run| InputPool {
                    date: run.business_date,
                    version: run.version,
                })
                .collect(),
            rules: parties.iter().map(rules_text).collect(),
            beside: Vec::new(),
        };
        let earlier = pool.iter().map(|one| one.flow_no.clone()).collect();
        let plan = Plan {
            inputs,
            current,
            lacking,
            pool,
            ..Plan::empty(date, day, Vec::new())
        };
        let plan = plan.with(parties, &partners);
        match plan.lacking.is_empty() {
            true => Ok(self.with_undone(plan, earlier).await?),
            false => Ok(plan),
        }
    }

    /// What a date waits for: the file of every partner that had something to do on it, and until people
    /// are called those of the others too.
    fn lacking(
        &self,
        date: BusinessDate,
        partners: &[Partner],
        files: &[PartnerFile],
        (adapters, billers): (&[String], &[String]),
    ) -> Vec<String> {
        let mut lacking = Vec::new();
        for partner in partners {
            let had_flows = match &partner.covers {
                Covers::Adapter(adapter) => adapters.iter().any(|one| one == adapter.as_str()),
                Covers::Billers(codes) => codes
                    .iter()
                    .any(|code| billers.iter().any(|one| one == code.as_str())),
            };
            let is_there = files.iter().any(|file| file.partner == partner.name);
            let is_early = self.now() < self.on_next_day(date, partner.critical_at_s);
            if !is_there && (had_flows || is_early) {
                lacking.push(format!("the file of {} is not there", partner.name));
            }
        }
        for adapter in adapters {
            let is_its =
                |one: &Partner| matches!(&one.covers, Covers::Adapter(a) if a.as_str() == adapter);
            if !partners.iter().any(is_its) {
                lacking.push(format!(
                    "no partner lists the flows of adapter {adapter}: add a [partners.NAME] with it"
                ));
            }
        }
        lacking
    }

    /// How many business days have passed since a date.
    pub(super) fn waited(&self, since: BusinessDate, until: BusinessDate) -> Waited {
        let days = since.0.iter_days().skip(1);
        let days = days.take_while(|day| *day <= until.0);
        let calendar = self.calendar();
        let passed = days.filter(|day| calendar.is_business_day(BusinessDate(*day)));
        Waited(u32::try_from(passed.count()).unwrap_or(u32::MAX))
    }
}

/// The pool for the date after `to`, and the runs whose flows are in it, with others from `from` on.
fn pool_and_runs(
    c: &mut AnyConnection,
    from: BusinessDate,
    to: BusinessDate,
) -> Result<(Vec<Discrepancy>, Vec<ReconciliationRun>), StoreError> {
    let pool = discrepancies::pool(c, from, to)?;
    let oldest = pool.iter().map(|one| one.business_date).min();
    let from = oldest.map_or(from, |oldest| oldest.min(from));
    Ok((pool, reconciliations::current_between(c, from, to)?))
}

pub(super) fn parties_of(partners: &[Partner], files: Vec<PartnerFile>) -> Vec<Party> {
    let find = |file: PartnerFile| {
        let partner = partners.iter().find(|one| one.name == file.partner)?;
        Some(Party {
            partner: partner.clone(),
            file,
        })
    };
    files.into_iter().filter_map(find).collect()
}

pub(super) fn input_of(party: &Party) -> InputFile {
    InputFile {
        partner: party.file.partner.clone(),
        version: party.file.version,
        sha256: party.file.sha256.clone(),
        rows: party.file.row_count,
    }
}

fn rules_text(party: &Party) -> String {
    let Party { partner, .. } = party;
    // A struct of numbers and texts always has a JSON form.
    let rules = serde_json::to_string(&partner.rules).unwrap_or_default();
    let day = partner.day;
    format!("{} {} {} {rules}", partner.name, day.zone, day.cutoff)
}

impl Plan {
    fn empty(date: BusinessDate, day: Day, lacking: Vec<String>) -> Self {
        Self {
            date,
            day,
            parties: Vec::new(),
            absent: Vec::new(),
            pool: Vec::new(),
            inputs: Inputs::default(),
            current: None,
            lacking,
            undone: Vec::new(),
            beside: BTreeMap::new(),
            bank_of: BTreeMap::new(),
            biller_of: BTreeMap::new(),
        }
    }

    fn with(mut self, parties: Vec<Party>, partners: &[Partner]) -> Self {
        let is_there = |one: &&Partner| !parties.iter().any(|party| party.partner.name == one.name);
        self.absent = partners.iter().filter(is_there).cloned().collect();
        for (place, party) in (0_u8..).zip(&parties) {
            match &party.partner.covers {
                Covers::Adapter(adapter) => {
                    self.bank_of.insert(adapter.to_string(), place);
                }
                Covers::Billers(billers) => {
                    let named = billers.iter().map(|code| (code.to_string(), place));
                    self.biller_of.extend(named);
                }
            }
        }
        self.parties = parties;
        self
    }

    /// The rules that rows point into: of each partner, once more for what is carried over, and of those
    /// whose files take no part.
    pub fn rules(&self) -> Vec<Rules> {
        let own = self.parties.iter().map(|party| &party.partner.rules);
        let absent = self.absent.iter().map(|partner| &partner.rules);
        own.clone().chain(own).chain(absent).cloned().collect()
    }

    /// The place of what was carried over from an earlier day.
    pub fn carried(&self, place: u8) -> u8 {
        place.saturating_add(u8::try_from(self.parties.len()).unwrap_or(0))
    }

    /// The place of the first partner that is so, among those whose rows are carried over.
    fn carried_of(&self, is_it: impl Fn(&Partner) -> bool) -> Option<u8> {
        let count = self.parties.len();
        let here = self.parties.iter().position(|party| is_it(&party.partner));
        let away = || self.absent.iter().position(&is_it);
        let place = match here {
            Some(place) => count + place,
            None => 2 * count + away()?,
        };
        u8::try_from(place).ok()
    }

    /// The place of the bank of an adapter, for what is carried over: it may have sent no file of this date.
    pub fn carried_bank(&self, adapter: &str) -> Option<u8> {
        let is_its =
            |one: &Partner| matches!(&one.covers, Covers::Adapter(a) if a.as_str() == adapter);
        self.carried_of(is_its)
    }

    /// The place of a partner by its name, for what is carried over.
    pub fn carried_party(&self, name: &str) -> Option<u8> {
        self.carried_of(|one| one.name.as_str() == name)
    }

    /// Whose row it is, in a number that is the same for today's rows and for what is carried over.
    pub fn whose(&self, row: &Row) -> usize {
        let (place, count) = (usize::from(row.rules), self.parties.len());
        match place.checked_sub(count) {
            Some(behind) if place < 2 * count => behind,
            _ => place,
        }
    }

    /// Whether a row was carried over.
    pub fn is_carried(&self, row: &Row) -> bool {
        usize::from(row.rules) >= self.parties.len()
    }

    /// The partner whose row it is; of ours, the bank's that carried it.
    pub fn party_of(&self, row: &Row) -> Option<&Party> {
        let place = usize::from(row.rules);
        let count = self.parties.len();
        self.parties
            .get(if place >= count { place - count } else { place })
    }

    /// The place of the bank that an adapter belongs to.
    pub fn bank_of(&self, adapter: &str) -> Option<u8> {
        self.bank_of.get(adapter).copied()
    }

    /// The place of the partner that speaks for a biller.
    pub fn biller_of(&self, biller: &str) -> Option<u8> {
        self.biller_of.get(biller).copied()
    }

    /// Our row of a flow.
    pub fn our_row(&self, flow: &OurFlow, line: u32) -> Result<Row, CompareFault> {
        let (kind, state, amount) = facts_of(flow)?;
        let (bank, biller) = (self.bank_of(&flow.adapter), self.biller_of(&flow.biller));
        // Not until its end: that may be the night in which its line settled it, and then a second look would
        // not be the first one's equal.
        let from = instant(flow.started_at)?;
        let sides = [bank, biller];
        let sides = sides.iter().flatten();
        let is_near = sides
            .map(|place| &self.parties[usize::from(*place)].partner)
            .any(|partner| partner.edge_of(&self.day, from, from) == Edge::Near);
        Ok(Row {
            kind: Some(kind),
            state: RowState::from(state),
            amount,
            edge: if is_near { Edge::Near } else { Edge::Far },
            asked: Asked::of(bank.is_some(), biller.is_some()),
            bill: Bill::Agrees,
            rules: bank.unwrap_or(0),
            line,
        })
    }

    /// When a number that is formed like ours says that it was made; none of other numbers.
    pub fn time_in(&self, flow_no: &str) -> Option<Instant> {
        let date = date_in(flow_no)?;
        let micros: i64 = flow_no.get(8..19)?.parse().ok()?;
        let days = date.0.signed_duration_since(self.date.0).num_days();
        Some(self.day.begins_at + TimeDelta::days(days) + TimeDelta::microseconds(micros))
    }
}

/// The date that a number formed like ours begins with.
pub(super) fn date_in(flow_no: &str) -> Option<BusinessDate> {
    BusinessDate::of_number(flow_no)
}

fn facts_of(flow: &OurFlow) -> Result<(FlowKind, FlowState, Money), CompareFault> {
    let odd = |why: String| {
        CompareFault::from(StoreError::Corrupt {
            table: "flows",
            key: flow.flow_no.clone(),
            why,
        })
    };
    let kind = flow.kind.parse();
    let state = flow.state.parse();
    let currency = Currency::try_new(&flow.currency);
    Ok((
        kind.map_err(|error: crate::domain::UnknownName| odd(error.to_string()))?,
        state.map_err(|error: crate::domain::UnknownName| odd(error.to_string()))?,
        Money::new(
            flow.amount_minor,
            currency.map_err(|error| odd(error.to_string()))?,
        ),
    ))
}

fn instant(micros: i64) -> Result<Instant, CompareFault> {
    let at = Instant::from_timestamp_micros(micros);
    at.ok_or_else(|| CompareFault::Odd(format!("{micros} is outside the calendar")))
}
