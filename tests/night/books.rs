//! What the center has written down, as it stood at one instant: a look past the center, at its database.

use crate::night::at;
use crate::support::world::World;
use chrono::NaiveDate;
use payhall::domain::flow::{FlowKind, FlowState};
use payhall::domain::ids::OrderNo;
use payhall::domain::statement::{PartyKind, Statement};
use payhall::domain::time::BusinessDate;
use payhall::storage::reconciliations::{self, OurFlow};
use payhall::storage::{View, business_days, orders, statements};
use std::collections::BTreeMap;

/// What the night owes a closed day, besides its reconciliation.
const WORKS: [&str; 3] = ["MERCHANT_STATEMENTS", "BILLER_STATEMENTS", "SETTLEMENT"];

/// The look. Whoever looks later takes another one.
pub struct Books(View);

impl Books {
    /// Opens the books of a world.
    pub fn of(world: &World) -> Self {
        Self(View::open(&world.database.url).expect("the database"))
    }

    /// Whether nothing is left to be done about a date as its flows stand: it was counted, no flow of it has moved
    /// since, and statements and settlement were made at that very count. Whoever tells of a flow earlier than it
    /// moves makes the count another one, and has to come back.
    pub fn are_finished(&mut self, date: NaiveDate) -> bool {
        let (c, date) = (self.0.connection(), BusinessDate(date));
        let Some(day) = business_days::find(c, date).expect("a day") else {
            return false;
        };
        let counted = business_days::sums_of(c, date).expect("sums");
        let mut works = WORKS.iter();
        works.all(|work| business_days::is_worked_at(c, &day, work).expect("a work"))
            && business_days::count(c, date).expect("a count") == counted
    }

    /// Whether the result of a date that counts is made of what there is now: nobody looks at that date again.
    pub fn are_compared(&mut self, date: NaiveDate) -> bool {
        let c = self.0.connection();
        let current = |c: &mut _, date| reconciliations::current(c, date).expect("a result");
        let Some(run) = current(c, BusinessDate(date)) else {
            return false;
        };
        let begin = at(date, "00:00:00");
        let moved = reconciliations::movable(c, BusinessDate(date), begin).expect("a sum");
        let mut earlier = run.inputs.pool.iter();
        run.inputs.movable == moved
            && earlier.all(|one| current(c, one.date).is_some_and(|run| run.version == one.version))
    }

    /// Every flow of a date, by number.
    pub fn flows(&mut self, date: NaiveDate) -> Vec<OurFlow> {
        let all = reconciliations::flows_of(self.0.connection(), BusinessDate(date), None, 1 << 20);
        all.expect("flows")
    }

    /// Those of a date whose outcome is not known.
    pub fn undecided(&mut self, date: NaiveDate) -> Vec<OurFlow> {
        let mut flows = self.flows(date);
        flows.retain(|flow| flow.state == FlowState::Started.as_str());
        flows
    }

    /// Where an order stands.
    pub fn state_of(&mut self, order_no: &str) -> &'static str {
        let order_no = OrderNo::try_new(order_no).expect("a number");
        let order = orders::find(self.0.connection(), &order_no).expect("an order");
        order.expect("the order of a flow").state.as_str()
    }

    /// What the last versions of a date's statements of one kind of party say that moved, in minor units.
    pub fn stated_minor(&mut self, date: NaiveDate, kind: PartyKind) -> i128 {
        let mut last = BTreeMap::new();
        for one in self.statements(date) {
            if one.key.party.kind == kind {
                last.insert((one.key.party.code, one.key.currency.code()), one.sums);
            }
        }
        let sums = last.into_values().flatten();
        let moved = sums.filter(|sum| sum.state == FlowState::Succeeded);
        moved
            .map(|sum| signed(sum.kind.as_str(), sum.amount_minor))
            .sum()
    }

    /// Every version of every statement of a date, by party and version.
    pub fn statements(&mut self, date: NaiveDate) -> Vec<Statement> {
        let all = statements::of_day(self.0.connection(), BusinessDate(date));
        all.expect("statements")
    }
}

/// A reversal gives back.
fn signed(kind: &str, minor: i64) -> i128 {
    match kind == FlowKind::Reversal.as_str() {
        true => -i128::from(minor),
        false => i128::from(minor),
    }
}
