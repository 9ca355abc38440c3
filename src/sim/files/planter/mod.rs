//! Chooses the lines in which something is planted: by dice with a seed, never two things in one
//! line, and only where the answer is clear.
//!
//! A clear case is a payment that was made once and still stands, away from the edges of the day; near
//! them a missing line may be in the neighbour's file, which is what EXPECTED is for. A flow in which
//! something is planted already, at whichever partner, is left alone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

mod dice;
mod invent;

use super::partner::Partner;
use super::plant::{Again, Class, Neighbour, Of, Plant, PlantSpec, PlantsSpec};
use super::row::{Day, Kind, Row, Status};
use dice::Dice;

/// Where something is to be planted.
pub(super) struct Ground<'a> {
    pub partner: Partner,
    pub date: NaiveDate,
    pub times: Range<DateTime<Utc>>,
    pub day: &'a Day,
    /// The lines of the file without any plants.
    pub rows: &'a [Row],
    /// Flows in which something is planted already.
    pub taken: HashSet<String>,
    /// Whether the bank holds this payment's money, taken once.
    pub stands: &'a dyn Fn(&str) -> bool,
    /// Whether a bank knows the number.
    pub known: &'a dyn Fn(&str) -> bool,
}

/// So many by the dice, or the one with this number.
struct Wanted<'a> {
    count: u32,
    kind: Kind,
    flow_no: Option<&'a str>,
}

/// Plants on some ground.
pub(super) struct Planter<'a> {
    ground: Ground<'a>,
    dice: Dice,
    edge: TimeDelta,
}

impl<'a> Planter<'a> {
    /// With the dice and the edges that are asked for.
    pub fn new(ground: Ground<'a>, spec: &PlantsSpec) -> Self {
        Self {
            ground,
            dice: Dice::new(spec.seed),
            edge: TimeDelta::seconds(spec.edge_s.into()),
        }
    }

    /// What is planted for one wish.
    ///
    /// # Errors
    /// There are too few lines that it could be planted in, or the one that is named is not there.
    pub fn plant(&mut self, spec: &PlantSpec) -> Result<Vec<Plant>, String> {
        match spec {
            PlantSpec::Long { count, of } => self.long(*count, *of),
            PlantSpec::Short(lines) => {
                let wanted = Wanted::new(lines.count, lines.kind, lines.flow_no.as_deref());
                self.each(Class::Short, &wanted, |_, _| None)
            }
            PlantSpec::Amount(lines) => {
                let wanted = Wanted::new(lines.count, lines.kind, lines.flow_no.as_deref());
                self.each(Class::Amount, &wanted, |dice, row| {
                    Some(dice.other_amount(row))
                })
            }
            PlantSpec::Bill(lines) => {
                let wanted = Wanted::new(lines.count, lines.kind, lines.flow_no.as_deref());
                self.each(Class::Status, &wanted, |_, row| Some(dice::other_bill(row)))
            }
            PlantSpec::Status {
                count,
                kind,
                flow_no,
                status,
            } => {
                let wanted = Wanted::new(*count, *kind, flow_no.as_deref());
                self.status(&wanted, *status)
            }
            PlantSpec::Duplicate {
                count,
                kind,
                flow_no,
                amount,
            } => {
                let wanted = Wanted::new(*count, *kind, flow_no.as_deref());
                self.each(Class::Duplicate, &wanted, |dice, row| {
                    Some(match amount {
                        Again::Same => row.clone(),
                        Again::Other => dice.other_amount(row),
                    })
                })
            }
            PlantSpec::Expected {
                count,
                kind,
                flow_no,
                to,
            } => {
                let wanted = Wanted::new(*count, *kind, flow_no.as_deref());
                self.expected(&wanted, *to)
            }
            PlantSpec::Truncated { line, until } => {
                if *line == 0 {
                    return Err("line: lines count from 1".to_owned());
                }
                let line = Some(*line);
                Ok(vec![Plant {
                    line,
                    until: *until,
                    ..self.blank(Class::Truncated)
                }])
            }
            PlantSpec::Count { until } => Ok(vec![self.fault(Class::Count, *until)]),
            PlantSpec::Sum { until } => Ok(vec![self.fault(Class::Sum, *until)]),
            PlantSpec::Digest { until } => Ok(vec![self.fault(Class::Digest, *until)]),
        }
    }

    fn blank(&self, class: Class) -> Plant {
        Plant::new(self.ground.partner.name(), self.ground.date, class)
    }

    fn fault(&self, class: Class, until: Option<DateTime<Utc>>) -> Plant {
        Plant {
            until,
            ..self.blank(class)
        }
    }

    /// One plant for each line; `listed` says what the file has in its place.
    fn each(
        &mut self,
        class: Class,
        wanted: &Wanted<'_>,
        listed: impl Fn(&mut Dice, &Row) -> Option<Row>,
    ) -> Result<Vec<Plant>, String> {
        let rows = match wanted.flow_no {
            Some(flow_no) => vec![self.named(flow_no, wanted.kind)?],
            None => {
                let (start, end) = self.inside();
                let rows: &'a [Row] = self.ground.rows;
                let good = rows
                    .iter()
                    .filter(|row| row.kind == wanted.kind && row.status == Status::Succeeded)
                    .filter(|row| start <= row.at && row.at < end)
                    .collect();
                self.draw(class, wanted, good)?
            }
        };
        Ok(self.plants(class, rows, listed))
    }

    /// Lines that say something else of the outcome: that a payment was made which was refused, or
    /// that one was not made, or is not known, which was.
    fn status(&mut self, wanted: &Wanted<'_>, status: Status) -> Result<Vec<Plant>, String> {
        let other = |_: &mut Dice, row: &Row| {
            Some(Row {
                status,
                ..row.clone()
            })
        };
        if wanted.flow_no.is_some() || status != Status::Succeeded {
            return self.each(Class::Status, wanted, other);
        }
        let rows = self.unpaid(Class::Status, wanted.count)?;
        Ok(self.plants(Class::Status, rows, other))
    }

    fn plants(
        &mut self,
        class: Class,
        rows: Vec<Row>,
        listed: impl Fn(&mut Dice, &Row) -> Option<Row>,
    ) -> Vec<Plant> {
        let mut plants = Vec::with_capacity(rows.len());
        for row in rows {
            let listed = listed(&mut self.dice, &row);
            plants.push(self.blank(class).about(Some(row), listed));
        }
        plants
    }

    /// The line of that number.
    fn named(&mut self, flow_no: &str, kind: Kind) -> Result<Row, String> {
        let found = self
            .ground
            .rows
            .iter()
            .find(|row| row.flow_no == flow_no && row.kind == kind);
        let row = found.ok_or_else(|| {
            let (partner, date) = (self.ground.partner.name(), self.ground.date);
            format!("flow_no: {flow_no} has no {kind:?} line in the file of {partner} for {date}")
        })?;
        if !self.ground.taken.insert(flow_no.to_owned()) {
            return Err(format!(
                "flow_no: something is planted in {flow_no} already"
            ));
        }
        Ok(row.clone())
    }

    /// So many of these, by the dice.
    fn draw(
        &mut self,
        class: Class,
        wanted: &Wanted<'_>,
        mut good: Vec<&'a Row>,
    ) -> Result<Vec<Row>, String> {
        let mut drawn = Vec::new();
        let times = self.lines_by_number();
        while drawn.len() < wanted.count as usize {
            let Some(at) = self.dice.below(good.len()) else {
                return Err(self.too_few(class, wanted.count, drawn.len()));
            };
            let row = good.swap_remove(at);
            if self.is_clear(row, &times) {
                self.ground.taken.insert(row.flow_no.clone());
                drawn.push(row.clone());
            }
        }
        Ok(drawn)
    }

    fn lines_by_number(&self) -> HashMap<&'a str, u32> {
        let mut times = HashMap::new();
        let rows: &'a [Row] = self.ground.rows;
        for row in rows {
            *times.entry(row.flow_no.as_str()).or_default() += 1;
        }
        times
    }

    fn is_clear(&self, row: &Row, times: &HashMap<&str, u32>) -> bool {
        let ground = &self.ground;
        let once = times
            .get(row.flow_no.as_str())
            .is_none_or(|times| *times == 1);
        let settled = match (row.kind, row.status) {
            (Kind::Payment, Status::Succeeded) => (ground.stands)(&row.flow_no),
            _ => true,
        };
        once && settled && !ground.taken.contains(&row.flow_no)
    }

    fn too_few(&self, class: Class, wanted: u32, found: usize) -> String {
        let (partner, date) = (self.ground.partner.name(), self.ground.date);
        format!(
            "{class:?}: {wanted} lines are wanted, and {found} in the file of {partner} for {date} are fit for it; \
             nothing was planted"
        )
    }

    /// From when to when a line is away from the edges.
    fn inside(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let Range { start, end } = self.ground.times;
        (start + self.edge, end - self.edge)
    }

    /// Lines near an edge that go into the neighbour's file, the nearest first.
    fn expected(&mut self, wanted: &Wanted<'_>, to: Neighbour) -> Result<Vec<Plant>, String> {
        let date = self.ground.date;
        let one = Days::new(1);
        let other = match to {
            Neighbour::Next => date.checked_add_days(one),
            Neighbour::Previous => date.checked_sub_days(one),
        };
        let rows = match wanted.flow_no {
            Some(flow_no) => vec![self.named(flow_no, wanted.kind)?],
            None => self.near(wanted, to)?,
        };
        let mut plants = self.plants(Class::Expected, rows, |_, row| Some(row.clone()));
        for plant in &mut plants {
            plant.listed_on = other;
        }
        Ok(plants)
    }

    fn near(&mut self, wanted: &Wanted<'_>, to: Neighbour) -> Result<Vec<Row>, String> {
        let (start, end) = self.inside();
        let times = self.lines_by_number();
        let rows: &'a [Row] = self.ground.rows;
        let mut near: Vec<&Row> = rows
            .iter()
            .filter(|row| row.kind == wanted.kind && row.status == Status::Succeeded)
            .filter(|row| match to {
                Neighbour::Next => row.at >= end,
                Neighbour::Previous => row.at < start,
            })
            .filter(|row| self.is_clear(row, &times))
            .collect();
        if matches!(to, Neighbour::Next) {
            near.reverse();
        }
        near.truncate(wanted.count as usize);
        if near.len() < wanted.count as usize {
            return Err(self.too_few(Class::Expected, wanted.count, near.len()));
        }
        self.ground
            .taken
            .extend(near.iter().map(|row| row.flow_no.clone()));
        Ok(near.into_iter().cloned().collect())
    }

    /// Lines of payments that nobody asked for, some of them for orders that were not paid.
    fn long(&mut self, count: u32, of: Of) -> Result<Vec<Plant>, String> {
        let models: Vec<Option<Row>> = match of {
            Of::Nothing => vec![None; count as usize],
            Of::Unpaid => self
                .unpaid(Class::Long, count)?
                .into_iter()
                .map(Some)
                .collect(),
        };
        let mut plants = Vec::with_capacity(models.len());
        for model in models {
            let listed = self.invent(model)?;
            plants.push(self.blank(Class::Long).about(None, Some(listed)));
        }
        Ok(plants)
    }

    /// Payments that the bank refused.
    fn unpaid(&mut self, class: Class, count: u32) -> Result<Vec<Row>, String> {
        let (start, end) = self.inside();
        let day: &'a Day = self.ground.day;
        let unmoved = day.unmoved.iter();
        let good = unmoved
            .filter(|row| start <= row.at && row.at < end)
            .collect();
        self.draw(class, &Wanted::new(count, Kind::Payment, None), good)
    }
}

impl<'a> Wanted<'a> {
    fn new(count: u32, kind: Kind, flow_no: Option<&'a str>) -> Self {
        Self {
            count,
            kind,
            flow_no,
        }
    }
}
