//! Counts and sums for the report; nothing is judged here.

use super::account::Account;
use super::dossier::Dossier;
use super::report::{CallFigures, Figures, StateFigures};
use super::witness::{Stray, Witness};
use crate::domain::order::OrderState;
use std::collections::BTreeMap;

/// Counts under way.
#[derive(Default)]
pub(super) struct Tally {
    pub figures: Figures,
    states: BTreeMap<(OrderState, &'static str), StateFigures>,
    calls: u64,
}

impl Tally {
    /// Counts an order.
    pub fn take(&mut self, dossier: &Dossier, account: Option<&Account>, stray: Option<Stray>) {
        let figures = &mut self.figures;
        figures.orders += 1;
        figures.flows += count(&dossier.flows);
        figures.exceptions += count(&dossier.exceptions);
        figures.cases += count(&dossier.cases);
        let order = &dossier.order;
        let currency = order.amount.currency.code();
        let state = self.states.entry((order.state, currency)).or_default();
        state.orders += 1;
        state.ours_minor += i128::from(order.amount.amount_minor);
        self.calls += stray.map_or(0, |stray| u64::from(stray.queries));
        let Some(account) = account else {
            return;
        };
        state.bank_minor += i128::from(account.bank.balance_minor);
        state.biller_minor += i128::from(account.biller.balance_minor);
        figures.moving += u64::from(account.is_moving);
        let pays = account.pay_calls();
        self.calls += account.calls();
        let calls = &mut figures.calls;
        calls.orders_paid += u64::from(pays > 0);
        calls.pay_per_order_max = calls.pay_per_order_max.max(pays);
    }

    /// The figures.
    pub fn finish(self, witness: &Witness) -> Figures {
        let counts = witness.counts;
        let by_state = self
            .states
            .into_iter()
            .map(|((state, currency), sums)| StateFigures {
                state: state.to_string(),
                currency: currency.to_owned(),
                ..sums
            });
        let paid = self.figures.calls.orders_paid;
        Figures {
            by_state: by_state.collect(),
            ledger_lines: counts.lines,
            ledger_torn: counts.is_torn,
            calls: CallFigures {
                logged: counts.has_calls(),
                pay: counts.pay,
                query: counts.query,
                reverse: counts.reverse,
                lookup: counts.lookup,
                pay_per_order_milli: per_thousand(counts.pay, paid),
                calls_per_order_milli: per_thousand(self.calls, paid),
                ..self.figures.calls
            },
            ..self.figures
        }
    }
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn per_thousand(calls: u64, orders: u64) -> u64 {
    calls.saturating_mul(1_000).checked_div(orders).unwrap_or(0)
}
