//! The audit at the end of every test: the center's database against the far side's own books.
//!
//! The names I1 to I14 are those of the list of invariants. Everything is a plain function of facts
//! that were read before, so that a test can show it facts that are wrong.

use super::books::{Books, Effect};
use super::far_side::Call;
use payhall::domain::audit::{AuditRow, ChainHead, row_hash};
use payhall::domain::case::{Case, CaseKind, CaseState};
use payhall::domain::exception::Exception;
use payhall::domain::flow::{AttemptOutcome, Flow, FlowKind, FlowState, Operation};
use payhall::domain::ids::OrderNo;
use payhall::domain::order::{Order, OrderEvent, OrderState};
use payhall::storage::orders::{Filter, Page};
use payhall::storage::{AnyConnection, StoreError, audit, cases, exceptions, flows, orders};
use std::collections::BTreeSet;

/// Everything that is known when a test ends.
#[derive(Clone, Default)]
pub struct Facts {
    pub orders: Vec<Order>,
    pub flows: Vec<Flow>,
    pub exceptions: Vec<Exception>,
    pub cases: Vec<Case>,
    /// Each audit chain in its order.
    pub chains: Vec<Vec<AuditRow>>,
    pub books: Books,
    pub calls: Vec<Call>,
    /// What the far side saw that must never be.
    pub breaches: Vec<String>,
}

/// What a test says about its end beforehand.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Orders that may be left in the middle.
    pub unfinished: BTreeSet<OrderNo>,
    /// Orders whose books two people corrected outside the center.
    pub corrected_outside: BTreeSet<OrderNo>,
}

impl Facts {
    /// Reads the center's side.
    pub fn read(c: &mut AnyConnection) -> Result<Self, StoreError> {
        let page = Page {
            after: None,
            before: None,
            limit: 1_000_000,
        };
        let orders = orders::list(c, &Filter::default(), &page)?;
        let numbers: Vec<OrderNo> = orders.iter().map(|order| order.order_no.clone()).collect();
        let mut chains = Vec::new();
        for stream in audit::streams(c)? {
            chains.push(audit::stretch(c, &stream, 0, i64::MAX)?);
        }
        Ok(Self {
            flows: flows::of_orders(c, &numbers)?,
            exceptions: exceptions::list(c, &Default::default(), None, 1_000_000)?,
            cases: cases::list(c, &Default::default(), None, 1_000_000)?,
            orders,
            chains,
            ..Self::default()
        })
    }

    /// Everything that is wrong, in words; nothing is as it should be.
    pub fn findings(&self, declared: &Declared) -> Vec<String> {
        let mut wrong = self.breaches.clone();
        for order in &self.orders {
            let mut about = Vec::new();
            self.left_undone(order, declared, &mut about);
            self.money(order, declared, &mut about);
            self.numbers(order, &mut about);
            self.reverse_last(order, &mut about);
            self.history(order, &mut about);
            let (number, state) = (&order.order_no, order.state);
            wrong.extend(
                about
                    .iter()
                    .map(|what| format!("order {number} ({state}): {what}")),
            );
        }
        self.strangers(&mut wrong);
        for chain in &self.chains {
            wrong.extend(chain_break(chain));
        }
        wrong
    }

    /// The flows of an order, payments first.
    fn flows_of(&self, order: &Order, kind: FlowKind) -> impl Iterator<Item = &Flow> {
        let number = order.order_no.clone();
        let of_order = move |flow: &&Flow| flow.order_no == number && flow.kind == kind;
        self.flows.iter().filter(of_order)
    }

    fn has_open_case(&self, order: &Order) -> bool {
        self.cases.iter().any(|case| {
            case.order_no.as_ref() == Some(&order.order_no) && case.state != CaseState::Closed
        })
    }

    fn has_late_case(&self, order: &Order) -> bool {
        let late =
            |case: &&Case| case.kind == CaseKind::LateSuccess && case.state != CaseState::Closed;
        self.cases
            .iter()
            .filter(late)
            .any(|case| case.order_no.as_ref() == Some(&order.order_no))
    }

    /// I3 and I14: nothing is lost in the dark, and nothing is left in the middle.
    fn left_undone(&self, order: &Order, declared: &Declared, wrong: &mut Vec<String>) {
        let is_watched = self
            .exceptions
            .iter()
            .any(|e| e.order_no == order.order_no && e.closed_at.is_none());
        match order.state {
            OrderState::Manual if !self.has_open_case(order) => {
                wrong.push("I3: nobody was called".to_owned());
            }
            OrderState::Unknown | OrderState::Reversing if !is_watched => {
                wrong.push("I3: nobody asks about it".to_owned());
            }
            _ => {}
        }
        let at_rest = order.state.is_terminal()
            || matches!(order.state, OrderState::Created | OrderState::Manual);
        if !at_rest && !declared.unfinished.contains(&order.order_no) {
            wrong.push("left undone".to_owned());
        }
    }

    /// I1: what the bank and the biller did is what the order says, and never more than once.
    fn money(&self, order: &Order, declared: &Declared, wrong: &mut Vec<String>) {
        let amount = order.amount.amount_minor;
        let (mut moved, mut credits) = (0_i64, 0_i64);
        for flow in self.flows_of(order, FlowKind::Payment) {
            for line in self.books.about(flow.flow_no.as_str()) {
                match line.effect {
                    Effect::Debit => moved += line.amount_minor,
                    Effect::Reversal => moved -= line.amount_minor,
                    Effect::Credit => credits += 1,
                    Effect::Recall => credits -= 1,
                }
                if !(0..=amount).contains(&moved) || !(0..=1).contains(&credits) {
                    wrong.push(format!(
                        "I1: {moved} moved, {credits} credits after {line:?}"
                    ));
                }
            }
        }
        let expected = match order.state {
            OrderState::Succeeded => (amount, 1),
            OrderState::Created
            | OrderState::Failed
            | OrderState::Reversed
            | OrderState::Closed => (0, 0),
            OrderState::Paying
            | OrderState::Unknown
            | OrderState::Reversing
            | OrderState::Manual => return,
        };
        let is_known =
            declared.corrected_outside.contains(&order.order_no) || self.has_late_case(order);
        if (moved, credits) != expected && !is_known {
            wrong.push(format!("I1: {moved} moved of {amount}, {credits} credits"));
        }
        // What people moved past the center is in nobody's books here, but it is stated.
        let stated = self.stated(order);
        if stated != expected.0 && !self.has_late_case(order) {
            wrong.push(format!(
                "I12: {stated} is stated of {amount}, and {moved} moved"
            ));
        }
    }

    /// What statements tell of an order, all in all: its payment and what undid it.
    fn stated(&self, order: &Order) -> i64 {
        let sum = |kind: FlowKind| -> i64 {
            let counts =
                |flow: &&Flow| matches!(flow.state, FlowState::Succeeded | FlowState::Reversed);
            let flows = self.flows_of(order, kind).filter(counts);
            flows.map(|flow| flow.amount.amount_minor).sum()
        };
        sum(FlowKind::Payment) - sum(FlowKind::Reversal)
    }

    /// I2: one number a step, one effect a number, and flows that say what the order says.
    fn numbers(&self, order: &Order, wrong: &mut Vec<String>) {
        let payments: Vec<&Flow> = self.flows_of(order, FlowKind::Payment).collect();
        if payments.len() > 1 {
            wrong.push(format!("I2: {} payments", payments.len()));
        }
        let never_sent = matches!(order.state, OrderState::Created | OrderState::Closed);
        if payments.is_empty() != never_sent {
            wrong.push(format!("I5: {} payments were started", payments.len()));
        }
        let all = self
            .flows_of(order, FlowKind::Payment)
            .chain(self.flows_of(order, FlowKind::Reversal));
        for flow in all {
            let number = flow.flow_no.as_str();
            for effect in [Effect::Debit, Effect::Reversal] {
                let by_number = |l: &&super::books::Line| l.number == number && l.effect == effect;
                let effects = self.books.lines().iter().filter(by_number).count();
                if effects > 1 {
                    wrong.push(format!("I2: number {number} had {effects} effects"));
                }
            }
            if order.state.is_terminal() && flow.state == FlowState::Started {
                wrong.push(format!("{} {number} has no outcome", flow.kind));
            }
        }
        let expected = match order.state {
            OrderState::Succeeded => FlowState::Succeeded,
            OrderState::Failed => FlowState::Failed,
            OrderState::Reversed => FlowState::Reversed,
            _ => return,
        };
        if let Some(payment) = payments.first()
            && payment.state != expected
        {
            wrong.push(format!("its payment is {}", payment.state));
        }
    }

    /// I6: a reversal that the poller started came directly after a question that was not answered,
    /// and no payment went out after a reversal.
    fn reverse_last(&self, order: &Order, wrong: &mut Vec<String>) {
        let started = |row: &AuditRow| row.entry.action == OrderEvent::ReversalStarted.as_str();
        let by_poller = self
            .rows_of(order)
            .into_iter()
            .filter(|row| started(row))
            .count();
        let own: BTreeSet<&str> = self
            .flows_of(order, FlowKind::Payment)
            .map(|f| f.flow_no.as_str())
            .collect();
        let calls: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| own.contains(call.payment.as_str()))
            .collect();
        let first = calls
            .iter()
            .position(|call| call.operation == Operation::Reverse);
        let Some(first) = first else { return };
        if by_poller > 0 {
            let before = first.checked_sub(1).and_then(|place| calls.get(place));
            let asked = before.is_some_and(|call| {
                call.operation == Operation::Query && call.outcome == Some(AttemptOutcome::Unknown)
            });
            if !asked {
                wrong.push(format!("I6: reversed after {before:?}"));
            }
        }
        if calls
            .iter()
            .skip(first)
            .any(|call| call.operation == Operation::Pay)
        {
            wrong.push("I6: paid after it was reversed".to_owned());
        }
    }

    fn rows_of(&self, order: &Order) -> Vec<&AuditRow> {
        let number = order.order_no.as_str();
        let about = |row: &&AuditRow| row.entry.subject == number;
        self.chains.iter().flatten().filter(about).collect()
    }

    /// I4 and I8: one audit row a move, each beginning where the one before ended, and out of a
    /// terminal state only by a decision.
    fn history(&self, order: &Order, wrong: &mut Vec<String>) {
        let rows = self.rows_of(order);
        let moves = usize::try_from(order.version).unwrap_or(0) + 1;
        if rows.len() != moves {
            wrong.push(format!("I8: {} audit rows for {moves} moves", rows.len()));
        }
        let mut left = rows.clone();
        left.sort_by_key(|row| row.entry.at);
        if !is_continuous(None, &left, Some(order.state.as_str())) {
            let steps: Vec<String> = left.iter().map(|row| step_of(row)).collect();
            wrong.push(format!(
                "I8: its audit rows are no way to here: {}",
                steps.join(", ")
            ));
        }
        let decisions = [
            OrderEvent::DecidedSucceeded,
            OrderEvent::DecidedFailed,
            OrderEvent::DecidedReversed,
            OrderEvent::ReversalOrdered,
        ];
        for row in rows {
            let before = row
                .entry
                .before
                .as_deref()
                .and_then(|word| word.parse::<OrderState>().ok());
            let decided = decisions
                .iter()
                .any(|event| event.as_str() == row.entry.action);
            if before.is_some_and(OrderState::is_terminal) && !decided {
                wrong.push(format!("I4: left its rest: {}", step_of(row)));
            }
        }
    }

    /// I5: nothing was done under a number that the center does not know.
    fn strangers(&self, wrong: &mut Vec<String>) {
        let known: BTreeSet<&str> = self
            .flows
            .iter()
            .map(|flow| flow.flow_no.as_str())
            .collect();
        for line in self
            .books
            .lines()
            .iter()
            .filter(|line| !known.contains(line.number.as_str()))
        {
            wrong.push(format!(
                "I5: the bank did something that we do not know of: {line:?}"
            ));
        }
    }
}

fn step_of(row: &AuditRow) -> String {
    let (before, after) = (row.entry.before.as_deref(), row.entry.after.as_deref());
    format!("{} {:?} -> {:?}", row.entry.action, before, after)
}

/// Whether the rows, sorted by time, lead from one state to another. Rows of one instant may stand
/// in any sequence: two writers have two chains, and a manual clock stands still.
fn is_continuous(from: Option<&str>, rows: &[&AuditRow], to: Option<&str>) -> bool {
    let Some(first) = rows.first() else {
        return from == to;
    };
    let at_once = rows
        .iter()
        .take_while(|row| row.entry.at == first.entry.at)
        .count();
    (0..at_once).any(|place| {
        let row = rows[place];
        let mut rest = rows.to_vec();
        rest.remove(place);
        row.entry.before.as_deref() == from && is_continuous(row.entry.after.as_deref(), &rest, to)
    })
}

/// I8: a gap or a changed row in a chain.
fn chain_break(chain: &[AuditRow]) -> Option<String> {
    let mut head = ChainHead::start(&chain.first()?.stream);
    for row in chain {
        let hash = row_hash(&row.stream, row.seq, &row.prev_hash, &row.entry);
        let fits = row.seq == head.seq + 1 && row.prev_hash == head.hash && row.hash == hash;
        if !fits {
            return Some(format!("I8: chain {} breaks at {}", row.stream, row.seq));
        }
        head.seq = row.seq;
        head.hash.clone_from(&row.hash);
    }
    None
}
