//! I9: what the cache shows to readers is the database's word. A copy is never of a version that the
//! database does not have, says the same as the database about the same version, and is gone when
//! its life is over, so that nobody is shown an older state for longer than was promised.

use super::CheckOptions;
use super::dossier::Dossier;
use super::report::{Findings, Invariant};
use crate::cache::Survey;
use crate::domain::exception::later;
use crate::domain::flow::{Flow, FlowState};
use crate::domain::ids::OrderNo;
use crate::domain::order::Order;
use crate::domain::time::Instant;
use crate::storage::{AnyConnection, StoreError, View, flows, orders};
use serde::Serialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

/// How many orders' copies are asked for at once.
const AT_ONCE: usize = 500;

/// The judge of the copies.
pub(super) struct Copies<'a> {
    options: &'a CheckOptions,
    survey: Survey,
    /// How many copies were found and judged.
    pub judged: u64,
}

impl<'a> Copies<'a> {
    /// None where the settings name no Redis: the memory of a process is seen by nobody else.
    pub fn open(options: &'a CheckOptions) -> anyhow::Result<Option<Self>> {
        let survey = Survey::open(&options.cache)?;
        Ok(survey.map(|survey| Self {
            options,
            survey,
            judged: 0,
        }))
    }

    /// Judges the copies of these orders and of their flows.
    pub fn judge(&mut self, page: &[Dossier], findings: &mut Findings) -> anyhow::Result<()> {
        for part in page.chunks(AT_ONCE) {
            let orders: Vec<_> = part.iter().map(|one| &one.order.order_no).collect();
            let flows = part.iter().flat_map(|one| &one.flows);
            let flows: Vec<_> = flows.map(|flow| &flow.flow_no).collect();
            let orders = self.survey.orders(&orders)?;
            let flows = self.survey.flows(&flows)?;
            self.judged += (orders.len() + flows.len()) as u64;

            let rows = part.iter().map(|one| (&one.order, one.order.updated_at));
            self.compare(orders, rows, orders::find_many, findings)?;
            // A flow moves together with its order, or the order has moved on since.
            let rows = part.iter().flat_map(|one| {
                let moved_at = one.order.updated_at;
                one.flows.iter().map(move |flow| (flow, moved_at))
            });
            self.compare(flows, rows, flows::of_orders, findings)?;
        }
        Ok(())
    }

    /// Judges each copy by its row, which did not move after that time.
    fn compare<'r, T: Copied + 'r>(
        &self,
        copies: Vec<T>,
        rows: impl Iterator<Item = (&'r T, Instant)>,
        read_again: impl FnOnce(&mut AnyConnection, &[OrderNo]) -> Result<Vec<T>, StoreError>,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let rows: HashMap<&str, _> = rows.map(|row| (row.0.number(), row)).collect();
        let mut ahead = Vec::new();
        for copy in copies {
            let Some((row, moved_at)) = rows.get(copy.number()) else {
                continue;
            };
            match copy.version().cmp(&row.version()) {
                Ordering::Greater => ahead.push(copy),
                Ordering::Equal => copy.tell_difference(row, findings),
                Ordering::Less => {
                    let over = later(later(*moved_at, self.life(&copy)), self.options.grace);
                    if self.options.now > over {
                        let problem = "readers are shown an older state after its life";
                        copy.tell(Some(row), problem, findings);
                    }
                }
            }
        }
        if ahead.is_empty() {
            return Ok(());
        }
        // Copies are read after the view was opened, and the center may have gone on: only what
        // the database still does not have is wrong.
        let owners: Vec<OrderNo> = ahead.iter().map(|copy| copy.order_no().clone()).collect();
        let mut view = View::open(&self.options.database_url)?;
        let rows = read_again(view.connection(), &owners)?;
        let rows: HashMap<&str, &T> = rows.iter().map(|row| (row.number(), row)).collect();
        for copy in &ahead {
            let row = rows.get(copy.number()).copied();
            if row.is_none_or(|row| copy.version() > row.version()) {
                let problem = "readers are shown a version that the database does not have";
                copy.tell(row, problem, findings);
            } else if let Some(row) = row.filter(|row| copy.version() == row.version()) {
                copy.tell_difference(row, findings);
            }
        }
        Ok(())
    }

    fn life<T: Copied>(&self, copy: &T) -> Duration {
        let cache = &self.options.cache;
        Duration::from_secs(if copy.is_at_rest() {
            cache.final_ttl_s
        } else {
            cache.open_ttl_s
        })
    }
}

/// What the cache keeps copies of.
trait Copied: PartialEq + Serialize + Sized {
    const KIND: &'static str;
    fn number(&self) -> &str;
    fn order_no(&self) -> &OrderNo;
    fn version(&self) -> i32;
    fn state(&self) -> &'static str;
    fn is_at_rest(&self) -> bool;

    /// Reports a copy that says something else than its row about the same version.
    fn tell_difference(&self, row: &Self, findings: &mut Findings) {
        if self != row {
            let problem = "readers are shown something else than the database says";
            let fields = differing(self, row).join(", ");
            let evidence = format!("{}, they differ in {fields}", self.evidence(Some(row)));
            findings.about(self.order_no(), Invariant::Cache, problem, evidence);
        }
    }

    /// Reports a copy.
    fn tell(&self, row: Option<&Self>, problem: &str, findings: &mut Findings) {
        let evidence = self.evidence(row);
        findings.about(self.order_no(), Invariant::Cache, problem, evidence);
    }

    fn evidence(&self, row: Option<&Self>) -> String {
        let show = |one: &Self| format!("{} of version {}", one.state(), one.version());
        format!(
            "{} {}: the cache has {}, the database {}",
            Self::KIND,
            self.number(),
            show(self),
            row.map_or_else(|| "nothing".to_owned(), show)
        )
    }
}

/// The fields in which two values differ; what stands in them may be a person's.
fn differing<T: Serialize>(one: &T, other: &T) -> Vec<String> {
    let fields = |value| match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (one, other) = (fields(one), fields(other));
    let differs = |(name, value): &(&String, &Value)| other.get(*name) != Some(*value);
    let names = one.iter().filter(differs).map(|(name, _)| name.clone());
    names.collect()
}

impl Copied for Order {
    const KIND: &'static str = "order";

    fn number(&self) -> &str {
        self.order_no.as_str()
    }

    fn order_no(&self) -> &OrderNo {
        &self.order_no
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn state(&self) -> &'static str {
        self.state.as_str()
    }

    fn is_at_rest(&self) -> bool {
        self.state.is_terminal()
    }
}

impl Copied for Flow {
    const KIND: &'static str = "flow";

    fn number(&self) -> &str {
        self.flow_no.as_str()
    }

    fn order_no(&self) -> &OrderNo {
        &self.order_no
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn state(&self) -> &'static str {
        self.state.as_str()
    }

    fn is_at_rest(&self) -> bool {
        self.state != FlowState::Started
    }
}
