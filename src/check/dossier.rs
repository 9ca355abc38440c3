//! All that our database says about one order, and the walk that brings the orders by in pages.

use super::report::{Findings, Invariant};
use crate::domain::audit::AuditRow;
use crate::domain::case::{Case, CaseState};
use crate::domain::exception::Exception;
use crate::domain::flow::{Flow, FlowKind};
use crate::domain::order::Order;
use crate::storage::walk::{self, Readable, Stretch};
use crate::storage::{StoreError, View};
use std::collections::{HashMap, HashSet};

/// How many orders are held at once.
const PAGE: i64 = 2_000;

/// All that our database says about one order.
pub(super) struct Dossier {
    pub order: Order,
    /// By kind and step.
    pub flows: Vec<Flow>,
    pub exceptions: Vec<Exception>,
    pub cases: Vec<Case>,
    /// The audit rows about it, by time.
    pub audit: Vec<AuditRow>,
}

impl Dossier {
    /// Its amount in minor units.
    pub fn amount_minor(&self) -> i64 {
        self.order.amount.amount_minor
    }

    /// Its payment flows; a sound order has one at most.
    pub fn payments(&self) -> impl Iterator<Item = &Flow> {
        self.flows
            .iter()
            .filter(|flow| flow.kind == FlowKind::Payment)
    }

    /// Its reversal flows.
    pub fn reversals(&self) -> impl Iterator<Item = &Flow> {
        self.flows
            .iter()
            .filter(|flow| flow.kind == FlowKind::Reversal)
    }

    /// Its cases that wait for people.
    pub fn open_cases(&self) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(|case| case.state != CaseState::Closed)
    }

    /// Whether people have moved it, so that its flows may carry words from before.
    pub fn was_decided(&self) -> bool {
        self.audit
            .iter()
            .any(|row| super::history::is_decision(&row.entry.action))
    }
}

/// Reads dossiers in the order of their numbers.
pub(super) struct Dossiers {
    after: Option<String>,
    is_over: bool,
}

impl Dossiers {
    pub fn new() -> Self {
        Self {
            after: None,
            is_over: false,
        }
    }

    /// The next page; none after the last. Rows without an order, and rows that cannot be read, are
    /// findings.
    pub fn next(
        &mut self,
        view: &mut View,
        findings: &mut Findings,
    ) -> Result<Option<Vec<Dossier>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let c = view.connection();
        let orders = walk::orders(c, self.after.as_deref(), PAGE)?;
        let last = orders.last().map(|(number, _)| number.clone());
        self.is_over = i64::try_from(orders.len()).unwrap_or(i64::MAX) < PAGE;
        let stretch = Stretch {
            after: self.after.as_deref(),
            upto: last.as_deref().filter(|_| !self.is_over),
        };
        let mut flows = by_order(walk::flows(c, stretch)?, findings, |flow: &Flow| {
            flow.order_no.as_str()
        });
        let mut exceptions = by_order(
            walk::exceptions(c, stretch)?,
            findings,
            |one: &Exception| one.order_no.as_str(),
        );
        let mut cases = by_order(walk::cases(c, stretch)?, findings, |case: &Case| {
            case.order_no.as_ref().map_or("", |number| number.as_str())
        });
        let about = walk::audit_about(c, "ORDER", stretch)?;
        let mut audit = by_order(about, findings, |row: &AuditRow| &row.entry.subject);
        let mut unreadable = HashSet::new();
        let mut page = Vec::with_capacity(orders.len());
        for (number, order) in orders {
            match order {
                Ok(order) => page.push(Dossier {
                    flows: flows.remove(&number).unwrap_or_default(),
                    exceptions: exceptions.remove(&number).unwrap_or_default(),
                    cases: cases.remove(&number).unwrap_or_default(),
                    audit: audit.remove(&number).unwrap_or_default(),
                    order,
                }),
                Err(error) => {
                    findings.about(
                        &number,
                        Invariant::Durable,
                        "the order cannot be read",
                        error.to_string(),
                    );
                    unreadable.insert(number);
                }
            }
        }
        let mut ownerless = Ownerless {
            unreadable,
            findings,
        };
        ownerless.report("flows", &flows);
        ownerless.report("exceptions", &exceptions);
        ownerless.report("cases", &cases);
        ownerless.report("audit rows", &audit);
        self.after = last;
        Ok(Some(page))
    }
}

/// Puts rows under their order's number.
fn by_order<T>(
    rows: Vec<Readable<T>>,
    findings: &mut Findings,
    number: impl Fn(&T) -> &str,
) -> HashMap<String, Vec<T>> {
    let mut groups: HashMap<String, Vec<T>> = HashMap::new();
    for row in rows {
        match row {
            Ok(row) => groups.entry(number(&row).to_owned()).or_default().push(row),
            Err(error) => {
                findings.general(
                    Invariant::Durable,
                    "a row cannot be read",
                    error.to_string(),
                );
            }
        }
    }
    groups
}

/// Rows that belong to orders that are not there.
struct Ownerless<'a> {
    unreadable: HashSet<String>,
    findings: &'a mut Findings,
}

impl Ownerless<'_> {
    fn report<T>(&mut self, what: &str, left: &HashMap<String, Vec<T>>) {
        let mut lost: Vec<_> = left
            .iter()
            .filter(|(number, _)| !self.unreadable.contains(*number))
            .collect();
        lost.sort_by_key(|(number, _)| *number);
        for (number, rows) in lost {
            self.findings.about(
                number,
                Invariant::Durable,
                "the order is not in the database, but something of it is",
                format!("{} {what}", rows.len()),
            );
        }
    }
}
